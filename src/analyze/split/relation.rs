//! The place of a stage in the query above it: range table entries, and queries that read nothing else.
//!
//! Invariant: columns of a stage are c1, c2 …, in the order of its outputs.

use crate::analyze::query::tree::outputs;
use crate::pg::error::{Error, Result};
use crate::pg::ext::make;
use crate::pg::{list, name};
use pgrx::pg_sys;
use std::ffi::CString;

/// Turns a sub-query of FROM into a relation, keeping its alias.
pub unsafe fn become_relation(rte: *mut pg_sys::RangeTblEntry, oid: pg_sys::Oid) -> Result<()> {
    // SAFETY: `rte` is a live node of a tree of the server.
    unsafe {
        let donor = relation_entry(oid)?;
        let alias = pg_sys::makeAlias((*(*rte).eref).aliasname, (*(*rte).eref).colnames);
        (*donor).alias = alias;
        (*donor).eref = pg_sys::makeAlias((*(*rte).eref).aliasname, (*(*rte).eref).colnames);
        (*donor).inFromCl = true;
        *rte = *donor;
        Ok(())
    }
}

unsafe fn relation_entry(oid: pg_sys::Oid) -> Result<*mut pg_sys::RangeTblEntry> {
    // SAFETY: makes a new node in the current context; the relation is locked as one of the query.
    unsafe {
        let table = name::relation(oid).ok_or_else(|| Error::Internal("a stage does not exist".into()))?;
        let text = CString::new(format!("SELECT FROM {table}")).unwrap_or_default();
        let text = pg_sys::pstrdup(text.as_ptr());
        let raw = pg_sys::raw_parser(text, pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let query =
            pg_sys::parse_analyze_fixedparams(list::nth(raw, 0), text, std::ptr::null(), 0, std::ptr::null_mut());
        let rte = list::nth::<pg_sys::RangeTblEntry>((*query).rtable, 0);
        #[cfg(not(feature = "pg15"))]
        {
            (*rte).perminfoindex = 0;
        }
        Ok(rte)
    }
}

/// A query with nothing but a stage in its FROM clause.
pub unsafe fn over(stage: *mut pg_sys::Query, oid: pg_sys::Oid) -> Result<*mut pg_sys::Query> {
    // SAFETY: `stage` is a live tree of the server.
    unsafe {
        let query = make::<pg_sys::Query>(pg_sys::NodeTag::T_Query);
        (*query).commandType = pg_sys::CmdType::CMD_SELECT;
        (*query).canSetTag = true;
        (*query).querySource = pg_sys::QuerySource::QSRC_ORIGINAL;
        let rte = relation_entry(oid)?;
        let mut names: *mut pg_sys::List = std::ptr::null_mut();
        for i in 0..outputs(stage).len() {
            names = pg_sys::lappend(names, pg_sys::makeString(label(i)).cast());
        }
        (*rte).alias = pg_sys::makeAlias(c"stage".as_ptr(), names);
        (*rte).eref = pg_sys::makeAlias(c"stage".as_ptr(), names);
        (*rte).inFromCl = true;
        (*query).rtable = pg_sys::lappend(std::ptr::null_mut(), rte.cast());
        let reference = make::<pg_sys::RangeTblRef>(pg_sys::NodeTag::T_RangeTblRef);
        (*reference).rtindex = 1;
        let from = make::<pg_sys::FromExpr>(pg_sys::NodeTag::T_FromExpr);
        (*from).fromlist = pg_sys::lappend(std::ptr::null_mut(), reference.cast());
        (*query).jointree = from;
        Ok(query)
    }
}

/// One stage more in the FROM clause: `next` is a query with nothing but a stage.
pub unsafe fn beside(outer: *mut pg_sys::Query, next: *mut pg_sys::Query) -> *mut pg_sys::Query {
    // SAFETY: `outer` and `next` are live trees of the server.
    unsafe {
        (*outer).rtable = pg_sys::lappend((*outer).rtable, list::nth::<pg_sys::Node>((*next).rtable, 0).cast());
        let reference = make::<pg_sys::RangeTblRef>(pg_sys::NodeTag::T_RangeTblRef);
        (*reference).rtindex = list::len((*outer).rtable) as i32;
        let from = &mut *(*outer).jointree;
        from.fromlist = pg_sys::lappend(from.fromlist, reference.cast());
        outer
    }
}

/// `SELECT * FROM stage`.
pub unsafe fn select_all(stage: *mut pg_sys::Query, oid: pg_sys::Oid) -> Result<*mut pg_sys::Query> {
    // SAFETY: `stage` is a live tree of the server.
    unsafe {
        let query = over(stage, oid)?;
        let mut targetlist: *mut pg_sys::List = std::ptr::null_mut();
        for (i, tle) in outputs(stage).into_iter().enumerate() {
            let var = column(i, (*tle).expr.cast());
            let own = pg_sys::makeTargetEntry(var.cast(), i as i16 + 1, (*tle).resname, false);
            targetlist = pg_sys::lappend(targetlist, own.cast());
        }
        (*query).targetList = targetlist;
        Ok(query)
    }
}

/// Name of column `i` of a stage, from 0.
pub unsafe fn label(i: usize) -> *mut std::ffi::c_char {
    // SAFETY: formats into memory of the current context, NUL included.
    unsafe {
        let name = CString::new(format!("c{}", i + 1)).unwrap_or_default();
        pg_sys::pstrdup(name.as_ptr())
    }
}

/// Column `i` of the only relation of a query.
pub unsafe fn column(i: usize, of: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: `of` is a live node of a tree of the server.
    unsafe { stage_column(1, i, of) }
}

/// Column `i` of one of several stages, `index` being its number in the range table, from 1.
pub unsafe fn stage_column(index: i32, i: usize, of: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: `of` is a live node of a tree of the server.
    unsafe {
        let (typid, typmod, collation) = (pg_sys::exprType(of), pg_sys::exprTypmod(of), pg_sys::exprCollation(of));
        pg_sys::makeVar(index, i as i16 + 1, typid, typmod, collation, 0).cast()
    }
}
