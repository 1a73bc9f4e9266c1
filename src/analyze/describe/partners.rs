//! By which columns a changed row finds the rows of other tables that it is joined with.
//!
//! Looked at are equalities that stand by themselves in ON and WHERE, also between a sub-query and the block around it. A column
//! of an item that is computed by itself (groups, DISTINCT, LIMIT …) is no column of a table: a stage stands there, with an index of its own.
//! Conditions that are not understood are left out: this is for advice. Called by build/advice.rs.

use crate::analyze::query::tree;
use crate::pg::tree::{Node, Query, Tree, list, lsyscache, server, walk};
use pgrx::pg_sys::{self, NodeTag::*};
use std::collections::{BTreeMap, BTreeSet};

/// The relation that has changed, the relation that is searched, and by which columns: any of them may be the first of an index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Search {
    pub changed: u32,
    pub searched: u32,
    pub columns: BTreeSet<i16>,
}

/// A place in FROM, and the relation that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    query: usize,
    index: usize,
    relid: u32,
}

/// All searches of an expanded query.
pub fn searches(query: Query) -> BTreeSet<Search> {
    let mut found = Found::default();
    found.query(query, &mut Vec::new());
    let search = |((from, to), columns): (&(Place, Place), &BTreeSet<i16>)| Search {
        changed: from.relid,
        searched: to.relid,
        columns: columns.clone(),
    };
    found.0.iter().map(search).collect()
}

/// The table that these output columns of an expanded query are columns of, all of them, with its columns.
pub fn table_of(query: Query, outputs: &[usize]) -> Option<(u32, BTreeSet<i16>)> {
    let columns = tree::outputs(query);
    let mut found = BTreeMap::new();
    for at in outputs {
        let (place, column) = column(columns[*at].expr(), &[query])?;
        found.entry(place).or_insert_with(BTreeSet::new).insert(column);
    }
    let (place, columns) = found.pop_first()?;
    found.is_empty().then_some((place.relid, columns))
}

#[derive(Default)]
struct Found(BTreeMap<(Place, Place), BTreeSet<i16>>);

impl Found {
    fn query(&mut self, query: Query, around: &mut Vec<Query>) {
        around.push(query);
        self.item(query.jointree().cast(), around);
        for below in walk::below(query) {
            self.query(below, around);
        }
        around.pop();
    }

    /// ON and WHERE of FROM.
    fn item(&mut self, item: Node, around: &[Query]) {
        if list::is(item, T_FromExpr) {
            let from = item.cast::<pg_sys::FromExpr>();
            list::iter::<pg_sys::Node>(from.fromlist()).for_each(|i| self.item(i, around));
            self.condition(from.quals(), around);
        } else if list::is(item, T_JoinExpr) {
            let join = item.cast::<pg_sys::JoinExpr>();
            self.item(join.larg(), around);
            self.item(join.rarg(), around);
            self.condition(join.quals(), around);
        }
    }

    fn condition(&mut self, node: Node, around: &[Query]) {
        if list::is(node, T_List) {
            list::iter::<pg_sys::Node>(node.cast()).for_each(|n| self.condition(n, around));
        } else if list::is(node, T_BoolExpr) {
            // the terms of OR and NOT are no equalities that hold; their sub-queries are looked at by themselves
            let and = node.cast::<pg_sys::BoolExpr>();
            if and.boolop() == pg_sys::BoolExprType::AND_EXPR {
                list::iter::<pg_sys::Node>(and.args()).for_each(|n| self.condition(n, around));
            }
        } else if list::is(node, T_OpExpr) {
            let sides: Vec<Node> = list::iter(node.cast::<pg_sys::OpExpr>().args()).collect();
            if sides.len() == 2 && is_equality(node.cast::<pg_sys::OpExpr>().opno(), sides[0]) {
                self.equal((sides[0], around), (sides[1], around));
                self.equal((sides[1], around), (sides[0], around));
            }
        } else if list::is(node, T_SubLink) {
            self.any(node.cast(), around);
        }
    }

    /// `x IN (SELECT y …)`.
    fn any(&mut self, link: Tree<pg_sys::SubLink>, around: &[Query]) {
        let test = link.testexpr();
        if link.subLinkType() != pg_sys::SubLinkType::ANY_SUBLINK || !list::is(test, T_OpExpr) {
            return;
        }
        let sides: Vec<Node> = list::iter(test.cast::<pg_sys::OpExpr>().args()).collect();
        let sub = link.subselect().cast::<pg_sys::Query>();
        let Some(output) = tree::outputs(sub).first().map(|t| t.expr().cast::<pg_sys::Node>()) else { return };
        if sides.len() == 2 && is_equality(test.cast::<pg_sys::OpExpr>().opno(), sides[0]) && is_simple(sub) {
            let mut inside = around.to_vec();
            inside.push(sub);
            self.equal((sides[0], around), (output, &inside));
            self.equal((output, &inside), (sides[0], around));
        }
    }

    /// Rows of the left side's relation are found by the value of the right side, which comes from one other place.
    fn equal(&mut self, searched: (Node, &[Query]), value: (Node, &[Query])) {
        let Some((to, column)) = column(searched.0, searched.1) else { return };
        let mut places = BTreeSet::new();
        let mut known = true;
        walk::walk(value.0, &mut |n| {
            known &= !list::is(n, T_SubLink);
            if list::is(n, T_Var) {
                match self::column(n, value.1) {
                    Some((place, _)) => drop(places.insert(place)),
                    None => known = false,
                }
            }
            !known
        });
        if let (true, Some(from), 1) = (known, places.first(), places.len())
            && *from != to
        {
            self.0.entry((*from, to)).or_default().insert(column);
        }
    }
}

/// An operator by which an index finds equal values.
fn is_equality(operator: pg_sys::Oid, side: Node) -> bool {
    let of = server::exprType(side);
    lsyscache::op_hashjoinable(operator, of) || lsyscache::op_mergejoinable(operator, of)
}

/// Whether the rows of a sub-query are rows of its FROM.
fn is_simple(query: Query) -> bool {
    !query.hasAggs()
        && !query.hasWindowFuncs()
        && !query.hasTargetSRFs()
        && query.groupClause().is_null()
        && query.groupingSets().is_null()
        && query.distinctClause().is_null()
        && query.setOperations().is_null()
        && query.limitCount().is_null()
        && query.limitOffset().is_null()
}

/// The column of a relation that an expression is, in the last of `around`.
fn column(mut node: Node, around: &[Query]) -> Option<(Place, i16)> {
    while list::is(node, T_RelabelType) {
        node = node.cast::<pg_sys::RelabelType>().arg();
    }
    if !list::is(node, T_Var) {
        return None;
    }
    let var = node.cast::<pg_sys::Var>();
    let level = around.len().checked_sub(1 + var.varlevelsup() as usize)?;
    let around = &around[..=level];
    let query = around[level];
    let index = usize::try_from(var.varno()).ok()?;
    let rte = list::nth::<pg_sys::RangeTblEntry>(query.rtable(), index.checked_sub(1)?);
    let nth = usize::try_from(var.varattno()).ok()?.checked_sub(1)?;
    use pg_sys::RTEKind::*;
    match rte.rtekind() {
        RTE_RELATION => {
            Some((Place { query: query.raw() as usize, index, relid: rte.relid().to_u32() }, var.varattno()))
        }
        RTE_JOIN => column(list::nth(rte.joinaliasvars(), nth), around),
        #[cfg(feature = "since_18")]
        RTE_GROUP => column(list::nth(rte.groupexprs(), nth), around),
        RTE_SUBQUERY if is_simple(rte.subquery()) => {
            let mut inside = around.to_vec();
            inside.push(rte.subquery());
            let output = *tree::outputs(rte.subquery()).get(nth)?;
            column(output.expr(), &inside)
        }
        _ => None,
    }
}
