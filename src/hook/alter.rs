//! ALTER TVIEW / MATERIALIZED VIEW / TABLE: options, logged storage, access method; base tables go on to base_table.rs.
//!
//! Invariant: the server never sees our options (it would refuse them): they are taken out of pg_class before the
//! statement and put back after it.

use super::life::{self, is_marked};
use crate::analyze::describe::settings;
use crate::analyze::query::load;
use crate::build::adopt::{self, adopt};
use crate::build::check::{check, say_fixed};
use crate::build::{indexes, internal, logs, populate, redefine};
use crate::capture::freed::freed;
use crate::catalog::options::{self, Options};
use crate::catalog::{self, audit, deferred, sentinel};
use crate::hook::base_table::{base_table, reads_policies};
use crate::hook::call::Call;
use crate::hook::named;
use crate::pg::acl::owns;
use crate::pg::error::{Error, Result};
use crate::pg::pinned::{self, Other};
use crate::pg::relation::Relation;
use crate::pg::{guc, list, name};
use crate::queue;
use crate::refresh::flush::{self, lost};
use crate::tam::{self, state};
use pgrx::pg_sys;
use std::ffi::{CStr, c_char};

/// The work to do when the server has altered the relation.
pub struct Planned {
    relid: pg_sys::Oid,
    /// Options to put back.
    options: Option<Options>,
    /// Settings on which the contents depend and whose values differ in this session.
    settings: Vec<Other>,
    /// Access method conversion.
    becomes: Option<Method>,
    /// New storage.
    persistence: Option<u8>,
    /// The tablespace to which stages move with their TVIEW; null when the TVIEW stays.
    tablespace: *mut c_char,
    /// Another owner may see other rows.
    owner: bool,
    /// Another strategy may need state that the strategy before has not kept up.
    strategy: bool,
    /// Documents get or lose the indexes that they are read by.
    indexes: bool,
    /// Whether the TVIEW was deferred, when that may change or its logs may have to.
    refresh: Option<bool>,
}

#[derive(Clone, Copy, PartialEq)]
enum Method {
    Tview,
    Heap,
}

pub fn before(call: &mut Call) -> Result<()> {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        let stmt = (*call.pstmt).utilityStmt.cast::<pg_sys::AlterTableStmt>();
        let relid = named::find((*stmt).relation);
        if relid == pg_sys::InvalidOid {
            return Ok(());
        }
        let is_tview = tam::is_tview(relid);
        if is_marked((*stmt).relation) && !is_tview {
            return Err(Error::NotATview(name::bare(relid)));
        }
        if is_tview {
            return tview(call);
        }
        let is_matview = pg_sys::get_rel_relkind(relid) as u8 == pg_sys::RELKIND_MATVIEW;
        let wanted = list::iter::<pg_sys::AlterTableCmd>((*stmt).cmds).find_map(|c| method(c));
        if wanted == Some(Method::Tview) {
            if !is_matview {
                return Err(Error::unsupported(
                    "access method \"tview\" stores materialized views only",
                    -1,
                    "Use CREATE TVIEW … AS SELECT ….",
                ));
            }
            let relid = hold(call, named::Lock::Own(pg_sys::AccessExclusiveLock));
            let rel = Relation::open(relid, pg_sys::AccessShareLock).ok_or(Error::NoRelation(relid.to_u32()))?;
            check(load::stored(&rel)?, rel.class().relowner, rel.class().relispopulated, options::Refresh::Commit)?;
            let populated = rel.class().relispopulated;
            let others = if populated { pinned::others() } else { Vec::new() };
            let settings = settings::concerned(load::expand(load::stored(&rel)?)?, others);
            let planned = Planned {
                relid,
                options: None,
                settings,
                becomes: Some(Method::Tview),
                persistence: None,
                tablespace: std::ptr::null_mut(),
                owner: false,
                strategy: false,
                indexes: false,
                refresh: None,
            };
            call.then(move || after(&planned));
            return Ok(());
        }
        if pg_sys::get_rel_relkind(relid) as u8 == pg_sys::RELKIND_VIEW {
            // The role that reads the tables of a view decides which policies apply.
            use pg_sys::AlterTableType::*;
            let decides = [AT_ChangeOwner, AT_SetRelOptions, AT_ResetRelOptions, AT_ReplaceRelOptions];
            if list::iter::<pg_sys::AlterTableCmd>((*stmt).cmds).any(|c| decides.contains(&(*c).subtype)) {
                let view = (*stmt).relation;
                call.then(move || life::view_replaced(view));
            }
            return Ok(());
        }
        base_table(call, relid)
    }
}

/// Holds the relation of the statement; the tree is our own from then on.
pub fn hold(call: &mut Call, lock: named::Lock) -> pg_sys::Oid {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        let stmt = call.own_tree::<pg_sys::AlterTableStmt>();
        let relid = named::hold(|| named::find((*stmt).relation), lock);
        if relid != pg_sys::InvalidOid {
            named::qualify((*stmt).relation, relid);
        }
        relid
    }
}

/// The access method that a command sets, when it is `tview` or `heap`.
///
/// # Safety
/// `cmd` is a live node of a tree of the server.
unsafe fn method(cmd: *mut pg_sys::AlterTableCmd) -> Option<Method> {
    // SAFETY: `cmd` is a live node of a tree of the server.
    unsafe {
        if (*cmd).subtype != pg_sys::AlterTableType::AT_SetAccessMethod {
            return None;
        }
        let given = if (*cmd).name.is_null() { pg_sys::default_table_access_method } else { (*cmd).name };
        Some(if CStr::from_ptr(given) == c"tview" { Method::Tview } else { Method::Heap })
    }
}

fn tview(call: &mut Call) -> Result<()> {
    // SAFETY: `call` holds the statement that the server is executing.
    unsafe {
        let stmt = (*call.pstmt).utilityStmt.cast::<pg_sys::AlterTableStmt>();
        let leaves = list::iter::<pg_sys::AlterTableCmd>((*stmt).cmds).any(|c| method(c) == Some(Method::Heap));
        let own = pg_sys::AlterTableGetLockLevel((*stmt).cmds) as u32;
        let named = named::find((*stmt).relation);
        let is_deferred = deferred::is(named);
        let concerns_logs = list::iter::<pg_sys::AlterTableCmd>((*stmt).cmds).any(|c| {
            (*c).subtype == pg_sys::AlterTableType::AT_SetLogged && is_deferred
                || gives(c, c"refresh")
                || gives(c, c"logged")
        });
        if concerns_logs && owns(named) {
            // Tables before the TVIEW, as by writers.
            logs::lock_sources(named)?;
        }
        let relid = hold(call, if leaves { named::Lock::WithSources } else { named::Lock::Own(own) });
        if !tam::is_tview(relid) {
            return Err(Error::NotATview(name::bare(relid)));
        }
        let stmt = (*call.pstmt).utilityStmt.cast::<pg_sys::AlterTableStmt>();
        (*stmt).objtype = pg_sys::ObjectType::OBJECT_MATVIEW;
        let mut planned = Planned {
            relid,
            options: None,
            settings: Vec::new(),
            becomes: None,
            persistence: None,
            tablespace: std::ptr::null_mut(),
            owner: false,
            strategy: false,
            indexes: false,
            refresh: concerns_logs.then_some(is_deferred),
        };
        if concerns_logs {
            become_exact(relid)?;
        }
        let mut rest: *mut pg_sys::List = std::ptr::null_mut();
        for cmd in list::iter::<pg_sys::AlterTableCmd>((*stmt).cmds) {
            use pg_sys::AlterTableType::*;
            match (*cmd).subtype {
                AT_SetLogged => set_logged(&mut planned, true),
                AT_SetUnLogged => set_logged(&mut planned, false),
                AT_SetRelOptions | AT_ResetRelOptions | AT_ReplaceRelOptions => {
                    let reset = (*cmd).subtype == AT_ResetRelOptions;
                    let (ours, theirs) = if reset {
                        options::split_names((*cmd).def.cast())?
                    } else {
                        options::split((*cmd).def.cast())?
                    };
                    change_options(&mut planned, ours, reset)?;
                    (*cmd).def = theirs.cast();
                    if !theirs.is_null() {
                        rest = pg_sys::lappend(rest, cmd.cast());
                    }
                }
                AT_SetAccessMethod => {
                    if method(cmd) == Some(Method::Heap) {
                        planned.becomes = Some(Method::Heap);
                        leave(relid)?;
                    }
                    rest = pg_sys::lappend(rest, cmd.cast());
                }
                other => {
                    planned.owner |= other == AT_ChangeOwner;
                    if other == AT_SetTableSpace {
                        planned.tablespace = (*cmd).name;
                    }
                    rest = pg_sys::lappend(rest, cmd.cast());
                }
            }
        }
        if let Some(ours) = &planned.options {
            ours.consistent()?;
            if is_deferred && ours.refresh() == options::Refresh::Commit {
                redefine::check_as(relid, false)?;
            }
        }
        if planned.becomes == Some(Method::Heap) {
            planned.options = Some(Options::new());
            planned.persistence = None;
        } else if planned.options.is_none() {
            planned.options = Some(options::stored(relid));
        }
        (*stmt).cmds = rest;
        if rest.is_null() {
            call.done = true;
            call.then(move || after(&planned));
            return Ok(());
        }
        options::store(relid, &Options::new());
        call.then(move || after(&planned));
        Ok(())
    }
}

fn set_logged(planned: &mut Planned, logged: bool) {
    let ours = planned.options.get_or_insert_with(|| options::stored(planned.relid));
    ours.set_logged(logged);
    planned.persistence = Some(if logged { pg_sys::RELPERSISTENCE_PERMANENT } else { pg_sys::RELPERSISTENCE_UNLOGGED });
}

fn change_options(planned: &mut Planned, given: Options, reset: bool) -> Result<()> {
    let ends_schedule = given.contains_key("refresh")
        && !given.contains_key("schedule")
        && (reset || given.refresh() != options::Refresh::Deferred);
    for (key, value) in given {
        match (key.as_str(), reset) {
            ("incremental", true) => {
                return Err(Error::option(
                    "option \"incremental\" of a TVIEW cannot be reset",
                    Some("Use ALTER MATERIALIZED VIEW … SET ACCESS METHOD heap.".into()),
                ));
            }
            ("incremental", false) => {}
            ("logged", true) => set_logged(planned, !guc::UNLOGGED_BY_DEFAULT.get()),
            ("logged", false) => set_logged(planned, value == "true"),
            _ => {
                let ours = planned.options.get_or_insert_with(|| options::stored(planned.relid));
                let full = |value: Option<&String>| value.is_some_and(|v| v == "full");
                planned.strategy |= match key.as_str() {
                    "mode" => full(ours.get(&key)) || full(Some(&value)),
                    other => other == "approximate" || other == "key",
                };
                if ends_schedule {
                    ours.remove("schedule");
                }
                planned.indexes |= key == "document_indexes";
                if reset {
                    ours.remove(&key);
                } else {
                    ours.insert(key, value);
                }
            }
        }
    }
    Ok(())
}

/// Whether a command sets or resets an option.
///
/// # Safety
/// `cmd` is a live node of a tree of the server.
unsafe fn gives(cmd: *mut pg_sys::AlterTableCmd, option: &CStr) -> bool {
    use pg_sys::AlterTableType::*;
    // SAFETY: as the caller promises.
    unsafe {
        matches!((*cmd).subtype, AT_SetRelOptions | AT_ResetRelOptions | AT_ReplaceRelOptions)
            && list::iter::<pg_sys::DefElem>((*cmd).def.cast())
                .any(|d| (*d).defnamespace.is_null() && CStr::from_ptr((*d).defname) == option)
    }
}

/// A TVIEW that is about to follow changes in another way, exact for now, with writers locked out.
fn become_exact(relid: pg_sys::Oid) -> Result<()> {
    let populated = Relation::open(relid, pg_sys::AccessShareLock).is_some_and(|rel| rel.class().relispopulated);
    if !populated {
        return Ok(());
    }
    lost::recover(relid)?;
    if deferred::is(relid) {
        flush::deferred::refresh(relid, flush::deferred::By::Statement)?;
    } else {
        flush::flush(flush::Moment::Read);
    }
    Ok(())
}

/// A TVIEW that is exact for now follows changes in another way from here on.
fn follow_otherwise(relid: pg_sys::Oid, was_deferred: bool) -> Result<()> {
    if deferred::is(relid) != was_deferred {
        adopt::follow_otherwise(relid)?;
    }
    let is_deferred = logs::follow(relid)?;
    match (was_deferred, is_deferred) {
        (false, true) => flush::deferred::begin(relid)?,
        (true, false) => {
            flush::deferred::end(relid)?;
            catalog::sources(|_| true).into_iter().for_each(|s| freed(s.relid));
        }
        _ => {}
    }
    Ok(())
}

/// A TVIEW is about to become an ordinary materialized view: logged, without state, with exact contents.
fn leave(relid: pg_sys::Oid) -> Result<()> {
    populate::refuse_if_read(relid, "made an ordinary materialized view")?;
    let (unlogged, populated) = {
        let Some(rel) = Relation::open(relid, pg_sys::AccessExclusiveLock) else { return Ok(()) };
        (rel.class().relpersistence as u8 != pg_sys::RELPERSISTENCE_PERMANENT, rel.class().relispopulated)
    };
    if populated {
        lost::recover(relid)?;
        if unlogged {
            populate::populate(relid, pg_sys::RELPERSISTENCE_PERMANENT, false)?;
        }
    } else if unlogged {
        populate::empty_as(relid, pg_sys::RELPERSISTENCE_PERMANENT)?;
    }
    Ok(())
}

pub fn after(planned: &Planned) -> Result<()> {
    // SAFETY: the statement is over; its locks on altered relations last until the transaction ends.
    unsafe {
        pg_sys::CommandCounterIncrement();
        let relid = planned.relid;
        if let Some(ours) = &planned.options {
            options::store(relid, ours);
            catalog::invalidate_all();
        }
        if let Some(was_deferred) = planned.refresh.filter(|_| planned.becomes.is_none()) {
            pg_sys::CommandCounterIncrement();
            follow_otherwise(relid, was_deferred)?;
        }
        if planned.owner {
            internal::follow_owners();
        }
        if !planned.tablespace.is_null() {
            internal::move_to(relid, planned.tablespace);
        }
        if (planned.owner || planned.strategy) && planned.becomes.is_none() {
            if planned.owner && reads_policies(relid) {
                // The rows that a TVIEW has, and the tables that decide them, depend on the role that reads.
                redefine::redefine(vec![relid])?;
            } else {
                queue::recompute(relid);
            }
        }
        if planned.indexes && planned.becomes.is_none() {
            pg_sys::CommandCounterIncrement();
            indexes::follow_option(relid)?;
        }
        match planned.becomes {
            Some(Method::Tview) => {
                adopt(relid)?;
                audit::note(audit::Operation::Create, relid);
                let populated =
                    Relation::open(relid, pg_sys::AccessExclusiveLock).is_some_and(|r| r.class().relispopulated);
                let logged = !guc::UNLOGGED_BY_DEFAULT.get();
                let persistence =
                    if logged { pg_sys::RELPERSISTENCE_PERMANENT } else { pg_sys::RELPERSISTENCE_UNLOGGED };
                if logged {
                    let mut ours = Options::new();
                    ours.set_logged(true);
                    options::store(relid, &ours);
                }
                if populated {
                    populate::populate(relid, persistence, false)?;
                    say_fixed(relid, &planned.settings);
                } else {
                    populate::empty_as(relid, persistence)?;
                }
            }
            Some(Method::Heap) => {
                for source in catalog::unregister(relid) {
                    freed(source);
                }
                internal::drop(relid);
                audit::note_former(relid);
                sentinel::lower(relid);
                deferred::gone(relid);
                state::remove_state_attributes(relid);
                pg_sys::CommandCounterIncrement();
            }
            None => {}
        }
        if let Some(persistence) = planned.persistence {
            let rel = Relation::open(relid, pg_sys::AccessExclusiveLock);
            let (same, populated) = rel
                .map_or((true, false), |r| (r.class().relpersistence as u8 == persistence, r.class().relispopulated));
            if !same && populated {
                populate::populate(relid, persistence, false)?;
            } else if !same {
                populate::empty_as(relid, persistence)?;
            }
        }
        Ok(())
    }
}
