//! The place of a stage in the query above it: range table entries, and queries that read the stage only.
//!
//! Invariant: columns of a stage are c1, c2 …, in the order of its outputs.

use crate::analyze::query::tree::outputs;
use crate::pg::error::{Error, Result};
use crate::pg::name;
use crate::pg::tree::{List, Node, Query, RangeTblEntry, Text, Tree, list, make, parser, server};
use pgrx::pg_sys;
use std::ffi::CString;

/// Turns a sub-query of FROM into a relation, keeping its alias.
pub fn become_relation(rte: RangeTblEntry, oid: pg_sys::Oid) -> Result<()> {
    let donor = relation_entry(oid)?;
    let name = rte.eref().aliasname().to_c();
    donor.set_alias(make::alias(&name, rte.eref().colnames()));
    donor.set_eref(make::alias(&name, rte.eref().colnames()));
    donor.set_inFromCl(true);
    rte.become_like(donor);
    Ok(())
}

fn relation_entry(oid: pg_sys::Oid) -> Result<RangeTblEntry> {
    let table = name::relation(oid).ok_or_else(|| Error::Internal("a stage does not exist".into()))?;
    let text = CString::new(format!("SELECT FROM {table}")).unwrap_or_default();
    let text = Text::of(&text);
    let query = parser::analyse(text);
    let rte = server::rt_fetch(1, query);
    #[cfg(not(feature = "pg15"))]
    {
        rte.set_perminfoindex(0);
    }
    Ok(rte)
}

/// A query with nothing but a stage in its FROM clause.
pub fn over(stage: Query, oid: pg_sys::Oid) -> Result<Query> {
    let query = make::make::<pg_sys::Query>();
    query.set_commandType(pg_sys::CmdType::CMD_SELECT);
    query.set_canSetTag(true);
    query.set_querySource(pg_sys::QuerySource::QSRC_ORIGINAL);
    let rte = relation_entry(oid)?;
    let mut names: List = Tree::null();
    for i in 0..outputs(stage).len() {
        names = list::lappend(names, make::string(label(i)));
    }
    rte.set_alias(make::alias(c"stage", names));
    rte.set_eref(make::alias(c"stage", names));
    rte.set_inFromCl(true);
    query.set_rtable(list::lappend(Tree::null(), rte.cast()));
    let reference = make::make::<pg_sys::RangeTblRef>();
    reference.set_rtindex(1);
    let from = make::make::<pg_sys::FromExpr>();
    from.set_fromlist(list::lappend(Tree::null(), reference.cast()));
    query.set_jointree(from);
    Ok(query)
}

/// One stage more in the FROM clause: `next` is a query with nothing but a stage.
pub fn beside(outer: Query, next: Query) -> Query {
    outer.set_rtable(list::lappend(outer.rtable(), list::nth::<pg_sys::Node>(next.rtable(), 0).cast()));
    let reference = make::make::<pg_sys::RangeTblRef>();
    reference.set_rtindex(list::len(outer.rtable()) as i32);
    let from = outer.jointree();
    from.set_fromlist(list::lappend(from.fromlist(), reference.cast()));
    outer
}

/// `SELECT * FROM stage`.
pub fn select_all(stage: Query, oid: pg_sys::Oid) -> Result<Query> {
    let query = over(stage, oid)?;
    let mut targetlist: List = Tree::null();
    for (i, tle) in outputs(stage).into_iter().enumerate() {
        let var = column(i, tle.expr());
        let own = make::target(var.cast(), i + 1, tle.resname(), false);
        targetlist = list::lappend(targetlist, own.cast());
    }
    query.set_targetList(targetlist);
    Ok(query)
}

/// Name of column `i` of a stage, from 0.
pub fn label(i: usize) -> Text {
    let name = CString::new(format!("c{}", i + 1)).unwrap_or_default();
    Text::of(&name)
}

/// Column `i` of the only relation of a query.
pub fn column(i: usize, of: Node) -> Node {
    stage_column(1, i, of)
}

/// Column `i` of one of several stages, `index` being its number in the range table, from 1.
pub fn stage_column(index: i32, i: usize, of: Node) -> Node {
    let (typid, typmod, collation) = (server::exprType(of), server::exprTypmod(of), server::exprCollation(of));
    make::var(index, i as i16 + 1, (typid, typmod, collation), 0).cast()
}
