//! Conditions over the columns of a FROM clause, and WHERE.
//! Invariant: total, no condition fails on any input; a condition about one column leaves it in the facts. Called by the other families.

use super::{Gen, Rel};

impl Gen<'_> {
    /// A condition; sub-links are added by `sublink` when `depth` allows.
    pub fn condition(&mut self, rels: &[Rel], depth: u32) -> String {
        if depth > 0 && self.dice.chance(45) {
            return self.sublink(rels, depth - 1);
        }
        let e = self.comparable(rels);
        if let Some(base) = e.base {
            self.facts.filters.push(base);
        }
        let literal = e.ty.literal(self.dice);
        match self.dice.below(9) {
            0 => format!("{} IS NOT NULL", e.sql),
            1 => format!("{} IS NULL", e.sql),
            2 => format!("{} <> {literal}", e.sql),
            3 => format!("{} IS DISTINCT FROM {literal}", e.sql),
            4 => {
                let other = e.ty.literal(self.dice);
                format!("{} IN ({literal}, {other})", e.sql)
            }
            5 => format!("{} >= {literal}", e.sql),
            6 if depth > 0 => {
                let (a, b) = (self.condition(rels, depth - 1), self.condition(rels, depth - 1));
                let word = self.dice.pick(&["AND", "OR"]);
                format!("({a} {word} {b})")
            }
            7 if depth > 0 => {
                let a = self.condition(rels, depth - 1);
                format!("NOT ({a})")
            }
            8 => format!("{} < {literal}", e.sql),
            _ => format!("{} = {literal}", e.sql),
        }
    }

    /// ` WHERE …`, or nothing.
    pub fn filter(&mut self, rels: &[Rel], more: &[String], depth: u32, percent: u32) -> String {
        let mut all = more.to_vec();
        if self.dice.chance(percent) {
            all.push(self.condition(rels, depth));
        }
        if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) }
    }
}
