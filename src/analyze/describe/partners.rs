//! By which columns a changed row finds the rows of other tables that it is joined with.
//!
//! Looked at are equalities that stand by themselves in ON and WHERE, also between a sub-query and what is around it. A column
//! of an item that is computed by itself (groups, DISTINCT, LIMIT …) is no column of a table: a stage stands there, with an index of its own. What is not
//! understood is left out: this is for advice. Called by build/advice.rs.

use crate::analyze::query::tree;
use crate::pg::{list, walk};
use pgrx::pg_sys::{self, Node, NodeTag::*};
use std::collections::{BTreeMap, BTreeSet};

/// Who has changed, who is looked for, by which columns: any of them may be the first of an index.
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
///
/// # Safety
/// `query` is valid.
pub unsafe fn searches(query: *mut pg_sys::Query) -> BTreeSet<Search> {
    // SAFETY: `query` is valid, as the caller promises.
    unsafe {
        let mut found = Found::default();
        found.query(query, &mut Vec::new());
        let search = |((from, to), columns): (&(Place, Place), &BTreeSet<i16>)| Search {
            changed: from.relid,
            searched: to.relid,
            columns: columns.clone(),
        };
        found.0.iter().map(search).collect()
    }
}

/// The table that these output columns of an expanded query are columns of, all of them, with its columns.
///
/// # Safety
/// `query` is valid.
pub unsafe fn table_of(query: *mut pg_sys::Query, outputs: &[usize]) -> Option<(u32, BTreeSet<i16>)> {
    // SAFETY: `query` is valid, as the caller promises.
    unsafe {
        let columns = tree::outputs(query);
        let mut found = BTreeMap::new();
        for at in outputs {
            let (place, column) = column((*columns[*at]).expr.cast(), &[query])?;
            found.entry(place).or_insert_with(BTreeSet::new).insert(column);
        }
        let (place, columns) = found.pop_first()?;
        found.is_empty().then_some((place.relid, columns))
    }
}

#[derive(Default)]
struct Found(BTreeMap<(Place, Place), BTreeSet<i16>>);

impl Found {
    unsafe fn query(&mut self, query: *mut pg_sys::Query, around: &mut Vec<*mut pg_sys::Query>) {
        // SAFETY: `query` is a live tree of the server, and so are those around it.
        unsafe {
            around.push(query);
            self.item((*query).jointree.cast(), around);
            for below in walk::below(query) {
                self.query(below, around);
            }
            around.pop();
        }
    }

    /// ON and WHERE of FROM.
    unsafe fn item(&mut self, item: *mut Node, around: &[*mut pg_sys::Query]) {
        // SAFETY: `item` is a live node of a jointree.
        unsafe {
            if list::is(item, T_FromExpr) {
                let from = item.cast::<pg_sys::FromExpr>();
                list::iter::<Node>((*from).fromlist).for_each(|i| self.item(i, around));
                self.condition((*from).quals, around);
            } else if list::is(item, T_JoinExpr) {
                let join = item.cast::<pg_sys::JoinExpr>();
                self.item((*join).larg, around);
                self.item((*join).rarg, around);
                self.condition((*join).quals, around);
            }
        }
    }

    unsafe fn condition(&mut self, node: *mut Node, around: &[*mut pg_sys::Query]) {
        // SAFETY: `node` is null or a live node of a tree of the server.
        unsafe {
            if list::is(node, T_List) {
                list::iter::<Node>(node.cast()).for_each(|n| self.condition(n, around));
            } else if list::is(node, T_BoolExpr) {
                // what is negated or one of several has sub-queries only, which are looked at by themselves
                let and = node.cast::<pg_sys::BoolExpr>();
                if (*and).boolop == pg_sys::BoolExprType::AND_EXPR {
                    list::iter::<Node>((*and).args).for_each(|n| self.condition(n, around));
                }
            } else if list::is(node, T_OpExpr) {
                let sides: Vec<*mut Node> = list::iter((*node.cast::<pg_sys::OpExpr>()).args).collect();
                if sides.len() == 2 && is_equality((*node.cast::<pg_sys::OpExpr>()).opno, sides[0]) {
                    self.equal((sides[0], around), (sides[1], around));
                    self.equal((sides[1], around), (sides[0], around));
                }
            } else if list::is(node, T_SubLink) {
                self.any(node.cast(), around);
            }
        }
    }

    /// `x IN (SELECT y …)`.
    unsafe fn any(&mut self, link: *mut pg_sys::SubLink, around: &[*mut pg_sys::Query]) {
        // SAFETY: `link` is a live node of a tree of the server.
        unsafe {
            let test = (*link).testexpr;
            if (*link).subLinkType != pg_sys::SubLinkType::ANY_SUBLINK || !list::is(test, T_OpExpr) {
                return;
            }
            let sides: Vec<*mut Node> = list::iter((*test.cast::<pg_sys::OpExpr>()).args).collect();
            let sub = (*link).subselect.cast::<pg_sys::Query>();
            let Some(output) = tree::outputs(sub).first().map(|t| (**t).expr.cast::<Node>()) else { return };
            if sides.len() == 2 && is_equality((*test.cast::<pg_sys::OpExpr>()).opno, sides[0]) && is_simple(sub) {
                let mut inside = around.to_vec();
                inside.push(sub);
                self.equal((sides[0], around), (output, &inside));
                self.equal((output, &inside), (sides[0], around));
            }
        }
    }

    /// Rows of the left side's relation are found by the value of the right side, which comes from one other place.
    unsafe fn equal(
        &mut self,
        searched: (*mut Node, &[*mut pg_sys::Query]),
        value: (*mut Node, &[*mut pg_sys::Query]),
    ) {
        // SAFETY: both are live nodes of trees of the server, inside of the queries beside them.
        unsafe {
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
}

/// An operator by which an index finds equal values.
unsafe fn is_equality(operator: pg_sys::Oid, side: *mut Node) -> bool {
    // SAFETY: look-ups in system caches.
    unsafe {
        let of = pg_sys::exprType(side);
        pg_sys::op_hashjoinable(operator, of) || pg_sys::op_mergejoinable(operator, of)
    }
}

/// Whether the rows of a sub-query are rows of its FROM.
unsafe fn is_simple(query: *mut pg_sys::Query) -> bool {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        let q = &*query;
        !q.hasAggs
            && !q.hasWindowFuncs
            && !q.hasTargetSRFs
            && q.groupClause.is_null()
            && q.groupingSets.is_null()
            && q.distinctClause.is_null()
            && q.setOperations.is_null()
            && q.limitCount.is_null()
            && q.limitOffset.is_null()
    }
}

/// The column of a relation that an expression is, in the last of `around`.
unsafe fn column(mut node: *mut Node, around: &[*mut pg_sys::Query]) -> Option<(Place, i16)> {
    // SAFETY: `node` is a live node of the last query, which is inside of those before it.
    unsafe {
        while list::is(node, T_RelabelType) {
            node = (*node.cast::<pg_sys::RelabelType>()).arg.cast();
        }
        if !list::is(node, T_Var) {
            return None;
        }
        let var = &*node.cast::<pg_sys::Var>();
        let level = around.len().checked_sub(1 + var.varlevelsup as usize)?;
        let around = &around[..=level];
        let query = around[level];
        let index = usize::try_from(var.varno).ok()?;
        let rte = list::nth::<pg_sys::RangeTblEntry>((*query).rtable, index.checked_sub(1)?);
        let nth = usize::try_from(var.varattno).ok()?.checked_sub(1)?;
        use pg_sys::RTEKind::*;
        match (*rte).rtekind {
            RTE_RELATION => Some((Place { query: query as usize, index, relid: (*rte).relid.to_u32() }, var.varattno)),
            RTE_JOIN => column(list::nth((*rte).joinaliasvars, nth), around),
            #[cfg(feature = "pg18")]
            RTE_GROUP => column(list::nth((*rte).groupexprs, nth), around),
            RTE_SUBQUERY if is_simple((*rte).subquery) => {
                let mut inside = around.to_vec();
                inside.push((*rte).subquery);
                let output = *tree::outputs((*rte).subquery).get(nth)?;
                column((*output).expr.cast(), &inside)
            }
            _ => None,
        }
    }
}
