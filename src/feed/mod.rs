//! The change feed: which rows of TVIEWs with the option `notify` this transaction has changed, told to listeners at commit.
//!
//! Invariant: when the transaction commits, a message names each row of such a TVIEW that differs from what it was before, or a message says
//! that any may; nothing else is sent. Savepoints are followed. See README.md here.
//! Called by refresh (each row that is written) and build (a TVIEW is populated), by the transaction callbacks, and by `tviews.changes()`.

mod key;

use crate::pg::error::{Error, Result};
use crate::pg::process::process;
use crate::pg::relation::Relation;
use crate::pg::row_hash::RowHash;
use crate::pg::{ext, guc, name, silent};
use key::Keys;
use pgrx::pg_sys::{self, Datum};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::CString;
use tviews_core::feed::{Feed, Op, messages};

process! {
    static FEED: RefCell<Feed> = RefCell::default();
}

/// Messages are shorter than this, in bytes. Source: commands/async.c, NOTIFY_PAYLOAD_MAX_LENGTH.
const MOST: usize = 8000 - 1;

/// Records the rows that one flush writes to one TVIEW.
pub struct Recorder {
    tview: pg_sys::Oid,
    /// None: the rows have no key, so that the TVIEW is announced as a whole.
    keys: Option<Keys>,
    contents: RowHash,
}

impl Recorder {
    /// `key`: attributes of the key, from 0; `visible`: the number of attributes that users see.
    ///
    /// # Safety
    /// The TVIEW stays open.
    pub unsafe fn new(rel: &Relation, key: Option<&[usize]>, visible: usize) -> Recorder {
        let (tview, contents) = (rel.oid(), RowHash::of_session(rel, visible));
        // SAFETY: a plain getter. Texts of other encodings are not made here.
        let is_utf8 = unsafe { pg_sys::GetDatabaseEncoding() } == pg_sys::pg_enc::PG_UTF8 as i32;
        let key = key.filter(|k| !k.is_empty() && is_utf8);
        // SAFETY: as the caller promises.
        let keys = key.map(|k| unsafe { Keys::new(rel, k, visible) });
        Recorder { tview, keys, contents }
    }

    /// A row comes (weight 1) or goes (-1).
    ///
    /// # Safety
    /// A value for each attribute of the TVIEW.
    pub unsafe fn record(&self, values: &[Datum], nulls: &[bool], weight: i64) {
        let relid = self.tview.to_u32();
        if FEED.with_borrow(|feed| feed.is_anything(relid)) {
            return;
        }
        let Some(keys) = &self.keys else { return anything(self.tview) };
        // SAFETY: as the caller promises.
        let (key, label) = unsafe { keys.texts(values, nulls) };
        let contents = Some(self.contents.of(values, nulls));
        let moments = if weight > 0 { [None, contents] } else { [contents, None] };
        FEED.with_borrow_mut(|feed| feed.record(depth(), relid, (&key, &label), moments, most()));
    }
}

/// Anything may have changed in a TVIEW.
pub fn anything(tview: pg_sys::Oid) {
    FEED.with_borrow_mut(|feed| feed.record_anything(depth(), tview.to_u32()));
}

/// What has changed so far, by TVIEW; labels are JSON texts.
pub fn changes() -> BTreeMap<u32, BTreeMap<Op, Vec<String>>> {
    FEED.with_borrow(|feed| feed.changes(most()))
}

/// Tells listeners, behind the last flush of the transaction.
pub fn announce(prepare: bool) -> Result<()> {
    if FEED.with_borrow(Feed::is_empty) {
        return Ok(());
    }
    for (tview, ops) in changes() {
        // Dropped meanwhile.
        let Some(title) = name::relation(pg_sys::Oid::from(tview)) else { continue };
        if prepare {
            let hint = "Its notifications could not be sent when it is committed.";
            let what =
                format!("cannot PREPARE a transaction that has changed TVIEW {title}, which has the option notify");
            return Err(Error::unsupported(what, -1, hint));
        }
        let title = key::json_text(&title);
        for (op, labels) in ops {
            for message in messages(&title, op, &labels, MOST) {
                // Names and JSON texts have no NUL.
                let Ok(message) = CString::new(message) else { continue };
                // SAFETY: inside a transaction that has not begun to end.
                unsafe { ext::notify(c"tviews", &message) };
            }
        }
    }
    Ok(())
}

pub fn sub_commit(level: u32) {
    FEED.with_borrow_mut(|feed| feed.sub_commit(level));
}

pub fn sub_abort(level: u32) {
    FEED.with_borrow_mut(|feed| feed.sub_abort(level));
}

pub fn reset() {
    FEED.with_borrow_mut(Feed::clear);
}

fn most() -> usize {
    guc::NOTIFY_KEYS.get() as usize
}

fn depth() -> u32 {
    // SAFETY: plain getter.
    unsafe { silent::GetCurrentTransactionNestLevel() as u32 }
}
