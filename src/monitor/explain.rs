//! `explain`, `check`, `strategies`: how a TVIEW is, or would be, maintained.

use super::free::is_free;
use super::open;
use crate::analyze::rules::join_values::{Column, Pair};
use crate::build::internal::Preview;
use crate::build::{check, indexes};
use crate::catalog::stages;
use crate::counters::trace;
use crate::pg::error::{Error, Result};
use crate::pg::function::{Arguments, sql_function};
use crate::pg::pinned::Pinned;
use crate::pg::relation::attname;
use crate::pg::tree::Tree;
use crate::pg::{ext, list, name};
use crate::refresh::flush;
use crate::refresh::plan::summary;
use crate::refresh::plan::tview::{self, Tview};
use pgrx::{IntoDatum, pg_sys};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use tviews_core::reason::Reason;
use tviews_core::strategy::{Decision, Sharing, Strategy};

fn locks(tview: &Tview, relid: u32, d: &Decision) -> String {
    let relation = match (&tview.pairs, d.sharing) {
        (_, Sharing::Alone) if d.reason.is(Reason::FirstRows) => {
            return "SHARE ROW EXCLUSIVE on the relation, or, for changes behind the rows that are shown, ROW EXCLUSIVE".into();
        }
        (_, Sharing::Alone) => return "SHARE ROW EXCLUSIVE on the relation".into(),
        (None, _) => "ROW EXCLUSIVE on the relation".into(),
        (Some(pairs), _) => {
            let mut met: Vec<String> = Vec::new();
            for pair in pairs {
                let sides = (0..2).filter(|side| pair.sides[*side] == relid);
                sides.for_each(|side| met.push(meets(pair, side)));
            }
            met.join("; ")
        }
    };
    let keys = (d.sharing == Sharing::ByKey).then(|| "the keys of written rows".to_string());
    let all: Vec<String> = [relation].into_iter().filter(|r| !r.is_empty()).chain(keys).collect();
    if all.is_empty() { "none".into() } else { all.join(", and ") }
}

/// The lock that a writer of one side of a pair takes against writers of the other one.
fn meets(pair: &Pair, own: usize) -> String {
    let relids = pair.sides.map(pg_sys::Oid::from);
    if pair.equal.is_empty() {
        return format!("the relation, against writers of {}", name::bare(relids[1 - own]));
    }
    // The values of a side that looks are those of the last relation on its way.
    let place = |side: usize| match &pair.through {
        Some(through) if through.looks == side => through.relids.last().map_or(relids[side], |r| pg_sys::Oid::from(*r)),
        _ => relids[side],
    };
    let column = |side: usize, columns: &[Column; 2]| {
        // SAFETY: a look-up in the catalogs, which gives null when there is no such column.
        let found = unsafe { pg_sys::get_attname(place(side), columns[side].att, true) };
        // SAFETY: a C string of the server.
        let text = (!found.is_null()).then(|| unsafe { CStr::from_ptr(found) }.to_string_lossy().into_owned());
        let column = name::ident(&text.unwrap_or_default());
        if side == own && place(side) == relids[side] {
            column
        } else {
            format!("{}.{column}", name::bare(place(side)))
        }
    };
    let equal: Vec<String> =
        pair.equal.iter().map(|c| format!("{} = {}", column(own, c), column(1 - own, c))).collect();
    let equal = equal.join(" AND ");
    match &pair.through {
        None => format!("values of {equal}"),
        Some(through) if through.looks == own => format!("values of {equal}, looked up"),
        Some(_) => format!("values of {equal}, against writers of {}", name::bare(relids[1 - own])),
    }
}

sql_function!(tviews_explain, pg_finfo_tviews_explain, explain);

fn explain(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let oid = open(arguments.relation())?.oid();
    super::check_select(oid);
    // Before the plan is looked at: SQL that reads stages brings them up to date.
    let flushed = if arguments.get(1) == Some(true) { flushed(oid) } else { Vec::new() };
    arguments.rows(lines(oid)?.into_iter().chain(flushed).map(|line| [line.into_datum()]))
}

/// Flushes what is pending for a TVIEW, really, and says what each TVIEW that took part did.
fn flushed(oid: pg_sys::Oid) -> Vec<String> {
    let traced = trace::during(|| {
        flush::flush_for_read(&BTreeSet::from([oid.to_u32()]));
    });
    match traced.is_empty() {
        true => vec!["Flush: no changes are pending for it".into()],
        false => traced.lines(true),
    }
}

fn lines(relid: pg_sys::Oid) -> Result<Vec<String>> {
    let rel = open(relid)?;
    let tview = tview::of(&rel)?;
    let stage = stages::is_stage(relid);
    let mut out = vec![format!("{} {}", if stage { "stage" } else { "TVIEW" }, tview.name)];
    match &tview.key {
        Some(key) => {
            let columns: Vec<&str> = key.iter().map(|k| tview.columns[k.at].as_str()).collect();
            out.push(format!("  key: {}", columns.join(", ")));
        }
        None => out.push("  key: none".into()),
    }
    if tview.document_indexes {
        let name = |number: i16| attname(rel.attribute(number as usize - 1));
        let columns: Vec<String> = indexes::document_columns(&rel).map(|(number, _)| name(number)).collect();
        out.extend((!columns.is_empty()).then(|| format!("  read by: {}", columns.join(", "))));
    }
    for (relid, d) in &tview.decisions {
        let oid = pg_sys::Oid::from(*relid);
        out.push(format!("  {}: {} ({})", name::relation(oid).unwrap_or_default(), d.strategy.as_str(), d.reason));
        out.push(format!("    locks: {}", locks(&tview, *relid, d)));
        let changed = BTreeSet::from([*relid]);
        let _pinned = Pinned::new(tview.owner);
        let fold = if d.strategy == Strategy::Fold { tview.fold_sql(&rel, &changed)? } else { None };
        out.extend(tview.loops(&rel, &changed)?.map(|l| few_rows(&l.look_ups())));
        let bag = if d.strategy == Strategy::Delta { tview.bag_sql(&rel, &changed)? } else { None };
        if let Some(delta) = fold.as_ref().map(|f| &f.delta).or(bag.as_ref().map(|b| &b.delta)) {
            out.extend(delta.gates.iter().map(|g| format!("    otherwise in full: {g}")));
            out.extend(delta.anchors.iter().map(|a| format!("    anchors: {}", a.select.by_key)));
            out.extend(delta.now.iter().map(|t| format!("    delta: {}", t.by_key)));
            out.extend(delta.before.iter().map(|t| format!("    before: {}", t.by_key)));
            out.extend(delta.locks.iter().map(|v| format!("    locked values: {}", v.select)));
        }
        out.extend(
            tview.first_rows(&rel, &changed)?.map(|sql| format!("    first changed row: {}", sql.first_changed)),
        );
        if let Some(plan) = tview.interval(&rel, &changed)? {
            out.push(format!("    changed places: {}", plan.changed));
            out.push(format!("    stored rows: {}", plan.stored));
            out.push(format!("    computed rows: {}", plan.computed));
        }
        if d.strategy == Strategy::Keyed {
            let Some(sql) = tview.sql(&rel, &changed)? else { continue };
            out.extend(sql.gates.iter().map(|g| format!("    otherwise in full: {g}")));
            if d.sharing == Sharing::ByKey || tview.region {
                out.push(format!("    keys: {}", sql.dirty));
                out.push(format!("    rows: {}", sql.two_steps.by_key));
            } else {
                out.push(format!("    rows: {}", sql.one_step.by_key));
            }
        }
    }
    out.push(format!("  query: {}", tview.query));
    for stage in stages::of(relid) {
        out.extend(lines(stage)?);
    }
    Ok(out)
}

/// By which indexes few changed rows are followed without the SQL below.
fn few_rows(look_ups: &[(pg_sys::Oid, pg_sys::Oid)]) -> String {
    let mut names: Vec<String> = look_ups.iter().map(|(_, index)| name::bare(*index)).collect();
    names.dedup();
    match names.is_empty() {
        true => "    few rows: the change rows alone".into(),
        false => format!("    few rows: nested loop over {}", names.join(", ")),
    }
}

sql_function!(tviews_strategies, pg_finfo_tviews_strategies, strategies);

fn strategies(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let decisions = summary::decisions(open(arguments.relation())?.oid())?;
    arguments.rows(decisions.iter().map(|(r, d)| {
        [pg_sys::Oid::from(*r).into_datum(), d.strategy.as_str().into_datum(), d.reason.to_string().into_datum()]
    }))
}

sql_function!(tviews_strategies_of, pg_finfo_tviews_strategies_of, strategies_of);

/// The same for views about all TVIEWs; no rows for one that is gone, or locked by another session.
fn strategies_of(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let tview = arguments.relation();
    let decisions = if is_free(tview)? { summary::decisions(tview)? } else { BTreeMap::new() };
    arguments
        .rows(decisions.iter().map(|(r, d)| [pg_sys::Oid::from(*r).into_datum(), d.strategy.as_str().into_datum()]))
}

sql_function!(tviews_check, pg_finfo_tviews_check, check);

fn check(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    let query: String = arguments.get(0).unwrap_or_default();
    let Preview { decisions, advice } = decide(&query)?;
    arguments.rows(decisions.iter().map(|(r, d)| {
        let mut hints: Vec<String> = tviews_core::hints::of(d).into_iter().collect();
        hints.extend(advice.iter().filter(|(changed, _)| changed == r).map(|(_, text)| text.clone()));
        [
            pg_sys::Oid::from(*r).into_datum(),
            d.strategy.as_str().into_datum(),
            d.reason.to_string().into_datum(),
            (!hints.is_empty()).then(|| hints.join("\n")).into_datum(),
        ]
    }))
}

fn decide(query: &str) -> Result<Preview> {
    // SAFETY: the trees made from the text live in the current context.
    unsafe {
        let text = CString::new(query).map_err(|_| Error::option("query has a NUL byte", None))?;
        let text = pg_sys::pstrdup(text.as_ptr());
        let raw = pg_sys::raw_parser(text, pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        if list::len(raw) != 1 {
            return Err(Error::option("exactly one SELECT is expected", None));
        }
        let statement = list::nth::<pg_sys::RawStmt>(raw, 0);
        if !list::is((*statement).stmt, pg_sys::NodeTag::T_SelectStmt) {
            return Err(Error::option("exactly one SELECT is expected", None));
        }
        let analysed = pg_sys::parse_analyze_fixedparams(statement, text, std::ptr::null(), 0, std::ptr::null_mut());
        check::preview(Tree::new(ext::copy(analysed)))
    }
}
