//! What is written of a changed row: values that did not change stay where they are stored, parts of documents are put into the stored document,
//! and a long value that is much like the stored one is compressed by the stored form (tviews_core::pglz).
//!
//! Invariant: what is written has, after detoasting, the bytes that were computed, or that a part makes of the stored document. Called by apply.

use crate::pg::aggregate::top;
use crate::pg::fault::{self, Fault};
use crate::pg::relation::Relation;
use crate::pg::{ext, guc, varlena};
use crate::refresh::plan::parts::Column;
use pgrx::pg_sys::{self, Datum};
use tviews_core::jsonb::{diff, part};
use tviews_core::pglz;

/// Values shorter than this are compressed by the server, if at all.
const LONG: usize = 2000;

/// Values of one row, with flags for NULL.
pub struct Row {
    pub values: Vec<Datum>,
    pub nulls: Vec<bool>,
}

impl Row {
    pub fn new(n: usize) -> Row {
        Row { values: vec![Datum::from(0usize); n], nulls: vec![true; n] }
    }
}

/// How a row that was computed stands to the stored one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Same,
    Differs,
    /// The stored row is not one that the parts belong to.
    Unexpected,
}

/// How an attribute is stored.
struct Attribute {
    by_value: bool,
    len: i16,
    is_document: bool,
    /// Whether these are the best values of a group.
    is_top: bool,
    /// Whether the server would compress long values, and with pglz.
    compressed: bool,
}

pub struct Written {
    attributes: Vec<Attribute>,
}

impl Written {
    /// `tops`: attributes with the best values of a group.
    pub fn new(rel: &Relation, tops: &[usize]) -> Written {
        let attribute = |i| {
            let att = rel.attribute(i);
            let storage = att.attstorage as u8;
            Attribute {
                by_value: att.attbyval,
                len: att.attlen,
                is_document: att.atttypid == pg_sys::JSONBOID,
                is_top: tops.contains(&i),
                compressed: att.attlen == -1
                    && (storage == pg_sys::TYPSTORAGE_EXTENDED || storage == pg_sys::TYPSTORAGE_MAIN)
                    && ext::compresses_by_pglz(att.attcompression)
                    && guc::PARTIAL_ROWS.get(),
            }
        };
        Written { attributes: (0..rel.natts()).map(attribute).collect() }
    }

    /// Turns a computed row into what is written in the place of the stored row, in the current memory context. `parts`: what the computed row has.
    ///
    /// # Safety
    /// Both rows have values of the attributes; parts, if any, one column for each attribute.
    pub unsafe fn settle(&self, old: &Row, new: &mut Row, parts: Option<&[Column]>) -> Settled {
        if parts.is_some() && fault::on(Fault::KeepStoredColumns) {
            return Settled::Same;
        }
        let (mut differs, mut lengthened) = (false, Vec::new());
        for (i, att) in self.attributes.iter().enumerate() {
            let part = match parts.map(|p| &p[i]) {
                Some(Column::Kept) => {
                    (new.values[i], new.nulls[i]) = (old.values[i], old.nulls[i]);
                    continue;
                }
                Some(Column::Part(part)) => Some(part),
                Some(Column::Computed) | None => None,
            };
            if old.nulls[i] || new.nulls[i] {
                if part.is_some() {
                    return Settled::Unexpected;
                }
                differs |= old.nulls[i] != new.nulls[i];
                continue;
            }
            // SAFETY: values of this attribute.
            let written = unsafe {
                match (att.len, part) {
                    (-1, part) => att.long(old.values[i], new.values[i], part),
                    (len, _) if ext::same_image(old.values[i], new.values[i], att.by_value, i32::from(len)) => Ok(None),
                    _ => Ok(Some(new.values[i])),
                }
            };
            match written {
                Ok(None) => new.values[i] = old.values[i],
                // SAFETY: as above.
                Ok(Some(value)) if att.is_top && unsafe { top::is_shorter(old.values[i], value) } => {
                    lengthened.push((i, value))
                }
                Ok(Some(value)) => (new.values[i], differs) = (value, true),
                Err(_) => return Settled::Unexpected,
            }
        }
        // A list that knows more than the stored one is written with the row, not for itself.
        lengthened.into_iter().filter(|_| differs).for_each(|(i, value)| new.values[i] = value);
        if differs || parts.is_none() && fault::on(Fault::WriteEqual) { Settled::Differs } else { Settled::Same }
    }
}

impl Written {
    /// Brings values out of TOAST tables, in the current memory context.
    ///
    /// # Safety
    /// A row with values of the attributes.
    pub unsafe fn fetch(&self, row: &mut Row) {
        for (i, att) in self.attributes.iter().enumerate() {
            if att.len == -1 && !row.nulls[i] {
                // SAFETY: as the caller promises.
                row.values[i] = unsafe { varlena::fetched(row.values[i]) };
            }
        }
    }
}

impl Attribute {
    /// What is written of a value of variable length in the place of a stored one; None when it is the same.
    ///
    /// # Safety
    /// Values of this attribute.
    unsafe fn long(
        &self,
        old: Datum,
        new: Datum,
        part: Option<&part::Part>,
    ) -> tviews_core::jsonb::Result<Option<Datum>> {
        // SAFETY: as the caller promises; detoasted values live in the current memory context.
        unsafe {
            let size = varlena::raw_size(new);
            let is_plain = part.is_none() && !(self.compressed && size > LONG);
            if is_plain && varlena::raw_size(old) != size {
                return Ok(Some(new));
            }
            let form = varlena::fetched(old);
            let (stored, computed) = (varlena::plain(form), varlena::plain(new));
            let put = part.map(|part| part::put(stored, computed, part)).transpose()?;
            let wanted = put.as_deref().unwrap_or(computed);
            if wanted == stored || part.is_some() && fault::on(Fault::KeepStoredParts) {
                return Ok(None);
            }
            let like = varlena::pglz(form).filter(|_| self.compressed && wanted.len() >= LONG).and_then(|bytes| {
                let same = if self.is_document { diff::pieces(stored, wanted) } else { diff::ends(stored, wanted) };
                // As much shorter as the server wants it to be. Source: common/pg_lzcompress.c, strategy_default_data.
                pglz::compress_like(bytes, wanted, &same, wanted.len() / 100 * 75)
            });
            Ok(Some(match (like, &put) {
                (Some(like), _) => varlena::compressed(&like, wanted.len()),
                (None, Some(put)) => varlena::of(put),
                (None, None) => new,
            }))
        }
    }
}
