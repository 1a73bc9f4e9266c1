//! Hashes of rows, by the bytes of their values.
//!
//! Invariant: rows of the same bytes have the same hash, toasted or not; others have the same one by accident only, whoever chose them.
//! Called by refresh and by the feed.

use crate::pg::process::process;
use crate::pg::relation::Relation;
use pgrx::pg_sys::{self, Datum};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::{BuildHasher, Hasher};

process! {
    static HASHER: SipHasher13 = SipHasher13::new_with_keys(random(), random());
}

fn random() -> u64 {
    std::collections::hash_map::RandomState::new().hash_one(0u8)
}

/// Hash of a row's bytes.
pub struct RowHash {
    attributes: Vec<(bool, i16)>,
    hasher: SipHasher13,
}

impl RowHash {
    /// Of the first `selected` attributes: state attributes that the query does not compute any more are left out.
    pub fn new(rel: &Relation, selected: usize) -> RowHash {
        RowHash::with(rel, selected, SipHasher13::new_with_keys(random(), random()))
    }

    /// Hashes that can be compared with those of other flushes of this session.
    pub fn of_session(rel: &Relation, selected: usize) -> RowHash {
        RowHash::with(rel, selected, **HASHER)
    }

    fn with(rel: &Relation, selected: usize, hasher: SipHasher13) -> RowHash {
        let attributes =
            (0..rel.natts().min(selected)).map(|i| rel.attribute(i)).map(|a| (a.attbyval, a.attlen)).collect();
        RowHash { attributes, hasher }
    }

    pub fn of(&self, values: &[Datum], nulls: &[bool]) -> u128 {
        let mut h = self.hasher;
        for (i, (byval, len)) in self.attributes.iter().enumerate() {
            h.write_u8(u8::from(nulls[i]));
            if nulls[i] {
                continue;
            }
            if *byval {
                h.write_u64(values[i].value() as u64);
                continue;
            }
            // SAFETY: a non-null by-reference datum of the attribute's type.
            unsafe {
                match *len {
                    -1 => {
                        let given = values[i].cast_mut_ptr::<pg_sys::varlena>();
                        let plain = pg_sys::pg_detoast_datum_packed(given);
                        let n = pgrx::varsize_any_exhdr(plain);
                        h.write_u64(n as u64);
                        h.write(std::slice::from_raw_parts(pgrx::vardata_any(plain).cast(), n));
                        if plain != given {
                            pg_sys::pfree(plain.cast());
                        }
                    }
                    -2 => h.write(std::ffi::CStr::from_ptr(values[i].cast_mut_ptr()).to_bytes_with_nul()),
                    n => h.write(std::slice::from_raw_parts(values[i].cast_mut_ptr(), n as usize)),
                }
            }
        }
        h.finish128().as_u128()
    }
}
