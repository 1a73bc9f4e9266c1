//! `tviews.changed(NULL::t)`, `tviews.inserted(NULL::t)`, `tviews.deleted(NULL::t)` and `tviews.dirty(NULL::t)`: the rows that the SQL of a flush
//! reads, as set-returning functions over the backend's change sets, of row type t so that attribute numbers line up.
//!
//! Invariant: the functions answer only to executors that a flush itself has started (pg/started.rs), and only for the sources of the TVIEW that
//! is being flushed. A query in a user's function that the flush's SQL calls has an executor of its own, and gets an error: it would see rows of
//! other users. Called by plans of refresh/.

use crate::pg::error::Error;
use crate::pg::fault::{self, Fault};
use crate::pg::process::process;
use crate::pg::{list, started};
use crate::queue::changes::ChangeSet;
use pgrx::{pg_guard, pg_sys};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::ffi::CStr;
use std::rc::Rc;

/// The rows that a running flush offers to its SQL.
#[derive(Default)]
pub struct Offer {
    /// Change sets by relation.
    pub changes: Rc<FxHashMap<u32, Vec<Rc<ChangeSet>>>>,
    /// Rows that carry dirty keys, by the relation whose row type they have: the TVIEW, or a base relation.
    pub dirty: FxHashMap<u32, Rc<ChangeSet>>,
}

process! {
    static OFFER: RefCell<Option<Offer>> = const { RefCell::new(None) };
}

pub fn offer(offer: Option<Offer>) {
    OFFER.with(|o| *o.borrow_mut() = offer);
}

/// Whether a flush is running.
pub fn is_offering() -> bool {
    OFFER.with(|o| o.try_borrow().is_ok_and(|o| o.is_some()))
}

/// Offers dirty keys until the returned guard is dropped.
#[must_use]
pub fn offer_dirty(relid: pg_sys::Oid, dirty: ChangeSet) -> DirtyOffer {
    let relid = relid.to_u32();
    OFFER.with(|o| {
        if let Some(offer) = o.borrow_mut().as_mut() {
            offer.dirty.insert(relid, Rc::new(dirty));
        }
    });
    DirtyOffer(relid)
}

pub struct DirtyOffer(u32);

impl Drop for DirtyOffer {
    fn drop(&mut self) {
        OFFER.with(|o| {
            if let Some(offer) = o.borrow_mut().as_mut() {
                offer.dirty.remove(&self.0);
            }
        });
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Which {
    Changed,
    Deleted,
    Dirty,
    Inserted,
}

macro_rules! set_returning {
    ($name:ident, $finfo:ident, $which:expr) => {
        #[unsafe(no_mangle)]
        pub extern "C" fn $finfo() -> &'static pg_sys::Pg_finfo_record {
            const RECORD: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
            &RECORD
        }

        #[unsafe(no_mangle)]
        #[pg_guard]
        pub unsafe extern "C-unwind" fn $name(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
            // SAFETY: `fcinfo` is the call of the function manager.
            unsafe { emit(fcinfo, $which) }
        }
    };
}

set_returning!(tviews_changed, pg_finfo_tviews_changed, Which::Changed);
set_returning!(tviews_deleted, pg_finfo_tviews_deleted, Which::Deleted);
set_returning!(tviews_inserted, pg_finfo_tviews_inserted, Which::Inserted);
set_returning!(tviews_dirty, pg_finfo_tviews_dirty, Which::Dirty);

#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_tviews_rows_support() -> &'static pg_sys::Pg_finfo_record {
    const RECORD: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &RECORD
}

/// Planner support: the number of rows that the functions return at the moment. Source of the protocol: nodes/supportnodes.h.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn tviews_rows_support(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: `fcinfo` is the call of the function manager.
    unsafe {
        let request: *mut pg_sys::Node = (*fcinfo).args.as_slice(1)[0].value.cast_mut_ptr();
        let none = pg_sys::Datum::from(0usize);
        if !list::is(request, pg_sys::NodeTag::T_SupportRequestRows) {
            return none;
        }
        let request = request.cast::<pg_sys::SupportRequestRows>();
        let Some(relid) = relation_of((*request).node) else { return none };
        let relid = relid.to_u32();
        let label = pg_sys::get_func_name((*(*request).node.cast::<pg_sys::FuncExpr>()).funcid);
        let of_keys = !label.is_null() && CStr::from_ptr(label) == c"dirty";
        let rows = OFFER.with(|o| {
            o.borrow().as_ref().map(|offer| match of_keys {
                true => offer.dirty.get(&relid).map_or(0, |d| d.len()),
                false => offer.changes.get(&relid).map_or(0, |sets| sets.iter().map(|s| s.len()).sum()),
            })
        });
        let Some(rows) = rows else { return none };
        (*request).rows = rows.max(1) as f64;
        pg_sys::Datum::from(request)
    }
}

/// The relation whose row type a call of one of these functions returns; None for any other expression.
///
/// # Safety
/// A valid expression.
pub unsafe fn relation_of(expr: *mut pg_sys::Node) -> Option<pg_sys::Oid> {
    // SAFETY: A valid expression, as the caller promises.
    unsafe {
        if !list::is(expr, pg_sys::NodeTag::T_FuncExpr) {
            return None;
        }
        let call = expr.cast::<pg_sys::FuncExpr>();
        let ours = pg_sys::get_func_namespace((*call).funcid) == pg_sys::get_namespace_oid(c"tviews".as_ptr(), true);
        (ours && list::len((*call).args) == 1)
            .then(|| pg_sys::get_typ_typrelid(pg_sys::exprType(list::nth((*call).args, 0))))
    }
}

/// Returns the rows as a tuplestore. Source of the protocol: utils/fmgr/README, "Functions Accepting or Returning Sets".
///
/// # Safety
/// `fcinfo` is the call of the function manager.
unsafe fn emit(fcinfo: pg_sys::FunctionCallInfo, which: Which) -> pg_sys::Datum {
    // SAFETY: `fcinfo` is the call of the function manager.
    unsafe {
        let rowtype = pg_sys::get_fn_expr_argtype((*fcinfo).flinfo, 0);
        let relid = pg_sys::get_typ_typrelid(rowtype).to_u32();
        let sets = OFFER.with(|o| {
            o.borrow().as_ref().map(|offer| match which {
                Which::Dirty => offer.dirty.get(&relid).cloned().into_iter().collect(),
                _ => offer.changes.get(&relid).cloned().unwrap_or_default(),
            })
        });
        let info = (*fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>();
        let context = if info.is_null() { std::ptr::null_mut() } else { (*info).econtext };
        let executor = if context.is_null() { std::ptr::null_mut() } else { (*context).ecxt_estate };
        let Some(sets) = sets.filter(|_| started::is_own(executor)) else {
            Error::WrongState {
                what: "change sets can only be read by the flush of a TVIEW".into(),
                hint: Some("Use tviews.pending() to see what is pending.".into()),
            }
            .raise()
        };
        pg_sys::InitMaterializedSRF(fcinfo, pg_sys::MAT_SRF_USE_EXPECTED_DESC);
        let desc = (*info).setDesc;
        let slot = pg_sys::MakeSingleTupleTableSlot(desc, &pg_sys::TTSOpsMinimalTuple);
        for set in sets {
            set.each(|tuple, weight| {
                let copies = match which {
                    Which::Deleted if fault::on(Fault::WrongSign) => 0,
                    Which::Inserted if fault::on(Fault::WrongSign) => weight.abs(),
                    Which::Deleted => -weight,
                    Which::Inserted => weight,
                    Which::Changed | Which::Dirty => 1,
                };
                for _ in 0..copies {
                    pg_sys::ExecStoreMinimalTuple(tuple, slot, false);
                    pg_sys::tuplestore_puttupleslot((*info).setResult, slot);
                }
            });
        }
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        pg_sys::Datum::from(0usize)
    }
}
