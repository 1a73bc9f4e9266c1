//! Errors of a TVIEW's own expressions keep their fields on every way: SQLSTATE, detail, hint, constraint, and the line that
//! names the TVIEW. Invariant: each way is tried in a transaction of its own, which is rolled back. Called by `rounds`.

use crate::database::Server;
use crate::log::{Log, bad_lines};
use crate::report::Report;
use crate::session::{Answer, Session};
use anyhow::Result;

const SETUP: &str = "CREATE FUNCTION app.guard(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN \
    IF i > 500 THEN RAISE EXCEPTION 'too large' USING ERRCODE = 'ZZ123', CONSTRAINT = 'small', DETAIL = 'of guard', HINT = 'Use less.'; END IF; RETURN i; END $$; \
    CREATE TVIEW app.guarded AS SELECT id, app.guard(v) AS v FROM app.item; \
    CREATE TVIEW app.staged_guard AS SELECT g, n FROM (SELECT g, count(DISTINCT app.guard(v)) AS n FROM app.item GROUP BY g HAVING count(*) > 0) x WHERE n > 0";

/// Ways by which an error comes, and whether a flush raises it.
const WAYS: &[(&str, bool)] = &[
    ("COMMIT", true),
    ("SELECT tviews.flush()", true),
    ("SELECT * FROM app.guarded", true),
    ("SELECT * FROM app.staged_guard", true),
    ("SELECT * FROM tviews.verify('app.guarded')", false),
    ("SELECT * FROM tviews.verify_all()", false),
    ("SELECT tviews.rebuild('app.guarded')", false),
    ("REFRESH MATERIALIZED VIEW app.guarded", false),
    ("CREATE TVIEW app.late AS SELECT id, app.guard(v) AS x FROM app.item", false),
    ("DO $$ BEGIN PERFORM tviews.flush(); END $$", true),
    ("DO $$ BEGIN PERFORM * FROM app.guarded; END $$", true),
    ("CREATE TABLE app.copied AS SELECT * FROM app.guarded", true),
];

pub fn run(server: &mut Server, log: &mut Log, report: &mut Report) -> Result<()> {
    let database = server.copy(None)?;
    log.news()?;
    let mut session = Session::connect_again(&server.dsn, &database, Some("hostile_owner"))?;
    session.rows(SETUP)?;
    for (way, of_flush) in WAYS {
        session.rows("BEGIN")?;
        session.rows("INSERT INTO app.item VALUES (7000, 1, 900, 'too large')")?;
        let answer = session.send(way);
        let mut problems = vec![];
        match &answer {
            Answer::Error(e) => {
                let text = |t: &Option<String>| t.clone().unwrap_or_default();
                let parts = [
                    ("SQLSTATE", e.state.clone(), "ZZ123"),
                    ("message", e.message.clone(), "too large"),
                    ("detail", text(&e.detail), "of guard"),
                    ("hint", text(&e.hint), "Use less."),
                    ("constraint", text(&e.constraint), "small"),
                ];
                problems.extend(
                    parts
                        .iter()
                        .filter(|p| p.1 != p.2)
                        .map(|(what, is, should)| format!("{what} is {is}, not {should}")),
                );
                if *of_flush && !e.context.contains("flush of TVIEW") {
                    problems.push(format!("context does not name the TVIEW: {}", e.context.replace('\n', " / ")));
                }
                if !e.context.contains("guard(integer)") {
                    problems.push(format!("context does not name the function: {}", e.context.replace('\n', " / ")));
                }
            }
            other => problems.push(format!("no error, but {other}")),
        }
        session.send("ROLLBACK");
        report.test(&format!("errors: {way}"), &problems);
    }
    let news = log.news()?;
    report.test("errors: log", &bad_lines(&news, &[]).iter().map(|l| l.to_string()).collect::<Vec<_>>());
    drop(session);
    println!("ok - errors: {} ways", WAYS.len());
    server.drop(&database)
}
