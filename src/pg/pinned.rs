//! Maintenance runs as the TVIEW's owner under fixed settings, so that stored values do not depend on the user who writes.
//!
//! Invariant: dropping the guard restores user, security context and settings; when an error unwinds, the server's own
//! (sub)transaction abort restores them (xact.c, AbortSubTransaction). Settings are left as they are only for what looks at none of them, and SQL is
//! not run meanwhile (spi.rs).

use super::fault::{self, Fault};
use super::silent;
use crate::pg::process::process;
use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::CStr;

/// The settings of 15 to 19 that values depend on and a session can change: how types are read and written, how text is parsed, how much of an
/// index is looked at, which rows may be read. Order does not matter; a setting that a server does not have is left out.
const SETTINGS: &[Setting] = &[
    Setting(c"search_path", c"pg_catalog, pg_temp", || is_text(kept::namespace_search_path(), c"pg_catalog, pg_temp")),
    Setting(c"TimeZone", c"UTC", || is_text(kept::time_zone(), c"UTC") || is_text(kept::time_zone(), c"Etc/UTC")),
    Setting(c"DateStyle", c"ISO, MDY", || {
        (kept::DateStyle(), kept::DateOrder()) == (pg_sys::USE_ISO_DATES as i32, pg_sys::DATEORDER_MDY as i32)
    }),
    Setting(c"IntervalStyle", c"postgres", || kept::IntervalStyle() == pg_sys::INTSTYLE_POSTGRES as i32),
    Setting(c"extra_float_digits", c"1", || kept::extra_float_digits() == 1),
    Setting(c"bytea_output", c"hex", || kept::bytea_output() == 1),
    Setting(c"lc_monetary", c"C", || is_text(kept::locale_monetary(), c"C")),
    Setting(c"lc_numeric", c"C", || is_text(kept::locale_numeric(), c"C")),
    Setting(c"lc_time", c"C", || is_text(kept::locale_time(), c"C")),
    Setting(c"xmlbinary", c"base64", || kept::xmlbinary() == 0),
    Setting(c"quote_all_identifiers", c"off", || !kept::quote_all_identifiers()),
    #[cfg(not(feature = "since_19"))]
    Setting(c"standard_conforming_strings", c"on", kept::standard_conforming_strings),
    // Sums of floating point numbers are others when they are added in parts below a join.
    #[cfg(feature = "since_19")]
    Setting(c"enable_eager_aggregate", c"off", || !kept::enable_eager_aggregate()),
    Setting(c"transform_null_equals", c"off", || !kept::Transform_null_equals()),
    Setting(c"row_security", c"on", kept::row_security),
    Setting(c"array_nulls", c"on", kept::Array_nulls),
    Setting(c"timezone_abbreviations", c"Default", || is_shown_as(c"timezone_abbreviations", c"Default")),
    Setting(c"xmloption", c"content", || kept::xmloption() == 1),
    Setting(c"backslash_quote", c"safe_encoding", || kept::backslash_quote() == 2),
    Setting(c"gin_fuzzy_search_limit", c"0", || kept::GinFuzzySearchLimit() == 0),
    // Minor versions before 2024-08 do not have it.
    Setting(c"restrict_nonsystem_relation_kind", c"", || is_shown_as(c"restrict_nonsystem_relation_kind", c"")),
];

/// Name, fixed value, and whether the session has this value: read where the server keeps it, which takes a tenth of the time of asking by name.
struct Setting(&'static CStr, &'static CStr, fn() -> bool);

/// The variables in which the server keeps settings. Source: utils/guc_tables.h, utils/bytea.h, utils/xml.h, utils/pg_locale.h, parser/parser.h.
#[allow(non_snake_case)]
mod kept {
    use pgrx::pg_sys;
    use std::ffi::{c_char, c_int};

    mod server {
        use std::ffi::{c_char, c_int};
        unsafe extern "C" {
            pub static bytea_output: c_int;
            pub static xmlbinary: c_int;
            pub static xmloption: c_int;
            pub static locale_monetary: *const c_char;
            pub static locale_numeric: *const c_char;
            pub static locale_time: *const c_char;
        }
    }

    macro_rules! variables {
        ($($(#[$has:meta])* $name:ident: $of:ident -> $type:ty;)*) => {$(
            $(#[$has])*
            pub fn $name() -> $type {
                // SAFETY: a variable of the process, which has one thread.
                unsafe { $of::$name as $type }
            }
        )*};
    }

    variables! {
        namespace_search_path: pg_sys -> *const c_char;
        DateStyle: pg_sys -> c_int;
        DateOrder: pg_sys -> c_int;
        IntervalStyle: pg_sys -> c_int;
        extra_float_digits: pg_sys -> c_int;
        bytea_output: server -> c_int;
        locale_monetary: server -> *const c_char;
        locale_numeric: server -> *const c_char;
        locale_time: server -> *const c_char;
        xmlbinary: server -> c_int;
        quote_all_identifiers: pg_sys -> bool;
        #[cfg(not(feature = "since_19"))]
        standard_conforming_strings: pg_sys -> bool;
        #[cfg(feature = "since_19")]
        enable_eager_aggregate: pg_sys -> bool;
        Transform_null_equals: pg_sys -> bool;
        row_security: pg_sys -> bool;
        Array_nulls: pg_sys -> bool;
        xmloption: server -> c_int;
        backslash_quote: pg_sys -> c_int;
        GinFuzzySearchLimit: pg_sys -> c_int;
    }

    /// The name of the time zone, as SHOW gives it; null when there is none.
    pub fn time_zone() -> *const c_char {
        // SAFETY: the zone of the session, which a backend always has.
        unsafe { pg_sys::pg_get_timezone_name(pg_sys::session_timezone) }
    }
}

fn is_text(kept: *const std::ffi::c_char, fixed: &CStr) -> bool {
    // SAFETY: null, or the server's own string.
    !kept.is_null() && unsafe { CStr::from_ptr(kept) } == fixed
}

/// Whether a setting has this value, or does not exist.
fn is_shown_as(name: &CStr, value: &CStr) -> bool {
    // SAFETY: the name ends with a NUL; the value shown is looked at at once.
    unsafe {
        let current = pg_sys::GetConfigOption(name.as_ptr(), true, false);
        current.is_null() || CStr::from_ptr(current) == value
    }
}

/// A setting whose value in the session is not the fixed one.
pub struct Other {
    pub name: &'static str,
    pub session: String,
    pub fixed: &'static str,
}

/// Settings whose values differ, outside of maintenance; two names of one time zone or locale do not differ.
pub fn others() -> Vec<Other> {
    let text = |s: &'static CStr| s.to_str().unwrap_or_default();
    let session = |name: &CStr| {
        // SAFETY: the name ends with a NUL; the value is copied.
        unsafe {
            let value = pg_sys::GetConfigOption(name.as_ptr(), true, false);
            (!value.is_null()).then(|| CStr::from_ptr(value).to_string_lossy().into_owned())
        }
    };
    let other = |Setting(name, fixed, _): &Setting| {
        let session = session(name)?;
        let (name, fixed) = (text(name), text(fixed));
        (canonical(&session) != canonical(fixed)).then_some(Other { name, session, fixed })
    };
    SETTINGS.iter().filter_map(other).collect()
}

fn canonical(value: &str) -> String {
    let value = value.to_ascii_lowercase();
    match value.strip_prefix("etc/").unwrap_or(&value) {
        "utc" | "uct" | "universal" | "zulu" | "gmt" | "gmt0" | "greenwich" => "utc".into(),
        "c" | "posix" | "c.utf-8" | "c.utf8" => "c".into(),
        _ => value,
    }
}

pub struct Pinned {
    /// Of the one around it.
    unset: bool,
    nest_level: i32,
    user: pg_sys::Oid,
    context: i32,
}

process! {
    /// The user is the owner, but the settings are those of the session.
    static UNSET: Cell<bool> = const { Cell::new(false) };
}

/// Whether SQL of ours would run under the settings of the session.
pub fn is_unset() -> bool {
    UNSET.get()
}

pub fn reset() {
    UNSET.set(false);
}

/// Fixes the settings, when the `Pinned` in force has left them; they end with it. Inside of no other guard of settings.
pub fn settings(search_path: &CStr) {
    if UNSET.replace(false) {
        fix();
        if !is_text(kept::namespace_search_path(), search_path) {
            change(c"search_path", search_path);
        }
    }
}

fn fix() {
    let count = if fault::on(Fault::WritersSettings) { 1 } else { SETTINGS.len() };
    for Setting(name, value, holds) in &SETTINGS[..count] {
        if !holds() {
            change(name, value);
        }
    }
}

impl Pinned {
    pub fn new(owner: pg_sys::Oid) -> Pinned {
        let pinned = Pinned::user(owner);
        UNSET.set(false);
        fix();
        pinned
    }

    /// For what looks at no setting (refresh/plan/unset.rs): no SQL is run before `settings` is called.
    pub fn user(owner: pg_sys::Oid) -> Pinned {
        let mut user = pg_sys::InvalidOid;
        let mut context = 0;
        // SAFETY: plain server calls inside a transaction.
        unsafe {
            silent::GetUserIdAndSecContext(&mut user, &mut context);
            silent::SetUserIdAndSecContext(owner, context | pg_sys::SECURITY_RESTRICTED_OPERATION as i32);
            let nest_level = silent::NewGUCNestLevel();
            Pinned { unset: UNSET.replace(true), nest_level, user, context }
        }
    }

    /// The search_path that some SQL of a TVIEW needs, see analyze/query/operators.rs; for running it, not for deparsing.
    pub fn search_path(&self, path: &CStr) {
        if !is_text(kept::namespace_search_path(), path) {
            change(c"search_path", path);
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            UNSET.set(self.unset);
            // SAFETY: undoes what new() did, in reverse order.
            unsafe {
                pg_sys::AtEOXact_GUC(false, self.nest_level);
                silent::SetUserIdAndSecContext(self.user, self.context);
            }
        }
    }
}

/// Settings for SQL of few rows: index paths whatever the statistics of the moment say. They end with the `Pinned` in force.
pub fn small() {
    set(c"enable_seqscan", c"off");
    set(c"jit", c"off");
}

/// The paths that plans may take that are made while this lives.
pub struct Paths(i32);

impl Paths {
    /// Any path, within `small`.
    pub fn any() -> Paths {
        Paths::new(c"on")
    }

    /// No table is read as a whole when there is another way.
    pub fn by_index() -> Paths {
        Paths::new(c"off")
    }

    fn new(scans: &CStr) -> Paths {
        // SAFETY: undone on drop, or by the server's abort.
        let level = unsafe { silent::NewGUCNestLevel() };
        set(c"enable_seqscan", scans);
        Paths(level)
    }
}

impl Drop for Paths {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the level of new().
            unsafe { pg_sys::AtEOXact_GUC(false, self.0) };
        }
    }
}

/// Another search_path for a while.
pub struct Path(i32);

impl Path {
    /// The one for deparsing, inside of another one.
    pub fn of_text() -> Path {
        Path::new(c"pg_catalog, pg_temp")
    }

    pub fn new(path: &CStr) -> Path {
        // SAFETY: undone on drop, or by the server's abort.
        let level = unsafe { silent::NewGUCNestLevel() };
        set(c"search_path", path);
        Path(level)
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the level of new().
            unsafe { pg_sys::AtEOXact_GUC(false, self.0) };
        }
    }
}

fn set(name: &CStr, value: &CStr) {
    if !is_shown_as(name, value) {
        change(name, value);
    }
}

fn change(name: &CStr, value: &CStr) {
    // SAFETY: name and value are NUL-terminated; GUC_ACTION_SAVE is undone by AtEOXact_GUC.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
    }
}
