//! Invalidation of the facts that a backend has cached about TVIEWs.
//!
//! Invariant: a cache that remembers `generation()` when it was filled and compares before use never serves facts older
//! than the last invalidation of a relation it watches. DDL hooks invalidate the TVIEWs concerned (catalog/mod.rs). `rights()` changes
//! when roles, memberships, schemas or functions change; a change of privileges on a relation invalidates the relation.

use pgrx::{pg_guard, pg_sys};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;

thread_local! {
    static GENERATION: Cell<u64> = const { Cell::new(1) };
    static RIGHTS: Cell<u64> = const { Cell::new(1) };
    static WATCHED: RefCell<HashSet<u32>> = RefCell::new(HashSet::new());
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

pub fn generation() -> u64 {
    GENERATION.get()
}

/// Lets invalidations of this relation move the generation.
pub fn watch(relid: pg_sys::Oid) {
    WATCHED.with(|w| w.borrow_mut().insert(relid.to_u32()));
}

/// Called by the server at arbitrary points: only moves a counter.
#[pg_guard]
unsafe extern "C-unwind" fn on_relcache(_arg: pg_sys::Datum, relid: pg_sys::Oid) {
    let relevant =
        relid == pg_sys::InvalidOid || WATCHED.with(|w| w.try_borrow().map_or(true, |w| w.contains(&relid.to_u32())));
    if relevant {
        GENERATION.set(GENERATION.get() + 1);
    }
}
