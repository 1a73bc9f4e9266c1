//! Writes aimed at one hazard of one view, found through the facts its generator left. Each returns the statements of a transaction before it
//! (so that there is something to break) and those of the hazard itself. Called by `structure`.

mod groups;
mod joins;

use super::Planner;
use crate::case::Step;
use crate::hazards::Hazard;
use crate::query::{Base, Join};
use crate::schema;
use crate::types::Ty;

impl Planner<'_> {
    fn writable(&self, (table, column): Base) -> bool {
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

    fn names(&self, (table, column): Base) -> (String, String) {
        let t = &self.schema.tables[table];
        (t.name.clone(), t.columns[column].name.clone())
    }

    fn set(&self, base: Base, to: &str, from: &str) -> String {
        let (t, c) = self.names(base);
        format!("UPDATE {t} SET {c} = {to} WHERE {c} = {from}")
    }

    fn delete(&self, base: Base, value: &str) -> String {
        let (t, c) = self.names(base);
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

    pub fn scenario(&mut self) -> (Vec<Step>, Vec<Step>) {
        let tviews: Vec<usize> = (0..self.views.len()).filter(|&i| self.views[i].is_tview).collect();
        let Some(&view) = self.dice.maybe(&tviews) else {
            return (vec![], self.statement());
        };
        let facts = self.views[view].facts.clone();
        let mut kinds = vec![];
        kinds.extend(facts.joins.iter().map(|_| 0));
        kinds.extend(facts.joins.iter().map(|_| 0));
        kinds.extend(facts.joins.iter().filter(|j| j.2 == Join::Full).flat_map(|_| [13; 4]));
        kinds.extend(facts.groups.iter().filter(|b| self.is_ambiguous(**b)).flat_map(|_| [2; 3]));
        kinds.extend(facts.sublinks.iter().map(|_| 1));
        kinds.extend(facts.groups.iter().map(|_| 2));
        kinds.extend(facts.aggregated.iter().take(2).map(|_| 3));
        kinds.extend(facts.aggregated.iter().take(3).map(|_| 9));
        kinds.extend(facts.aggregated.iter().filter(|b| self.is_special(**b)).take(2).flat_map(|_| [9, 9]));
        kinds.extend(facts.havings.iter().flat_map(|_| [10; 6]));
        kinds.extend(facts.extrema.iter().flat_map(|_| [4, 4, 4]));
        kinds.extend(facts.filters.iter().take(2).map(|_| 5));
        kinds.extend(facts.partitions.iter().map(|_| 6));
        kinds.extend(facts.limited.iter().flat_map(|_| [7, 7]));
        kinds.extend(facts.ungrouped.iter().map(|_| 8));
        kinds.extend(facts.unusual.iter().filter(|b| self.writable(**b)).flat_map(|_| [11; 4]));
        let keyless: Vec<usize> =
            facts.tables.iter().copied().filter(|&t| self.schema.tables[t].key.is_empty()).collect();
        kinds.extend(keyless.iter().map(|_| 12));
        let Some(&kind) = self.dice.maybe(&kinds) else {
            return (vec![], self.statement());
        };
        match kind {
            0 | 13 => {
                let full: Vec<_> = facts.joins.iter().filter(|j| j.2 == Join::Full).copied().collect();
                let (l, r, class) = *self.dice.pick(if kind == 13 { &full } else { &facts.joins });
                if !self.writable(l) || !self.writable(r) {
                    return (vec![], self.statement());
                }
                self.join(l, r, class)
            }
            1 => {
                let (l, r) = *self.dice.pick(&facts.sublinks);
                if !self.writable(l) || !self.writable(r) {
                    return (vec![], self.statement());
                }
                let (v, _) = self.two(l);
                let (a, b) = (self.put(l, &v), self.put(r, &v));
                if self.dice.chance(50) {
                    return (vec![], self.several(vec![a, b], &[Hazard::ExistsBoth]));
                }
                let before = self.several(vec![a, b], &[]);
                let sql = vec![self.delete(r, &v), self.delete(l, &v)];
                (before, self.several(sql, &[Hazard::ExistsBoth]))
            }
            2 => {
                let base = *self.dice.pick(&facts.groups);
                self.group(base)
            }
            3 | 5 | 6 => {
                let (from, hazard) = match kind {
                    3 => (&facts.aggregated, Hazard::AggregatedNull),
                    5 => (&facts.filters, Hazard::FilterCrossed),
                    _ => (&facts.partitions, Hazard::PartitionMove),
                };
                let base = *self.dice.pick(from);
                if !self.writable(base) {
                    return (vec![], self.statement());
                }
                let (a, b) = self.two(base);
                let (t, c) = self.names(base);
                let before = self.put(base, &a);
                let before = self.several(vec![before], &[]);
                let nullable = self.schema.tables[base.0].columns[base.1].nullable;
                if kind == 3 && nullable {
                    let sql = if self.dice.chance(60) {
                        format!("UPDATE {t} SET {c} = NULL WHERE {c} = {a}")
                    } else {
                        format!("UPDATE {t} SET {c} = {b} WHERE {c} IS NULL")
                    };
                    return (before, self.one(sql, &[hazard, Hazard::NullAndValue]));
                }
                let sql = self.set(base, &b, &a);
                let hazards: &[Hazard] = if kind == 3 { &[] } else { &[hazard] };
                (before, self.one(sql, hazards))
            }
            4 => {
                let base = *self.dice.pick(&facts.extrema);
                if !self.writable(base) {
                    return (vec![], self.statement());
                }
                let (t, c) = self.names(base);
                let word = if self.schema.tables[base.0].columns[base.1].ty.has_extrema() {
                    *self.dice.pick(&["min", "max"])
                } else {
                    return (vec![], self.statement());
                };
                let extremum = format!("(SELECT {word}({c}) FROM {t})");
                let which = self.schema.tables[base.0].writable();
                let list = self.schema.tables[base.0].list(&which);
                let value = self.value_of(base.0, base.1);
                match self.dice.below(4) {
                    3 => {
                        // one of two
                        let v = self.value_of(base.0, base.1);
                        let (a, b) = (self.put(base, &v), self.put(base, &v));
                        let before = self.several(vec![a, b], &[]);
                        let first = format!("DELETE FROM {t} WHERE ctid = (SELECT min(ctid) FROM {t} WHERE {c} = {v})");
                        (before, self.one(first, &[Hazard::OneOfTwoExtrema]))
                    }
                    0 => (vec![], self.one(format!("DELETE FROM {t} WHERE {c} = {extremum}"), &[Hazard::ExtremumDeleted])),
                    1 => (vec![], self.one(format!("UPDATE {t} SET {c} = {value} WHERE {c} = {extremum}"), &[Hazard::ExtremumUpdated])),
                    _ => (
                        vec![],
                        self.one(
                            format!("WITH gone AS (DELETE FROM {t} WHERE {c} = {extremum} RETURNING *) INSERT INTO {t} ({list}) SELECT {list} FROM gone"),
                            &[Hazard::ExtremumBack],
                        ),
                    ),
                }
            }
            11 => {
                let base = *self.dice.pick(&facts.unusual);
                let predicate = if self.dice.chance(75) { "true".to_string() } else { self.predicate(base.0) };
                let (t, c) = self.names(base);
                (vec![], self.one(format!("UPDATE {t} SET {c} = 9 WHERE {predicate}"), &[]))
            }
            12 => {
                // several rows that are the same, and one of them
                let table = *self.dice.pick(&keyless);
                let row = schema::insert_row(self.dice, &self.schema, table);
                let n = self.dice.between(2, 3);
                let before = self.several(vec![row; n], &[]);
                (before, self.one_duplicate(table))
            }
            9 => {
                let numbers: Vec<Base> = facts.aggregated.iter().copied().filter(|b| self.is_special(*b)).collect();
                let from = if numbers.is_empty() || self.dice.chance(30) { &facts.aggregated } else { &numbers };
                let base = *self.dice.pick(from);
                self.aggregated(base)
            }
            10 => {
                let base = *self.dice.pick(&facts.havings);
                self.having(base)
            }
            7 => {
                let table = *self.dice.pick(&facts.limited);
                let t = &self.schema.tables[table];
                let order = t.total_order("z").join(", ");
                let sql =
                    format!("DELETE FROM {0} WHERE ctid IN (SELECT ctid FROM {0} z ORDER BY {order} LIMIT 1)", t.name);
                (vec![], self.one(sql, &[Hazard::TopNDelete]))
            }
            _ => {
                let table = *self.dice.pick(&facts.ungrouped);
                let sql = format!("DELETE FROM {}", self.schema.tables[table].name);
                (vec![], self.one(sql, &[Hazard::NoGroupByEmpty]))
            }
        }
    }
}
