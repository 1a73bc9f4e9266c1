//! The printed report: a line for each topic or test, its failures, and the sum.
//! Invariant: the last line is `N passed, N failed`; a case fails once, however many of its runs do. Called by `rounds` and the parts.

use crate::run::Failure;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct Report {
    pub passed: u64,
    pub failed: u64,
}

impl Report {
    pub fn not_ok(&mut self, name: &str, details: &[String]) {
        println!("not ok - {name}");
        for line in details.iter().flat_map(|d| d.lines()) {
            println!("#   {line}");
        }
        self.failed += 1;
    }

    /// One of many tests of a part, which says itself how many tests it had.
    pub fn test(&mut self, name: &str, problems: &[String]) {
        match problems {
            [] => self.passed += 1,
            problems => self.not_ok(name, problems),
        }
    }

    /// A case that has failed: each kind of failure once, with the runs that had it and the script of the first.
    pub fn case(&mut self, name: &str, statement: &str, failures: &[Failure]) {
        let mut kinds: BTreeMap<&str, Vec<&Failure>> = BTreeMap::new();
        for failure in failures {
            kinds
                .entry(
                    failure.what.split(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']).next().unwrap_or_default(),
                )
                .or_default()
                .push(failure);
        }
        let mut details = vec![];
        for of_kind in kinds.values() {
            let runs: Vec<_> = of_kind.iter().map(|f| format!("{} {}", f.actor.name(), f.mode.name())).collect();
            details.push(format!("{} [{}]", of_kind[0].what, runs.join(", ")));
        }
        if let Some(first) = failures.first() {
            details.extend(first.script.iter().map(|line| format!("    {line}")));
        }
        self.not_ok(&format!("{name}: {statement}"), &details);
    }

    pub fn end(&self) -> bool {
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0
    }
}
