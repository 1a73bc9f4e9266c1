//! How often a run met each hazard.
//! Invariant: a long run fails when a hazard that its servers can have hardly ever occurred. Called by `run` and `report`.

use super::{ALL, Hazard};
use crate::features::Features;
use crate::tally::Tally;

/// Every hazard occurs at least as often as once in this number of cases, or it is a mistake of the generators. They plan each of them ten times
/// as often, so that a run of `LONG` cases falls below by mistakes only.
pub const CASES_PER_HAZARD: u64 = 300;

pub type Counts = Tally<Hazard>;

impl Counts {
    /// Hazards of these servers that occurred less often than once in `CASES_PER_HAZARD` cases, and not at all in fewer cases.
    pub fn missing(&self, cases: u64, features: Features) -> Vec<String> {
        let least = (cases / CASES_PER_HAZARD).max(1);
        let possible = |h: Hazard| match h {
            Hazard::SqlJsonAggregate | Hazard::JsonArrayOfQuery => features.version >= 16,
            Hazard::JsonTable | Hazard::MergeBySource => features.version >= 17,
            Hazard::VirtualColumn => features.version >= 18,
            Hazard::IgnoreNulls
            | Hazard::CopySetNull
            | Hazard::OnConflictSelect
            | Hazard::Repack
            | Hazard::RepackConcurrently => features.version >= 19,
            Hazard::CaseInsensitive => features.icu || features.citext,
            _ => true,
        };
        let rare = ALL.iter().filter(|(h, _, _)| possible(*h) && self.get(h) < least);
        rare.map(|(h, _, text)| format!("{text} ({} of {least})", self.get(h))).collect()
    }

    pub fn print(&self) {
        let mut section = "";
        for (hazard, s, text) in ALL {
            if *s != section {
                println!("\n{s}");
                section = s;
            }
            println!("{:>8}  {text}", self.get(hazard));
        }
    }
}
