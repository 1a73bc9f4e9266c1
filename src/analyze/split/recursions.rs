//! Recursive queries as stages.
//!
//! Invariant: a recursive query that looks at nothing around it becomes a stage where its rows can be followed (query/recursion.rs); a query that is
//! nothing else stays as it is.

use crate::analyze::query::{recursion, relations};
use crate::analyze::split::Splitter;
use crate::analyze::split::eligible::can_be_stored;
use crate::analyze::split::relation::become_relation;
use crate::pg::error::Result;
use crate::pg::tree::{List, Query, RangeTblEntry, Tree, list, make, walk};
use pgrx::pg_sys;
use std::ffi::CStr;

type Cte = Tree<pg_sys::CommonTableExpr>;

impl Splitter<'_> {
    /// Replaces the references of recursive queries of a query, and of those in it, by their stages.
    pub fn recursions(&mut self, query: Query) -> Result<()> {
        let ctes: Vec<Cte> = list::iter(query.cteList()).filter(|_| query.hasRecursive()).collect();
        let mut rest: List = Tree::null();
        for (i, cte) in ctes.iter().enumerate() {
            let label = cte.ctename().to_c();
            let stage = reference(query, &ctes[i + 1..], &label).and_then(|rte| stage(*cte, rte));
            let Some(stage) = stage else {
                rest = list::lappend(rest, (*cte).cast());
                continue;
            };
            let oid = self.relation(stage)?;
            for later in &ctes[i + 1..] {
                replace(later.ctequery().cast(), &label, oid, 1)?;
            }
            replace(query, &label, oid, 0)?;
        }
        if query.hasRecursive() {
            query.set_cteList(rest);
            query.set_hasRecursive(!rest.is_null());
        }
        walk::below(query).into_iter().try_for_each(|sub| self.recursions(sub))
    }
}

/// The query that shows all rows of a recursive one; None when these cannot be followed.
fn stage(cte: Cte, reference: RangeTblEntry) -> Option<Query> {
    let query = make::make::<pg_sys::Query>();
    query.set_commandType(pg_sys::CmdType::CMD_SELECT);
    query.set_canSetTag(true);
    query.set_querySource(pg_sys::QuerySource::QSRC_ORIGINAL);
    query.set_hasRecursive(true);
    query.set_cteList(list::of([cte.copy()]));
    let rte = reference.copy();
    rte.set_ctelevelsup(0);
    let alias = make::alias(&cte.ctename().to_c(), reference.eref().colnames());
    rte.set_alias(Tree::null());
    rte.set_eref(alias);
    query.set_rtable(list::of([rte]));
    let from = make::make::<pg_sys::RangeTblRef>();
    from.set_rtindex(1);
    query.set_jointree(make::from(list::of([from.cast::<pg_sys::Node>()]), Tree::null()));
    let types = list::oids(cte.ctecoltypes()).into_iter().zip(list::ints(cte.ctecoltypmods()));
    let types = types.zip(list::oids(cte.ctecolcollations()));
    let mut targets: List = Tree::null();
    for (i, ((typid, typmod), collation)) in types.enumerate() {
        let var = make::var(1, i as i16 + 1, (typid, typmod, collation), 0);
        if !can_be_stored(var.cast()) {
            return None;
        }
        let label = crate::analyze::split::relation::label(i);
        targets = list::lappend(targets, make::target(var.cast(), i + 1, label, false).cast());
    }
    query.set_targetList(targets);
    (!relations::of(query).is_empty() && recursion::of(query).is_some()).then_some(query)
}

fn is_of(rte: RangeTblEntry, label: &CStr, level: u32) -> bool {
    rte.rtekind() == pg_sys::RTEKind::RTE_CTE
        && rte.ctelevelsup() == level
        && !rte.self_reference()
        && rte.ctename().is(label)
}

/// A reference of a recursive query, in the query or in a later one of WITH.
fn reference(query: Query, later: &[Cte], label: &CStr) -> Option<RangeTblEntry> {
    let found = |query| reference_at(query, label, 0);
    found(query).or_else(|| later.iter().find_map(|cte| reference_at(cte.ctequery().cast(), label, 1)))
}

fn reference_at(query: Query, label: &CStr, level: u32) -> Option<RangeTblEntry> {
    list::iter::<pg_sys::RangeTblEntry>(query.rtable())
        .find(|rte| is_of(*rte, label, level))
        .or_else(|| walk::below(query).into_iter().find_map(|sub| reference_at(sub, label, level + 1)))
}

/// Makes the references relations.
fn replace(query: Query, label: &CStr, oid: pg_sys::Oid, level: u32) -> Result<()> {
    for rte in list::iter::<pg_sys::RangeTblEntry>(query.rtable()).filter(|rte| is_of(*rte, label, level)) {
        become_relation(rte, oid)?;
    }
    walk::below(query).into_iter().try_for_each(|sub| replace(sub, label, oid, level + 1))
}
