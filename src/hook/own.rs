//! Statements that would change objects of the extension: its schemas, the objects in them, and the stages of TVIEWs.
//!
//! Invariant: names by which the library finds its own objects stay, whoever asks: a schema that is renamed away would leave writes
//! uncaptured without an error. DROP is left to the server, which protects by dependencies. ALTER EXTENSION … UPDATE may do anything.
//! Called by the dispatcher before every other handler.

use crate::catalog::stages;
use crate::pg::error::{Error, Result};
use crate::pg::{list, name};
use pgrx::pg_sys::{self, NodeTag::*, ObjectType::*};
use std::ffi::{CStr, c_char};

const SCHEMA: &CStr = c"tviews";
const EXTENSION: &CStr = c"pg_tviews";

/// Whether the script of this extension is running.
pub fn script_runs() -> bool {
    // SAFETY: plain globals, and a syscache look-up.
    unsafe {
        pg_sys::creating_extension
            && pg_sys::get_extension_oid(EXTENSION.as_ptr(), true) == pg_sys::CurrentExtensionObject
    }
}

/// # Safety
/// `tree` is a live node of a tree of the server.
pub unsafe fn refuse(tree: *mut pg_sys::Node) -> Result<()> {
    // SAFETY: `tree` is a live node of a tree of the server.
    unsafe {
        match (*tree).type_ {
            T_RenameStmt => rename(&*tree.cast::<pg_sys::RenameStmt>()),
            T_AlterObjectSchemaStmt => {
                let stmt = &*tree.cast::<pg_sys::AlterObjectSchemaStmt>();
                object(stmt.objectType, stmt.relation, stmt.object, "moved")
            }
            T_AlterExtensionContentsStmt => {
                let stmt = &*tree.cast::<pg_sys::AlterExtensionContentsStmt>();
                if stmt.action < 0 && CStr::from_ptr(stmt.extname) == EXTENSION {
                    return Err(belongs("an object".into(), "taken out of it"));
                }
                Ok(())
            }
            T_AlterObjectDependsStmt => {
                let stmt = &*tree.cast::<pg_sys::AlterObjectDependsStmt>();
                let name = CStr::from_ptr((*stmt.extname).sval);
                if stmt.remove && name == EXTENSION && stmt.objectType == OBJECT_TRIGGER {
                    return Err(belongs("the trigger".into(), "made independent of it"));
                }
                Ok(())
            }
            T_RefreshMatViewStmt => relation((*tree.cast::<pg_sys::RefreshMatViewStmt>()).relation, "refreshed"),
            T_AlterTableStmt => relation((*tree.cast::<pg_sys::AlterTableStmt>()).relation, "altered"),
            _ => Ok(()),
        }
    }
}

/// # Safety
/// `stmt` is a live node of a tree of the server.
unsafe fn rename(stmt: &pg_sys::RenameStmt) -> Result<()> {
    // SAFETY: `stmt` is a live node of a tree of the server.
    unsafe {
        if stmt.renameType == OBJECT_SCHEMA {
            let old = CStr::from_ptr(stmt.subname);
            if old == SCHEMA || old == stages::SCHEMA {
                return Err(belongs(format!("schema \"{}\"", old.to_string_lossy()), "renamed"));
            }
            return Ok(());
        }
        object(stmt.renameType, stmt.relation, stmt.object, "renamed")
    }
}

/// # Safety
/// `of` and `names` are live nodes of a tree of the server.
unsafe fn object(
    kind: pg_sys::ObjectType::Type,
    of: *mut pg_sys::RangeVar,
    names: *mut pg_sys::Node,
    what: &str,
) -> Result<()> {
    // SAFETY: `of` and `names` are live nodes of a tree of the server.
    unsafe {
        if !of.is_null() {
            return relation(of, what);
        }
        if !matches!(kind, OBJECT_FUNCTION | OBJECT_PROCEDURE | OBJECT_ROUTINE | OBJECT_AGGREGATE | OBJECT_TYPE) {
            return Ok(());
        }
        // Only names with a schema: a name that is found by a search_path with our schema is not looked up.
        let names = if list::is(names, T_ObjectWithArgs) {
            (*names.cast::<pg_sys::ObjectWithArgs>()).objname
        } else {
            names.cast::<pg_sys::List>()
        };
        if list::len(names) < 2 {
            return Ok(());
        }
        let schema = list::nth::<pg_sys::String>(names, list::len(names) - 2);
        if CStr::from_ptr((*schema).sval) == SCHEMA {
            let last = list::nth::<pg_sys::String>(names, list::len(names) - 1);
            return Err(belongs(format!("\"{}\"", text((*last).sval)), what));
        }
        Ok(())
    }
}

/// # Safety
/// `var` is a live node of a tree of the server.
unsafe fn relation(var: *mut pg_sys::RangeVar, what: &str) -> Result<()> {
    // SAFETY: `var` is a live node of a tree of the server.
    unsafe {
        let flags = pg_sys::RVROption::RVR_MISSING_OK;
        let relid = pg_sys::RangeVarGetRelidExtended(var, pg_sys::NoLock as i32, flags, None, std::ptr::null_mut());
        if relid == pg_sys::InvalidOid {
            return Ok(());
        }
        let shown = format!("relation \"{}\"", name::bare(relid));
        let schema = pg_sys::get_rel_namespace(relid);
        if schema == pg_sys::get_namespace_oid(SCHEMA.as_ptr(), true) {
            return Err(belongs(shown, what));
        }
        if stages::is_stage(relid) {
            return Err(Error::WrongState {
                what: format!(
                    "{shown} is a part of TVIEW \"{}\" and cannot be {what}",
                    name::bare(stages::root(relid))
                ),
                hint: None,
            });
        }
        Ok(())
    }
}

fn belongs(what: String, to_be: &str) -> Error {
    Error::WrongState {
        what: format!("{what} belongs to extension \"pg_tviews\" and cannot be {to_be}"),
        hint: Some("DROP EXTENSION pg_tviews removes all that belongs to it.".into()),
    }
}

/// # Safety
/// `s` ends with a NUL.
unsafe fn text(s: *const c_char) -> String {
    // SAFETY: `s` ends with a NUL.
    unsafe { CStr::from_ptr(s).to_string_lossy().into_owned() }
}
