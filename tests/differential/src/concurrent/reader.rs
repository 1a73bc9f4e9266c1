//! The session that compares all the while.
//! Invariant: one comparison is one statement with one snapshot, in which a TVIEW must equal its query whatever others do. Called by `rounds`.

use super::judge::{is_conflict, outgrown, query_can_fail};
use super::{Found, Shared, connect};
use crate::case::Case;
use crate::known::known;
use crate::oracle::comparison;
use crate::run::Failure;
use crate::server::{describe, rows, state};
use postgres::Client;
use std::sync::atomic::Ordering;

/// Its number in the log.
const READER: usize = 99;

/// Compares until it is told to stop, or something differs.
pub fn read(shared: &Shared, dsn: &str) -> Found {
    let mut found = Found::default();
    let Ok(mut client) = connect(dsn) else {
        return found;
    };
    while !shared.stop.load(Ordering::Relaxed) && found.failure.is_none() {
        found.failure =
            compare(&mut client, shared.case, shared.live, &mut found).map(|f| format!("the reader's snapshot: {f}"));
        if found.failure.is_some() {
            shared.log.say(READER, "-- DIFFERS");
            shared.stop.store(true, Ordering::Relaxed);
        }
    }
    found
}

/// Compares all TVIEWs; the first difference.
pub fn compare(client: &mut Client, case: &Case, live: &[bool], found: &mut Found) -> Option<String> {
    for (_, v) in case.views.iter().enumerate().filter(|(i, v)| live[*i] && v.is_tview) {
        // What it shows is for a snapshot of its own: the extension compares with that, after a refresh, and to the byte, which columns do not promise between whose
        // values nothing decides (docs/concepts.md: the last digits of floating-point numbers).
        if v.is_deferred() && v.query.columns.iter().any(|c| c.fuzzy) {
            continue;
        }
        let sql = match v.is_deferred() {
            true => format!("SELECT * FROM tviews.verify('{}') WHERE NOT ok", v.name),
            false => comparison(v, &v.query.sql),
        };
        found.comparisons += 1;
        match rows(client, &sql) {
            Ok(rows) if rows.is_empty() => {}
            Ok(rows) => return Some(format!("{}: {} rows differ\n{}\n{sql}", v.name, rows.len(), rows.join("\n"))),
            Err(e) if is_conflict(&e) => {}
            Err(e) if state(&e) == "57014" && outgrown(client, case, live) => {}
            Err(e) => {
                let kind = format!("comparison fails with {}", state(&e));
                let failure = Failure { kind, detail: describe(&e), transaction: 0 };
                // docs/reference/supported-sql.md, Stages: what no result depends on fails the query, but is not computed for the TVIEW
                let unread = state(&e) == "21000" && query_can_fail(case, live, "21000");
                if !unread && known(&failure, std::slice::from_ref(&v.query.sql)).is_none() {
                    return Some(format!("comparing {}: {}", v.name, describe(&e)));
                }
            }
        }
    }
    None
}
