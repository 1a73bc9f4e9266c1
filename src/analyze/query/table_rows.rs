//! A table of a FROM clause as a sub-query of its columns.
//!
//! Invariant: the same rows, and columns with the same numbers; columns that nobody reads are NULL, and are not read. Called by `virtual_columns`, and by split
//! for conditions that belong to one table.

use crate::analyze::query::relations;
use crate::pg::name;
use crate::pg::tree::{Query, RangeTblEntry, Text, list, make, parser, server};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::CString;

/// `SELECT *` of a table of `query`; None for other items, and where columns would get other numbers, or where more than columns is read.
pub fn of(query: Query, index: usize) -> Option<Query> {
    let rte = server::rt_fetch(index, query);
    let is_table = rte.rtekind() == pg_sys::RTEKind::RTE_RELATION && rte.tablesample().is_null();
    if !is_table || has_dropped_columns(rte) || relations::reads_whole_row(query, index) {
        return None;
    }
    let used: BTreeSet<i16> = relations::columns(query, rte).into_iter().collect();
    let only = if rte.inh() { "" } else { "ONLY " };
    let text = CString::new(format!("SELECT * FROM {only}{}", name::relation(rte.relid())?)).ok()?;
    let sub = parser::analyse(Text::of(&text));
    for tle in list::iter::<pg_sys::TargetEntry>(sub.targetList()).filter(|t| !used.contains(&t.resno())) {
        let var = tle.expr().cast::<pg_sys::Var>();
        tle.set_expr(make::null((var.vartype(), var.vartypmod(), var.varcollid())).cast());
    }
    server::select_columns(sub, server::rt_fetch(1, sub), &used);
    Some(sub)
}

/// Puts a sub-query in the place of a table.
pub fn replace(rte: RangeTblEntry, sub: Query) {
    rte.set_rtekind(pg_sys::RTEKind::RTE_SUBQUERY);
    rte.set_subquery(sub);
    rte.set_relid(pg_sys::InvalidOid);
    rte.set_relkind(0);
    rte.set_inh(false);
    #[cfg(not(feature = "pg15"))]
    {
        rte.set_perminfoindex(0);
    }
}

fn has_dropped_columns(rte: RangeTblEntry) -> bool {
    let columns = list::len(rte.eref().colnames()) as i16;
    (1..=columns).any(|column| server::get_rte_attribute_is_dropped(rte, column))
}
