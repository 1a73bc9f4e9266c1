//! Statistics of change rows: the planner is told that they are like the rows of their relation.
//!
//! A function has no statistics, so the planner would guess that a condition on change rows keeps every two-hundredth of
//! them, and that a join of them with another table multiplies. While a flush plans, the columns of tviews.changed(NULL::t)
//! and its like have the statistics of t instead; tviews.rows_support gives the number of rows (capture/srf.rs).
//! Invariant: only the plans of a flush depend on it. Source of the protocol: utils/adt/selfuncs.c, examine_simple_variable.

use crate::capture::srf;
use crate::pg::callback::{Frame, Ready};
use crate::pg::list;
use pgrx::{pg_guard, pg_sys};

static mut NEXT: pg_sys::get_relation_stats_hook_type = None;

#[allow(improper_ctypes)]
unsafe extern "C-unwind" {
    /// The server's own address: pgrx exports a wrapper under this name.
    fn ReleaseSysCache(tuple: pg_sys::HeapTuple);
}

pub fn init() {
    // SAFETY: called once, while the library is loaded.
    unsafe {
        NEXT = pg_sys::get_relation_stats_hook;
        pg_sys::get_relation_stats_hook = Some(relation_stats);
    }
}

#[allow(ffi_unwind_calls)] // the frame has no destructors
unsafe extern "C-unwind" fn relation_stats(
    root: *mut pg_sys::PlannerInfo,
    rte: *mut pg_sys::RangeTblEntry,
    column: pg_sys::AttrNumber,
    data: *mut pg_sys::VariableStatData,
) -> bool {
    // SAFETY: `root` and `data` are what the server gave to its hook; `rte` is a live node of a tree of the server.
    unsafe {
        if (*rte).rtekind == pg_sys::RTEKind::RTE_FUNCTION && srf::is_offering() && column > 0 {
            return of_change_rows(rte, column, data);
        }
        #[allow(static_mut_refs)]
        match NEXT {
            Some(next) => next(root, rte, column, data),
            None => false,
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn of_change_rows(
    rte: *mut pg_sys::RangeTblEntry,
    column: pg_sys::AttrNumber,
    data: *mut pg_sys::VariableStatData,
) -> bool {
    let mut frame = Frame::new();
    let _ready = Ready::with(&mut frame);
    // SAFETY: `rte` is a live node of a tree of the server; `data` is what the server gave to its hook.
    unsafe {
        let functions = list::iter::<pg_sys::RangeTblFunction>((*rte).functions).collect::<Vec<_>>();
        let [function] = functions[..] else { return false };
        let Some(relid) = srf::relation_of((*function).funcexpr) else { return false };
        let key = [pg_sys::Datum::from(relid), pg_sys::Datum::from(column)];
        let look_up = |inherited: bool| {
            let id = pg_sys::SysCacheIdentifier::STATRELATTINH as i32;
            pg_sys::SearchSysCache3(id, key[0], key[1], pg_sys::Datum::from(inherited))
        };
        let mut tuple = look_up(true);
        if tuple.is_null() {
            tuple = look_up(false);
        }
        if tuple.is_null() {
            return false;
        }
        (*data).statsTuple = tuple;
        (*data).freefunc = Some(ReleaseSysCache);
        // As all_rows_selectable(): otherwise operators that could leak the values do not see them.
        (*data).acl_ok = pg_sys::pg_class_aclcheck(relid, pg_sys::GetUserId(), pg_sys::ACL_SELECT.into())
            == pg_sys::AclResult::ACLCHECK_OK
            && pg_sys::check_enable_rls(relid, pg_sys::InvalidOid, true)
                != pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32;
        true
    }
}
