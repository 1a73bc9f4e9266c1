//! Maintenance runs as the TVIEW's owner under fixed settings, so that stored values do not depend on the user who writes.
//!
//! Invariant: dropping the guard restores user, security context and settings; when an error unwinds, the server's own
//! (sub)transaction abort restores them (xact.c, AbortSubTransaction).

use super::fault::{self, Fault};
use pgrx::pg_sys;
use std::ffi::CStr;

/// The settings of 15 to 18 that values depend on and a session can change: how types are read and written, how text is parsed, how much of an
/// index is looked at, which rows may be read. Order does not matter; a setting that a server does not have is left out.
const SETTINGS: &[(&CStr, &CStr)] = &[
    (c"search_path", c"pg_catalog, pg_temp"),
    (c"TimeZone", c"UTC"),
    (c"DateStyle", c"ISO, MDY"),
    (c"IntervalStyle", c"postgres"),
    (c"extra_float_digits", c"1"),
    (c"bytea_output", c"hex"),
    (c"lc_monetary", c"C"),
    (c"lc_numeric", c"C"),
    (c"lc_time", c"C"),
    (c"xmlbinary", c"base64"),
    (c"quote_all_identifiers", c"off"),
    (c"standard_conforming_strings", c"on"),
    (c"transform_null_equals", c"off"),
    (c"row_security", c"on"),
    (c"array_nulls", c"on"),
    (c"timezone_abbreviations", c"Default"),
    (c"xmloption", c"content"),
    (c"backslash_quote", c"safe_encoding"),
    (c"gin_fuzzy_search_limit", c"0"),
    (c"restrict_nonsystem_relation_kind", c""),
];

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
    let other = |(name, fixed): &(&'static CStr, &'static CStr)| {
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
    nest_level: i32,
    user: pg_sys::Oid,
    context: i32,
}

impl Pinned {
    pub fn new(owner: pg_sys::Oid) -> Pinned {
        let mut user = pg_sys::InvalidOid;
        let mut context = 0;
        // SAFETY: plain server calls inside a transaction.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
            pg_sys::SetUserIdAndSecContext(owner, context | pg_sys::SECURITY_RESTRICTED_OPERATION as i32);
            let nest_level = pg_sys::NewGUCNestLevel();
            let count = if fault::on(Fault::WritersSettings) { 1 } else { SETTINGS.len() };
            for (name, value) in &SETTINGS[..count] {
                set(name, value);
            }
            Pinned { nest_level, user, context }
        }
    }

    /// The search_path that some SQL of a TVIEW needs, see analyze/query/operators.rs; for running it, not for deparsing.
    pub fn search_path(&self, path: &CStr) {
        set(c"search_path", path);
    }

    /// Settings for a flush of few rows: index paths whatever the statistics of the moment say.
    pub fn small(&self) {
        set(c"enable_seqscan", c"off");
        set(c"jit", c"off");
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: undoes what new() did, in reverse order.
            unsafe {
                pg_sys::AtEOXact_GUC(false, self.nest_level);
                pg_sys::SetUserIdAndSecContext(self.user, self.context);
            }
        }
    }
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
        let level = unsafe { pg_sys::NewGUCNestLevel() };
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
    pub fn new(path: &CStr) -> Path {
        // SAFETY: undone on drop, or by the server's abort.
        let level = unsafe { pg_sys::NewGUCNestLevel() };
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
    // SAFETY: name and value are NUL-terminated; GUC_ACTION_SAVE is undone by AtEOXact_GUC.
    unsafe {
        let current = pg_sys::GetConfigOption(name.as_ptr(), true, false);
        if current.is_null() || CStr::from_ptr(current) == value {
            return;
        }
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
