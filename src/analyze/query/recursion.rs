//! A recursive query of a form in which its rows can be followed: `WITH RECURSIVE r AS (base UNION [ALL] step) SELECT` all columns `FROM r`.
//!
//! The base may have several branches, none of which reads r; the step is a block that joins, filters and projects, with r in its FROM clause. So a row
//! comes from one row before it, or from none. Invariant: base and step have the types of the columns, so that each of them, read alone, gives the same
//! values. Called by split, rules and refresh.

use crate::analyze::query::tree::{Type, is_plain, outputs, type_of};
use crate::analyze::query::{levels, relations};
use crate::pg::tree::{Node, Query, RangeTblEntry, Text, Tree, list, make, parser, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::CString;

pub struct Recursion {
    pub bases: Vec<Query>,
    pub step: Query,
    /// Range table index of r in the step.
    pub own: usize,
    /// UNION ALL: a row is there as often as there are ways to it.
    pub all: bool,
    pub types: Vec<Type>,
}

/// The parts of an expanded query; None when it has another form.
pub fn of(query: Query) -> Option<Recursion> {
    if list::len(query.cteList()) != 1 {
        return None;
    }
    let cte: Tree<pg_sys::CommonTableExpr> = list::first(query.cteList());
    let rte = shown(query)?;
    if !cte.cterecursive() || !cte.search_clause().is_null() || !cte.cycle_clause().is_null() {
        return None;
    }
    if !rte.ctename().is(&cte.ctename().to_c()) || !list::is(cte.ctequery(), pg_sys::NodeTag::T_Query) {
        return None;
    }
    parts(cte.ctequery().cast())
}

/// The only relation of a query that shows all its columns and does nothing else; None for other queries.
fn shown(query: Query) -> Option<RangeTblEntry> {
    // Before 16 the range table of a stored query begins with entries that are not in its FROM clause.
    let from = relations::in_from(query);
    let rest = query.copy();
    rest.set_cteList(Tree::null());
    let is_bare = from.len() == 1
        && query.commandType() == pg_sys::CmdType::CMD_SELECT
        && query.jointree().quals().is_null()
        && query.sortClause().is_null()
        && query.hasRecursive()
        && is_plain(rest);
    if !is_bare {
        return None;
    }
    let rte = server::rt_fetch(from[0], query);
    let targets: Vec<_> = list::iter::<pg_sys::TargetEntry>(query.targetList()).collect();
    let is_column = |(i, tle): (usize, &Tree<pg_sys::TargetEntry>)| {
        let expr: Node = tle.expr().cast();
        list::is(expr, pg_sys::NodeTag::T_Var)
            && expr.cast::<pg_sys::Var>().varattno() as usize == i + 1
            && expr.cast::<pg_sys::Var>().varlevelsup() == 0
    };
    let all = targets.len() == list::len(rte.eref().colnames()) && targets.iter().enumerate().all(is_column);
    (all && rte.rtekind() == pg_sys::RTEKind::RTE_CTE && rte.ctelevelsup() == 0).then_some(rte)
}

fn parts(sub: Query) -> Option<Recursion> {
    let rest = sub.copy();
    rest.set_setOperations(Tree::null());
    if !list::is(sub.setOperations(), pg_sys::NodeTag::T_SetOperationStmt)
        || !is_plain(rest)
        || !sub.sortClause().is_null()
    {
        return None;
    }
    let union = sub.setOperations().cast::<pg_sys::SetOperationStmt>();
    if union.op() != pg_sys::SetOperation::SETOP_UNION || !list::is(union.rarg(), pg_sys::NodeTag::T_RangeTblRef) {
        return None;
    }
    let types = outputs(sub).into_iter().map(|t| type_of(t.expr())).collect::<Vec<_>>();
    let mut bases = Vec::new();
    branches(sub, union.larg(), union.all(), &mut bases)?;
    let step = branch(sub, union.rarg());
    let own = own_of(step)?;
    let reads_others = bases.iter().any(|b| has_cte(*b)) || {
        let rest = step.copy();
        server::rt_fetch(own, rest).set_rtekind(pg_sys::RTEKind::RTE_RESULT);
        has_cte(rest)
    };
    let is_typed = |q: &Query| {
        let own = outputs(*q).into_iter().map(|t| type_of(t.expr())).collect::<Vec<_>>();
        own.len() == types.len() && own.iter().zip(&types).all(|(a, b)| a.0 == b.0 && a.2 == b.2)
    };
    let fits = |q: &Query| is_typed(q) && !levels::looks_up(q.cast());
    if reads_others || !is_plain(step) || !fits(&step) || !bases.iter().all(fits) {
        return None;
    }
    Some(Recursion { bases, step, own, all: union.all(), types })
}

/// The branches of a base. In a set, the branches of UNION ALL give the same rows as those of UNION.
fn branches(sub: Query, node: Node, all: bool, found: &mut Vec<Query>) -> Option<()> {
    if list::is(node, pg_sys::NodeTag::T_RangeTblRef) {
        found.push(branch(sub, node));
        return Some(());
    }
    let union = node.cast::<pg_sys::SetOperationStmt>();
    if union.op() != pg_sys::SetOperation::SETOP_UNION || all && !union.all() {
        return None;
    }
    branches(sub, union.larg(), all, found)?;
    branches(sub, union.rarg(), all, found)
}

/// A branch as a query of its own. What it has above it is WITH only.
fn branch(sub: Query, node: Node) -> Query {
    let index = node.cast::<pg_sys::RangeTblRef>().rtindex() as usize;
    server::rt_fetch(index, sub).subquery().copy()
}

/// Where the step has r in its FROM clause.
pub fn own_of(step: Query) -> Option<usize> {
    relations::in_from(step).into_iter().find(|i| {
        let rte = server::rt_fetch(*i, step);
        rte.rtekind() == pg_sys::RTEKind::RTE_CTE && rte.self_reference()
    })
}

fn has_cte(query: Query) -> bool {
    walk::walk(query.cast(), &mut |n| {
        list::is(n, pg_sys::NodeTag::T_Query) && {
            let q = n.cast::<pg_sys::Query>();
            let reads = |r: RangeTblEntry| r.rtekind() == pg_sys::RTEKind::RTE_CTE;
            !q.cteList().is_null() || list::iter::<pg_sys::RangeTblEntry>(q.rtable()).any(reads)
        }
    })
}

/// What the step reads in the place of r.
pub enum Own<'a> {
    /// One row, of which nothing is known.
    Unknown,
    /// A relation, by its name.
    Relation(&'a str),
    /// A mark, which stands for rows in the text of the step.
    Mark(&'a str),
}

impl Recursion {
    /// The step with other rows in the place of r.
    pub fn step_over(&self, own: Own) -> Query {
        let step = self.step.copy();
        let rte = server::rt_fetch(self.own, step);
        let name = rte.eref().aliasname().to_c();
        let alias = make::alias(&name, rte.eref().colnames());
        let donor = match own {
            Own::Unknown => self.unknown(),
            Own::Relation(name) => only_entry(&format!("SELECT FROM {name}")),
            Own::Mark(of) => only_entry(&format!("SELECT 1 FROM {}", mark(of))),
        };
        donor.set_alias(alias);
        donor.set_eref(alias);
        donor.set_inFromCl(true);
        #[cfg(not(feature = "pg15"))]
        {
            donor.set_perminfoindex(0);
        }
        rte.become_like(donor);
        step
    }

    fn unknown(&self) -> RangeTblEntry {
        let any = make::make::<pg_sys::Query>();
        any.set_commandType(pg_sys::CmdType::CMD_SELECT);
        any.set_canSetTag(true);
        any.set_jointree(make::make::<pg_sys::FromExpr>());
        for (i, of) in self.types.iter().enumerate() {
            let label = CString::new(format!("c{}", i + 1)).unwrap_or_default();
            let entry = make::target(make::null(*of).cast(), i + 1, Text::of(&label), false);
            any.set_targetList(list::lappend(any.targetList(), entry.cast()));
        }
        let rte = make::make::<pg_sys::RangeTblEntry>();
        rte.set_rtekind(pg_sys::RTEKind::RTE_SUBQUERY);
        rte.set_subquery(any);
        rte
    }

    /// Output columns from 0 that are never NULL: columns of relations that cannot be, constants, and columns of r of which the same is true.
    /// `is_never_null` tells it for columns of relations of a branch.
    pub fn never_null(&self, is_never_null: &dyn Fn(Query) -> Vec<bool>) -> Vec<bool> {
        let of_branch = |query: Query| {
            let known = is_never_null(query);
            let constant =
                |expr: Node| list::is(expr, pg_sys::NodeTag::T_Const) && !expr.cast::<pg_sys::Const>().constisnull();
            outputs(query)
                .into_iter()
                .zip(known)
                .map(|(t, known)| known || constant(t.expr().cast()))
                .collect::<Vec<_>>()
        };
        let mut sure = vec![true; self.types.len()];
        for base in &self.bases {
            sure.iter_mut().zip(of_branch(*base)).for_each(|(sure, known)| *sure &= known);
        }
        let known = of_branch(self.step);
        let from: Vec<Option<usize>> =
            outputs(self.step).into_iter().map(|t| self.own_column(t.expr().cast())).collect();
        loop {
            let next: Vec<bool> =
                (0..sure.len()).map(|i| sure[i] && (known[i] || from[i].is_some_and(|f| sure[f]))).collect();
            if next == sure {
                return sure;
            }
            sure = next;
        }
    }

    /// The column of r, from 0, that an expression of the step is.
    fn own_column(&self, mut expr: Node) -> Option<usize> {
        while list::is(expr, pg_sys::NodeTag::T_RelabelType) {
            expr = expr.cast::<pg_sys::RelabelType>().arg();
        }
        if !list::is(expr, pg_sys::NodeTag::T_Var) {
            return None;
        }
        let var = expr.cast::<pg_sys::Var>();
        let is_own = var.varlevelsup() == 0 && var.varno() as usize == self.own && var.varattno() > 0;
        is_own.then(|| var.varattno() as usize - 1)
    }

    /// The columns of the output, those first by which the step joins r to others: an index in this order finds the rows before a row.
    pub fn by_use(&self) -> Vec<usize> {
        let mut used = BTreeSet::new();
        let join = server::flatten_join_aliases(self.step, self.step.jointree().cast());
        walk::walk(join, &mut |n| {
            if list::is(n, pg_sys::NodeTag::T_OpExpr) {
                let args = n.cast::<pg_sys::OpExpr>().args();
                used.extend(list::iter::<pg_sys::Node>(args).filter_map(|a| self.own_column(a)));
            }
            false
        });
        let rest = (0..self.types.len()).filter(|i| !used.contains(i));
        used.iter().copied().chain(rest).collect()
    }
}

/// The text by which a mark for a relation is found in a printed query.
pub fn mark(relation: &str) -> String {
    format!("tviews.inserted(NULL::{relation})")
}

fn only_entry(sql: &str) -> RangeTblEntry {
    let text = CString::new(sql).unwrap_or_default();
    server::rt_fetch(1, parser::analyse(Text::of(&text)))
}
