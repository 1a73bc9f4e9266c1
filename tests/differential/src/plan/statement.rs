//! One random write of any kind.
//! Invariant: a kind that the table at hand cannot have becomes an UPDATE. Called by `structure`, and where nothing better can be aimed.

use super::Planner;
use crate::case::Step;
use crate::hazards::Hazard;
use crate::schema;
use crate::types::Ty;

impl Planner<'_> {
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
                let selected = t.list_with(&which, column, &value);
                let predicate = self.predicate(table);
                let sql = format!(
                    "WITH gone AS (DELETE FROM {0} WHERE {predicate} RETURNING *) INSERT INTO {0} ({list}) SELECT {1} FROM gone{2}",
                    t.name,
                    selected,
                    t.or_nothing()
                );
                self.one(sql, &[Hazard::UpdateIsDeleteInsert])
            }
            32 => self.swap(table),
            33 => {
                // the same content inserted and deleted
                let text = which.iter().copied().find(|c| t.columns[*c].ty == Ty::Text && t.columns[*c].fk.is_none());
                if let Some(column) = text.filter(|_| self.dice.chance(40)) {
                    let value = format!("repeat('long value ', {})", self.dice.between(250, 900));
                    let insert = self.insert_with(table, column, &value);
                    let delete = format!("DELETE FROM {} WHERE {} = {value}", t.name, t.columns[column].name);
                    return self.several(vec![insert, delete], &[Hazard::LongAndGone]);
                }
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
}
