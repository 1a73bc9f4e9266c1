//! Writes aimed at a column that a query looks at: filters, partitions of windows, values that become NULL, values that are unusual.
//! Invariant: a row with the old value is there before. Called by `scenario`.

use super::Scenario;
use crate::case::Step;
use crate::hazards::Hazard;
use crate::plan::Planner;
use crate::query::Base;

/// A column with two values, the first of which it has.
struct Chosen {
    base: Base,
    old: String,
    new: String,
    before: Vec<Step>,
}

impl Planner<'_> {
    fn chosen(&mut self, from: &[Base]) -> Option<Chosen> {
        let base = *self.dice.pick(from);
        if !self.is_writable(base) {
            return None;
        }
        let (old, new) = self.two(base);
        let row = self.put(base, &old);
        let before = self.several(vec![row], &[]);
        Some(Chosen { base, old, new, before })
    }

    /// Rows go from one value to another.
    pub(super) fn moved(&mut self, from: &[Base], hazard: Hazard) -> Scenario {
        let Some(Chosen { base, old, new, before }) = self.chosen(from) else {
            return self.unaimed();
        };
        let sql = self.set(base, &new, &old);
        (before, self.one(sql, &[hazard]))
    }

    /// Rows go from a value to NULL, or from NULL to another.
    pub(super) fn null_aggregated(&mut self, from: &[Base]) -> Scenario {
        let Some(Chosen { base, old, new, before }) = self.chosen(from) else {
            return self.unaimed();
        };
        let (t, c) = self.table_and_column(base);
        if !self.schema.tables[base.0].columns[base.1].nullable {
            let sql = self.set(base, &new, &old);
            return (before, self.one(sql, &[]));
        }
        let sql = if self.dice.chance(60) {
            format!("UPDATE {t} SET {c} = NULL WHERE {c} = {old}")
        } else {
            format!("UPDATE {t} SET {c} = {new} WHERE {c} IS NULL")
        };
        (before, self.one(sql, &[Hazard::AggregatedNull, Hazard::NullAndValue]))
    }

    /// A second row gets the value that a sub-query of one row looks for, or all of them do.
    pub(super) fn unusual(&mut self, from: &[Base]) -> Scenario {
        let base = *self.dice.pick(from);
        let predicate = if self.dice.chance(75) { "true".to_string() } else { self.predicate(base.0) };
        let (t, c) = self.table_and_column(base);
        (vec![], self.one(format!("UPDATE {t} SET {c} = 9 WHERE {predicate}"), &[]))
    }
}
