//! A session that writes: one plan of transactions, from its own dice.
//! Invariant: a statement is logged before it is sent; an error rolls its transaction back, and is a failure unless it may happen. Called by `rounds`.

use super::judge::{may_happen, sees_a_key_twice};
use super::{Found, Shared, connect};
use crate::case::{self, Act, Case, End, Transaction};
use crate::dice::Dice;
use crate::oracle::comparison;
use crate::server::{copy_in, describe, has_lost_its_place, rows, state};
use postgres::Client;
use std::sync::atomic::Ordering;

/// Runs its plan until it is over, or somebody has failed.
pub fn write(shared: &Shared, dsn: &str, me: usize, seed: u64) -> Found {
    let Shared { case, stop, .. } = *shared;
    let mut found = Found::default();
    let mut client = match connect_as_writer(dsn) {
        Ok(client) => client,
        Err(e) => {
            found.failure = Some(e.to_string());
            return found;
        }
    };
    // names of the schema are the same in every plan: only the writes differ
    let plan = case::for_sessions(case, &mut Dice::new(seed));
    for (number, t) in plan.iter().enumerate() {
        let gid = format!("fuzz_{me}_{number}");
        found.failure = transaction(&mut client, shared, me, t, &gid, &mut found);
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

/// Runs one transaction; an error rolls it back. Returns a failure when the error may not happen.
fn transaction(
    client: &mut Client,
    shared: &Shared,
    me: usize,
    t: &Transaction,
    gid: &str,
    found: &mut Found,
) -> Option<String> {
    let Shared { case, live, log, .. } = *shared;
    let say = |text: &str| log.say(me, text);
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
                Act::Read(view) if live[*view] && case.views[*view].is_deferred() => {
                    execute(client, &format!("REFRESH MATERIALIZED VIEW {}", case.views[*view].name))?;
                }
                Act::Read(view) if live[*view] => {
                    say(&format!("-- compare {}", case.views[*view].name));
                    let sql = comparison(&case.views[*view], &case.views[*view].query.sql);
                    let rows = rows(client, &sql)?;
                    if !rows.is_empty() && sees_a_key_twice(client)? {
                        found.errors.add("a key twice in a snapshot (not compared)".into());
                    } else if !rows.is_empty() {
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
            say(&format!("-- {}\nROLLBACK", describe(&e)));
            let _ = client.batch_execute("ROLLBACK");
            found.errors.add(state(&e));
            let may = may_happen(client, case, live, &e);
            (!may).then(|| format!("session {me}: {}", describe(&e)))
        }
    }
}
