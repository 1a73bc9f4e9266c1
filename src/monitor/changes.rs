//! `changes`: what this transaction has changed in TVIEWs with the option `notify`.

use crate::feed;
use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use crate::refresh::flush::{Moment, flush};
use pgrx::{IntoDatum, pg_sys};
use std::ffi::CString;

sql_function!(tviews_changes, pg_finfo_tviews_changes, changes);

fn changes(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    flush(Moment::Read);
    let mut rows = Vec::new();
    for (tview, ops) in feed::changes() {
        let oid = pg_sys::Oid::from(tview);
        // SAFETY: a syscache look-up.
        if unsafe { pg_sys::get_rel_relkind(oid) } == 0 || !super::may_select(oid) {
            continue;
        }
        for (op, labels) in ops {
            let keys: Vec<Option<String>> =
                if labels.is_empty() { vec![None] } else { labels.into_iter().map(Some).collect() };
            for key in keys {
                rows.push([oid.into_datum(), op.as_str().into_datum(), key.map(|k| jsonb(&k))]);
            }
        }
    }
    arguments.rows(rows)
}

fn jsonb(text: &str) -> pg_sys::Datum {
    let text = CString::new(text).unwrap_or_default();
    let input = pg_sys::Oid::from(pg_sys::F_JSONB_IN);
    // SAFETY: the input function of jsonb, with a text that the server wrote as JSON.
    unsafe { pg_sys::OidInputFunctionCall(input, text.as_ptr().cast_mut(), pg_sys::InvalidOid, -1) }
}
