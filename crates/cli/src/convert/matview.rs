//! CREATE MATERIALIZED VIEW: the words MATERIALIZED VIEW become TVIEW.
//!
//! Invariant: a view is rewritten only when nothing in its query is refused as far as the files tell, or when what is refused is what a deferred TVIEW
//! may have and a job of pg_cron says how often; one that reads a materialized view that stays is left, too. Called by convert.

use super::cron::Job;
use super::{Edit, Found, Scripts};
use crate::arguments::From;
use crate::lint::schema::{Kind, Name, Schema, made_as};
use crate::lint::{Refusal, refusals};
use crate::script::nodes::{literal, relation};
use crate::script::{Script, Statement, Tree};
use pg_query::NodeEnum;
use pg_query::protobuf::{CreateTableAsStmt, SelectStmt};
use std::collections::BTreeMap;

/// What becomes of each materialized view of the files.
pub struct Views(BTreeMap<Name, Becomes>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Becomes {
    /// A TVIEW that is exact at every commit.
    Exact,
    /// One that is refreshed by this schedule.
    Deferred(String),
    Stays(Refusal),
}

impl Views {
    pub fn new(schema: &Schema, jobs: &[Job], from: From) -> Views {
        let matviews: Vec<(&Name, &SelectStmt)> = schema
            .relations
            .iter()
            .filter(|(_, r)| r.kind == Kind::Matview)
            .filter_map(|(n, r)| Some((n, r.query.as_ref()?)))
            .collect();
        let mut views = Views(BTreeMap::new());
        if from != From::Auto && from != From::Matview {
            return views;
        }
        views.0.extend(matviews.iter().map(|(name, _)| ((*name).clone(), Becomes::Exact)));
        // What reads one that stays, stays.
        loop {
            let mut next = views.0.clone();
            for (name, query) in &matviews {
                next.insert((*name).clone(), becomes(query, schema, &views, schedule(schema, jobs, name)));
            }
            if next == views.0 {
                return views;
            }
            views.0 = next;
        }
    }

    pub fn get(&self, name: &Name) -> Option<&Becomes> {
        self.0.get(name)
    }

    fn is_tview(&self, name: &Name) -> bool {
        !matches!(self.0.get(name), None | Some(Becomes::Stays(_)))
    }
}

fn becomes(query: &SelectStmt, schema: &Schema, views: &Views, schedule: Option<String>) -> Becomes {
    let refused = refusals(query, schema, &|n| views.is_tview(n));
    match (refused.iter().find(|r| !r.may_later), refused.first(), schedule) {
        (Some(never), _, _) => Becomes::Stays(never.clone()),
        (None, None, _) => Becomes::Exact,
        (None, Some(_), Some(schedule)) => Becomes::Deferred(schedule),
        (None, Some(later), None) => Becomes::Stays(later.clone()),
    }
}

/// The schedule of the job that refreshes it, if it is the only one.
fn schedule(schema: &Schema, jobs: &[Job], name: &Name) -> Option<String> {
    let mut of =
        jobs.iter().filter(|j| schema.find(&j.view.schemaname, &j.view.relname).is_some_and(|(n, _)| n == name));
    of.next().filter(|_| of.next().is_none()).and_then(|j| j.schedule.clone())
}

pub fn recognise(context: &Scripts, script: &Script, statement: &Statement) -> Found {
    let Ok(tree) = &statement.tree else { return Found::Nothing };
    if made_as(tree) != Some(Kind::Matview) {
        return Found::Nothing;
    }
    let Some((create, _)) = tree.create_as() else { return Found::Nothing };
    let Some(name) = create.into.as_ref().and_then(|i| i.rel.as_ref()) else { return Found::Nothing };
    let shown = relation(name);
    if let Some(into) = &create.into
        && !into.access_method.is_empty()
    {
        return Found::Left(format!(
            "materialized view {shown}: USING {} asks for another storage",
            into.access_method
        ));
    }
    let becomes = context.schema.find(&name.schemaname, &name.relname).and_then(|(n, _)| context.views.get(n));
    match becomes {
        None => Found::Left(format!("materialized view {shown} is dropped or made again in these files")),
        Some(Becomes::Stays(refusal)) => {
            Found::Left(format!("materialized view {shown} stays: {}. {}", refusal.what, refusal.hint))
        }
        Some(Becomes::Exact) => edits(script, statement, tree, create, None),
        Some(Becomes::Deferred(schedule)) => edits(script, statement, tree, create, Some(schedule)),
    }
}

fn edits(
    script: &Script,
    statement: &Statement,
    tree: &Tree,
    create: &CreateTableAsStmt,
    schedule: Option<&String>,
) -> Found {
    let text = script.text_of(statement);
    let is = |t: &pg_query::protobuf::ScanToken, word: &str| {
        text[t.start as usize..t.end as usize].eq_ignore_ascii_case(word)
    };
    let words: Vec<_> = tree.words().collect();
    let Some(at) = words.windows(2).position(|w| is(w[0], "materialized") && is(w[1], "view")) else {
        return Found::Nothing;
    };
    let word = if text[words[at].start as usize..].starts_with('m') { "tview" } else { "TVIEW" };
    let mut edits = vec![Edit { start: words[at].start as usize, end: words[at + 1].end as usize, with: word.into() }];
    if let Some(schedule) = schedule {
        let options = format!("refresh = deferred, schedule = {}", literal(schedule));
        edits.push(match with_options(&words, text, create) {
            Some(inside) => Edit { start: inside, end: inside, with: format!("{options}, ") },
            None => {
                let Some(place) = before_as(&words, text) else { return Found::Nothing };
                Edit { start: place, end: place, with: format!("WITH ({options}) ") }
            }
        });
    }
    Found::Edits(edits)
}

/// Where the list of options begins, if there is one.
fn with_options(words: &[&pg_query::protobuf::ScanToken], text: &str, create: &CreateTableAsStmt) -> Option<usize> {
    let first = create.into.as_ref()?.options.first()?;
    match &first.node {
        Some(NodeEnum::DefElem(option)) => Some(option.location as usize),
        _ => before_as(words, text),
    }
}

/// The first AS outside of parentheses; before TABLESPACE where there is one.
fn before_as(words: &[&pg_query::protobuf::ScanToken], text: &str) -> Option<usize> {
    let mut depth = 0;
    words.iter().find_map(|t| {
        let word = &text[t.start as usize..t.end as usize];
        depth += i32::from(word == "(") - i32::from(word == ")");
        (depth == 0 && ["as", "tablespace"].iter().any(|w| word.eq_ignore_ascii_case(w))).then_some(t.start as usize)
    })
}
