//! `changes`: what this transaction has changed in TVIEWs with the option `notify`.

use crate::feed;
use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use crate::pg::subtransaction;
use crate::refresh::flush::{Moment, flush};
use pgrx::{IntoDatum, pg_sys};
use std::ffi::CString;
use tviews_core::feed::Op;

sql_function!(tviews_changes, pg_finfo_tviews_changes, changes);

fn changes(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    flush(Moment::Read);
    let mut rows = Vec::new();
    for (tview, ops) in feed::changes() {
        let oid = pg_sys::Oid::from(tview);
        if !super::may_select(oid) {
            continue;
        }
        // A text of type json may be no jsonb, as one with \u0000: then any row may have changed, for who reads keys.
        let keys = || ops.iter().flat_map(|(op, labels)| with_keys(*op, labels)).collect::<Vec<_>>();
        for (op, key) in subtransaction::attempt(keys).unwrap_or_else(|| vec![(Op::All, None)]) {
            rows.push([oid.into_datum(), op.as_str().into_datum(), key]);
        }
    }
    arguments.rows(rows)
}

/// What was done, with the key of each row that it was done to; without one when any may be.
fn with_keys(op: Op, labels: &[String]) -> Vec<(Op, Option<pg_sys::Datum>)> {
    if labels.is_empty() { vec![(op, None)] } else { labels.iter().map(|label| (op, Some(jsonb(label)))).collect() }
}

fn jsonb(text: &str) -> pg_sys::Datum {
    let text = CString::new(text).unwrap_or_default();
    let input = pg_sys::Oid::from(pg_sys::F_JSONB_IN);
    // SAFETY: the input function of jsonb, with a text that the server wrote as JSON.
    unsafe { pg_sys::OidInputFunctionCall(input, text.as_ptr().cast_mut(), pg_sys::InvalidOid, -1) }
}
