//! What surrounds the writes of a transaction: savepoints, reads in the middle, exception blocks, functions, errors.
//! Invariant: the hazards of writes that are taken back are not counted. Called by `sequence`.

use super::scenario::Scenario;
use super::{Planner, step};
use crate::case::{Act, Step};
use crate::hazards::Hazard;
use crate::query::Base;
use crate::types::Ty;

impl Planner<'_> {
    pub fn early_tview(&mut self) -> Option<usize> {
        let able: Vec<usize> =
            (0..self.views.len()).filter(|&i| self.views[i].is_tview && !self.views[i].late).collect();
        self.dice.maybe(&able).copied()
    }

    fn read(&mut self) -> Vec<Step> {
        let group = self.next_group();
        if self.dice.chance(30) {
            return vec![step(Act::ReadAll, &[Hazard::ReadInside], group)];
        }
        match self.early_tview() {
            Some(view) => vec![step(Act::Read(view), &[Hazard::ReadInside], group)],
            None => vec![],
        }
    }

    fn writes(&mut self) -> Scenario {
        match self.dice.below(100) {
            0..=44 => self.scenario(),
            45..=52 => (vec![], self.all_tables()),
            _ => (vec![], self.statement()),
        }
    }

    /// One write to each table that a TVIEW reads, in any order.
    fn all_tables(&mut self) -> Vec<Step> {
        let Some(view) = self.early_tview() else {
            return self.statement();
        };
        let mut tables: Vec<usize> = self.views[view].facts.tables.iter().copied().collect();
        if tables.len() < 3 {
            tables = (0..self.schema.tables.len()).collect();
        }
        self.dice.shuffle(&mut tables);
        tables.into_iter().flat_map(|table| self.simple(table)).collect()
    }

    /// An INSERT, UPDATE or DELETE of few rows.
    fn simple(&mut self, table: usize) -> Vec<Step> {
        match self.dice.below(5) {
            0 | 1 => {
                let sql = self.insert(table);
                self.one(sql, &[])
            }
            2 | 3 => self.update(table),
            _ => {
                let predicate = self.predicate(table);
                self.one(format!("DELETE FROM {} WHERE {predicate}", self.schema.tables[table].name), &[])
            }
        }
    }

    /// The steps of a transaction, and the steps of a transaction before it.
    pub fn body(&mut self) -> Scenario {
        let (mut before, mut steps) = (vec![], vec![]);
        for _ in 0..self.dice.weighted(&[(40, 1), (25, 2), (20, 3), (15, 5)]) {
            let (b, mut s) = self.writes();
            before.extend(b);
            match self.dice.below(100) {
                0..=9 => s = self.savepoint(s),
                10..=15 => s = self.exception_block(s),
                16..=18 => s = self.back_and_forth(),
                19 => {
                    let group = self.next_group();
                    s.push(step(Act::Sql("SELECT 1 / 0".into()), &[], group));
                }
                20..=23 => s.extend(self.maintenance()),
                24 | 25 => s = self.in_function(s),
                26 | 27 => s = self.read_beside(s),
                28 => s.extend(self.peek_in_write()),
                29 => s.extend(self.peeked_and_gone()),
                _ => {}
            }
            steps.extend(s);
            if self.dice.chance(22) {
                steps.extend(self.read());
            }
        }
        (before, steps)
    }

    fn savepoint(&mut self, inner: Vec<Step>) -> Vec<Step> {
        let name = self.fresh("s");
        let group = self.next_group();
        let mut out = vec![step(Act::Savepoint(name.clone()), &[], group)];
        let mut inner = inner;
        let rolled = self.dice.chance(65);
        let read = self.dice.chance(50);
        if self.dice.chance(20) {
            inner = self.savepoint(inner);
        }
        if rolled {
            inner.iter_mut().for_each(|s| s.hazards.clear());
        }
        out.extend(inner);
        if read {
            let mut r = self.read();
            r.iter_mut().for_each(|s| s.group = group);
            out.extend(r);
        }
        let hazards: &[Hazard] = match (rolled, read) {
            (true, true) => &[Hazard::SavepointRollback, Hazard::SavepointFlush],
            (true, false) => &[Hazard::SavepointRollback],
            (false, true) => &[Hazard::SavepointRelease, Hazard::SavepointReleaseFlush],
            (false, false) => &[Hazard::SavepointRelease],
        };
        out.push(step(if rolled { Act::RollbackTo(name) } else { Act::Release(name) }, hazards, group));
        out
    }

    /// The statements of steps that have nothing else, so that they can be put into a function.
    fn plain_sql(steps: &[Step]) -> Option<Vec<String>> {
        let sql = |s: &Step| match &s.act {
            Act::Sql(sql) if !sql.starts_with("DO ") && !sql.starts_with("TRUNCATE") => Some(sql.clone()),
            _ => None,
        };
        steps.iter().map(sql).collect()
    }

    fn exception_block(&mut self, inner: Vec<Step>) -> Vec<Step> {
        let Some(writes) = Self::plain_sql(&inner) else {
            return inner;
        };
        let body: String = writes.iter().map(|sql| format!("        {sql};\n")).collect();
        let view = self.early_tview().map(|v| self.views[v].name.clone());
        let (read, hazards): (String, &[Hazard]) = match view {
            Some(view) if self.dice.chance(50) => (
                format!("        PERFORM count(*) FROM {view};\n"),
                &[Hazard::ExceptionBlock, Hazard::ExceptionAfterRead],
            ),
            _ => (String::new(), &[Hazard::ExceptionBlock]),
        };
        let raise = if self.dice.chance(60) { "        RAISE EXCEPTION 'on purpose';\n" } else { "" };
        let after = self.table();
        let after = self.insert(after);
        let sql = format!(
            "DO $do$\nBEGIN\n    BEGIN\n{body}{read}{raise}    EXCEPTION WHEN raise_exception OR integrity_constraint_violation OR data_exception THEN\n        NULL;\n    END;\n    {after};\nEND $do$"
        );
        self.one(sql, hazards)
    }

    /// The writes in a function that compares a TVIEW between them, all within one statement.
    fn in_function(&mut self, inner: Vec<Step>) -> Vec<Step> {
        match (self.early_tview(), Self::plain_sql(&inner)) {
            (Some(view), Some(writes)) => {
                let group = self.next_group();
                vec![step(Act::ReadInFunction { view, writes }, &[Hazard::ReadInFunction], group)]
            }
            _ => inner,
        }
    }

    /// The first write as a CTE of the statement that compares a TVIEW.
    fn read_beside(&mut self, inner: Vec<Step>) -> Vec<Step> {
        let first = inner.first().map(|s| s.act.clone());
        match (self.early_tview(), first) {
            (Some(view), Some(Act::Sql(write)))
                if ["INSERT", "UPDATE", "DELETE"].iter().any(|w| write.starts_with(w)) =>
            {
                let group = self.next_group();
                let act = Act::ReadBeside { view, write: format!("{write} RETURNING 1") };
                let mut out = vec![step(act, &[Hazard::ReadBesideWrite], group)];
                out.extend(inner.into_iter().skip(1));
                out
            }
            _ => inner,
        }
    }

    /// An UPDATE or INSERT that reads a TVIEW for the last of its rows, while a partner of them is pending.
    fn peek_in_write(&mut self) -> Vec<Step> {
        let mut joins = vec![];
        for (i, v) in self.views.iter().enumerate().filter(|(_, v)| v.is_tview && !v.late) {
            joins.extend(v.facts.joins.iter().filter(|(l, r, _)| l.0 != r.0).map(|(l, r, _)| (i, *l, *r)));
        }
        let integer = |planner: &Self, (t, c): Base| {
            let column = &planner.schema.tables[t].columns[c];
            column.ty == Ty::Int && !column.generated && column.fk.is_none()
        };
        joins.retain(|(_, l, r)| integer(self, *l) && integer(self, *r));
        let Some((view, left, right)) = self.dice.maybe(&joins).copied() else {
            return vec![];
        };
        let (left, right) = if self.dice.chance(50) { (left, right) } else { (right, left) };
        let value = self.value_of(left.0, left.1);
        let mut steps = vec![];
        for base in [right, right, left] {
            let row = self.insert_with(base.0, base.1, &value);
            steps.extend(self.one(row, &[]));
        }
        let t = &self.schema.tables[right.0];
        let (name, column, which) = (t.name.clone(), t.columns[right.1].name.clone(), t.writable());
        let (list, or_nothing) = (t.list(&which), t.or_nothing());
        // when some rows are written and others not
        let peek = format!("fuzz.peek_{view}(ctid = (SELECT max(ctid) FROM {name}))");
        let write = if self.dice.chance(75) {
            format!("UPDATE {name} SET {column} = {column} + 1 + {peek}")
        } else {
            let selected = t.list_with(&which, right.1, &format!("{column} + {peek}"));
            format!("INSERT INTO {name} ({list}) SELECT {selected} FROM {name}{or_nothing}")
        };
        let group = self.next_group();
        steps.push(step(Act::PeekInWrite { view, write }, &[Hazard::PeekInWrite], group));
        steps
    }

    /// A row that comes, is followed by a flush inside of a statement that writes, and goes again.
    fn peeked_and_gone(&mut self) -> Vec<Step> {
        let Some(view) = self.early_tview() else { return vec![] };
        let tables: Vec<usize> = self.views[view].facts.tables.iter().copied().collect();
        let Some(table) = self.dice.maybe(&tables).copied() else { return vec![] };
        let columns = &self.schema.tables[table].columns;
        let Some(c) = columns.iter().position(|c| c.ty == Ty::Int && !c.generated && c.fk.is_none()) else {
            return vec![];
        };
        let value = self.value_of(table, c);
        let insert = self.insert_with(table, c, &value);
        let mut steps = self.one(insert, &[]);
        let t = &self.schema.tables[table];
        let (name, column) = (t.name.clone(), t.columns[c].name.clone());
        let end = |which: &str| format!("ctid = (SELECT {which}(ctid) FROM {name})");
        let write = format!("UPDATE {name} SET {column} = {column} + 0 * fuzz.peek_{view}(true) WHERE {}", end("min"));
        let delete = format!("DELETE FROM {name} WHERE {}", end("max"));
        let group = self.next_group();
        steps.push(step(Act::PeekInWrite { view, write }, &[Hazard::PeekedAndGone], group));
        steps.extend(self.one(delete, &[]));
        steps
    }

    /// A value changed and changed back by the same transaction.
    fn back_and_forth(&mut self) -> Vec<Step> {
        let table = self.table();
        let t = &self.schema.tables[table];
        let Some(c) = t.columns.iter().find(|c| c.ty == Ty::Int && !c.generated && c.fk.is_none()) else {
            return self.statement();
        };
        let sql = there_and_back(&t.name, &c.name);
        self.several(sql, &[Hazard::BackToOriginal])
    }
}

/// Two updates of an integer column of few values, of which the second one takes the first one back.
pub(super) fn there_and_back(table: &str, column: &str) -> Vec<String> {
    vec![
        format!("UPDATE {table} SET {column} = {column} + 20000 WHERE {column} < 15000"),
        format!("UPDATE {table} SET {column} = {column} - 20000 WHERE {column} >= 15000"),
    ]
}
