//! Tuple descriptors that we make, and access to their attributes, whose layout changed in 18.
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
        #[cfg(not(feature = "since_18"))]
        {
            (*desc).attrs.as_mut_ptr().add(i)
        }
        #[cfg(feature = "since_18")]
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
        #[cfg(all(feature = "since_18", not(feature = "since_19")))]
        {
            (*(*desc).compact_attrs.as_mut_ptr().add(index)).attisdropped = dropped;
        }
        #[cfg(feature = "since_19")]
        (*(*desc).compact_attrs.as_mut_ptr().add(index)).set_attisdropped(dropped);
    }
}

/// A new descriptor in the current memory context. `entries` sets each of its attributes.
///
/// # Safety
/// `entries` initialises every attribute of what it is given.
pub unsafe fn of(natts: usize, entries: impl FnOnce(pg_sys::TupleDesc)) -> pg_sys::TupleDesc {
    // SAFETY: the caller promises: `entries` initialises every attribute.
    unsafe {
        let desc = pg_sys::CreateTemplateTupleDesc(natts as _);
        entries(desc);
        finalize(desc);
        desc
    }
}

/// From 19 on: all attributes are set, and the descriptor will be used.
///
/// # Safety
/// `desc` is ours, and every attribute is initialised.
#[inline]
pub unsafe fn finalize(desc: pg_sys::TupleDesc) {
    #[cfg(not(feature = "since_19"))]
    let _ = desc;
    #[cfg(feature = "since_19")]
    // SAFETY: ours and complete, as the caller promises.
    unsafe {
        pg_sys::TupleDescFinalize(desc);
    }
}
