//! Access to the attributes of a tuple descriptor, whose layout changed in 18.
//!
//! Source: access/tupdesc.h, `TupleDescAttr`.

use pgrx::pg_sys;

/// Attribute `i`, from 0.
///
/// # Safety
/// `desc` is valid and `i` is below its `natts`.
pub unsafe fn attr(desc: pg_sys::TupleDesc, i: usize) -> *mut pg_sys::FormData_pg_attribute {
    // SAFETY: `desc` is valid and `i` is below its `natts`, as the caller promises.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        {
            (*desc).attrs.as_mut_ptr().add(i)
        }
        #[cfg(feature = "pg18")]
        {
            let compact = (*desc).compact_attrs.as_mut_ptr();
            compact.add((*desc).natts as usize).cast::<pg_sys::FormData_pg_attribute>().add(i)
        }
    }
}

/// Sets or clears the dropped mark, in every copy the descriptor holds.
///
/// # Safety
/// As [`attr`]; nobody else may look at the mark while it differs from the catalog.
pub unsafe fn set_dropped(desc: pg_sys::TupleDesc, index: usize, dropped: bool) {
    // SAFETY: the caller promises: as [`attr`]; nobody else may look at the mark while it differs from the catalog.
    unsafe {
        (*attr(desc, index)).attisdropped = dropped;
        #[cfg(feature = "pg18")]
        {
            (*(*desc).compact_attrs.as_mut_ptr().add(index)).attisdropped = dropped;
        }
    }
}
