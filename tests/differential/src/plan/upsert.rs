//! Writes that look for a row first: ON CONFLICT, MERGE.
//! Invariant: no two rows of the source meet one row of the table. Called by `statement`.

use super::Planner;
use crate::case::Step;
use crate::hazards::Hazard;
use crate::schema;

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
        if self.schema.features.version >= 19 && self.dice.chance(45) {
            let lock = *self.dice.pick(&["", "", " FOR UPDATE", " FOR KEY SHARE"]);
            let condition = self.predicate(table);
            let filter = if self.dice.chance(40) { format!(" WHERE {condition}") } else { String::new() };
            let target = t.list(&target);
            return self.one(
                format!("{row} ON CONFLICT ({target}) DO SELECT{lock}{filter} RETURNING 1"),
                &[Hazard::OnConflictSelect],
            );
        }
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
}
