//! A function in the catalogs: its language, its text, its settings; and the functions that an aggregate is made of.
//!
//! Invariant: entries of system caches are released before returning. Numbers of columns: catalog/pg_aggregate.h, the same in 15 to 18.

use pgrx::FromDatum;
use pgrx::pg_sys::{self, Datum, HeapTuple, Oid, SysCacheIdentifier};
use std::ffi::{CStr, CString};

pub enum Language {
    Sql,
    PlPgSql,
    Other,
}

pub struct Body {
    pub function: Oid,
    pub language: Language,
    /// The function is run with a search_path of its own.
    pub has_search_path: bool,
    pub is_polymorphic: bool,
    pub text: CString,
    /// The stored form of a body in the SQL standard's syntax, whose names were looked up when it was created.
    pub stored: Option<CString>,
}

/// The result of `f` for an entry of a system cache, which `f` may read and not keep.
fn with<T>(cache: SysCacheIdentifier::Type, key: Oid, f: impl FnOnce(HeapTuple) -> T) -> Option<T> {
    // SAFETY: the entry is released after it was read.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache as i32, key.into());
        if tuple.is_null() {
            return None;
        }
        let result = f(tuple);
        pg_sys::ReleaseSysCache(tuple);
        Some(result)
    }
}

/// # Safety
/// An entry of this cache, and a column of its catalog.
unsafe fn attribute(cache: SysCacheIdentifier::Type, tuple: HeapTuple, number: i16) -> Option<Datum> {
    let mut null = false;
    // SAFETY: an entry of this cache, and a column of its catalog.
    let datum = unsafe { pg_sys::SysCacheGetAttr(cache as i32, tuple, number, &mut null) };
    (!null).then_some(datum)
}

impl Body {
    /// None when there is no such function.
    pub fn of(function: Oid) -> Option<Body> {
        let cache = SysCacheIdentifier::PROCOID;
        // SAFETY: columns have the types of pg_proc; their values are copied.
        unsafe {
            with(cache, function, |tuple| {
                let form = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_proc>();
                let text = |number: u32| {
                    let text = attribute(cache, tuple, number as i16).and_then(|d| String::from_datum(d, false));
                    text.and_then(|t| CString::new(t).ok())
                };
                let settings = attribute(cache, tuple, pg_sys::Anum_pg_proc_proconfig as i16);
                let settings = settings.and_then(|d| Vec::<String>::from_datum(d, false)).unwrap_or_default();
                let arguments = form.proargtypes.values.as_slice(form.pronargs as usize);
                let is_pseudo = |of: &Oid| pg_sys::get_typtype(*of) as u8 == pg_sys::TYPTYPE_PSEUDO;
                Body {
                    function,
                    language: Language::of(form.prolang),
                    has_search_path: settings.iter().any(|s| s.starts_with("search_path=")),
                    is_polymorphic: arguments.iter().any(is_pseudo),
                    text: text(pg_sys::Anum_pg_proc_prosrc).unwrap_or_default(),
                    stored: text(pg_sys::Anum_pg_proc_prosqlbody),
                }
            })
        }
    }
}

impl Language {
    fn of(oid: Oid) -> Language {
        // SAFETY: a look-up in a system cache; the name is a C string or null.
        unsafe {
            let name = pg_sys::get_language_name(oid, true);
            if name.is_null() {
                return Language::Other;
            }
            match CStr::from_ptr(name).to_bytes() {
                b"sql" => Language::Sql,
                b"plpgsql" => Language::PlPgSql,
                _ => Language::Other,
            }
        }
    }
}

/// The functions that an aggregate is made of; none for a function that is no aggregate.
pub fn parts_of_aggregate(function: Oid) -> Vec<Oid> {
    const FUNCTIONS: std::ops::RangeInclusive<i16> = 4..=11;
    let cache = SysCacheIdentifier::AGGFNOID;
    // SAFETY: these columns are functions, 0 for none.
    let parts = unsafe {
        with(cache, function, |tuple| {
            let part = |n| attribute(cache, tuple, n).and_then(|d| Oid::from_datum(d, false));
            FUNCTIONS.filter_map(part).collect()
        })
    };
    parts.unwrap_or_default()
}

/// The language of functions that are linked into the server. Source: catalog/pg_language.dat.
const INTERNAL: Oid = Oid::from_u32(12);

/// Whether a function came with the server and is written in C. Source: catalog/pg_proc.h, access/transam.h.
pub fn is_of_server(function: Oid) -> bool {
    let language = || {
        // SAFETY: an entry of the cache of functions is a row of pg_proc.
        with(SysCacheIdentifier::PROCOID, function, |tuple| unsafe {
            (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_proc>()).prolang
        })
    };
    function.to_u32() < pg_sys::FirstNormalObjectId && language() == Some(INTERNAL)
}
