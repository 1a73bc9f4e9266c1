//! The order in which a flush goes through TVIEWs.

use crate::catalog;
use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use crate::refresh::plan::graph;
use pgrx::{IntoDatum, pg_sys};

sql_function!(tviews_flush_order, pg_finfo_tviews_flush_order, flush_order);

/// All TVIEWs, each behind those that it reads; TVIEWs without sources come first, stages are left out.
fn flush_order(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let graph = graph::current()?;
    let without_sources = catalog::stored().into_iter().filter(|t| !graph.reads_others(*t));
    let all = without_sources.chain(graph.order.iter().copied()).filter(|t| {
        let oid = pg_sys::Oid::from(*t);
        !graph.is_stage(*t) && !catalog::stages::is_stage(oid)
    });
    arguments.rows((1i32..).zip(all).map(|(at, t)| [pg_sys::Oid::from(t).into_datum(), at.into_datum()]))
}
