//! Relations and indexes that TVIEWs need besides themselves, made without a statement.
//!
//! Invariant: made by the server's own functions below the utility statements, so no right is needed that the current user lacks, none is
//! lent, and users' event triggers, default privileges and hooks of utility statements do not see these objects. Expressions of users (the
//! query, index expressions) are analysed and evaluated as the current user, who is the owner.
//! Called by build/internal and build/indexes. Source: commands/createas.c, create_ctas_internal; tcop/utility.c, T_IndexStmt.

use super::error::{Error, Result};
use super::{ext, list, tupdesc};
use pgrx::pg_sys::{self, Oid, ffi::pg_guard_ffi_boundary as guard};
use std::ffi::{CStr, CString, c_char};

mod raw {
    use super::*;
    unsafe extern "C-unwind" {
        // catalog/toasting.h
        pub fn NewRelationCreateToastTable(relation: Oid, reloptions: pg_sys::Datum);
        // parser/parse_utilcmd.h
        pub fn transformIndexStmt(
            relation: Oid,
            stmt: *mut pg_sys::IndexStmt,
            text: *const c_char,
        ) -> *mut pg_sys::IndexStmt;
    }
}

/// The only statement of `sql`, parsed, and the text, which its nodes refer to.
fn parse(sql: &str) -> Result<(*mut pg_sys::RawStmt, *mut c_char)> {
    // SAFETY: the copy of the text lives as long as the tree that points into it: both in the current context.
    unsafe {
        let text = CString::new(sql).map_err(|_| Error::Internal("NUL byte in SQL text".into()))?;
        let text = pg_sys::pstrdup(text.as_ptr());
        Ok((list::nth(pg_sys::raw_parser(text, pg_sys::RawParseMode::RAW_PARSE_DEFAULT), 0), text))
    }
}

/// The query of a SELECT, analysed under the current search_path.
///
/// # Safety
/// `sql` is one SELECT.
pub unsafe fn analyze(sql: &str) -> Result<*mut pg_sys::Query> {
    // SAFETY: `sql` is one SELECT, as the caller promises.
    unsafe {
        let (raw, text) = parse(sql)?;
        Ok(pg_sys::parse_analyze_fixedparams(raw, text, std::ptr::null(), 0, std::ptr::null_mut()))
    }
}

/// A materialized view of access method `method`, not populated; its columns are called as `labels` says, those behind them c1, c2 … by their number; its
/// reloptions are `options`.
///
/// # Safety
/// `query` is an analysed SELECT; the current user is `owner`, or the SELECT reads nothing.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub unsafe fn create_matview(
    (schema, tablespace): (Oid, Oid),
    persistence: u8,
    (name, labels): (&CStr, &[CString]),
    owner: Oid,
    method: Oid,
    options: &[&str],
    query: *mut pg_sys::Query,
) -> Result<Oid> {
    // SAFETY: the caller promises: `query` is an analysed SELECT; the current user is `owner`.
    unsafe {
        let outputs: Vec<*mut pg_sys::TargetEntry> =
            list::iter::<pg_sys::TargetEntry>((*query).targetList).filter(|t| !(**t).resjunk).collect();
        let columns = pg_sys::CreateTemplateTupleDesc(outputs.len() as i32);
        for (number, output) in (1i16..).zip(&outputs) {
            let expr = (**output).expr.cast::<pg_sys::Node>();
            let collation = pg_sys::exprCollation(expr);
            let numbered = || CString::new(format!("c{number}")).unwrap_or_default();
            let label = labels.get(number as usize - 1).cloned().unwrap_or_else(numbered);
            if collation == pg_sys::InvalidOid && pg_sys::type_is_collatable(pg_sys::exprType(expr)) {
                return Err(Error::IndeterminateCollation(number));
            }
            pg_sys::TupleDescInitEntry(
                columns,
                number,
                label.as_ptr(),
                pg_sys::exprType(expr),
                pg_sys::exprTypmod(expr),
                0,
            );
            pg_sys::TupleDescInitEntryCollation(columns, number, collation);
        }
        tupdesc::finalize(columns);
        let options: Vec<String> = options.iter().map(|o| o.to_string()).collect();
        let options = if options.is_empty() { None } else { pgrx::IntoDatum::into_datum(options) };
        let relid = pg_sys::heap_create_with_catalog(
            name.as_ptr(),
            schema,
            tablespace,
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            owner,
            method,
            columns,
            std::ptr::null_mut(),
            pg_sys::RELKIND_MATVIEW as c_char,
            persistence as c_char,
            false,
            false,
            pg_sys::OnCommitAction::ONCOMMIT_NOOP,
            options.unwrap_or(pg_sys::Datum::from(0usize)),
            // no default privileges
            false,
            false,
            true,
            pg_sys::InvalidOid,
            std::ptr::null_mut(),
        );
        pg_sys::CommandCounterIncrement();
        create_toast_table(relid);
        ext::store_view_query(relid, ext::copy(query), false);
        pg_sys::CommandCounterIncrement();
        Ok(relid)
    }
}

/// A TOAST table, if the relation needs one and has none.
///
/// # Safety
/// The relation is locked ACCESS EXCLUSIVE.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub unsafe fn create_toast_table(relid: Oid) {
    // SAFETY: the relation is locked, as the caller promises.
    unsafe {
        guard(|| raw::NewRelationCreateToastTable(relid, pg_sys::Datum::from(0usize)));
        pg_sys::CommandCounterIncrement();
    }
}

/// Runs a CREATE INDEX of our own on a relation that is locked.
///
/// # Safety
/// `sql` is one CREATE INDEX statement on `relid`; the current user is its owner.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub unsafe fn create_index(relid: Oid, sql: &str) -> Result<pg_sys::ObjectAddress> {
    // SAFETY: the caller promises: `sql` is one CREATE INDEX statement on `relid`; the current user is its owner.
    unsafe {
        let (raw, text) = parse(sql)?;
        let stmt = (*raw).stmt.cast::<pg_sys::IndexStmt>();
        let stmt = guard(|| raw::transformIndexStmt(relid, stmt, text));
        Ok(define_index(relid, stmt))
    }
}

/// An index like another one, on another relation with the same columns, which is locked.
///
/// # Safety
/// `index` is open; the current user owns `relid`.
pub unsafe fn clone_index(index: pg_sys::Relation, relid: Oid, natts: usize) {
    // SAFETY: as the caller promises; columns have the same numbers in both relations.
    unsafe {
        let map = pg_sys::make_attrmap(natts as i32);
        for i in 0..natts {
            *(*map).attnums.add(i) = i as i16 + 1;
        }
        let stmt = pg_sys::generateClonedIndexStmt(std::ptr::null_mut(), index, map, std::ptr::null_mut());
        define_index(relid, stmt);
        pg_sys::free_attrmap(map);
    }
}

/// # Safety
/// `stmt` is a statement on `relid`, transformed; the current user is its owner.
unsafe fn define_index(relid: Oid, stmt: *mut pg_sys::IndexStmt) -> pg_sys::ObjectAddress {
    // SAFETY: as the caller promises.
    unsafe {
        let index = pg_sys::DefineIndex(
            #[cfg(feature = "since_19")]
            std::ptr::null_mut(),
            relid,
            stmt,
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            #[cfg(not(feature = "pg15"))]
            -1,
            false,
            // no right to create in the schema is asked for
            false,
            false,
            false,
            true,
        );
        pg_sys::CommandCounterIncrement();
        index
    }
}

/// Notes that an object was made by us, and goes with the extension. pg_dump writes it as ALTER … DEPENDS ON EXTENSION.
///
/// # Safety
/// The object exists and has no such note.
pub unsafe fn mark(object: &pg_sys::ObjectAddress) {
    // SAFETY: The object exists and has no such note, as the caller promises.
    unsafe {
        let extension = pg_sys::ObjectAddress {
            classId: pg_sys::ExtensionRelationId,
            objectId: pg_sys::get_extension_oid(c"pg_tviews".as_ptr(), false),
            objectSubId: 0,
        };
        pg_sys::recordDependencyOn(object, &extension, pg_sys::DependencyType::DEPENDENCY_AUTO_EXTENSION);
    }
}

/// Whether a relation has the note of `mark`.
pub fn is_marked(relid: Oid) -> bool {
    // SAFETY: a scan of pg_depend, for any OID.
    unsafe {
        list::oids(pg_sys::getAutoExtensionsOfObject(pg_sys::RelationRelationId, relid))
            .contains(&pg_sys::get_extension_oid(c"pg_tviews".as_ptr(), true))
    }
}

/// Drops an index that we made, unseen by event triggers.
///
/// # Safety
/// It exists, and its table is locked ACCESS EXCLUSIVE and not open.
pub unsafe fn drop_index(index: Oid) {
    // SAFETY: It exists, and its table is locked ACCESS EXCLUSIVE and not open, as the caller promises.
    unsafe {
        let address = pg_sys::ObjectAddress { classId: pg_sys::RelationRelationId, objectId: index, objectSubId: 0 };
        pg_sys::performDeletion(
            &address,
            pg_sys::DropBehavior::DROP_RESTRICT,
            pg_sys::PERFORM_DELETION_INTERNAL as i32,
        );
        pg_sys::CommandCounterIncrement();
    }
}
