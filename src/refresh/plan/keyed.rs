//! SQL of strategy keyed.

use crate::analyze::query::printed;
use crate::analyze::rules::forms::Forms;
use crate::pg::error::Result;
use crate::pg::relation;
use crate::refresh::plan::tview::Tview;
use crate::refresh::plan::{recursion, sql};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Forms of a keyed flush for one set of changed relations.
pub struct KeyedSql {
    pub dirty: String,
    pub one_step: Forms,
    pub two_steps: Forms,
    /// For keys that name whole partitions: selects the ctids of their stored rows.
    pub stored: Option<String>,
    /// SELECTs of a boolean each: when one is false, `dirty` misses keys.
    pub gates: Vec<String>,
}

impl Tview {
    /// The SQL of a keyed flush; None when changes of these relations together need a full recomputation.
    pub fn sql(&self, rel: &relation::Relation, changed: &BTreeSet<u32>) -> Result<Option<Rc<KeyedSql>>> {
        if let Some(known) = self.keyed_sql.borrow().get(changed) {
            return Ok(known.clone());
        }
        let made = self.make_sql(rel, changed)?.map(Rc::new);
        self.keyed_sql.borrow_mut().insert(changed.clone(), made.clone());
        Ok(made)
    }

    fn make_sql(&self, rel: &relation::Relation, changed: &BTreeSet<u32>) -> Result<Option<KeyedSql>> {
        if self.is_recursive()
            && let Some(recursion) = recursion::of(rel)?
        {
            return printed::or_none(recursion::sql(self, &recursion, changed));
        }
        let Some((dirty, gates)) = sql::dirty_keys(self, rel, changed)? else { return Ok(None) };
        let one_step = sql::recompute(self, &dirty)?;
        if self.region {
            let two_steps = sql::rows_of(self)?;
            return Ok(Some(KeyedSql {
                dirty,
                one_step,
                two_steps,
                stored: Some(sql::stored(self, &sql::distinct_keys(self)?)?),
                gates,
            }));
        }
        let two_steps = sql::recompute(self, &sql::distinct_keys(self)?)?;
        Ok(Some(KeyedSql { dirty, one_step, two_steps, stored: None, gates }))
    }
}
