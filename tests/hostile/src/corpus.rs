//! The statements: regress/hostile/*.sql, a topic a file, a case a paragraph.
//! Invariant: a file gives the same cases in the same order, whatever the seed. Called by `rounds`; the format is in the README.

use anyhow::{Context, Result, bail};
use std::path::Path;

#[derive(Clone, Debug, Default)]
pub struct Case {
    pub topic: String,
    pub number: usize,
    /// run before, as superuser, on a fresh copy of the fixture
    pub setup: Vec<String>,
    pub statements: Vec<String>,
    /// names of actors; empty: all
    pub actors: Vec<String>,
    /// names of modes; empty: all
    pub modes: Vec<String>,
    /// SQLSTATEs that the server itself may raise here, though they say "internal error"
    pub allow: Vec<String>,
    /// what else is right here: `stale` contents, later writes that `fail`, a `grant`, a `kill`ed session, `residue`
    pub may: Vec<String>,
    /// SQL that must be true afterwards
    pub holds: Vec<String>,
    /// the answer to the last statement, alone and as superuser or first actor: SQLSTATEs, 00000 for none
    pub want: Vec<String>,
}

impl Case {
    pub fn name(&self) -> String {
        format!("{}:{}", self.topic, self.number)
    }

    /// Whether it has an end of a transaction of its own, which the wrapping of a mode cannot take back.
    pub fn ends_transactions(&self) -> bool {
        self.statements.iter().any(|s| s.starts_with("COMMIT") || s.starts_with("PREPARE TRANSACTION"))
    }

    pub fn may(&self, what: &str) -> bool {
        self.may.iter().any(|m| m == what)
    }
}

/// `-- each NAME: A | B`: the case is repeated with each for {NAME}.
type Each = (String, Vec<String>);

#[derive(Clone, Default)]
struct Paragraph {
    case: Case,
    each: Vec<Each>,
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_string).collect()
}

fn paragraph(text: &str, base: &Paragraph) -> Result<Paragraph> {
    let mut p = base.clone();
    let mut sql = String::new();
    for line in text.lines() {
        let Some((name, value)) = line.strip_prefix("-- ").and_then(|l| l.split_once(": ")) else {
            if !line.starts_with("--") {
                sql += line;
                sql += "\n";
                if line.trim_end().ends_with(';') {
                    p.case.statements.push(sql.trim().trim_end_matches(';').to_string());
                    sql.clear();
                }
            }
            continue;
        };
        match name {
            "setup" => p.case.setup.push(value.to_string()),
            "as" => p.case.actors = words(value),
            "modes" => p.case.modes = words(value),
            "allow" => p.case.allow.extend(words(value)),
            "may" => p.case.may.extend(words(value)),
            "want" => p.case.want = words(value),
            "holds" => p.case.holds.push(value.to_string()),
            _ if name.starts_with("each ") => {
                let values = value.split(" | ").map(|v| v.trim().to_string()).collect();
                p.each.push((name[5..].to_string(), values));
            }
            // an ordinary comment with a colon
            _ => {}
        }
    }
    if !sql.trim().is_empty() {
        bail!("a statement does not end with a semicolon: {sql}");
    }
    Ok(p)
}

/// One case for each combination of values.
fn expand(p: Paragraph) -> Vec<Case> {
    let mut cases = vec![p.case];
    for (name, values) in &p.each {
        let hole = format!("{{{name}}}");
        let used = |c: &Case| c.statements.iter().chain(&c.setup).any(|s| s.contains(&hole));
        cases = cases
            .into_iter()
            .flat_map(|case| {
                let times = if used(&case) { &values[..] } else { &values[..1] };
                let fill = |value: &String| {
                    let mut case = case.clone();
                    for text in case.statements.iter_mut().chain(&mut case.setup).chain(&mut case.holds) {
                        *text = text.replace(&hole, value);
                    }
                    case
                };
                times.iter().map(fill).collect::<Vec<_>>()
            })
            .collect();
    }
    cases
}

/// The cases of a text. What its first paragraph says, which has no statement, holds for all.
pub fn parse(topic: &str, text: &str) -> Result<Vec<Case>> {
    let mut paragraphs = text.split("\n\n").filter(|p| !p.trim().is_empty());
    let header = paragraphs.next().context("an empty file")?;
    let empty = Paragraph { case: Case { topic: topic.to_string(), ..Case::default() }, each: vec![] };
    let header = paragraph(header, &empty)?;
    if !header.case.statements.is_empty() {
        bail!("{topic}: the first paragraph says what the file is, and has no statement");
    }
    let mut cases = vec![];
    for text in paragraphs {
        let p = paragraph(text, &header).with_context(|| format!("in {topic}"))?;
        if p.case.statements.is_empty() {
            continue;
        }
        cases.extend(expand(p));
    }
    cases.iter_mut().enumerate().for_each(|(i, c)| c.number = i + 1);
    Ok(cases)
}

/// All cases of a directory, by topic.
pub fn load(directory: &Path) -> Result<Vec<(String, Vec<Case>)>> {
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .with_context(|| format!("no statements in {}", directory.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "sql"))
        .collect();
    files.sort();
    let mut topics = vec![];
    for path in files {
        let topic = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        topics.push((topic.clone(), parse(&topic, &std::fs::read_to_string(&path)?)?));
    }
    Ok(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_become_cases() {
        let text = "-- A topic.\n-- each arg: NULL | 0\n\n-- setup: SELECT 1\n-- as: low\nSELECT f({arg});\nSELECT 2;\n\nSELECT 3;\n";
        let cases = parse("x", text).unwrap();
        let statements: Vec<_> = cases.iter().map(|c| c.statements.join("|")).collect();
        assert_eq!(statements, ["SELECT f(NULL)|SELECT 2", "SELECT f(0)|SELECT 2", "SELECT 3"]);
        assert_eq!(cases[1].actors, ["low"]);
        assert!(cases[2].actors.is_empty() && cases[2].setup.is_empty());
        assert!(parse("x", "-- A topic.\n\nSELECT 1").is_err());
    }

    #[test]
    fn the_files_can_be_read() {
        let topics = load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../regress/hostile"))).unwrap();
        assert!(topics.iter().all(|(_, cases)| !cases.is_empty()));
    }
}
