//! The server's functions that look at nodes and change them, by their names in C.
//!
//! Invariant: each is safe for any live tree: further conditions of a server function are named, and checked here.
//! Source: nodes/nodeFuncs.c, optimizer/util/clauses.c, rewrite/rewriteManip.c.

// As in C, so that nobody has to translate.
#![allow(non_snake_case)]

use super::{Bits, List, Node, Query, RangeTblEntry, TargetEntry, Text, Tree, list, lsyscache};
use crate::pg::{callees, ext};
use pgrx::pg_sys::{self, Oid};
use std::collections::BTreeSet;

/// Functions of an expression that give a plain value.
macro_rules! of_expressions {
    ($($name:ident -> $type:ty;)*) => {$(
        pub fn $name(node: Node) -> $type {
            // SAFETY: null or a live expression.
            unsafe { pg_sys::$name(node.raw().cast()) }
        }
    )*};
}

of_expressions! {
    exprType -> Oid;
    exprTypmod -> i32;
    exprCollation -> Oid;
    exprInputCollation -> Oid;
    exprLocation -> i32;
    checkExprHasSubLink -> bool;
    expression_returns_set -> bool;
    contain_mutable_functions -> bool;
    contain_nonstrict_functions -> bool;
    contain_windowfuncs -> bool;
}

pub fn equal(a: Node, b: Node) -> bool {
    // SAFETY: each is null or a live node.
    unsafe { pg_sys::equal(a.raw().cast(), b.raw().cast()) }
}

/// The terms of a condition; none for no condition.
pub fn make_ands_implicit(condition: Node) -> List {
    // SAFETY: null or a live condition.
    unsafe { Tree::new(pg_sys::make_ands_implicit(condition.raw().cast())) }
}

/// The condition that all of these terms are true; true when there are none.
pub fn make_ands_explicit(terms: List) -> Node {
    // SAFETY: a live list of conditions.
    unsafe { Tree::new(pg_sys::make_ands_explicit(terms.raw()).cast()) }
}

pub fn make_and_qual(a: Node, b: Node) -> Node {
    // SAFETY: each is null or a live condition.
    unsafe { Tree::new(pg_sys::make_and_qual(a.raw(), b.raw())) }
}

fn numbers(bits: *mut pg_sys::Bitmapset) -> BTreeSet<usize> {
    // SAFETY: a set that the server has just made.
    unsafe { Bits::new(bits) }.members().into_iter().map(|b| b as usize).collect()
}

/// Range table indexes of this level that an expression mentions, sub-queries in it included.
pub fn pull_varnos(node: Node) -> BTreeSet<usize> {
    // SAFETY: null or a live expression.
    numbers(unsafe { pg_sys::pull_varnos(std::ptr::null_mut(), node.raw().cast()) })
}

pub fn pull_varnos_of_level(node: Node, levels_up: i32) -> BTreeSet<usize> {
    // SAFETY: as above.
    numbers(unsafe { pg_sys::pull_varnos_of_level(std::ptr::null_mut(), node.raw().cast(), levels_up) })
}

/// Range table indexes of relations such that a condition cannot be true when they are null-extended.
pub fn find_nonnullable_rels(condition: Node) -> BTreeSet<usize> {
    // SAFETY: as above.
    numbers(unsafe { pg_sys::find_nonnullable_rels(condition.raw()) })
}

pub fn pull_vars_of_level(node: Node, levels_up: i32) -> List {
    // SAFETY: as above.
    unsafe { Tree::new(pg_sys::pull_vars_of_level(node.raw().cast(), levels_up)) }
}

pub fn contain_vars_of_level(node: Node, levels_up: i32) -> bool {
    // SAFETY: as above.
    unsafe { pg_sys::contain_vars_of_level(node.raw().cast(), levels_up) }
}

pub fn contain_aggs_of_level(node: Node, levels_up: i32) -> bool {
    // SAFETY: as above.
    unsafe { pg_sys::contain_aggs_of_level(node.raw().cast(), levels_up) }
}

pub fn rangeTableEntry_used(node: Node, index: i32, levels_up: i32) -> bool {
    // SAFETY: as above.
    unsafe { pg_sys::rangeTableEntry_used(node.raw().cast(), index, levels_up) }
}

/// Gives the relations of a query numbers that are greater by `offset`, in place.
pub fn OffsetVarNodes(node: Node, offset: i32, levels_up: i32) {
    // SAFETY: as above.
    unsafe { pg_sys::OffsetVarNodes(node.raw().cast(), offset, levels_up) }
}

pub fn ChangeVarNodes(node: Node, from: i32, to: i32, levels_up: i32) {
    // SAFETY: as above.
    unsafe { pg_sys::ChangeVarNodes(node.raw().cast(), from, to, levels_up) }
}

pub fn IncrementVarSublevelsUp(node: Node, by: i32, from: i32) {
    // SAFETY: as above.
    unsafe { pg_sys::IncrementVarSublevelsUp(node.raw().cast(), by, from) }
}

/// The target that a clause refers to; an error of the server when there is none.
pub fn get_sortgroupref_tle(reference: u32, targets: List) -> TargetEntry {
    // SAFETY: a live list of targets.
    unsafe { Tree::new(pg_sys::get_sortgroupref_tle(reference, targets.raw())) }
}

/// The entry of a query's range table, from 1.
pub fn rt_fetch(index: usize, query: Query) -> RangeTblEntry {
    list::nth(query.rtable(), index.wrapping_sub(1))
}

pub fn set_opfuncid(operator: Tree<pg_sys::OpExpr>) {
    operator.opno();
    // SAFETY: a live operator expression, as the line above has seen.
    unsafe { pg_sys::set_opfuncid(operator.raw()) }
}

/// A copy of an expression that is ready to be run: constants are computed, SQL functions put in place of their calls.
pub fn expression_planner(node: Node) -> Node {
    // SAFETY: a live expression; the server changes what it is given, so it gets a copy.
    unsafe { Tree::new(pg_sys::expression_planner(node.copy().raw().cast()).cast()) }
}

/// Replaces Vars of join aliases by the columns they stand for.
pub fn flatten_join_aliases(query: Query, node: Node) -> Node {
    // SAFETY: a live query and a live expression of it.
    unsafe { Tree::new(ext::flatten_join_aliases(query.raw(), node.raw().cast()).cast()) }
}

/// Replaces Vars of the GROUP range table entry (18) by the grouping expressions.
pub fn flatten_groups(query: Query, node: Node) -> Node {
    // SAFETY: as above.
    unsafe { Tree::new(ext::flatten_groups(query.raw(), node.raw().cast()).cast()) }
}

/// The grouping sets of a query one by one, as lists of sort references.
pub fn expand_grouping_sets(sets: List, distinct: bool) -> List {
    // SAFETY: null or a live list of grouping sets.
    unsafe { Tree::new(ext::expand_grouping_sets(sets.raw(), distinct)) }
}

/// Columns of an entry of the range table that a query reads, as the parser has noted them.
pub fn selected_columns(query: Query, rte: RangeTblEntry) -> Vec<i16> {
    #[cfg(feature = "pg15")]
    let selected = {
        let _ = query;
        rte.selectedCols()
    };
    #[cfg(not(feature = "pg15"))]
    let selected = match rte.perminfoindex() {
        0 => Bits::null(),
        // SAFETY: an entry with permissions of a live query.
        _ => unsafe { Bits::new((*pg_sys::getRTEPermissionInfo(query.rteperminfos().raw(), rte.raw())).selectedCols) },
    };
    selected.members().into_iter().map(|m| (m + pg_sys::FirstLowInvalidHeapAttributeNumber) as i16).collect()
}

/// Makes these the columns that an entry of the range table is read for.
pub fn select_columns(query: Query, rte: RangeTblEntry, columns: &BTreeSet<i16>) {
    let mut bits: *mut pg_sys::Bitmapset = std::ptr::null_mut();
    for column in columns {
        // SAFETY: null, or a set that the server has just made.
        bits = unsafe { pg_sys::bms_add_member(bits, i32::from(*column) - pg_sys::FirstLowInvalidHeapAttributeNumber) };
    }
    #[cfg(feature = "pg15")]
    {
        let _ = query;
        // SAFETY: the set is made.
        rte.set_selectedCols(unsafe { Bits::new(bits) });
    }
    #[cfg(not(feature = "pg15"))]
    if rte.perminfoindex() > 0 {
        // SAFETY: an entry with permissions of a live query.
        unsafe { (*pg_sys::getRTEPermissionInfo(query.rteperminfos().raw(), rte.raw())).selectedCols = bits };
    }
}

/// The text of a constant, in the form in which its type writes it; None for NULL.
pub fn output_of(constant: Tree<pg_sys::Const>) -> Option<String> {
    if constant.constisnull() {
        return None;
    }
    let function = lsyscache::output_function(constant.consttype());
    // SAFETY: a value of its type.
    unsafe { Some(Text::new(pg_sys::OidOutputFunctionCall(function, constant.constvalue())).to_string()) }
}

/// Functions that a node calls by itself, functions of operators included.
pub fn functions_of(node: Node) -> Vec<Oid> {
    // SAFETY: null or a live node.
    unsafe { callees::functions_of(node.raw()) }
}

/// Operators that a node applies by itself.
pub fn operators_of(node: Node) -> Vec<Oid> {
    // SAFETY: null or a live node.
    unsafe { callees::operators_of(node.raw()) }
}

/// The role that a relation is read as; invalid when this is the role that runs the query.
pub fn read_as(query: Query, rte: RangeTblEntry) -> Oid {
    #[cfg(feature = "pg15")]
    {
        let _ = query;
        rte.checkAsUser()
    }
    #[cfg(not(feature = "pg15"))]
    {
        if rte.perminfoindex() == 0 {
            return pg_sys::InvalidOid;
        }
        // SAFETY: an entry with permissions of a live query.
        unsafe { (*pg_sys::getRTEPermissionInfo(query.rteperminfos().raw(), rte.raw())).checkAsUser }
    }
}

/// The first elements of a list, as another list.
pub fn list_copy_head(list: List, number: usize) -> List {
    // SAFETY: null or a live list.
    unsafe { Tree::new(pg_sys::list_copy_head(list.raw(), number as i32)) }
}

/// Whether a column of an entry of the range table is dropped.
pub fn get_rte_attribute_is_dropped(rte: RangeTblEntry, column: i16) -> bool {
    rte.rtekind();
    // SAFETY: a live entry, as the line above has seen; an error for columns that it does not have.
    unsafe { pg_sys::get_rte_attribute_is_dropped(rte.raw(), column) }
}
