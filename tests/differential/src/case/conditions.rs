//! Under which settings and roles a case runs.
//! Invariant: the objects that they need are in `setup`, so that a script has them too. Built by `draft`; used by `plan`, and followed by `run::hat`.

use crate::dice::Dice;
use crate::schema::Schema;

/// Under which settings and roles a case runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions {
    /// the writer's settings are not those under which TVIEWs are computed
    pub odd_settings: bool,
    /// the writer is no superuser, and may not write TVIEWs
    pub writer: bool,
    /// the TVIEWs belong to a role that is no superuser and does not own the tables
    pub owner: bool,
    /// that owner does not see all rows
    pub row_security: bool,
    /// definitions are changed by another session than the writer, which keeps its plans
    pub pool: bool,
    /// the number of one more setting that the writer has changed
    pub setting: Option<usize>,
    /// few rows are followed by SQL, too
    pub sql_only: bool,
    /// rows are computed as a whole
    pub whole_rows: bool,
    /// tables of TVIEWs that are only refreshed are captured from WAL, where the server does that
    pub from_wal: bool,
}

impl Conditions {
    pub fn random(dice: &mut Dice) -> Conditions {
        let (owner, odd_settings, writer) = (dice.chance(10), dice.chance(18), dice.chance(8));
        Conditions {
            odd_settings,
            writer,
            owner,
            row_security: owner && dice.chance(50),
            pool: !owner && !odd_settings && !writer && dice.chance(40),
            setting: (odd_settings && dice.chance(70)).then(|| dice.below(1000)),
            sql_only: dice.chance(20),
            whole_rows: dice.chance(15),
            from_wal: false,
        }
    }

    /// Grants for the roles, once the tables are there.
    pub fn setup(&self, schema: &Schema) -> Vec<String> {
        let mut all = vec![];
        for (role, wanted) in [("fuzz_owner", self.owner), ("fuzz_writer", self.writer)] {
            if !wanted {
                continue;
            }
            all.push(format!(
                "DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            ));
            all.push(format!("GRANT ALL ON SCHEMA fuzz TO {role}"));
            all.push(format!("GRANT ALL ON ALL TABLES IN SCHEMA fuzz TO {role}"));
            all.push(format!("ALTER DEFAULT PRIVILEGES IN SCHEMA fuzz GRANT SELECT, TRIGGER ON TABLES TO {role}"));
        }
        if self.writer && self.owner {
            all.push(
                "ALTER DEFAULT PRIVILEGES FOR ROLE fuzz_owner IN SCHEMA fuzz GRANT SELECT ON TABLES TO fuzz_writer"
                    .into(),
            );
        }
        if self.writer {
            all.push("ALTER ROLE fuzz_writer BYPASSRLS".into());
        }
        if self.row_security {
            let t = &schema.tables[0];
            if let Some(c) = t.columns.iter().find(|c| c.ty == crate::types::Ty::Int) {
                all.push(format!("ALTER TABLE {} ENABLE ROW LEVEL SECURITY", t.name));
                all.push(format!("CREATE POLICY visible ON {} USING ({} IS DISTINCT FROM 1)", t.name, c.name));
            }
        }
        all
    }
}
