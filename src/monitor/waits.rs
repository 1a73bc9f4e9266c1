//! For the view `tviews.locks`: the words for the lock that a process waits for (counters/waits.rs), the relation of a lock on a side, and what a lock on
//! a relation that does not exist stands for (refresh/follow/locks.rs).

use super::free::is_free;
use super::may_select;
use crate::analyze::rules::join_values::Pair;
use crate::catalog::{self, stages};
use crate::counters::waits::with;
use crate::pg::error::Result;
use crate::pg::function::{Arguments, sql_function};
use crate::pg::relation::Relation;
use crate::refresh::follow::locks;
use crate::refresh::plan::tview;
use pgrx::{IntoDatum, pg_sys};
use tviews_core::locks::GATES;

sql_function!(tviews_lock_value, pg_finfo_tviews_lock_value, lock_value);

/// The values that a process waits for, shown to users who may read the TVIEW.
fn lock_value(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let pid: i32 = arguments.get(0).unwrap_or(0);
    let wait = with(|waits| waits.iter().find(|w| w.pid == pid && pid != 0).copied()).flatten();
    let shown = wait.filter(|w| may_select(stages::root(pg_sys::Oid::from(w.tview))));
    Ok(shown.and_then(|w| String::from_utf8_lossy(&w.text[..w.len as usize]).into_owned().into_datum()))
}

sql_function!(tviews_lock_side, pg_finfo_tviews_lock_side, lock_side);

/// The relation that a lock on one side of a pair is about.
fn lock_side(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let (tview, side): (pg_sys::Oid, i64) = (arguments.relation(), arguments.get(1).unwrap_or(-1));
    if !is_free(tview)? {
        return Ok(None);
    }
    let Some(rel) = Relation::open(tview, pg_sys::AccessShareLock) else { return Ok(None) };
    let facts = tview::of(&rel)?;
    let pair: Option<&Pair> = facts.pairs.as_ref().and_then(|p| p.get(usize::try_from(side / 2).ok()?));
    Ok(pair.filter(|_| side >= 0).and_then(|p| pg_sys::Oid::from(p.sides[(side % 2) as usize]).into_datum()))
}

sql_function!(tviews_lock_of, pg_finfo_tviews_lock_of, lock_of);

/// TVIEW, number and class of the thing that a relation of pg_locks stands for; NULL for a relation.
fn lock_of(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let number = arguments.relation().to_u32();
    if number < GATES {
        return Ok(None);
    }
    let sources = catalog::sources(|_| true).iter().map(|s| (s.tview.to_u32(), s.relid.to_u32())).collect::<Vec<_>>();
    let found = locks::of_gate(number, &catalog::stored(), &sources);
    Ok(found
        .and_then(|(tview, number, class)| vec![i64::from(tview), i64::from(number), i64::from(class)].into_datum()))
}
