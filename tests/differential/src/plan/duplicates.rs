//! Writes to one of several equal rows.
//! Invariant: rows are the same when the texts of all columns are. Called by `statement` and `scenario`.

use super::{Planner, step};
use crate::case::{Act, Step};
use crate::hazards::Hazard;
use crate::schema;
use crate::types::Ty;

impl Planner<'_> {
    /// One of several equal rows deleted or updated.
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
    fn text_list(&self, table: usize) -> String {
        // under a collation that is not deterministic, rows of one group could be different ones
        let text = |c: &schema::Column| match c.ty {
            Ty::NoCase => format!("{}::text COLLATE \"C\"", c.name),
            _ => format!("{}::text", c.name),
        };
        self.schema.tables[table].columns.iter().map(text).collect::<Vec<_>>().join(", ")
    }
}
