//! Values of variable length in their forms: plain, compressed, in a TOAST table.
//!
//! Source: varatt.h (postgres.h in 15), access/toast_internals.h, access/common/detoast.c.

use super::error::Error;
use pgrx::pg_sys::{self, Datum};

const SIZE: u32 = (1 << 30) - 1;
/// Number of the method in a compressed value.
const PGLZ: u32 = 0;
/// Source: utils/memutils.h, MaxAllocSize.
const MOST: usize = 0x3fff_ffff;

/// The value as it is stored, compressed or not, fetched from a TOAST table if it is there.
///
/// # Safety
/// A value of variable length.
pub unsafe fn fetched(value: Datum) -> Datum {
    // SAFETY: as the caller promises.
    unsafe {
        let of = value.cast_mut_ptr::<pg_sys::varlena>();
        if pgrx::varatt_is_1b_e(of) { pg_sys::detoast_external_attr(of).into() } else { value }
    }
}

/// The size of a value, header included, that is neither compressed nor in a TOAST table.
///
/// # Safety
/// As for `fetched`.
pub unsafe fn size_if_plain(value: Datum) -> Option<usize> {
    // SAFETY: as the caller promises.
    unsafe {
        let of = value.cast_mut_ptr::<pg_sys::varlena>();
        let plain = !pgrx::varatt_is_1b_e(of) && (pgrx::varatt_is_1b(of) || pgrx::varatt_is_4b_u(of));
        plain.then(|| pgrx::varsize_any(of))
    }
}

/// The size that the value has, or would have, as a plain one, with a header of four bytes. Source: access/common/detoast.c, toast_raw_datum_size.
///
/// # Safety
/// As for `fetched`.
pub unsafe fn raw_size(value: Datum) -> usize {
    // SAFETY: as the caller promises.
    unsafe {
        match size_if_plain(value) {
            Some(size) if pgrx::varatt_is_1b(value.cast_mut_ptr::<pg_sys::varlena>()) => size - 1 + pg_sys::VARHDRSZ,
            Some(size) => size,
            None => pg_sys::toast_raw_datum_size(value),
        }
    }
}

/// The bytes of the value behind its header. They live as long as the value, or in the current memory context.
///
/// # Safety
/// As for `fetched`.
pub unsafe fn plain<'a>(value: Datum) -> &'a [u8] {
    // SAFETY: as the caller promises.
    unsafe {
        if size_if_plain(value).is_some() {
            return bytes(value);
        }
        bytes(pg_sys::pg_detoast_datum_packed(value.cast_mut_ptr()).into())
    }
}

/// The bytes of a plain value behind its header.
///
/// # Safety
/// A value that is neither compressed nor in a TOAST table.
pub unsafe fn bytes<'a>(value: Datum) -> &'a [u8] {
    // SAFETY: as the caller promises.
    unsafe {
        let of = value.cast_mut_ptr::<pg_sys::varlena>();
        std::slice::from_raw_parts(pgrx::vardata_any(of).cast(), pgrx::varsize_any_exhdr(of))
    }
}

/// The compressed form, when the value is compressed by pglz, and not in a TOAST table.
///
/// # Safety
/// As for `fetched`.
pub unsafe fn pglz<'a>(value: Datum) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises; behind the header of a compressed value there are its size and the method, then the bytes.
    unsafe {
        let of = value.cast_mut_ptr::<pg_sys::varlena>();
        if pgrx::varatt_is_1b_e(of) || !pgrx::varatt_is_4b_c(of) {
            return None;
        }
        let method = of.cast::<u32>().add(1).read() >> 30;
        let len = pgrx::varsize_4b(of) - 2 * size_of::<u32>();
        (method == PGLZ).then(|| std::slice::from_raw_parts(of.cast::<u8>().add(2 * size_of::<u32>()), len))
    }
}

/// A plain value of these bytes, in the current memory context.
pub fn of(bytes: &[u8]) -> Datum {
    // SAFETY: as much memory as is written.
    unsafe {
        let value = reserve(bytes.len() + size_of::<u32>());
        pgrx::set_varsize_4b(value, (bytes.len() + size_of::<u32>()) as i32);
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), value.cast::<u8>().add(size_of::<u32>()), bytes.len());
        value.into()
    }
}

/// A compressed value, in the current memory context. `len`: of what it stands for, without header.
///
/// # Safety
/// The bytes are compressed by pglz, and stand for so many.
pub unsafe fn compressed(bytes: &[u8], len: usize) -> Datum {
    // SAFETY: as much memory as is written.
    unsafe {
        let size = bytes.len() + 2 * size_of::<u32>();
        let value = reserve(size);
        let header = if cfg!(target_endian = "big") { size as u32 | 0x4000_0000 } else { (size as u32) << 2 | 2 };
        value.cast::<u32>().write(header);
        value.cast::<u32>().add(1).write(len as u32 & SIZE);
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), value.cast::<u8>().add(2 * size_of::<u32>()), bytes.len());
        value.into()
    }
}

/// Memory for a value; one that is longer than values can be is an error, as the server has it.
fn reserve(size: usize) -> *mut pg_sys::varlena {
    if size > MOST {
        Error::OutOfMemory.raise()
    }
    // SAFETY: allocates only.
    unsafe { pg_sys::palloc(size).cast() }
}
