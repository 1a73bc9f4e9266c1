//! As whom users' functions run, wherever they are and whatever calls them.
//! Invariant: a function in the query of a TVIEW runs as the TVIEW's owner, or as the ordinary role that types the definition, and never as a
//! superuser who only happens to write, read, refresh, verify or restore; one of a table runs as who writes, or as an owner. Called by `rounds`.

mod places;
mod revival;

use crate::database::Server;
use crate::log::{Log, parse};
use crate::report::Report;
use crate::session::{Session, literal};
use anyhow::{Result, bail};
use places::{ENTRIES, QUERIES};
use revival::{recovery, restore};
use std::collections::BTreeSet;

const OWNER: &str = "hostile_owner";

/// Whoever has run functions since the last call, by the log: pairs of place and role.
fn runs(log: &mut Log) -> Result<BTreeSet<(String, String)>> {
    // what the server has just said is in the file when the answer is
    let news = log.news()?;
    let lines = news.lines().filter_map(parse).filter_map(|l| l.message.strip_prefix("runs: "));
    Ok(lines.filter_map(|l| l.rsplit_once(' ')).map(|(place, role)| (place.to_string(), role.to_string())).collect())
}

/// Whoever ran what she must not, after `typist` has typed something.
fn wrong(seen: &BTreeSet<(String, String)>, typist: &str, owns: bool) -> Vec<String> {
    let right = |place: &str, role: &str| {
        let of_query = place.starts_with("query.");
        let is_typist = role == typist && (!of_query || owns || typist != "postgres");
        role == OWNER || is_typist
    };
    let wrong = seen.iter().filter(|(place, role)| !right(place, role));
    wrong.map(|(place, role)| format!("{place} runs as {role}")).collect()
}

struct Test<'a> {
    log: &'a mut Log,
    report: &'a mut Report,
    reported: usize,
}

impl Test<'_> {
    fn judge(&mut self, name: &str, typist: &str, owns: bool) -> Result<()> {
        let seen = runs(self.log)?;
        self.reported += seen.len();
        self.report.test(&format!("identity: {name} by {typist}"), &wrong(&seen, typist, owns));
        Ok(())
    }
}

pub fn run(server: &mut Server, log: &mut Log, report: &mut Report) -> Result<()> {
    let database = server.copy(None)?;
    let mut admin = Session::connect_again(&server.dsn, &database, None)?;
    admin.rows(&server.script("identity.sql")?)?;
    let mut owner = Session::connect_again(&server.dsn, &database, Some(OWNER))?;
    let mut writer = Session::connect_again(&server.dsn, &database, Some("hostile_writer"))?;
    let mut test = Test { log, report, reported: 0 };
    runs(test.log)?;
    for (name, query) in QUERIES {
        owner.send(&format!("SELECT * FROM tviews.check({})", literal(query)));
        test.judge(&format!("check of {name}"), OWNER, true)?;
        admin.send(&format!("SELECT * FROM tviews.check({})", literal(query)));
        test.judge(&format!("check of {name}"), "postgres", true)?;
        let created = owner.send(&format!("CREATE TVIEW ident.{name} AS {query}"));
        if !created.is_ok() {
            test.report.not_ok(&format!("identity: CREATE TVIEW {name}"), &[created.to_string()]);
        }
        test.judge(&format!("CREATE TVIEW {name}"), OWNER, true)?;
        owner.send(&format!("CREATE OR REPLACE TVIEW ident.{name} AS {query}"));
        test.judge(&format!("OR REPLACE TVIEW {name}"), OWNER, true)?;
        admin.send(&format!("CREATE OR REPLACE TVIEW ident.{name} AS {query}"));
        test.judge(&format!("OR REPLACE TVIEW {name}"), "postgres", false)?;
    }
    owner.send("CREATE INDEX ON ident.list (ident.who('query.index of TVIEW', x)) WHERE ident.who_bool('query.index of TVIEW', id > 0)");
    owner.send("CREATE STATISTICS ON (ident.who('query.statistics of TVIEW', x)), id FROM ident.list");
    test.judge("CREATE INDEX", OWNER, true)?;
    for (name, sql) in ENTRIES {
        let views: Vec<&str> = QUERIES.iter().map(|q| q.0).filter(|_| sql.contains("{view}")).collect();
        for view in if views.is_empty() { vec![""] } else { views } {
            for (session, typist) in [(&mut admin, "postgres"), (&mut owner, OWNER), (&mut writer, "hostile_writer")] {
                for statement in sql.replace("{view}", &format!("ident.{view}")).split("; ") {
                    session.send(statement);
                }
                session.send("ROLLBACK");
                session.send("DELETE FROM ident.t WHERE id = 100");
                test.judge(&format!("{name} {view}"), typist, typist == OWNER)?;
            }
        }
    }
    recovery(server, &mut admin, &database, &mut test)?;
    restore(server, &database, &mut test)?;
    println!("ok - identity: functions have reported {} times", test.reported);
    if test.reported < 200 {
        bail!("functions have reported {} times only: the log is not read as it is written", test.reported);
    }
    server.drop(&database)
}
