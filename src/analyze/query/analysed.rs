//! Text that analysis has made, as the analysed query that it means.

use crate::analyze::query::operators;
use crate::analyze::query::tree::outputs;
use crate::pg::error::{Error, Result};
use crate::pg::list;
use crate::pg::pinned::Path;
use pgrx::pg_sys;
use std::ffi::CString;

/// The query that a text is, with the output names of the one it is made from.
pub unsafe fn analysed(query: *mut pg_sys::Query, text: String) -> Result<*mut pg_sys::Query> {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        let text = CString::new(text).map_err(|_| Error::Internal("NUL byte in SQL text".into()))?;
        let text = pg_sys::pstrdup(text.as_ptr());
        // Names are qualified; operators that cannot be are found by this path.
        let _path = Path::new(&operators::search_path(query));
        let raw = pg_sys::raw_parser(text, pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let made =
            pg_sys::parse_analyze_fixedparams(list::nth(raw, 0), text, std::ptr::null(), 0, std::ptr::null_mut());
        let mut names = outputs(query).into_iter().map(|t| (*t).resname);
        for tle in outputs(made) {
            if let Some(label) = names.next() {
                (*tle).resname = label;
            }
        }
        Ok(made)
    }
}
