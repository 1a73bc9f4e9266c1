//! One piece of shared memory and one lock, for data that is kept across sessions.
//!
//! Invariant: the piece is made new when the server starts, also after a crash, and has the same address in every
//! backend. Without shared_preload_libraries there is no piece. Source of the protocol: storage/ipc/ipci.c, pg_stat_statements.

use pgrx::{pg_guard, pg_sys};
use std::ffi::CStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

const NAME: &CStr = c"pg_tviews";

/// In front of the rest, zeroed: for `head`. A half for the board of databases (src/log/board.rs), and one for desks (src/schedule/desk.rs).
pub const HEAD: usize = 2 * HALF;
pub const HALF: usize = 4096;

static SIZE: AtomicUsize = AtomicUsize::new(0);
static AREA: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static LOCK: AtomicPtr<pg_sys::LWLock> = AtomicPtr::new(std::ptr::null_mut());
static FIRST: OnceLock<unsafe fn(*mut u8)> = OnceLock::new();
static LAST: OnceLock<unsafe fn(*mut u8)> = OnceLock::new();
static mut NEXT_REQUEST: pg_sys::shmem_request_hook_type = None;
static mut NEXT_STARTUP: pg_sys::shmem_startup_hook_type = None;

/// Asks for `size` bytes; `first` fills them in, zeroed before, and `last` looks at them when the server has stopped without a crash of its own
/// processes. Neither raises errors. Called once, while shared_preload_libraries are loaded.
pub fn init(size: usize, first: unsafe fn(*mut u8), last: unsafe fn(*mut u8)) {
    SIZE.store(HEAD + size, Ordering::Relaxed);
    let _ = FIRST.set(first);
    let _ = LAST.set(last);
    // SAFETY: the postmaster has one thread.
    unsafe {
        NEXT_REQUEST = pg_sys::shmem_request_hook;
        pg_sys::shmem_request_hook = Some(request);
        NEXT_STARTUP = pg_sys::shmem_startup_hook;
        pg_sys::shmem_startup_hook = Some(startup);
    }
}

// Frames without destructors: an error at start passes through them.
#[allow(ffi_unwind_calls)] // the frame has no destructors
unsafe extern "C-unwind" fn request() {
    // SAFETY: called by the postmaster in `shmem_request_hook`, the only place where this is allowed.
    unsafe {
        #[allow(static_mut_refs)]
        if let Some(next) = NEXT_REQUEST {
            next();
        }
        pg_sys::RequestAddinShmemSpace(SIZE.load(Ordering::Relaxed));
        pg_sys::RequestNamedLWLockTranche(NAME.as_ptr(), 1);
    }
}

#[allow(ffi_unwind_calls)] // the frame has no destructors
unsafe extern "C-unwind" fn startup() {
    // SAFETY: called by the postmaster in `shmem_startup_hook`, with the lock that the server wants held around it.
    unsafe {
        #[allow(static_mut_refs)]
        if let Some(next) = NEXT_STARTUP {
            next();
        }
        // AddinShmemInitLock is for servers whose backends attach one by one; ours inherit what the postmaster made.
        let mut found = false;
        let size = SIZE.load(Ordering::Relaxed);
        let area = pg_sys::ShmemInitStruct(NAME.as_ptr(), size, &mut found).cast::<u8>();
        if !found {
            std::ptr::write_bytes(area, 0, size);
            if let Some(first) = FIRST.get() {
                first(area.add(HEAD));
            }
        }
        // In the postmaster, or in a server of one process: backends inherit the memory and forget the callbacks.
        if !pg_sys::IsUnderPostmaster {
            pg_sys::on_shmem_exit(Some(exit), pg_sys::Datum::from(0usize));
        }
        LOCK.store(&raw mut (*pg_sys::GetNamedLWLockTranche(NAME.as_ptr())).lock, Ordering::Relaxed);
        AREA.store(area, Ordering::Relaxed);
    }
}

/// All other processes have ended. The code is not 0 when one of them has crashed. Source: contrib/pg_stat_statements, pgss_shmem_shutdown.
#[pg_guard]
unsafe extern "C-unwind" fn exit(code: i32, _argument: pg_sys::Datum) {
    if let (0, Some(area), Some(last)) = (code, area(), LAST.get()) {
        // SAFETY: the memory is still mapped.
        unsafe { last(area) };
    }
}

/// The shared memory, or None when the library was not preloaded.
pub fn area() -> Option<*mut u8> {
    // SAFETY: the piece begins with HEAD bytes.
    head().map(|area| unsafe { area.add(HEAD) })
}

/// The first HEAD bytes, which are zero until somebody writes them.
pub fn head() -> Option<*mut u8> {
    let area = AREA.load(Ordering::Relaxed);
    (!area.is_null()).then_some(area)
}

/// Runs `f` while no other backend does; `f` raises no errors. Without shared memory no other backend could.
pub fn alone<T>(f: impl FnOnce() -> T) -> T {
    let lock = LOCK.load(Ordering::Relaxed);
    if lock.is_null() {
        return f();
    }
    // SAFETY: a lock of the main array; acquired and released in one place.
    unsafe { pg_sys::LWLockAcquire(lock, pg_sys::LWLockMode::LW_EXCLUSIVE) };
    let result = f();
    // SAFETY: held since above.
    unsafe { pg_sys::LWLockRelease(lock) };
    result
}
