//! Changes of row security, while the owner of the TVIEWs is subject to it.
//! Invariant: it is on when they are over. Called by `sequence`.

use super::Planner;
use crate::case::Transaction;
use crate::hazards::Hazard;
use crate::types::Ty;

impl Planner<'_> {
    /// The policy that hides rows from the owner of the TVIEWs.
    pub fn policy(&mut self) -> Vec<Transaction> {
        let t = &self.schema.tables[0];
        let Some(column) = t.columns.iter().find(|c| c.ty == Ty::Int).map(|c| c.name.clone()) else {
            return vec![];
        };
        let name = t.name.clone();
        let condition = format!("({column} IS DISTINCT FROM {})", self.dice.below(5));
        let switch = |word: &str| vec![format!("ALTER TABLE {name} {word} ROW LEVEL SECURITY")];
        match self.dice.below(4) {
            0 => self.in_two(switch("DISABLE"), switch("ENABLE"), Hazard::PolicyChanged),
            1 => {
                let drop = vec![format!("DROP POLICY visible ON {name}")];
                let create = vec![format!("CREATE POLICY visible ON {name} USING {condition}")];
                self.in_two(drop, create, Hazard::PolicyChanged)
            }
            _ => {
                let alter = vec![format!("ALTER POLICY visible ON {name} USING {condition}")];
                vec![Transaction::new(self.ddl(alter, &[Hazard::PolicyChanged]))]
            }
        }
    }
}
