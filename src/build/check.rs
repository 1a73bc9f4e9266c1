//! A query as a TVIEW, before there is one: refused, or its strategies.

use crate::analyze::describe::view_owners;
use crate::analyze::query::{load, operators, printed, relations};
use crate::analyze::refuse::locate::{self, Construct};
use crate::analyze::refuse::{self, bodies};
use crate::build::internal::{self, Preview};
use crate::capture::install;
use crate::catalog::options::{Options, Refresh};
use crate::pg::error::{Error, Result};
use crate::pg::name;
use crate::pg::pinned::{Other, Pinned};
use crate::pg::tree::Query;
use crate::refresh::plan::decide;
use pgrx::pg_sys::{self, panic::ErrorReport};
use pgrx::{PgLogLevel, PgSqlErrorCode};

/// Refuses a query that cannot be maintained, and tables that the future owner may not read or capture.
pub fn check(query: Query, owner: pg_sys::Oid, populate: bool, refresh: Refresh) -> Result<()> {
    let may_read_clock = refresh != Refresh::Commit;
    // The query as written first: it has positions.
    refuse::check_written(query, may_read_clock)?;
    let expanded = load::expand(query)?;
    refuse::check(expanded, may_read_clock)?;
    view_owners::check(expanded, owner)?;
    for relid in relations::of(expanded).keys() {
        let relid = pg_sys::Oid::from(*relid);
        if let Err(mut e) = install::check_privilege(relid, owner) {
            if let Error::Privilege { at, .. } = &mut e {
                *at = locate::find(Construct::Relation(relid));
            }
            return Err(e);
        }
    }
    // A dump creates TVIEWs that are not populated before the objects that their functions name.
    if populate {
        let pinned = Pinned::new(owner);
        pinned.search_path(&operators::search_path(expanded));
        bodies::check(query)?;
        bodies::check(expanded)?;
    }
    Ok(())
}

/// Strategies of a query that is not a TVIEW yet; for `tviews.check`.
pub fn preview(query: Query) -> Result<Preview> {
    // SAFETY: plain getters.
    let (user, reads_only) = unsafe { (pg_sys::GetUserId(), pg_sys::XactReadOnly || pg_sys::RecoveryInProgress()) };
    check(query, user, true, Refresh::Commit)?;
    let _pinned = Pinned::new(user);
    if reads_only {
        let decisions = decide::decide(query, &Options::new(), Vec::new())?.decisions;
        return Ok(Preview { decisions, advice: Vec::new() });
    }
    let text = printed::text(load::plain(query))?;
    let path = operators::search_path(load::expand(query)?);
    // SAFETY: a SELECT whose names are qualified, in a transaction that may write.
    unsafe { internal::trial(&text, &path, user) }
}

/// Says that the contents have been computed under fixed settings, which differ from those of the session.
pub fn say_fixed(relid: pg_sys::Oid, settings: &[Other]) {
    if settings.is_empty() {
        return;
    }
    let each = settings.iter().map(|o| format!("{} is \"{}\" instead of \"{}\"", o.name, o.fixed, o.session));
    let mut report = ErrorReport::new(
        PgSqlErrorCode::ERRCODE_WARNING,
        format!("contents of TVIEW \"{}\" may be other ones than before: they depend on settings", name::bare(relid)),
        "say_fixed",
    )
    .set_detail(format!("TVIEWs are computed under fixed settings: {}.", each.collect::<Vec<_>>().join(", ")));
    if let Some(zone) = settings.iter().find(|o| o.name == "TimeZone") {
        report = report.set_hint(format!("Days and hours of a zone are those of: AT TIME ZONE '{}'.", zone.session));
    }
    report.report(PgLogLevel::WARNING);
}
