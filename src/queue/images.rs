//! A Z-set of row images in a memory context of its own.
//!
//! An image is the bytes of a minimal tuple. Images are put one behind the other into blocks; an image whose weight becomes zero is garbage
//! until the set is copied into a new context, when half of its blocks is garbage. Invariant: no entry has weight zero; `bytes` is the memory
//! of blocks and table. Called for every captured row, and by strategy delta for every weighted row.

use crate::pg::fault::{self, Fault};
use crate::pg::memory::{Arena, InArena, enough};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;
use std::hash::BuildHasher;

const FIRST_BLOCK: usize = 1 << 10;
const LARGEST_BLOCK: usize = 1 << 16;
/// Below this, garbage does not matter.
const SMALL: usize = 1 << 16;

struct Entry {
    words: *const u64,
    len: usize,
    weight: i64,
}

impl Entry {
    fn image(&self) -> &[u64] {
        // SAFETY: written by `keep`, in a block that lives as long as the set.
        unsafe { std::slice::from_raw_parts(self.words, self.len) }
    }
}

/// The table is declared, and so dropped, before the context that it lives in.
struct Held {
    table: HashTable<Entry, InArena>,
    arena: Arena,
    /// The free part of the last block, and its size in words.
    free: *mut u64,
    left: usize,
    block: usize,
    blocks: usize,
    garbage: usize,
}

#[derive(Default)]
pub struct Images(Option<Held>);

fn hash_of_bytes(image: &[u64]) -> u64 {
    FixedState::default().hash_one(image)
}

impl Held {
    fn new() -> Held {
        let arena = Arena::of_transaction(c"tviews change set");
        Held {
            table: HashTable::new_in(arena.allocator()),
            arena,
            free: std::ptr::null_mut(),
            left: 0,
            block: FIRST_BLOCK,
            blocks: 0,
            garbage: 0,
        }
    }

    /// A copy of the image in a block.
    fn keep(&mut self, image: &[u64]) -> *const u64 {
        if image.len() > self.left {
            let bytes = self.block.max(image.len() * 8);
            self.free = self.arena.allocate(bytes).cast();
            self.left = bytes / 8;
            self.blocks += bytes;
            self.block = (2 * self.block).min(LARGEST_BLOCK);
        }
        let place = self.free;
        // SAFETY: there is room for it.
        unsafe {
            std::ptr::copy_nonoverlapping(image.as_ptr(), place, image.len());
            self.free = place.add(image.len());
        }
        self.left -= image.len();
        place
    }

    fn add(&mut self, image: &[u64], weight: i64) -> i32 {
        let hash = hash_of_bytes(image);
        enough(self.table.try_reserve(1, |e| self::hash_of_bytes(e.image())));
        if let Ok(mut found) = self.table.find_entry(hash, |e| e.image() == image) {
            found.get_mut().weight += weight;
            if found.get().weight != 0 {
                return 0;
            }
            found.remove();
            self.garbage += image.len() * 8;
            return -1;
        }
        let words = self.keep(image);
        let entry = Entry { words, len: image.len(), weight };
        match self.table.entry(hash, |_| false, |e| self::hash_of_bytes(e.image())) {
            Place::Vacant(place) => place.insert(entry),
            Place::Occupied(_) => unreachable!("nothing is equal"),
        };
        1
    }
}

impl Images {
    /// Adds `weight` copies of an image; returns the change of the number of distinct images (-1, 0 or 1).
    pub fn add(&mut self, image: &[u64], weight: i64) -> i32 {
        if weight == 0 {
            return 0;
        }
        let held = self.0.get_or_insert_with(Held::new);
        let change = held.add(image, weight);
        if held.garbage > SMALL && 2 * held.garbage > held.blocks {
            let mut copy = Held::new();
            for entry in held.table.iter() {
                copy.add(entry.image(), entry.weight);
            }
            *held = copy;
        }
        change
    }

    /// Adds one to a negative weight; false when the image has none.
    pub fn use_up(&mut self, image: &[u64]) -> bool {
        let Some(held) = &mut self.0 else { return false };
        match held.table.find_entry(hash_of_bytes(image), |e| e.image() == image) {
            Ok(mut found) if found.get().weight < 0 => {
                found.get_mut().weight += 1;
                if found.get().weight == 0 || fault::on(Fault::RemoveOneOfSeveral) {
                    found.remove();
                }
                true
            }
            _ => false,
        }
    }

    /// Number of distinct images.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.table.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory that the set takes.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.blocks + held.table.capacity() * (size_of::<Entry>() + 1))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u64], i64)> {
        self.0.iter().flat_map(|held| held.table.iter().map(|e| (e.image(), e.weight)))
    }

    pub fn clear(&mut self) {
        self.0 = None;
    }
}
