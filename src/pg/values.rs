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
