//! Rust's allocations: the system's, the reserve when it fails (reserve.rs), and a few small pieces that are kept for the next time.
//!
//! A flush of one row takes more than a hundred small pieces and gives them back, in the same sizes each time; malloc and free were a tenth of its
//! instructions. So a freed piece goes into a list of its size, without asking the system. Invariant: a process of the server has one thread that runs code of
//! ours; a list has at most `KEPT` pieces, 135 kB in all lists.
//! Called by Rust itself.

use super::reserve::or_from_reserve;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;

/// Bytes; what `malloc` aligns to, and the step between sizes.
const STEP: usize = 16;
/// The largest piece is so many steps.
const SIZES: usize = 32;
/// Pieces of one size.
const KEPT: u16 = 16;

/// A free piece begins with the address of the next one of its size.
struct List {
    first: *mut u8,
    length: u16,
}

struct Lists(UnsafeCell<[List; SIZES]>);

// SAFETY: one thread runs code of ours, see above.
unsafe impl Sync for Lists {}

static FREE: Lists = Lists(UnsafeCell::new([const { List { first: null_mut(), length: 0 } }; SIZES]));

/// The list for a piece, and its size as it is asked for from the system.
#[inline(always)]
fn list_of(layout: Layout) -> Option<(usize, Layout)> {
    let list = layout.size().wrapping_sub(1) / STEP;
    // SAFETY: a multiple of the alignment, far below isize::MAX.
    (list < SIZES && layout.align() <= STEP)
        .then(|| (list, unsafe { Layout::from_size_align_unchecked((list + 1) * STEP, layout.align()) }))
}

/// A kept piece, or null.
#[inline(always)]
fn take(list: usize) -> *mut u8 {
    // SAFETY: one thread; a free piece begins with the next one.
    unsafe {
        let list = &mut (*FREE.0.get())[list];
        let piece = list.first;
        if !piece.is_null() {
            list.first = *piece.cast::<*mut u8>();
            list.length -= 1;
        }
        piece
    }
}

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

#[inline(never)]
unsafe fn ask(layout: Layout) -> *mut u8 {
    // SAFETY: the caller's promises are the system's.
    unsafe { or_from_reserve(System.alloc(layout), || System.alloc(layout)) }
}

// SAFETY: all memory is the system allocator's, which keeps the promises; a kept piece is as large as every piece of its list, and nobody has it.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((list, whole)) = list_of(layout) else {
            // SAFETY: as the caller promises.
            return unsafe { ask(layout) };
        };
        let piece = take(list);
        if !piece.is_null() {
            return piece;
        }
        // SAFETY: as the caller promises.
        unsafe { ask(whole) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if list_of(layout).is_some() {
            // SAFETY: as the caller promises; the piece is at least so large.
            unsafe {
                let piece = self.alloc(layout);
                if !piece.is_null() {
                    piece.write_bytes(0, layout.size());
                }
                return piece;
            }
        }
        // SAFETY: the caller's promises are the system's.
        unsafe { or_from_reserve(System.alloc_zeroed(layout), || System.alloc_zeroed(layout)) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's promises are the system's; `bytes` fits the alignment. A block that could not grow is still there.
        unsafe {
            let wanted = Layout::from_size_align_unchecked(bytes, layout.align());
            let bytes = match (list_of(layout), list_of(wanted)) {
                (Some((old, _)), Some((new, _))) if old == new => return block,
                (_, Some((_, whole))) => whole.size(),
                (_, None) => bytes,
            };
            let has = list_of(layout).map_or(layout, |(_, whole)| whole);
            or_from_reserve(System.realloc(block, has, bytes), || System.realloc(block, has, bytes))
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block came from here; a piece has room for an address.
        unsafe {
            let Some((list, _)) = list_of(layout) else { return System.dealloc(block, layout) };
            let list = &mut (*FREE.0.get())[list];
            if list.length == KEPT {
                return System.dealloc(block, layout);
            }
            *block.cast::<*mut u8>() = list.first;
            list.first = block;
            list.length += 1;
        }
    }
}
