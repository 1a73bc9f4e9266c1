//! What two documents have in common, piece by piece.
//!
//! Invariant: the pieces are equal bytes, ascend in both documents, and do not overlap. That there are many is not promised, only tried:
//! entries of equal containers are compared one by one, and children that differ are gone into.
//! Called for `crate::pglz`, which takes the compressed form of such pieces from the old document.

use super::container::{Container, Kind, Type};

/// Bytes that are the same: where they are in the new and in the old document, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub new: usize,
    pub old: usize,
    pub len: usize,
}

/// Pieces shorter than this are not worth telling.
const LEAST: usize = 16;
/// Containers further inside are compared as a whole.
const DEEP: usize = 64;

struct Pieces<'a> {
    old: &'a [u8],
    new: &'a [u8],
    found: Vec<Piece>,
    /// Up to here all is told, in the old and in the new document.
    told: (usize, usize),
    depth: usize,
}

/// The pieces that two documents have in common.
pub fn pieces(old: &[u8], new: &[u8]) -> Vec<Piece> {
    let mut all = Pieces { old, new, found: Vec::new(), told: (0, 0), depth: 0 };
    if let (Ok(a), Ok(b)) = (Container::new(old), Container::new(new)) {
        all.containers((0, &a), (0, &b));
    }
    all.found.retain(|p| p.len >= LEAST);
    all.found
}

/// The beginning and the end that two values have in common.
pub fn ends(old: &[u8], new: &[u8]) -> Vec<Piece> {
    let mut all = Pieces { old, new, found: Vec::new(), told: (0, 0), depth: 0 };
    all.ranges((0, old.len()), (0, new.len()));
    all.found
}

impl Pieces<'_> {
    /// Compares the bytes of two ranges: what is equal at their beginning, and at their end.
    fn ranges(&mut self, old: (usize, usize), new: (usize, usize)) {
        let (a, b) = (&self.old[old.0..old.1], &self.new[new.0..new.1]);
        if a == b {
            return self.add(Piece { new: new.0, old: old.0, len: a.len() });
        }
        let front = a.iter().zip(b).take_while(|(x, y)| x == y).count();
        let back = a[front..].iter().rev().zip(b[front..].iter().rev()).take_while(|(x, y)| x == y).count();
        self.add(Piece { new: new.0, old: old.0, len: front });
        self.add(Piece { new: new.1 - back, old: old.1 - back, len: back });
    }

    fn add(&mut self, piece: Piece) {
        if piece.len == 0 || piece.old < self.told.0 || piece.new < self.told.1 {
            return;
        }
        self.told = (piece.old + piece.len, piece.new + piece.len);
        match self.found.last_mut() {
            Some(last) if last.old + last.len == piece.old && last.new + last.len == piece.new => last.len += piece.len,
            _ => self.found.push(piece),
        }
    }

    /// Words of two lists of entries: those before a change, and those behind it, which moved.
    fn entries(&mut self, old: (usize, usize), new: (usize, usize)) {
        let (n, m) = ((old.1 - old.0) / 4, (new.1 - new.0) / 4);
        let same = |a: usize, b: usize| self.old[a..a + 4] == self.new[b..b + 4];
        let front = (0..n.min(m)).take_while(|i| n != m && same(old.0 + 4 * i, new.0 + 4 * i)).count();
        let words = (0..front).map(|i| (old.0 + 4 * i, new.0 + 4 * i));
        let behind = (front..n.min(m)).map(|i| (old.1 - 4 * (n.min(m) - i), new.1 - 4 * (n.min(m) - i)));
        let equal: Vec<(usize, usize)> = words.chain(behind).filter(|(a, b)| same(*a, *b)).collect();
        for (old, new) in equal {
            self.add(Piece { new, old, len: 4 });
        }
    }

    fn containers(&mut self, (at, old): (usize, &Container), (place, new): (usize, &Container)) {
        let whole = |of: &Container, at: usize| (at, at + of.range(of.count().max(1) - 1).1);
        if old.kind != new.kind || old.count() == 0 || new.count() == 0 || old.kind == Kind::Scalar {
            if old.count() > 0 && new.count() > 0 {
                self.ranges(whole(old, at), whole(new, place));
            }
            return;
        }
        self.ranges((at, at + 4), (place, place + 4));
        let shifted = |(from, to): (usize, usize), by: usize| (from + by, to + by);
        self.entries(shifted(old.entries(), at), shifted(new.entries(), place));
        let same = |a: usize, b: usize| old.child(a) == new.child(b);
        let (n, m) = (old.count(), new.count());
        if n == m {
            (0..n).for_each(|child| self.child((at, old, child), (place, new, child)));
            return;
        }
        let front = (0..n.min(m)).take_while(|i| same(*i, *i)).count();
        let back = (0..n.min(m) - front).take_while(|i| same(n - 1 - i, m - 1 - i)).count();
        (0..front).for_each(|child| self.child((at, old, child), (place, new, child)));
        (0..back).rev().for_each(|i| self.child((at, old, n - 1 - i), (place, new, m - 1 - i)));
    }

    fn child(&mut self, (at, old, a): (usize, &Container, usize), (place, new, b): (usize, &Container, usize)) {
        let (one, other) = (old.child(a), new.child(b));
        let (mut from, mut to) = (at + old.start(a), place + new.start(b));
        let both = one.kind == Type::Container && other.kind == Type::Container;
        if both
            && one != other
            && self.depth < DEEP
            && let (Ok(one), Ok(other)) = (Container::new(one.bytes), Container::new(other.bytes))
        {
            self.depth += 1;
            self.containers((from, &one), (to, &other));
            self.depth -= 1;
            return;
        }
        let ends = (from + one.bytes.len(), to + other.bytes.len());
        let padding = old.start(a) - old.range(a).0;
        if padding == new.start(b) - new.range(b).0 {
            (from, to) = (from - padding, to - padding);
        }
        self.ranges((from, ends.0), (to, ends.1));
    }
}
