//! Object access: TVIEWs and base tables dropped in any way, functions replaced.
//!
//! Invariant: when a TVIEW is gone, so are its rows in our catalog, and its sources are remembered for `clean_up`.

use super::{functions, life, own};
use crate::capture::freed::freed;
use crate::catalog::{self, audit, deferred, sentinel};
use crate::pg::callback::{Frame, Ready};
use crate::tam;
use pgrx::{pg_guard, pg_sys};
use std::ffi::c_void;

static mut NEXT: pg_sys::object_access_hook_type = None;

pub fn init() {
    // SAFETY: called once, while the library is loaded.
    unsafe {
        NEXT = pg_sys::object_access_hook;
        pg_sys::object_access_hook = Some(object_access);
    }
}

#[allow(ffi_unwind_calls)] // the frame has no destructors
unsafe extern "C-unwind" fn object_access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    sub: i32,
    arg: *mut c_void,
) {
    // SAFETY: the arguments that the server gave to its hook go on to the next hook.
    unsafe {
        #[allow(static_mut_refs)]
        if let Some(next) = NEXT {
            next(access, class, object, sub, arg);
        }
        // Each call of a function is an access, too.
        use pg_sys::ObjectAccessType::{OAT_DROP, OAT_POST_ALTER, OAT_POST_CREATE};
        let is_change = matches!(access, OAT_DROP | OAT_POST_CREATE | OAT_POST_ALTER);
        if is_change && (class == pg_sys::RelationRelationId || class == pg_sys::ProcedureRelationId) {
            on_access(access, class, object, sub);
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    sub: i32,
) {
    let mut frame = Frame::new();
    let _ready = Ready::with(&mut frame);
    // SAFETY: called by the server in a statement, with the object locked by it.
    unsafe {
        use pg_sys::ObjectAccessType::*;
        if sub != 0 || !catalog::installed() || own::script_runs() {
            return;
        }
        match access {
            OAT_DROP if class == pg_sys::RelationRelationId => {
                match pg_sys::get_rel_relkind(object) as u8 {
                    pg_sys::RELKIND_MATVIEW => {
                        audit::note(audit::Operation::Drop, object);
                        let sources = catalog::unregister(object);
                        // One that reads no relation, too.
                        if tam::is_tview(object) {
                            catalog::stages::unregister(object);
                            sentinel::lower(object);
                            deferred::gone(object);
                        }
                        sources.into_iter().for_each(freed);
                    }
                    pg_sys::RELKIND_RELATION | pg_sys::RELKIND_PARTITIONED_TABLE => life::relation_dropped(object),
                    _ => {}
                };
            }
            OAT_POST_CREATE | OAT_POST_ALTER if class == pg_sys::ProcedureRelationId => {
                functions::function_changed(object)
            }
            _ => {}
        }
    }
}
