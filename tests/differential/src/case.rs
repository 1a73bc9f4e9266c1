//! One case: a schema, views over it, transactions. Plain data, so that it can be replayed and made smaller.
//! Invariant: everything follows from the seed; nothing asks the server. Built here; run by `run`, cut by `shrink`.

use crate::dice::Dice;
use crate::hazards::Hazard;
use crate::query::{Facts, Gen, Query, Source};
use crate::schema::Schema;
use crate::{schema, transaction};

#[derive(Clone, Debug)]
pub struct View {
    pub name: String,
    /// otherwise a plain view, to be a source
    pub is_tview: bool,
    /// ` WITH (…)`, or nothing
    pub options: String,
    pub query: Query,
    pub facts: Facts,
    /// created by a transaction of the case instead of before them
    pub late: bool,
}

impl View {
    pub fn create(&self, baseline: bool) -> String {
        let Query { sql, .. } = &self.query;
        match (self.is_tview, baseline) {
            (false, _) => format!("CREATE VIEW {} AS {sql}", self.name),
            (true, true) => format!("CREATE MATERIALIZED VIEW {} AS {sql}", self.name),
            (true, false) => format!("CREATE TVIEW {}{} AS {sql}", self.name, self.options),
        }
    }

    pub fn drop(&self, baseline: bool) -> String {
        let what = match (self.is_tview, baseline) {
            (false, _) => "VIEW",
            (true, true) => "MATERIALIZED VIEW",
            (true, false) => "TVIEW",
        };
        format!("DROP {what} {}", self.name)
    }
}

#[derive(Clone, Debug)]
pub enum Act {
    Sql(String),
    /// makes sense only with the extension
    Native(String),
    Copy {
        sql: String,
        data: String,
    },
    /// compare this view with its query, here
    Read(usize),
    Create(usize),
    Drop(usize),
    Savepoint(String),
    RollbackTo(String),
    Release(String),
}

#[derive(Clone, Debug)]
pub struct Step {
    pub act: Act,
    pub hazards: Vec<Hazard>,
    /// steps of one group count their hazards only when all of them changed rows
    pub group: u32,
    /// changes definitions, so the text of queries is asked from the server from now on
    pub is_ddl: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Commit,
    Rollback,
    PreparedCommit,
    PreparedRollback,
    /// every statement is a transaction of its own
    Autocommit,
}

#[derive(Clone, Debug)]
pub struct Transaction {
    pub isolation: &'static str,
    pub steps: Vec<Step>,
    pub end: End,
    /// nothing that a TVIEW shows changes: its rows must be left untouched
    pub no_change: bool,
}

#[derive(Clone, Debug)]
pub struct Case {
    pub ddl: Vec<String>,
    pub rows: Vec<String>,
    pub schema: Schema,
    pub views: Vec<View>,
    pub transactions: Vec<Transaction>,
    /// the writer's settings are not those under which TVIEWs are computed
    pub odd_settings: bool,
    pub hazards: Vec<Hazard>,
}

pub fn build(seed: u64) -> Case {
    let dice = &mut Dice::new(seed);
    let built = schema::build(dice);
    let mut views: Vec<View> = vec![];
    let mut sources: Vec<Source> = vec![];
    let plain = if dice.chance(25) { 1 } else { 0 };
    let count = dice.weighted(&[(30, 1), (35, 2), (25, 3), (10, 4)]);
    let late = dice.chance(12);
    for number in 0..plain + count + usize::from(late) {
        let is_tview = number >= plain;
        let is_late = late && number == plain + count;
        let depth = dice.weighted(&[(25, 0), (50, 1), (25, 2)]);
        let mut gen = Gen::new(dice, &built.schema, &sources);
        let query = gen.query(depth);
        let mut facts = std::mem::take(&mut gen.facts);
        let mut options = String::new();
        if is_tview && dice.chance(12) {
            options = " WITH (logged)".into();
            facts.hazards.insert(Hazard::LoggedOption);
        } else if is_tview && dice.chance(6) {
            options = " WITH (mode = full)".into();
            facts.hazards.insert(Hazard::FullMode);
        }
        let name = if dice.chance(10) { format!("\"Odd view {number}\"") } else { format!("tv_{number}") };
        let several: Vec<&View> = views.iter().filter(|v| v.is_tview && facts.sources.contains(&v.name)).collect();
        if several.len() >= 2 || several.iter().any(|v| v.facts.tables.intersection(&facts.tables).next().is_some()) {
            facts.hazards.insert(Hazard::Diamond);
        }
        if !is_late {
            sources.push(Source { name: name.clone(), columns: query.columns.clone(), is_tview });
        }
        views.push(View { name, is_tview, options, query, facts, late: is_late });
    }
    let transactions = transaction::plan(dice, &built.schema, &views, true);
    let odd_settings = dice.chance(20);
    Case {
        odd_settings,
        ddl: built.ddl,
        rows: built.rows,
        schema: built.schema,
        views,
        transactions,
        hazards: built.hazards,
    }
}

/// Other transactions over the schema of a case, for several sessions: without changes of definitions, and without TRUNCATE, after which PostgreSQL
/// itself shows older snapshots an empty table.
pub fn transactions(case: &Case, dice: &mut Dice) -> Vec<Transaction> {
    let mut all = transaction::plan(dice, &case.schema, &case.views, false);
    all.retain(|t| {
        t.steps.iter().all(|s| {
            !s.is_ddl
                && !matches!(s.act, Act::Create(_) | Act::Drop(_) | Act::Native(_))
                && !matches!(&s.act, Act::Sql(sql) if sql.contains("TRUNCATE"))
        })
    });
    all
}

impl Case {
    /// The same work without savepoints and rollbacks, one transaction each, or one for each statement.
    pub fn batches(&self, end: End) -> Case {
        let mut case = self.clone();
        case.transactions
            .retain(|t| matches!(t.end, End::Commit | End::PreparedCommit | End::Autocommit) && !t.no_change);
        for t in &mut case.transactions {
            t.steps.retain(|s| matches!(s.act, Act::Sql(_) | Act::Copy { .. }));
            t.end = end;
        }
        case.transactions.retain(|t| !t.steps.is_empty());
        case
    }
}
