//! How a TVIEW is maintained when one of its base relations changes, and why.
//!
//! Called by the extension once per TVIEW and backend, by `explain` and by `check`.

use crate::reason::{Because, Reason};
use serde::Serialize;

/// From the cheapest to the most expensive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Take the weighted change rows into the state of their groups.
    Fold,
    /// Add and take away the weighted rows by which the output changes.
    Delta,
    /// Recompute the rows whose key a change can affect.
    Keyed,
    /// Recompute the rows in an interval of the query's order that a change can affect.
    Range,
    /// Recompute everything, write the difference.
    Full,
}

impl Strategy {
    pub fn as_str(self) -> &'static str {
        match self {
            Strategy::Fold => "fold",
            Strategy::Delta => "delta",
            Strategy::Keyed => "keyed",
            Strategy::Range => "range",
            Strategy::Full => "full",
        }
    }
}

/// Which locks two writers of one base relation need to see each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// No two writers of this relation can touch the same view row unseen.
    Free,
    /// Two writers can: the keys of the rows that they change are locked.
    ByKey,
    /// The whole view is recomputed, or nothing is known by which two writers of the relation see each other: one writer at a time.
    Alone,
}

/// Decision for one base relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Decision {
    pub strategy: Strategy,
    pub sharing: Sharing,
    /// The relation is read in several places.
    pub repeated: bool,
    pub reason: Because,
    /// The strategy that is taken when `strategy` cannot be: for several relations changed together, or for groups whose
    /// state does not tell.
    pub fallback: Strategy,
}

impl Decision {
    pub fn full(reason: impl Into<Because>) -> Decision {
        let (strategy, fallback) = (Strategy::Full, Strategy::Full);
        Decision { strategy, sharing: Sharing::Alone, repeated: false, reason: reason.into(), fallback }
    }

    /// The decision when stored groups lack their state.
    pub fn without_state(self) -> Decision {
        match self.strategy {
            Strategy::Fold => Decision { strategy: self.fallback, reason: Reason::StateLost.into(), ..self },
            _ => self,
        }
    }

    /// The decision when nothing is known about how the places meet in which a relation is read: its writers follow one another.
    pub fn without_meetings(self) -> Decision {
        Decision { sharing: if self.repeated { Sharing::Alone } else { self.sharing }, ..self }
    }

    /// The decision when the rows that its writers write can depend on rows of other relations that others change.
    pub fn with_keys(self) -> Decision {
        Decision { sharing: if self.sharing == Sharing::Free { Sharing::ByKey } else { self.sharing }, ..self }
    }

    /// Whether the number of changed rows does not matter for the choice between following and recomputing everything: the cost is compared, or known.
    pub fn is_any_size(&self) -> bool {
        self.adds() || self.reason.is(Reason::FirstRows)
    }

    /// Whether changes are added to the stored rows.
    pub fn adds(&self) -> bool {
        matches!(self.strategy, Strategy::Fold | Strategy::Delta)
    }

    /// Whether the rows that a change concerns are known by key.
    pub fn is_keyed(&self) -> bool {
        self.strategy == Strategy::Keyed || self.fallback == Strategy::Keyed
    }
}
