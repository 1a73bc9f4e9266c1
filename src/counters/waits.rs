//! The values that sessions wait for in locks of a flush, in words.
//!
//! Locks on rows are locks on hashes of values; only the waiting session knows the values, and writes them down before it
//! waits. Invariant: an entry is there while its process waits; the entry of a process that has gone is free. Without shared memory there are no
//! entries.
//! Called by the locks of a flush, and read by the view `tviews.locks`.

use crate::pg::shmem;
use pgrx::pg_sys;
use std::cell::UnsafeCell;

/// Sessions that can wait at once with words.
pub const SLOTS: usize = 256;

/// Longer words are cut.
pub const TEXT: usize = 148;

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Wait {
    /// 0: free.
    pub pid: i32,
    pub tview: u32,
    pub len: u32,
    pub text: [u8; TEXT],
}

/// Zeroes are an empty list.
#[repr(C)]
pub struct Waits(UnsafeCell<[Wait; SLOTS]>);

// SAFETY: read and written under the lock only.
unsafe impl Sync for Waits {}

fn me() -> i32 {
    // SAFETY: a plain global.
    unsafe { pg_sys::MyProcPid }
}

pub fn with<T>(f: impl FnOnce(&mut [Wait; SLOTS]) -> T) -> Option<T> {
    let waits = crate::counters::waits()?;
    // SAFETY: nobody else is in here.
    Some(shmem::alone(|| f(unsafe { &mut *waits.0.get() })))
}

/// While it lives, other sessions can read the words for the lock that this session waits for.
pub struct Waiting(());

impl Waiting {
    pub fn new(tview: pg_sys::Oid, words: Option<String>) -> Option<Waiting> {
        let words = words?;
        let len = (0..=words.len().min(TEXT)).rev().find(|n| words.is_char_boundary(*n)).unwrap_or(0);
        let mut wait = Wait { pid: me(), tview: tview.to_u32(), len: len as u32, text: [0; TEXT] };
        wait.text[..len].copy_from_slice(&words.as_bytes()[..len]);
        with(|waits| {
            let mine = waits.iter().position(|w| w.pid == wait.pid);
            // SAFETY: looks a process up; nothing of it is used.
            let gone = |w: &Wait| w.pid == 0 || unsafe { pg_sys::BackendPidGetProc(w.pid) }.is_null();
            let place = mine.or_else(|| waits.iter().position(gone))?;
            waits[place] = wait;
            Some(Waiting(()))
        })?
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        with(|waits| waits.iter_mut().filter(|w| w.pid == me()).for_each(|w| w.pid = 0));
    }
}
