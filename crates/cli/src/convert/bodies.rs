//! Functions and DO blocks whose body has statements that would be rewritten outside of it.
//!
//! Invariant: they are told and left, for what a body does depends on what it is called with. Called by convert, after all other recognisers.

use super::{Found, Scripts};
use crate::script::{Script, Statement};
use pg_query::NodeEnum;

/// What the other recognisers look for, in lower case and with single blanks.
const SIGNS: [&str; 7] = [
    "create materialized view",
    "refresh materialized view",
    "create_immv(",
    "refresh_immv(",
    "create_stream_table(",
    "cron.schedule(",
    "pg_tviews_create(",
];

pub fn recognise(_: &Scripts, script: &Script, statement: &Statement) -> Found {
    let what = match statement.tree.as_ref().map(|t| &t.node) {
        Ok(NodeEnum::DoStmt(_)) => "a DO block",
        Ok(NodeEnum::CreateFunctionStmt(_)) => "a function",
        _ => return Found::Nothing,
    };
    let text: Vec<&str> = script.text_of(statement).split_whitespace().collect();
    let text = text.join(" ").to_ascii_lowercase();
    match SIGNS.iter().find(|s| text.contains(*s)) {
        Some(sign) => {
            Found::Left(format!("{what} has {} inside, which is not rewritten there", sign.trim_end_matches('(')))
        }
        None => Found::Nothing,
    }
}
