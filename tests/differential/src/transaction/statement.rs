//! Single statements that write: every way PostgreSQL has to change a table. Called by `structure` and `scenario`.

use super::{step, Writer};
use crate::case::{Act, Step};
use crate::hazards::Hazard;
use crate::schema::{self, Kind};
use crate::types::Ty;

impl Writer<'_> {
    pub fn insert(&mut self, table: usize) -> String {
        let mut sql = schema::insert_row(self.dice, &self.schema, table);
        if !self.schema.tables[table].key.is_empty() && self.dice.chance(60) {
            sql += " ON CONFLICT DO NOTHING";
        }
        sql
    }

    /// A row with this value in this column.
    pub fn insert_with(&mut self, table: usize, column: usize, value: &str) -> String {
        let which = self.schema.tables[table].writable();
        let mut values = vec![];
        for &i in &which {
            values.push(if i == column { value.to_string() } else { schema::value(self.dice, &self.schema, table, i) });
        }
        let t = &self.schema.tables[table];
        format!("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING", t.name, t.list(&which), values.join(", "))
    }

    /// A value this column may have, as SQL.
    pub fn value_of(&mut self, table: usize, column: usize) -> String {
        for _ in 0..5 {
            let v = schema::value(self.dice, &self.schema, table, column);
            if v != "NULL" {
                return v;
            }
        }
        self.schema.tables[table].columns[column].ty.literal(self.dice)
    }

    pub fn predicate(&mut self, table: usize) -> String {
        if self.dice.chance(12) {
            return "true".into();
        }
        let t = &self.schema.tables[table];
        let able: Vec<usize> = (0..t.columns.len()).filter(|&i| t.columns[i].ty.has_equality()).collect();
        let Some(&column) = self.dice.maybe(&able) else {
            return "true".into();
        };
        let name = t.columns[column].name.clone();
        let nullable = t.columns[column].nullable;
        let value = self.value_of(table, column);
        match self.dice.below(8) {
            0 if nullable => format!("{name} IS NULL"),
            1 => format!("{name} >= {value}"),
            2 => format!("{name} <> {value}"),
            _ => format!("{name} = {value}"),
        }
    }

    fn update(&mut self, table: usize) -> Vec<Step> {
        let which: Vec<usize> = self.schema.tables[table].writable();
        let column = *self.dice.pick(&which);
        let value = schema::value(self.dice, &self.schema, table, column);
        let predicate = self.predicate(table);
        let t = &self.schema.tables[table];
        let name = &t.columns[column].name;
        let mut hazards = vec![];
        if value == "NULL" {
            hazards.push(Hazard::NullAndValue);
        }
        if matches!(t.kind, Kind::Parted { column: part, .. } if part == column) {
            hazards.push(Hazard::PartitionRowMoved);
        }
        if t.key.contains(&column) {
            hazards.push(Hazard::KeyChanged);
        }
        let keyed = t.key.contains(&column) && t.columns[column].ty == Ty::Int && self.dice.chance(60);
        let sql = if keyed {
            format!("UPDATE {} SET {name} = {name} + 15 WHERE {predicate} AND {name} < 15", t.name)
        } else if self.dice.chance(15) {
            let other = *self.dice.pick(&which);
            let second = if other == column {
                String::new()
            } else {
                format!(", {} = {}", t.columns[other].name, schema::value(self.dice, &self.schema, table, other))
            };
            format!("UPDATE {} SET {name} = {value}{second} WHERE {predicate}", t.name)
        } else {
            format!("UPDATE {} SET {name} = {value} WHERE {predicate}", t.name)
        };
        self.one(sql, &hazards)
    }

    /// One random write.
    pub fn statement(&mut self) -> Vec<Step> {
        let table = self.table();
        let t = self.schema.tables[table].clone();
        let which = t.writable();
        let list = t.list(&which);
        match self.dice.below(36) {
            0..=5 => {
                let sql = self.insert(table);
                self.one(sql, &[])
            }
            6 | 7 => {
                let n = self.dice.between(2, 4);
                let mut rows = vec![];
                for _ in 0..n {
                    let values: Vec<String> =
                        which.iter().map(|&i| schema::value(self.dice, &self.schema, table, i)).collect();
                    rows.push(format!("({})", values.join(", ")));
                }
                self.one(
                    format!("INSERT INTO {} ({list}) VALUES {} ON CONFLICT DO NOTHING", t.name, rows.join(", ")),
                    &[Hazard::OnConflictNothing],
                )
            }
            8 => {
                let predicate = self.predicate(table);
                self.one(
                    format!(
                        "INSERT INTO {0} ({list}) SELECT {list} FROM {0} WHERE {predicate} ON CONFLICT DO NOTHING",
                        t.name
                    ),
                    &[],
                )
            }
            9..=15 => self.update(table),
            16..=18 => {
                let predicate = self.predicate(table);
                self.one(format!("DELETE FROM {} WHERE {predicate}", t.name), &[])
            }
            19 => {
                let group = self.next_group();
                let delete = self.dice.chance(60);
                let alias = format!(
                    "SELECT min(ctid) FROM {0} GROUP BY {list_text} HAVING count(*) > 1 LIMIT 1",
                    t.name,
                    list_text = self.text_list(table)
                );
                if delete {
                    vec![step(
                        Act::Sql(format!("DELETE FROM {} WHERE ctid = ({alias})", t.name)),
                        &[Hazard::DeleteOneDuplicate],
                        group,
                    )]
                } else {
                    let column = *self.dice.pick(&which);
                    let value = self.value_of(table, column);
                    let sql =
                        format!("UPDATE {} SET {} = {value} WHERE ctid = ({alias})", t.name, t.columns[column].name);
                    vec![step(Act::Sql(sql), &[Hazard::UpdateOneDuplicate], group)]
                }
            }
            20 => {
                // make duplicates
                let row = schema::insert_row(self.dice, &self.schema, table) + " ON CONFLICT DO NOTHING";
                let n = self.dice.between(2, 3);
                self.several(vec![row; n], &[])
            }
            21 => self.on_conflict(table),
            22 => self.merge(table),
            23 => self.truncate(table),
            24 | 25 => self.copy(table),
            26 => self.modifying_cte(table),
            27 => self.fk_cascade(),
            28 | 29 => self.leaf_write(table),
            30 => {
                let other = self.table();
                let o = &self.schema.tables[other];
                let pair = t.columns.iter().find_map(|c| {
                    o.columns
                        .iter()
                        .find(|d| d.ty == c.ty && c.ty.has_equality())
                        .map(|d| (c.name.clone(), d.name.clone()))
                });
                match pair {
                    Some((a, b)) if other != table => {
                        self.one(format!("DELETE FROM {} x USING {} y WHERE x.{a} = y.{b}", t.name, o.name), &[])
                    }
                    _ => self.update(table),
                }
            }
            31 => {
                // UPDATE = DELETE + INSERT
                let column = *self.dice.pick(&which);
                let value = self.value_of(table, column);
                let selected: Vec<String> = which
                    .iter()
                    .map(|&i| if i == column { value.clone() } else { t.columns[i].name.clone() })
                    .collect();
                let predicate = self.predicate(table);
                let sql = format!(
                    "WITH gone AS (DELETE FROM {0} WHERE {predicate} RETURNING *) INSERT INTO {0} ({list}) SELECT {1} FROM gone ON CONFLICT DO NOTHING",
                    t.name,
                    selected.join(", ")
                );
                self.one(sql, &[Hazard::UpdateIsDeleteInsert])
            }
            32 => self.swap(table),
            33 => {
                // the same content inserted and deleted
                let column = which[0];
                let ty = t.columns[column].ty;
                let raw = ty.raw_key(self.dice);
                let value = if t.columns[column].fk.is_some() || !ty.has_equality() {
                    return self.update(table);
                } else {
                    ty.quote(&raw)
                };
                let insert = self.insert_with(table, column, &value);
                self.several(
                    vec![insert, format!("DELETE FROM {} WHERE {} = {value}", t.name, t.columns[column].name)],
                    &[Hazard::InsertAndDelete],
                )
            }
            _ => self.update(table),
        }
    }

    /// All columns as text: rows equal in it are duplicates.
    fn text_list(&self, table: usize) -> String {
        self.schema.tables[table].columns.iter().map(|c| format!("{}::text", c.name)).collect::<Vec<_>>().join(", ")
    }

    fn on_conflict(&mut self, table: usize) -> Vec<Step> {
        let t = self.schema.tables[table].clone();
        let targets: Vec<Vec<usize>> =
            [t.key.clone()].into_iter().chain(t.unique.iter().map(|&u| vec![u])).filter(|k| !k.is_empty()).collect();
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

    fn merge(&mut self, table: usize) -> Vec<Step> {
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
        let matched = if self.dice.chance(70) {
            format!("UPDATE SET {} = {value}", t.columns[set].name)
        } else {
            "DELETE".into()
        };
        let sql = format!(
            "MERGE INTO {} AS m USING (VALUES {}) AS s(k) ON m.{} = s.k WHEN MATCHED THEN {matched} WHEN NOT MATCHED THEN INSERT ({}) VALUES ({})",
            t.name,
            rows.join(", "),
            t.columns[on].name,
            t.list(&which),
            values.join(", ")
        );
        self.one(sql, &[Hazard::Merge])
    }

    fn truncate(&mut self, table: usize) -> Vec<Step> {
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

    fn copy(&mut self, table: usize) -> Vec<Step> {
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

    fn modifying_cte(&mut self, table: usize) -> Vec<Step> {
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

    fn fk_cascade(&mut self) -> Vec<Step> {
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
        self.one(
            format!("DELETE FROM {} WHERE {key} = (SELECT min({column}) FROM {child})", p.name),
            &[Hazard::FkCascade],
        )
    }

    fn leaf_write(&mut self, table: usize) -> Vec<Step> {
        let t = self.schema.tables[table].clone();
        let predicate = self.predicate(table);
        let which = t.writable();
        match &t.kind {
            Kind::Parted { leaves, .. } => {
                let leaf = self.dice.pick(leaves).clone();
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
    fn swap(&mut self, table: usize) -> Vec<Step> {
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
