//! `tviews doctor`: what is wrong with the TVIEWs of a database, each thing as a sentence with the statement that mends it.
//!
//! Invariant: nothing is changed; a check that may not look says so, and the others go on. Called by main.

mod checks;
mod unused;

use crate::arguments::{Doctor, Report};
use crate::outcome::Outcome;
use crate::server::{self, sentence};
use anyhow::Result;
use checks::CHECKS;
use postgres::Client;
use serde::Serialize;

#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    pub check: &'static str,
    /// Otherwise advice.
    pub problem: bool,
    pub sentence: String,
    pub statement: Option<String>,
}

pub fn run(arguments: &Doctor) -> Result<Outcome> {
    let mut client = server::connect_extension(&arguments.dsn)?;
    let found = findings(&mut client);
    match arguments.format {
        Report::Json => println!("{}", serde_json::to_string_pretty(&found)?),
        Report::Text => text(&found),
    }
    let problems = found.iter().any(|f| f.problem || arguments.strict);
    Ok(if problems { Outcome::Found } else { Outcome::Good })
}

fn findings(client: &mut Client) -> Vec<Finding> {
    let mut found = Vec::new();
    let not_looked = |check: &'static str, error: anyhow::Error| Finding {
        check,
        problem: true,
        sentence: format!("{check} was not looked at: {error}"),
        statement: None,
    };
    for check in &CHECKS {
        match client.query(check.query, &[]).map_err(sentence) {
            Ok(rows) => {
                found.extend(rows.iter().map(|r| Finding {
                    check: check.name,
                    problem: r.get(0),
                    sentence: r.get(1),
                    statement: r.get(2),
                }));
            }
            Err(error) => found.push(not_looked(check.name, error)),
        }
    }
    found.extend(unused::find(client).unwrap_or_else(|error| vec![not_looked("unread columns", error)]));
    found.sort_by_key(|f| !f.problem);
    found
}

fn text(found: &[Finding]) {
    for finding in found {
        println!("{}: {}.", if finding.problem { "problem" } else { "advice" }, finding.sentence.trim_end_matches('.'));
        if let Some(statement) = &finding.statement {
            println!("    {};", statement.trim_end_matches(';'));
        }
    }
    let problems = found.iter().filter(|f| f.problem).count();
    let advice = found.len() - problems;
    println!(
        "{problems} {}, {advice} {}",
        if problems == 1 { "problem" } else { "problems" },
        if advice == 1 { "piece of advice" } else { "pieces of advice" }
    );
}
