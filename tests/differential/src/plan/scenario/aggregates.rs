//! Writes aimed at aggregated values: extrema that leave, values that sums get wrong, NULLs, HAVING.
//! Invariant: what an aggregate loses was there before. Called by `scenario`.

use super::Scenario;
use crate::hazards::Hazard;
use crate::plan::Planner;
use crate::query::Base;
use crate::types::Ty;

impl Planner<'_> {
    /// What sums of changes get wrong: values that cannot be subtracted, scales, averages that stay the same, groups of NULLs.
    pub(super) fn aggregated(&mut self, base: Base) -> Scenario {
        let column = self.schema.tables[base.0].columns[base.1].clone();
        let (t, c) = self.table_and_column(base);
        if !self.is_writable(base) || column.fk.is_some() {
            return self.unaimed();
        }
        let there_and_away = |planner: &mut Self, values: &[&str], hazard| {
            let raw = *planner.dice.pick(values);
            let value = column.ty.quote(raw);
            let row = planner.put(base, &value);
            let before = planner.several(vec![row], &[]);
            (before, planner.one(format!("DELETE FROM {t} WHERE {c}::text = '{raw}'"), &[hazard]))
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
            _ => self.unaimed(),
        }
    }

    /// A sum that HAVING looks at goes up, down, or becomes unknown.
    pub(super) fn having(&mut self, base: Base) -> Scenario {
        let column = self.schema.tables[base.0].columns[base.1].clone();
        if !self.is_writable(base) || column.fk.is_some() || self.schema.tables[base.0].key.contains(&base.1) {
            return self.unaimed();
        }
        let (t, c) = self.table_and_column(base);
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

    pub(super) fn extremum(&mut self, extrema: &[Base]) -> Scenario {
        let base = *self.dice.pick(extrema);
        if !self.is_writable(base) || !self.schema.tables[base.0].columns[base.1].ty.has_extrema() {
            return self.unaimed();
        }
        let (t, c) = self.table_and_column(base);
        let word = *self.dice.pick(&["min", "max"]);
        let extremum = format!("(SELECT {word}({c}) FROM {t})");
        let which = self.schema.tables[base.0].writable();
        let list = self.schema.tables[base.0].list(&which);
        let value = self.value_of(base.0, base.1);
        let (sql, hazard) = match self.dice.below(5) {
            3 => {
                // one of two
                let v = self.value_of(base.0, base.1);
                let (a, b) = (self.put(base, &v), self.put(base, &v));
                let before = self.several(vec![a, b], &[]);
                let first = format!("DELETE FROM {t} WHERE ctid = (SELECT min(ctid) FROM {t} WHERE {c} = {v})");
                return (before, self.one(first, &[Hazard::OneOfTwoExtrema]));
            }
            4 if self.schema.tables[base.0].columns[base.1].ty.is_integer() => {
                // as many as a group keeps of them, and one more stays
                let sign = if word == "max" { "" } else { "-" };
                let mut puts: Vec<String> = (1001..1009).map(|n| self.put(base, &format!("{sign}{n}"))).collect();
                let within = if word == "max" { ">= 1001" } else { "<= -1001" };
                puts.extend(self.alike(base, &format!("{sign}1001"), within));
                let before = self.several(puts, &[]);
                let beyond = if word == "max" { "> 1001" } else { "< -1001" };
                let all = format!("DELETE FROM {t} WHERE {c} {beyond}");
                return (before, self.one(all, &[Hazard::ExtremaDeleted]));
            }
            4 => {
                let order = if word == "max" { "DESC" } else { "ASC" };
                let best =
                    format!("SELECT {c} FROM {t} WHERE {c} IS NOT NULL GROUP BY {c} ORDER BY {c} {order} LIMIT 8");
                (format!("DELETE FROM {t} WHERE {c} IN ({best})"), Hazard::ExtremaDeleted)
            }
            0 => (format!("DELETE FROM {t} WHERE {c} = {extremum}"), Hazard::ExtremumDeleted),
            1 => (format!("UPDATE {t} SET {c} = {value} WHERE {c} = {extremum}"), Hazard::ExtremumUpdated),
            _ => (
                format!(
                    "WITH gone AS (DELETE FROM {t} WHERE {c} = {extremum} RETURNING *) INSERT INTO {t} ({list}) SELECT {list} FROM gone"
                ),
                Hazard::ExtremumBack,
            ),
        };
        (vec![], self.one(sql, &[hazard]))
    }

    /// Gives rows that a condition on a column finds the other values of one of them, so that they are of one group; keys stay.
    fn alike(&self, base: Base, value: &str, condition: &str) -> Option<String> {
        let table = &self.schema.tables[base.0];
        let mut others = table.writable();
        others.retain(|i| *i != base.1 && !table.key.contains(i) && !table.unique.contains(i));
        let (t, c) = self.table_and_column(base);
        let list = table.list(&others);
        let one = format!("SELECT {list} FROM {t} WHERE {c} = {value} LIMIT 1");
        (!others.is_empty()).then(|| format!("UPDATE {t} SET ({list}) = ({one}) WHERE {c} {condition}"))
    }
}
