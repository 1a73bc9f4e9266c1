//! Arrays that an aggregate makes of the rows of one relation, in an order that has no equal rows.
//!
//! `(SELECT jsonb_agg(e ORDER BY k) FROM t WHERE …)` becomes the same over the rows of t that there are and those that have gone, with marks in the place of
//! elements (tviews_core::jsonb::part): for a row that did not change NULL, for one that has come [e], for one that has gone false. As k has a key of t,
//! and the rows that did not change are in both states in the same order, the marks say at which place elements come and go.
//! Invariant: the rows before the change are those of t that have not come, and those that have gone; so says tviews.inserted and tviews.deleted.

use super::has_queries;
use crate::analyze::describe::{KeyOf, describe};
use crate::analyze::query::relations;
use crate::analyze::query::tree::outputs;
use crate::analyze::rules::change_rows;
use crate::pg::error::Result;
use crate::pg::name;
use crate::pg::tree::{Aggref, Node, Query, TargetEntry, Text, list, lsyscache, make, parser, server, walk};
use pgrx::pg_sys::{self, NodeTag};

/// The sub-query with marks; None when it is not such an aggregate.
pub fn marked(query: Query, relid: u32, key_of: KeyOf) -> Result<Option<Query>> {
    let Some((index, key)) = ordered_by_key(query, relid, key_of) else { return Ok(None) };
    let copy = query.copy();
    let rte = server::rt_fetch(index, copy);
    let Some(mark) = change_rows::add_marks(rte, &key)? else { return Ok(None) };
    let of = aggregate(outputs(copy)[0].expr());
    let Some(target) = list::iter::<pg_sys::TargetEntry>(of.args()).find(|t| !t.resjunk()) else { return Ok(None) };
    let mark = make::var(index as i32, mark, (pg_sys::BOOLOID, -1, pg_sys::InvalidOid), 0).cast();
    target.set_expr(case(mark, target.expr()));
    of.set_inputcollid(pg_sys::InvalidOid);
    of.set_aggargtypes(list::of_oids(
        list::oids(of.aggargtypes()).into_iter().enumerate().map(
            |(i, typid)| {
                if i == 0 { pg_sys::JSONBOID } else { typid }
            },
        ),
    ));
    Ok(Some(copy))
}

fn aggregate(node: Node) -> Aggref {
    node.cast()
}

/// The only relation of FROM, and the columns of one of its keys that the aggregate is ordered by.
fn ordered_by_key(query: Query, relid: u32, key_of: KeyOf) -> Option<(usize, Vec<i16>)> {
    let [output] = outputs(query)[..] else { return None };
    let is_alone = super::is_one_row(query)
        && !query.hasWindowFuncs()
        && query.cteList().is_null()
        && list::len(query.targetList()) == 1
        && query.sortClause().is_null();
    if !is_alone || output.expr().tag() != NodeTag::T_Aggref || has_queries(query.jointree().cast()) {
        return None;
    }
    let [index] = relations::in_from(query)[..] else { return None };
    let rte = server::rt_fetch(index, query);
    let is_relation = rte.rtekind() == pg_sys::RTEKind::RTE_RELATION && rte.relid().to_u32() == relid;
    if !is_relation || !rte.securityQuals().is_null() || !rte.tablesample().is_null() {
        return None;
    }
    let of = aggregate(output.expr());
    let is_array = of.aggfnoid() == pg_sys::Oid::from(pg_sys::F_JSONB_AGG) && of.agglevelsup() == 0;
    if !is_array || !of.aggdistinct().is_null() || of.aggorder().is_null() {
        return None;
    }
    let args: Vec<TargetEntry> = list::iter::<pg_sys::TargetEntry>(of.args()).collect();
    let elements = args.iter().filter(|t| !t.resjunk()).count();
    if elements != 1
        || args.iter().any(|t| !t.resjunk() && t.ressortgroupref() != 0)
        || relations::reads_whole_row(query, index)
    {
        return None;
    }
    let mut columns = Vec::new();
    for clause in list::iter::<pg_sys::SortGroupClause>(of.aggorder()) {
        let by = args.iter().find(|t| t.ressortgroupref() == clause.tleSortGroupRef())?.expr();
        if by.tag() != NodeTag::T_Var || by.cast::<pg_sys::Var>().varlevelsup() != 0 {
            continue;
        }
        let var = by.cast::<pg_sys::Var>();
        let own = lsyscache::operators(var.vartype());
        let usual = [own.less, own.greater].contains(&clause.sortop());
        let of_column = lsyscache::get_atttypetypmodcoll(rte.relid(), var.varattno());
        if usual && var.varattno() > 0 && name::equal_is_same(&of_column) && of_column.2 == var.varcollid() {
            columns.push(var.varattno());
        }
    }
    let described = describe(query, key_of);
    let atom = described.description.atoms.first()?;
    let is_key =
        |key: &&Vec<i16>| !key.is_empty() && key.iter().all(|c| columns.contains(c) && atom.not_null.contains(c));
    Some((index, atom.keys.iter().find(is_key)?.clone()))
}

/// `CASE WHEN mark THEN jsonb_build_array(element) WHEN NOT mark THEN NULL ELSE 'false' END`
fn case(mark: Node, element: Node) -> Node {
    let text = c"SELECT CASE WHEN x.m THEN pg_catalog.jsonb_build_array(x.e) WHEN NOT x.m THEN NULL::pg_catalog.jsonb \
        ELSE 'false'::pg_catalog.jsonb END FROM (SELECT NULL::pg_catalog.bool AS m, NULL::pg_catalog.jsonb AS e) x";
    let made = outputs(parser::analyse(Text::of(text)))[0].expr();
    let collation = server::exprCollation(element);
    walk::walk(made, &mut |n| {
        if n.tag() == NodeTag::T_FuncExpr {
            n.cast::<pg_sys::FuncExpr>().set_inputcollid(collation);
        }
        false
    });
    walk::rewrite(made, &mut |n| {
        (n.tag() == NodeTag::T_Var).then(|| match n.cast::<pg_sys::Var>().varattno() {
            1 => mark.copy(),
            _ => element.copy(),
        })
    })
}
