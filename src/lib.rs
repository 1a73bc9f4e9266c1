//! pg_tviews: materialized views that are never stale.
use pgrx::prelude::*;
pgrx::pg_module_magic!();
