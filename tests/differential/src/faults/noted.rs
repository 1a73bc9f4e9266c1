//! The case that noticed a fault when it was looked for last, tried before others: looking anew takes minutes.
//! Invariant: a note is a hint. A case that does not notice any more, since the generators make another one of its seed, costs its time alone. Called by `faults`.

use anyhow::Result;
use std::path::Path;

const NOTES: &str = include_str!("noted.txt");

/// The seed of a fault's case.
pub fn case_of(fault: &str) -> Option<u64> {
    let mut words = NOTES.lines().filter_map(|line| line.split_once(' '));
    words.find(|(name, _)| *name == fault).and_then(|(_, seed)| seed.parse().ok())
}

/// Notes cases, beside those of other faults.
pub fn write(cases: &[(String, u64)]) -> Result<()> {
    let is_new = |line: &&str| !cases.iter().any(|(fault, _)| line.starts_with(&format!("{fault} ")));
    let mut lines: Vec<String> = NOTES.lines().filter(is_new).map(str::to_string).collect();
    lines.extend(cases.iter().map(|(fault, seed)| format!("{fault} {seed}")));
    lines.sort();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/faults/noted.txt");
    Ok(std::fs::write(path, lines.join("\n") + "\n")?)
}
