//! Creating and dropping the capture triggers of tables.
//!
//! Invariant: a table has all four statement triggers when a TVIEW reads it or a table above or below it in its inheritance
//! tree, and none otherwise, or when only deferred TVIEWs do whose relations are captured from WAL (src/wal); when a subscription writes to that tree, all its tables have a row trigger, too. The triggers are
//! internal (not dumped, not touched by DISABLE TRIGGER USER), enabled always (also for replica sessions), the row trigger
//! for replica sessions only, and go with the extension (an auto dependency). Row triggers of a subscription that has gone
//! stay until no TVIEW reads the table: dropping a trigger locks the table's readers out.
//! Called by the DDL hooks. Source: commands/trigger.c, CreateTriggerFiringOn.

use super::route::ancestors;
use crate::catalog::{self, deferred, wal};
use crate::pg::error::{Error, Result};
use crate::pg::ext::{self, make};
use crate::pg::process::process;
use crate::pg::relation::Relation;
use crate::pg::syscatalog::{SUBSCRIPTION_BY_RELATION, SUBSCRIPTION_RELATION};
use crate::pg::{ddl, name};
use crate::tam;
use pgrx::pg_sys;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::CStr;

process! {
    static TRIAL: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, `install` creates no triggers: for a TVIEW that is created to be analysed and rolled back.
pub struct Trial(());

impl Trial {
    pub fn new() -> Trial {
        TRIAL.set(true);
        Trial(())
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        TRIAL.set(false);
    }
}

/// Names sort before the names of ordinary triggers, so that a user's statement trigger that reads a TVIEW sees the
/// changes of its own statement.
struct Event {
    name: &'static CStr,
    kind: u32,
    old: bool,
    new: bool,
    /// FOR EACH ROW, for changes that a subscription applies: its worker fires no statement triggers.
    row: bool,
}

impl Event {
    const fn statement(name: &'static CStr, kind: u32, old: bool, new: bool) -> Event {
        Event { name, kind, old, new, row: false }
    }

    fn fires(&self) -> u8 {
        if self.row { pg_sys::TRIGGER_FIRES_ON_REPLICA } else { pg_sys::TRIGGER_FIRES_ALWAYS }
    }
}

const EVENTS: &[Event] = &[
    Event::statement(c"$tviews_insert", pg_sys::TRIGGER_TYPE_INSERT, false, true),
    Event::statement(c"$tviews_update", pg_sys::TRIGGER_TYPE_UPDATE, true, true),
    Event::statement(c"$tviews_delete", pg_sys::TRIGGER_TYPE_DELETE, true, false),
    Event::statement(c"$tviews_truncate", pg_sys::TRIGGER_TYPE_TRUNCATE, false, false),
    APPLY,
];

const APPLY: Event = Event {
    name: c"$tviews_apply",
    kind: pg_sys::TRIGGER_TYPE_INSERT | pg_sys::TRIGGER_TYPE_UPDATE | pg_sys::TRIGGER_TYPE_DELETE,
    old: false,
    new: false,
    row: true,
};

const OLD: &CStr = c"tviews_old";
const NEW: &CStr = c"tviews_new";

/// Tables that must have triggers for a TVIEW that reads `base`: its whole inheritance tree.
pub fn covering(base: pg_sys::Oid) -> BTreeSet<u32> {
    let mut out: BTreeSet<u32> = ancestors(base).into_iter().map(pg_sys::Oid::to_u32).collect();
    let below = ext::find_all_inheritors(base, pg_sys::NoLock as i32);
    out.extend(below.into_iter().map(pg_sys::Oid::to_u32));
    out
}

/// Gives `base` and its inheritance tree the triggers that are missing. Blocks writers of these tables until commit.
pub fn install(base: pg_sys::Oid) -> Result<()> {
    install_where(base, |_| true)
}

/// The same for a tree that has changed: tables that no TVIEW needs triggers on have none.
pub fn install_needed(base: pg_sys::Oid) -> Result<()> {
    let needing = needing();
    install_where(base, |relid| needs(relid, &needing))
}

/// The same for a new reader. Readers that are deferred need none of a relation that is captured from WAL.
pub fn install_for(base: pg_sys::Oid, is_deferred: bool) -> Result<()> {
    install_where(base, |_| !is_deferred || !wal::captures(base))
}

fn install_where(base: pg_sys::Oid, needs: impl Fn(pg_sys::Oid) -> bool) -> Result<()> {
    if TRIAL.get() {
        return Ok(());
    }
    let tree = covering(base);
    let applied = is_subscribed(&tree);
    for relid in tree {
        let relid = pg_sys::Oid::from(relid);
        let Some(rel) = Relation::open(relid, pg_sys::ShareRowExclusiveLock) else { continue };
        if !has_triggers(&rel) || !needs(relid) {
            continue;
        }
        let present = installed(&rel);
        if present.iter().any(|t| !t.enabled) {
            enable(&rel);
        }
        drop(rel);
        for event in EVENTS.iter().filter(|e| applied || !e.row) {
            if !present.iter().any(|p| p.kind == event.kind as i16) {
                create(relid, event)?;
            }
        }
    }
    Ok(())
}

/// Whether a relation of an inheritance tree can have triggers at all.
pub fn has_triggers(rel: &Relation) -> bool {
    rel.relkind() != pg_sys::RELKIND_MATVIEW && rel.relkind() != pg_sys::RELKIND_FOREIGN_TABLE
}

/// Whether changes of some relation of an inheritance tree cannot be captured: of a foreign table, or of a materialized view that is no TVIEW.
pub fn is_uncaptured(base: pg_sys::Oid) -> bool {
    let below = ext::find_all_inheritors(base, pg_sys::NoLock as i32);
    below.into_iter().any(|relid| {
        // SAFETY: syscache look-up; an oid without relation has no kind.
        match unsafe { pg_sys::get_rel_relkind(relid) } as u8 {
            pg_sys::RELKIND_FOREIGN_TABLE => true,
            pg_sys::RELKIND_MATVIEW => !tam::is_tview(relid),
            _ => false,
        }
    })
}

/// Whether a subscription of this database writes to one of these tables.
pub fn is_subscribed(tree: &BTreeSet<u32>) -> bool {
    tree.iter()
        .any(|relid| !SUBSCRIPTION_BY_RELATION.find(&[pg_sys::Oid::from(*relid)], &[SUBSCRIPTION_RELATION]).is_empty())
}

/// After tables were added to a subscription: creates row triggers on the inheritance trees that TVIEWs read.
pub fn follow_subscriptions() -> Result<()> {
    let bases: BTreeSet<u32> = catalog::sources(|_| true).into_iter().map(|s| s.relid.to_u32()).collect();
    let needing = needing();
    for base in bases.into_iter().map(pg_sys::Oid::from) {
        let tree = covering(base);
        let lacks = |relid: &u32| {
            let relid = pg_sys::Oid::from(*relid);
            if !needs(relid, &needing) {
                return false;
            }
            Relation::open(relid, pg_sys::AccessShareLock)
                .is_some_and(|rel| has_triggers(&rel) && !installed(&rel).iter().any(|t| t.kind == APPLY.kind as i16))
        };
        if is_subscribed(&tree) && tree.iter().any(lacks) {
            install_needed(base)?;
        }
    }
    Ok(())
}

/// Enables our triggers again, after ENABLE or DISABLE TRIGGER ALL.
fn enable(rel: &Relation) {
    // SAFETY: trigdesc belongs to the open, locked relation; names are copied before the relation is changed.
    unsafe {
        let desc = (*rel.raw()).trigdesc;
        let ours: Vec<(*mut std::ffi::c_char, u8)> = (0..(*desc).numtriggers as usize)
            .map(|i| &*(*desc).triggers.add(i))
            .filter(|t| is_ours(t, function()))
            .filter_map(|t| Some((pg_sys::pstrdup(t.tgname), event(t)?.fires())))
            .collect();
        let lock = pg_sys::ShareRowExclusiveLock as i32;
        for (name, fires) in ours {
            #[cfg(feature = "pg15")]
            pg_sys::EnableDisableTrigger(rel.raw(), name, fires as _, false, lock);
            #[cfg(not(feature = "pg15"))]
            pg_sys::EnableDisableTrigger(rel.raw(), name, pg_sys::InvalidOid, fires as _, false, false, lock);
        }
        pg_sys::CommandCounterIncrement();
    }
}

/// Relations that some TVIEW follows by triggers: at commit, or by a log that transactions write themselves.
pub fn needing() -> BTreeSet<u32> {
    let sources = catalog::sources(|_| true);
    let deferred = deferred::all(&sources);
    let by_trigger = |s: &&catalog::Source| !deferred.contains(&s.tview.to_u32()) || !wal::captures(s.relid);
    sources.iter().filter(by_trigger).map(|s| s.relid.to_u32()).collect()
}

/// Whether a table needs triggers, for the relations that `needing` gives.
pub fn needs(relid: pg_sys::Oid, needing: &BTreeSet<u32>) -> bool {
    covering(relid).iter().any(|r| needing.contains(r))
}

/// Takes the triggers off `base` and its tree where no TVIEW needs them any more.
pub fn uninstall(base: pg_sys::Oid) {
    let needing = needing();
    for relid in covering(base) {
        if needs(pg_sys::Oid::from(relid), &needing) {
            continue;
        }
        // Tables without our triggers are only locked in the weakest mode.
        let look = |mode| Relation::open(pg_sys::Oid::from(relid), mode).map(|rel| installed(&rel));
        if look(pg_sys::AccessShareLock).is_none_or(|triggers| triggers.is_empty()) {
            continue;
        }
        let Some(triggers) = look(pg_sys::AccessExclusiveLock) else { continue };
        // Who had the table until now may have made something that needs them.
        if needs(pg_sys::Oid::from(relid), &self::needing()) {
            continue;
        }
        for t in triggers {
            let object = pg_sys::ObjectAddress { classId: pg_sys::TriggerRelationId, objectId: t.oid, objectSubId: 0 };
            // SAFETY: the trigger exists and its table is locked.
            unsafe {
                pg_sys::performDeletion(
                    &object,
                    pg_sys::DropBehavior::DROP_RESTRICT,
                    pg_sys::PERFORM_DELETION_INTERNAL as i32,
                )
            };
        }
        // SAFETY: makes the deletion visible.
        unsafe { pg_sys::CommandCounterIncrement() };
    }
}

pub struct Installed {
    pub oid: pg_sys::Oid,
    pub kind: i16,
    pub enabled: bool,
}

/// The capture triggers of an open table.
pub fn installed(rel: &Relation) -> Vec<Installed> {
    let function = function();
    let mut out = Vec::new();
    // SAFETY: trigdesc belongs to the open relation.
    unsafe {
        let desc = (*rel.raw()).trigdesc;
        if desc.is_null() {
            return out;
        }
        for i in 0..(*desc).numtriggers as usize {
            let t = &*(*desc).triggers.add(i);
            if let Some(event) = event(t).filter(|_| is_ours(t, function)) {
                let enabled = t.tgenabled as u8 == event.fires();
                out.push(Installed { oid: t.tgoid, kind: event.kind as i16, enabled });
            }
        }
    }
    out
}

/// Whether `create` has made a trigger: triggers made by CREATE TRIGGER are never internal.
fn is_ours(trigger: &pg_sys::Trigger, function: pg_sys::Oid) -> bool {
    trigger.tgisinternal && trigger.tgfoid == function
}

/// The event that a trigger of ours captures.
fn event(trigger: &pg_sys::Trigger) -> Option<&'static Event> {
    let events = pg_sys::TRIGGER_TYPE_INSERT
        | pg_sys::TRIGGER_TYPE_DELETE
        | pg_sys::TRIGGER_TYPE_UPDATE
        | pg_sys::TRIGGER_TYPE_TRUNCATE;
    EVENTS.iter().find(|e| e.kind == trigger.tgtype as u32 & events)
}

/// Whether changes that a subscription applies to an open table are captured row by row.
///
/// # Safety
/// The relation is open.
pub unsafe fn is_applied(rel: pg_sys::Relation) -> bool {
    // SAFETY: The relation is open, as the caller promises.
    unsafe {
        let desc = (*rel).trigdesc;
        let function = function();
        !desc.is_null()
            && (0..(*desc).numtriggers as usize)
                .map(|i| &*(*desc).triggers.add(i))
                .any(|t| is_ours(t, function) && event(t).is_some_and(|e| e.row))
    }
}

fn function_name() -> *mut pg_sys::List {
    // SAFETY: builds a list of two String nodes.
    unsafe {
        let list =
            pg_sys::lappend(std::ptr::null_mut(), pg_sys::makeString(pg_sys::pstrdup(c"tviews".as_ptr())).cast());
        pg_sys::lappend(list, pg_sys::makeString(pg_sys::pstrdup(c"capture".as_ptr())).cast())
    }
}

/// The trigger function of this database.
fn function() -> pg_sys::Oid {
    // SAFETY: syscache look-up by qualified name and no arguments.
    unsafe { pg_sys::LookupFuncName(function_name(), 0, std::ptr::null(), true) }
}

fn create(relid: pg_sys::Oid, event: &Event) -> Result<()> {
    let function = function();
    if function == pg_sys::InvalidOid {
        return Err(Error::Internal("function tviews.capture() does not exist".into()));
    }
    // SAFETY: a CreateTrigStmt as the grammar would build it; the table is locked.
    unsafe {
        let stmt = make::<pg_sys::CreateTrigStmt>(pg_sys::NodeTag::T_CreateTrigStmt);
        (*stmt).trigname = pg_sys::pstrdup(event.name.as_ptr());
        (*stmt).relation = std::ptr::null_mut();
        (*stmt).funcname = function_name();
        (*stmt).row = event.row;
        (*stmt).timing = pg_sys::TRIGGER_TYPE_AFTER as i16;
        (*stmt).events = event.kind as i16;
        for (wanted, name, is_new) in [(event.old, OLD, false), (event.new, NEW, true)] {
            if wanted {
                let t = make::<pg_sys::TriggerTransition>(pg_sys::NodeTag::T_TriggerTransition);
                (*t).name = pg_sys::pstrdup(name.as_ptr());
                (*t).isNew = is_new;
                (*t).isTable = true;
                (*stmt).transitionRels = pg_sys::lappend((*stmt).transitionRels, t.cast());
            }
        }
        let trigger = pg_sys::CreateTriggerFiringOn(
            stmt,
            std::ptr::null(),
            relid,
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            function,
            pg_sys::InvalidOid,
            std::ptr::null_mut(),
            true,
            false,
            event.fires() as _,
        );
        ddl::mark(&trigger);
        pg_sys::CommandCounterIncrement();
    }
    Ok(())
}

/// CREATE TVIEW needs the TRIGGER privilege, as CREATE TRIGGER would.
pub fn check_privilege(relid: pg_sys::Oid, owner: pg_sys::Oid) -> Result<()> {
    let needed = (pg_sys::ACL_TRIGGER | pg_sys::ACL_SELECT) as pg_sys::AclMode;
    // SAFETY: any existing relation may be asked about.
    let ok = unsafe { pg_sys::pg_class_aclmask(relid, owner, needed, pg_sys::AclMaskHow::ACLMASK_ALL) == needed };
    if ok { Ok(()) } else { Err(Error::Privilege { name: name::bare(relid), at: -1 }) }
}
