//! Locks on relations, as the server's lock manager knows them. Source: storage/lock.h, SET_LOCKTAG_RELATION; storage/lmgr/lock.c.

use pgrx::pg_sys;
use std::time::{Duration, Instant};

/// The tag of a relation of this database.
pub fn tag(relid: pg_sys::Oid) -> pg_sys::LOCKTAG {
    pg_sys::LOCKTAG {
        // SAFETY: a plain global.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: relid.to_u32(),
        locktag_field3: 0,
        locktag_field4: 0,
        locktag_type: pg_sys::LockTagType::LOCKTAG_RELATION as u8,
        locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
    }
}

/// Whether another process holds a lock on the relation that this mode would wait for.
pub fn is_held(relid: pg_sys::Oid, mode: u32) -> bool {
    let mut count = 0;
    // SAFETY: the list is allocated in the current memory context, and has as many entries.
    unsafe { pg_sys::GetLockConflicts(&tag(relid), mode as i32, &mut count) };
    count > 0
}

/// Locks a relation, or a number that none has, when nobody holds it for longer than this.
pub fn take_soon(relid: pg_sys::Oid, mode: u32, patience: Duration) -> bool {
    let since = Instant::now();
    loop {
        // SAFETY: an existing relation, or a lock that is for nothing.
        if unsafe { pg_sys::ConditionalLockRelationOid(relid, mode as i32) } {
            return true;
        }
        if since.elapsed() >= patience {
            return false;
        }
        pgrx::check_for_interrupts!();
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether another process uses one of these relations, and waits for a lock on one of `held`, which this process has for longer in SHARE UPDATE EXCLUSIVE: who asks
/// without waiting is not seen by the server's own search for deadlocks.
pub fn is_deadlock(held: &[pg_sys::Oid], wanted: &[pg_sys::Oid]) -> bool {
    // SAFETY: the list is allocated in the current memory context, and has as many entries.
    unsafe {
        let found = &*pg_sys::GetLockStatusData();
        let all = std::slice::from_raw_parts(found.locks, found.nelements as usize);
        let is_of = |lock: &pg_sys::LockInstanceData, relids: &[pg_sys::Oid]| {
            let tag = &lock.locktag;
            tag.locktag_type == pg_sys::LockTagType::LOCKTAG_RELATION as u8
                && tag.locktag_field1 == pg_sys::MyDatabaseId.to_u32()
                && relids.iter().any(|relid| relid.to_u32() == tag.locktag_field2)
        };
        let waits = |pid: i32| {
            let conflicts =
                |lock: &pg_sys::LockInstanceData| lock.waitLockMode >= pg_sys::ShareUpdateExclusiveLock as i32;
            all.iter().any(|lock| lock.pid == pid && conflicts(lock) && is_of(lock, held))
        };
        let own = pg_sys::MyProcPid;
        all.iter().any(|lock| lock.pid != own && lock.holdMask != 0 && is_of(lock, wanted) && waits(lock.pid))
    }
}

/// Locks a relation, if that means no waiting for who holds it. Before 17 the server also refuses what others only wait for (lock.c, LockAcquireExtended), such as another
/// session that wants to do the same behind us; they wait for a lock of ours, so they are overtaken (proc.c, ProcSleep).
///
/// # Safety
/// An existing relation, or a lock that is for nothing.
pub unsafe fn take_if_free(relid: pg_sys::Oid, mode: u32) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        if pg_sys::ConditionalLockRelationOid(relid, mode as i32) {
            return true;
        }
        if cfg!(feature = "since_17") || is_held(relid, mode) {
            return false;
        }
        pg_sys::LockRelationOid(relid, mode as i32);
        true
    }
}
