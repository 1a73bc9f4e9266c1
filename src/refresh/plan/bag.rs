//! SQL of strategy delta.

use crate::analyze::query::load;
use crate::analyze::rules::delta::Weighted;
use crate::analyze::rules::forms::Forms;
use crate::pg::error::Result;
use crate::pg::memory;
use crate::pg::name;
use crate::pg::relation::Relation;
use crate::refresh::plan::tview::{Tview, maintained};
use crate::refresh::plan::{decide, lookup};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Forms for one set of changed relations.
pub struct BagSql {
    /// Targets are the output columns.
    pub delta: Weighted,
    /// Selects the ctids of stored rows that have the hash of a row that goes.
    pub lookup: String,
}

impl BagSql {
    pub fn forms(&self) -> Vec<&Forms> {
        [&self.delta.now, &self.delta.before].into_iter().flatten().collect()
    }
}

impl Tview {
    /// The SQL of strategy delta; None when changes of these relations together need another strategy.
    pub fn bag_sql(&self, rel: &Relation, changed: &BTreeSet<u32>) -> Result<Option<Rc<BagSql>>> {
        if let Some(known) = self.bag_sql.borrow().get(changed) {
            return Ok(known.clone());
        }
        let made = memory::aside(|| self.make_bag_sql(rel, changed))?.map(Rc::new);
        self.bag_sql.borrow_mut().insert(changed.clone(), made.clone());
        Ok(made)
    }

    fn make_bag_sql(&self, rel: &Relation, changed: &BTreeSet<u32>) -> Result<Option<BagSql>> {
        let terms = {
            let query = load::expand(maintained(rel)?)?;
            let captured = decide::captured(self.oid);
            let of = |changed: &BTreeSet<u32>| decide::bag_terms(query, changed, &captured, self.states);
            match of(changed)? {
                Ok(terms) => decide::guarded(terms, changed, of)?,
                Err(_) => return Ok(None),
            }
        };
        let lookup = format!(
            "SELECT s.ctid FROM tviews.dirty(NULL::{view}) d JOIN {view} s ON {} = {}",
            hash_expression(rel, self, "s."),
            hash_expression(rel, self, "d."),
            view = self.name,
        );
        Ok(Some(BagSql { delta: terms.into(), lookup }))
    }
}

/// The expression by which stored rows are found: a hash of the columns whose types can be hashed, as many as its index can hold.
pub fn hash_expression(rel: &Relation, tview: &Tview, prefix: &str) -> String {
    let columns: Vec<String> = (0..tview.columns.len())
        .filter(|i| name::is_hashable(rel.attribute(*i).atttypid) && rel.attribute(*i).atttypid != pg_sys::RECORDOID)
        .take(lookup::MOST_HASHED)
        .map(|i| format!("{prefix}{}", tview.columns[i]))
        .collect();
    format!("pg_catalog.hash_record_extended(ROW({}), 0)", columns.join(", "))
}
