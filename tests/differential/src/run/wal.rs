//! Tables of TVIEWs that are only refreshed, captured from WAL.
//! Invariant: nothing is changed where the server captures by triggers only (`pg_tviews.cdc_mode`). Called by `whole`, before the transactions.

use super::{Hat, Run};
use crate::hazards::Hazard;
use crate::server::rows;
use anyhow::Result;
use std::time::{Duration, Instant};

/// The reader looks each second.
const PATIENCE: Duration = Duration::from_secs(4);
const NAP: Duration = Duration::from_millis(50);

const FULL: &str = "DO $$ DECLARE r regclass; BEGIN FOR r IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relpersistence = 'p' AND relnamespace = 'fuzz'::regnamespace \
                    LOOP EXECUTE 'ALTER TABLE ' || r || ' REPLICA IDENTITY FULL'; END LOOP; END $$";
/// Relations that fit, and that are not captured from WAL yet; and those that are.
const LEFT: &str = "SELECT count(*) FILTER (WHERE captured_by = 'trigger' AND NOT EXISTS (SELECT FROM tviews.source s WHERE s.source = c.base_table AND -6 = ANY (s.columns))), \
                    count(*) FILTER (WHERE captured_by = 'wal') FROM tviews.capture c";

impl Run<'_> {
    pub(super) fn leave_to_wal(&mut self) -> Result<()> {
        let is_deferred = self.live.iter().zip(&self.case.views).any(|(live, v)| *live && v.is_deferred());
        if !is_deferred || !self.case.conditions.from_wal || self.mode.without_tviews || self.mode.baseline {
            return Ok(());
        }
        self.wear(Hat::Admin)?;
        if rows(&mut self.session.client, "SELECT current_setting('pg_tviews.cdc_mode')")? == ["trigger"] {
            return Ok(());
        }
        self.sql(FULL)?;
        let begun = Instant::now();
        loop {
            let found = rows(&mut self.session.client, LEFT)?.concat();
            let (left, captured) = found.split_once(' ').unwrap_or(("0", "0"));
            if left == "0" || begun.elapsed() > PATIENCE {
                if captured != "0" {
                    self.out.counts.add(Hazard::FromWal);
                }
                return Ok(());
            }
            std::thread::sleep(NAP);
        }
    }
}
