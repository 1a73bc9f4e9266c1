//! SQL of a keyed flush that computes only the parts of rows that a change can concern.

use crate::analyze::describe::describe;
use crate::analyze::query::load;
use crate::analyze::rules::forms::Forms;
use crate::analyze::rules::parts;
pub use crate::analyze::rules::parts::Column;
use crate::pg::error::Result;
use crate::pg::memory;
use crate::pg::relation::Relation;
use crate::refresh::plan::sql;
use crate::refresh::plan::tview::{self, Tview, maintained};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::rc::Rc;
use tviews_core::model::Shape;

/// Forms of a keyed flush, as those of `KeyedSql`, for changes of some columns of one relation.
pub struct PartSql {
    /// By attribute of the TVIEW.
    pub columns: Rc<Vec<Column>>,
    pub one_step: Forms,
    pub two_steps: Forms,
    /// Only for changes that have as many old as new rows, equal in the columns that did not change.
    pub balanced: bool,
}

/// By changed relation and its changed columns.
pub type Known = FxHashMap<(u32, BTreeSet<i16>), Option<Rc<PartSql>>>;

impl Tview {
    /// The SQL for changes of these columns of a relation; None when they can concern all of a row.
    pub fn part_sql(&self, rel: &Relation, relid: u32, changed: &BTreeSet<i16>) -> Result<Option<Rc<PartSql>>> {
        let of = (relid, changed.clone());
        if let Some(known) = self.part_sql.borrow().get(&of) {
            return Ok(known.clone());
        }
        let made = self.make_part_sql(rel, relid, changed)?.map(Rc::new);
        self.part_sql.borrow_mut().insert(of, made.clone());
        Ok(made)
    }

    fn make_part_sql(&self, rel: &Relation, relid: u32, changed: &BTreeSet<i16>) -> Result<Option<PartSql>> {
        let Some(key) = &self.key else { return Ok(None) };
        let is_plain = !self.groups && !self.region && !key.is_empty() && self.selected == rel.natts();
        if !is_plain || self.decisions[&relid].repeated {
            return Ok(None);
        }
        let positions: Vec<usize> = key.iter().map(|k| k.at).collect();
        let made = memory::aside(|| {
            let query = load::expand(maintained(rel)?)?;
            let described = describe(query, &tview::stored_key);
            if described.description.shape != Shape::Rows {
                return Ok(None);
            }
            parts::parts(&described, relid, changed, &positions, &tview::stored_key)
        })?;
        let Some(of) = made else { return Ok(None) };
        let Some((dirty, _)) = sql::dirty_keys(self, rel, &BTreeSet::from([relid]))? else { return Ok(None) };
        Ok(Some(PartSql {
            one_step: sql::recompute_as(self, &dirty, &of.text)?,
            two_steps: sql::recompute_as(self, &sql::distinct_keys(self)?, &of.text)?,
            columns: Rc::new(of.columns),
            balanced: of.balanced,
        }))
    }
}
