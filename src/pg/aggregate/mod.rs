//! Aggregates that the server can run backwards: their rows of `pg_aggregate`, and their transition functions.
//!
//! PostgreSQL has inverse functions for aggregates over moving window frames. They are exact or say that they cannot be (numeric
//! keeps count of scales, NaN and infinities for this), so they serve as the inverses of a fold too.
//! Source: executor/nodeWindowAgg.c (advance_windowaggregate, retreat_windowaggregate, finalize_windowaggregate).
//! Called by analysis (facts) and by refresh/follow/fold (calls).

pub mod machine;
pub mod top;

use pgrx::FromDatum;
use pgrx::pg_sys::{self, Datum};
use std::ffi::CStr;

/// A row of pg_aggregate.
pub struct Facts {
    pub kind: u8,
    pub transfn: pg_sys::Oid,
    pub finalfn: pg_sys::Oid,
    pub combinefn: pg_sys::Oid,
    pub serialfn: pg_sys::Oid,
    pub deserialfn: pg_sys::Oid,
    pub mtransfn: pg_sys::Oid,
    pub minvtransfn: pg_sys::Oid,
    pub mfinalfn: pg_sys::Oid,
    pub mfinalextra: bool,
    pub sortop: pg_sys::Oid,
    pub transtype: pg_sys::Oid,
    pub mtranstype: pg_sys::Oid,
    pub minitval: Option<String>,
}

/// Looks an aggregate up. Attribute numbers: catalog/pg_aggregate.h, the same in 15 to 18.
pub fn facts(aggregate: pg_sys::Oid) -> Option<Facts> {
    let cache = pg_sys::SysCacheIdentifier::AGGFNOID as i32;
    // SAFETY: attributes have the types that the header gives them; the tuple is released after they are copied.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache, Datum::from(aggregate));
        if tuple.is_null() {
            return None;
        }
        let get = |n: i16| {
            let mut null = false;
            let datum = pg_sys::SysCacheGetAttr(cache, tuple, n, &mut null);
            (!null).then_some(datum)
        };
        let oid = |n| get(n).and_then(|d| pg_sys::Oid::from_datum(d, false)).unwrap_or(pg_sys::InvalidOid);
        let facts = Facts {
            kind: get(2).map_or(0, |d| d.value() as u8),
            transfn: oid(4),
            finalfn: oid(5),
            combinefn: oid(6),
            serialfn: oid(7),
            deserialfn: oid(8),
            mtransfn: oid(9),
            minvtransfn: oid(10),
            mfinalfn: oid(11),
            mfinalextra: get(13).is_some_and(|d| d.value() != 0),
            sortop: oid(16),
            transtype: oid(17),
            mtranstype: oid(19),
            minitval: get(22).and_then(|d| String::from_datum(d, false)),
        };
        pg_sys::ReleaseSysCache(tuple);
        Some(facts)
    }
}

/// An aggregate with an inverse, by value: kept with the facts that a backend keeps of a TVIEW.
#[derive(Clone, Debug, PartialEq)]
pub struct Moving {
    pub mtransfn: pg_sys::Oid,
    pub minvtransfn: pg_sys::Oid,
    pub mfinalfn: pg_sys::Oid,
    pub mfinalextra: bool,
    pub mtranstype: pg_sys::Oid,
    /// How a transition value of type `internal` is stored and read back.
    pub stored: Option<Stored>,
    pub minitval: Option<String>,
    pub collation: pg_sys::Oid,
}

impl Moving {
    /// Its functions and its type of transition.
    pub fn parts(&self) -> impl Iterator<Item = pg_sys::Oid> {
        let stored = self.stored.iter().flat_map(|s| [s.serialfn, s.deserialfn, s.combinefn]);
        [self.mtransfn, self.minvtransfn, self.mfinalfn, self.mtranstype].into_iter().chain(stored)
    }
}

/// Functions of an aggregate.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub serialfn: pg_sys::Oid,
    pub deserialfn: pg_sys::Oid,
    pub combinefn: pg_sys::Oid,
}

/// The node that transition functions take for an executor node: it tells them that their state may be changed in place, and
/// in which context the state lives. Source: executor/nodeAgg.c, AggCheckCallContext.
pub type Context = pg_sys::WindowAggState;

/// The aggregate of schema `tviews` that gives the transition value of `mtransfn` as its result.
pub fn state_aggregate(mtransfn: pg_sys::Oid, argument: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: a catalog look-up; the name is copied at once.
    unsafe {
        let name = pg_sys::get_func_name(mtransfn);
        if name.is_null() {
            return None;
        }
        let label = std::ffi::CString::new(format!("state_{}", CStr::from_ptr(name).to_string_lossy())).ok()?;
        in_schema(&label, argument)
    }
}

/// The aggregate of schema `tviews` with this name.
fn in_schema(label: &CStr, argument: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: a catalog look-up; the list is the server's own form of a qualified name.
    unsafe {
        let mut names: *mut pg_sys::List = std::ptr::null_mut();
        for part in [c"tviews".as_ptr(), label.as_ptr()] {
            names = pg_sys::lappend(names, pg_sys::makeString(pg_sys::pstrdup(part)).cast());
        }
        let oid = pg_sys::LookupFuncName(names, 1, &argument, true);
        (oid != pg_sys::InvalidOid).then_some(oid)
    }
}
