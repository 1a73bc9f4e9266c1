//! A complex query as a graph of simple stages.
//!
//! Sub-queries that group, remove duplicates, limit, have windows or combine sets, and that do not depend on the rows
//! around them, are stages: internal TVIEWs with storage of their own. So is the grouped core of a query that does more
//! to its groups than show them (HAVING, windows, DISTINCT, LIMIT …). The remaining query reads the stages as relations.
//! A stage may have stages itself; each level splits only its outermost sub-queries.
//! Invariant: the same query always splits into the same stages in the same order, equal sub-queries being one stage.
//! Called at creation (which makes the stages) and once per backend and TVIEW (which finds them).
//!
//! eligible: which queries can be stages · clock: the time as a value · ctes: WITH · core, groups: clauses above rows and above groups ·
//! distinct, totals, parts: aggregates with DISTINCT · windows, chain: windows with nothing in common · values: sub-queries with
//! one value for all rows · recursions: WITH RECURSIVE · nullable: sub-queries below outer joins · full_joins: joins below FULL joins · unused: outputs that nobody looks at · relation: how a stage is read.

mod chain;
mod clock;
mod core;
mod ctes;
mod distinct;
mod eligible;
mod full_joins;
mod grouping_sets;
mod groups;
pub mod maintained;
mod nullable;
mod parts;
mod recursions;
mod relation;
pub mod set_operations;
mod totals;
mod unused;
mod values;
mod windows;

use crate::analyze::describe::KeyOf;
use crate::analyze::query::{printed, recursion, relations};
use crate::analyze::split::eligible::{can_be_stage, can_split, is_stage};
use crate::analyze::split::relation::{become_relation, select_all};
use crate::pg::error::Result;
use crate::pg::tree::{Query, Tree, list, parser, server, walk};
use pgrx::pg_sys;

/// Gives the relations of stages, which are made at creation and found later.
pub trait Stages {
    /// The relation of the next stage, from its SQL text. `joined`: the key by which it is joined to others, or empty.
    fn next(&mut self, text: &str, joined: &str) -> Result<pg_sys::Oid>;
    /// Whether stages are made.
    fn makes(&self) -> bool;
    /// Whether there is, or can be, a next stage.
    fn has_next(&self) -> bool;
    /// Whether the next stage is, or can be, a stage that is joined by this key.
    fn is_joined(&self, joined: &str) -> bool;
}

/// The query with its stages as relations. The expanded query is not changed.
pub fn split(query: Query, key_of: KeyOf, stages: &mut dyn Stages) -> Result<Query> {
    let copy = query.copy();
    if copy.commandType() != pg_sys::CmdType::CMD_SELECT || !can_split(copy) {
        return Ok(copy);
    }
    clock::rewrite(copy);
    ctes::inline(copy);
    let mut cx = Splitter { known: Vec::new(), key_of, stages };
    if recursion::of(copy).is_some() {
        let cte: Tree<pg_sys::CommonTableExpr> = list::first(copy.cteList());
        cx.branches(cte.ctequery().cast(), 1)?;
        return Ok(copy);
    }
    cx.recursions(copy)?;
    let copy = printed::or_none(grouping_sets::rewrite(copy))?.unwrap_or(copy);
    let copy = printed::or_none(set_operations::rewrite(copy))?.unwrap_or(copy);
    cx.values(copy)?;
    let copy = cx.core(copy)?;
    cx.block(copy, 0)?;
    Ok(copy)
}

struct Splitter<'a> {
    known: Vec<(String, pg_sys::Oid)>,
    key_of: KeyOf<'a>,
    stages: &'a mut dyn Stages,
}

impl Splitter<'_> {
    fn relation(&mut self, query: Query) -> Result<pg_sys::Oid> {
        self.joined_relation(query, "")
    }

    fn joined_relation(&mut self, query: Query, joined: &str) -> Result<pg_sys::Oid> {
        let text = if self.stages.makes() { printed::text(query)? } else { parser::text(query) };
        if let Some((_, oid)) = self.known.iter().find(|(t, _)| *t == text) {
            return Ok(*oid);
        }
        let oid = self.stages.next(&text, joined)?;
        self.known.push((text, oid));
        Ok(oid)
    }

    /// Replaces the stages of a block and of the plain blocks below it. `depth`: how many blocks are above.
    fn block(&mut self, query: Query, depth: u32) -> Result<()> {
        nullable::push_conditions(query);
        self.full_joins(query)?;
        for index in relations::in_from(query) {
            let rte = server::rt_fetch(index, query);
            if rte.rtekind() != pg_sys::RTEKind::RTE_SUBQUERY {
                continue;
            }
            let sub = rte.subquery();
            // The row type of a stage has other column names: row_to_json() would show them.
            if (is_stage(sub) || nullable::hides_links(query, index, sub)) && !relations::reads_whole_row(query, index)
            {
                unused::blank(query, index, sub);
                let oid = self.relation(sub)?;
                become_relation(rte, oid)?;
            } else if !sub.setOperations().is_null() {
                self.branches(sub, depth + 1)?;
            } else {
                self.block(sub, depth + 1)?;
            }
        }
        if !query.setOperations().is_null() {
            return self.branches(query, depth);
        }
        self.values(query)?;
        for link in walk::links(query) {
            let sub = link.subselect().cast::<pg_sys::Query>();
            let is_value = link.subLinkType() == pg_sys::SubLinkType::EXPR_SUBLINK && can_be_stage(sub);
            if is_stage(sub) || is_value {
                let oid = self.relation(sub)?;
                link.set_subselect(select_all(sub, oid)?.cast());
            } else {
                self.block(sub, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Branches of a set operation.
    fn branches(&mut self, query: Query, depth: u32) -> Result<()> {
        for rte in list::iter::<pg_sys::RangeTblEntry>(query.rtable()) {
            if rte.rtekind() != pg_sys::RTEKind::RTE_SUBQUERY {
                continue;
            }
            if is_stage(rte.subquery()) {
                let oid = self.relation(rte.subquery())?;
                rte.set_subquery(select_all(rte.subquery(), oid)?);
            } else {
                self.block(rte.subquery(), depth + 1)?;
            }
        }
        Ok(())
    }
}
