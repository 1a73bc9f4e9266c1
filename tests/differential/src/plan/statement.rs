//! Single statements that write: INSERT, UPDATE and DELETE of some rows. Called by `structure` and `scenario`.

use super::{Planner, step};
use crate::case::{Act, Step};
use crate::hazards::Hazard;
use crate::schema::{self, Kind};
use crate::types::Ty;

impl Planner<'_> {
    pub fn insert(&mut self, table: usize) -> String {
        let mut sql = schema::insert_row(self.dice, &self.schema, table);
        if !self.schema.tables[table].key.is_empty() && self.dice.chance(60) {
            sql += self.schema.tables[table].or_nothing();
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
        format!("INSERT INTO {} ({}) VALUES ({}){}", t.name, t.list(&which), values.join(", "), t.or_nothing())
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

    pub(super) fn update(&mut self, table: usize) -> Vec<Step> {
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
        let mut set = vec![(column, value)];
        let mut predicate = predicate;
        if keyed {
            set[0].1 = format!("{name} + 15");
            predicate += &format!(" AND {name} < 15");
        } else if self.dice.chance(15) {
            let other = *self.dice.pick(&which);
            if other != column {
                set.push((other, schema::value(self.dice, &self.schema, table, other)));
            }
        }
        self.update_as(table, &set, &predicate, &hazards)
    }

    /// An UPDATE that also says what it would be as DELETE and INSERT.
    fn update_as(&mut self, table: usize, set: &[(usize, String)], predicate: &str, hazards: &[Hazard]) -> Vec<Step> {
        let t = &self.schema.tables[table];
        let which = t.writable();
        let assignments: Vec<String> = set.iter().map(|(c, v)| format!("{} = {v}", t.columns[*c].name)).collect();
        let sql = format!("UPDATE {} SET {} WHERE {predicate}", t.name, assignments.join(", "));
        let selected: Vec<String> = which
            .iter()
            .map(|i| set.iter().find(|(c, _)| c == i).map_or(t.columns[*i].name.clone(), |(_, v)| v.clone()))
            .collect();
        let other = format!(
            "WITH gone AS (DELETE FROM {name} WHERE {predicate} RETURNING *) INSERT INTO {name} ({list}, {note}) SELECT {selected}, {note} FROM gone",
            name = t.name,
            list = t.list(&which),
            note = t.note,
            selected = selected.join(", ")
        );
        let mut steps = self.one(sql, hazards);
        steps[0].as_delete_insert = Some(other);
        steps
    }

    /// One random write.
    pub fn statement(&mut self) -> Vec<Step> {
        let table = self.table();
        let t = self.schema.tables[table].clone();
        let which = t.writable();
        let list = t.list(&which);
        match self.dice.below(40) {
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
                    format!("INSERT INTO {} ({list}) VALUES {}{}", t.name, rows.join(", "), t.or_nothing()),
                    if t.deferrable { &[] } else { &[Hazard::OnConflictNothing] },
                )
            }
            8 => {
                let predicate = self.predicate(table);
                self.one(
                    format!(
                        "INSERT INTO {0} ({list}) SELECT {list} FROM {0} WHERE {predicate}{1}",
                        t.name,
                        t.or_nothing()
                    ),
                    &[],
                )
            }
            9..=15 => self.update(table),
            16..=18 => {
                let predicate = self.predicate(table);
                self.one(format!("DELETE FROM {} WHERE {predicate}", t.name), &[])
            }
            19 | 36 => self.one_duplicate(table),
            20 => {
                // make duplicates
                let row = schema::insert_row(self.dice, &self.schema, table) + t.or_nothing();
                let n = self.dice.between(2, 3);
                let mut steps = self.several(vec![row; n], &[]);
                if self.dice.chance(50) {
                    steps.extend(self.one_duplicate(table));
                }
                steps
            }
            21 => self.on_conflict(table),
            22 => self.merge(table),
            23 => self.truncate(table),
            24 | 25 => self.copy(table),
            26 => self.modifying_cte(table),
            27 | 38 => self.fk_cascade(),
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
                    "WITH gone AS (DELETE FROM {0} WHERE {predicate} RETURNING *) INSERT INTO {0} ({list}) SELECT {1} FROM gone{2}",
                    t.name,
                    selected.join(", "),
                    t.or_nothing()
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
            34 => {
                // more rows than fit the plan for few
                let n = self.dice.between(17, 40);
                let sql = schema::insert_many(self.dice, &self.schema, table, n, false);
                self.one(sql + t.or_nothing(), &[])
            }
            35 => {
                let column = *self.dice.pick(&which);
                let value = schema::value(self.dice, &self.schema, table, column);
                self.update_as(table, &[(column, value)], "true", &[])
            }
            _ => self.update(table),
        }
    }

    /// One of several rows that are the same deleted or updated.
    pub(super) fn one_duplicate(&mut self, table: usize) -> Vec<Step> {
        let t = self.schema.tables[table].clone();
        let which = t.writable();
        let group = self.next_group();
        let delete = self.dice.chance(50);
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
            let sql = format!("UPDATE {} SET {} = {value} WHERE ctid = ({alias})", t.name, t.columns[column].name);
            vec![step(Act::Sql(sql), &[Hazard::UpdateOneDuplicate], group)]
        }
    }

    /// All columns as text: rows equal in it are duplicates.
    pub(super) fn text_list(&self, table: usize) -> String {
        // under a collation that is not deterministic, rows of one group could be different ones
        let text = |c: &schema::Column| match c.ty {
            Ty::NoCase => format!("{}::text COLLATE \"C\"", c.name),
            _ => format!("{}::text", c.name),
        };
        self.schema.tables[table].columns.iter().map(text).collect::<Vec<_>>().join(", ")
    }
}
