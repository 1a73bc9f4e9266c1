//! Deep and wide queries: what an ordinary materialized view takes, a TVIEW takes too, with the same contents, or says 54001.
//! Invariant: the ordinary TVIEW has passed a check before a deep one is checked. Called by `rounds`.

mod queries;

use crate::database::Server;
use crate::log::{Log, bad_lines};
use crate::report::Report;
use crate::session::{Answer, Session, literal};
use anyhow::Result;
use queries::queries;

pub fn run(server: &mut Server, log: &mut Log, report: &mut Report) -> Result<()> {
    let mut database = server.copy(None)?;
    let (mut good, started) = (report.passed, std::time::Instant::now());
    for (name, query) in queries() {
        log.news()?;
        let mut session = Session::connect_again(&server.dsn, &database, Some("hostile_owner"))?;
        let ordinary = session.send(&format!("CREATE MATERIALIZED VIEW app.ordinary USING heap AS {query}"));
        let mut problems = compare(&mut session, &query, &ordinary);
        drop(session);
        server.admin()?;
        let news = log.news()?;
        problems
            .extend(bad_lines(&news, &[]).iter().map(|l| format!("log: {}", l.chars().take(200).collect::<String>())));
        if problems.iter().any(|p| p.contains("was terminated by") || p.contains("connection lost")) {
            server.make_template()?;
            database = server.copy(Some(database))?;
        } else if let Ok(mut admin) = Session::connect(&server.dsn, &database, None) {
            admin.send("DROP MATERIALIZED VIEW IF EXISTS app.ordinary, app.deep CASCADE");
        }
        report.test(&format!("deep: {name}"), &problems);
    }
    good = report.passed - good;
    println!("ok - deep: {good} queries, {:.1} s", started.elapsed().as_secs_f64());
    server.drop(&database)
}

/// A stack that is too deep.
const TOO_MUCH: [&str; 1] = ["54001"];

fn compare(session: &mut Session, query: &str, ordinary: &Answer) -> Vec<String> {
    let mut problems = vec![];
    session.send("SET statement_timeout = '20s'");
    let mut answers = vec![];
    let is_wide = query.matches(" AS c").count() >= 1590;
    // takes seconds for a row of 1600 columns
    if !is_wide {
        answers.push(("check", session.send(&format!("SELECT * FROM tviews.check({})", literal(query)))));
    }
    let made = session.send(&format!("CREATE TVIEW app.deep AS {query}"));
    let is_made = made.is_ok();
    answers.push(("CREATE TVIEW", made));
    if is_made {
        for (what, sql) in [
            ("a write", "UPDATE app.item SET v = v + 1 WHERE id < 3"),
            ("REFRESH of the ordinary one", "REFRESH MATERIALIZED VIEW app.ordinary"),
            ("verify", "SELECT tview, missing, extra FROM tviews.verify('app.deep') WHERE NOT ok"),
            (
                "comparison",
                "SELECT 1 FROM ((SELECT x::text FROM app.ordinary x EXCEPT ALL SELECT x::text FROM app.deep x) UNION ALL (SELECT x::text FROM app.deep x EXCEPT ALL SELECT x::text FROM app.ordinary x)) d",
            ),
            ("DROP", "DROP MATERIALIZED VIEW app.deep"),
        ] {
            answers.push((what, session.send(sql)));
        }
    }
    for (what, answer) in answers {
        let short: String = answer.to_string().chars().take(160).collect();
        match &answer {
            Answer::Rows(rows) if ["verify", "comparison"].contains(&what) && !rows.is_empty() => {
                problems.push(format!("{what}: contents differ"))
            }
            Answer::Rows(_) if what == "CREATE TVIEW" && !ordinary.is_ok() => {
                problems.push(format!("a TVIEW is made, and an ordinary view is refused: {ordinary}"))
            }
            Answer::Rows(_) => {}
            Answer::Error(e)
                if TOO_MUCH.contains(&e.state.as_str()) || (!ordinary.is_ok() && e.state == ordinary.state()) => {}
            _ => {
                let than: String = ordinary.to_string().chars().take(80).collect();
                problems.push(format!("{what}: {short} (the ordinary one: {than})"));
            }
        }
        if answer.is_lost() {
            return problems;
        }
    }
    match session.send("SELECT 1") {
        Answer::Rows(_) => {}
        other => problems.push(format!("afterwards: {other}")),
    }
    problems
}
