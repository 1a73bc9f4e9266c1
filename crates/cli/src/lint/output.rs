//! What lint says, for people.
//!
//! Invariant: every finding has file, line and column in front, as compilers write them, so that editors find the place. Called by lint.

use super::View;
use crate::script::Script;

pub fn text(views: &[View], scripts: &[Script], by_server: bool) {
    for view in views {
        println!("{}:{}:{}: {} {}", view.file, view.line, view.column, view.kind, view.name);
        for refused in &view.refused {
            println!("  {}:{}:{}: refused: {}", view.file, refused.line, refused.column, refused.message);
            if !refused.hint.is_empty() {
                println!("    {}", refused.hint);
            }
        }
        let width = view.tables.iter().map(|t| t.base_table.chars().count()).max().unwrap_or(0);
        for table in &view.tables {
            println!("  {:width$}  {:5}  {}", table.base_table, table.strategy, table.reason);
            for hint in table.hint.iter().flat_map(|h| h.lines()) {
                println!("  {:width$}         {hint}", "");
            }
        }
        if view.tables.is_empty() && view.refused.is_empty() {
            println!("  it reads no table");
        }
        for doubt in &view.doubts {
            println!("  guessed: {doubt}");
        }
    }
    for script in scripts {
        for statement in &script.statements {
            if let Err(why) = &statement.tree {
                let (line, column) = script.place(statement.start);
                println!("{}:{line}:{column}: not read: {why}", script.path.display());
            }
        }
    }
    if !by_server && views.iter().any(|v| !v.doubts.is_empty()) {
        println!("\nWhat is guessed a server knows: tviews lint --dsn … asks tviews.check there.");
    }
}
