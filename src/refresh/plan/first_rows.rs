//! SQL and order of strategy range for queries with LIMIT.

use crate::analyze::describe::first_rows::{self, FirstRows};
use crate::analyze::query::load;
use crate::analyze::rules;
use crate::pg::error::Result;
use crate::pg::memory;
use crate::pg::relation::Relation;
use crate::refresh::plan::tview::{Tview, maintained};
use std::collections::BTreeSet;
use std::rc::Rc;
use tviews_core::strategy::Strategy;

/// How it is told whether changes reach the rows that are shown.
pub struct FirstRowsSql {
    pub rows: FirstRows,
    /// Selects the place of the first changed row, see analyze/rules/first_rows.rs.
    pub first_changed: String,
}

impl Tview {
    /// What is needed to follow changes of these relations by strategy range; None when they are followed otherwise.
    pub fn first_rows(&self, rel: &Relation, changed: &BTreeSet<u32>) -> Result<Option<Rc<FirstRowsSql>>> {
        if changed.iter().any(|r| self.decisions[r].strategy != Strategy::Range) {
            return Ok(None);
        }
        if let Some(known) = &*self.first_rows_sql.borrow() {
            return Ok(known.clone());
        }
        let made = memory::aside(|| make(rel))?.map(Rc::new);
        *self.first_rows_sql.borrow_mut() = Some(made.clone());
        Ok(made)
    }
}

fn make(rel: &Relation) -> Result<Option<FirstRowsSql>> {
    let query = load::expand(maintained(rel)?)?;
    let Some(rows) = first_rows::of(query) else { return Ok(None) };
    let first_changed = rules::first_rows::first_changed(query)?.ok();
    Ok(first_changed.map(|first_changed| FirstRowsSql { rows, first_changed }))
}
