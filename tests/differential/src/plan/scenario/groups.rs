//! Writes aimed at groups and aggregates. Called by `scenario`.

use super::super::Planner;
use crate::case::Step;
use crate::hazards::Hazard;
use crate::query::Base;
use crate::types::Ty;

impl Planner<'_> {
    pub(super) fn group(&mut self, base: Base) -> (Vec<Step>, Vec<Step>) {
        if !self.writable(base) {
            return (vec![], self.statement());
        }
        if self.dice.chance(60)
            && let Some(both) = self.representative(base)
        {
            return both;
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

    /// Of two equal values that are not the same, one leaves.
    pub(super) fn representative(&mut self, base: Base) -> Option<(Vec<Step>, Vec<Step>)> {
        let column = self.schema.tables[base.0].columns[base.1].clone();
        let pair = *self.dice.pick(match column.ty {
            Ty::Num => &[("1.0", "1.000"), ("2", "2.0")],
            Ty::Float | Ty::Real => &[("0", "-0")],
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

    /// What sums of changes get wrong: values that cannot be subtracted, scales, averages that stay the same, groups of NULLs.
    pub(super) fn aggregated(&mut self, base: Base) -> (Vec<Step>, Vec<Step>) {
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
        match (column.ty, self.dice.below(5)) {
            (Ty::Float | Ty::Real, 0 | 1) => {
                there_and_away(self, &["NaN", "Infinity", "-Infinity", "-0"], Hazard::SpecialFloat)
            }
            (Ty::Num, 0 | 4) => there_and_away(self, &["NaN", "Infinity", "-Infinity"], Hazard::SpecialNumeric),
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
    pub(super) fn having(&mut self, base: Base) -> (Vec<Step>, Vec<Step>) {
        let column = self.schema.tables[base.0].columns[base.1].clone();
        if !self.writable(base) || column.fk.is_some() || self.schema.tables[base.0].key.contains(&base.1) {
            return (vec![], self.statement());
        }
        let (t, c) = self.names(base);
        let (set, hazard) = match self.dice.below(6) {
            0 | 5 if column.nullable => ("NULL".to_string(), Hazard::HavingUnknown),
            0..=2 => (format!("{c} + 4"), Hazard::HavingUp),
            3 | 4 => (format!("{c} - 4"), Hazard::HavingDown),
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
