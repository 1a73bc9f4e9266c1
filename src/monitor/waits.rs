//! What sessions that wait for a lock of a flush wait for, in words, for the view `tviews.locks`.
//!
//! Locks on rows are locks on hashes of values; the values themselves are known to the session that waits, which writes them down before it
//! does. Invariant: an entry is there while its process waits; one of a process that has gone is free. Without shared memory there are none.
//! Called by the locks of a flush, and read by SQL.

use super::may_select;
use crate::analyze::rules::join_values::Pair;
use crate::catalog::stages;
use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use crate::pg::relation::Relation;
use crate::pg::shmem;
use crate::refresh::tview;
use pgrx::{IntoDatum, pg_sys};
use std::cell::UnsafeCell;

/// Sessions that can wait at once with words.
const SLOTS: usize = 256;
/// Longer words are cut.
const TEXT: usize = 148;

#[derive(Clone, Copy)]
#[repr(C)]
struct Wait {
    /// 0: free.
    pid: i32,
    tview: u32,
    len: u32,
    text: [u8; TEXT],
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

fn with<T>(f: impl FnOnce(&mut [Wait; SLOTS]) -> T) -> Option<T> {
    let waits = super::counters::waits()?;
    // SAFETY: nobody else is in here.
    Some(shmem::alone(|| f(unsafe { &mut *waits.0.get() })))
}

/// While it lives, others can read what this session waits for.
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

sql_function!(tviews_lock_value, pg_finfo_tviews_lock_value, lock_value);

/// What a process waits for. Values are for those who may read the TVIEW.
fn lock_value(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let pid: i32 = arguments.get(0).unwrap_or(0);
    let wait = with(|waits| waits.iter().find(|w| w.pid == pid && pid != 0).copied()).flatten();
    let shown = wait.filter(|w| {
        let root = stages::root(pg_sys::Oid::from(w.tview));
        // SAFETY: a syscache look-up.
        unsafe { pg_sys::get_rel_relkind(root) != 0 && may_select(root) }
    });
    Ok(shown.and_then(|w| String::from_utf8_lossy(&w.text[..w.len as usize]).into_owned().into_datum()))
}

sql_function!(tviews_lock_side, pg_finfo_tviews_lock_side, lock_side);

/// The relation that a lock on one side of a pair is about.
fn lock_side(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let (tview, side): (pg_sys::Oid, i64) = (arguments.relation(), arguments.get(1).unwrap_or(-1));
    let Some(rel) = Relation::open(tview, pg_sys::AccessShareLock) else { return Ok(None) };
    // SAFETY: the relation is open.
    if !unsafe { crate::tam::is_tview_relation(rel.raw()) } {
        return Ok(None);
    }
    let facts = tview::of(&rel)?;
    let pair: Option<&Pair> = facts.pairs.as_ref().and_then(|p| p.get(usize::try_from(side / 2).ok()?));
    Ok(pair.filter(|_| side >= 0).and_then(|p| pg_sys::Oid::from(p.sides[(side % 2) as usize]).into_datum()))
}
