//! pg_tviews: materialized views that are never stale.
//!
//! The steps at load, in order, are in `_PG_init` below; docs/internals/architecture.md has the picture.
// Constants of the bindings keep the names they have in C.
#![allow(non_upper_case_globals)]
// Some parameters are const in some versions of the server only.
#![allow(clippy::unnecessary_mut_passed)]

use pgrx::prelude::*;
use std::sync::atomic::Ordering;

mod analyze;
mod build;
mod capture;
mod catalog;
mod compat;
mod counters;
mod feed;
mod hook;
mod jsonb;
mod log;
mod monitor;
mod pg;
mod queue;
mod recovery;
mod refresh;
mod schedule;
mod tam;
mod wal;
mod xact;

pgrx::pg_module_magic!();

// The install script, for `cargo pgrx`; `make install` assembles the same files by sql/parts/order.
pgrx::extension_sql_file!("../sql/parts/schema.sql", name = "schema", bootstrap);
pgrx::extension_sql_file!("../sql/parts/access_method.sql", name = "access_method", requires = ["schema"]);
pgrx::extension_sql_file!("../sql/parts/capture.sql", name = "capture", requires = ["access_method"]);
pgrx::extension_sql_file!("../sql/parts/states.sql", name = "states", requires = ["capture"]);
pgrx::extension_sql_file!("../sql/parts/functions.sql", name = "functions", requires = ["states"]);
pgrx::extension_sql_file!("../sql/parts/jsonb.sql", name = "jsonb", requires = ["functions"]);
pgrx::extension_sql_file!("../sql/parts/views.sql", name = "views", requires = ["jsonb"]);
pgrx::extension_sql_file!("../sql/parts/graph.sql", name = "graph", requires = ["views"]);
pgrx::extension_sql_file!("../sql/parts/upgrade.sql", name = "upgrade", requires = ["graph"]);
pgrx::extension_sql_file!("../sql/parts/compat.sql", name = "compat", requires = ["upgrade"]);
pgrx::extension_sql_file!("../sql/parts/compat_relations.sql", name = "compat_relations", requires = ["compat"]);
pgrx::extension_sql_file!(
    "../sql/parts/compat_functions.sql",
    name = "compat_functions",
    requires = ["compat_relations"]
);
pgrx::extension_sql_file!("../sql/parts/compat_convert.sql", name = "compat_convert", requires = ["compat_functions"]);
pgrx::extension_sql_file!("../sql/parts/pgstream.sql", name = "pgstream", requires = ["compat_convert"], finalize);

#[allow(non_snake_case)]
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    // SAFETY: a plain global.
    let preloading = unsafe { pg_sys::process_shared_preload_libraries_in_progress };
    tam::PRELOADED.store(preloading, Ordering::Relaxed);
    pg::guc::init(preloading);
    tam::init();
    xact::init();
    catalog::cache::init();
    hook::init();
    if preloading {
        counters::init();
        recovery::launcher::register();
    }
    if preloading && pg::guc::NATIVE_SYNTAX.get() {
        hook::syntax::init();
    }
}
