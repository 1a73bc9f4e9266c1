//! pg_tviews: materialized views that are never stale.
//!
//! What happens at load, in order, is `_PG_init` below; docs/internals has the picture.

use pgrx::prelude::*;

pub mod pg;

pgrx::pg_module_magic!();

#[allow(non_snake_case)]
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    pg::guc::init();
}
