//! The other ways PostgreSQL has to change a table: ON CONFLICT, MERGE, TRUNCATE, COPY, data-modifying CTEs, cascades, writes to leaves.
//! Called by `statement`.

use super::{Planner, step};
use crate::case::{Act, Step};
use crate::hazards::Hazard;
use crate::schema::{self, Kind};
use crate::types::Ty;

impl Planner<'_> {
    pub(super) fn on_conflict(&mut self, table: usize) -> Vec<Step> {
        let t = self.schema.tables[table].clone();
        let targets: Vec<Vec<usize>> = [if t.deferrable { vec![] } else { t.key.clone() }]
            .into_iter()
            .chain(t.unique.iter().map(|&u| vec![u]))
            .filter(|k| !k.is_empty())
            .collect();
        let Some(target) = self.dice.maybe(&targets).cloned() else {
            return self.update(table);
        };
        let row = schema::insert_row(self.dice, &self.schema, table);
        let others: Vec<usize> = t.writable().into_iter().filter(|i| !target.contains(i)).collect();
        let Some(&column) = self.dice.maybe(&others) else {
            return self.update(table);
        };
        let name = &t.columns[column].name;
        self.one(
            format!("{row} ON CONFLICT ({}) DO UPDATE SET {name} = excluded.{name}", t.list(&target)),
            &[Hazard::OnConflictUpdate],
        )
    }

    pub(super) fn merge(&mut self, table: usize) -> Vec<Step> {
        let t = self.schema.tables[table].clone();
        let which = t.writable();
        let on = if t.key.is_empty() { which.clone() } else { t.key.clone() };
        let Some(&on) = on.iter().find(|&&i| t.columns[i].ty.has_equality() && t.columns[i].fk.is_none()) else {
            return self.update(table);
        };
        let others: Vec<usize> = which.iter().copied().filter(|&i| i != on).collect();
        let Some(&set) = self.dice.maybe(&others) else {
            return self.update(table);
        };
        let mut rows = vec![];
        let mut used = vec![];
        for _ in 0..3 {
            let raw = t.columns[on].ty.raw_key(self.dice);
            let raw = if t.key.contains(&on) { raw } else { t.columns[on].ty.raw(self.dice) };
            if !used.contains(&raw) {
                rows.push(format!("({})", t.columns[on].ty.quote(&raw)));
                used.push(raw);
            }
        }
        if t.columns[on].ty.is_ambiguous() {
            rows.truncate(1);
        }
        let value = schema::value(self.dice, &self.schema, table, set);
        let values: Vec<String> = which
            .iter()
            .map(|&i| if i == on { "s.k".into() } else { schema::value(self.dice, &self.schema, table, i) })
            .collect();
        let update = format!("UPDATE SET {} = {value}", t.columns[set].name);
        let condition = self.predicate(table);
        let (when, matched) = match self.dice.below(10) {
            0..=5 => (String::new(), update),
            8 if condition != "true" => {
                (format!(" AND m.{condition}"), format!("DO NOTHING WHEN MATCHED THEN {update}"))
            }
            9 if condition != "true" => (format!(" AND m.{condition}"), format!("DELETE WHEN MATCHED THEN {update}")),
            _ => (String::new(), "DELETE".into()),
        };
        let mut hazards = vec![Hazard::Merge];
        let mut others = String::new();
        if self.schema.features.version >= 17 && self.dice.chance(45) {
            hazards.push(Hazard::MergeBySource);
            let gone = self.predicate(table);
            let gone = if gone == "true" { gone } else { format!("m.{gone}") };
            let what = if self.dice.chance(50) {
                "DELETE".to_string()
            } else {
                format!("UPDATE SET {} = {}", t.columns[set].name, self.value_of(table, set))
            };
            others = format!(" WHEN NOT MATCHED BY SOURCE AND {gone} THEN {what}");
        }
        let sql = format!(
            "MERGE INTO {} AS m USING (VALUES {}) AS s(k) ON m.{} = s.k WHEN MATCHED{when} THEN {matched} WHEN NOT MATCHED THEN INSERT ({}) VALUES ({}){others}",
            t.name,
            rows.join(", "),
            t.columns[on].name,
            t.list(&which),
            values.join(", ")
        );
        self.one(sql, &hazards)
    }

    pub(super) fn truncate(&mut self, table: usize) -> Vec<Step> {
        let referenced: Vec<usize> =
            (0..self.schema.tables.len()).filter(|&i| self.schema.tables[i].referenced).collect();
        let table = self.dice.maybe(&referenced).copied().filter(|_| self.dice.chance(30)).unwrap_or(table);
        let t = self.schema.tables[table].clone();
        if t.referenced {
            return self.one(format!("TRUNCATE {} CASCADE", t.name), &[Hazard::TruncateCascade]);
        }
        let mut sql = vec![format!("TRUNCATE {}", t.name)];
        for _ in 0..self.dice.between(1, 3) {
            sql.push(self.insert(table));
        }
        self.several(sql, &[Hazard::TruncateInsert])
    }

    pub(super) fn copy(&mut self, table: usize) -> Vec<Step> {
        let t = self.schema.tables[table].clone();
        let which: Vec<usize> = t.writable().into_iter().filter(|&i| t.columns[i].fk.is_none()).collect();
        let mut data = String::new();
        for _ in 0..self.dice.between(1, 4) {
            let mut line = vec![];
            for &i in &which {
                let c = &t.columns[i];
                if c.nullable && self.dice.chance(20) {
                    line.push("\\N".to_string());
                    continue;
                }
                let part = matches!(&t.kind, Kind::Parted { column, .. } if *column == i);
                let raw = if t.key.contains(&i) && !part { c.ty.raw_key(self.dice) } else { c.ty.raw(self.dice) };
                line.push(raw.replace('\\', "\\\\"));
            }
            data += &line.join("\t");
            data += "\n";
        }
        let group = self.next_group();
        vec![step(
            Act::Copy { sql: format!("COPY {} ({}) FROM STDIN", t.name, t.list(&which)), data },
            &[Hazard::Copy],
            group,
        )]
    }

    pub(super) fn modifying_cte(&mut self, table: usize) -> Vec<Step> {
        let other = self.table();
        let row = self.insert(other);
        let predicate = self.predicate(table);
        let t = &self.schema.tables[table];
        let first = if self.dice.chance(50) {
            format!("DELETE FROM {} WHERE {predicate}", t.name)
        } else {
            format!("UPDATE {} SET {n} = {n} WHERE {predicate}", t.name, n = t.columns[0].name)
        };
        let hazards = if other == table { vec![] } else { vec![Hazard::ModifyingCte] };
        self.one(format!("WITH first AS ({first} RETURNING 1) {row}"), &hazards)
    }

    pub(super) fn fk_cascade(&mut self) -> Vec<Step> {
        let mut found = vec![];
        for t in &self.schema.tables {
            for c in &t.columns {
                if let Some(parent) = c.fk.filter(|_| t.cascades) {
                    found.push((t.name.clone(), c.name.clone(), parent));
                }
            }
        }
        let Some((child, column, parent)) = self.dice.maybe(&found).cloned() else {
            return self.statement();
        };
        let p = &self.schema.tables[parent];
        let key = &p.columns[0].name;
        let which = format!("WHERE {key} = (SELECT min({column}) FROM {child})");
        let sql = match self.dice.below(4) {
            // an error, unless updates cascade
            0 => format!("UPDATE {} SET {key} = {key} + 15 {which}", p.name),
            _ => format!("DELETE FROM {} {which}", p.name),
        };
        self.one(sql, &[Hazard::FkCascade])
    }

    pub(super) fn leaf_write(&mut self, table: usize) -> Vec<Step> {
        let t = self.schema.tables[table].clone();
        let predicate = self.predicate(table);
        let which = t.writable();
        match &t.kind {
            Kind::Parted { leaves, below, .. } => {
                let all: Vec<String> = leaves.iter().chain(below).cloned().collect();
                let leaf = self.dice.pick(&all).clone();
                if self.dice.chance(50) {
                    self.one(format!("DELETE FROM {leaf} WHERE {predicate}"), &[Hazard::LeafWrite])
                } else {
                    let column = *self.dice.pick(&which);
                    let value = schema::value(self.dice, &self.schema, table, column);
                    self.one(
                        format!("UPDATE {leaf} SET {} = {value} WHERE {predicate}", t.columns[column].name),
                        &[Hazard::LeafWrite],
                    )
                }
            }
            Kind::Parent { child } => {
                let values: Vec<String> =
                    which.iter().map(|&i| schema::value(self.dice, &self.schema, table, i)).collect();
                match self.dice.below(3) {
                    0 => self.one(format!("DELETE FROM {child} WHERE {predicate}"), &[Hazard::LeafWrite]),
                    _ => self.one(
                        format!(
                            "INSERT INTO {child} ({}, child_extra) VALUES ({}, 1)",
                            t.list(&which),
                            values.join(", ")
                        ),
                        &[Hazard::LeafWrite],
                    ),
                }
            }
            Kind::Plain => self.update(table),
        }
    }

    /// Two keys swapped, or a key deleted and inserted again.
    pub(super) fn swap(&mut self, table: usize) -> Vec<Step> {
        let t = self.schema.tables[table].clone();
        let [k] = t.key[..] else {
            return self.update(table);
        };
        if t.columns[k].ty != Ty::Int {
            return self.update(table);
        }
        let (name, key, which) = (&t.name, &t.columns[k].name, t.writable());
        let list = t.list(&which);
        if self.dice.chance(50) {
            let (a, b) = (
                format!("(SELECT min({key}) FROM {name} WHERE {key} > 0)"),
                format!("(SELECT max({key}) FROM {name})"),
            );
            return self.several(
                vec![
                    format!("UPDATE {name} SET {key} = -{key} WHERE {key} IN ({a}, {b})"),
                    format!("UPDATE {name} SET {key} = CASE WHEN {key} = (SELECT min({key}) FROM {name}) THEN -(SELECT max({key}) FROM {name} WHERE {key} < 0) ELSE -(SELECT min({key}) FROM {name}) END WHERE {key} < 0"),
                ],
                &[Hazard::KeysSwapped, Hazard::KeyChanged],
            );
        }
        let column = *self.dice.pick(&which);
        let value = self.value_of(table, column);
        let selected: Vec<String> = which
            .iter()
            .map(|&i| if i == column && i != k { value.clone() } else { t.columns[i].name.clone() })
            .collect();
        self.several(
            vec![format!(
                "WITH gone AS (DELETE FROM {name} WHERE {key} = (SELECT max({key}) FROM {name}) RETURNING *) INSERT INTO {name} ({list}) SELECT {} FROM gone",
                selected.join(", ")
            )],
            &[Hazard::KeyReinserted],
        )
    }
}
