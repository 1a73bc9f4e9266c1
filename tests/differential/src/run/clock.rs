//! Where the time of a run goes.
//! Invariant: every moment is charged to one kind of work. Used by all of `run`, which says when another kind begins; printed by `report`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub struct Clock {
    what: &'static str,
    since: Instant,
    spent: BTreeMap<&'static str, Duration>,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { what: "making tables", since: Instant::now(), spent: BTreeMap::new() }
    }
}

impl Clock {
    /// Sets the phase from now on; returns the phase until now.
    pub fn to(&mut self, what: &'static str) -> &'static str {
        *self.spent.entry(self.what).or_default() += self.since.elapsed();
        self.since = Instant::now();
        std::mem::replace(&mut self.what, what)
    }

    pub fn merge(&mut self, other: &Clock) {
        for (what, time) in &other.spent {
            *self.spent.entry(what).or_default() += *time;
        }
    }

    pub fn print(&self) {
        let all: f64 = self.spent.values().map(Duration::as_secs_f64).sum();
        let part =
            |(what, time): (&&str, &Duration)| format!("{what} {:.0} %", 100.0 * time.as_secs_f64() / all.max(1e-9));
        println!("where the time went: {}", self.spent.iter().map(part).collect::<Vec<_>>().join(", "));
    }
}
