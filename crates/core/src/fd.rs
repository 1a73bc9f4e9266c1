//! Functional dependencies between columns and rows of a join, and their closure.
//!
//! An item is determined when equal values of the chosen columns force equal values of the item in every output row.
//! Called by key derivation.

use crate::model::Col;
use std::collections::HashSet;

/// Something that can be determined: a column, or the whole row of an atom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Item {
    Col(Col),
    Row(usize),
}

/// `from` determines `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fd {
    pub from: Vec<Item>,
    pub to: Vec<Item>,
}

/// Everything that `start` determines through `fds`. A determined row determines its columns.
pub fn closure(start: impl IntoIterator<Item = Item>, fds: &[Fd]) -> Closure {
    let mut known = Closure { items: start.into_iter().collect() };
    loop {
        let before = known.items.len();
        for fd in fds {
            if fd.from.iter().all(|i| known.has(*i)) {
                known.items.extend(fd.to.iter().copied());
            }
        }
        if known.items.len() == before {
            return known;
        }
    }
}

/// A closed set of items.
pub struct Closure {
    items: HashSet<Item>,
}

impl Closure {
    pub fn has(&self, item: Item) -> bool {
        self.items.contains(&item) || matches!(item, Item::Col(c) if self.items.contains(&Item::Row(c.atom)))
    }
}
