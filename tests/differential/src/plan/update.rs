//! UPDATE, and the DELETE and INSERT that do the same.
//! Invariant: the two leave the same rows. Called by `statement` and `structure`.

use super::Planner;
use crate::case::Step;
use crate::hazards::Hazard;
use crate::schema::{self, Kind};
use crate::types::Ty;

impl Planner<'_> {
    /// One or two columns of some rows.
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

    /// An UPDATE that also has its form as DELETE and INSERT.
    pub(super) fn update_as(
        &mut self,
        table: usize,
        set: &[(usize, String)],
        predicate: &str,
        hazards: &[Hazard],
    ) -> Vec<Step> {
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
}
