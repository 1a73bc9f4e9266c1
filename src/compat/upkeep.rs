//! `pg_tviews_drop`, `pg_tviews_refresh`, `pg_tviews_recover_after_crash`, and the look-up of names for functions in SQL.

use super::{names, statement};
use crate::pg::acl::maintains;
use crate::pg::error::{Error, Result};
use crate::pg::function::{Arguments, sql_function};
use crate::pg::name;
use crate::refresh::flush::lost;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{IntoDatum, PgLogLevel, PgSqlErrorCode, pg_sys};

fn named(arguments: &Arguments) -> String {
    arguments.get(0).unwrap_or_default()
}

fn title(oid: pg_sys::Oid) -> Result<String> {
    name::relation(oid).ok_or(Error::NoRelation(oid.to_u32()))
}

sql_function!(tviews_named, pg_finfo_tviews_named, tview_named);

fn tview_named(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    Ok(names::tview(&named(arguments))?.into_datum())
}

sql_function!(tviews_relation_named, pg_finfo_tviews_relation_named, relation_named);

fn relation_named(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    Ok(names::relation(&named(arguments))?.into_datum())
}

sql_function!(pg_tviews_drop, pg_finfo_pg_tviews_drop, drop_tview);

fn drop_tview(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let [if_exists, cascade] = [1, 2].map(|n| arguments.get::<bool>(n).unwrap_or(false));
    let oid = match names::tview(&named(arguments)) {
        Err(Error::NoTview(label)) if if_exists => {
            let text = format!("TVIEW \"{label}\" does not exist, skipping");
            ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, text.clone(), "upkeep")
                .report(PgLogLevel::NOTICE);
            return Ok(text.into_datum());
        }
        found => found?,
    };
    let title = title(oid)?;
    statement::run(&format!("DROP MATERIALIZED VIEW {title}{}", if cascade { " CASCADE" } else { "" }))?;
    Ok(format!("TVIEW {title} has been dropped").into_datum())
}

sql_function!(pg_tviews_refresh, pg_finfo_pg_tviews_refresh, refresh);

fn refresh(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let oid = names::tview(&named(arguments))?;
    statement::run(&format!("REFRESH MATERIALIZED VIEW {}", title(oid)?))?;
    Ok(Some(pg_sys::Datum::from(0usize)))
}

sql_function!(pg_tviews_recover_after_crash, pg_finfo_pg_tviews_recover_after_crash, recover);

fn recover(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    // SAFETY: these raise errors, or do nothing.
    unsafe {
        pg_sys::PreventCommandIfReadOnly(c"pg_tviews_recover_after_crash()".as_ptr());
        pg_sys::PreventCommandDuringRecovery(c"pg_tviews_recover_after_crash()".as_ptr());
    }
    let oid = names::tview(&named(arguments))?;
    if !maintains(oid) {
        let (not_owner, kind) = (pg_sys::AclResult::ACLCHECK_NOT_OWNER, pg_sys::ObjectType::OBJECT_MATVIEW);
        // SAFETY: an existing relation.
        unsafe { pg_sys::aclcheck_error(not_owner, kind, pg_sys::get_rel_name(oid)) }
    }
    Ok(lost::recover(oid)?.into_datum())
}
