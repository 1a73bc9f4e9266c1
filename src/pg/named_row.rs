//! Rows whose columns have names: `row_to_json(x.*)` of `a JOIN b USING (i) AS x`.
//!
//! The parser makes a row expression of such a row, with the names of its columns, and the deparser prints it as `ROW(…)`, whose
//! columns are f1, f2 and so on. Here it becomes `(SELECT r FROM (SELECT … AS i) r)`, a row with the same names.
//! Invariant: the same row. Called by `deparse`. Source: utils/adt/ruleutils.c, get_rule_expr; parser/parse_expr.c,
//! transformWholeRowRef.

use super::{ext, list, walk};
use pgrx::pg_sys;
use std::ffi::CStr;

/// Changes the rows of a query.
///
/// # Safety
/// `query` is valid and the caller's own.
pub unsafe fn select(query: *mut pg_sys::Query) -> *mut pg_sys::Query {
    // SAFETY: the nodes are live ones of a tree of the server, as the caller promises.
    unsafe {
        let found = walk::walk(query.cast(), &mut |n| is_named(n));
        if found { rewrite(query.cast()).cast() } else { query }
    }
}

/// # Safety
/// The nodes are live ones of a tree of the server.
unsafe fn rewrite(node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe { walk::rewrite_deep(node, &mut |n, _| is_named(n).then(|| sub_query(n.cast()).cast())) }
}

/// Whether a row has other names than ROW(…) gives.
///
/// # Safety
/// The nodes are live ones of a tree of the server.
unsafe fn is_named(node: *mut pg_sys::Node) -> bool {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        if !list::is(node, pg_sys::NodeTag::T_RowExpr) {
            return false;
        }
        let row = &*node.cast::<pg_sys::RowExpr>();
        let mut names = list::iter::<pg_sys::String>(row.colnames).enumerate();
        row.row_typeid == pg_sys::RECORDOID
            && names.any(|(i, n)| CStr::from_ptr((*n).sval).to_bytes() != format!("f{}", i + 1).as_bytes())
    }
}

/// `(SELECT r FROM (SELECT … AS name, …) r)`.
///
/// # Safety
/// The nodes are live ones of a tree of the server.
unsafe fn sub_query(row: *mut pg_sys::RowExpr) -> *mut pg_sys::SubLink {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        let rows = select_of(std::ptr::null_mut());
        for (arg, label) in list::iter::<pg_sys::Node>((*row).args).zip(list::iter::<pg_sys::String>((*row).colnames)) {
            let value = ext::copy(rewrite(arg));
            pg_sys::IncrementVarSublevelsUp(value, 2, 0);
            let number = list::len((*rows).targetList) as i16 + 1;
            let tle = pg_sys::makeTargetEntry(value.cast(), number, pg_sys::pstrdup((*label).sval), false);
            (*rows).targetList = pg_sys::lappend((*rows).targetList, tle.cast());
        }
        let rte = node::<pg_sys::RangeTblEntry>(pg_sys::NodeTag::T_RangeTblEntry);
        (*rte).rtekind = pg_sys::RTEKind::RTE_SUBQUERY;
        (*rte).subquery = rows;
        (*rte).inFromCl = true;
        (*rte).alias = pg_sys::makeAlias(c"r".as_ptr(), std::ptr::null_mut());
        (*rte).eref = pg_sys::makeAlias(c"r".as_ptr(), (*row).colnames);
        let whole = pg_sys::makeVar(1, 0, pg_sys::RECORDOID, -1, pg_sys::InvalidOid, 0);
        let outer = select_of(rte);
        let tle = pg_sys::makeTargetEntry(whole.cast(), 1, pg_sys::pstrdup(c"r".as_ptr()), false);
        (*outer).targetList = pg_sys::lappend(std::ptr::null_mut(), tle.cast());
        let link = node::<pg_sys::SubLink>(pg_sys::NodeTag::T_SubLink);
        (*link).subLinkType = pg_sys::SubLinkType::EXPR_SUBLINK;
        (*link).subselect = outer.cast();
        (*link).location = -1;
        link
    }
}

/// A query over one item of FROM, or none.
///
/// # Safety
/// The nodes are live ones of a tree of the server.
unsafe fn select_of(rte: *mut pg_sys::RangeTblEntry) -> *mut pg_sys::Query {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        let query = node::<pg_sys::Query>(pg_sys::NodeTag::T_Query);
        (*query).commandType = pg_sys::CmdType::CMD_SELECT;
        (*query).canSetTag = true;
        let from = node::<pg_sys::FromExpr>(pg_sys::NodeTag::T_FromExpr);
        if !rte.is_null() {
            (*query).rtable = pg_sys::lappend(std::ptr::null_mut(), rte.cast());
            let reference = node::<pg_sys::RangeTblRef>(pg_sys::NodeTag::T_RangeTblRef);
            (*reference).rtindex = 1;
            (*from).fromlist = pg_sys::lappend(std::ptr::null_mut(), reference.cast());
        }
        (*query).jointree = from;
        query
    }
}

/// # Safety
/// The nodes are live ones of a tree of the server.
unsafe fn node<T>(tag: pg_sys::NodeTag) -> *mut T {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        let made = pg_sys::palloc0(std::mem::size_of::<T>()).cast::<pg_sys::Node>();
        (*made).type_ = tag;
        made.cast()
    }
}
