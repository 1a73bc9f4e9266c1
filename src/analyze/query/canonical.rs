//! A form of query trees in which two that mean the same, one of them read back from the text of the other, are equal.
//!
//! What it levels is what a text does not say, and what the parser works out again: numbers and order of range table entries, names
//! of relations and columns, numbers of sort references and windows, columns that are only there to be sorted by, joins and groups as
//! relations of their own (their columns are what they stand for), nesting of AND and OR, flags of a query, positions, permissions.
//! Everything else is left to the server's own `equal`: operators, functions, types, collations, levels, rows with their column names.
//! Invariant: it is never the reason why two queries that give different rows are equal. Called by printed.

use crate::analyze::query::{grouping_sets, joins, relations};
use crate::pg::ext::{self, make};
use crate::pg::{list, walk};
use pgrx::pg_sys;
use std::collections::BTreeMap;

/// Brings a private copy into this form; None when there is none: something of it cannot be written.
///
/// # Safety
/// `query` is a private copy of a valid query.
pub unsafe fn canonical(query: *mut pg_sys::Query) -> Option<*mut pg_sys::Query> {
    // SAFETY: a private copy, as the caller promises.
    unsafe {
        joins::plain(query);
        let query: *mut pg_sys::Query = walk::rewrite_deep(query.cast(), &mut |n, _| another(n)).cast();
        walk::walk(query.cast(), &mut |n| {
            level(n);
            false
        });
        block(query).then_some(query)
    }
}

/// What is levelled in single nodes.
unsafe fn level(node: *mut pg_sys::Node) {
    use pg_sys::NodeTag::*;
    // SAFETY: `node` is a live node of a tree of the server.
    unsafe {
        match (*node).type_ {
            T_Var => {
                let var = &mut *node.cast::<pg_sys::Var>();
                var.vartypmod = -1;
                #[cfg(not(feature = "pg15"))]
                {
                    var.varnullingrels = std::ptr::null_mut();
                }
            }
            T_TargetEntry => {
                let tle = &mut *node.cast::<pg_sys::TargetEntry>();
                tle.resname = std::ptr::null_mut();
                tle.resorigtbl = pg_sys::InvalidOid;
                tle.resorigcol = 0;
            }
            // The operator is in the expression below.
            T_SubLink => (*node.cast::<pg_sys::SubLink>()).operName = std::ptr::null_mut(),
            T_BoolExpr => flatten(&mut *node.cast::<pg_sys::BoolExpr>()),
            T_FromExpr => {
                let from = &mut *node.cast::<pg_sys::FromExpr>();
                from.quals = explicit(from.quals);
            }
            T_JoinExpr => {
                let join = &mut *node.cast::<pg_sys::JoinExpr>();
                join.isNatural = false;
                join.quals = explicit(join.quals);
                // CROSS JOIN has none, ON TRUE has one.
                if is_true(join.quals) {
                    join.quals = std::ptr::null_mut();
                }
            }
            T_CommonTableExpr => {
                let cte = &mut *node.cast::<pg_sys::CommonTableExpr>();
                cte.cterefcount = 0;
                let none: *mut pg_sys::List = std::ptr::null_mut();
                [cte.aliascolnames, cte.ctecolnames, cte.ctecoltypes, cte.ctecoltypmods, cte.ctecolcollations] =
                    [none; 5];
            }
            T_Const => {
                let value = &mut *node.cast::<pg_sys::Const>();
                if value.constisnull {
                    value.consttypmod = -1;
                }
            }
            // WITHOUT WRAPPER is what is meant by nothing, and is printed.
            #[cfg(any(feature = "pg17", feature = "pg18"))]
            T_JsonExpr => {
                let json = &mut *node.cast::<pg_sys::JsonExpr>();
                if json.wrapper == pg_sys::JsonWrapper::JSW_UNSPEC {
                    json.wrapper = pg_sys::JsonWrapper::JSW_NONE;
                }
            }
            T_RangeTblFunction => (*node.cast::<pg_sys::RangeTblFunction>()).funcparams = std::ptr::null_mut(),
            _ => {}
        }
    }
}

unsafe fn is_true(node: *mut pg_sys::Node) -> bool {
    // SAFETY: `node` is null or a live node of a tree of the server.
    unsafe {
        list::is(node, pg_sys::NodeTag::T_Const) && {
            let value = &*node.cast::<pg_sys::Const>();
            value.consttype == pg_sys::BOOLOID && !value.constisnull && value.constvalue.value() != 0
        }
    }
}

unsafe fn explicit(quals: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: `quals` is null, an expression or a list of expressions.
    unsafe {
        if list::is(quals, pg_sys::NodeTag::T_List) { pg_sys::make_ands_explicit(quals.cast()).cast() } else { quals }
    }
}

/// `(a AND b) AND c` is `a AND b AND c`.
unsafe fn flatten(expr: &mut pg_sys::BoolExpr) {
    // SAFETY: the arguments are live expressions.
    unsafe {
        if expr.boolop == pg_sys::BoolExprType::NOT_EXPR {
            return;
        }
        let is_same = |n: *mut pg_sys::Node| {
            list::is(n, pg_sys::NodeTag::T_BoolExpr) && (*n.cast::<pg_sys::BoolExpr>()).boolop == expr.boolop
        };
        while list::iter::<pg_sys::Node>(expr.args).any(is_same) {
            let mut all: *mut pg_sys::List = std::ptr::null_mut();
            for arg in list::iter::<pg_sys::Node>(expr.args) {
                if is_same(arg) {
                    for below in list::iter::<pg_sys::Node>((*arg.cast::<pg_sys::BoolExpr>()).args) {
                        all = pg_sys::lappend(all, below.cast());
                    }
                } else {
                    all = pg_sys::lappend(all, arg.cast());
                }
            }
            expr.args = all;
        }
    }
}

/// The node that one is read as.
unsafe fn another(node: *mut pg_sys::Node) -> Option<*mut pg_sys::Node> {
    // SAFETY: `node` is a live node of a tree of the server.
    unsafe { array_of_casts(node).or_else(|| null_of_length(node)).or_else(|| collated(node)) }
}

/// `ARRAY[a, b]::text[]` is read as `ARRAY[a::text, b::text]` (parse_expr.c, transformTypeCast).
unsafe fn array_of_casts(node: *mut pg_sys::Node) -> Option<*mut pg_sys::Node> {
    // SAFETY: `node` is a live node of a tree of the server.
    unsafe {
        if !list::is(node, pg_sys::NodeTag::T_ArrayCoerceExpr) {
            return None;
        }
        let cast = &*node.cast::<pg_sys::ArrayCoerceExpr>();
        if !list::is(cast.arg, pg_sys::NodeTag::T_ArrayExpr) || (*cast.arg.cast::<pg_sys::ArrayExpr>()).multidims {
            return None;
        }
        let array = ext::copy(cast.arg.cast::<pg_sys::ArrayExpr>());
        let mut elements: *mut pg_sys::List = std::ptr::null_mut();
        for element in list::iter::<pg_sys::Node>((*array).elements) {
            let one = walk::rewrite(cast.elemexpr.cast(), &mut |n| {
                list::is(n, pg_sys::NodeTag::T_CaseTestExpr).then(|| ext::copy(element))
            });
            elements = pg_sys::lappend(elements, one.cast());
        }
        (*array).elements = elements;
        (*array).array_typeid = cast.resulttype;
        (*array).array_collid = cast.resultcollid;
        (*array).element_typeid = pg_sys::get_element_type(cast.resulttype);
        Some(array.cast())
    }
}

/// `NULL::bit(3)` is read as a NULL whose length is made three, by a function that does not look at it.
unsafe fn null_of_length(node: *mut pg_sys::Node) -> Option<*mut pg_sys::Node> {
    // SAFETY: `node` is a live node of a tree of the server.
    unsafe {
        if !list::is(node, pg_sys::NodeTag::T_FuncExpr) {
            return None;
        }
        let call = &*node.cast::<pg_sys::FuncExpr>();
        if call.funcformat != pg_sys::CoercionForm::COERCE_EXPLICIT_CAST || list::len(call.args) < 2 {
            return None;
        }
        let value = list::nth::<pg_sys::Node>(call.args, 0).cast::<pg_sys::Const>();
        let is_null = list::is(value, pg_sys::NodeTag::T_Const)
            && (*value).constisnull
            && (*value).consttype == call.funcresulttype
            && pg_sys::func_strict(call.funcid);
        is_null.then(|| pg_sys::makeNullConst(call.funcresulttype, -1, call.funccollid).cast())
    }
}

/// A constant that is not of its type's own collation is written, and read, as an expression of that collation.
unsafe fn collated(node: *mut pg_sys::Node) -> Option<*mut pg_sys::Node> {
    // SAFETY: `node` is a live node of a tree of the server.
    unsafe {
        if !list::is(node, pg_sys::NodeTag::T_CollateExpr) {
            return None;
        }
        let collate = &*node.cast::<pg_sys::CollateExpr>();
        if !list::is(collate.arg, pg_sys::NodeTag::T_Const) {
            return None;
        }
        let value = ext::copy(collate.arg.cast::<pg_sys::Const>());
        (*value).constcollid = collate.collOid;
        Some(value.cast())
    }
}

/// A query block and those below; false when something in it cannot be written.
unsafe fn block(query: *mut pg_sys::Query) -> bool {
    // SAFETY: `query` is a private copy.
    unsafe {
        let q = &mut *query;
        q.targetList = ext::flatten_groups(query, q.targetList.cast()).cast();
        q.havingQual = ext::flatten_groups(query, q.havingQual);
        renumber(query);
        if !clauses(query) {
            return false;
        }
        q.querySource = pg_sys::QuerySource::QSRC_ORIGINAL;
        q.canSetTag = true;
        q.queryId = 0;
        q.stmt_location = 0;
        q.stmt_len = 0;
        q.hasAggs = false;
        q.hasWindowFuncs = false;
        q.hasTargetSRFs = false;
        q.hasSubLinks = false;
        q.hasRowSecurity = false;
        q.hasRecursive = false;
        q.constraintDeps = std::ptr::null_mut();
        if q.limitCount.is_null() {
            q.limitOption = pg_sys::LimitOption::LIMIT_OPTION_COUNT;
        }
        #[cfg(not(feature = "pg15"))]
        {
            q.rteperminfos = std::ptr::null_mut();
        }
        #[cfg(feature = "pg18")]
        {
            q.hasGroupRTE = false;
        }
        walk::below(query).into_iter().all(|below| block(below))
    }
}

/// No query has as many relations.
const APART: i32 = 1 << 20;

/// Gives relations the numbers of their places in FROM, and forgets all others.
unsafe fn renumber(query: *mut pg_sys::Query) {
    // SAFETY: `query` is a private copy.
    unsafe {
        let q = &mut *query;
        let mut from = relations::in_from(query);
        branches(q.setOperations, &mut from);
        for index in &from {
            without_dropped(query, *index);
        }
        pg_sys::OffsetVarNodes(query.cast(), APART, 0);
        let mut kept: *mut pg_sys::List = std::ptr::null_mut();
        for (i, index) in from.iter().enumerate() {
            pg_sys::ChangeVarNodes(query.cast(), APART + *index as i32, i as i32 + 1, 0);
            let rte = list::nth::<pg_sys::RangeTblEntry>(q.rtable, index - 1);
            kept = pg_sys::lappend(kept, relation(rte).cast());
        }
        let old = q.rtable;
        q.rtable = kept;
        // Names of columns are seen in rows as a whole.
        for (i, index) in from.iter().enumerate() {
            let rte = list::nth::<pg_sys::RangeTblEntry>(q.rtable, i);
            if (*rte).rtekind != pg_sys::RTEKind::RTE_RELATION && relations::reads_whole_row(query, i + 1) {
                let names = (*(*list::nth::<pg_sys::RangeTblEntry>(old, index - 1)).eref).colnames;
                (*rte).eref = pg_sys::makeAlias(c"row".as_ptr(), names);
            }
        }
        let mut joins = Vec::new();
        joins::collect(q.jointree.cast(), &mut joins);
        for join in joins {
            (*join).rtindex = 0;
        }
    }
}

/// Columns of a sub-query that stands for a relation have the numbers of those of the relation, also of dropped ones, which have
/// no name (change_rows). In the text they are what their names say.
unsafe fn without_dropped(query: *mut pg_sys::Query, index: usize) {
    // SAFETY: `query` is a private copy.
    unsafe {
        let rte = list::nth::<pg_sys::RangeTblEntry>((*query).rtable, index - 1);
        if (*rte).rtekind != pg_sys::RTEKind::RTE_SUBQUERY {
            return;
        }
        let dropped: Vec<bool> = list::iter::<pg_sys::String>((*(*rte).eref).colnames)
            .map(|n| std::ffi::CStr::from_ptr((*n).sval).is_empty())
            .collect();
        if !dropped.contains(&true) {
            return;
        }
        walk::rewrite_deep(query.cast(), &mut |n, depth| {
            if list::is(n, pg_sys::NodeTag::T_Var) {
                let var = &mut *n.cast::<pg_sys::Var>();
                if var.varno as usize == index && var.varlevelsup + 1 == depth && var.varattno > 0 {
                    let before = dropped.iter().take(var.varattno as usize - 1).filter(|d| **d).count();
                    var.varattno -= before as i16;
                }
                return Some(n);
            }
            None
        });
    }
}

/// Range table indexes of the branches of a set operation.
unsafe fn branches(node: *mut pg_sys::Node, out: &mut Vec<usize>) {
    // SAFETY: `node` is null or a node of a tree of set operations.
    unsafe {
        if list::is(node, pg_sys::NodeTag::T_SetOperationStmt) {
            let set = &mut *node.cast::<pg_sys::SetOperationStmt>();
            set.colTypmods = std::ptr::null_mut();
            branches(set.larg, out);
            branches(set.rarg, out);
        } else if list::is(node, pg_sys::NodeTag::T_RangeTblRef) {
            out.push((*node.cast::<pg_sys::RangeTblRef>()).rtindex as usize);
        }
    }
}

/// What a relation of FROM is.
unsafe fn relation(of: *mut pg_sys::RangeTblEntry) -> *mut pg_sys::RangeTblEntry {
    // SAFETY: a live range table entry.
    unsafe {
        let of = &*of;
        let rte = make::<pg_sys::RangeTblEntry>(pg_sys::NodeTag::T_RangeTblEntry);
        (*rte).rtekind = of.rtekind;
        match of.rtekind {
            pg_sys::RTEKind::RTE_RELATION => {
                (*rte).relid = of.relid;
                (*rte).inh = of.inh;
                (*rte).tablesample = of.tablesample;
            }
            pg_sys::RTEKind::RTE_CTE => {
                (*rte).ctename = of.ctename;
                (*rte).ctelevelsup = of.ctelevelsup;
                (*rte).self_reference = of.self_reference;
            }
            _ => {
                (*rte).subquery = of.subquery;
                (*rte).functions = of.functions;
                (*rte).funcordinality = of.funcordinality;
                (*rte).values_lists = of.values_lists;
                (*rte).tablefunc = of.tablefunc;
            }
        }
        rte
    }
}

/// Expressions that clauses refer to, each once.
struct Keys {
    query: *mut pg_sys::Query,
    found: Vec<*mut pg_sys::Node>,
}

impl Keys {
    /// The number of the expression of a target entry, from 1.
    unsafe fn number(&mut self, reference: u32) -> u32 {
        // SAFETY: the query has a target entry for each reference.
        unsafe {
            let tle = pg_sys::get_sortgroupref_tle(reference, (*self.query).targetList);
            let node: *mut pg_sys::Node = if (*self.query).setOperations.is_null() {
                // Queries in it are brought into their form where it stands, too.
                ext::copy((*tle).expr).cast()
            } else {
                // An expression, as walks over a query expect in target entries.
                ext::int4((*tle).resno.into()).cast()
            };
            let known = self.found.iter().position(|k| pg_sys::equal((*k).cast(), node.cast()));
            known.unwrap_or_else(|| {
                self.found.push(node);
                self.found.len() - 1
            }) as u32
                + 1
        }
    }

    /// A clause that says by what, or, when `sorts`, also in which order.
    unsafe fn clause(&mut self, clause: *mut pg_sys::List, sorts: bool) -> *mut pg_sys::List {
        // SAFETY: as for `number`.
        unsafe {
            let mut out: *mut pg_sys::List = std::ptr::null_mut();
            let mut seen = Vec::new();
            for item in list::iter::<pg_sys::SortGroupClause>(clause) {
                let of = pg_sys::exprType(
                    (*pg_sys::get_sortgroupref_tle((*item).tleSortGroupRef, (*self.query).targetList)).expr.cast(),
                );
                let number = self.number((*item).tleSortGroupRef);
                if seen.contains(&number) {
                    continue;
                }
                seen.push(number);
                let own = make::<pg_sys::SortGroupClause>(pg_sys::NodeTag::T_SortGroupClause);
                (*own).tleSortGroupRef = number;
                (*own).eqop = (*item).eqop;
                if (*own).eqop == pg_sys::InvalidOid {
                    (*own).eqop = (*pg_sys::lookup_type_cache(of, pg_sys::TYPECACHE_EQ_OPR as i32)).eq_opr;
                }
                if sorts {
                    (*own).sortop = (*item).sortop;
                    (*own).nulls_first = (*item).nulls_first;
                }
                out = pg_sys::lappend(out, own.cast());
            }
            out
        }
    }
}

/// Clauses that refer to target entries refer to expressions, which come behind the outputs.
unsafe fn clauses(query: *mut pg_sys::Query) -> bool {
    // SAFETY: `query` is a private copy.
    unsafe {
        let q = &mut *query;
        let mut keys = Keys { query, found: Vec::new() };
        let references: Vec<u32> =
            list::iter::<pg_sys::SortGroupClause>(q.groupClause).map(|c| (*c).tleSortGroupRef).collect();
        q.groupClause = keys.clause(q.groupClause, false);
        // Two grouping columns that are one in the text.
        if !q.groupingSets.is_null() && list::len(q.groupClause) < references.len() {
            return false;
        }
        let numbers: BTreeMap<u32, u32> = references.into_iter().map(|r| (r, keys.number(r))).collect();
        q.groupingSets = grouping_sets::renumbered(q.groupingSets, &|r| numbers.get(&r).copied().unwrap_or(0));
        q.sortClause = keys.clause(q.sortClause, true);
        if q.hasDistinctOn {
            q.distinctClause = keys.clause(q.distinctClause, false);
        } else if !q.distinctClause.is_null() {
            // By all outputs.
            q.distinctClause = std::ptr::null_mut();
            q.isReturn = true;
        }
        windows(q, &mut keys);
        let mut targets: *mut pg_sys::List = std::ptr::null_mut();
        let set = !q.setOperations.is_null();
        for tle in list::iter::<pg_sys::TargetEntry>(q.targetList) {
            if !(*tle).resjunk {
                (*tle).ressortgroupref = 0;
                (*tle).resno = list::len(targets) as i16 + 1;
                targets = pg_sys::lappend(targets, tle.cast());
            } else if !keys.found.iter().any(|k| pg_sys::equal((*k).cast(), (*tle).expr.cast()))
                && pg_sys::expression_returns_set((*tle).expr.cast())
            {
                // Rows that nothing in the text would make.
                return false;
            }
        }
        if set {
            // The columns are those of the branches.
            targets = std::ptr::null_mut();
        }
        for (i, key) in keys.found.iter().enumerate() {
            let number = list::len(targets) as i16 + 1;
            let tle = pg_sys::makeTargetEntry((*key).cast(), number, std::ptr::null_mut(), true);
            (*tle).ressortgroupref = i as u32 + 1;
            targets = pg_sys::lappend(targets, tle.cast());
        }
        q.targetList = targets;
        true
    }
}

/// Windows that are used, in the order of their first use.
unsafe fn windows(q: &mut pg_sys::Query, keys: &mut Keys) {
    // SAFETY: a private copy.
    unsafe {
        let mut used: Vec<u32> = Vec::new();
        walk::walk(q.targetList.cast(), &mut |n| {
            if list::is(n, pg_sys::NodeTag::T_WindowFunc) {
                let call = &mut *n.cast::<pg_sys::WindowFunc>();
                let at = used.iter().position(|w| *w == call.winref).unwrap_or_else(|| {
                    used.push(call.winref);
                    used.len() - 1
                });
                call.winref = at as u32 + 1;
            }
            false
        });
        let mut out: *mut pg_sys::List = std::ptr::null_mut();
        for (i, winref) in used.iter().enumerate() {
            for window in list::iter::<pg_sys::WindowClause>(q.windowClause).filter(|w| (**w).winref == *winref) {
                let own = ext::copy(window);
                (*own).name = std::ptr::null_mut();
                (*own).refname = std::ptr::null_mut();
                (*own).copiedOrder = false;
                (*own).winref = i as u32 + 1;
                (*own).partitionClause = keys.clause((*own).partitionClause, false);
                (*own).orderClause = keys.clause((*own).orderClause, true);
                out = pg_sys::lappend(out, own.cast());
            }
        }
        q.windowClause = out;
    }
}
