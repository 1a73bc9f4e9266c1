//! One step of a transaction, as SQL. Called by `transaction`.

use super::{Failure, Run};
use crate::case::{Act, Step};
use crate::oracle::{self, comparison};
use anyhow::Result;
use std::io::Write;

pub(super) enum Done {
    Rows(u64),
    Skipped,
    Error(Box<postgres::Error>, String),
    Failed(Failure),
}

pub(super) fn counts_without_rows(act: &Act) -> bool {
    match act {
        Act::Sql(sql) => ["TRUNCATE", "DO ", "ALTER", "REFRESH", "SELECT"].iter().any(|w| sql.starts_with(w)),
        _ => true,
    }
}

impl Run<'_> {
    pub(super) fn step(&mut self, step: &Step, savepoints: &[String], open: bool) -> Result<Done> {
        let done = |r: Result<u64, postgres::Error>, what: &str| match r {
            Ok(n) => Done::Rows(n),
            Err(e) => Done::Error(Box::new(e), what.to_string()),
        };
        Ok(match &step.act {
            Act::Sql(sql) => {
                let refreshed = sql.strip_prefix("REFRESH MATERIALIZED VIEW ");
                if let Some(name) = refreshed {
                    let there = self.case.views.iter().zip(&self.live).any(|(v, live)| *live && v.name == name);
                    if !there {
                        return Ok(Done::Skipped);
                    }
                }
                let sql = self.without_dead_views(sql);
                done(self.sql(&sql), &sql)
            }
            Act::Native(sql) => {
                let dead = self
                    .case
                    .views
                    .iter()
                    .zip(&self.live)
                    .any(|(v, live)| !*live && sql.contains(&format!("'{}'", v.name)));
                if self.mode.baseline || self.mode.without_tviews || dead {
                    return Ok(Done::Skipped);
                }
                done(self.sql(sql), sql)
            }
            Act::Copy { sql, data } => {
                self.out.script.push(format!("{sql};\n{data}\\."));
                if self.mode.verbose {
                    println!("{sql};\n{data}\\.");
                }
                let copied = self.session.client.copy_in(sql.as_str()).and_then(|mut w| {
                    // what the server says comes with finish
                    let _ = w.write_all(data.as_bytes());
                    w.finish()
                });
                done(copied, sql)
            }
            Act::Read(view) => {
                if !self.live[*view] || self.mode.without_tviews {
                    return Ok(Done::Skipped);
                }
                if self.mode.baseline {
                    let name = format!("REFRESH MATERIALIZED VIEW {}", self.case.views[*view].name);
                    for (i, v) in self.case.views.iter().enumerate() {
                        if self.live[i] && v.is_tview && i <= *view {
                            if let Err(e) =
                                self.session.client.batch_execute(&format!("REFRESH MATERIALIZED VIEW {}", v.name))
                            {
                                return Ok(Done::Error(Box::new(e), name));
                            }
                        }
                    }
                }
                let text = match self.query_text(*view, true) {
                    Ok(text) => text,
                    Err(e) => return Ok(Done::Error(Box::new(e), "pg_get_viewdef".into())),
                };
                let sql = comparison(&self.case.views[*view], &text);
                self.out.comparisons += 1;
                let odd = self.case.odd_settings && !self.mode.baseline;
                if odd {
                    self.sql(oracle::SETTINGS)?;
                }
                self.log(&sql);
                let compared = oracle::rows(&mut self.session.client, &sql);
                if odd && compared.is_ok() {
                    self.sql(oracle::ODD_SETTINGS)?;
                }
                match compared {
                    Err(e) => Done::Error(Box::new(e), sql),
                    Ok(rows) if rows.is_empty() => Done::Rows(0),
                    Ok(rows) => match self.difference(*view, " (read inside the transaction)", sql, rows) {
                        Some(f) => Done::Failed(Failure { kind: "difference inside a transaction".into(), ..f }),
                        None => Done::Skipped,
                    },
                }
            }
            Act::Create(view) => match self.create(*view)? {
                Some(f) => Done::Failed(f),
                None if self.live[*view] => Done::Rows(1),
                None => Done::Skipped,
            },
            Act::Drop(view) => {
                if !self.live[*view] {
                    return Ok(Done::Skipped);
                }
                let sql = self.case.views[*view].drop(self.mode.baseline);
                let r = self.sql(&sql);
                if r.is_ok() {
                    self.live[*view] = false;
                }
                done(r, &sql)
            }
            Act::Savepoint(name) if open => done(self.sql(&format!("SAVEPOINT {name}")), ""),
            Act::RollbackTo(name) if open && savepoints.contains(name) => {
                done(self.sql(&format!("ROLLBACK TO SAVEPOINT {name}")), "")
            }
            Act::Release(name) if open && savepoints.contains(name) => {
                done(self.sql(&format!("RELEASE SAVEPOINT {name}")), "")
            }
            _ => Done::Skipped,
        })
    }

    /// DO blocks read a view only while it is there.
    fn without_dead_views(&self, sql: &str) -> String {
        if !sql.starts_with("DO ") {
            return sql.to_string();
        }
        let dead = |line: &str| {
            line.trim_start().starts_with("PERFORM count(*) FROM")
                && (self.mode.without_tviews
                    || self
                        .case
                        .views
                        .iter()
                        .zip(&self.live)
                        .any(|(v, live)| !*live && line.ends_with(&format!("FROM {};", v.name))))
        };
        sql.lines().filter(|l| !dead(l)).collect::<Vec<_>>().join("\n")
    }
}
