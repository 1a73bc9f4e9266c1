//! The states of a group in one attribute: a row of states, as bytes.
//!
//! Invariant: equal states are equal bytes, whether the query (`tviews.packed`) or a fold made them. The attribute is a bytea, so that states that do
//! not fit into the page go out of line, like any long value. The bytes are the bytes of a composite value, its header included.
//! Source: access/common/heaptuple.c, heap_form_tuple, heap_copy_tuple_as_datum.

use crate::analyze::describe::fold::Fold;
use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use crate::pg::tupdesc;
use pgrx::pg_sys::{self, Datum};

/// How the states of a fold are packed.
pub struct Packing(pg_sys::TupleDesc);

impl Packing {
    /// None when the fold keeps its states apart.
    ///
    /// # Safety
    /// The current memory context outlives the result.
    pub unsafe fn of(fold: &Fold) -> Option<Packing> {
        if !fold.is_packed() {
            return None;
        }
        // SAFETY: a new descriptor in the current context, each attribute set once.
        unsafe {
            let desc = tupdesc::of(fold.state_types.len(), |desc| {
                for (number, of) in (1i16..).zip(&fold.state_types) {
                    pg_sys::TupleDescInitEntry(desc, number, c"".as_ptr(), *of, -1, 0);
                }
            });
            Some(Packing(desc))
        }
    }

    /// One value from all states, in the current memory context.
    ///
    /// # Safety
    /// The values are of the states' types.
    pub unsafe fn pack(&self, states: &[Option<Datum>]) -> Datum {
        let mut values: Vec<Datum> = states.iter().map(|s| s.unwrap_or(Datum::from(0usize))).collect();
        let mut nulls: Vec<bool> = states.iter().map(Option::is_none).collect();
        // SAFETY: the values are of the types of the descriptor, as the caller promises.
        unsafe {
            let tuple = pg_sys::heap_form_tuple(self.0, values.as_mut_ptr(), nulls.as_mut_ptr());
            alike(pg_sys::heap_copy_tuple_as_datum(tuple, self.0).cast_mut_ptr())
        }
    }

    /// All states from a value that `pack` has made; they point into a copy of the value in the current memory context.
    ///
    /// # Safety
    /// The value was stored by a fold of the same query.
    pub unsafe fn unpack(&self, packed: Option<Datum>) -> Vec<Option<Datum>> {
        // SAFETY: the descriptor is that of the states when they were packed, as the caller promises.
        unsafe {
            let natts = (*self.0).natts as usize;
            let Some(packed) = packed else { return vec![None; natts] };
            let header = pg_sys::pg_detoast_datum_copy(packed.cast_mut_ptr()).cast::<pg_sys::HeapTupleHeaderData>();
            let mut tuple = pg_sys::HeapTupleData { t_len: length(header), t_data: header, ..Default::default() };
            let (mut values, mut nulls) = (vec![Datum::from(0usize); natts], vec![true; natts]);
            pg_sys::heap_deform_tuple(&mut tuple, self.0, values.as_mut_ptr(), nulls.as_mut_ptr());
            values.into_iter().zip(nulls).map(|(value, null)| (!null).then_some(value)).collect()
        }
    }
}

/// # Safety
/// A composite value begins with its length, as every varlena.
unsafe fn length(header: pg_sys::HeapTupleHeader) -> u32 {
    // SAFETY: a composite value begins with its length, as every varlena.
    unsafe { pgrx::varsize_4b(header.cast::<pg_sys::varlena>()) as u32 }
}

/// Takes the number of its row type, which differs from session to session, out of a composite value.
///
/// # Safety
/// `header` is that of a composite value that nobody else sees.
unsafe fn alike(header: pg_sys::HeapTupleHeader) -> Datum {
    // SAFETY: `header` is that of a composite value that nobody else sees.
    unsafe {
        (*header).t_choice.t_datum.datum_typmod = -1;
        (*header).t_choice.t_datum.datum_typeid = pg_sys::RECORDOID;
    }
    Datum::from(header)
}

sql_function!(tviews_packed, pg_finfo_tviews_packed, packed);

/// `tviews.packed(record) RETURNS bytea`
fn packed(arguments: &Arguments) -> Result<Option<Datum>> {
    // SAFETY: the argument is a composite value; the copy is ours.
    Ok(arguments.get::<Datum>(0).map(|row| unsafe { alike(pg_sys::pg_detoast_datum_copy(row.cast_mut_ptr()).cast()) }))
}
