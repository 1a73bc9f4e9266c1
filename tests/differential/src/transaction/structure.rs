//! What surrounds the writes of a transaction: savepoints, reads in the middle, exception blocks, errors, changes of definitions. Called by `plan`.

use super::{step, Writer};
use crate::case::{Act, End, Step, Transaction};
use crate::hazards::Hazard;
use crate::schema::{self, Kind};

impl Writer<'_> {
    fn early_tview(&mut self) -> Option<usize> {
        let able: Vec<usize> =
            (0..self.views.len()).filter(|&i| self.views[i].is_tview && !self.views[i].late).collect();
        self.dice.maybe(&able).copied()
    }

    fn read(&mut self) -> Vec<Step> {
        match self.early_tview() {
            Some(view) => {
                let group = self.next_group();
                vec![step(Act::Read(view), &[Hazard::ReadInside], group)]
            }
            None => vec![],
        }
    }

    fn writes(&mut self) -> (Vec<Step>, Vec<Step>) {
        if self.dice.chance(45) {
            self.scenario()
        } else {
            (vec![], self.statement())
        }
    }

    /// The steps of a transaction, and those of one before it.
    pub fn body(&mut self) -> (Vec<Step>, Vec<Step>) {
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
                20..=22 => s.extend(self.maintenance()),
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
            _ => &[Hazard::SavepointRelease],
        };
        out.push(step(if rolled { Act::RollbackTo(name) } else { Act::Release(name) }, hazards, group));
        out
    }

    fn exception_block(&mut self, inner: Vec<Step>) -> Vec<Step> {
        let mut body = String::new();
        for s in &inner {
            match &s.act {
                Act::Sql(sql) => body += &format!("        {sql};\n"),
                _ => return inner,
            }
        }
        let view = self.early_tview().map(|v| self.views[v].name.clone());
        let read = match view {
            Some(view) if self.dice.chance(40) => {
                format!("        PERFORM count(*) FROM {view};\n")
            }
            _ => String::new(),
        };
        let raise = if self.dice.chance(60) { "        RAISE EXCEPTION 'on purpose';\n" } else { "" };
        let after = self.table();
        let after = self.insert(after);
        let sql = format!("DO $do$\nBEGIN\n    BEGIN\n{body}{read}{raise}    EXCEPTION WHEN raise_exception OR integrity_constraint_violation OR data_exception THEN\n        NULL;\n    END;\n    {after};\nEND $do$");
        self.one(sql, &[Hazard::ExceptionBlock])
    }

    /// A value changed and changed back by the same transaction.
    fn back_and_forth(&mut self) -> Vec<Step> {
        let table = self.table();
        let t = &self.schema.tables[table];
        let Some(c) = t.columns.iter().find(|c| c.ty == crate::types::Ty::Int && !c.generated && c.fk.is_none()) else {
            return self.statement();
        };
        let (name, column) = (t.name.clone(), c.name.clone());
        self.several(
            vec![
                format!("UPDATE {name} SET {column} = {column} + 100 WHERE {column} < 100"),
                format!("UPDATE {name} SET {column} = {column} - 100 WHERE {column} >= 100"),
            ],
            &[Hazard::BackToOriginal],
        )
    }

    fn maintenance(&mut self) -> Vec<Step> {
        let Some(view) = self.early_tview() else {
            return vec![];
        };
        let name = self.views[view].name.clone();
        let group = self.next_group();
        match self.dice.below(3) {
            0 => vec![step(Act::Native(format!("SELECT tviews.rebuild('{name}')")), &[Hazard::Rebuild], group)],
            1 => vec![step(Act::Sql(format!("REFRESH MATERIALIZED VIEW {name}")), &[Hazard::Refresh], group)],
            _ => vec![step(Act::Native("SELECT tviews.flush()".into()), &[], group)],
        }
    }

    /// A transaction after which no TVIEW may have been written.
    pub fn no_change(&mut self) -> Transaction {
        let table = self.table();
        let t = self.schema.tables[table].clone();
        let predicate = self.predicate(table);
        let which = t.writable();
        let plain: Vec<usize> = which.iter().copied().filter(|&i| t.columns[i].ty.has_equality()).collect();
        let steps = match self.dice.below(3) {
            0 => self.one(
                format!("UPDATE {} SET {n} = coalesce({n}, 0) + 1 WHERE {predicate}", t.name, n = t.note),
                &[Hazard::UnusedColumn, Hazard::Untouched],
            ),
            1 => {
                let column = &t.columns[*self.dice.pick(&which)].name;
                self.one(
                    format!("UPDATE {} SET {column} = {column} WHERE {predicate}", t.name),
                    &[Hazard::NoOpUpdate, Hazard::Untouched],
                )
            }
            _ if !plain.is_empty() && t.columns.iter().all(|c| c.fk.is_none()) && !t.referenced => {
                let list = t.list(&which);
                let sql = format!("WITH gone AS (DELETE FROM {0} WHERE {predicate} RETURNING *) INSERT INTO {0} ({list}) SELECT {list} FROM gone", t.name);
                self.one(sql, &[Hazard::UpdateIsDeleteInsert, Hazard::Untouched])
            }
            _ => self.one(
                format!("UPDATE {} SET {n} = 0 WHERE {predicate}", t.name, n = t.note),
                &[Hazard::UnusedColumn, Hazard::Untouched],
            ),
        };
        Transaction { isolation: "READ COMMITTED", steps, end: End::Commit, no_change: true }
    }

    /// Changes of the definition of a table. The model follows, for these transactions commit.
    pub fn definition(&mut self) -> Vec<Transaction> {
        let table = self.table();
        let t = self.schema.tables[table].clone();
        let commit =
            |steps: Vec<Step>| Transaction { isolation: "READ COMMITTED", steps, end: End::Commit, no_change: false };
        let more = self.statement();
        let mut steps = if self.dice.chance(50) { more } else { vec![] };
        let kind = match &t.kind {
            Kind::Parted { .. } => self.dice.below(4),
            _ => self.dice.below(2),
        };
        let (sql, hazard): (Vec<String>, Hazard) = match (kind, &t.kind) {
            (2 | 3, Kind::Parted { leaves, bounds, .. }) => {
                let i = self.dice.below(leaves.len());
                let (leaf, bound) = (&leaves[i], &bounds[i]);
                let detach = format!("ALTER TABLE {} DETACH PARTITION {leaf}", t.name);
                let attach = format!("ALTER TABLE {} ATTACH PARTITION {leaf} {bound}", t.name);
                let row = format!("UPDATE {leaf} SET {n} = {n} + 1", n = t.note);
                if kind == 2 {
                    (vec![detach, row, attach], Hazard::AttachDetach)
                } else {
                    let mut first = self.several(vec![detach], &[Hazard::DetachOnly]);
                    first.iter_mut().for_each(|s| s.is_ddl = true);
                    let mut second =
                        self.several(vec![format!("DELETE FROM {leaf} WHERE {} IS NULL", t.note), attach], &[]);
                    second.iter_mut().for_each(|s| s.is_ddl = true);
                    return vec![commit(first), commit(second)];
                }
            }
            (0, _) => {
                let name = self.fresh("added_");
                (vec![format!("ALTER TABLE {} ADD COLUMN {name} int DEFAULT 5", t.name)], Hazard::AddColumn)
            }
            _ => {
                let able: Vec<usize> = (0..t.columns.len()).filter(|&i| t.columns[i].fk.is_none()).collect();
                let Some(&column) = self.dice.maybe(&able) else {
                    return vec![];
                };
                let name = self.fresh("renamed_");
                let sql = format!("ALTER TABLE {} RENAME COLUMN {} TO {name}", t.name, t.columns[column].name);
                self.schema.tables[table].columns[column].name = name;
                (vec![sql], Hazard::RenameColumn)
            }
        };
        let mut ddl = self.several(sql, &[hazard]);
        ddl.iter_mut().for_each(|s| s.is_ddl = true);
        // in a transaction of their own: a failing write must not take the definition along, for the model follows it
        steps.iter_mut().for_each(|s| s.hazards.clear());
        if steps.is_empty() || !self.dice.chance(30) {
            return vec![commit(steps), commit(ddl)].into_iter().filter(|t| !t.steps.is_empty()).collect();
        }
        let name = self.fresh("s");
        let group = self.next_group();
        let mut all = vec![step(Act::Savepoint(name.clone()), &[], group)];
        all.extend(steps);
        all.push(step(Act::RollbackTo(name), &[], group));
        all.extend(ddl);
        vec![commit(all)]
    }

    pub fn created_inside(&mut self, view: usize) -> Transaction {
        let group = self.next_group();
        let mut steps = self.statement();
        steps.push(step(Act::Create(view), &[], group));
        let tables: Vec<usize> = self.views[view].facts.tables.iter().copied().collect();
        if let Some(&table) = self.dice.maybe(&tables) {
            let row = schema::insert_row(self.dice, &self.schema, table) + " ON CONFLICT DO NOTHING";
            steps.push(step(Act::Sql(row), &[], group));
        }
        if self.dice.chance(50) {
            steps.push(step(Act::Read(view), &[], group));
        }
        if let Some(last) = steps.last_mut() {
            last.hazards.push(Hazard::CreatedInside);
        }
        Transaction { isolation: "READ COMMITTED", steps, end: End::Commit, no_change: false }
    }

    pub fn dropped_inside(&mut self, view: usize) -> Transaction {
        let group = self.next_group();
        let tables: Vec<usize> = self.views[view].facts.tables.iter().copied().collect();
        let mut steps = vec![];
        if let Some(&table) = self.dice.maybe(&tables) {
            let row = schema::insert_row(self.dice, &self.schema, table) + " ON CONFLICT DO NOTHING";
            steps.push(step(Act::Sql(row), &[], group));
        }
        if self.dice.chance(50) {
            steps.push(step(Act::Read(view), &[], group));
        }
        steps.push(step(Act::Drop(view), &[Hazard::DroppedInside], group));
        Transaction { isolation: "READ COMMITTED", steps, end: End::Commit, no_change: false }
    }
}
