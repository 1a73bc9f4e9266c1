//! Whether a (sub)transaction is ending: nothing may be read, written, allocated by the server or looked up then.
//!
//! Invariant: true exactly inside the callbacks of xact.rs for commit (after it) and abort. Asked by destructors that would otherwise read,
//! write or allocate.

use crate::pg::process::process;
use std::cell::Cell;

process! {
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

/// Whether the process is about to end. A FATAL error runs the callbacks of the transaction on top of the running code, whose values are
/// in use and are never unwound; when statics are dropped after that, the memory of the transaction is gone. So callbacks and destructors leave
/// everything as it is. Source: storage/ipc/ipc.c, proc_exit.
pub fn process_exits() -> bool {
    // SAFETY: a plain global.
    unsafe { pgrx::pg_sys::proc_exit_inprogress }
}
