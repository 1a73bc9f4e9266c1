//! `tviews convert`: rewrites scripts, statement by statement, so that what they refresh or keep up to date becomes TVIEWs.
//!
//! Invariant: an edit replaces a part of one statement whose meaning is known from its parse tree; everything else, comments and formatting included,
//! keeps its bytes. What was recognised and is left alone is told with its reason. Called by main.

mod bodies;
mod call;
mod cron;
mod diff;
mod immv;
mod matview;
mod pg_tviews;
mod stream;
mod triggers;

use crate::arguments::{Convert, From};
use crate::lint::schema::Schema;
use crate::outcome::Outcome;
use crate::script::{Script, Statement, files};
use anyhow::{Context, Result};

/// A change of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub start: usize,
    pub end: usize,
    pub with: String,
}

/// What a recogniser makes of a statement.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    Nothing,
    /// Places count from the beginning of the statement.
    Edits(Vec<Edit>),
    /// Recognised and left alone, for this reason.
    Left(String),
}

impl Found {
    /// The whole statement, with the comments inside of it before it.
    pub fn replaced(script: &Script, statement: &Statement, with: String) -> Found {
        let text = script.text_of(statement);
        let comments: String =
            statement.tree.iter().flat_map(|t| &t.tokens).filter(|t| crate::script::tree::is_comment(t)).fold(
                String::new(),
                |mut all, t| {
                    all.push_str(text[t.start as usize..t.end as usize].trim_end());
                    all.push('\n');
                    all
                },
            );
        Found::Edits(vec![Edit { start: 0, end: text.len(), with: comments + &with }])
    }
}

/// What all recognisers know.
pub struct Scripts {
    pub from: From,
    pub schema: Schema,
    pub views: matview::Views,
    pub triggers: triggers::Triggers,
}

impl Scripts {
    pub fn is_from(&self, from: From) -> bool {
        self.from == From::Auto || self.from == from
    }
}

/// A statement that is left alone.
struct Left {
    file: usize,
    at: usize,
    why: String,
}

type Recogniser = fn(&Scripts, &Script, &Statement) -> Found;

/// The first that makes something of a statement counts.
const RECOGNISERS: [(From, Recogniser); 7] = [
    (From::Matview, matview::recognise),
    (From::Matview, cron::recognise),
    (From::PgTviews, pg_tviews::recognise),
    (From::PgIvm, immv::recognise),
    (From::PgStream, stream::recognise),
    (From::Matview, triggers::recognise),
    (From::Auto, bodies::recognise),
];

/// What comes out for a set of files: the edits of each, and what is left.
struct Converted {
    edits: Vec<Vec<Edit>>,
    left: Vec<Left>,
}

pub fn run(arguments: &Convert) -> Result<Outcome> {
    let scripts = files(&arguments.files)?.iter().map(|p| Script::read(p)).collect::<Result<Vec<_>>>()?;
    let Converted { edits, left } = convert(&scripts, arguments.from);
    let edited: usize = edits.iter().map(Vec::len).sum();
    for (script, edits) in scripts.iter().zip(edits).filter(|(_, e)| !e.is_empty()) {
        let text = applied(&script.text, edits);
        print!("{}", diff::unified(&script.path, &script.text, &text));
        if arguments.write {
            std::fs::write(&script.path, text)
                .with_context(|| format!("{} cannot be written", script.path.display()))?;
        }
    }
    for left in &left {
        let script = &scripts[left.file];
        eprintln!("{}:{}: {}", script.path.display(), script.line(left.at), left.why);
    }
    let what = if arguments.write { "rewritten" } else { "to rewrite" };
    eprintln!("{edited} {what}, {} left alone", left.len());
    Ok(if left.is_empty() { Outcome::Good } else { Outcome::Found })
}

fn convert(scripts: &[Script], from: From) -> Converted {
    let schema = Schema::new(scripts);
    let jobs = cron::jobs(scripts);
    let views = matview::Views::new(&schema, &jobs, from);
    let context = Scripts { from, triggers: triggers::Triggers::new(scripts), schema, views };
    let mut left = Vec::new();
    let edits = scripts.iter().enumerate().map(|(file, script)| edits(&context, script, file, &mut left)).collect();
    Converted { edits, left }
}

/// The edits of one file, in its order.
fn edits(context: &Scripts, script: &Script, file: usize, left: &mut Vec<Left>) -> Vec<Edit> {
    let mut edits = Vec::new();
    for statement in &script.statements {
        if let Err(why) = &statement.tree {
            left.push(Left { file, at: statement.start, why: format!("not read: {why}") });
            continue;
        }
        for (from, recognise) in RECOGNISERS {
            if from != From::Auto && !context.is_from(from) {
                continue;
            }
            match recognise(context, script, statement) {
                Found::Nothing => continue,
                Found::Edits(found) => {
                    let moved = |e: Edit| Edit { start: e.start + statement.start, end: e.end + statement.start, ..e };
                    edits.extend(found.into_iter().map(moved));
                }
                Found::Left(why) => left.push(Left { file, at: statement.start, why }),
            }
            break;
        }
    }
    edits
}

fn applied(text: &str, edits: Vec<Edit>) -> String {
    let (mut made, mut at) = (String::new(), 0);
    for edit in edits {
        made.push_str(&text[at..edit.start]);
        made.push_str(&edit.with);
        at = edit.end;
    }
    made + &text[at..]
}

#[cfg(test)]
mod tests;
