//! Memory contexts that belong to a Rust value.
//!
//! Invariant: what is allocated inside lives exactly as long as the value; while unwinding nothing is freed, the server's
//! own abort does that for children of transaction contexts.

use super::ext;
use pgrx::pg_sys;

/// The setting, in bytes.
pub fn work_mem() -> usize {
    // SAFETY: a plain global, in kB.
    unsafe { usize::try_from(pg_sys::work_mem).unwrap_or(0).saturating_mul(1024) }
}

pub struct Arena(pg_sys::MemoryContext);

impl Arena {
    /// Lives until dropped, at most as long as the backend.
    pub fn cached() -> Arena {
        // SAFETY: CacheMemoryContext exists in every backend.
        unsafe { Arena::below(pg_sys::CacheMemoryContext) }
    }

    /// Lives until dropped, at most as long as the current memory context.
    pub fn current() -> Arena {
        // SAFETY: there is always a current context.
        unsafe { Arena::below(pg_sys::CurrentMemoryContext) }
    }

    unsafe fn below(parent: pg_sys::MemoryContext) -> Arena {
        Arena(pg_sys::AllocSetContextCreateInternal(
            parent,
            c"tviews".as_ptr(),
            pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
            pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        ))
    }

    /// Runs `f` with this context current. An error resets the current context by the server's own means.
    pub fn enter<T>(&self, f: impl FnOnce() -> T) -> T {
        // SAFETY: the context lives; the old one is restored.
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo(self.0);
            let out = f();
            pg_sys::MemoryContextSwitchTo(before);
            out
        }
    }

    /// Bytes that are allocated.
    pub fn size(&self) -> usize {
        // SAFETY: the context lives.
        unsafe { pg_sys::MemoryContextMemAllocated(self.0, true) }
    }

    /// A copy of a node tree in here.
    ///
    /// # Safety
    /// `node` is valid.
    pub unsafe fn keep<T>(&self, node: *const T) -> *mut T {
        self.enter(|| ext::copy(node))
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: ours, deleted once.
            unsafe { pg_sys::MemoryContextDelete(self.0) };
        }
    }
}
