//! Weighted row images, summed: in memory up to hash_mem, beyond that in parts by hash, on disk.
//!
//! Invariant: equal images are in memory, or in the same part, so one part is enough to know the sum of an image.
//! Called by strategy delta for the rows of its output, and by the flush for change rows without the columns that a TVIEW does not use.

use super::images::Images;
use super::spill::Spill;
use crate::pg::memory;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many parts there are on disk.
const PARTS: usize = 64;

#[derive(Default)]
pub struct Sums {
    rows: Images,
    parts: Vec<Spill>,
}

impl Sums {
    pub fn add(&mut self, image: &[u64], weight: i64) {
        if self.parts.is_empty() {
            self.rows.add(image, weight);
            if self.rows.bytes() <= memory::hash_mem() {
                return;
            }
            self.parts = (0..PARTS).map(|_| Spill::among(PARTS)).collect();
            for (image, weight) in std::mem::take(&mut self.rows).iter() {
                self.put(image, weight);
            }
        } else {
            self.put(image, weight);
        }
    }

    fn put(&mut self, image: &[u64], weight: i64) {
        self.parts[hash_of_row(image) as usize % PARTS].put(image, weight);
    }

    /// All sums, when they are in memory.
    pub fn in_memory(&self) -> Option<&Images> {
        self.parts.is_empty().then_some(&self.rows)
    }

    /// The sums, part by part.
    pub fn by_parts(self) -> impl Iterator<Item = Images> {
        let of_part = |part: Spill| {
            let mut rows = Images::default();
            part.each(|image, weight| {
                rows.add(image, weight);
            });
            rows
        };
        std::iter::once(self.rows).chain(self.parts.into_iter().map(of_part))
    }
}

pub fn hash_of_row(image: &[u64]) -> u32 {
    let mut hasher = DefaultHasher::new();
    image.hash(&mut hasher);
    hasher.finish() as u32
}
