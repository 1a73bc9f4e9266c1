//! Rows of views as a whole: `to_jsonb(v)`, when `v` has become a sub-query.
//!
//! A row of a sub-query has no type but record, and its columns the names that the sub-query was given. Invariant: the row keeps the type of the
//! view, and with it the names that the view has now. A view on the nullable side of an outer join is left alone: its row is NULL as a
//! whole there, which a row of NULLs is not. Called by load. Source: rewrite/rewriteManip.c, ReplaceVarFromTargetList.

use crate::analyze::query::from;
use crate::pg::ext::make;
use crate::pg::relation::Relation;
use crate::pg::{list, walk};
use pgrx::pg_sys;
use std::ffi::CStr;

/// Changes the rows of all blocks of a query, in place.
///
/// # Safety
/// `query` is a private copy in which views are sub-queries.
pub unsafe fn spell_out(query: *mut pg_sys::Query) {
    // SAFETY: the nodes are live ones of a private tree, as the caller promises.
    unsafe {
        let mut blocks: Vec<*mut pg_sys::Query> = Vec::new();
        walk::walk(query.cast(), &mut |n| {
            if list::is(n, pg_sys::NodeTag::T_Query) {
                blocks.push(n.cast());
            }
            false
        });
        for block in blocks.into_iter().rev() {
            let found = walk::walk(block.cast(), &mut |n| row_of(n).is_some());
            if found {
                let changed = walk::rewrite_deep(block.cast(), &mut |n, depth| {
                    let var = row_of(n)?;
                    if (*var).varlevelsup + 1 != depth || !is_view(block, (*var).varno as usize) {
                        return None;
                    }
                    name_all(block, var);
                    spelled(var)
                });
                *block = *changed.cast::<pg_sys::Query>();
            }
        }
    }
}

/// A row of something with a type of its own.
unsafe fn row_of(node: *mut pg_sys::Node) -> Option<*mut pg_sys::Var> {
    // SAFETY: `node` is a live node of a tree of the server.
    unsafe {
        let var = node.cast::<pg_sys::Var>();
        (list::is(node, pg_sys::NodeTag::T_Var) && (*var).varattno == 0 && (*var).vartype != pg_sys::RECORDOID)
            .then_some(var)
    }
}

unsafe fn is_view(block: *mut pg_sys::Query, index: usize) -> bool {
    // SAFETY: `index` is that of an entry of the block.
    unsafe {
        let rte = list::nth::<pg_sys::RangeTblEntry>((*block).rtable, index - 1);
        let mut path = Vec::new();
        (*rte).rtekind == pg_sys::RTEKind::RTE_SUBQUERY
            && from::find((*block).jointree.cast(), index, &mut path)
            && !path.iter().any(|on| from::is_nullable(on))
    }
}

/// In a query that was stored before its view got more columns, these have a name of the server's making (rewriteHandler.c, ApplyRetrieveRule),
/// by which a text does not find them.
unsafe fn name_all(block: *mut pg_sys::Query, var: *mut pg_sys::Var) {
    // SAFETY: a private copy of the query; the view is locked as one of it.
    unsafe {
        let rte = list::nth::<pg_sys::RangeTblEntry>((*block).rtable, (*var).varno as usize - 1);
        let view = Relation::open(pg_sys::get_typ_typrelid((*var).vartype), pg_sys::AccessShareLock);
        let Some(view) = view else { return };
        for (i, name) in list::iter::<pg_sys::String>((*(*rte).eref).colnames).enumerate().take(view.natts()) {
            if CStr::from_ptr((*name).sval) == c"?column?" {
                (*name).sval = pg_sys::pstrdup(view.attribute(i).attname.data.as_ptr());
            }
        }
    }
}

/// `ROW(v.a, v.b)::v`
unsafe fn spelled(var: *mut pg_sys::Var) -> Option<*mut pg_sys::Node> {
    // SAFETY: makes new nodes in the current context; the view is locked as one of the query.
    unsafe {
        let view = Relation::open(pg_sys::get_typ_typrelid((*var).vartype), pg_sys::AccessShareLock)?;
        let row = make::<pg_sys::RowExpr>(pg_sys::NodeTag::T_RowExpr);
        for i in 0..view.natts() {
            let att = view.attribute(i);
            let column = pg_sys::makeVar(
                (*var).varno as _,
                att.attnum,
                att.atttypid,
                att.atttypmod,
                att.attcollation,
                (*var).varlevelsup,
            );
            (*row).args = pg_sys::lappend((*row).args, column.cast());
        }
        (*row).row_typeid = (*var).vartype;
        (*row).row_format = pg_sys::CoercionForm::COERCE_EXPLICIT_CAST;
        (*row).location = -1;
        Some(row.cast())
    }
}
