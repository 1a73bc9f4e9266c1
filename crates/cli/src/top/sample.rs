//! One look at the counters of a database, and the rates between two.
//!
//! Invariant: a counter that has gone down was reset, and counts from zero; a TVIEW that is new since the look before has no rate. Called by top.

use crate::server::sentence;
use anyhow::Result;
use postgres::Client;
use std::collections::BTreeMap;
use std::time::Instant;

/// Counters of one TVIEW.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counters {
    pub flushes: f64,
    pub failures: f64,
    pub full: f64,
    pub written: f64,
    /// Milliseconds.
    pub time: f64,
    pub waited: f64,
}

pub struct Sample {
    pub at: Instant,
    pub database: String,
    pub counters: BTreeMap<String, Counters>,
    /// Sessions that wait for flushes, by TVIEW.
    pub waiting: BTreeMap<String, i64>,
    /// Rows and seconds that deferred TVIEWs are behind, and whether that is more than their schedule promises, or they are paused.
    pub behind: BTreeMap<String, (i64, f64, bool)>,
    /// TVIEWs that are computed anew after a crash: done, of all, and which one now.
    pub recovery: Option<(i64, i64, String)>,
}

pub fn take(client: &mut Client) -> Result<Sample> {
    let mut ask = |query: &str| client.query(query, &[]).map_err(sentence);
    let stat = ask(
        "SELECT tview::text, flushes::float8, failures::float8, full_recomputes::float8, (rows_inserted + rows_updated + rows_deleted)::float8, flush_time, lock_wait_time,
                current_database()::text FROM tviews.stat",
    )?;
    let waiting = ask("SELECT tview::text, count(DISTINCT pid) FROM tviews.locks WHERE NOT granted GROUP BY 1")?;
    let behind = ask(
        "SELECT tview::text, coalesce(rows_behind, 0)::bigint, coalesce(seconds_behind, 0)::float8, paused OR met IS FALSE FROM tviews.staleness",
    )?;
    let recovery = ask(
        "SELECT tviews_done::bigint, tviews_total::bigint, coalesce(tview::text, datname::text, '') FROM tviews.progress LIMIT 1",
    )?;
    let database = ask("SELECT current_database()::text")?;
    let counters = |r: &postgres::Row| {
        let counters = Counters {
            flushes: r.get(1),
            failures: r.get(2),
            full: r.get(3),
            written: r.get(4),
            time: r.get(5),
            waited: r.get(6),
        };
        (r.get(0), counters)
    };
    Ok(Sample {
        at: Instant::now(),
        database: database[0].get(0),
        counters: stat.iter().map(counters).collect(),
        waiting: waiting.iter().map(|r| (r.get(0), r.get(1))).collect(),
        behind: behind
            .iter()
            .map(|r| (r.get(0), (r.get(1), r.get(2), r.get::<_, Option<bool>>(3).unwrap_or(false))))
            .collect(),
        recovery: recovery.first().map(|r| (r.get(0), r.get(1), r.get(2))),
    })
}

/// What a TVIEW did between two looks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rate {
    pub tview: String,
    /// Flushes and rows written, a second.
    pub flushes: f64,
    pub rows: f64,
    /// Milliseconds of one flush; None when there was none.
    pub latency: Option<f64>,
    /// The share of that time in which flushes waited for others.
    pub waited: f64,
    pub full: f64,
    pub failures: f64,
    pub waiting: i64,
    pub behind: Option<(i64, f64, bool)>,
}

pub fn rates(before: &Sample, now: &Sample) -> Vec<Rate> {
    let seconds = now.at.duration_since(before.at).as_secs_f64().max(0.001);
    let rate = |(tview, counters): (&String, &Counters)| {
        let since = |field: fn(&Counters) -> f64| {
            let (new, old) = (field(counters), before.counters.get(tview).map_or(field(counters), field));
            if new < old { new } else { new - old }
        };
        let (flushes, time) = (since(|c| c.flushes), since(|c| c.time));
        Rate {
            tview: tview.clone(),
            flushes: flushes / seconds,
            rows: since(|c| c.written) / seconds,
            latency: (flushes > 0.0).then(|| time / flushes),
            waited: if time > 0.0 { since(|c| c.waited) / time } else { 0.0 },
            full: since(|c| c.full),
            failures: since(|c| c.failures),
            waiting: now.waiting.get(tview).copied().unwrap_or(0),
            behind: now.behind.get(tview).copied(),
        }
    };
    now.counters.iter().map(rate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn sample(at: Instant, flushes: f64, time: f64) -> Sample {
        let counters = Counters { flushes, time, waited: time / 4.0, written: flushes * 2.0, ..Counters::default() };
        Sample {
            at,
            database: "d".into(),
            counters: BTreeMap::from([("v".to_string(), counters)]),
            waiting: BTreeMap::new(),
            behind: BTreeMap::new(),
            recovery: None,
        }
    }

    #[test]
    fn rates_are_differences_by_time() {
        let start = Instant::now();
        let later = start + Duration::from_secs(2);
        let found = rates(&sample(start, 10.0, 100.0), &sample(later, 30.0, 180.0));
        assert_eq!((found[0].flushes, found[0].rows, found[0].latency, found[0].waited), (10.0, 20.0, Some(4.0), 0.25));
        assert_eq!(rates(&sample(start, 10.0, 1.0), &sample(later, 10.0, 1.0))[0].latency, None);
    }

    #[test]
    fn counters_that_were_reset_count_from_zero() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        assert_eq!(rates(&sample(start, 100.0, 1.0), &sample(later, 5.0, 1.0))[0].flushes, 5.0);
        let mut none = sample(start, 0.0, 0.0);
        none.counters.clear();
        assert_eq!(rates(&none, &sample(later, 50.0, 1.0))[0].flushes, 0.0, "a TVIEW that is new to us");
    }
}
