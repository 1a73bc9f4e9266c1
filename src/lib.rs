//! pg_tviews: materialized views that are never stale.
//!
//! What happens at load, in order, is `_PG_init` below; docs/internals/architecture.md has the picture.
// Wrappers around the server's C interface are unsafe as a whole; their safety sections say when they may be called.
#![allow(clippy::missing_safety_doc)]
// Constants of the bindings keep the names they have in C.
#![allow(non_upper_case_globals)]

use pgrx::prelude::*;
use std::sync::atomic::Ordering;

mod analyze;
mod capture;
mod catalog;
mod hook;
mod monitor;
mod pg;
mod queue;
mod refresh;
mod tam;

pgrx::pg_module_magic!();

#[allow(non_snake_case)]
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    // SAFETY: a plain global.
    let preloading = unsafe { pg_sys::process_shared_preload_libraries_in_progress };
    tam::PRELOADED.store(preloading, Ordering::Relaxed);
    pg::guc::init();
    tam::init();
    queue::init();
    catalog::cache::init();
    hook::init();
    if preloading && pg::guc::NATIVE_SYNTAX.get() {
        hook::syntax::init();
    }
}
