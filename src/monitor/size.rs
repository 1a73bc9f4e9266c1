//! `file_size`: the bytes of the files of a relation, for views about all TVIEWs.
//!
//! Invariant: no lock is taken, so nothing is waited for; a relation that is gone has no size. A file that comes or goes meanwhile is counted or not.
//! Source: utils/adt/dbsize.c, calculate_relation_size, which wants the relation to be locked.

use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use pgrx::{IntoDatum, direct_function_call, pg_sys};

/// The forks of a relation, as their files end.
const FORKS: [&str; 4] = ["", "_fsm", "_vm", "_init"];

sql_function!(tviews_file_size, pg_finfo_tviews_file_size, file_size);

fn file_size(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let relation = arguments.relation().into_datum();
    // SAFETY: a function of the server with its one argument; NULL for a relation that is gone, or has no files.
    let path = unsafe { direct_function_call::<String>(pg_sys::pg_relation_filepath, &[relation]) };
    Ok(path
        .and_then(|path| (FORKS.iter().map(|fork| bytes(&format!("{path}{fork}"))).sum::<u64>() as i64).into_datum()))
}

/// Of a file and its further segments.
fn bytes(path: &str) -> u64 {
    let segment = |n: u32| if n == 0 { path.to_string() } else { format!("{path}.{n}") };
    // Relative to the directory of the data, in which the server's processes work.
    (0..).map_while(|n| std::fs::metadata(segment(n)).ok()).map(|file| file.len()).sum()
}
