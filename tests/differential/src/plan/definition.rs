//! Changes of the definition of tables and types.
//! Invariant: the model follows, for these transactions commit. Called by `sequence`.

use super::{Planner, step};
use crate::case::{Act, Step, Transaction};
use crate::hazards::Hazard;
use crate::schema::{Kind, Table};

impl Planner<'_> {
    pub fn definition(&mut self) -> Vec<Transaction> {
        let trees: Vec<usize> =
            (0..self.schema.tables.len()).filter(|&i| self.schema.tables[i].kind != Kind::Plain).collect();
        let tree = self.dice.maybe(&trees).copied().filter(|_| self.dice.chance(50));
        let table = tree.unwrap_or_else(|| self.table());
        let t = self.schema.tables[table].clone();
        let mut steps = if self.dice.chance(50) { self.statement() } else { vec![] };
        let (sql, hazard): (Vec<String>, Hazard) = match (self.dice.below(14), &t.kind) {
            (0..=2 | 11, Kind::Parted { leaves, bounds, .. }) => {
                let i = self.dice.below(leaves.len());
                let (leaf, bound) = (&leaves[i], &bounds[i]);
                let detach = format!("ALTER TABLE {} DETACH PARTITION {leaf}", t.name);
                let attach = format!("ALTER TABLE {} ATTACH PARTITION {leaf} {bound}", t.name);
                if self.dice.chance(50) {
                    let row = format!("UPDATE {leaf} SET {n} = {n} + 1", n = t.note);
                    (vec![detach, row, attach], Hazard::AttachDetach)
                } else {
                    let delete = format!("DELETE FROM {leaf} WHERE {} IS NULL", t.note);
                    return self.in_two(vec![detach], vec![delete, attach], Hazard::DetachOnly);
                }
            }
            (0..=2 | 11, Kind::Parent { child }) => {
                let no = format!("ALTER TABLE {child} NO INHERIT {}", t.name);
                let inherit = format!("ALTER TABLE {child} INHERIT {}", t.name);
                let write = format!("UPDATE {child} SET child_extra = 3");
                if self.dice.chance(50) {
                    (vec![no, write, inherit], Hazard::Inherit)
                } else {
                    return self.in_two(vec![no], vec![write, inherit], Hazard::Inherit);
                }
            }
            (3, _) => self.with_triggers_off(&t, table),
            (4, _) if !self.schema.has_trigger => {
                let to = self.fresh("moved_");
                self.schema.tables[table].name = to.clone();
                (vec![format!("ALTER TABLE {} RENAME TO {to}", t.name)], Hazard::RenameTable)
            }
            (5 | 11, Kind::Plain) => {
                let name = self.fresh("short_lived_");
                let add = format!("ALTER TABLE {} ADD COLUMN {name} int DEFAULT 5", t.name);
                let drop = format!("ALTER TABLE {} DROP COLUMN {name}", t.name);
                return self.in_two(vec![add], vec![drop], Hazard::DropColumn);
            }
            (0 | 6 | 13, Kind::Plain) if !t.referenced && t.columns.iter().all(|c| c.fk.is_none()) => (
                vec![format!("ALTER TABLE {} SET {}", t.name, self.dice.pick(&["UNLOGGED", "LOGGED"]))],
                Hazard::Rewrite,
            ),
            (7, _) => {
                let able: Vec<usize> = (0..t.columns.len()).filter(|&i| t.columns[i].fk.is_none()).collect();
                let Some(&column) = self.dice.maybe(&able) else {
                    return vec![];
                };
                let name = self.fresh("renamed_");
                let sql = format!("ALTER TABLE {} RENAME COLUMN {} TO {name}", t.name, t.columns[column].name);
                self.schema.tables[table].columns[column].name = name;
                (vec![sql], Hazard::RenameColumn)
            }
            (9 | 10 | 12, _) => {
                let other = self.fresh("other_");
                match self.dice.below(3) {
                    0 => {
                        let place = *self.dice.pick(&["BEFORE", "AFTER"]);
                        let add = format!("ALTER TYPE mood ADD VALUE '{other}' {place} 'ok'");
                        return vec![Transaction::new(self.ddl(vec![add], &[Hazard::LabelAdded]))];
                    }
                    1 => {
                        let (add, drop) = (format!("ADD ATTRIBUTE {other} int"), format!("DROP ATTRIBUTE {other}"));
                        let alter = |what: String| vec![format!("ALTER TYPE pair {what}")];
                        return self.in_two(alter(add), alter(drop), Hazard::AttributeAdded);
                    }
                    _ => {}
                }
                // There and back: values and queries of the model know the old names.
                let (there, back) = match self.dice.below(2) {
                    0 => (format!("VALUE 'ok' TO '{other}'"), format!("VALUE '{other}' TO 'ok'")),
                    _ => (format!("ATTRIBUTE b TO {other}"), format!("ATTRIBUTE {other} TO b")),
                };
                let ty = if there.starts_with("VALUE") { "mood" } else { "pair" };
                let rename = |what: String| vec![format!("ALTER TYPE {ty} RENAME {what}")];
                return self.in_two(rename(there), rename(back), Hazard::TypeChanged);
            }
            _ => {
                let name = self.fresh("added_");
                (vec![format!("ALTER TABLE {} ADD COLUMN {name} int DEFAULT 5", t.name)], Hazard::AddColumn)
            }
        };
        let ddl = self.ddl(sql, &[hazard]);
        // in a transaction of their own: a failing write must not take the definition along, for the model follows it
        steps.iter_mut().for_each(|s| s.hazards.clear());
        if steps.is_empty() || !self.dice.chance(30) {
            let all = vec![Transaction::new(steps), Transaction::new(ddl)];
            return all.into_iter().filter(|t| !t.steps.is_empty()).collect();
        }
        let name = self.fresh("s");
        let group = self.next_group();
        let mut all = vec![step(Act::Savepoint(name.clone()), &[], group)];
        all.extend(steps);
        all.push(step(Act::RollbackTo(name), &[], group));
        all.extend(ddl);
        vec![Transaction::new(all)]
    }

    /// Statements that change definitions.
    pub(super) fn ddl(&mut self, sql: Vec<String>, hazards: &[Hazard]) -> Vec<Step> {
        let mut steps = self.several(sql, hazards);
        steps.iter_mut().for_each(|s| s.is_ddl = true);
        steps
    }

    /// Two transactions, the second of which takes back what the first has done.
    pub(super) fn in_two(&mut self, first: Vec<String>, second: Vec<String>, hazard: Hazard) -> Vec<Transaction> {
        let (first, second) = (self.ddl(first, &[hazard]), self.ddl(second, &[]));
        vec![Transaction::new(first), Transaction::new(second)]
    }

    /// A write while the table's triggers are switched off.
    fn with_triggers_off(&mut self, t: &Table, table: usize) -> (Vec<String>, Hazard) {
        let which = *self.dice.pick(&["USER", "ALL"]);
        // without triggers, nothing checks foreign keys either
        let safe = !t.referenced && t.columns.iter().all(|c| c.fk.is_none());
        let which = if safe { which } else { "USER" };
        let predicate = self.predicate(table);
        let column = &t.columns[*self.dice.pick(&t.writable())].name;
        let write = match self.dice.below(2) {
            0 => format!("DELETE FROM {} WHERE {predicate}", t.name),
            _ => format!("UPDATE {} SET {column} = {column}, {n} = {n} + 1 WHERE {predicate}", t.name, n = t.note),
        };
        let switch = |word: &str| format!("ALTER TABLE {} {word} TRIGGER {which}", t.name);
        (vec![switch("DISABLE"), write, switch("ENABLE")], Hazard::TriggersOff)
    }
}
