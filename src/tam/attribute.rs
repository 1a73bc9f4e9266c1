//! Access to the attributes of a tuple descriptor, whose layout changed in 18.

use pgrx::pg_sys;

/// The attribute at 0-based `index` of a descriptor.
///
/// # Safety
/// `desc` is valid and `index` below its `natts`.
pub unsafe fn attribute(desc: pg_sys::TupleDesc, index: usize) -> *mut pg_sys::FormData_pg_attribute {
    debug_assert!(index < (*desc).natts as usize);
    #[cfg(not(feature = "pg18"))]
    {
        (*desc).attrs.as_mut_ptr().add(index)
    }
    #[cfg(feature = "pg18")]
    {
        // tupdesc.h, TupleDescAttr: the full attributes follow the array of compact ones.
        let full = (*desc).compact_attrs.as_mut_ptr().add((*desc).natts as usize);
        full.cast::<pg_sys::FormData_pg_attribute>().add(index)
    }
}

/// Sets or clears the dropped mark, in every copy the descriptor holds.
///
/// # Safety
/// As [`attribute`]; nobody else may look at the mark while it differs from the catalog.
pub unsafe fn set_dropped(desc: pg_sys::TupleDesc, index: usize, dropped: bool) {
    (*attribute(desc, index)).attisdropped = dropped;
    #[cfg(feature = "pg18")]
    {
        (*(*desc).compact_attrs.as_mut_ptr().add(index)).attisdropped = dropped;
    }
}
