//! MERGE on a partitioned table: two gaps of its transition tables that capture has to fill.
//!
//! After an INSERT action has routed a row, the new image of the next updated row in the transition table is the image of the
//! inserted row (the saved original tuple of execPartition.c is used once too often). And a row that an UPDATE action of MERGE moves to
//! another partition is put into the transition tables of DELETE and INSERT, but the statement triggers of these events only fire for events
//! that MERGE itself names
//! (executor/nodeModifyTable.c, fireASTriggers and ExecCrossPartitionUpdate). Invariant: after a MERGE that
//! updates, and also inserts, assigns partition key columns, or meets triggers that may do so, the relation counts as changed entirely. Up to 18 the plan
//! says whether it assigns such columns; from 19 on the columns that it may update are compared with the key, and keys of partitions below are taken for
//! assigned.

use crate::capture::route;
use crate::pg::callback::Frame;
#[cfg(feature = "since_19")]
use crate::pg::ext;
use crate::pg::list;
use crate::pg::relation::Relation;
use crate::queue;
use pgrx::{pg_guard, pg_sys};

static mut NEXT_FINISH: pg_sys::ExecutorFinish_hook_type = None;

pub fn init() {
    // SAFETY: called once, while the library is loaded.
    unsafe {
        NEXT_FINISH = pg_sys::ExecutorFinish_hook;
        pg_sys::ExecutorFinish_hook = Some(executor_finish);
    }
}

unsafe extern "C-unwind" {
    // Called without a guard, so that its errors stay as they are.
    #[link_name = "standard_ExecutorFinish"]
    #[allow(improper_ctypes)]
    fn standard_finish(query: *mut pg_sys::QueryDesc);
}

#[allow(ffi_unwind_calls)] // the frame has no destructors
unsafe extern "C-unwind" fn executor_finish(query: *mut pg_sys::QueryDesc) {
    // SAFETY: `query` is what the server gave to its hook.
    unsafe {
        #[allow(static_mut_refs)]
        match NEXT_FINISH {
            Some(next) => next(query),
            None => standard_finish(query),
        }
        let plan = (*query).plannedstmt;
        if (*plan).commandType == pg_sys::CmdType::CMD_MERGE || (*plan).hasModifyingCTE {
            let mut frame = Frame::new();
            frame.push((*query).sourceText);
            after_finish(plan);
            frame.pop();
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn after_finish(plan: *mut pg_sys::PlannedStmt) {
    // SAFETY: `plan` is what the server gave to its hook.
    unsafe {
        mark(plan, (*plan).planTree.cast());
        for sub in list::iter::<pg_sys::Node>((*plan).subplans) {
            mark(plan, sub);
        }
    }
}

/// Whether MERGE has an INSERT and an UPDATE action.
///
/// # Safety
/// `modify` is a live node of a tree of the server.
unsafe fn actions(modify: &pg_sys::ModifyTable) -> (bool, bool) {
    // SAFETY: `modify` is a live node of a tree of the server.
    unsafe {
        let (mut inserts, mut updates) = (false, false);
        for one in list::iter::<pg_sys::List>(modify.mergeActionLists) {
            for action in list::iter::<pg_sys::MergeAction>(one) {
                inserts |= (*action).commandType == pg_sys::CmdType::CMD_INSERT;
                updates |= (*action).commandType == pg_sys::CmdType::CMD_UPDATE;
            }
        }
        (inserts, updates)
    }
}

/// Whether partitions have triggers that change rows before they are updated, and so may move them.
///
/// # Safety
/// `modify` is a node of `plan`, which has been executed.
unsafe fn triggers_may(plan: *mut pg_sys::PlannedStmt, modify: &pg_sys::ModifyTable) -> bool {
    // SAFETY: as the caller promises; a relation's triggers are looked at while it is open.
    unsafe {
        list::ints(modify.resultRelations).into_iter().any(|index| {
            let rte = list::nth::<pg_sys::RangeTblEntry>((*plan).rtable, index as usize - 1);
            let Some(rel) = Relation::open((*rte).relid, pg_sys::NoLock) else { return false };
            let triggers = (*rel.raw()).trigdesc;
            !triggers.is_null() && (*triggers).trig_update_before_row
        })
    }
}

/// # Safety
/// `modify` is a node of a plan of the server.
#[cfg(not(feature = "since_19"))]
unsafe fn may_move_rows(
    _plan: *mut pg_sys::PlannedStmt,
    modify: &pg_sys::ModifyTable,
    _root: *mut pg_sys::RangeTblEntry,
) -> bool {
    modify.partColsUpdated
}

/// # Safety
/// `root` is the entry of a partitioned table in the range table of `plan`.
#[cfg(feature = "since_19")]
unsafe fn may_move_rows(
    plan: *mut pg_sys::PlannedStmt,
    _modify: &pg_sys::ModifyTable,
    root: *mut pg_sys::RangeTblEntry,
) -> bool {
    // SAFETY: as the caller promises; the relation is open while its key is looked at.
    unsafe {
        let relid = (*root).relid;
        let Some(rel) = Relation::open(relid, pg_sys::NoLock) else { return false };
        let index = (*root).perminfoindex as usize;
        if index == 0 {
            return true;
        }
        let rights = list::nth::<pg_sys::RTEPermissionInfo>((*plan).permInfos, index - 1);
        let mut in_expression = false;
        pg_sys::has_partition_attrs(rel.raw(), (*rights).updatedCols, &mut in_expression)
            || ext::find_all_inheritors(relid, pg_sys::NoLock as i32).into_iter().any(|below| {
                below != relid && pg_sys::get_rel_relkind(below) as u8 == pg_sys::RELKIND_PARTITIONED_TABLE
            })
    }
}

/// # Safety
/// `plan` is what the server gave to its hook; `node` is a live node of a tree of the server.
unsafe fn mark(plan: *mut pg_sys::PlannedStmt, node: *mut pg_sys::Node) {
    // SAFETY: `plan` is what the server gave to its hook; `node` is a live node of a tree of the server.
    unsafe {
        if !list::is(node, pg_sys::NodeTag::T_ModifyTable) {
            return;
        }
        let modify = &*node.cast::<pg_sys::ModifyTable>();
        if modify.operation != pg_sys::CmdType::CMD_MERGE || modify.rootRelation == 0 {
            return;
        }
        let (inserts, updates) = actions(modify);
        let rte = list::nth::<pg_sys::RangeTblEntry>((*plan).rtable, modify.rootRelation as usize - 1);
        let Some(rel) = Relation::open((*rte).relid, pg_sys::NoLock) else { return };
        let is_partitioned = rel.relkind() == pg_sys::RELKIND_PARTITIONED_TABLE;
        let moves = || is_partitioned && (may_move_rows(plan, modify, rte) || triggers_may(plan, modify));
        if !updates || !(inserts || moves()) {
            return;
        }
        let routes = route::of(rel.raw());
        let targets = routes.targets.iter().chain(&routes.logged).map(|t| t.relid);
        targets.chain(routes.everything.iter().copied()).for_each(queue::change_everything);
    }
}
