//! Copies of the values of rows that wait, one after the other in pieces of memory: a row costs no call of the server.
//!
//! Invariant: copies live as long as the arena in which they were made; a room is used with one arena. Called by group.rs.

use super::state;
use crate::pg::memory::Arena;
use crate::pg::varlena;
use crate::refresh::plan::folding::Width;
use pgrx::pg_sys::Datum;

/// Bytes of a piece, and the most that a value in it has.
const PIECE: usize = 8192;
const SMALL: usize = 256;

pub struct Room {
    next: *mut u8,
    left: usize,
}

impl Default for Room {
    fn default() -> Room {
        Room { next: std::ptr::null_mut(), left: 0 }
    }
}

impl Room {
    /// A plain copy: toasted values are fetched.
    ///
    /// # Safety
    /// `value` is of a type of this width.
    pub unsafe fn copy(&mut self, value: Datum, width: Width, arena: &Arena) -> Datum {
        // SAFETY: as the caller promises; as much memory as is written.
        unsafe {
            let size = match width {
                Width { by_value: true, .. } => return value,
                Width { len: -1, .. } => varlena::size_if_plain(value),
                Width { len, .. } => usize::try_from(len).ok(),
            };
            let Some(size) = size.filter(|size| *size <= SMALL) else {
                return arena.enter(|| state::copy(value, width));
            };
            let aligned = size.next_multiple_of(size_of::<u64>());
            if self.left < aligned {
                (self.next, self.left) = (arena.allocate(PIECE), PIECE);
            }
            let at = self.next;
            std::ptr::copy_nonoverlapping(value.cast_mut_ptr::<u8>(), at, size);
            (self.next, self.left) = (at.add(aligned), self.left - aligned);
            Datum::from(at)
        }
    }
}
