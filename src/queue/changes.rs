//! The change set of one relation in one sub-transaction: a Z-set of row images, on disk beyond a budget.
//!
//! A row image is a minimal tuple of the relation's row type in which every column that no TVIEW uses is NULL, so two
//! images are equal bytes exactly when no used column differs (toasted values: when they are the same value).
//! Invariant: the rows in memory and on disk together sum to the changes; rows on disk are no longer consolidated.

use super::images::Images;
use super::spill::Spill;
use crate::pg::guc;
use pgrx::pg_sys;
use tviews_core::queue::Absorb;

/// Bytes of a minimal tuple, 8-byte aligned as the server requires.
pub type Image = Box<[u64]>;

#[derive(Default)]
pub struct ChangeSet {
    rows: Images,
    spill: Option<Spill>,
    everything: bool,
    /// Whether rows of positive, and of negative weight were added.
    signs: [bool; 2],
    /// Rows that it would have, were it real.
    imagined: usize,
}

impl ChangeSet {
    /// Copies `tuple` into the set with a weight.
    ///
    /// # Safety
    /// `tuple` is a valid minimal tuple.
    pub unsafe fn add(&mut self, tuple: pg_sys::MinimalTuple, weight: i64) {
        // SAFETY: `tuple` is a valid minimal tuple, as the caller promises.
        unsafe {
            self.add_image(&image_of(tuple), weight);
        }
    }

    /// A set without rows that claims to have so many, of either sign: for plans whose costs are only compared.
    pub fn imagined(rows: usize) -> ChangeSet {
        ChangeSet { imagined: rows, signs: [true; 2], ..ChangeSet::default() }
    }

    pub fn add_image(&mut self, image: &[u64], weight: i64) {
        if self.everything {
            return;
        }
        self.signs[usize::from(weight < 0)] = true;
        if self.spill.is_none() && self.rows.bytes() + image.len() * 8 > budget() {
            self.spill = Some(Spill::new());
        }
        match &mut self.spill {
            Some(spill) => spill.put(image, weight),
            None => {
                self.rows.add(image, weight);
            }
        }
    }

    /// Contents changed in a way that rows cannot tell.
    pub fn set_everything(&mut self) {
        self.everything = true;
        self.rows.clear();
        self.spill = None;
    }

    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// Whether the set may have rows with a weight of this sign.
    pub fn has(&self, sign: i64) -> bool {
        self.signs[usize::from(sign < 0)]
    }

    /// Number of row images: distinct ones in memory, all on disk.
    pub fn len(&self) -> usize {
        self.imagined + self.rows.len() + self.spill.as_ref().map_or(0, Spill::len)
    }

    /// Rows inserted and deleted, as `pending()` reports them.
    pub fn counts(&self) -> (i64, i64) {
        let (mut plus, mut minus) = (0, 0);
        self.each(|_, w| if w > 0 { plus += w } else { minus -= w });
        (plus, minus)
    }

    /// Calls `f` with every image and its weight. The tuple is valid during the call.
    pub fn each(&self, mut f: impl FnMut(pg_sys::MinimalTuple, i64)) {
        for (image, weight) in self.rows.iter() {
            f(image.as_ptr().cast_mut().cast(), weight);
        }
        if let Some(spill) = &self.spill {
            spill.each(|image, weight| f(image.as_ptr().cast_mut().cast(), weight));
        }
    }
}

/// The bytes of a tuple that make up its row.
///
/// # Safety
/// `tuple` is a valid minimal tuple.
pub unsafe fn image_of(tuple: pg_sys::MinimalTuple) -> Image {
    // SAFETY: `tuple` is a valid minimal tuple, as the caller promises.
    unsafe {
        let len = (*tuple).t_len as usize;
        let mut image = vec![0u64; len.div_ceil(8)].into_boxed_slice();
        std::ptr::copy_nonoverlapping(tuple.cast::<u8>(), image.as_mut_ptr().cast::<u8>(), len);
        // Bits about the tuple's fate in the heap are no part of the row.
        let header = &mut *image.as_mut_ptr().cast::<pg_sys::MinimalTupleData>();
        header.mt_padding = Default::default();
        header.t_infomask2 &= pg_sys::HEAP_NATTS_MASK as u16;
        header.t_infomask &= (pg_sys::HEAP_HASNULL | pg_sys::HEAP_HASVARWIDTH | pg_sys::HEAP_HASEXTERNAL) as u16;
        image
    }
}

impl Absorb for ChangeSet {
    fn absorb(&mut self, other: &Self) {
        if other.everything {
            self.set_everything();
            return;
        }
        for (image, weight) in other.rows.iter() {
            self.add_image(image, weight);
        }
        if let Some(spill) = &other.spill {
            spill.each(|image, weight| self.add_image(image, weight));
        }
    }

    fn is_empty(&self) -> bool {
        !self.everything && self.rows.is_empty() && self.spill.is_none()
    }

    fn len(&self) -> usize {
        ChangeSet::len(self)
    }
}

/// Bytes that a change set may use in memory.
fn budget() -> usize {
    let kilobytes = match guc::CHANGE_BUFFER_MEMORY.get() {
        // SAFETY: a plain global.
        n if n < 0 => unsafe { pg_sys::work_mem },
        n => n,
    };
    kilobytes as usize * 1024
}
