//! An extension whose scripts change TVIEWs and their tables: `hostile_script`, put into the server's own directory for the time of a run.
//! Invariant: nothing of it is left there afterwards. Where the directory cannot be written, cases that need it say so by failing. Called by `rounds`.

use crate::session::Session;
use anyhow::{Context, Result};
use std::path::PathBuf;

const NAME: &str = "hostile_script";

const VERSIONS: [(&str, &str); 6] = [
    ("drops", "DROP MATERIALIZED VIEW app.flat; DROP MATERIALIZED VIEW IF EXISTS app.sums CASCADE;"),
    ("cascades", "DROP FUNCTION app.twice(int) CASCADE; DROP TABLE app.part_1; DROP VIEW app.seen CASCADE;"),
    (
        "creates",
        "CREATE TVIEW app.made AS SELECT g, count(DISTINCT v) AS n FROM app.item GROUP BY g HAVING count(*) > 1;",
    ),
    ("replaces", "CREATE OR REPLACE TVIEW app.flat AS SELECT id, v + 1 AS v FROM app.item;"),
    (
        "alters",
        "ALTER TABLE app.item DROP COLUMN v CASCADE; ALTER MATERIALIZED VIEW app.staged SET ACCESS METHOD heap;",
    ),
    ("fails", "DROP MATERIALIZED VIEW app.flat; UPDATE app.item SET v = v + 1; SELECT 1 / 0;"),
];

pub struct Scripts(Vec<PathBuf>);

impl Scripts {
    pub fn install(admin: &mut Session) -> Result<Scripts> {
        let shared = admin.one("SELECT setting FROM pg_config WHERE name = 'SHAREDIR'")?;
        let directory = PathBuf::from(shared).join("extension");
        let mut scripts = Scripts(vec![]);
        let control =
            format!("default_version = 'drops'\nrelocatable = false\nsuperuser = true\ncomment = 'tests of {NAME}'\n");
        scripts.write(directory.join(format!("{NAME}.control")), &control)?;
        for (version, sql) in VERSIONS {
            scripts.write(directory.join(format!("{NAME}--{version}.sql")), sql)?;
        }
        scripts.write(directory.join(format!("{NAME}--creates--drops.sql")), "DROP MATERIALIZED VIEW app.made;")?;
        Ok(scripts)
    }

    fn write(&mut self, path: PathBuf, text: &str) -> Result<()> {
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        self.0.push(path);
        Ok(())
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}
