//! SQL of strategy fold.

use crate::analyze::describe;
use crate::analyze::describe::fold::Fold;
use crate::analyze::describe::recognise::recognise;
use crate::analyze::query::load;
use crate::analyze::rules::delta::Weighted;
use crate::analyze::rules::forms::Forms;
use crate::pg::error::Result;
use crate::pg::memory;
use crate::pg::relation::Relation;
use crate::refresh::plan::tview::{self, Tview, maintained};
use crate::refresh::plan::{decide, sql};
use std::collections::BTreeSet;
use std::rc::Rc;
use tviews_core::choice::Size;

/// Forms of a fold for one set of changed relations.
pub struct FoldSql {
    /// Targets are keys, arguments, conditions.
    pub delta: Weighted,
    /// For many rows: positive weights first when there are several terms.
    pub bulk: Option<Forms>,
    /// Selects the ctids of the stored rows of the keys.
    pub lookup: String,
}

impl FoldSql {
    /// The forms that a flush of this size computes.
    pub fn forms(&self, size: Size) -> Vec<&Forms> {
        let many = !size.is_few() && self.delta.before.is_none();
        [if many { &self.bulk } else { &self.delta.now }, &self.delta.before].into_iter().flatten().collect()
    }
}

impl Tview {
    /// The SQL of a fold; None when changes of these relations together must be followed by the fallback.
    pub fn fold_sql(&self, rel: &Relation, changed: &BTreeSet<u32>) -> Result<Option<Rc<FoldSql>>> {
        if let Some(known) = self.fold_sql.borrow().get(changed) {
            return Ok(known.clone());
        }
        let made = memory::aside(|| self.make_fold_sql(rel, changed))?.map(Rc::new);
        self.fold_sql.borrow_mut().insert(changed.clone(), made.clone());
        Ok(made)
    }

    fn make_fold_sql(&self, rel: &Relation, changed: &BTreeSet<u32>) -> Result<Option<FoldSql>> {
        if self.fold.is_none() {
            return Ok(None);
        }
        let (delta, many) = {
            let query = load::expand(maintained(rel)?)?;
            let described = describe::describe(query, &tview::stored_key);
            let Ok(fold): std::result::Result<Fold, _> =
                recognise(query, &described.description.shape, self.approximate)
            else {
                return Ok(None);
            };
            let mut targets = fold.key_nodes.clone();
            targets.extend(&fold.args);
            targets.extend(&fold.filters);
            let captured = decide::captured(self.oid);
            let of = |changed: &BTreeSet<u32>| decide::weighted(&described, &targets, changed, &captured, self.states);
            let Ok(terms) = of(changed)? else { return Ok(None) };
            let terms = decide::guarded(terms, changed, of)?;
            let many = terms.now.len() > 2 || terms.is_mixed && terms.now.len() > 1;
            let delta = Weighted::from(terms);
            (delta, many)
        };
        let bulk = match &delta.now {
            Some(all) if many => Some(all.map(|t| format!("SELECT * FROM ({t}) x ORDER BY 1 DESC"))),
            other => other.clone(),
        };
        Ok(Some(FoldSql { delta, bulk, lookup: sql::stored(self, &sql::locked_keys(self)?)? }))
    }
}
