//! The server's log: the lines that a run has added, and lines that must never be there.
//! Invariant: lines are judged by severity and SQLSTATE, never by the text of statements, which the log repeats. Called after every run.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

pub struct Log {
    path: PathBuf,
    at: u64,
}

/// A line with the prefix `@SQLSTATE@PID@ `.
pub struct Line<'a> {
    pub state: &'a str,
    pub severity: &'a str,
    pub message: &'a str,
}

pub fn parse(line: &str) -> Option<Line<'_>> {
    let mut parts = line.strip_prefix('@')?.splitn(3, '@');
    let (state, _pid, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (severity, message) = rest.trim_start().split_once(":  ")?;
    Some(Line { state, severity, message })
}

const OF_RESOURCES: &[&str] = &[
    "leak",
    "still referenced",
    "you don't own a lock",
    "still active",
    "while in ABORT",
    "non-empty SPI stack",
    "unexpected state",
];

/// Why a line is a failure.
fn is_bad(text: &str, allowed: &[String]) -> bool {
    if text.starts_with("TRAP:") {
        return true;
    }
    let Some(line) = parse(text) else { return false };
    match line.severity {
        "PANIC" => true,
        "ERROR" | "FATAL" => line.state.starts_with("XX") && !allowed.iter().any(|s| s == line.state),
        "WARNING" => line.state.starts_with("XX") || OF_RESOURCES.iter().any(|words| line.message.contains(words)),
        _ => line.message.contains("was terminated by"),
    }
}

impl Log {
    pub fn open(path: PathBuf) -> Result<Log> {
        let at = path.metadata().with_context(|| format!("cannot read the log {}", path.display()))?.len();
        Ok(Log { path, at })
    }

    /// The lines since the last call, whole lines only.
    pub fn news(&mut self) -> Result<String> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.at))?;
        let mut bytes = vec![];
        file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        self.at += whole as u64;
        Ok(String::from_utf8_lossy(&bytes[..whole]).into_owned())
    }
}

/// The lines that must not be in a log; `allowed` SQLSTATEs of errors are the server's own.
pub fn bad_lines<'a>(news: &'a str, allowed: &[String]) -> Vec<&'a str> {
    news.lines().filter(|line| is_bad(line, allowed)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severity_and_state_decide() {
        let bad = |line: &str| is_bad(line, &[]);
        assert!(bad("@XX000@12@ ERROR:  cache lookup failed for relation 1"));
        assert!(bad("@40P02@12@ PANIC:  cannot abort transaction 7"));
        assert!(bad("@00000@1@ LOG:  server process (PID 9) was terminated by signal 11: Segmentation fault"));
        assert!(bad("@01000@12@ WARNING:  you don't own a lock of type AccessShareLock"));
        assert!(bad("TRAP: failed Assert(\"x\")"));
        assert!(!bad("@42P01@12@ ERROR:  relation \"PANIC\" does not exist"));
        assert!(!bad("@00000@12@ STATEMENT:  SELECT 'PANIC:  XX000'"));
        assert!(!bad("\tPANIC:  second line of a statement"));
        assert!(!is_bad("@XX000@12@ ERROR:  tuple concurrently updated", &["XX000".into()]));
    }
}
