//! When a deferred TVIEW is refreshed by itself.
//!
//! | text | meaning |
//! |---|---|
//! | `30s`, `5m`, `1h30m`, `1d` | a refresh begins so long after the one before began |
//! | `0 3 * * 1-5`, `*/10 * * * * *`, `@hourly` | cron: five fields, or six with seconds first |
//! | `CRON_TZ=Europe/Berlin 0 3 * * *` | the same in a time zone; otherwise in that of the database |
//! | `calculated` | with the deferred TVIEWs that read it |
//!
//! Invariant: `next` is later than the moment it is given, and a schedule that was accepted is accepted again. Called by `options`, and by the
//! extension's worker.

use croner::Cron;
use croner::parser::CronParser;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::fmt;

/// The shortest time between two refreshes.
pub const SHORTEST: SignedDuration = SignedDuration::from_secs(1);
/// The longest: longer ones are typing errors.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 366);

const ZONE: &str = "CRON_TZ=";

#[derive(Debug, Clone)]
pub enum Schedule {
    Every(SignedDuration),
    /// In a zone of its own, or in that of the database.
    Cron(Box<Cron>, Option<TimeZone>),
    Calculated,
}

/// Why text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bad {
    Neither,
    TooOften,
    TooSeldom,
    Zone(String),
    /// What is wrong with the cron text.
    Cron(String),
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Bad::Neither => {
                write!(
                    f,
                    "It is an interval such as 30s, 5m or 1h30m, cron text of five or six fields, @hourly or the like, or calculated."
                )
            }
            Bad::TooOften => write!(f, "The shortest interval is one second."),
            Bad::TooSeldom => write!(f, "The longest interval is a year."),
            Bad::Zone(zone) => write!(f, "Time zone \"{zone}\" is not known."),
            Bad::Cron(why) => write!(f, "It is no cron text: {why}."),
        }
    }
}

impl Schedule {
    pub fn parse(text: &str) -> Result<Schedule, Bad> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("calculated") {
            return Ok(Schedule::Calculated);
        }
        let (zone, fields) = match text.strip_prefix(ZONE).map(|rest| rest.split_once(' ').unwrap_or((rest, ""))) {
            Some((zone, fields)) => (Some(zone), fields),
            None => (None, text),
        };
        let zone = zone.map(|z| TimeZone::get(z).map_err(|_| Bad::Zone(z.into()))).transpose()?;
        if zone.is_some() || fields.starts_with('@') || fields.split_whitespace().count() >= 5 {
            let cron =
                CronParser::new().parse(fields).map_err(|e| Bad::Cron(e.to_string().trim_end_matches('.').into()))?;
            return Ok(Schedule::Cron(Box::new(cron), zone));
        }
        let every: SignedDuration = fields.parse().map_err(|_| Bad::Neither)?;
        match every {
            _ if every < SHORTEST => Err(Bad::TooOften),
            _ if every > LONGEST => Err(Bad::TooSeldom),
            _ => Ok(Schedule::Every(every)),
        }
    }

    /// When the next refresh begins, if the last one began at `last`; microseconds since 1970. `zone`: of the database. None: never by itself.
    pub fn next(&self, last: i64, zone: &str) -> Option<i64> {
        match self {
            Schedule::Every(every) => last.checked_add(i64::try_from(every.as_micros()).ok()?),
            Schedule::Cron(cron, own) => {
                let zone = own.clone().or_else(|| TimeZone::get(zone).ok()).unwrap_or(TimeZone::UTC);
                let last = Timestamp::from_microsecond(last).ok()?.to_zoned(zone);
                Some(cron.find_next_occurrence(&last, false).ok()?.timestamp().as_microsecond())
            }
            Schedule::Calculated => None,
        }
    }

    /// How much earlier a refresh begins, in microseconds: up to a twentieth of an interval, by the dice of `seed`, so that TVIEWs with one interval, in
    /// one database or in several, do not all begin at once. Cron text says times.
    pub fn early(&self, seed: u64) -> i64 {
        match self {
            Schedule::Every(every) => {
                // Numbers that follow each other are far apart: Knuth, The Art of Computer Programming 3, 6.4.
                let dice = (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as i64;
                let most = i64::try_from(every.as_micros()).unwrap_or(0) / 20;
                most / 1000 * (dice % 1001)
            }
            _ => 0,
        }
    }

    /// How old contents may become, in microseconds: two intervals, when a refresh takes no longer than one. None: a cron schedule says times.
    pub fn bound(&self) -> Option<i64> {
        match self {
            Schedule::Every(every) => i64::try_from(every.as_micros()).ok()?.checked_mul(2),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().map_or(0, |t| t.as_microsecond())
    }

    fn next(schedule: &str, last: &str, zone: &str) -> Option<i64> {
        Schedule::parse(schedule).ok()?.next(at(last), zone)
    }

    #[test]
    fn times() {
        for (schedule, last, zone, wanted) in [
            ("90s", "2026-01-01T00:00:00Z", "UTC", "2026-01-01T00:01:30Z"),
            ("1h30m", "2026-01-01T00:00:00Z", "UTC", "2026-01-01T01:30:00Z"),
            ("@hourly", "2026-01-01T00:00:00Z", "UTC", "2026-01-01T01:00:00Z"),
            ("*/10 * * * * *", "2026-01-01T00:00:01Z", "UTC", "2026-01-01T00:00:10Z"),
            ("0 3 * * *", "2026-07-01T00:00:00Z", "Europe/Berlin", "2026-07-01T01:00:00Z"),
            ("CRON_TZ=America/New_York 0 3 * * *", "2026-07-01T00:00:00Z", "Europe/Berlin", "2026-07-01T07:00:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "UTC", "2028-02-29T00:00:00Z"),
        ] {
            assert_eq!(next(schedule, last, zone), Some(at(wanted)), "{schedule}");
        }
        assert_eq!(next("calculated", "2026-01-01T00:00:00Z", "UTC"), None);
        assert_eq!(Schedule::parse("30s").ok().and_then(|s| s.bound()), Some(60_000_000));
    }

    proptest! {
        #[test]
        fn not_all_at_once(seconds in 1..100_000i64, seed: u64) {
            let schedule = Schedule::Every(SignedDuration::from_secs(seconds));
            let early = schedule.early(seed);
            prop_assert!((0..=seconds * 50_000).contains(&early));
            let others: std::collections::BTreeSet<i64> = (0..20).map(|n| schedule.early(seed.wrapping_add(n))).collect();
            prop_assert!(others.len() > 10);
        }
    }

    #[test]
    fn refused() {
        let why = |text: &str| Schedule::parse(text).err();
        assert_eq!(why("often"), Some(Bad::Neither));
        assert_eq!(why("100ms"), Some(Bad::TooOften));
        assert_eq!(why("-5m"), Some(Bad::TooOften));
        assert_eq!(why("9000h"), Some(Bad::TooSeldom));
        assert_eq!(why("CRON_TZ=Nowhere/Land 0 3 * * *"), Some(Bad::Zone("Nowhere/Land".into())));
        for text in ["61 * * * *", "CRON_TZ=UTC", "* * * * * * * *", "@never"] {
            assert!(matches!(why(text), Some(Bad::Cron(_))), "{text}");
        }
    }

    proptest! {
        /// Later than the last one, whatever the schedule, also where clocks are set back or forward.
        #[test]
        fn time_goes_on(which in 0usize..6, last in 0i64..4_000_000_000, zone in 0usize..3) {
            let schedule = ["1s", "17m", "*/7 * * * * *", "30 2 * * *", "0 0 31 * *", "@weekly"][which];
            let zone = ["UTC", "America/New_York", "Australia/Lord_Howe"][zone];
            let last = last * 1_000_000;
            let next = Schedule::parse(schedule).ok().and_then(|s| s.next(last, zone));
            prop_assert!(next.is_some_and(|n| n > last));
        }
    }
}
