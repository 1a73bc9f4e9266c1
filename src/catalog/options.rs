//! TVIEW options, kept in `pg_class.reloptions` beside the storage parameters.
//!
//! tviews_core::options defines the options and their values; a refused option has SQLSTATE 22023. Called by the DDL hooks and by monitoring.

use crate::pg::error::{Error, Result};
use crate::pg::list;
use crate::pg::relation::class_of;
use pgrx::pg_sys;
use std::ffi::{CStr, c_char};
pub use tviews_core::options::{Mode, Options, Refresh, is_ours};
use tviews_core::options::{add, check};

/// Splits a list of `DefElem` into our options and the other elements.
///
/// # Safety
/// `defs` is a valid list of `DefElem` or null; the result shares its elements.
pub unsafe fn split(defs: *mut pg_sys::List) -> Result<(Options, *mut pg_sys::List)> {
    // SAFETY: the caller promises: `defs` is a valid list of `DefElem` or null; the result shares its elements.
    unsafe { split_by(defs, |name, value| Ok(check(name, value)?)) }
}

/// As `split`, for RESET, where options have no values.
///
/// # Safety
/// As for `split`.
pub unsafe fn split_names(defs: *mut pg_sys::List) -> Result<(Options, *mut pg_sys::List)> {
    // SAFETY: As for `split`, as the caller promises.
    unsafe { split_by(defs, |_, _| Ok(String::new())) }
}

/// # Safety
/// `defs` is null or a live list of nodes.
unsafe fn split_by(
    defs: *mut pg_sys::List,
    value: impl Fn(&str, Option<String>) -> Result<String>,
) -> Result<(Options, *mut pg_sys::List)> {
    // SAFETY: `defs` is null or a live list of nodes.
    unsafe {
        let mut ours = Options::new();
        let mut rest: *mut pg_sys::List = std::ptr::null_mut();
        for def in list::iter::<pg_sys::DefElem>(defs) {
            let name = CStr::from_ptr((*def).defname).to_string_lossy().into_owned();
            if (*def).defnamespace.is_null() && is_ours(&name) {
                let value = value(&name, value_of(def)).map_err(|e| at(e, def))?;
                add(&mut ours, &name, value).map_err(|e| at(e.into(), def))?;
            } else {
                rest = pg_sys::lappend(rest, def.cast());
            }
        }
        Ok((ours, rest))
    }
}

/// The error, pointing at the option.
///
/// # Safety
/// `def` is a live node of a tree of the server.
unsafe fn at(error: Error, def: *mut pg_sys::DefElem) -> Error {
    // SAFETY: `def` is a live node of a tree of the server.
    unsafe {
        match error {
            Error::BadOption { what, hint, .. } => Error::BadOption { what, hint, at: (*def).location },
            other => other,
        }
    }
}

/// The value of an option as text; None when it has none.
///
/// # Safety
/// `def` is a valid DefElem.
pub unsafe fn value_of(def: *mut pg_sys::DefElem) -> Option<String> {
    // SAFETY: `def` is a valid DefElem, as the caller promises.
    unsafe {
        if (*def).arg.is_null() {
            return None;
        }
        Some(CStr::from_ptr(pg_sys::defGetString(def)).to_string_lossy().into_owned())
    }
}

/// Our options of a stored TVIEW.
pub fn stored(tview: pg_sys::Oid) -> Options {
    let mut ours = Options::new();
    for (name, value) in all_stored(tview) {
        if is_ours(&name) {
            ours.insert(name, value);
        }
    }
    ours
}

/// The storage parameters of a relation, `name=value`.
pub fn storage_parameters(relid: pg_sys::Oid) -> Vec<String> {
    let all = all_stored(relid).into_iter().filter(|(name, _)| !is_ours(name));
    all.map(|(name, value)| format!("{name}={value}")).collect()
}

/// The storage parameters of a relation and of its TOAST table, as CREATE takes them.
pub fn all_storage_parameters(relid: pg_sys::Oid) -> Vec<(String, String)> {
    let of_toast = toast_of(relid).map(all_stored).unwrap_or_default().into_iter();
    let own = all_stored(relid).into_iter().filter(|(name, _)| !is_ours(name));
    own.chain(of_toast.map(|(name, value)| (format!("toast.{name}"), value))).collect()
}

fn toast_of(relid: pg_sys::Oid) -> Option<pg_sys::Oid> {
    class_of(relid).map(|class| class.reltoastrelid).filter(|toast| *toast != pg_sys::InvalidOid)
}

fn all_stored(relid: pg_sys::Oid) -> Vec<(String, String)> {
    let mut out = Vec::new();
    // SAFETY: reloptions is text[], read while the tuple is held.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, pg_sys::Datum::from(relid));
        if tuple.is_null() {
            return out;
        }
        let mut null = false;
        let datum = pg_sys::SysCacheGetAttr(
            pg_sys::SysCacheIdentifier::RELOID as i32,
            tuple,
            pg_sys::Anum_pg_class_reloptions as i16,
            &mut null,
        );
        if !null {
            out = pairs(datum);
        }
        pg_sys::ReleaseSysCache(tuple);
    }
    out
}

/// Names and values.
///
/// # Safety
/// `options` is text[], or nothing.
unsafe fn pairs(options: pg_sys::Datum) -> Vec<(String, String)> {
    // SAFETY: untransformRelOptions makes DefElems of String nodes.
    unsafe {
        let defs = list::iter::<pg_sys::DefElem>(pg_sys::untransformRelOptions(options));
        let name = |def: *mut pg_sys::DefElem| CStr::from_ptr((*def).defname).to_string_lossy().into_owned();
        defs.map(|def| (name(def), value_of(def).unwrap_or_default())).collect()
    }
}

/// Writes `ours`, and the storage parameters of a statement in the place of all from before, as CREATE OR REPLACE VIEW does with options.
/// Those that the server does not know are its errors. Source: commands/createas.c, create_ctas_internal; commands/view.c, DefineVirtualRelation.
///
/// # Safety
/// `given` is null or a live list of DefElem without options of ours.
pub unsafe fn replace(relid: pg_sys::Oid, ours: &Options, given: *mut pg_sys::List) {
    let mut spaces = [c"toast".as_ptr().cast_mut(), std::ptr::null_mut()];
    let mut checked = |space: *const c_char, kind: u8| {
        // SAFETY: the names of spaces end with null; the list is as the caller promises.
        unsafe {
            let none = pg_sys::Datum::from(0usize);
            let options = pg_sys::transformRelOptions(none, given, space, spaces.as_mut_ptr().cast(), true, false);
            pg_sys::heap_reloptions(kind as c_char, options, true);
            pairs(options)
        }
    };
    let own = checked(std::ptr::null(), pg_sys::RELKIND_MATVIEW);
    let of_toast = checked(c"toast".as_ptr(), pg_sys::RELKIND_TOASTVALUE);
    let text = |(name, value): (String, String)| format!("{name}={value}");
    write(relid, own.into_iter().map(text).chain(ours.iter().map(|(n, v)| format!("{n}={v}"))).collect());
    if let Some(toast) = toast_of(relid) {
        write(toast, of_toast.into_iter().map(text).collect());
    }
}

/// Writes `ours` into reloptions, replacing our earlier options and keeping the storage parameters.
/// Source: commands/tablecmds.c, ATExecSetRelOptions.
pub fn store(relid: pg_sys::Oid, ours: &Options) {
    let mut entries = storage_parameters(relid);
    entries.extend(ours.iter().map(|(n, v)| format!("{n}={v}")));
    write(relid, entries);
}

fn write(relid: pg_sys::Oid, entries: Vec<String>) {
    // SAFETY: the relation is locked as ALTER … SET (…) locks it, and pg_class too; the tuple is copied and written back as ATExecSetRelOptions does.
    unsafe {
        pg_sys::LockRelationOid(relid, pg_sys::ShareUpdateExclusiveLock as i32);
        let class = pg_sys::table_open(pg_sys::RelationRelationId, pg_sys::RowExclusiveLock as i32);
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, pg_sys::Datum::from(relid));
        if !tuple.is_null() {
            const N: usize = pg_sys::Natts_pg_class as usize;
            const AT: usize = pg_sys::Anum_pg_class_reloptions as usize - 1;
            let mut values = [pg_sys::Datum::from(0usize); N];
            let mut nulls = [false; N];
            let mut replace = [false; N];
            replace[AT] = true;
            match pgrx::IntoDatum::into_datum(entries.clone()) {
                Some(d) if !entries.is_empty() => values[AT] = d,
                _ => nulls[AT] = true,
            }
            let new = pg_sys::heap_modify_tuple(
                tuple,
                (*class).rd_att,
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
                replace.as_mut_ptr(),
            );
            pg_sys::CatalogTupleUpdate(class, &mut (*new).t_self, new);
            pg_sys::ReleaseSysCache(tuple);
        }
        pg_sys::table_close(class, pg_sys::RowExclusiveLock as i32);
        pg_sys::CommandCounterIncrement();
    }
}
