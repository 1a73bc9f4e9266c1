//! Writes aimed at one hazard of one view, found through the facts its generator left. Each returns the statements of a transaction before it
//! (so that there is something to break) and those of the hazard itself. Called by `structure`.

use super::Writer;
use crate::case::Step;
use crate::hazards::Hazard;
use crate::query::{Base, Join};
use crate::types::Ty;

impl Writer<'_> {
    fn writable(&self, (table, column): Base) -> bool {
        self.schema
            .tables
            .get(table)
            .and_then(|t| t.columns.get(column))
            .is_some_and(|c| !c.generated && c.ty.has_equality())
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
        kinds.extend(facts.sublinks.iter().map(|_| 1));
        kinds.extend(facts.groups.iter().map(|_| 2));
        kinds.extend(facts.aggregated.iter().take(2).map(|_| 3));
        kinds.extend(facts.aggregated.iter().take(3).map(|_| 9));
        kinds.extend(facts.havings.iter().flat_map(|_| [10; 6]));
        kinds.extend(facts.extrema.iter().flat_map(|_| [4, 4, 4]));
        kinds.extend(facts.filters.iter().take(2).map(|_| 5));
        kinds.extend(facts.partitions.iter().map(|_| 6));
        kinds.extend(facts.limited.iter().map(|_| 7));
        kinds.extend(facts.ungrouped.iter().map(|_| 8));
        kinds.extend(facts.unusual.iter().filter(|b| self.writable(**b)).flat_map(|_| [11; 4]));
        let Some(&kind) = self.dice.maybe(&kinds) else {
            return (vec![], self.statement());
        };
        match kind {
            0 => {
                let (l, r, class) = *self.dice.pick(&facts.joins);
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
                let predicate = if self.dice.chance(50) { "true".to_string() } else { self.predicate(base.0) };
                let (t, c) = self.names(base);
                (vec![], self.one(format!("UPDATE {t} SET {c} = 9 WHERE {predicate}"), &[]))
            }
            9 => {
                let base = *self.dice.pick(&facts.aggregated);
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

    fn join(&mut self, l: Base, r: Base, class: Join) -> (Vec<Step>, Vec<Step>) {
        let (v, other) = self.two(l);
        let (left, right) = (self.put(l, &v), self.put(r, &v));
        let mut kinds = vec![0, 1, 2, 3];
        match class {
            Join::Outer => kinds.extend([4, 5, 6, 7, 4, 5, 6, 7]),
            Join::Full => kinds.extend([4, 5, 6, 8, 8]),
            Join::Inner => {}
        }
        let both = |w: &mut Self| w.several(vec![left.clone(), right.clone()], &[]);
        match *self.dice.pick(&kinds) {
            0 => {
                let before = both(self);
                let sql = vec![self.delete(r, &v), self.set(l, &other, &v)];
                (before, self.several(sql, &[Hazard::JoinKeyAndPartner]))
            }
            1 => (vec![], self.several(vec![left.clone(), right.clone()], &[Hazard::BothInserted])),
            2 => {
                let before = both(self);
                let sql = vec![self.delete(l, &v), self.delete(r, &v)];
                (before, self.several(sql, &[Hazard::BothDeleted]))
            }
            3 => {
                let (base, before) = if self.dice.chance(50) { (l, left.clone()) } else { (r, right.clone()) };
                let (t, c) = self.names(base);
                if !self.schema.tables[base.0].columns[base.1].nullable {
                    return (vec![], self.statement());
                }
                let before = self.several(vec![before], &[]);
                let sql = if self.dice.chance(50) {
                    format!("UPDATE {t} SET {c} = NULL WHERE {c} = {v}")
                } else {
                    format!("UPDATE {t} SET {c} = {other} WHERE {c} IS NULL")
                };
                (before, self.one(sql, &[Hazard::NullJoinKey]))
            }
            4 => {
                let sql = vec![self.delete(r, &v), left.clone()];
                let before = self.several(sql, &[]);
                (before, self.several(vec![right.clone()], &[Hazard::FirstMatch]))
            }
            5 => {
                let before = both(self);
                let sql = self.delete(r, &v);
                (before, self.one(sql, &[Hazard::LastMatch]))
            }
            6 => {
                let before = both(self);
                let again = self.put(r, &v);
                let sql = vec![self.delete(r, &v), again];
                (before, self.several(sql, &[Hazard::MatchReplaced]))
            }
            7 => {
                let before = both(self);
                let sql = vec![self.set(l, &other, &v), self.delete(r, &v)];
                (before, self.several(sql, &[Hazard::LeftRowAndMatch]))
            }
            _ => {
                let before = both(self);
                let sql = vec![self.set(l, &other, &v), self.set(r, &other, &v)];
                (before, self.several(sql, &[Hazard::FullJoinBoth]))
            }
        }
    }

    /// Of two equal values that are not the same, one leaves.
    fn representative(&mut self, base: Base) -> Option<(Vec<Step>, Vec<Step>)> {
        let column = self.schema.tables[base.0].columns[base.1].clone();
        let pair = *self.dice.pick(match column.ty {
            Ty::Num => &[("1.0", "1.000"), ("2", "2.0")],
            Ty::Float => &[("0", "-0")],
            Ty::Interval => &[("1 day", "24:00:00"), ("1 mon", "30 days")],
            Ty::NoCase | Ty::Citext => &[("a", "A"), ("ab", "aB")],
            _ => return None,
        });
        let (a, b) = if self.dice.chance(50) { pair } else { (pair.1, pair.0) };
        let (first, second) = (self.put(base, &column.ty.quote(a)), self.put(base, &column.ty.quote(b)));
        let before = self.several(vec![first, second], &[]);
        let (t, c) = self.names(base);
        let gone = format!("DELETE FROM {t} WHERE {c}::text COLLATE \"C\" = '{a}'");
        Some((before, self.one(gone, &[Hazard::RepresentativeLeaves])))
    }

    fn group(&mut self, base: Base) -> (Vec<Step>, Vec<Step>) {
        if !self.writable(base) {
            return (vec![], self.statement());
        }
        if self.dice.chance(60) {
            if let Some(both) = self.representative(base) {
                return both;
            }
        }
        let (v, other) = self.two(base);
        let row = self.put(base, &v);
        let before = self.several(vec![row], &[]);
        match self.dice.below(3) {
            0 => {
                let sql = self.delete(base, &v);
                (before, self.one(sql, &[Hazard::GroupLeaves]))
            }
            1 => {
                let again = self.put(base, &v);
                let sql = vec![self.delete(base, &v), again];
                (before, self.several(sql, &[Hazard::GroupReappears]))
            }
            _ => {
                let sql = self.set(base, &other, &v);
                (before, self.one(sql, &[Hazard::GroupMoves]))
            }
        }
    }

    /// What sums of changes get wrong: values that cannot be subtracted, scales, averages that stay the same, groups of NULLs.
    fn aggregated(&mut self, base: Base) -> (Vec<Step>, Vec<Step>) {
        let column = self.schema.tables[base.0].columns[base.1].clone();
        let (t, c) = self.names(base);
        if !self.writable(base) || column.fk.is_some() {
            return (vec![], self.statement());
        }
        let there_and_away = |w: &mut Self, values: &[&str], hazard| {
            let raw = *w.dice.pick(values);
            let value = column.ty.quote(raw);
            let row = w.put(base, &value);
            let before = w.several(vec![row], &[]);
            (before, w.one(format!("DELETE FROM {t} WHERE {c}::text = '{raw}'"), &[hazard]))
        };
        match (column.ty, self.dice.below(4)) {
            (Ty::Float, 0 | 1) => there_and_away(self, &["NaN", "Infinity", "-Infinity", "-0"], Hazard::SpecialFloat),
            (Ty::Num, 0) => there_and_away(self, &["NaN", "Infinity", "-Infinity"], Hazard::SpecialNumeric),
            (Ty::Num, 1 | 2) => there_and_away(self, &["1.00000", "0.0000", "-3.1250000"], Hazard::ScaleShrinks),
            (_, 2) if column.nullable => {
                (vec![], self.one(format!("UPDATE {t} SET {c} = NULL WHERE {c} IS NOT NULL"), &[Hazard::AllNull]))
            }
            _ if column.nullable => {
                let v = self.value_of(base.0, base.1);
                let (a, b) = (self.put(base, &v), self.put(base, "NULL"));
                let before = self.several(vec![a, b, format!("UPDATE {t} SET {c} = {v} WHERE {c} IS NOT NULL")], &[]);
                let sql = if self.dice.chance(50) {
                    format!("UPDATE {t} SET {c} = {v} WHERE {c} IS NULL")
                } else {
                    format!("UPDATE {t} SET {c} = NULL WHERE ctid = (SELECT min(ctid) FROM {t} WHERE {c} = {v})")
                };
                (before, self.one(sql, &[Hazard::AverageUnchanged, Hazard::NullAndValue]))
            }
            _ => (vec![], self.statement()),
        }
    }

    /// A sum that HAVING looks at goes up, down, or becomes unknown.
    fn having(&mut self, base: Base) -> (Vec<Step>, Vec<Step>) {
        let column = self.schema.tables[base.0].columns[base.1].clone();
        if !self.writable(base) || column.fk.is_some() || self.schema.tables[base.0].key.contains(&base.1) {
            return (vec![], self.statement());
        }
        let (t, c) = self.names(base);
        let (set, hazard) = match self.dice.below(5) {
            0 if column.nullable => ("NULL".to_string(), Hazard::HavingUnknown),
            0 | 1 => (format!("{c} + 4"), Hazard::HavingUp),
            2 | 3 => (format!("{c} - 4"), Hazard::HavingDown),
            _ => ("0".to_string(), Hazard::HavingDown),
        };
        let filter = match self.dice.below(3) {
            0 => "true".to_string(),
            1 => format!("ctid = (SELECT max(ctid) FROM {t})"),
            _ => self.predicate(base.0),
        };
        (vec![], self.one(format!("UPDATE {t} SET {c} = {set} WHERE {filter} AND {c} BETWEEN -50 AND 50"), &[hazard]))
    }
}
