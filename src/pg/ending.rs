//! Whether a (sub)transaction is ending: nothing may be read, written, allocated by the server or looked up then.
//!
//! Invariant: true exactly inside the callbacks of xact.rs for commit (after it) and abort. Asked by destructors that would otherwise do
//! such things.

use std::cell::Cell;

thread_local! {
    static ENDING: Cell<bool> = const { Cell::new(false) };
}

pub fn is() -> bool {
    ENDING.get()
}

/// Runs `f` as a part of the end. `f` does not panic.
pub fn during(f: impl FnOnce()) {
    ENDING.set(true);
    f();
    ENDING.set(false);
}
