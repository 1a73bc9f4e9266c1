//! Iteration over the server's `List` of pointers and of integers.
//!
//! Callers: everything that reads parse trees.

use pgrx::pg_sys;

/// Elements of a pointer list. The list must not be changed while iterating.
///
/// # Safety
/// `list` is null or a valid `T_List` whose elements are `*mut T`.
pub unsafe fn iter<T>(list: *mut pg_sys::List) -> impl Iterator<Item = *mut T> {
    // SAFETY: `list` is null or a valid `T_List` whose elements are `*mut T`, as the caller promises.
    unsafe {
        let n = if list.is_null() { 0 } else { (*list).length as usize };
        (0..n).map(move |i| (*(*list).elements.add(i)).ptr_value.cast::<T>())
    }
}

/// The `n`-th element, from 0.
///
/// # Safety
/// As for `iter`, and `n` is below the length.
pub unsafe fn nth<T>(list: *mut pg_sys::List, n: usize) -> *mut T {
    // SAFETY: the caller promises a list of more than `n` pointers.
    unsafe { (*(*list).elements.add(n)).ptr_value.cast::<T>() }
}

/// Number of elements; a null list has none.
///
/// # Safety
/// `list` is null or a valid list.
pub unsafe fn len(list: *mut pg_sys::List) -> usize {
    // SAFETY: `list` is null or a valid list, as the caller promises.
    unsafe { if list.is_null() { 0 } else { (*list).length as usize } }
}

/// Elements of an OID list, copied.
///
/// # Safety
/// `list` is null or a valid `T_OidList`.
pub unsafe fn oids(list: *mut pg_sys::List) -> Vec<pg_sys::Oid> {
    // SAFETY: `list` is null or a valid `T_OidList`, as the caller promises.
    unsafe {
        let n = len(list);
        (0..n).map(|i| (*(*list).elements.add(i)).oid_value).collect()
    }
}

/// The integers of an integer list.
///
/// # Safety
/// `list` is null or a valid integer list.
pub unsafe fn ints(list: *mut pg_sys::List) -> Vec<i32> {
    // SAFETY: `list` is null or a valid integer list, as the caller promises.
    unsafe {
        let n = len(list);
        (0..n).map(|i| (*(*list).elements.add(i)).int_value).collect()
    }
}

/// The members of a bitmapset, ascending.
///
/// # Safety
/// `set` is null or a valid bitmapset.
pub unsafe fn members(set: *const pg_sys::Bitmapset) -> Vec<i32> {
    // SAFETY: `set` is null or a valid bitmapset, as the caller promises.
    unsafe {
        let mut out = Vec::new();
        let mut x = -1;
        loop {
            x = pg_sys::bms_next_member(set, x);
            if x < 0 {
                return out;
            }
            out.push(x);
        }
    }
}

/// Whether `node` has the given tag; false for null.
///
/// # Safety
/// `node` is null or a valid node.
pub unsafe fn is<T>(node: *const T, tag: pg_sys::NodeTag) -> bool {
    // SAFETY: `node` is null or a valid node, as the caller promises.
    unsafe { !node.is_null() && (*node.cast::<pg_sys::Node>()).type_ == tag }
}

/// `oids` for a list that the server has just returned.
pub fn oids_of(list: *mut pg_sys::List) -> Vec<pg_sys::Oid> {
    // SAFETY: the server returns null or a valid OID list.
    unsafe { oids(list) }
}
