//! `tviews plan` and `tviews apply`: what a database lacks of the TVIEWs in schema files, and making it so in one transaction.
//!
//! Invariant: planning leaves nothing behind: queries are read as views in a transaction that is rolled back, which locks the tables as a SELECT
//! does. apply runs the statements that plan shows, all or none. Called by main.

mod change;
pub mod present;
mod wanted;

use crate::arguments::{Apply, Plan};
use crate::outcome::Outcome;
use crate::script::nodes::quoted;
use crate::script::{Script, files};
use crate::server::{self, sentence};
use anyhow::{Context, Result, anyhow, bail};
use change::{Change, Read, compare, create};
use indicatif::{ProgressBar, ProgressStyle};
use postgres::{Client, Transaction};
use std::collections::BTreeSet;
use wanted::Wanted;

/// One change, what it is for, and its statements.
struct Step {
    change: Change,
    name: String,
    why: String,
    statements: Vec<String>,
    /// What the server says of a query that is new.
    said: Vec<String>,
}

pub fn plan(arguments: &Plan) -> Result<Outcome> {
    let mut client = server::connect_extension(&arguments.dsn)?;
    let steps = steps(&mut client, arguments)?;
    show(&steps);
    Ok(if steps.is_empty() { Outcome::Good } else { Outcome::Found })
}

pub fn apply(arguments: &Apply) -> Result<Outcome> {
    let mut client = server::connect_extension(&arguments.plan.dsn)?;
    let steps = steps(&mut client, &arguments.plan)?;
    show(&steps);
    let statements: Vec<&String> = steps.iter().flat_map(|s| &s.statements).collect();
    if statements.is_empty() {
        return Ok(Outcome::Good);
    }
    let bar = ProgressBar::new(statements.len() as u64)
        .with_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}")?);
    let mut transaction = client.transaction().map_err(sentence)?;
    transaction
        .batch_execute(&format!("SET LOCAL lock_timeout = {}", arguments.lock_timeout * 1000))
        .map_err(sentence)?;
    for statement in statements {
        bar.set_message(statement.lines().next().unwrap_or_default().to_string());
        let run = transaction.batch_execute(statement).map_err(sentence);
        run.with_context(|| format!("nothing was changed, for this statement failed:\n{statement}\n"))?;
        bar.inc(1);
    }
    transaction.commit().map_err(sentence).context("nothing was changed, for the commit failed")?;
    bar.finish_and_clear();
    println!("{} changed.", steps.len());
    Ok(Outcome::Good)
}

fn steps(client: &mut Client, arguments: &Plan) -> Result<Vec<Step>> {
    let scripts = files(&arguments.files)?.iter().map(|p| Script::read(p)).collect::<Result<Vec<_>>>()?;
    let wanted = wanted::of(&scripts).map_err(|e| anyhow!(e))?;
    if wanted.is_empty() {
        bail!("the files make no TVIEW");
    }
    let mut transaction = client.transaction().map_err(sentence)?;
    let (mut steps, mut kept) = (Vec::new(), BTreeSet::new());
    let mut new: BTreeSet<String> = BTreeSet::new();
    for (number, wanted) in wanted.iter().enumerate() {
        match present::named(&mut transaction, &wanted.name)? {
            None => {
                steps.push(created(&mut transaction, wanted, &new)?);
                new.insert(wanted.name.clone());
            }
            Some(present) if present.is_tview || present.is_matview => {
                kept.insert(present.name.clone());
                let read = read(&mut transaction, wanted, number)?;
                if let Some((change, statements)) = compare(wanted, &present, read.as_ref().ok()) {
                    let why = match &read {
                        Err(why) => format!("its query cannot be read yet: {why}"),
                        Ok(_) => wanted.place.clone(),
                    };
                    let asks = matches!(change, Change::Replace | Change::Remake | Change::Switch);
                    let said = if asks && read.is_ok() { said(&mut transaction, wanted)? } else { Vec::new() };
                    steps.push(Step { change, name: present.name, why, statements, said });
                }
            }
            Some(present) => {
                bail!("{}: {} is there, and no TVIEW: rename or drop it first", wanted.place, present.name)
            }
        }
    }
    let mut gone: Vec<Step> = Vec::new();
    for present in present::all(&mut transaction)?.into_iter().rev().filter(|p| !kept.contains(&p.name)) {
        let statements = if arguments.drop { vec![format!("DROP TVIEW {}", present.name)] } else { Vec::new() };
        gone.push(Step {
            change: Change::Drop,
            name: present.name,
            why: "not in the files".into(),
            statements,
            said: Vec::new(),
        });
    }
    transaction.rollback().map_err(sentence)?;
    if arguments.drop {
        gone.append(&mut steps);
        return Ok(gone);
    }
    for step in gone {
        eprintln!("{} is not in the files; it would be dropped with --drop", step.name);
    }
    Ok(steps)
}

/// A new one; until the end of the transaction a view stands for it, so that others can be read.
fn created(transaction: &mut Transaction, wanted: &Wanted, new: &BTreeSet<String>) -> Result<Step> {
    let reads_new = wanted.reads.iter().any(|r| new.contains(r));
    let said = if reads_new { vec!["it reads others that are new".into()] } else { said(transaction, wanted)? };
    let view = format!("CREATE VIEW {}{} AS {}", wanted.name, columns(wanted), wanted.query);
    let mut savepoint = transaction.savepoint("tviews_plan").map_err(sentence)?;
    savepoint
        .batch_execute(&view)
        .map_err(sentence)
        .with_context(|| format!("{}: {} cannot be made", wanted.place, wanted.name))?;
    savepoint.commit().map_err(sentence)?;
    Ok(Step {
        change: Change::Create,
        name: wanted.name.clone(),
        why: wanted.place.clone(),
        statements: create(wanted),
        said,
    })
}

fn columns(wanted: &Wanted) -> String {
    let names: Vec<String> = wanted.columns.iter().map(|c| quoted(c)).collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

/// How the server reads a query, by a view that is gone at once; or why it cannot.
fn read(transaction: &mut Transaction, wanted: &Wanted, number: usize) -> Result<std::result::Result<Read, String>> {
    let name = format!("tviews_plan_{number}");
    let mut savepoint = transaction.savepoint("tviews_plan").map_err(sentence)?;
    if let Err(error) =
        savepoint.batch_execute(&format!("CREATE TEMP VIEW {name}{} AS {}", columns(wanted), wanted.query))
    {
        return match error.as_db_error() {
            Some(said) => Ok(Err(said.message().into())),
            None => Err(sentence(error)),
        };
    }
    let made = present::named(&mut savepoint, &format!("pg_temp.{name}"))?
        .ok_or_else(|| anyhow!("the view {name} has disappeared"))?;
    savepoint.rollback().map_err(sentence)?;
    Ok(Ok(Read { definition: made.definition, columns: made.columns }))
}

/// Strategies and hints, or an error: the plan would fail.
fn said(transaction: &mut Transaction, wanted: &Wanted) -> Result<Vec<String>> {
    let mut savepoint = transaction.savepoint("tviews_plan").map_err(sentence)?;
    let rows =
        savepoint.query("SELECT base_table::text, strategy, reason, hint FROM tviews.check($1)", &[&wanted.query]);
    let deferred = wanted.options.get("refresh").is_some_and(|r| r != "commit");
    let lines = match rows {
        Ok(rows) => rows
            .iter()
            .flat_map(|r| {
                let (table, strategy, reason, hint): (String, String, String, Option<String>) =
                    (r.get(0), r.get(1), r.get(2), r.get(3));
                let hints = hint.unwrap_or_default();
                let mut lines = vec![format!("{table}: {strategy}, {reason}")];
                lines.extend(hints.lines().map(|h| format!("  {h}")));
                lines
            })
            .collect(),
        // A deferred TVIEW may read what tviews.check refuses.
        Err(error) if deferred && error.as_db_error().is_some() => Vec::new(),
        Err(error) => {
            return Err(sentence(error).context(format!("{}: {} cannot be a TVIEW", wanted.place, wanted.name)));
        }
    };
    savepoint.rollback().map_err(sentence)?;
    Ok(lines)
}

fn show(steps: &[Step]) {
    let width = steps.iter().map(|s| s.name.chars().count()).max().unwrap_or(0);
    for step in steps {
        println!("-- {:7} {:width$}  {}", step.change.word(), step.name, step.why);
        for line in &step.said {
            println!("--   {line}");
        }
        for statement in &step.statements {
            println!("{statement};");
        }
    }
    if steps.is_empty() {
        println!("-- nothing to change");
    }
}
