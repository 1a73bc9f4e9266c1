//! Several sessions write to one schema at the same time; a reader compares all the while, and everything is compared when all are done.
//! Invariant: one comparison is one statement with one snapshot, in which a TVIEW must equal its query whatever others do. Runs are seeded but not
//! replayable to the statement: the report has what every session ran. Called by `main` for `--concurrent N`.

use crate::args::Args;
use crate::case::{self, Act, Case, End, Mode, Transaction, View};
use crate::dice::Dice;
use crate::known::known;
use crate::oracle::comparison;
use crate::run::Failure;
use crate::server::{self, Session, copy_in, describe, has_lost_its_place, in_flush, rows, state};
use crate::tally::Tally;
use anyhow::{Context, Result};
use postgres::Client;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

type Log = Arc<Mutex<Vec<(Instant, usize, String)>>>;

#[derive(Default)]
struct Found {
    failure: Option<String>,
    errors: Tally<String>,
    committed: u64,
    comparisons: u64,
}

fn connect(dsn: &str) -> Result<Client, postgres::Error> {
    let mut client = server::connect(dsn)?;
    client.batch_execute("SET deadlock_timeout = '200ms'")?;
    Ok(client)
}

fn connect_as_writer(dsn: &str) -> Result<Client, postgres::Error> {
    let mut client = connect(dsn)?;
    client.batch_execute("SET application_name = 'writer'")?;
    Ok(client)
}

/// Whether a statement names a view that was refused.
fn reads_dead(case: &Case, live: &[bool], sql: &str) -> bool {
    (sql.starts_with("REFRESH") || sql.starts_with("DO "))
        && case.views.iter().zip(live).any(|(v, live)| !*live && sql.contains(&v.name))
}

/// What a session knows.
#[derive(Clone, Copy)]
struct Who<'a> {
    case: &'a Case,
    live: &'a [bool],
    me: usize,
    log: &'a Log,
}

/// Runs one transaction; an error rolls it back. Returns a failure when the error may not happen.
fn transaction(client: &mut Client, who: &Who, t: &Transaction, gid: &str, found: &mut Found) -> Option<String> {
    let Who { case, live, me, log } = *who;
    let say = |text: &str| {
        if let Ok(mut log) = log.lock() {
            log.push((Instant::now(), me, text.to_string()));
        }
    };
    let execute = |client: &mut Client, sql: &str| {
        say(sql);
        client.batch_execute(sql)
    };
    let work = (|| -> Result<Option<String>, postgres::Error> {
        if t.end != End::Autocommit {
            execute(client, &format!("BEGIN ISOLATION LEVEL {}", t.isolation))?;
        }
        let open = t.end != End::Autocommit;
        for step in &t.steps {
            match &step.act {
                Act::Sql(sql) if reads_dead(case, live, sql) => {}
                Act::Sql(sql) => execute(client, sql)?,
                Act::Copy { sql, data } => {
                    say(&format!("{sql};\n{data}\\."));
                    copy_in(client, sql, data)?;
                }
                Act::Read(view) if live[*view] => {
                    say(&format!("-- compare {}", case.views[*view].name));
                    let sql = comparison(&case.views[*view], &case.views[*view].query.sql);
                    let rows = rows(client, &sql)?;
                    if !rows.is_empty() {
                        return Ok(Some(format!(
                            "difference inside a transaction of session {me}, {}\n{}\n{sql}",
                            case.views[*view].name,
                            rows.join("\n")
                        )));
                    }
                }
                Act::Savepoint(name) if open => execute(client, &format!("SAVEPOINT {name}"))?,
                Act::RollbackTo(name) if open => execute(client, &format!("ROLLBACK TO {name}"))?,
                Act::Release(name) if open => execute(client, &format!("RELEASE {name}"))?,
                _ => {}
            }
        }
        match t.end {
            End::Autocommit => {}
            End::Commit => execute(client, "COMMIT")?,
            End::Rollback => execute(client, "ROLLBACK")?,
            End::PreparedCommit | End::PreparedRollback => {
                execute(client, &format!("PREPARE TRANSACTION '{gid}'"))?;
                let word = if t.end == End::PreparedCommit { "COMMIT" } else { "ROLLBACK" };
                execute(client, &format!("{word} PREPARED '{gid}'"))?;
            }
        }
        Ok(None)
    })();
    match work {
        Ok(None) => {
            found.committed += 1;
            None
        }
        Ok(failure) => {
            say("-- DIFFERS");
            let _ = client.batch_execute("ROLLBACK");
            failure
        }
        Err(e) => {
            let code = state(&e);
            say(&format!("-- {}\nROLLBACK", describe(&e)));
            let _ = client.batch_execute("ROLLBACK");
            found.errors.add(code.clone());
            // A comparison runs the query, which fails, too, where no result depends on it, see `compare`.
            let own = query_can_fail(case, live, &code)
                || !in_flush(&e) && (code.starts_with("23") || code.starts_with("22"));
            let may = own || matches!(code.as_str(), "40001" | "40P01") || (code == "55P03" && others_work(client));
            (!may).then(|| format!("session {me}: {}", describe(&e)))
        }
    }
}

/// Whether the one who is waited for is at work, with a query that has become large; if all wait, nobody has noticed a deadlock.
fn others_work(client: &mut Client) -> bool {
    let writers = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'writer' AND state = 'active'
        AND wait_event_type IS DISTINCT FROM 'Lock' AND pid <> pg_backend_pid()";
    client.query(writers, &[]).is_ok_and(|rows| !rows.is_empty())
}

/// Whether the query of some TVIEW has what fails with this error over some rows. With others writing, it cannot be tried again without TVIEWs.
fn query_can_fail(case: &Case, live: &[bool], code: &str) -> bool {
    let has = |v: &View| match code {
        "21000" => !v.facts.unusual.is_empty(),
        "22012" => v.query.sql.contains(" / "),
        "22003" => [" * ", " + 1)", "(-", "squares("].iter().any(|part| v.query.sql.contains(part)),
        _ => false,
    };
    case.views.iter().zip(live).any(|(v, live)| *live && has(v))
}

/// Compares all TVIEWs; the first difference.
fn compare(client: &mut Client, case: &Case, live: &[bool], found: &mut Found) -> Option<String> {
    for (_, v) in case.views.iter().enumerate().filter(|(i, v)| live[*i] && v.is_tview) {
        let sql = comparison(v, &v.query.sql);
        found.comparisons += 1;
        match rows(client, &sql) {
            Ok(rows) if rows.is_empty() => {}
            Ok(rows) => return Some(format!("{}: {} rows differ\n{}\n{sql}", v.name, rows.len(), rows.join("\n"))),
            Err(e) if matches!(state(&e).as_str(), "40001" | "40P01") => {}
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

/// One schema, written by all sessions in several rounds.
fn schema(session: &mut Session, dsn: &str, seed: u64, sessions: usize, sums: &mut Found) -> Result<Option<String>> {
    session.clean()?;
    let case = case::build(seed, session.features);
    for sql in case.ddl.iter().chain([&case.rows.join(";\n")]).chain(&case.triggers).filter(|s| !s.is_empty()) {
        session.client.batch_execute(sql).with_context(|| sql.clone())?;
    }
    let mut live = vec![false; case.views.len()];
    for (i, v) in case.views.iter().enumerate().filter(|(_, v)| !v.late) {
        live[i] = session.client.batch_execute(&v.create(Mode::default())).is_ok();
    }
    let log: Log = Arc::new(Mutex::new(vec![]));
    let mut trouble = None;
    for round in 0..3u64 {
        let stop = AtomicBool::new(false);
        let results = std::thread::scope(|scope| -> Vec<Found> {
            let (case, live, log, stop) = (&case, &live, &log, &stop);
            let reader = scope.spawn(move || {
                let mut found = Found::default();
                let Ok(mut client) = connect(dsn) else {
                    return found;
                };
                while !stop.load(Ordering::Relaxed) && found.failure.is_none() {
                    found.failure =
                        compare(&mut client, case, live, &mut found).map(|f| format!("the reader's snapshot: {f}"));
                    if found.failure.is_some() {
                        if let Ok(mut log) = log.lock() {
                            log.push((Instant::now(), 99, "-- DIFFERS".into()));
                        }
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                found
            });
            let writers: Vec<_> = (0..sessions)
                .map(|me| {
                    scope.spawn(move || {
                        let mut found = Found::default();
                        let mut client = match connect_as_writer(dsn) {
                            Ok(client) => client,
                            Err(e) => {
                                found.failure = Some(e.to_string());
                                return found;
                            }
                        };
                        // names of the schema are the same in every plan: only the writes differ
                        let plan = case::for_sessions(case, &mut Dice::new(seed ^ (round * 64 + me as u64 + 1)));
                        for (number, t) in plan.iter().enumerate() {
                            let gid = format!("fuzz_{me}_{number}");
                            found.failure = transaction(&mut client, &Who { case, live, me, log }, t, &gid, &mut found);
                            if has_lost_its_place(&mut client) {
                                match connect_as_writer(dsn) {
                                    Ok(new) => client = new,
                                    Err(e) => found.failure = Some(e.to_string()),
                                }
                            }
                            if found.failure.is_some() {
                                // what others do now only hides the trace
                                stop.store(true, Ordering::Relaxed);
                            }
                            if stop.load(Ordering::Relaxed) {
                                break;
                            }
                        }
                        found
                    })
                })
                .collect();
            let mut all: Vec<Found> = writers.into_iter().filter_map(|w| w.join().ok()).collect();
            stop.store(true, Ordering::Relaxed);
            all.extend(reader.join().ok());
            all
        });
        for found in results {
            sums.committed += found.committed;
            sums.comparisons += found.comparisons;
            sums.errors.merge(&found.errors);
            trouble = match (trouble, found.failure) {
                (Some(a), Some(b)) => Some(format!("{a}\nand {b}")),
                (a, b) => a.or(b),
            };
        }
        trouble = trouble
            .or_else(|| compare(&mut session.checker, &case, &live, sums).map(|f| format!("when all were done: {f}")));
        if trouble.is_some() {
            break;
        }
    }
    if let Some(text) = trouble {
        let mut out = text + "\n\n-- schema\n";
        for sql in case.ddl.iter().chain(&case.rows).chain(&case.triggers) {
            out += &format!("{sql};\n");
        }
        for (v, _) in case.views.iter().zip(&live).filter(|(_, l)| **l) {
            out += &format!("{};\n", v.create(Mode::default()));
        }
        out += "\n-- what the sessions sent\n";
        if let Ok(log) = log.lock() {
            let first = log.first().map(|l| l.0);
            for (when, me, sql) in log.iter() {
                let ms = first.map(|f| when.duration_since(f).as_secs_f64() * 1000.0).unwrap_or(0.0);
                out += &format!("/* {ms:9.2} ms, session {me} */ {sql};\n");
            }
        }
        return Ok(Some(out));
    }
    Ok(None)
}

pub fn run(args: &Args) -> Result<bool> {
    let mut session = Session::connect(&args.dsn)?;
    session.client.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_tviews")?;
    let started = Instant::now();
    let (mut passed, mut failed, mut number) = (0, 0, 0);
    let mut sums = Found::default();
    while failed < args.max_failures
        && (args.seconds == 0 || started.elapsed() < Duration::from_secs(args.seconds))
        && (args.cases == 0 || number < args.cases)
    {
        let seed = args.case.unwrap_or_else(|| crate::dice::case_seed(args.seed, number));
        number += 1;
        let result = schema(&mut session, &args.dsn, seed, args.concurrent, &mut sums);
        match result {
            Ok(None) => passed += 1,
            Ok(Some(text)) => {
                failed += 1;
                let file = args.out.join(format!("{seed}-concurrent.txt"));
                std::fs::create_dir_all(&args.out)?;
                std::fs::write(&file, &text)?;
                println!(
                    "not ok - case {seed}: {}\nwritten to {}",
                    text.split("\n\n").next().unwrap_or(""),
                    file.display()
                );
            }
            Err(e) => {
                failed += 1;
                println!("not ok - case {seed}: {e:#}");
                session.reconnect()?;
            }
        }
    }
    let _ = session.clean();
    println!(
        "{number} schemas, {} transactions of {} sessions, {} comparisons; errors by SQLSTATE: {:?}",
        sums.committed, args.concurrent, sums.comparisons, sums.errors
    );
    let compared = sums.comparisons > 0 || args.case.is_some();
    if !compared {
        println!("not ok - nothing was compared");
    }
    println!("{passed} passed, {} failed", failed + u64::from(!compared));
    Ok(failed == 0 && compared)
}
