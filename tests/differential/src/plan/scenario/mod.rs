//! Writes aimed at one hazard of one view, found through the facts its generator left.
//! Invariant: a column that cannot be written that way becomes an ordinary write, which names no hazard. Called by `structure`.
//!
//! `aim` says what there is to aim at, and how often; `joins`, `groups`, `aggregates`, `columns` and `rows` have the writes.

mod aggregates;
mod aim;
mod columns;
mod groups;
mod joins;
mod rows;

use super::Planner;
use crate::case::Step;
use crate::hazards::Hazard;
use crate::query::{Base, Join};
use crate::types::Ty;
use aim::{Aim, aims, keyless};

/// The statements of a transaction before, so that there are rows to break, and the statements of the hazard itself.
pub(super) type Scenario = (Vec<Step>, Vec<Step>);

impl Planner<'_> {
    fn is_writable(&self, (table, column): Base) -> bool {
        self.schema
            .tables
            .get(table)
            .and_then(|t| t.columns.get(column))
            .is_some_and(|c| !c.generated && c.ty.has_equality())
    }

    /// Has values that are equal and not the same.
    fn is_ambiguous(&self, (table, column): Base) -> bool {
        self.schema.tables[table].columns[column].ty.is_ambiguous()
    }

    /// Has values that sums treat in a way of their own.
    fn is_special(&self, (table, column): Base) -> bool {
        matches!(self.schema.tables[table].columns[column].ty, Ty::Num | Ty::Float | Ty::Real)
    }

    fn table_and_column(&self, (table, column): Base) -> (String, String) {
        let t = &self.schema.tables[table];
        (t.name.clone(), t.columns[column].name.clone())
    }

    fn set(&self, base: Base, to: &str, from: &str) -> String {
        let (t, c) = self.table_and_column(base);
        format!("UPDATE {t} SET {c} = {to} WHERE {c} = {from}")
    }

    fn delete(&self, base: Base, value: &str) -> String {
        let (t, c) = self.table_and_column(base);
        format!("DELETE FROM {t} WHERE {c} = {value}")
    }

    fn put(&mut self, base: Base, value: &str) -> String {
        self.insert_with(base.0, base.1, value)
    }

    /// Two different values of a column.
    fn two(&mut self, base: Base) -> (String, String) {
        let a = self.value_of(base.0, base.1);
        for _ in 0..6 {
            let b = self.value_of(base.0, base.1);
            if a != b {
                return (a, b);
            }
        }
        (a.clone(), a)
    }

    /// An ordinary write, where there is nothing to aim at.
    fn unaimed(&mut self) -> Scenario {
        (vec![], self.statement())
    }

    pub fn scenario(&mut self) -> Scenario {
        let tviews: Vec<usize> = (0..self.views.len()).filter(|&i| self.views[i].is_tview).collect();
        let Some(&view) = self.dice.maybe(&tviews) else {
            return self.unaimed();
        };
        let facts = self.views[view].facts.clone();
        let Some(&aim) = self.dice.maybe(&aims(&facts, self)) else {
            return self.unaimed();
        };
        match aim {
            Aim::Join => self.join(&facts.joins),
            Aim::FullJoin => {
                let full: Vec<_> = facts.joins.iter().filter(|j| j.2 == Join::Full).copied().collect();
                self.join(&full)
            }
            Aim::Sublink => self.sublink(&facts.sublinks),
            Aim::Group => {
                let base = *self.dice.pick(&facts.groups);
                self.group(base)
            }
            Aim::NullAggregated => self.null_aggregated(&facts.aggregated),
            Aim::Filter => self.moved(&facts.filters, Hazard::FilterCrossed),
            Aim::Partition => self.moved(&facts.partitions, Hazard::PartitionMove),
            Aim::Extremum => self.extremum(&facts.extrema),
            Aim::Aggregated => {
                let special: Vec<Base> = facts.aggregated.iter().copied().filter(|b| self.is_special(*b)).collect();
                let from = if special.is_empty() || self.dice.chance(30) { &facts.aggregated } else { &special };
                let base = *self.dice.pick(from);
                self.aggregated(base)
            }
            Aim::Having => {
                let base = *self.dice.pick(&facts.havings);
                self.having(base)
            }
            Aim::Unusual => self.unusual(&facts.unusual),
            Aim::Keyless => self.duplicates(&keyless(&facts, self)),
            Aim::Limited => self.first_rows(&facts.limited),
            Aim::Ungrouped => self.emptied_table(&facts.ungrouped),
        }
    }
}
