//! The SQL of edited queries, read back and compared with the trees that it comes from.
//!
//! The deparser is made for queries as users write them, and some trees, of users and of ours, have no text that is read as the same
//! query: a name that is hidden, a cast that is not shown, an expression that the grammar has no place for. The server would then run
//! another query. Invariant: no text goes from here to the server that is not the query it was made from; a tree without such a text is an
//! error, `Unwritten`, from which a decision makes another strategy (refresh/plan/decide), and CREATE a refusal.
//! How trees are compared is in canonical. Called by all of analysis.

use crate::analyze::query::canonical::canonical;
use crate::analyze::query::operators;
use crate::pg::error::{Error, Result};
use crate::pg::memory;
use crate::pg::pinned::Path;
use crate::pg::process::process;
use crate::pg::subtransaction;
use crate::pg::tree::{Query, Text, list, parser, server};
use std::cell::Cell;
use std::ffi::CString;
use tviews_core::reason::Reason;

/// The text of a query, which is left as it is.
pub fn text(query: Query) -> Result<String> {
    if NO_TEXT.get() { Ok(String::new()) } else { memory::aside(|| compared(query)) }
}

process! {
    static NO_TEXT: Cell<bool> = const { Cell::new(false) };
    static UNWRITTEN: Cell<u64> = const { Cell::new(0) };
}

/// While this lives, queries have a text, or an empty one: for who only wants to know whether there is SQL, and knows that it can be written.
pub struct Texts(bool);

impl Texts {
    pub fn made(made: bool) -> Texts {
        Texts(NO_TEXT.replace(!made))
    }
}

impl Drop for Texts {
    fn drop(&mut self) {
        NO_TEXT.set(self.0);
    }
}

/// How many queries of this session could not be written.
pub fn unwritten() -> u64 {
    UNWRITTEN.get()
}

/// Whether a query has a text, also while none is wanted.
#[cfg(feature = "since_18")]
pub fn can_be(query: Query) -> Result<bool> {
    memory::aside(|| Ok(read_back(query)?.1.is_ok()))
}

fn compared(query: Query) -> Result<String> {
    let (text, same) = read_back(query)?;
    match same {
        Ok(()) => Ok(text),
        Err(detail) => {
            UNWRITTEN.set(UNWRITTEN.get() + 1);
            Err(Error::Unwritten { detail, text })
        }
    }
}

/// The text of a query, and in what it is read as another one.
fn read_back(query: Query) -> Result<(String, std::result::Result<(), String>)> {
    let (tree, text) = parser::printed(query);
    let same = match parsed(&text, query)? {
        Err(message) => Err(message),
        Ok(back) => match (canonical(tree), canonical(back)) {
            (Some(tree), Some(back)) if server::equal(tree.cast(), back.cast()) => Ok(()),
            _ => Err("It is read as another query.".into()),
        },
    };
    Ok((text, same))
}

/// For SQL that can be left out: None when it cannot be written.
pub fn or_none<T>(result: Result<Option<T>>) -> Result<Option<T>> {
    match result {
        Err(Error::Unwritten { .. }) => Ok(None),
        other => other,
    }
}

/// A query that cannot be written becomes the reason `Unwritten`.
pub fn or_why<T>(result: Result<std::result::Result<T, Reason>>) -> Result<std::result::Result<T, Reason>> {
    match result {
        Err(Error::Unwritten { .. }) => Ok(Err(Reason::Unwritten)),
        other => other,
    }
}

/// The query that a text is read as, or the parser's message.
fn parsed(text: &str, of: Query) -> Result<std::result::Result<Query, String>> {
    let source = CString::new(text).map_err(|_| Error::Internal("NUL byte in SQL text".into()))?;
    let source = Text::of(&source);
    let path = operators::search_path(of);
    Ok(subtransaction::parse(|| {
        let _path = Path::new(&path);
        // Without the hooks that look at queries of users.
        parser::transform(list::first(parser::raw_parser(source)), source, |_| ())
    }))
}
