//! GROUPING SETS, CUBE and ROLLUP, with and without aggregates, and what may be done to their groups. Called by `Gen::query`.
//! Invariant: no two groups of a set have the same keys, so keys and GROUPING() are a total order.

use crate::hazards::Hazard;
use crate::query::{Expr, Gen, Query, Rel, blur};
use crate::types::Ty;

impl Gen<'_> {
    pub fn grouping_sets(&mut self, depth: u32) -> Query {
        self.note(Hazard::GroupingSets);
        let from = self.clause(depth.min(2));
        let (a, b) = (self.group_key(&from), self.group_key(&from));
        if a.sql == b.sql {
            return self.grouped(depth);
        }
        let sets = match self.dice.below(5) {
            0 => format!("ROLLUP ({}, {})", a.sql, b.sql),
            1 => format!("CUBE ({}, {})", a.sql, b.sql),
            2 => format!("GROUPING SETS (({}), ({}))", a.sql, b.sql),
            3 => format!("{}, ROLLUP ({})", a.sql, b.sql),
            _ => format!("GROUPING SETS (({}, {}), ({}), ())", a.sql, b.sql, b.sql),
        };
        let number = format!("grouping({}, {})", a.sql, b.sql);
        let mut outputs = vec![a.clone(), b.clone()];
        if self.dice.chance(50) {
            outputs.push(Expr::plain(number.clone(), Ty::Int));
        }
        let bare = self.dice.chance(20);
        if bare {
            self.note(Hazard::GroupingSetsBare);
        } else {
            outputs.extend(self.aggregates(&from, Self::aggregate));
        }
        let filter = self.filter(&from.rels, &from.conditions, 0, 30);
        let having = if !bare && self.dice.chance(15) { self.having(&from) } else { String::new() };
        let (mut distinct, mut limit) = ("", String::new());
        let more = if self.dice.chance(85) { self.dice.below(4) } else { 4 };
        // before 18, what a condition makes constant is constant for DISTINCT, windows and ORDER BY too, where it is rolled up:
        // findings/distinct_over_constant_of_cube.sh
        let constant = self.features.version < 18 && (!filter.is_empty() || from.sql.contains(" WHERE "));
        match more {
            0..=2 if constant => {}
            0 => {
                let window = self.over_sets(&a, &b, &number);
                outputs.push(window);
            }
            1 if outputs.iter().all(|e| e.ty.has_equality()) => {
                self.note(Hazard::DistinctOverSets);
                distinct = "DISTINCT ";
                // else it would remove nothing
                outputs.remove(self.dice.below(2));
            }
            2 => {
                self.note(Hazard::LimitOverSets);
                limit = format!(" ORDER BY {}, {}, {number} LIMIT 3", a.order(), b.order());
            }
            3 => {
                self.note(Hazard::BesideSets);
                let keys = [a.clone(), b.clone()].into_iter().filter(|e| e.base.is_some()).collect();
                let keys = Rel { sql: String::new(), order: vec![], columns: keys, names: vec![], key: vec![] };
                let beside = self.scalar_subquery(&[keys]);
                outputs.push(beside);
            }
            _ => {}
        }
        let mut columns = self.name_outputs(&outputs);
        if !distinct.is_empty() || !limit.is_empty() {
            blur(&mut columns);
        }
        let list = self.render_list(&outputs, &columns);
        let sql = format!("SELECT {distinct}{list} FROM {}{filter} GROUP BY {sets}{having}{limit}", from.sql);
        Query { sql, columns }
    }

    /// A window over the groups of the sets.
    fn over_sets(&mut self, a: &Expr, b: &Expr, number: &str) -> Expr {
        self.note(Hazard::WindowOverSets);
        let by = match self.dice.below(4) {
            0 => format!("PARTITION BY {}, {number} ", a.sql),
            1 => format!("PARTITION BY {} ", b.sql),
            2 => format!("PARTITION BY {number} "),
            _ => String::new(),
        };
        match self.dice.below(3) {
            0 => Expr::plain(format!("sum(count(*)) OVER ({by})"), Ty::Num),
            1 => Expr::plain(format!("rank() OVER ({by}ORDER BY count(*))"), Ty::Big),
            _ => {
                Expr::plain(format!("row_number() OVER ({by}ORDER BY {}, {}, {number})", a.order(), b.order()), Ty::Big)
            }
        }
    }
}
