//! Invalidation of the facts that a backend has cached about TVIEWs.
//!
//! Invariant: a cache that remembers `generation()` when it was filled and compares before use never serves facts older
//! than the last change of a relation it watches. DDL hooks invalidate the TVIEWs concerned (catalog/mod.rs). `rights()` changes
//! when roles, memberships, schemas or functions change; a change of privileges on a relation is a change of the relation.
//!
//! The server invalidates a relation for ANALYZE and VACUUM, too, which change nothing that is cached here. So an invalidated relation is only
//! suspected, and changed when the rows of the catalogs that say what it is are others than before: these are replaced when a relation changes, and
//! what ANALYZE and VACUUM write is written in place (commands/vacuum.c, vac_update_relstats).

use crate::pg::process::process;
use crate::pg::silent;
use crate::pg::syscatalog::{
    ATTRIBUTES, CHILDREN, CONSTRAINTS, DEFAULTS, INDEXES, INHERITS_BY_CHILD, POLICIES, RULES, Version, version_of,
};
use pgrx::{pg_guard, pg_sys};
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};

/// What says whether a watched relation has changed.
#[derive(Clone, Copy, PartialEq)]
enum Watched {
    /// Each invalidation is a change: of the rows of a table of ours.
    Rows,
    /// The hash of the versions of its rows in the catalogs.
    Definition(u64),
}

process! {
    static GENERATION: Cell<u64> = const { Cell::new(1) };
    static RIGHTS: Cell<u64> = const { Cell::new(1) };
    static WATCHED: RefCell<FxHashMap<u32, Watched>> = RefCell::default();
    /// Relations that were invalidated, and by which invalidation last.
    static SUSPECTED: RefCell<FxHashMap<u32, u64>> = RefCell::default();
    static INVALIDATIONS: Cell<u64> = const { Cell::new(0) };
    /// Relations that were invalidated since the last transaction ended; None: more than are counted.
    static RECENT: RefCell<Option<Vec<u32>>> = const { RefCell::new(Some(Vec::new())) };
}

pub fn init() {
    use pg_sys::SysCacheIdentifier::{AUTHMEMMEMROLE, AUTHOID, NAMESPACEOID, PROCOID};
    // SAFETY: the callbacks live as long as the library.
    unsafe {
        let nothing = pg_sys::Datum::from(0usize);
        pg_sys::CacheRegisterRelcacheCallback(Some(on_relcache), nothing);
        for cache in [AUTHMEMMEMROLE, AUTHOID, NAMESPACEOID, PROCOID] {
            pg_sys::CacheRegisterSyscacheCallback(cache as i32, Some(on_rights), nothing);
        }
    }
}

/// Generation of the privileges of roles on objects other than relations.
pub fn rights() -> u64 {
    RIGHTS.get()
}

/// Called by the server at arbitrary points: only moves a counter.
#[pg_guard]
unsafe extern "C-unwind" fn on_rights(_arg: pg_sys::Datum, _cache: std::ffi::c_int, _hash: u32) {
    RIGHTS.set(RIGHTS.get() + 1);
}

/// Generation of the relations that are watched.
pub fn generation() -> u64 {
    while let Some((relid, number)) = SUSPECTED.with_borrow(|s| s.iter().next().map(|(r, n)| (*r, *n))) {
        look_at(relid, number);
    }
    GENERATION.get()
}

/// Moves the generation if a suspected relation has changed; `number`: of the invalidation that is known.
fn look_at(relid: u32, number: u64) {
    // SAFETY: plain getter.
    let can_look = unsafe { silent::IsTransactionState() };
    let now = can_look.then(|| Watched::Definition(definition(relid)));
    // One that arrived meanwhile is looked at for itself.
    let last = SUSPECTED.with_borrow_mut(|s| {
        let last = s.get(&relid) == Some(&number);
        if last {
            s.remove(&relid);
        }
        last
    });
    if !last {
        return;
    }
    let is_known = WATCHED.with_borrow_mut(|w| match (w.get_mut(&relid), now) {
        (Some(known), Some(now)) if *known != now => {
            *known = now;
            false
        }
        (Some(_), None) => false,
        _ => true,
    });
    if !is_known {
        changed();
    }
}

fn changed() {
    GENERATION.set(GENERATION.get() + 1);
}

/// Lets changes of this relation move the generation.
pub fn watch(relid: pg_sys::Oid) {
    let relid = relid.to_u32();
    if WATCHED.with_borrow(|w| w.contains_key(&relid)) {
        return;
    }
    // Invalidations count from here on.
    WATCHED.with_borrow_mut(|w| w.insert(relid, Watched::Definition(0)));
    let now = definition(relid);
    WATCHED.with_borrow_mut(|w| w.insert(relid, Watched::Definition(now)));
}

/// Lets every invalidation of a table of ours move the generation.
pub fn watch_rows(relid: pg_sys::Oid) {
    WATCHED.with_borrow_mut(|w| w.insert(relid.to_u32(), Watched::Rows));
}

/// A hash of the versions of all rows that say what a relation is. Statistics are no part of it.
fn definition(relid: u32) -> u64 {
    use std::hash::{BuildHasher, Hash, Hasher};
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    let oid = pg_sys::Oid::from(relid);
    let mut add = |versions: Vec<Version>| versions.hash(&mut hasher);
    // SAFETY: the entry of a system cache is looked at before it is released.
    let class = unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, pg_sys::Datum::from(oid));
        if tuple.is_null() {
            return 0;
        }
        let class = *pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
        add(vec![version_of(tuple)]);
        pg_sys::ReleaseSysCache(tuple);
        class
    };
    add(ATTRIBUTES.versions(&[oid]));
    add(INDEXES.versions(&[oid]));
    add(CONSTRAINTS.versions(&[oid]));
    add(DEFAULTS.versions(&[oid]));
    if matches!(class.relkind as u8, pg_sys::RELKIND_VIEW | pg_sys::RELKIND_MATVIEW) {
        add(RULES.versions(&[oid]));
    }
    if class.relrowsecurity {
        add(POLICIES.versions(&[oid]));
    }
    if class.relhassubclass {
        add(CHILDREN.versions(&[oid]));
    }
    add(INHERITS_BY_CHILD.versions(&[oid]));
    hasher.finish()
}

/// So many relations are counted.
const FEW: usize = 64;

/// Relations that were invalidated in this transaction; None: many.
pub fn recent() -> Option<Vec<u32>> {
    RECENT.with_borrow(Clone::clone)
}

pub fn forget_recent() {
    RECENT.replace(Some(Vec::new()));
}

fn note_recent(relid: pg_sys::Oid) {
    // Nothing arrives while the list is copied.
    let _ = RECENT.with(|recent| {
        recent.try_borrow_mut().map(|mut recent| match &mut *recent {
            Some(few) if few.contains(&relid.to_u32()) => {}
            Some(few) if relid != pg_sys::InvalidOid && few.len() < FEW => few.push(relid.to_u32()),
            all => *all = None,
        })
    });
}

/// Called by the server at arbitrary points: looks at nothing but its own notes.
#[pg_guard]
unsafe extern "C-unwind" fn on_relcache(_arg: pg_sys::Datum, relid: pg_sys::Oid) {
    note_recent(relid);
    if relid == pg_sys::InvalidOid {
        changed();
        return;
    }
    let relid = relid.to_u32();
    match WATCHED.with(|w| w.try_borrow().map(|w| w.get(&relid).copied())) {
        Ok(None) => {}
        Ok(Some(Watched::Definition(_))) => {
            INVALIDATIONS.set(INVALIDATIONS.get() + 1);
            let noted = SUSPECTED.with(|s| s.try_borrow_mut().map(|mut s| s.insert(relid, INVALIDATIONS.get())));
            if noted.is_err() {
                changed();
            }
        }
        Ok(Some(Watched::Rows)) | Err(_) => changed(),
    }
}
