//! Primary keys that change hands: two swapped, one deleted and inserted again.
//! Invariant: no statement leaves two rows with one key. Called by `statement`.

use super::Planner;
use crate::case::Step;
use crate::hazards::Hazard;
use crate::types::Ty;

impl Planner<'_> {
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
        let selected = if column == k { list.clone() } else { t.list_with(&which, column, &value) };
        self.several(
            vec![format!(
                "WITH gone AS (DELETE FROM {name} WHERE {key} = (SELECT max({key}) FROM {name}) RETURNING *) INSERT INTO {name} ({list}) SELECT {selected} FROM gone"
            )],
            &[Hazard::KeyReinserted],
        )
    }
}
