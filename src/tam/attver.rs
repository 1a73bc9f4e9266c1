//! Attribute versions: a WAL position in `pg_attribute.attoptions` (`pg_attver=…`) for when an attribute came into being.
//!
//! Minor releases of the back branches from 15.20 on keep a version for every attribute, also when dropped, and warn each time a relation is
//! opened whose versions do not ascend. Older minors have no versions, and the library must run on both, so the functions are looked up at
//! run time.
//! Called when state attributes are added.

use std::ffi::CStr;

use pgrx::pg_sys;

/// Value of `attoptions` for an attribute added now; `None` where the server does not version attributes.
///
/// # Safety
/// Needs a transaction. The Datum is allocated in the current memory context.
pub unsafe fn options() -> Option<pg_sys::Datum> {
    // SAFETY: the caller promises: needs a transaction. The Datum is allocated in the current memory context.
    unsafe {
        // heap.h and reloptions.h of 15.20.
        type GetNextAttributeVersion = unsafe extern "C-unwind" fn() -> pg_sys::XLogRecPtr;
        type AttoptionsSetVersion =
            unsafe extern "C-unwind" fn(pg_sys::Datum, bool, pg_sys::XLogRecPtr) -> pg_sys::Datum;
        let next = symbol(c"GetNextAttributeVersion")?;
        let set = symbol(c"attoptions_set_version")?;
        let next = std::mem::transmute::<*mut libc::c_void, GetNextAttributeVersion>(next);
        let set = std::mem::transmute::<*mut libc::c_void, AttoptionsSetVersion>(set);
        #[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
        let options = pg_sys::ffi::pg_guard_ffi_boundary(|| set(pg_sys::Datum::from(0usize), true, next()));
        Some(options)
    }
}

fn symbol(name: &CStr) -> Option<*mut libc::c_void> {
    // SAFETY: a lookup by name in the libraries that are loaded already.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}
