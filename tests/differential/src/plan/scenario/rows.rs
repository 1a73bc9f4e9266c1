//! Writes aimed at rows of a table as a whole: the first rows, all rows, one of several equal rows.
//! Invariant: none looks at what the columns mean. Called by `scenario`.

use super::Scenario;
use crate::hazards::Hazard;
use crate::plan::Planner;
use crate::schema;

impl Planner<'_> {
    /// Several equal rows, and one of them.
    pub(super) fn duplicates(&mut self, tables: &[usize]) -> Scenario {
        let table = *self.dice.pick(tables);
        let row = schema::insert_row(self.dice, &self.schema, table);
        let n = self.dice.between(2, 3);
        let before = self.several(vec![row; n], &[]);
        (before, self.one_duplicate(table))
    }

    /// The first row by the total order that LIMIT goes by.
    pub(super) fn first_rows(&mut self, tables: &[usize]) -> Scenario {
        let table = *self.dice.pick(tables);
        let t = &self.schema.tables[table];
        let direction = *self.dice.pick(&["", " DESC"]);
        let order: Vec<String> = t.total_order("z").iter().map(|e| format!("{e}{direction}")).collect();
        let (order, at) = (order.join(", "), self.dice.below(4));
        let sql = format!(
            "DELETE FROM {0} WHERE ctid IN (SELECT ctid FROM {0} z ORDER BY {order} OFFSET {at} LIMIT 1)",
            t.name
        );
        (vec![], self.one(sql, &[Hazard::TopNDelete]))
    }

    /// All rows.
    pub(super) fn emptied_table(&mut self, tables: &[usize]) -> Scenario {
        let table = *self.dice.pick(tables);
        let sql = format!("DELETE FROM {}", self.schema.tables[table].name);
        (vec![], self.one(sql, &[Hazard::NoGroupByEmpty]))
    }
}
