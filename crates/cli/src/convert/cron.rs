//! Jobs of pg_cron that refresh one view: a TVIEW needs none, so the statement becomes a comment.
//!
//! Invariant: a job goes only when its command is one REFRESH of a view of these files that becomes a TVIEW; the text of the statement stays, behind
//! `--`. Called by convert.

use super::call::{self, sole};
use super::matview::Becomes;
use super::{Found, Scripts};
use crate::script::nodes::{Constant, relation};
use crate::script::{Script, Statement, Tree};
use pg_query::NodeEnum;
use pg_query::protobuf::RangeVar;
use tviews_core::schedule::Schedule;

/// A job that refreshes a view.
pub struct Job {
    pub view: RangeVar,
    /// In the words of the option `schedule`; None when it has no such words.
    pub schedule: Option<String>,
}

fn is_ours(schema: Option<&str>, name: &str) -> bool {
    schema == Some("cron") && matches!(name, "schedule" | "schedule_in_database")
}

/// The jobs of all files.
pub fn jobs(scripts: &[Script]) -> Vec<Job> {
    let statements = scripts.iter().flat_map(|s| &s.statements);
    statements.filter_map(|s| s.tree.as_ref().ok()).filter_map(|t| job(t)?.ok()).collect()
}

fn job(tree: &Tree) -> Option<Result<Job, String>> {
    let call = match sole(tree, &is_ours)? {
        Ok(call) if call.name == "schedule_in_database" => return Some(Err("a job in another database".into())),
        Ok(call) => call,
        Err(why) => return Some(Err(why)),
    };
    // schedule(schedule, command) is the older form of schedule(job_name, schedule, command).
    let given = match call.arguments(["job_name", "schedule", "command"]) {
        Ok([first, second, None]) => (first, second),
        Ok([_, schedule, command]) => (schedule, command),
        Err(why) => return Some(Err(why)),
    };
    let (Some(Constant::Text(schedule)), Some(Constant::Text(command))) = given else {
        return Some(Err("a job whose schedule or command is no text".into()));
    };
    if !command.to_ascii_lowercase().contains("refresh materialized view") {
        return None;
    }
    let view = match Tree::parse(command.trim().trim_end_matches(';')) {
        Ok(Tree { node: NodeEnum::RefreshMatViewStmt(refresh), .. }) => refresh.relation,
        _ => return Some(Err("a job that does more than refresh one view: take the REFRESH out of it".into())),
    };
    Some(view.map(|view| Job { view, schedule: ours(&schedule) }).ok_or_else(|| "a job without view".into()))
}

/// pg_cron has `30 seconds` beside cron text.
fn ours(schedule: &str) -> Option<String> {
    let text = match schedule.trim().split_once(' ') {
        Some((number, "seconds" | "second")) if number.parse::<u32>().is_ok() => format!("{number}s"),
        _ => schedule.trim().to_string(),
    };
    Schedule::parse(&text).ok().map(|_| text)
}

pub fn recognise(context: &Scripts, script: &Script, statement: &Statement) -> Found {
    let Ok(tree) = &statement.tree else { return Found::Nothing };
    let view = match job(tree) {
        None => return Found::Nothing,
        Some(Err(why)) => return Found::Left(why),
        Some(Ok(job)) => job.view,
    };
    let known = context.schema.find(&view.schemaname, &view.relname).and_then(|(n, _)| context.views.get(n));
    let why = match known {
        None => {
            return Found::Left(format!("a job that refreshes {}, which is not made in these files", relation(&view)));
        }
        Some(Becomes::Stays(_)) => {
            return Found::Left(format!("a job that refreshes {}, which stays a materialized view", relation(&view)));
        }
        Some(Becomes::Exact) => {
            format!("-- {} is a TVIEW, exact at every commit: this job is not needed any more.", relation(&view))
        }
        Some(Becomes::Deferred(_)) => format!("-- {} is a TVIEW with this schedule.", relation(&view)),
    };
    if !statement.terminated {
        return Found::Left("the last statement has no semicolon".into());
    }
    let text = script.text_of(statement);
    let commented: Vec<String> = text.lines().map(|line| format!("-- {line}")).collect();
    call::commented(text, &why, &commented)
}
