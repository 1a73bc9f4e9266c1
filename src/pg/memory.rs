//! Memory contexts that belong to a Rust value.
//!
//! Invariant: memory allocated inside lives exactly as long as the value; while unwinding nothing is freed: the server's own abort
//! frees children of transaction contexts, and the next arena of the backend what such arenas have left. Collections that grow with the data live in such a context, where the server sees them
//! (pg_backend_memory_contexts), and running out of memory is an error of the statement: collections ask before they grow (`enough`).

use super::error::Error;
use super::{ending, ext, silent};
use crate::pg::process::process;
use allocator_api2::alloc::{AllocError, Allocator, Layout};
use pgrx::pg_sys;
use std::cell::RefCell;
use std::ffi::CStr;
use std::ptr::NonNull;

/// The setting `work_mem`, in bytes.
pub fn work_mem() -> usize {
    // SAFETY: a plain global, in kB.
    unsafe { usize::try_from(pg_sys::work_mem).unwrap_or(0).saturating_mul(1024) }
}

/// The memory that a hash table may take, in bytes: work_mem times hash_mem_multiplier, as for the server's own hash tables.
pub fn hash_mem() -> usize {
    // SAFETY: a plain getter.
    unsafe { pg_sys::get_hash_memory_limit() }
}

/// Gives freed memory back to the system when the transaction has ended: after much work the C library would keep it.
pub fn give_back() {
    #[pgrx::pg_guard]
    unsafe extern "C-unwind" fn trim(_nothing: *mut std::ffi::c_void) {
        #[cfg(target_env = "gnu")]
        // SAFETY: any time.
        unsafe {
            libc::malloc_trim(0);
        }
    }
    // SAFETY: inside a transaction. The callback lives in the context whose end it hears of; contexts below, those of sub-transactions among them,
    // are gone then (utils/mmgr/mcxt.c, MemoryContextReset and MemoryContextDelete).
    unsafe {
        let context = pg_sys::TopTransactionContext;
        let callback = pg_sys::MemoryContextAllocZero(context, size_of::<pg_sys::MemoryContextCallback>());
        let callback = callback.cast::<pg_sys::MemoryContextCallback>();
        (*callback).func = Some(trim);
        pg_sys::MemoryContextRegisterResetCallback(context, callback);
    }
}

/// Raises "out of memory" when a collection could not grow.
pub fn enough<T, E>(grown: Result<T, E>) -> T {
    match grown {
        Ok(value) => value,
        Err(_) => Error::OutOfMemory.raise(),
    }
}

/// Adds to a list that grows with the data.
pub fn push<T>(list: &mut Vec<T>, value: T) {
    enough(list.try_reserve(1));
    list.push(value);
}

/// The result of `f`, whose own memory, node trees that it makes among it, is given back at once. The result must not point into it.
pub fn aside<T>(f: impl FnOnce() -> T) -> T {
    Arena::current().enter(f)
}

pub struct Arena(pg_sys::MemoryContext);

impl Arena {
    /// An arena that lives until dropped, at most as long as the transaction.
    pub fn of_transaction(name: &'static CStr) -> Arena {
        // SAFETY: there is a transaction.
        unsafe { Arena::named(pg_sys::TopTransactionContext, name) }
    }

    /// An arena that lives until dropped, at most as long as the backend.
    pub fn cached() -> Arena {
        // SAFETY: CacheMemoryContext exists in every backend; who was dropped is used no more.
        unsafe {
            LEFT.take().into_iter().for_each(|context| silent::MemoryContextDelete(context));
            Arena::below(pg_sys::CacheMemoryContext)
        }
    }

    /// An arena that lives until dropped, at most as long as the current memory context.
    pub fn current() -> Arena {
        // SAFETY: there is always a current context.
        unsafe { Arena::below(pg_sys::CurrentMemoryContext) }
    }

    /// # Safety
    /// `parent` is a live memory context.
    unsafe fn below(parent: pg_sys::MemoryContext) -> Arena {
        // SAFETY: `parent` is a live memory context.
        unsafe { Arena::named(parent, c"tviews") }
    }

    /// # Safety
    /// `parent` is live; the name is static, as the server wants it.
    unsafe fn named(parent: pg_sys::MemoryContext, name: &'static CStr) -> Arena {
        // SAFETY: `parent` is live; the name is static, as the server wants it.
        unsafe {
            Arena(pg_sys::AllocSetContextCreateInternal(
                parent,
                name.as_ptr(),
                pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            ))
        }
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

    pub fn raw(&self) -> pg_sys::MemoryContext {
        self.0
    }

    /// Gives back what is in here.
    pub fn reset(&self) {
        // SAFETY: the context lives; nothing refers to what is in it, as for `drop`.
        unsafe { silent::MemoryContextReset(self.0) };
    }

    /// Bytes that the arena has allocated.
    pub fn size(&self) -> usize {
        // SAFETY: the context lives.
        unsafe { pg_sys::MemoryContextMemAllocated(self.0, true) }
    }

    /// Raw memory, aligned for any type of the server; running out of it is an error.
    pub fn allocate(&self, bytes: usize) -> *mut u8 {
        // SAFETY: the context lives.
        unsafe {
            let huge = (pg_sys::MCXT_ALLOC_HUGE | pg_sys::MCXT_ALLOC_NO_OOM) as i32;
            let found = pg_sys::MemoryContextAllocExtended(self.0, bytes, huge).cast::<u8>();
            enough(if found.is_null() { Err(()) } else { Ok(found) })
        }
    }

    /// For collections that live no longer than this arena.
    pub fn allocator(&self) -> InArena {
        InArena(self.0)
    }

    /// A copy of a node tree in here.
    ///
    /// # Safety
    /// `node` is valid.
    pub unsafe fn keep<T>(&self, node: *const T) -> *mut T {
        // SAFETY: `node` is valid, as the caller promises.
        unsafe { self.enter(|| ext::copy(node)) }
    }
}

process! {
    /// Arenas of the backend that an error has dropped: the next one that is made deletes them.
    static LEFT: RefCell<Vec<pg_sys::MemoryContext>> = const { RefCell::new(Vec::new()) };
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: ours, deleted once. While an error unwinds it is only looked at.
        unsafe {
            if ending::process_exits() {
            } else if !std::thread::panicking() {
                silent::MemoryContextDelete(self.0);
            } else if (*self.0).parent == pg_sys::CacheMemoryContext {
                LEFT.with_borrow_mut(|left| left.push(self.0));
            }
        }
    }
}

/// Allocates in an arena, which outlives the collections that use it.
#[derive(Clone, Copy)]
pub struct InArena(pg_sys::MemoryContext);

// SAFETY: blocks of a memory context stay where they are until they are freed; palloc aligns for every type that is used here.
unsafe impl Allocator for InArena {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // hashbrown asks for 16, palloc gives 8
        let bytes = layout.size() + layout.align();
        let flags = (pg_sys::MCXT_ALLOC_HUGE | pg_sys::MCXT_ALLOC_NO_OOM) as i32;
        // SAFETY: the context lives; a block that is too small to hold its own address in front of it is never asked for.
        unsafe {
            let block = pg_sys::MemoryContextAllocExtended(self.0, bytes + size_of::<usize>(), flags).cast::<u8>();
            if block.is_null() {
                return Err(AllocError);
            }
            let first = block.add(size_of::<usize>());
            let aligned = first.add(first.align_offset(layout.align()));
            aligned.cast::<usize>().sub(1).write_unaligned(block as usize);
            let slice = std::ptr::slice_from_raw_parts_mut(aligned, layout.size());
            NonNull::new(slice).ok_or(AllocError)
        }
    }

    /// # Safety
    /// The pointer came from `allocate` of this arena.
    unsafe fn deallocate(&self, pointer: NonNull<u8>, _layout: Layout) {
        // SAFETY: the pointer came from `allocate` of this arena.
        unsafe {
            if !std::thread::panicking() && !ending::process_exits() {
                let block = pointer.as_ptr().cast::<usize>().sub(1).read_unaligned();
                pg_sys::pfree(block as *mut std::ffi::c_void);
            }
        }
    }
}
