//! A form of query trees in which two that mean the same, one of them read back from the text of the other, are equal.
//!
//! It levels properties that a text does not say and that the parser works out again: numbers and order of range table entries, names
//! of relations and columns, numbers of sort references and windows, columns that are only there to be sorted by, joins and groups as
//! relations of their own (replaced by the columns they stand for), nesting of AND and OR, flags of a query, positions, permissions.
//! Everything else is left to the server's own `equal`: operators, functions, types, collations, levels, rows with their column names.
//! Invariant: levelling never makes two queries equal that give different rows. Called by printed.

mod clauses;

use crate::analyze::query::{joins, relations};
use crate::pg::tree::{Bits, List, Node, Query, RangeTblEntry, Text, Tree, list, lsyscache, make, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeMap;

/// Brings a private copy into this form; None when something in the query cannot be written.
pub fn canonical(query: Query) -> Option<Query> {
    joins::plain(query);
    let query: Query = walk::rewrite_deep(query.cast(), &mut |n, _| another(n)).cast();
    walk::walk(query.cast(), &mut |n| {
        level(n);
        false
    });
    block(query).then_some(query)
}

/// Levels a single node.
fn level(node: Node) {
    use pg_sys::NodeTag::*;
    match node.tag() {
        T_Var => {
            let var = node.cast::<pg_sys::Var>();
            var.set_vartypmod(-1);
            #[cfg(not(feature = "pg15"))]
            {
                var.set_varnullingrels(Bits::null());
            }
        }
        T_TargetEntry => {
            let tle = node.cast::<pg_sys::TargetEntry>();
            tle.set_resname(Text::null());
            tle.set_resorigtbl(pg_sys::InvalidOid);
            tle.set_resorigcol(0);
        }
        // The operator is in the expression below.
        T_SubLink => node.cast::<pg_sys::SubLink>().set_operName(Tree::null()),
        T_BoolExpr => flatten(node.cast::<pg_sys::BoolExpr>()),
        T_FromExpr => {
            let from = node.cast::<pg_sys::FromExpr>();
            from.set_quals(explicit(from.quals()));
        }
        T_JoinExpr => {
            let join = node.cast::<pg_sys::JoinExpr>();
            join.set_isNatural(false);
            join.set_quals(explicit(join.quals()));
            // CROSS JOIN has no condition, ON TRUE has one.
            if is_true(join.quals()) {
                join.set_quals(Tree::null());
            }
        }
        T_CommonTableExpr => {
            let cte = node.cast::<pg_sys::CommonTableExpr>();
            cte.set_cterefcount(0);
            cte.set_aliascolnames(Tree::null());
            cte.set_ctecolnames(Tree::null());
            cte.set_ctecoltypes(Tree::null());
            cte.set_ctecoltypmods(Tree::null());
            cte.set_ctecolcollations(Tree::null());
        }
        T_Const => {
            let value = node.cast::<pg_sys::Const>();
            if value.constisnull() {
                value.set_consttypmod(-1);
            }
        }
        // WITHOUT WRAPPER is the default, and is printed.
        #[cfg(feature = "since_17")]
        T_JsonExpr => {
            let json = node.cast::<pg_sys::JsonExpr>();
            if json.wrapper() == pg_sys::JsonWrapper::JSW_UNSPEC {
                json.set_wrapper(pg_sys::JsonWrapper::JSW_NONE);
            }
        }
        // RESPECT NULLS is the default, and is not printed.
        #[cfg(feature = "since_19")]
        T_WindowFunc => {
            let call = node.cast::<pg_sys::WindowFunc>();
            if call.ignore_nulls() == pg_sys::PARSER_RESPECT_NULLS as i32 {
                call.set_ignore_nulls(pg_sys::NO_NULLTREATMENT as i32);
            }
        }
        T_RangeTblFunction => node.cast::<pg_sys::RangeTblFunction>().set_funcparams(Bits::null()),
        _ => {}
    }
}

fn is_true(node: Node) -> bool {
    list::is(node, pg_sys::NodeTag::T_Const) && {
        let value = node.cast::<pg_sys::Const>();
        value.consttype() == pg_sys::BOOLOID && !value.constisnull() && value.constvalue().value() != 0
    }
}

fn explicit(quals: Node) -> Node {
    if list::is(quals, pg_sys::NodeTag::T_List) { server::make_ands_explicit(quals.cast()) } else { quals }
}

/// `(a AND b) AND c` is `a AND b AND c`.
fn flatten(expr: Tree<pg_sys::BoolExpr>) {
    if expr.boolop() == pg_sys::BoolExprType::NOT_EXPR {
        return;
    }
    let is_same =
        |n: Node| list::is(n, pg_sys::NodeTag::T_BoolExpr) && n.cast::<pg_sys::BoolExpr>().boolop() == expr.boolop();
    while list::iter::<pg_sys::Node>(expr.args()).any(is_same) {
        let mut all: List = Tree::null();
        for arg in list::iter::<pg_sys::Node>(expr.args()) {
            if is_same(arg) {
                for below in list::iter::<pg_sys::Node>(arg.cast::<pg_sys::BoolExpr>().args()) {
                    all = list::lappend(all, below.cast());
                }
            } else {
                all = list::lappend(all, arg.cast());
            }
        }
        expr.set_args(all);
    }
}

/// The node that a printed node is read as.
fn another(node: Node) -> Option<Node> {
    array_of_casts(node).or_else(|| null_of_length(node)).or_else(|| collated(node))
}

/// `ARRAY[a, b]::text[]` is read as `ARRAY[a::text, b::text]` (parse_expr.c, transformTypeCast).
fn array_of_casts(node: Node) -> Option<Node> {
    if !list::is(node, pg_sys::NodeTag::T_ArrayCoerceExpr) {
        return None;
    }
    let cast = node.cast::<pg_sys::ArrayCoerceExpr>();
    if !list::is(cast.arg(), pg_sys::NodeTag::T_ArrayExpr) || cast.arg().cast::<pg_sys::ArrayExpr>().multidims() {
        return None;
    }
    let array = cast.arg().cast::<pg_sys::ArrayExpr>().copy();
    let mut elements: List = Tree::null();
    for element in list::iter::<pg_sys::Node>(array.elements()) {
        let one = walk::rewrite(cast.elemexpr(), &mut |n| {
            list::is(n, pg_sys::NodeTag::T_CaseTestExpr).then(|| element.copy())
        });
        elements = list::lappend(elements, one.cast());
    }
    array.set_elements(elements);
    array.set_array_typeid(cast.resulttype());
    array.set_array_collid(cast.resultcollid());
    array.set_element_typeid(lsyscache::get_element_type(cast.resulttype()));
    Some(array.cast())
}

/// `NULL::bit(3)` is read as a NULL whose length is made three, by a function that does not look at it.
fn null_of_length(node: Node) -> Option<Node> {
    if !list::is(node, pg_sys::NodeTag::T_FuncExpr) {
        return None;
    }
    let call = node.cast::<pg_sys::FuncExpr>();
    if call.funcformat() != pg_sys::CoercionForm::COERCE_EXPLICIT_CAST || list::len(call.args()) < 2 {
        return None;
    }
    let value = list::nth::<pg_sys::Node>(call.args(), 0).cast::<pg_sys::Const>();
    let is_null = list::is(value, pg_sys::NodeTag::T_Const)
        && value.constisnull()
        && value.consttype() == call.funcresulttype()
        && lsyscache::func_strict(call.funcid());
    is_null.then(|| make::null((call.funcresulttype(), -1, call.funccollid())).cast())
}

/// A constant that is not of its type's own collation is written, and read, as an expression of that collation.
fn collated(node: Node) -> Option<Node> {
    if !list::is(node, pg_sys::NodeTag::T_CollateExpr) {
        return None;
    }
    let collate = node.cast::<pg_sys::CollateExpr>();
    if !list::is(collate.arg(), pg_sys::NodeTag::T_Const) {
        return None;
    }
    let value = collate.arg().cast::<pg_sys::Const>().copy();
    value.set_constcollid(collate.collOid());
    Some(value.cast())
}

/// A query block and those below; false when something in it cannot be written.
fn block(query: Query) -> bool {
    query.set_targetList(server::flatten_groups(query, query.targetList().cast()).cast());
    query.set_havingQual(server::flatten_groups(query, query.havingQual()));
    renumber(query);
    if !clauses::clauses(query) {
        return false;
    }
    query.set_querySource(pg_sys::QuerySource::QSRC_ORIGINAL);
    query.set_canSetTag(true);
    query.set_queryId(0);
    query.set_stmt_location(0);
    query.set_stmt_len(0);
    query.set_hasAggs(false);
    query.set_hasWindowFuncs(false);
    query.set_hasTargetSRFs(false);
    query.set_hasSubLinks(false);
    query.set_hasRowSecurity(false);
    query.set_hasRecursive(false);
    query.set_constraintDeps(Tree::null());
    if query.limitCount().is_null() {
        query.set_limitOption(pg_sys::LimitOption::LIMIT_OPTION_COUNT);
    }
    #[cfg(not(feature = "pg15"))]
    {
        query.set_rteperminfos(Tree::null());
    }
    #[cfg(feature = "since_18")]
    {
        query.set_hasGroupRTE(false);
    }
    walk::below(query).into_iter().all(block)
}

/// No query has as many relations.
const APART: i32 = 1 << 20;

/// Gives relations the numbers of their places in FROM, and forgets all others.
fn renumber(query: Query) {
    let mut from = relations::in_from(query);
    branches(query.setOperations(), &mut from);
    for index in &from {
        without_dropped(query, *index);
    }
    server::OffsetVarNodes(query.cast(), APART, 0);
    let mut kept: List = Tree::null();
    for (i, index) in from.iter().enumerate() {
        server::ChangeVarNodes(query.cast(), APART + *index as i32, i as i32 + 1, 0);
        let rte = server::rt_fetch(*index, query);
        kept = list::lappend(kept, relation(rte).cast());
    }
    let old = query.rtable();
    query.set_rtable(kept);
    // Names of columns are seen in rows as a whole.
    for (i, index) in from.iter().enumerate() {
        let rte = list::nth::<pg_sys::RangeTblEntry>(query.rtable(), i);
        if rte.rtekind() != pg_sys::RTEKind::RTE_RELATION && relations::reads_whole_row(query, i + 1) {
            let names = list::nth::<pg_sys::RangeTblEntry>(old, index - 1).eref().colnames();
            rte.set_eref(make::alias(c"row", names));
        }
    }
    let mut joins = Vec::new();
    joins::collect(query.jointree().cast(), &mut joins);
    for join in joins {
        join.set_rtindex(0);
    }
}

/// Columns of a sub-query that stands for a relation have the numbers of the relation's columns, also of dropped columns, which have
/// no name (change_rows). In the text only columns with names are there.
fn without_dropped(query: Query, index: usize) {
    let rte = server::rt_fetch(index, query);
    if rte.rtekind() != pg_sys::RTEKind::RTE_SUBQUERY {
        return;
    }
    let dropped: Vec<bool> = list::iter::<pg_sys::String>(rte.eref().colnames()).map(|n| n.sval().is(c"")).collect();
    if !dropped.contains(&true) {
        return;
    }
    walk::rewrite_deep(query.cast(), &mut |n, depth| {
        if list::is(n, pg_sys::NodeTag::T_Var) {
            let var = n.cast::<pg_sys::Var>();
            if var.varno() as usize == index && var.varlevelsup() + 1 == depth && var.varattno() > 0 {
                let before = dropped.iter().take(var.varattno() as usize - 1).filter(|d| **d).count();
                var.set_varattno(var.varattno() - before as i16);
            }
            return Some(n);
        }
        None
    });
}

/// Range table indexes of the branches of a set operation.
fn branches(node: Node, out: &mut Vec<usize>) {
    if list::is(node, pg_sys::NodeTag::T_SetOperationStmt) {
        let set = node.cast::<pg_sys::SetOperationStmt>();
        set.set_colTypmods(Tree::null());
        branches(set.larg(), out);
        branches(set.rarg(), out);
    } else if list::is(node, pg_sys::NodeTag::T_RangeTblRef) {
        out.push(node.cast::<pg_sys::RangeTblRef>().rtindex() as usize);
    }
}

/// The entry of a relation of FROM, without the properties that are levelled.
fn relation(of: RangeTblEntry) -> RangeTblEntry {
    let rte = make::make::<pg_sys::RangeTblEntry>();
    rte.set_rtekind(of.rtekind());
    match of.rtekind() {
        pg_sys::RTEKind::RTE_RELATION => {
            rte.set_relid(of.relid());
            rte.set_inh(of.inh());
            rte.set_tablesample(of.tablesample());
        }
        pg_sys::RTEKind::RTE_CTE => {
            rte.set_ctename(of.ctename());
            rte.set_ctelevelsup(of.ctelevelsup());
            rte.set_self_reference(of.self_reference());
        }
        _ => {
            rte.set_subquery(of.subquery());
            rte.set_functions(of.functions());
            rte.set_funcordinality(of.funcordinality());
            rte.set_values_lists(of.values_lists());
            rte.set_tablefunc(of.tablefunc());
        }
    }
    rte
}
