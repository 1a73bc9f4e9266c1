//! What a person reads of a run: totals, a summary, scripts. Invariant: nothing here decides whether a run has failed. Called by `sequential`.

mod script;
mod summary;
mod totals;

pub use script::failure;
pub use summary::summary;
pub use totals::Totals;

use std::path::Path;

/// Writes a file of the folder that reports go to, and says so.
fn save(out: &Path, name: &str, text: &str, done: &str) {
    let file = out.join(name);
    match std::fs::create_dir_all(out).and_then(|()| std::fs::write(&file, text)) {
        Ok(()) => println!("{done} {}", file.display()),
        Err(e) => println!("cannot write {}: {e}", file.display()),
    }
}
