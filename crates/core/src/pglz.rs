//! Compressing a value that is much like another one, whose compressed form is there.
//!
//! PostgreSQL's own compression (pglz) costs more than all else that is done to write a long document again. Here what old and new value have in common
//! keeps its compressed form, and only what is new is compressed.
//!
//! The form: a control byte, then eight items, one for each of its bits from the lowest; a 0 is a byte as it is, a 1 two bytes or three, which say
//! how many bytes to repeat, from 3 to 273, and from how far back, up to 4095. Source: common/pg_lzcompress.c.
//! Invariant: the result decompresses to the new value. Each item is compared with the new value before it is written, or lies so far inside
//! of a common piece that all it repeats is in the piece, too; that pieces are equal was compared before (`jsonb::diff`).
//! Called by refresh/follow, for rows that are written.

use crate::jsonb::diff::Piece;

/// How far back a repetition can reach.
const REACH: usize = 4095;
const LONGEST: usize = 273;
const SHORTEST: usize = 3;
/// Slots of the table of places.
const SLOTS: usize = 1 << 12;

/// One item of the compressed form.
#[derive(Clone, Copy)]
enum Item {
    Byte,
    Repeat { len: usize, back: usize },
}

/// Reads the old compressed form item by item.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    control: u8,
    /// Items of the current group that have been read, and of the whole form.
    read: usize,
    /// Where in the old value the next item begins.
    place: usize,
}

impl Reader<'_> {
    /// None at the end.
    fn next(&mut self) -> Option<Item> {
        if self.read.is_multiple_of(8) {
            self.control = *self.bytes.get(self.at)?;
            self.at += 1;
        }
        let is_repeat = self.control & 1 != 0;
        self.control >>= 1;
        self.read += 1;
        let first = usize::from(*self.bytes.get(self.at)?);
        self.at += 1;
        if !is_repeat {
            self.place += 1;
            return Some(Item::Byte);
        }
        let back = (first & 0xf0) << 4 | usize::from(*self.bytes.get(self.at)?);
        let mut len = (first & 0x0f) + 3;
        self.at += 1;
        if len == 18 {
            len += usize::from(*self.bytes.get(self.at)?);
            self.at += 1;
        }
        self.place += len;
        Some(Item::Repeat { len, back })
    }

    /// Where the group that begins here ends, and how many bytes it stands for; None at the last groups, or inside of one.
    fn group(&self) -> Option<(usize, usize)> {
        if !self.read.is_multiple_of(8) || self.at + 1 + 3 * 8 > self.bytes.len() {
            return None;
        }
        let control = self.bytes[self.at];
        let (mut at, mut len) = (self.at + 1, 0);
        if control == 0 {
            return Some((at + 8, 8));
        }
        for bit in 0..8 {
            if control >> bit & 1 == 0 {
                (at, len) = (at + 1, len + 1);
                continue;
            }
            let of = usize::from(self.bytes[at] & 0x0f) + 3;
            at += 2;
            len += of;
            if of == 18 {
                len += usize::from(self.bytes[at]);
                at += 1;
            }
        }
        Some((at, len))
    }

    fn skip(&mut self, (end, len): (usize, usize)) {
        self.at = end;
        self.place += len;
        self.read += 8;
    }
}

struct Writer<'a> {
    new: &'a [u8],
    out: Vec<u8>,
    /// Where the control byte of the current group is.
    control: usize,
    written: usize,
    /// All of the new value before this place is written.
    place: usize,
    /// Where bytes were last seen, by a hash of the three that begin there, plus one.
    places: Vec<u32>,
    /// Up to here places are noted.
    noted: usize,
}

impl Writer<'_> {
    fn bit(&mut self, is_repeat: bool) {
        let at = self.written % 8;
        if at == 0 {
            self.control = self.out.len();
            self.out.push(0);
        }
        self.out[self.control] |= u8::from(is_repeat) << at;
        self.written += 1;
    }

    /// A group of items as it is.
    fn group(&mut self, items: &[u8], len: usize) {
        self.out.extend_from_slice(items);
        self.written += 8;
        self.place += len;
    }

    fn byte(&mut self) {
        self.bit(false);
        self.out.push(self.new[self.place]);
        self.place += 1;
    }

    fn repeat(&mut self, len: usize, back: usize) {
        self.bit(true);
        let high = (back >> 4 & 0xf0) as u8;
        if len > 17 {
            self.out.extend_from_slice(&[high | 0x0f, back as u8, (len - 18) as u8]);
        } else {
            self.out.extend_from_slice(&[high | (len - 3) as u8, back as u8]);
        }
        self.place += len;
    }

    /// Whether the bytes that come next are those so far back.
    fn repeats(&self, len: usize, back: usize) -> bool {
        let (at, end) = (self.place, self.place + len);
        (SHORTEST..=LONGEST).contains(&len)
            && (1..=REACH.min(at)).contains(&back)
            && end <= self.new.len()
            && self.new[at - back..end - back] == self.new[at..end]
    }

    fn slot(&self, at: usize) -> usize {
        let [a, b, c] = [self.new[at], self.new[at + 1], self.new[at + 2]].map(u32::from);
        ((a | b << 8 | c << 16).wrapping_mul(0x9E37_79B1) >> 20) as usize % SLOTS
    }

    /// Writes the bytes before a place, of which nothing is known.
    fn compress(&mut self, end: usize) {
        if end.saturating_sub(self.place) < 2 * SHORTEST {
            while self.place < end {
                self.byte();
            }
            return;
        }
        self.places.resize(SLOTS, 0);
        self.noted = self.noted.max(self.place.saturating_sub(REACH));
        while self.place < end {
            let at = self.place;
            while self.noted < at && self.noted + SHORTEST <= self.new.len() {
                let slot = self.slot(self.noted);
                self.noted += 1;
                self.places[slot] = self.noted as u32;
            }
            let before = if at + SHORTEST <= end { self.places[self.slot(at)] as usize } else { 0 };
            let back = at + 1 - before;
            if before == 0 || back > REACH || !self.repeats(SHORTEST, back) {
                self.byte();
                continue;
            }
            let most = LONGEST.min(end - at);
            let same = |i: &usize| self.new[at - back + i] == self.new[at + i];
            let len = SHORTEST + (SHORTEST..most).take_while(same).count();
            self.repeat(len, back);
        }
    }
}

/// The compressed form of `new`: `old` is that of another value, which has the pieces in common. None: the form of the old value is not what it
/// should be, or the new one would not be shorter than `most`.
pub fn compress_like(old: &[u8], new: &[u8], pieces: &[Piece], most: usize) -> Option<Vec<u8>> {
    let mut from = Reader { bytes: old, at: 0, control: 0, read: 0, place: 0 };
    let out = Vec::with_capacity(old.len() + old.len() / 16 + 1024);
    let mut to = Writer { new, out, control: 0, written: 0, place: 0, places: Vec::new(), noted: 0 };
    for piece in pieces {
        while from.place < piece.old {
            from.next()?;
        }
        let end = piece.old + piece.len;
        while from.place < end && to.out.len() < most {
            let place = piece.new + (from.place - piece.old);
            let is_written = to.place == place;
            let is_inside = is_written && to.written.is_multiple_of(8) && place - piece.new >= REACH;
            let group = if is_inside { from.group() } else { None };
            if let Some(group) = group.filter(|(_, len)| from.place + len <= end) {
                to.group(&old[from.at..group.0], group.1);
                from.skip(group);
                continue;
            }
            let item = from.next()?;
            if from.place > end {
                break;
            }
            match item {
                Item::Byte => {
                    to.compress(place);
                    to.byte();
                }
                Item::Repeat { len, back } => {
                    to.compress(place);
                    if to.repeats(len, back) {
                        // As many items more as bring the groups of both forms together.
                        let behind = from.read.wrapping_sub(to.written + 1) % 8;
                        let apart = behind.min(len - SHORTEST);
                        (0..apart).for_each(|_| to.byte());
                        to.repeat(len - apart, back);
                    }
                }
            }
        }
    }
    if to.out.len() < most {
        to.compress(new.len());
    }
    (to.out.len() < most && to.place == new.len()).then_some(to.out)
}

/// The value that a compressed form stands for; None when it is none of a value of this length.
pub fn decompress(bytes: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut from = Reader { bytes, at: 0, control: 0, read: 0, place: 0 };
    let mut out = Vec::with_capacity(len);
    while out.len() < len {
        let before = from.at;
        match from.next()? {
            Item::Byte => out.push(bytes[from.at - 1]),
            Item::Repeat { len, back } if (1..=out.len()).contains(&back) => {
                (0..len).for_each(|_| out.push(out[out.len() - back]));
            }
            Item::Repeat { .. } => return None,
        }
        debug_assert!(from.at > before);
    }
    (out.len() == len && from.at == bytes.len()).then_some(out)
}
