//! What this session keeps in memory about TVIEWs, for `pg_tviews_cache_stats`.
//!
//! Plans are the server's: their memory contexts are found below CacheMemoryContext by the text that our SQL begins with. Memory of the other
//! caches is not counted by anybody; their sizes are NULL.

use crate::capture::route;
use crate::pg::callees::MARK;
use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use crate::refresh::plan::{graph, tview};
use pgrx::{IntoDatum, pg_sys};
use std::ffi::CStr;

sql_function!(tviews_caches, pg_finfo_tviews_caches, caches);

fn caches(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let (plans, bytes) = plans();
    let rows: [(&str, usize, Option<usize>); 4] = [
        ("graph_cache", graph::cached(), None),
        ("table_cache", route::cached(), None),
        ("tview_cache", tview::cached(), None),
        ("prepared_statements", plans, Some(bytes)),
    ];
    arguments.rows(rows.into_iter().map(|(cache, entries, bytes)| {
        [cache.into_datum(), (entries as i64).into_datum(), bytes.map(|b| b as i64).into_datum()]
    }))
}

/// Kept plans of our SQL: how many, and their bytes.
fn plans() -> (usize, usize) {
    let (mut plans, mut bytes) = (0, 0);
    // SAFETY: walks the list of children of a context that lives as long as the process; names and identifiers are C strings or null.
    unsafe {
        let mut context = (*pg_sys::CacheMemoryContext).firstchild;
        while !context.is_null() {
            let (name, ident) = ((*context).name, (*context).ident);
            if !ident.is_null() && CStr::from_ptr(ident).to_bytes().starts_with(MARK.to_bytes()) {
                bytes += pg_sys::MemoryContextMemAllocated(context, true);
                plans += usize::from(CStr::from_ptr(name) == c"CachedPlanSource");
            }
            context = (*context).nextchild;
        }
    }
    (plans, bytes)
}
