//! A file of SQL as the commands see it: statements with their parse trees, and where each begins.
//!
//! Invariant: offsets of trees and tokens count from the beginning of the statement, and `Statement::start` takes them to the file. A statement that
//! PostgreSQL's parser does not accept has its message in the place of a tree. Called by convert, lint, plan and bench.

pub mod nodes;
mod split;
pub mod tree;

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
pub use tree::Tree;

/// A file and its statements.
pub struct Script {
    pub path: PathBuf,
    pub text: String,
    pub statements: Vec<Statement>,
}

pub struct Statement {
    pub start: usize,
    pub end: usize,
    pub terminated: bool,
    pub tree: Result<Tree, String>,
}

impl Script {
    pub fn read(path: &Path) -> Result<Script> {
        let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let text = String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8", path.display()))?;
        Ok(Script::new(path, text))
    }

    pub fn new(path: &Path, text: String) -> Script {
        let statements = split::pieces(&text)
            .into_iter()
            .map(|p| {
                let tree = Tree::parse(&text[p.start..p.end]);
                Statement { start: p.start, end: p.end, terminated: p.terminated, tree }
            })
            .collect();
        Script { path: path.to_owned(), text, statements }
    }

    /// The line of an offset, from 1.
    pub fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes()[..at.min(self.text.len())].iter().filter(|&&b| b == b'\n').count()
    }

    /// Line and column, both from 1, the column in characters.
    pub fn place(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(at)];
        let line = before.rfind('\n').map_or(0, |n| n + 1);
        (self.line(at), before[line..].chars().count() + 1)
    }

    pub fn text_of(&self, statement: &Statement) -> &str {
        &self.text[statement.start..statement.end]
    }
}

/// The files that are named: files as they are, of directories all `*.sql` below, in the order of their names.
pub fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in named {
        if path.is_dir() {
            below(path, &mut found)?;
        } else {
            found.push(path.clone());
        }
    }
    anyhow::ensure!(!found.is_empty(), "there is no file *.sql in what was named");
    Ok(found)
}

fn below(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("{} cannot be read", directory.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|e| e.map(|e| e.path())).collect::<std::io::Result<_>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            below(&path, found)?;
        } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("sql")) {
            found.push(path);
        }
    }
    Ok(())
}
