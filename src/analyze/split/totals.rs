//! Aggregates without GROUP BY of DISTINCT values of several arguments: a stage of one row for each argument, side by side.
//!
//! `SELECT count(DISTINCT a), count(DISTINCT b) / sum(c) FROM t` is `SELECT x, y / z FROM (SELECT count(DISTINCT a) AS x FROM t),
//! (SELECT count(DISTINCT b) AS y FROM t), (SELECT sum(c) AS z FROM t)`, in which no part has more than one list of arguments.
//! Invariant: each part can be followed in a better way than `full`; otherwise the query stays as it is. Called by
//! `core`, for aggregates that `distinct` leaves.

use crate::analyze::describe::recognise::recognise;
use crate::analyze::query::tree::outputs;
use crate::analyze::split::distinct::arguments;
use crate::analyze::split::eligible::can_be_stored;
use crate::analyze::split::groups::{Column, grouped, is_aggregate, plain, with_targets};
use crate::analyze::split::relation::{beside, over, stage_column};
use crate::analyze::split::{Splitter, parts};
use crate::pg::error::Result;
use crate::pg::tree::{Node, Query, Tree, list, server, walk};
use pgrx::pg_sys;
use tviews_core::model::Shape;

/// Aggregates that can be computed together.
struct Part {
    /// The arguments of the DISTINCT aggregates; empty for the part of all others.
    arguments: Vec<Node>,
    calls: Vec<Node>,
}

impl Splitter<'_> {
    /// A query with aggregates and nothing above them.
    pub fn totals(&mut self, query: Query) -> Result<Option<Query>> {
        if !query.groupClause().is_null() {
            return Ok(None);
        }
        let exprs: Vec<Node> = outputs(query).into_iter().map(|t| plain(query, t.expr())).collect();
        let Some(parts) = parts_of(query, &exprs).filter(|p| p.len() > 1) else { return Ok(None) };
        let stages: Vec<Query> = parts
            .iter()
            .map(|part| {
                let columns: Vec<Column> = part.calls.iter().map(|&node| Column { node, by: None }).collect();
                grouped(query, &columns)
            })
            .collect();
        let followed = |part: &Part, stage| {
            !part.arguments.is_empty() || recognise(stage, &Shape::Groups(Vec::new()), false).is_ok()
        };
        if !parts.iter().zip(&stages).all(|(part, stage)| followed(part, *stage)) {
            return Ok(None);
        }
        let mut outer: Query = Tree::null();
        for stage in stages {
            let next = over(stage, self.relation(stage)?)?;
            outer = if outer.is_null() { next } else { beside(outer, next) };
        }
        let targets: Vec<Node> = list::iter::<pg_sys::TargetEntry>(query.targetList())
            .map(|t| if t.resjunk() { Tree::null() } else { lowered(plain(query, t.expr()), &parts) })
            .collect();
        outer.set_targetList(with_targets(query.targetList(), &targets));
        for tle in list::iter::<pg_sys::TargetEntry>(outer.targetList()) {
            tle.set_ressortgroupref(0);
        }
        Ok(Some(outer))
    }
}

/// The aggregates of a query by their DISTINCT arguments; None when a part would not be followed.
fn parts_of(query: Query, exprs: &[Node]) -> Option<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    for call in calls(exprs) {
        if !can_be_stored(call) {
            return None;
        }
        let mut over: Vec<Node> = Vec::new();
        if list::is(call, pg_sys::NodeTag::T_Aggref) && !call.cast::<pg_sys::Aggref>().aggdistinct().is_null() {
            if !parts::is_unordered(call.cast()) {
                return None;
            }
            if !parts::is_idempotent(call.cast()) {
                let agg = call.cast::<pg_sys::Aggref>();
                over = list::iter::<pg_sys::TargetEntry>(agg.args()).map(|t| t.expr()).collect();
            }
        }
        let is_one = |of: &Part, node: &Node| of.arguments.iter().any(|k| server::equal(*k, *node));
        let fits = |of: &&mut Part| of.arguments.len() == over.len() && over.iter().all(|node| is_one(of, node));
        match parts.iter_mut().find(fits) {
            Some(part) if part.calls.iter().any(|c| server::equal(*c, call)) => {}
            Some(part) => part.calls.push(call),
            None => parts.push(Part { arguments: over, calls: vec![call] }),
        }
    }
    let exact = |part: &Part| part.arguments.is_empty() || arguments(query, &part.calls).is_some();
    parts.iter().all(exact).then_some(parts)
}

/// Aggregates that are not inside of others.
fn calls(exprs: &[Node]) -> Vec<Node> {
    let mut found = Vec::new();
    for expr in exprs {
        walk::rewrite(*expr, &mut |n| {
            is_aggregate(n).then(|| {
                found.push(n);
                n
            })
        });
    }
    found
}

/// An output over the stages of the parts.
fn lowered(expr: Node, parts: &[Part]) -> Node {
    walk::rewrite(expr, &mut |n| {
        parts.iter().enumerate().find_map(|(i, part)| {
            let at = part.calls.iter().position(|c| server::equal(*c, n))?;
            Some(stage_column(i as i32 + 1, at, n))
        })
    })
}
