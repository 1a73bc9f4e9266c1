//! Set operations as grouping.
//!
//! UNION is DISTINCT over UNION ALL; INTERSECT and EXCEPT count, for each row, how often it comes from the left and from
//! the right. The new query is written as text, which the server analyses: the grouped parts become stages, and UNION ALL is
//! a sum of its branches, for rows and for their changes alike.
//! Invariant: the same rows, each as often, as the set operation gives. Source: executor/nodeSetOp.c.

use crate::analyze::query::analysed::analysed;
use crate::analyze::query::printed;
use crate::analyze::query::tree::outputs;
use crate::pg::error::Result;
use crate::pg::tree::{Node, Query, list, lsyscache, make, parser, server};
use pgrx::pg_sys;

/// The branches of a query that is a sum: UNION ALL and nothing else.
pub fn branches(query: Query) -> Option<Vec<Query>> {
    if query.setOperations().is_null() || !query.limitCount().is_null() || !query.limitOffset().is_null() {
        return None;
    }
    let mut out = Vec::new();
    collect(query, query.setOperations(), &mut out).then_some(out)
}

fn collect(query: Query, node: Node, out: &mut Vec<Query>) -> bool {
    if list::is(node, pg_sys::NodeTag::T_SetOperationStmt) {
        let set = node.cast::<pg_sys::SetOperationStmt>();
        return set.op() == pg_sys::SetOperation::SETOP_UNION
            && set.all()
            && collect(query, set.larg(), out)
            && collect(query, set.rarg(), out);
    }
    let index = node.cast::<pg_sys::RangeTblRef>().rtindex() as usize;
    out.push(server::rt_fetch(index, query).subquery());
    true
}

/// The output expressions of a branch, as the set operation converts them; None where the conversion needs more than a cast.
pub fn outputs_of(query: Query, branch: Query) -> Option<Vec<Node>> {
    let set = query.setOperations().cast::<pg_sys::SetOperationStmt>();
    let types = list::oids(set.colTypes()).into_iter().zip(list::oids(set.colCollations()));
    outputs(branch)
        .into_iter()
        .zip(types)
        .map(|(tle, (wanted, collation))| {
            let expr = server::flatten_join_aliases(branch, tle.expr());
            let given = server::exprType(expr);
            if given == wanted {
                return Some(collated(expr, collation));
            }
            let cast = parser::implicit_cast(expr.copy(), wanted, -1);
            (!cast.is_null()).then(|| collated(cast, collation))
        })
        .collect()
}

/// The expression with the collation that the set operation has found for the column, if it has one.
fn collated(expr: Node, collation: pg_sys::Oid) -> Node {
    if collation == pg_sys::InvalidOid || server::exprCollation(expr) == collation {
        return expr;
    }
    let collate = make::make::<pg_sys::CollateExpr>();
    collate.set_arg(expr.cast());
    collate.set_collOid(collation);
    collate.set_location(-1);
    collate.cast()
}

/// The query without set operations other than UNION ALL; None when there are none.
pub fn rewrite(query: Query) -> Result<Option<Query>> {
    let limited = !query.limitCount().is_null() || !query.limitOffset().is_null();
    if query.setOperations().is_null() || limited || branches(query).is_some() {
        return Ok(None);
    }
    analysed(query, text(query, query.setOperations())?).map(Some)
}

fn text(query: Query, node: Node) -> Result<String> {
    if !list::is(node, pg_sys::NodeTag::T_SetOperationStmt) {
        let index = node.cast::<pg_sys::RangeTblRef>().rtindex() as usize;
        let sub = server::rt_fetch(index, query).subquery();
        return printed::text(sub);
    }
    let set = node.cast::<pg_sys::SetOperationStmt>();
    let types = list::oids(set.colTypes());
    let columns = (1..=types.len()).map(|i| format!("c{i}")).collect::<Vec<_>>().join(", ");
    let collations = list::oids(set.colCollations());
    let casts: Vec<String> = types
        .iter()
        .zip(collations)
        .enumerate()
        .map(|(i, (t, collation))| {
            // "character" and "bit" would be types of length one: without a length the types have other names.
            let of = lsyscache::qualified_type(*t, -1);
            let collate = if collation == pg_sys::InvalidOid {
                String::new()
            } else {
                let name = lsyscache::generate_collation_name(collation);
                format!(" COLLATE {}", name)
            };
            format!("c{}::{}{collate}", i + 1, of)
        })
        .collect();
    let side = |node, mark: &str| -> Result<String> {
        Ok(format!("SELECT {}{mark} FROM ({}) x({columns})", casts.join(", "), text(query, node)?))
    };
    let sum = |l: &str, r: &str| -> Result<String> {
        Ok(format!("{} UNION ALL {}", side(set.larg(), l)?, side(set.rarg(), r)?))
    };
    if set.op() == pg_sys::SetOperation::SETOP_UNION {
        let sum = sum("", "")?;
        return Ok(if set.all() { sum } else { format!("SELECT DISTINCT {columns} FROM ({sum}) u({columns})") });
    }
    let counted = format!(
        "SELECT {columns}, count(*) FILTER (WHERE s) AS l, count(*) FILTER (WHERE NOT s) AS r \
     FROM ({}) u({columns}, s) GROUP BY {columns}",
        sum(", true", ", false")?,
    );
    let except = set.op() == pg_sys::SetOperation::SETOP_EXCEPT;
    Ok(match (except, set.all()) {
        (true, false) => format!("SELECT {columns} FROM ({counted}) g WHERE l > 0 AND r = 0"),
        (false, false) => format!("SELECT {columns} FROM ({counted}) g WHERE l > 0 AND r > 0"),
        (true, true) => format!("SELECT {columns} FROM ({counted}) g, generate_series(1, l - r) n"),
        (false, true) => format!("SELECT {columns} FROM ({counted}) g, generate_series(1, least(l, r)) n"),
    })
}
