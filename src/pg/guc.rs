//! The extension's settings, alphabetical, each with its unit. Registered once, in `_PG_init`.

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};
use std::ffi::CString;
use std::sync::atomic::AtomicBool;

/// How changes of relations that only deferred TVIEWs follow are captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub enum CdcMode {
    #[name = c"trigger"]
    Trigger,
    #[name = c"wal"]
    Wal,
    #[name = c"auto"]
    Auto,
}

pub static CDC_MODE: GucSetting<CdcMode> = GucSetting::<CdcMode>::new(CdcMode::Trigger);
pub static CHANGE_BUFFER_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(-1);
pub static CTAS_PREFIX: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"tv_"));
pub static FULL_REFRESH_THRESHOLD: GucSetting<f64> = GucSetting::<f64>::new(0.3);
pub static LOCK_ESCALATION: GucSetting<i32> = GucSetting::<i32>::new(64);
pub static LOG_SIZE_ALERT: GucSetting<i32> = GucSetting::<i32>::new(1024 * 1024);
pub static MAX_REFRESH_ERRORS: GucSetting<i32> = GucSetting::<i32>::new(3);
pub static MAX_SLOT_RETAINED: GucSetting<i32> = GucSetting::<i32>::new(4096);
pub static MAX_WORKERS: GucSetting<i32> = GucSetting::<i32>::new(2);
pub static REFRESH_HISTORY: GucSetting<i32> = GucSetting::<i32>::new(7 * 24 * 60);
pub static WORKER_NAPTIME: GucSetting<i32> = GucSetting::<i32>::new(1000);
pub static LOG_MIN_FLUSH_DURATION: GucSetting<i32> = GucSetting::<i32>::new(-1);
/// Whether the parser of this process accepts the native syntax. No setting: hook/syntax sets it when it works.
pub static SYNTAX_WORKS: AtomicBool = AtomicBool::new(false);
pub static NATIVE_SYNTAX: GucSetting<bool> = GucSetting::<bool>::new(true);
pub static NESTED_LOOPS: GucSetting<bool> = GucSetting::<bool>::new(true);
pub static NOTIFY_KEYS: GucSetting<i32> = GucSetting::<i32>::new(1000);
pub static PARTIAL_ROWS: GucSetting<bool> = GucSetting::<bool>::new(true);
pub static UNLOGGED_BY_DEFAULT: GucSetting<bool> = GucSetting::<bool>::new(true);

pub fn init(preloading: bool) {
    GucRegistry::define_enum_guc(
        c"pg_tviews.cdc_mode",
        c"How changes are captured that only deferred TVIEWs follow.",
        c"Value auto takes them from WAL where wal_level and the tables allow; wal does, too, and refuses tables that do not.",
        &CDC_MODE,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_tviews.change_buffer_memory",
        c"Memory for a base table's pending changes before they spill to disk.",
        c"-1 means work_mem.",
        &CHANGE_BUFFER_MEMORY,
        -1,
        i32::MAX / 2,
        GucContext::Userset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_string_guc(
        c"pg_tviews.ctas_prefix",
        c"CREATE TABLE AS of a table whose name starts like this creates a TVIEW.",
        c"What cannot be a TVIEW is an ordinary table. A NOTICE says which. Empty switches the convention off.",
        &CTAS_PREFIX,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_float_guc(
        c"pg_tviews.full_refresh_threshold",
        c"Share of a TVIEW's rows from which recomputing all of it is preferred to recomputing keys.",
        c"It counts when more than 1000 rows have changed; strategies fold and delta compare the planner's estimates instead. 1 means that no number of changed rows, nor any estimate, leads to that.",
        &FULL_REFRESH_THRESHOLD,
        0.0,
        1.0,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_tviews.lock_escalation",
        c"Number of keys, and of values of joins, of one TVIEW in one flush from which all of them are locked at once instead.",
        c"Where values are those by which tables meet, the table is locked instead.",
        &LOCK_ESCALATION,
        0,
        10_000,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_tviews.log_min_flush_duration",
        c"Duration of a flush of one TVIEW from which it is logged.",
        c"-1 logs none, 0 logs all.",
        &LOG_MIN_FLUSH_DURATION,
        -1,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"pg_tviews.log_size_alert",
        c"Size of a table's log for deferred TVIEWs from which channel tviews_alert is told.",
        c"0 means never.",
        &LOG_SIZE_ALERT,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"pg_tviews.max_refresh_errors",
        c"Number of errors in a row after which a TVIEW with a schedule is paused.",
        c"0 means that it is tried again for ever.",
        &MAX_REFRESH_ERRORS,
        0,
        1_000_000,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_tviews.max_slot_retained",
        c"Size of the WAL that the slot of a database keeps from which changes are captured by triggers again.",
        c"0 means never.",
        &MAX_SLOT_RETAINED,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"pg_tviews.max_workers",
        c"How many TVIEWs of a database that have nothing to do with each other may be refreshed by schedule at the same time.",
        c"From 2 on each has a process of its own, as far as max_worker_processes allows.",
        &MAX_WORKERS,
        1,
        64,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_tviews.native_syntax",
        c"Accept CREATE TVIEW and the other TVIEW statements.",
        c"Off: CREATE MATERIALIZED VIEW ... USING tview, or WITH (incremental), creates TVIEWs.",
        &NATIVE_SYNTAX,
        // A session that loads the library itself may not define a setting of the server's start.
        if preloading { GucContext::Postmaster } else { GucContext::Sighup },
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_tviews.nested_loops",
        c"Follow few changed rows (16 or fewer) by nested loops over indexes, without SQL, where the query allows.",
        c"Off: by SQL, with the same result.",
        &NESTED_LOOPS,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_tviews.notify_keys",
        c"Number of changed rows of one TVIEW that the notifications of a transaction name.",
        c"Past it, one notification says that all of the TVIEW may have changed.",
        &NOTIFY_KEYS,
        0,
        1_000_000,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_tviews.refresh_history",
        c"How long the history of refreshes is kept.",
        c"Of deferred TVIEWs, in tviews.refresh_history.",
        &REFRESH_HISTORY,
        1,
        i32::MAX / 2,
        GucContext::Sighup,
        GucFlags::UNIT_MIN,
    );
    GucRegistry::define_bool_guc(
        c"pg_tviews.partial_rows",
        c"Compute only the columns and the parts of documents that a change can concern, and compress only these.",
        c"Off: rows are computed and compressed as a whole, with the same result.",
        &PARTIAL_ROWS,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_tviews.unlogged_by_default",
        c"Store a TVIEW without the option logged unlogged.",
        c"Its rows are computed anew after a crash, and standbys cannot read it.",
        &UNLOGGED_BY_DEFAULT,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_tviews.worker_naptime",
        c"How long the process that refreshes TVIEWs by schedule sleeps at most before it looks at the schedules again.",
        c"",
        &WORKER_NAPTIME,
        10,
        3_600_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    super::fault::init();
    // SAFETY: the prefix is a static string.
    unsafe { pgrx::pg_sys::MarkGUCPrefixReserved(c"pg_tviews".as_ptr()) };
}

/// Whether the number of changes is never a reason to recompute everything.
pub fn never_whole() -> bool {
    FULL_REFRESH_THRESHOLD.get() >= 1.0
}
