//! The keys of rows as JSON texts: the one that tells rows apart, and the one that messages show.
//!
//! Messages show the column `id` where a TVIEW has one, as documents for applications have, and the key otherwise.
//! Invariant: texts are made with the settings of maintenance, so that a key has one text. Source: utils/adt/json.c, row_to_json.

use crate::pg::relation::{Relation, attname};
use crate::pg::tupdesc;
use pgrx::FromDatum;
use pgrx::pg_sys::{self, Datum};
use std::ffi::CString;

/// Some columns of a row as an object.
struct Object {
    positions: Vec<usize>,
    desc: pg_sys::TupleDesc,
}

pub struct Keys {
    key: Object,
    /// None: the key.
    label: Option<Object>,
}

impl Keys {
    /// # Safety
    /// The TVIEW stays open; `key` are attributes of it, from 0. The current memory context outlives the result.
    pub unsafe fn new(rel: &Relation, key: &[usize], visible: usize) -> Keys {
        let id = (0..visible.min(rel.natts())).find(|i| {
            let attribute = rel.attribute(*i);
            !attribute.attisdropped && attname(attribute) == "id"
        });
        // SAFETY: as the caller promises.
        unsafe {
            let label = id.filter(|id| key != [*id]).map(|id| Object::new(rel, &[id]));
            Keys { key: Object::new(rel, key), label }
        }
    }

    /// Key and label of a row.
    ///
    /// # Safety
    /// A value for each attribute of the TVIEW.
    pub unsafe fn texts(&self, values: &[Datum], nulls: &[bool]) -> (String, String) {
        // SAFETY: as the caller promises.
        unsafe {
            let key = self.key.text(values, nulls);
            let label = match &self.label {
                Some(label) => label.text(values, nulls),
                None => key.clone(),
            };
            (key, label)
        }
    }
}

impl Object {
    /// # Safety
    /// As `Keys::new`.
    unsafe fn new(rel: &Relation, positions: &[usize]) -> Object {
        // SAFETY: a new descriptor, each attribute set once.
        unsafe {
            let desc = tupdesc::of(positions.len(), |desc| {
                for (number, at) in (1i16..).zip(positions) {
                    let attribute = rel.attribute(*at);
                    let label = CString::new(attname(attribute)).unwrap_or_default();
                    pg_sys::TupleDescInitEntry(
                        desc,
                        number,
                        label.as_ptr(),
                        attribute.atttypid,
                        attribute.atttypmod,
                        0,
                    );
                    pg_sys::TupleDescInitEntryCollation(desc, number, attribute.attcollation);
                }
            });
            Object { positions: positions.to_vec(), desc: pg_sys::BlessTupleDesc(desc) }
        }
    }

    /// # Safety
    /// As `Keys::texts`.
    unsafe fn text(&self, values: &[Datum], nulls: &[bool]) -> String {
        let mut own: Vec<Datum> = self.positions.iter().map(|i| values[*i]).collect();
        let mut null: Vec<bool> = self.positions.iter().map(|i| nulls[*i]).collect();
        // SAFETY: one value for each attribute of the descriptor, of its type.
        unsafe {
            let tuple = pg_sys::heap_form_tuple(self.desc, own.as_mut_ptr(), null.as_mut_ptr());
            let row = pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data);
            let function = pg_sys::Oid::from(pg_sys::F_ROW_TO_JSON_RECORD);
            let json = pg_sys::OidFunctionCall1Coll(function, pg_sys::InvalidOid, row);
            String::from_datum(json, false).unwrap_or_default()
        }
    }
}

/// A text as a JSON string.
pub fn json_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
