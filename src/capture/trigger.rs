//! The trigger function: transition tables → change sets.
//!
//! Invariant: after a statement, the queue holds exactly −old +new of every base relation the statement changed,
//! restricted to columns that some TVIEW uses. Called by the server after each statement on a captured table.
//!
//! The apply workers of logical replication fire row triggers only (replication/logical/worker.c) for the changes they apply; the first copy of
//! a table and the writes of users' triggers fire both kinds. So in these workers rows are captured by the row trigger alone, where there is one.

use super::install;
use super::route::{self, Routes, Target};
use crate::pg::callback::{Frame, Ready};
use crate::pg::fault::{self, Fault};
use crate::pg::{reserve, silent, slot};
use crate::queue::changes::{ChangeSet, Image, image_of};
use crate::queue::{self, Subject};
use pgrx::{pg_guard, pg_sys};

#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_tviews_capture() -> &'static pg_sys::Pg_finfo_record {
    const RECORD: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &RECORD
}

#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn tviews_capture(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let mut frame = Frame::new();
    let _ready = Ready::with(&mut frame);
    // SAFETY: `fcinfo` is the call of the function manager.
    unsafe {
        let context = (*fcinfo).context;
        if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
            pgrx::ereport!(
                ERROR,
                pgrx::PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                "tviews.capture() must be called as trigger"
            );
        }
        let data = &*context.cast::<pg_sys::TriggerData>();
        if !(*data.tg_trigger).tgisinternal {
            pgrx::ereport!(
                ERROR,
                pgrx::PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                "tviews.capture() cannot be called by a trigger that a user has created",
                "Creating a TVIEW puts the triggers that it needs on its tables."
            );
        }
        let routes = || route::of(data.tg_relation);
        if data.tg_event & pg_sys::TRIGGER_EVENT_OPMASK == pg_sys::TRIGGER_EVENT_TRUNCATE {
            truncate(&routes());
        } else if data.tg_event & pg_sys::TRIGGER_EVENT_ROW != 0 {
            if is_apply_worker() {
                row(data, &routes());
            }
        } else if !is_apply_worker() || !install::is_applied(data.tg_relation) {
            rows(data, &routes());
        }
        reserve::check();
        pg_sys::Datum::from(0usize)
    }
}

/// Whether row triggers for replicas fire because a subscription is applied.
fn is_apply_worker() -> bool {
    // SAFETY: reads a flag of the process.
    unsafe {
        pg_sys::SessionReplicationRole == pg_sys::SESSION_REPLICATION_ROLE_REPLICA as i32 && pg_sys::IsLogicalWorker()
    }
}

fn truncate(routes: &Routes) {
    if fault::on(Fault::IgnoreTruncate) {
        return;
    }
    let targets = routes.targets.iter().chain(&routes.logged).map(|t| t.relid);
    targets.chain(routes.everything.iter().copied()).for_each(queue::change_everything);
    routes.recompute.iter().copied().for_each(queue::recompute);
}

/// # Safety
/// `data` is what the trigger was called with.
unsafe fn rows(data: &pg_sys::TriggerData, routes: &Routes) {
    // SAFETY: `data` is what the trigger was called with.
    unsafe {
        let mut any = false;
        for target in &routes.targets {
            queue::change(Subject::Relation(target.relid.to_u32()), |set| {
                any |= store(data, data.tg_oldtable, target, set, -1);
                any |= store(data, data.tg_newtable, target, set, 1);
            });
        }
        for target in &routes.logged {
            queue::log(target.relid.to_u32(), |set| {
                any |= store(data, data.tg_oldtable, target, set, -1);
                any |= store(data, data.tg_newtable, target, set, 1);
            });
        }
        let coarse =
            !routes.everything.is_empty() || !routes.recompute.is_empty() || !routes.logged_entirely.is_empty();
        if coarse && (any || has_rows(data)) {
            routes.logged_entirely.iter().for_each(|r| queue::log(r.to_u32(), ChangeSet::set_everything));
            for relid in routes.everything.iter().copied() {
                match routes.unlogged.contains(&relid) {
                    true => queue::change(Subject::Relation(relid.to_u32()), ChangeSet::set_everything),
                    false => queue::change_everything(relid),
                }
            }
            routes.recompute.iter().copied().for_each(queue::recompute);
        }
    }
}

/// Captures one row, which is stored in the trigger's own table, not in a table below it.
///
/// # Safety
/// `data` is what the trigger was called with.
unsafe fn row(data: &pg_sys::TriggerData, routes: &Routes) {
    // SAFETY: `data` is what the trigger was called with.
    unsafe {
        let (old, new) = match data.tg_event & pg_sys::TRIGGER_EVENT_OPMASK {
            pg_sys::TRIGGER_EVENT_INSERT => (std::ptr::null_mut(), data.tg_trigslot),
            pg_sys::TRIGGER_EVENT_DELETE => (data.tg_trigslot, std::ptr::null_mut()),
            _ => (data.tg_trigslot, data.tg_newslot),
        };
        let both = [(&routes.targets, false), (&routes.logged, true)];
        for (target, is_logged) in both.into_iter().flat_map(|(all, l)| all.iter().map(move |t| (t, l))) {
            let base = pg_sys::RelationIdGetRelation(target.relid);
            let mut image = ImageBuilder::new((*base).rd_att);
            let relid = target.relid.to_u32();
            let rows = |set: &mut ChangeSet| {
                for (slot, weight) in [(old, -1), (new, 1)] {
                    if !slot.is_null() && !ignored(data, weight) {
                        add(slot, target, &mut image, set, weight);
                    }
                }
            };
            if is_logged {
                queue::log(relid, rows)
            } else {
                queue::change(Subject::Relation(relid), rows)
            }
            pg_sys::RelationClose(base);
        }
        routes.logged_entirely.iter().for_each(|r| queue::log(r.to_u32(), ChangeSet::set_everything));
        routes.recompute.iter().copied().for_each(queue::recompute);
    }
}

/// # Safety
/// `data` is what the trigger was called with.
unsafe fn has_rows(data: &pg_sys::TriggerData) -> bool {
    // SAFETY: `data` is what the trigger was called with.
    unsafe {
        let count = |t: *mut pg_sys::Tuplestorestate| {
            if t.is_null() { 0 } else { silent::tuplestore_tuple_count(t) }
        };
        count(data.tg_oldtable) + count(data.tg_newtable) > 0
    }
}

/// Whether an injected fault leaves out the rows of this weight.
fn ignored(data: &pg_sys::TriggerData, weight: i64) -> bool {
    match data.tg_event & pg_sys::TRIGGER_EVENT_OPMASK {
        pg_sys::TRIGGER_EVENT_INSERT => fault::on(Fault::IgnoreInserts),
        pg_sys::TRIGGER_EVENT_DELETE => fault::on(Fault::IgnoreDeletes),
        _ if weight < 0 => fault::on(Fault::IgnoreOldImages),
        _ => fault::on(Fault::IgnoreNewImages),
    }
}

/// Adds one transition table to a change set with a weight; returns whether it had rows.
///
/// # Safety
/// `data` is what the trigger was called with; `table` points to memory of the caller.
unsafe fn store(
    data: &pg_sys::TriggerData,
    table: *mut pg_sys::Tuplestorestate,
    target: &Target,
    set: &mut ChangeSet,
    weight: i64,
) -> bool {
    // SAFETY: `data` is what the trigger was called with; `table` points to memory of the caller.
    unsafe {
        if table.is_null() || silent::tuplestore_tuple_count(table) == 0 || ignored(data, weight) {
            return false;
        }
        let base = pg_sys::RelationIdGetRelation(target.relid);
        let row = pg_sys::MakeSingleTupleTableSlot((*data.tg_relation).rd_att, &pg_sys::TTSOpsMinimalTuple);
        let mut image = ImageBuilder::new((*base).rd_att);
        pg_sys::tuplestore_rescan(table);
        while pg_sys::tuplestore_gettupleslot(table, true, false, row) {
            add(row, target, &mut image, set, weight);
        }
        silent::ExecDropSingleTupleTableSlot(row);
        pg_sys::RelationClose(base);
        true
    }
}

/// Adds a captured row.
///
/// # Safety
/// `row` is a slot of the caller.
unsafe fn add(
    row: *mut pg_sys::TupleTableSlot,
    target: &Target,
    image: &mut ImageBuilder,
    set: &mut ChangeSet,
    weight: i64,
) {
    // SAFETY: `row` is a slot of the caller.
    unsafe {
        if target.identical {
            let mut free = false;
            let tuple = pg_sys::ExecFetchSlotMinimalTuple(row, &mut free);
            // A row stored before ADD COLUMN has fewer attributes than its row type.
            let whole = i32::from((*tuple).t_infomask2 & pg_sys::HEAP_NATTS_MASK as u16) == (*image.desc).natts;
            if whole {
                set.add(tuple, weight);
            }
            if free {
                pg_sys::pfree(tuple.cast());
            }
            if whole {
                return;
            }
        }
        let (values, nulls) = slot::all(row);
        for (i, from) in target.from.iter().enumerate() {
            image.set(i, from.and_then(|j| (!nulls[j]).then_some(values[j])));
        }
        image.add_to(set, weight);
    }
}

/// Builds row images of one row type.
pub struct ImageBuilder {
    desc: pg_sys::TupleDesc,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

impl ImageBuilder {
    /// # Safety
    /// `desc` outlives the builder.
    pub unsafe fn new(desc: pg_sys::TupleDesc) -> ImageBuilder {
        // SAFETY: `desc` outlives the builder, as the caller promises.
        unsafe {
            let n = (*desc).natts as usize;
            ImageBuilder { desc, values: vec![pg_sys::Datum::from(0usize); n], nulls: vec![true; n] }
        }
    }

    pub fn set(&mut self, i: usize, value: Option<pg_sys::Datum>) {
        self.nulls[i] = value.is_none();
        self.values[i] = value.unwrap_or(pg_sys::Datum::from(0usize));
    }

    /// The row as an image of its own.
    ///
    /// # Safety
    /// As `add_to`.
    pub unsafe fn image(&mut self) -> Image {
        // SAFETY: the values set so far are valid for the descriptor's types, as the caller promises.
        unsafe {
            let tuple = self.form();
            let image = image_of(tuple);
            pg_sys::pfree(tuple.cast());
            image
        }
    }

    /// # Safety
    /// The values set so far are valid for the descriptor's types.
    pub unsafe fn add_to(&mut self, set: &mut ChangeSet, weight: i64) {
        // SAFETY: The values set so far are valid for the descriptor's types, as the caller promises.
        unsafe {
            let tuple = self.form();
            set.add(tuple, weight);
            pg_sys::pfree(tuple.cast());
        }
    }

    /// # Safety
    /// One value and one flag for each attribute of the descriptor.
    unsafe fn form(&mut self) -> pg_sys::MinimalTuple {
        // SAFETY: one value and one flag for each attribute of the descriptor.
        unsafe {
            #[cfg(not(feature = "since_18"))]
            return pg_sys::heap_form_minimal_tuple(self.desc, self.values.as_mut_ptr(), self.nulls.as_mut_ptr());
            #[cfg(feature = "since_18")]
            pg_sys::heap_form_minimal_tuple(self.desc, self.values.as_ptr(), self.nulls.as_ptr(), 0)
        }
    }
}
