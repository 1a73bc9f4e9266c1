//! One case: a schema, views over it, transactions. Plain data, so that it can be replayed and made smaller.
//! Invariant: everything follows from the seed; nothing asks the server. Built here; run by `run`, cut by `shrink`.

use crate::dice::Dice;
use crate::features::Features;
use crate::hazards::{Hazard, RARE};
use crate::query::{Facts, Gen, Nesting, Query, Source};
use crate::run::Mode;
use crate::schema::Schema;
use crate::{schema, transaction};
use std::collections::BTreeSet;

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
    pub fn create(&self, mode: Mode) -> String {
        let Query { sql, .. } = &self.query;
        match (self.is_tview && !mode.without_tviews, mode.baseline) {
            (false, _) => format!("CREATE VIEW {} AS {sql}", self.name),
            (true, true) => format!("CREATE MATERIALIZED VIEW {} AS {sql}", self.name),
            (true, false) => format!("CREATE TVIEW {}{} AS {sql}", self.name, self.options),
        }
    }

    pub fn drop(&self, mode: Mode) -> String {
        let what = match (self.is_tview && !mode.without_tviews, mode.baseline) {
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
    /// compare all
    ReadAll,
    /// the same while a data-modifying CTE of the statement writes
    ReadBeside {
        view: usize,
        write: String,
    },
    /// compare between writes, in a function that one statement calls
    ReadInFunction {
        view: usize,
        writes: Vec<String>,
    },
    /// a write that calls `fuzz.peek_N(when)`, which reads a view
    PeekInWrite {
        view: usize,
        write: String,
    },
    /// create a trigger of the user's on this table that reads a view
    ReadInTrigger {
        view: usize,
        table: String,
        trigger: String,
        for_each_row: bool,
        /// it can run before the rows of its statement are captured, and then compares nothing
        early: bool,
    },
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
    /// the same write without UPDATE
    pub as_delete_insert: Option<String>,
    /// changes definitions, so the text of queries is asked from the server from now on
    pub is_ddl: bool,
    /// is taken back, and then done for real: left out where a case is run in other batches
    pub is_rehearsal: bool,
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
    /// under session_replication_role = replica
    pub replica: bool,
    pub steps: Vec<Step>,
    pub end: End,
    /// nothing that a TVIEW shows changes: its rows must be left untouched
    pub no_change: bool,
}

#[derive(Clone, Debug)]
pub struct Case {
    pub ddl: Vec<String>,
    pub rows: Vec<String>,
    /// triggers of the user's, created after the rows
    pub triggers: Vec<String>,
    pub schema: Schema,
    pub views: Vec<View>,
    pub transactions: Vec<Transaction>,
    pub conditions: Conditions,
    pub hazards: Vec<Hazard>,
    /// follow every row of the TVIEWs: which are written, and by which transaction
    pub watched: bool,
}

/// Under which settings and roles a case runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions {
    /// the writer's settings are not those under which TVIEWs are computed
    pub odd_settings: bool,
    /// the writer is no superuser, and may not write TVIEWs
    pub writer: bool,
    /// the TVIEWs belong to somebody who is no superuser and does not own the tables
    pub owner: bool,
    /// that owner does not see all rows
    pub row_security: bool,
    /// definitions are changed by another session than the one that writes, and has its plans
    pub pool: bool,
    /// the number of one more setting that the writer has changed
    pub setting: Option<usize>,
}

impl Conditions {
    fn random(dice: &mut Dice) -> Conditions {
        let (owner, odd_settings, writer) = (dice.chance(10), dice.chance(18), dice.chance(8));
        Conditions {
            odd_settings,
            writer,
            owner,
            row_security: owner && dice.chance(50),
            pool: !owner && !odd_settings && !writer && dice.chance(40),
            setting: (odd_settings && dice.chance(70)).then(|| dice.below(1000)),
        }
    }

    /// What has to be there for the roles, once the tables are.
    pub fn setup(&self, schema: &Schema) -> Vec<String> {
        let mut all = vec![];
        for (role, wanted) in [("fuzz_owner", self.owner), ("fuzz_writer", self.writer)] {
            if !wanted {
                continue;
            }
            all.push(format!(
                "DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            ));
            all.push(format!("GRANT ALL ON SCHEMA fuzz TO {role}"));
            all.push(format!("GRANT ALL ON ALL TABLES IN SCHEMA fuzz TO {role}"));
            all.push(format!("ALTER DEFAULT PRIVILEGES IN SCHEMA fuzz GRANT SELECT, TRIGGER ON TABLES TO {role}"));
        }
        if self.writer && self.owner {
            all.push(
                "ALTER DEFAULT PRIVILEGES FOR ROLE fuzz_owner IN SCHEMA fuzz GRANT SELECT ON TABLES TO fuzz_writer"
                    .into(),
            );
        }
        if self.writer {
            all.push("ALTER ROLE fuzz_writer BYPASSRLS".into());
        }
        if self.row_security {
            let t = &schema.tables[0];
            if let Some(c) = t.columns.iter().find(|c| c.ty == crate::types::Ty::Int) {
                all.push(format!("ALTER TABLE {} ENABLE ROW LEVEL SECURITY", t.name));
                all.push(format!("CREATE POLICY visible ON {} USING ({} IS DISTINCT FROM 1)", t.name, c.name));
            }
        }
        all
    }
}

impl Transaction {
    pub fn new(steps: Vec<Step>) -> Transaction {
        Transaction { isolation: "READ COMMITTED", replica: false, steps, end: End::Commit, no_change: false }
    }
}

/// Of some drafts the one with most of what is rare, for its size: so that no hazard is left out of runs of minutes.
pub fn build(seed: u64, features: Features) -> Case {
    let drafts = (0..DRAFTS).map(|n| draft(seed.wrapping_add(n << 50), features));
    let score = |case: &Case| {
        let rare = case.planned().into_iter().filter(|h| RARE.contains(h)).count();
        let deep: usize = case.tviews().map(|v| Nesting::rare(&v.query.sql)).sum();
        (rare + deep) * 1000 / (4 + case.views.len() + case.transactions.len() / 6)
    };
    drafts.rev().max_by_key(score).unwrap_or_else(|| draft(seed, features))
}

const DRAFTS: u64 = 4;

fn draft(seed: u64, features: Features) -> Case {
    let dice = &mut Dice::new(seed);
    let (schema, built) = schema::build(dice, features);
    let mut views: Vec<View> = vec![];
    let mut sources: Vec<Source> = vec![];
    let plain = if dice.chance(25) { 1 } else { 0 };
    let count = dice.weighted(&[(30, 1), (35, 2), (25, 3), (10, 4)]);
    let late = dice.chance(12);
    for number in 0..plain + count + usize::from(late) {
        let is_tview = number >= plain;
        let is_late = late && number == plain + count;
        let depth = if schema.large { 1 } else { dice.weighted(&[(14, 0), (34, 1), (27, 2), (25, 3)]) };
        let mut query_gen = Gen::new(dice, &schema, &sources);
        let query = query_gen.query(depth);
        let mut facts = std::mem::take(&mut query_gen.facts);
        let mut options = String::new();
        if is_tview && dice.chance(12) {
            options = " WITH (logged)".into();
            facts.hazards.insert(Hazard::LoggedOption);
        } else if is_tview && dice.chance(8) {
            options = " WITH (approximate)".into();
            facts.hazards.insert(Hazard::ApproximateOption);
        } else if is_tview && dice.chance(6) {
            options = " WITH (mode = full)".into();
            facts.hazards.insert(Hazard::FullMode);
        } else if is_tview && dice.chance(3) {
            options = " WITH (mode = incremental)".into();
            facts.hazards.insert(Hazard::IncrementalMode);
        }
        let name = if dice.chance(10) { format!("\"Odd view {number}\"") } else { format!("tv_{number}") };
        let several: Vec<&View> = views.iter().filter(|v| v.is_tview && facts.sources.contains(&v.name)).collect();
        if several.len() >= 2 || several.iter().any(|v| v.facts.tables.intersection(&facts.tables).next().is_some()) {
            facts.hazards.insert(Hazard::Diamond);
        }
        if !is_late && !schema.large {
            let hazard = Some(if is_tview { Hazard::TviewSource } else { Hazard::ViewSource });
            sources.push(Source { name: name.clone(), columns: query.columns.clone(), hazard });
        }
        views.push(View { name, is_tview, options, query, facts, late: is_late });
    }
    let conditions = Conditions::random(dice);
    let transactions = transaction::plan(dice, &schema, &views, Some(conditions));
    let watched = !schema.large && dice.chance(40);
    let schema::Built { ddl, rows, triggers, hazards } = built;
    Case { conditions, watched, ddl, rows, triggers, schema, views, transactions, hazards }
}

/// Other transactions over the schema of a case, for several sessions: without changes of definitions, and without TRUNCATE, after which PostgreSQL
/// itself shows older snapshots an empty table.
pub fn transactions(case: &Case, dice: &mut Dice) -> Vec<Transaction> {
    let mut all = transaction::plan(dice, &case.schema, &case.views, None);
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
    fn tviews(&self) -> impl Iterator<Item = &View> {
        self.views.iter().filter(|v| v.is_tview)
    }

    /// The hazards of what it is made of, whether or not its statements will do something.
    fn planned(&self) -> BTreeSet<Hazard> {
        let views = self.tviews().flat_map(|v| &v.facts.hazards);
        let steps = self.transactions.iter().flat_map(|t| &t.steps).flat_map(|s| &s.hazards);
        let unusual = self.tviews().any(|v| !v.facts.unusual.is_empty()).then_some(&Hazard::ScalarTwoRows);
        self.hazards.iter().chain(views).chain(steps).chain(unusual).copied().collect()
    }

    /// The same work without savepoints and rollbacks, one transaction each, or one for each statement.
    pub fn batches(&self, end: End) -> Case {
        let mut case = self.clone();
        case.transactions
            .retain(|t| matches!(t.end, End::Commit | End::PreparedCommit | End::Autocommit) && !t.no_change);
        for t in &mut case.transactions {
            t.steps.retain(|s| matches!(s.act, Act::Sql(_) | Act::Copy { .. }) && !s.is_rehearsal);
            t.end = end;
        }
        case.transactions.retain(|t| !t.steps.is_empty());
        case
    }

    /// The same work with every UPDATE as DELETE and INSERT, if there is one.
    pub fn without_updates(&self) -> Option<Case> {
        let mut case = self.batches(End::Commit);
        let mut any = false;
        for step in case.transactions.iter_mut().flat_map(|t| &mut t.steps) {
            if let Some(sql) = step.as_delete_insert.take() {
                step.act = Act::Sql(sql);
                any = true;
            }
        }
        any.then_some(case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hazards::{self, Counts};

    /// Of 1000 cases. What is counted here comes from the generators alone; what the statements do is counted by a run.
    #[test]
    fn every_hazard_is_planned() {
        let mut counts = Counts::default();
        let mut nesting = Nesting::default();
        for number in 0..1000 {
            let case = build(crate::case_seed(9, number), Features { version: 18, icu: true, citext: true });
            case.planned().into_iter().for_each(|h| counts.add(h));
            case.tviews().for_each(|v| nesting.add_query(&v.query.sql));
        }
        // these are counted from what statements do, and how transactions end
        let planned = |h: &Hazard| !BY_RUNS.contains(h);
        let all = hazards::ALL.iter().filter(|(h, _, _)| planned(h));
        let rare: Vec<_> = all.filter(|(h, _, _)| counts.get(h) < 25).map(|(h, _, _)| (h, counts.get(h))).collect();
        assert!(rare.is_empty(), "planned in fewer than 25 of 1000 cases: {rare:?}");
        assert!(nesting.missing(1000, 50).is_empty());
    }

    const BY_RUNS: &[Hazard] = {
        use Hazard::*;
        &[
            TwoTables,
            ManyTables,
            FourTables,
            Batch16,
            Batch1000,
            Replica,
            ErrorRollback,
            ErrorAtCommit,
            RolledBack,
            PreparedCommit,
            PreparedRollback,
            RepeatableRead,
            Serializable,
            SnapshotRead,
            OtherSettings,
            OneSetting,
            WarmSession,
            OtherWriter,
            OtherOwner,
            RowSecurity,
        ]
    };

    #[test]
    fn a_seed_gives_one_case() {
        let features = Features { version: 18, icu: true, citext: false };
        let text = |seed| format!("{:?}", build(seed, features));
        (0..20).for_each(|seed| assert_eq!(text(seed), text(seed)));
        assert_ne!(text(1), text(2));
    }
}
