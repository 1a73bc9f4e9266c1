//! What every session has sent, and when: the only way to follow a failure that cannot be replayed.
//! Invariant: a statement is in it before it is sent, so that the order is one in which the server may have got them.
//! Used by `writer`, `reader` and `rounds`.

use std::sync::Mutex;
use std::time::Instant;

#[derive(Default)]
pub struct Log(Mutex<Vec<(Instant, usize, String)>>);

impl Log {
    pub fn say(&self, session: usize, text: &str) {
        if let Ok(mut log) = self.0.lock() {
            log.push((Instant::now(), session, text.to_string()));
        }
    }

    /// All of it, with milliseconds since the first statement.
    pub fn text(&self) -> String {
        let mut out = String::new();
        if let Ok(log) = self.0.lock() {
            let first = log.first().map(|l| l.0);
            for (when, session, sql) in log.iter() {
                let ms = first.map(|f| when.duration_since(f).as_secs_f64() * 1000.0).unwrap_or(0.0);
                out += &format!("/* {ms:9.2} ms, session {session} */ {sql};\n");
            }
        }
        out
    }
}
