//! Values as text, for messages.

use crate::pg::process::process;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::ffi::CStr;

/// Values of a row, each with its type: `(1, abc, NULL)`.
///
/// # Safety
/// Each value is of its type.
pub unsafe fn of_row(values: impl Iterator<Item = (pg_sys::Oid, Option<pg_sys::Datum>)>) -> String {
    let shown = values.map(|(typid, value)| {
        let Some(value) = value else { return "NULL".to_string() };
        // SAFETY: the value is of the type, as the caller promises; the function returns a palloc'd string.
        unsafe {
            let (mut output, mut is_varlena) = (pg_sys::InvalidOid, false);
            pg_sys::getTypeOutputInfo(typid, &mut output, &mut is_varlena);
            CStr::from_ptr(pg_sys::OidOutputFunctionCall(output, value)).to_string_lossy().into_owned()
        }
    });
    format!("({})", shown.collect::<Vec<_>>().join(", "))
}

process! {
    /// Hash functions of types that came with the server, null for types that have none: entries of the type cache stay where they are.
    static HASHES: RefCell<Vec<(pg_sys::Oid, *mut pg_sys::FmgrInfo)>> = const { RefCell::new(Vec::new()) };
}

/// # Safety
/// The type exists.
unsafe fn hash_function(typid: pg_sys::Oid) -> *mut pg_sys::FmgrInfo {
    let known = HASHES.with_borrow(|known| known.iter().find(|(of, _)| *of == typid).map(|(_, info)| *info));
    known.unwrap_or_else(|| {
        // SAFETY: the type exists.
        let info = unsafe {
            let entry = pg_sys::lookup_type_cache(typid, pg_sys::TYPECACHE_HASH_PROC_FINFO as i32);
            let has = (*entry).hash_proc != pg_sys::InvalidOid;
            if has { &raw mut (*entry).hash_proc_finfo } else { std::ptr::null_mut() }
        };
        if typid.to_u32() < pg_sys::FirstNormalObjectId {
            HASHES.with_borrow_mut(|known| known.push((typid, info)));
        }
        info
    })
}

/// A hash that agrees with the type's default equality; 0 for types that have none.
///
/// # Safety
/// The value is of the type; the type cache keeps the function that it found.
pub unsafe fn hash_value(typid: pg_sys::Oid, collation: pg_sys::Oid, value: pg_sys::Datum) -> u32 {
    // SAFETY: the value is of the type; the type cache keeps the function that it found.
    unsafe {
        let info = hash_function(typid);
        if info.is_null() {
            return 0;
        }
        pg_sys::FunctionCall1Coll(info, collation, value).value() as u32
    }
}
