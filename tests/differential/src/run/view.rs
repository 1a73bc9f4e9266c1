//! Creation of the views of a case; one whose query is not legal, or is refused, is left out of it.
//! Invariant: a TVIEW that was created has the columns of its query. Called by `whole` and for `Act::Create`.

use super::{BEFORE, Failure, Hat, Run};
use crate::hazards::Hazard;
use crate::properties::Property;
use crate::server::{describe, rows, state};
use anyhow::Result;

impl Run<'_> {
    /// Creates a view, unless its query is not legal or is refused.
    pub(super) fn create(&mut self, view: usize) -> Result<Option<Failure>> {
        let v = &self.case.views[view];
        self.wear(Hat::Owner)?;
        let inside = self.at != BEFORE;
        if inside {
            self.session.client.batch_execute("SAVEPOINT creation")?;
        }
        let probe = self.session.client.batch_execute(&format!("SELECT * FROM ({}) AS probe", v.query.sql));
        if let Err(e) = probe {
            self.out.illegal += 1;
            if self.mode.verbose || (state(&e) != "42P01" && std::env::var_os("SHOW_ILLEGAL").is_some()) {
                println!("-- not legal: {}\n--   {}", describe(&e), v.query.sql);
            }
            // findings/row_of_named_join_in_aggregate.sh
            let known = describe(&e).contains("unsupported join alias expression");
            if state(&e) == "closed" || state(&e).starts_with("XX") && !known {
                return Ok(
                    self.fail(format!("plain query {}", state(&e)), format!("{}\n{}", v.query.sql, describe(&e)))
                );
            }
            return self.not_created(inside);
        }
        if inside {
            self.session.client.batch_execute("RELEASE creation; SAVEPOINT creation")?;
        }
        let sql = v.create(self.mode);
        if let Err(e) = self.sql(&sql) {
            let code = state(&e);
            if code == "0A000" && v.is_tview && !self.mode.without_tviews {
                self.out.refused += 1;
                let message = e.as_db_error().map(|d| d.message().to_string()).unwrap_or_default();
                self.out.refusals.add(message);
                return self.not_created(inside);
            }
            return Ok(self.fail(format!("CREATE fails with {code}"), format!("{sql}\n{}", describe(&e))));
        }
        self.live[view] = true;
        if v.is_tview {
            self.out.created += 1;
            self.out.nesting.add_query(&v.query.sql);
            if v.is_deferred() {
                self.out.counts.add(Hazard::Deferred);
            }
            for hazard in v.facts.hazards.iter().copied() {
                self.out.counts.add(hazard);
            }
            if let (false, false, Some(f)) = (inside, self.mode.without_tviews, self.same_columns(view)?) {
                return Ok(Some(f));
            }
        }
        self.wear(Hat::Admin)?;
        Ok(None)
    }

    fn not_created(&mut self, inside: bool) -> Result<Option<Failure>> {
        if inside {
            self.session.client.batch_execute("ROLLBACK TO creation")?;
        }
        self.wear(Hat::Admin)?;
        Ok(None)
    }

    /// Names, types, lengths and collations of the columns are as in a plain view. Also notes whether rows have hidden state.
    fn same_columns(&mut self, view: usize) -> Result<Option<Failure>> {
        let v = &self.case.views[view];
        self.session.client.batch_execute(&format!("CREATE TEMP VIEW fuzz_columns AS {}", v.query.sql))?;
        let mut shape = |name: &str| {
            let sql = format!(
                "SELECT string_agg(concat_ws(' ', quote_ident(attname), format_type(atttypid, atttypmod), attcollation::regcollation), E'\\n' ORDER BY attnum), \
                 (SELECT count(*) FROM pg_attribute d WHERE d.attrelid = '{name}'::regclass AND d.attnum > 0 AND d.attisdropped) \
                 FROM pg_attribute WHERE attrelid = '{name}'::regclass AND attnum > 0 AND NOT attisdropped"
            );
            rows(&mut self.session.client, &sql).map(|rows| rows.concat())
        };
        let (stored, wanted) = (shape(&v.name)?, shape("fuzz_columns")?);
        self.session.client.batch_execute("DROP VIEW fuzz_columns")?;
        let (columns, state) = stored.rsplit_once(' ').unwrap_or((&stored, "0"));
        let (expected, _) = wanted.rsplit_once(' ').unwrap_or((&wanted, "0"));
        self.stateless[view] = state == "0";
        if columns != expected {
            return Ok(self.fail("columns differ", format!("{columns}\ninstead of\n{expected}")));
        }
        self.out.checks.add(Property::Columns);
        Ok(None)
    }
}
