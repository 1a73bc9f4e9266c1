//! ProcessUtility: the dispatcher, one handler per statement.
//!
//! Invariant: statements that cannot concern a TVIEW pass straight through; trees are copied before they are touched
//! (they may belong to a cached plan); what a handler wants done after the statement is kept in `Call`.

use super::{alter, cascade, convention, create, executor, keys, life, own, refresh, types};
use crate::capture::{freed, install};
use crate::catalog;
use crate::pg::callback::Frame;
use crate::pg::error::or_raise;
use crate::pg::{ext, original, reserve};
use crate::queue::{self, in_flight};
use crate::refresh::{Moment, flush};
use pgrx::{pg_guard, pg_sys};
use std::collections::BTreeSet;
use std::ffi::c_char;

static mut NEXT: pg_sys::ProcessUtility_hook_type = None;

/// Plain data that lives in the hook's C frame.
#[derive(Clone, Copy)]
pub struct Call {
    pub pstmt: *mut pg_sys::PlannedStmt,
    /// The handler has done everything.
    pub done: bool,
    pub after: After,
    /// Keys of TVIEWs that the statement must leave alone; null when it cannot touch any.
    pub keys: *mut keys::Keys,
    /// TVIEWs that the statement should take with it, and whose stages are gone already; null when there are none.
    pub without_stages: *mut BTreeSet<u32>,
    /// What the client is told; may be null.
    pub completion: *mut pg_sys::QueryCompletion,
}

/// What to do when the statement has succeeded. Pointers are palloc'd in the statement's memory context.
#[derive(Clone, Copy)]
pub enum After {
    Nothing,
    Create(*mut create::Planned),
    Alter(*mut alter::Planned),
    /// A relation was created below a parent, or a table's tree or policies changed.
    Tree(*mut BTreeSet<u32>),
    View(*mut pg_sys::RangeVar),
    /// Policies of these tables, or to whom they apply.
    Policies(*mut BTreeSet<u32>),
    /// What roles may do.
    Roles,
    /// What values are, by an object of a class.
    Object(pg_sys::Oid, pg_sys::Oid),
    Names,
    /// A table that is no TVIEW, and why.
    Ordinary(*mut convention::Ordinary),
    /// A subscription may write to other tables than before.
    Subscription,
    /// Functions that TVIEWs call.
    Functions,
    /// The snapshot that COPY read with is popped.
    Copied,
}

impl Call {
    /// A private copy of the statement's tree.
    pub unsafe fn own_tree<T>(&mut self) -> *mut T {
        // SAFETY: the statement is copied once, into the context of the call.
        unsafe {
            self.pstmt = ext::copy(self.pstmt);
            (*self.pstmt).utilityStmt.cast()
        }
    }
}

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
        let mut call = Call {
            pstmt,
            done: false,
            after: After::Nothing,
            keys: std::ptr::null_mut(),
            without_stages: std::ptr::null_mut(),
            completion: qc,
        };
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
            | T_ClusterStmt
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
    )
}

/// DDL must find no row images of an older row type pending; what reads is seen by the executor's hooks, COPY below.
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
    // SAFETY: the server is about to execute the statement of `call`; what is raised inside comes back as a value.
    unsafe { original::shield(|| dispatch(call)) }
}

/// What the server says of statements that never reach it, in read-only transactions and on standbys: tcop/utility.c, standard_ProcessUtility.
unsafe fn refuse_to_write(tree: *mut pg_sys::Node) {
    // SAFETY: `tree` is a live node of a tree of the server.
    unsafe {
        let name = pg_sys::GetCommandTagName(pg_sys::CreateCommandTag(tree));
        pg_sys::PreventCommandIfReadOnly(name);
        pg_sys::PreventCommandIfParallelMode(name);
        pg_sys::PreventCommandDuringRecovery(name);
    }
}

unsafe fn dispatch(call: &mut Call) {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        use pg_sys::NodeTag::*;
        let tree = (*call.pstmt).utilityStmt;
        let tag = (*tree).type_;
        if !concerns(tag) || !pg_sys::IsTransactionState() || own::script_runs() {
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
        or_raise(match tag {
            T_CreateTableAsStmt => create::before(call),
            T_ExplainStmt => create::explained(call),
            T_CreateStmt | T_CreateForeignTableStmt => life::create_table(call),
            T_AlterRoleStmt | T_GrantRoleStmt => life::roles(call),
            T_RefreshMatViewStmt => refresh::before(call),
            T_AlterTableStmt => alter::before(call),
            T_DropStmt => life::drop(call),
            T_RenameStmt | T_AlterObjectSchemaStmt | T_AlterOwnerStmt | T_CommentStmt => life::names(call),
            T_CreatePolicyStmt | T_AlterPolicyStmt => life::policy(call),
            T_ReassignOwnedStmt => {
                call.after = After::Roles;
                Ok(())
            }
            T_ViewStmt => {
                call.after = After::View((*tree.cast::<pg_sys::ViewStmt>()).view);
                Ok(())
            }
            T_CreateFunctionStmt | T_AlterFunctionStmt => {
                call.after = After::Functions;
                Ok(())
            }
            T_CopyStmt => {
                if executor::before_copy(tree.cast()) {
                    call.after = After::Copied;
                }
                Ok(())
            }
            T_CreateSubscriptionStmt | T_AlterSubscriptionStmt => {
                call.after = After::Subscription;
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
    // SAFETY: the server has executed the statement of `call`; what is raised inside comes back as a value.
    unsafe { original::shield(|| finish(call)) }
}

unsafe fn finish(call: &mut Call) {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        or_raise(match call.after {
            After::Nothing => Ok(()),
            After::Create(plan) => create::after(&*plan, call.completion),
            After::Alter(plan) => alter::after(&*plan),
            After::Tree(relids) => life::tree_changed(&*relids),
            After::View(view) => life::view_replaced(view),
            After::Policies(tables) => life::policies_changed(&*tables),
            After::Roles => life::roles_changed(),
            After::Functions => life::functions_changed(),
            After::Copied => {
                pg_sys::PopActiveSnapshot();
                Ok(())
            }
            After::Object(class, of) => {
                types::changed(class, of);
                Ok(())
            }
            After::Subscription => {
                pg_sys::CommandCounterIncrement();
                install::follow_subscriptions()
            }
            After::Ordinary(table) => {
                (*table).say();
                Ok(())
            }
            After::Names => {
                pg_sys::CommandCounterIncrement();
                super::stages::follow_owners();
                catalog::invalidate_all();
                Ok(())
            }
        });
        if !call.keys.is_null() {
            or_raise(keys::follow(&*call.keys));
        }
        if !call.without_stages.is_null() {
            or_raise(cascade::after(&*call.without_stages));
        }
        freed::clean_up();
    }
}

/// A value that lives as long as the statement's memory context, for `After`.
pub fn keep<T>(value: T) -> *mut T {
    pgrx::PgMemoryContexts::CurrentMemoryContext.leak_and_drop_on_delete(value)
}
