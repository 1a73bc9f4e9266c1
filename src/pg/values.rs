//! Values as text, for messages.

use pgrx::pg_sys;
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

/// A hash that agrees with the type's default equality; 0 for types that have none.
///
/// # Safety
/// The value is of the type; the type cache keeps the function that it found.
pub unsafe fn hash_value(typid: pg_sys::Oid, collation: pg_sys::Oid, value: pg_sys::Datum) -> u32 {
    // SAFETY: the value is of the type; the type cache keeps the function that it found.
    unsafe {
        let entry = pg_sys::lookup_type_cache(typid, pg_sys::TYPECACHE_HASH_PROC_FINFO as i32);
        if (*entry).hash_proc == pg_sys::InvalidOid {
            return 0;
        }
        pg_sys::FunctionCall1Coll(&mut (*entry).hash_proc_finfo, collation, value).value() as u32
    }
}
