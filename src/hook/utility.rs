//! ProcessUtility: the dispatcher, one handler per statement.
//!
//! Invariant: statements that cannot concern a TVIEW pass straight through; trees are copied before they are touched
//! (they may belong to a cached plan); the work of a handler for after the statement is kept in `Call`.

use super::{alter, cascade, create, executor, life, own, refresh, types};
use crate::build::logs;
use crate::capture::{freed, install};
use crate::catalog;
use crate::hook::call::Call;
use crate::hook::{functions, policies};
use crate::pg::callback::Frame;
use crate::pg::error::or_raise;
use crate::pg::{original, reserve, silent};
use crate::queue::{self, in_flight};
use crate::refresh::flush::{Moment, flush};
use crate::schedule::database;
use pgrx::{pg_guard, pg_sys};
use std::ffi::c_char;

static mut NEXT: pg_sys::ProcessUtility_hook_type = None;

pub fn init() {
    // SAFETY: called once, while the library is loaded.
    unsafe {
        NEXT = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(process_utility);
    }
}

#[allow(clippy::too_many_arguments)]
#[allow(ffi_unwind_calls)] // the frame has no destructors
unsafe extern "C-unwind" fn process_utility(
    pstmt: *mut pg_sys::PlannedStmt,
    source: *const c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    env: *mut pg_sys::QueryEnvironment,
    dest: *mut pg_sys::DestReceiver,
    qc: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: `pstmt`, `env`, `dest` and `qc` are what the server gave to its hook; `source` ends with a NUL.
    unsafe {
        let mut call = Call::new(pstmt, context, qc);
        let mut frame = Frame::new();
        frame.push(source);
        if concerns((*(*pstmt).utilityStmt).type_) {
            reserve::require();
        }
        let error = before(&mut call);
        frame.pop();
        original::rethrow(error);
        let copies = is_copy_from((*call.pstmt).utilityStmt);
        if copies {
            in_flight::begin(&raw const call as usize);
        }
        if !call.done {
            let tree = call.pstmt;
            #[allow(static_mut_refs)]
            match NEXT {
                Some(next) => next(tree, source, read_only_tree, context, params, env, dest, qc),
                None => standard(tree, source, read_only_tree, context, params, env, dest, qc),
            }
        }
        if copies {
            in_flight::end(&raw const call as usize);
        }
        frame.push(source);
        let error = after(&mut call);
        frame.pop();
        original::rethrow(error);
    }
}

/// COPY writes rows without the executor.
///
/// # Safety
/// `tree` is a live node of a tree of the server.
unsafe fn is_copy_from(tree: *mut pg_sys::Node) -> bool {
    // SAFETY: `tree` is a live node of a tree of the server.
    unsafe { (*tree).type_ == pg_sys::NodeTag::T_CopyStmt && (*tree.cast::<pg_sys::CopyStmt>()).is_from }
}

unsafe extern "C-unwind" {
    // Called without a guard, so that its errors stay as they are.
    #[link_name = "standard_ProcessUtility"]
    #[allow(improper_ctypes)]
    fn standard(
        pstmt: *mut pg_sys::PlannedStmt,
        source: *const c_char,
        read_only_tree: bool,
        context: pg_sys::ProcessUtilityContext::Type,
        params: pg_sys::ParamListInfo,
        env: *mut pg_sys::QueryEnvironment,
        dest: *mut pg_sys::DestReceiver,
        qc: *mut pg_sys::QueryCompletion,
    );
}

/// Utility statements that a TVIEW or its base tables can be concerned by.
fn concerns(tag: pg_sys::NodeTag) -> bool {
    use pg_sys::NodeTag::*;
    matches!(
        tag,
        T_CreateTableAsStmt
            | T_CreateStmt
            | T_RefreshMatViewStmt
            | T_AlterTableStmt
            | T_RenameStmt
            | T_AlterObjectSchemaStmt
            | T_AlterOwnerStmt
            | T_CommentStmt
            | T_DropStmt
            | T_DropOwnedStmt
            | T_ReassignOwnedStmt
            | T_CopyStmt
            | T_ExplainStmt
            | T_ViewStmt
            | T_IndexStmt
            | T_CreateTrigStmt
            | T_RuleStmt
            | T_CreatePolicyStmt
            | T_AlterPolicyStmt
            | T_ReindexStmt
            | T_CreateFunctionStmt
            | T_AlterFunctionStmt
            | T_AlterTableMoveAllStmt
            | T_AlterExtensionContentsStmt
            | T_AlterObjectDependsStmt
            | T_CreateForeignTableStmt
            | T_AlterEnumStmt
            | T_AlterTSConfigurationStmt
            | T_AlterTSDictionaryStmt
            | T_AlterCollationStmt
            | T_AlterRoleStmt
            | T_GrantRoleStmt
            | T_CreateSubscriptionStmt
            | T_AlterSubscriptionStmt
    ) || rewrites(tag)
}

/// CLUSTER, which is a form of REPACK from 19 on.
fn rewrites(tag: pg_sys::NodeTag) -> bool {
    #[cfg(not(feature = "since_19"))]
    return tag == pg_sys::NodeTag::T_ClusterStmt;
    #[cfg(feature = "since_19")]
    return tag == pg_sys::NodeTag::T_RepackStmt;
}

/// DDL must find no row images of an older row type pending; reads are seen by the executor's hooks, COPY's below.
///
/// # Safety
/// `tree` is a live node of a tree of the server.
unsafe fn flush_before(tree: *mut pg_sys::Node) {
    // SAFETY: `tree` is a live node of a tree of the server.
    unsafe {
        match (*tree).type_ {
            pg_sys::NodeTag::T_CommentStmt | pg_sys::NodeTag::T_ExplainStmt | pg_sys::NodeTag::T_CopyStmt => {}
            _ => flush(Moment::Read),
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn before(call: &mut Call) -> *mut pg_sys::ErrorData {
    original::shield(|| dispatch(call))
}

/// The server's errors for statements that never reach it, in read-only transactions and on standbys: tcop/utility.c, standard_ProcessUtility.
///
/// # Safety
/// `tree` is a live node of a tree of the server.
unsafe fn refuse_to_write(tree: *mut pg_sys::Node) {
    // SAFETY: `tree` is a live node of a tree of the server.
    unsafe {
        let name = pg_sys::GetCommandTagName(pg_sys::CreateCommandTag(tree));
        pg_sys::PreventCommandIfReadOnly(name);
        pg_sys::PreventCommandIfParallelMode(name);
        pg_sys::PreventCommandDuringRecovery(name);
    }
}

fn dispatch(call: &mut Call) {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        use pg_sys::NodeTag::*;
        let tree = (*call.pstmt).utilityStmt;
        let tag = (*tree).type_;
        if silent::IsTransactionState() {
            database::before(tree);
            if tag == T_CreatedbStmt {
                call.then(move || {
                    database::after(tree);
                    Ok(())
                });
            }
        }
        if !concerns(tag) || !silent::IsTransactionState() || own::script_runs() {
            return;
        }
        if !catalog::installed() {
            or_raise(life::without_extension(call));
            or_raise(create::without_extension(tree));
            return;
        }
        if matches!(tag, T_CreateTableAsStmt | T_RefreshMatViewStmt | T_AlterTableStmt) {
            refuse_to_write(tree);
        }
        or_raise(own::refuse(tree));
        if !queue::is_empty() {
            flush_before(tree);
        }
        if cascade::drops_extension(tree) {
            or_raise(life::lock_all());
        }
        or_raise(match tag {
            T_CreateTableAsStmt => create::before(call),
            T_ExplainStmt => create::explained(call),
            T_CreateStmt | T_CreateForeignTableStmt => life::create_table(call),
            T_AlterRoleStmt | T_GrantRoleStmt => policies::roles(call),
            T_RefreshMatViewStmt => refresh::before(call),
            T_AlterTableStmt => alter::before(call),
            T_DropStmt => life::drop(call),
            T_RenameStmt | T_AlterObjectSchemaStmt | T_AlterOwnerStmt | T_CommentStmt => life::names(call),
            T_CreatePolicyStmt | T_AlterPolicyStmt => policies::policy(call),
            T_ReassignOwnedStmt => {
                call.then(policies::roles_changed);
                Ok(())
            }
            T_ViewStmt => {
                let view = (*tree.cast::<pg_sys::ViewStmt>()).view;
                call.then(move || life::view_replaced(view));
                Ok(())
            }
            T_CreateFunctionStmt | T_AlterFunctionStmt => {
                call.then(functions::functions_changed);
                Ok(())
            }
            T_CopyStmt => {
                if executor::before_copy(tree.cast()) {
                    call.then(|| {
                        // SAFETY: the snapshot that COPY has read with was pushed before it.
                        pg_sys::PopActiveSnapshot();
                        Ok(())
                    });
                }
                Ok(())
            }
            T_CreateSubscriptionStmt | T_AlterSubscriptionStmt => {
                call.then(|| {
                    pg_sys::CommandCounterIncrement();
                    install::follow_subscriptions()
                });
                Ok(())
            }
            _ => Ok(()),
        });
        types::before(call);
        if !call.done && matches!(tag, T_DropStmt | T_DropOwnedStmt | T_AlterTableStmt) {
            or_raise(cascade::before(call));
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn after(call: &mut Call) -> *mut pg_sys::ErrorData {
    original::shield(|| finish(call))
}

fn finish(call: &mut Call) {
    or_raise(call.finish());
    if freed::clean_up() {
        logs::drop_unused();
    }
}
