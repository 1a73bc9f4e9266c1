//! The query that a TVIEW is maintained by.

use crate::analyze::describe::KeyOf;
use crate::analyze::query::load::{expand, stored};
use crate::analyze::split::{self, Stages};
use crate::catalog::stages::{self, Known};
use crate::pg::error::{Error, Result};
use crate::pg::relation::Relation;
use crate::pg::tree::{Query, list, walk};
use pgrx::pg_sys;

/// The query that a TVIEW is maintained by: the stored one, or, when it has stages, the expanded one that reads them.
pub fn maintained(rel: &Relation, key_of: KeyOf) -> Result<Query> {
    let query = stored(rel)?;
    let known = stages::known(rel.oid());
    let expanded = expand(query)?;
    if known.is_empty() && !has_with(expanded) && expanded.setOperations().is_null() {
        return Ok(query);
    }
    let mut found = Found { tview: rel.oid(), known, at: 0, others: false };
    match split::split(expanded, key_of, &mut found) {
        Err(_) if found.others => Ok(query),
        split => split,
    }
}

/// The stages that a TVIEW has.
struct Found {
    tview: pg_sys::Oid,
    known: Vec<Known>,
    at: usize,
    /// The stages were made for a key that is no key any more, or by a version that made fewer: the query is followed as it is.
    others: bool,
}

impl Stages for Found {
    fn next(&mut self, _text: &str, joined: &str) -> Result<pg_sys::Oid> {
        let lacks = || Error::Internal(format!("TVIEW {} lacks a stage", self.tview.to_u32()));
        let known = self.known.get(self.at);
        self.others |= known.is_none_or(|k| k.joined != joined);
        let Some(known) = known.filter(|_| !self.others) else { return Err(lacks()) };
        self.at += 1;
        Ok(known.stage)
    }

    fn makes(&self) -> bool {
        false
    }

    fn has_next(&self) -> bool {
        self.at < self.known.len()
    }

    fn is_joined(&self, joined: &str) -> bool {
        self.known.get(self.at).is_some_and(|k| k.joined == joined)
    }
}

/// Whether WITH occurs at the top or in a view: its queries are put in the place of their references.
fn has_with(query: Query) -> bool {
    walk::walk(query.cast(), &mut |n| {
        list::is(n, pg_sys::NodeTag::T_Query) && !n.cast::<pg_sys::Query>().cteList().is_null()
    })
}
