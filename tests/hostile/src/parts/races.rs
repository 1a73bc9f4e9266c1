//! Two sessions: one changes a TVIEW, or a relation it reads, and commits while the other waits for it in a write, a read or a function of ours.
//! Invariant: the other one succeeds or fails with an error that says why; the server stays up and every TVIEW equals its query. Called by `rounds`.

use crate::database::Server;
use crate::log::{Log, bad_lines};
use crate::report::Report;
use crate::session::{Answer, Session};
use anyhow::Result;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::time::{Duration, Instant};

const CHANGES: &[&str] = &[
    "DROP MATERIALIZED VIEW app.flat",
    "DROP MATERIALIZED VIEW app.staged",
    "DROP MATERIALIZED VIEW app.sums CASCADE",
    "DROP MATERIALIZED VIEW app.joined, app.documents",
    "CREATE OR REPLACE TVIEW app.flat AS SELECT id, v * 2 AS v FROM app.item",
    "CREATE OR REPLACE TVIEW app.staged AS SELECT g, n FROM (SELECT g, count(DISTINCT note) AS n FROM app.item GROUP BY g HAVING count(*) > 2) x WHERE n > 0",
    "CREATE TVIEW app.late AS SELECT v, count(*) AS n FROM app.item GROUP BY v",
    "ALTER MATERIALIZED VIEW app.flat SET ACCESS METHOD heap",
    "ALTER MATERIALIZED VIEW app.staged SET ACCESS METHOD heap",
    "ALTER MATERIALIZED VIEW app.flat RENAME TO renamed",
    "ALTER MATERIALIZED VIEW app.flat SET (mode = full)",
    "ALTER MATERIALIZED VIEW app.sums SET LOGGED",
    "REFRESH MATERIALIZED VIEW app.flat WITH NO DATA",
    "REFRESH MATERIALIZED VIEW app.sums",
    "SELECT tviews.rebuild('app.flat')",
    "ALTER TVIEW app.flat SET (refresh = manual)",
    "ALTER TVIEW app.later SET (refresh = commit)",
    "DROP MATERIALIZED VIEW app.later CASCADE",
    "DROP MATERIALIZED VIEW app.plain",
    "ALTER MATERIALIZED VIEW app.plain SET ACCESS METHOD tview",
    "DROP TABLE app.part_2",
    "ALTER TABLE app.part DETACH PARTITION app.part_2",
    "CREATE TABLE app.part_3 PARTITION OF app.part FOR VALUES IN (3)",
    "DROP TABLE app.grp CASCADE",
    "ALTER TABLE app.item DROP COLUMN v CASCADE",
    "DROP VIEW app.seen CASCADE",
    "CREATE OR REPLACE VIEW app.seen AS SELECT id, g, v FROM app.item WHERE v > 3",
    "CREATE OR REPLACE FUNCTION app.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 5'",
    "DROP FUNCTION app.twice CASCADE",
    "DROP SCHEMA app CASCADE",
    "DROP EXTENSION pg_tviews CASCADE",
    "DROP OWNED BY hostile_owner CASCADE",
    "DO $$ DECLARE i regclass; BEGIN FOR i IN SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'app.flat'::regclass LOOP EXECUTE format('DROP INDEX %s', i); END LOOP; END $$",
];

const ACTS: &[&str] = &[
    "INSERT INTO app.item VALUES (7000, 1, 3, 'race')",
    "UPDATE app.item SET v = v + 1",
    "UPDATE app.grp SET name = name || '!'",
    "INSERT INTO app.part VALUES (7000, 2, 1)",
    "BEGIN; UPDATE app.item SET v = v + 1; SELECT count(*) FROM app.flat; UPDATE app.item SET v = v + 1; COMMIT",
    "BEGIN ISOLATION LEVEL REPEATABLE READ; UPDATE app.item SET v = v + 1; SELECT count(*) FROM app.staged; COMMIT",
    "BEGIN; UPDATE app.item SET v = v + 1; SELECT tviews.flush(); COMMIT",
    "SELECT * FROM tviews.verify('app.flat')",
    "SELECT * FROM tviews.verify_all()",
    "SELECT * FROM tviews.explain('app.flat')",
    "SELECT * FROM tviews.explain('app.staged')",
    "SELECT tviews.rebuild('app.flat')",
    "SELECT tviews.rebuild('app.staged')",
    "SELECT count(strategies) FROM tviews.tviews",
    "SELECT count(*) FROM tviews.stat",
    "SELECT * FROM tviews.health()",
    "SELECT * FROM tviews.strategies('app.staged')",
    "SELECT tviews.graph()",
    "SELECT count(*) FROM tviews.staleness",
    "SELECT * FROM app.flat",
    "SELECT * FROM app.staged, app.sums",
    "SELECT * FROM tviews.check('SELECT g, count(*) FROM app.item GROUP BY g')",
    "REFRESH MATERIALIZED VIEW app.flat",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY app.flat",
    "REFRESH MATERIALIZED VIEW app.flat WITH NO DATA; REFRESH TVIEW CONCURRENTLY app.flat",
    "REFRESH TVIEW app.later_joined",
    "SELECT tviews.refresh_all()",
    "CALL tviews.rebuild_concurrently('app.flat')",
    "CALL tviews.rebuild_concurrently('app.staged')",
    "CALL tviews.rebuild_concurrently('app.later')",
    "CALL tviews.convert_concurrently('app.plain')",
    "CALL tviews.set_logged_concurrently('app.sums', true)",
    "CREATE OR REPLACE TVIEW app.flat AS SELECT id, v * 3 AS v FROM app.item",
    "DROP MATERIALIZED VIEW app.flat",
    "TRUNCATE app.item",
    "VACUUM FULL app.flat",
];

/// Longer than the second session needs to come to its lock.
const MOMENT: Duration = Duration::from_millis(150);

pub fn run(server: &mut Server, log: &mut Log, report: &mut Report, dice: &mut ChaCha8Rng, races: usize) -> Result<()> {
    let mut pairs: Vec<_> = CHANGES.iter().flat_map(|c| ACTS.iter().map(move |a| (*c, *a))).collect();
    pairs.shuffle(dice);
    pairs.truncate(races);
    let started = Instant::now();
    let (mut old, mut good) = (None, 0);
    for (change, act) in pairs {
        let database = server.copy(old.take())?;
        old = Some(database.clone());
        log.news()?;
        let mut problems = match race(server, &database, change, act) {
            Ok(problems) => problems,
            Err(e) => vec![format!("{e:#}")],
        };
        std::thread::sleep(Duration::from_millis(10));
        server.admin()?;
        let news = log.news()?;
        // where two sessions change one catalog row the server says so in these words
        let bad = bad_lines(&news, &[]).into_iter().filter(|l| !l.contains("tuple concurrently"));
        problems.extend(bad.map(|l| format!("log: {l}")));
        if problems.iter().any(|p| p.contains("was terminated by")) {
            server.make_template()?;
        }
        if problems.is_empty() {
            good += 1;
        } else {
            problems.dedup();
            report.not_ok(&format!("race: {change} | {act}"), &problems);
        }
    }
    if let Some(old) = old {
        server.drop(&old)?;
    }
    println!("ok - races: {good} pairs, {:.1} s", started.elapsed().as_secs_f64());
    report.passed += good;
    Ok(())
}

fn race(server: &Server, database: &str, change: &str, act: &str) -> Result<Vec<String>> {
    let connect = || Session::connect_again(&server.dsn, database, None);
    let (mut first, mut second, mut watcher) = (connect()?, connect()?, connect()?);
    // the second session has seen everything, and planned its flushes
    for sql in ["SELECT * FROM hostile.write()", "SELECT count(*) FROM app.flat, app.staged", "SELECT tviews.flush()"] {
        second.rows(sql)?;
    }
    let mut problems = vec![];
    first.rows("BEGIN")?;
    let changed = first.send(change);
    if !changed.is_ok() {
        problems.push(format!("the change alone: {changed}"));
        return Ok(problems);
    }
    let pid = second.pid;
    let answer = std::thread::scope(|scope| -> Result<Answer> {
        let acting = scope.spawn(|| {
            let mut last = Answer::Rows(vec![]);
            for sql in act.split("; ") {
                last = second.send(sql);
                if !last.is_ok() {
                    second.send("ROLLBACK");
                    break;
                }
            }
            last
        });
        let since = Instant::now();
        let waits = format!("SELECT 1 FROM pg_stat_activity WHERE pid = {pid} AND wait_event_type = 'Lock'");
        while since.elapsed() < MOMENT && !acting.is_finished() && watcher.rows(&waits)?.is_empty() {
            std::thread::sleep(Duration::from_millis(3));
        }
        first.send("COMMIT");
        acting.join().map_err(|_| anyhow::anyhow!("the second session panicked"))
    })?;
    match &answer {
        Answer::Lost(why) => problems.push(format!("the second session: {why}")),
        Answer::Error(e) if e.state.starts_with("XX") && !e.message.contains("tuple concurrently") => {
            problems.push(format!("the second session: {} {}", e.state, e.message))
        }
        Answer::Error(e) if e.state == "57014" || e.state == "55P03" => problems.push(format!("hangs: {}", e.message)),
        _ => {}
    }
    for session in [&mut second, &mut first] {
        match session.send("SELECT * FROM hostile.probe()") {
            Answer::Rows(rows) => problems.extend(rows.concat().into_iter().map(|row| format!("afterwards {row}"))),
            other => problems.push(format!("afterwards: {other}")),
        }
    }
    Ok(problems)
}
