//! Writes aimed at groups: they leave, come back, move, and lose the row that they show.
//! Invariant: the group has a row before. Called by `scenario`.

use super::Scenario;
use crate::hazards::Hazard;
use crate::plan::Planner;
use crate::query::Base;
use crate::types::Ty;

impl Planner<'_> {
    pub(super) fn group(&mut self, base: Base) -> Scenario {
        if !self.is_writable(base) {
            return self.unaimed();
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
    fn representative(&mut self, base: Base) -> Option<Scenario> {
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
        let (t, c) = self.table_and_column(base);
        let gone = format!("DELETE FROM {t} WHERE {c}::text COLLATE \"C\" = '{a}'");
        Some((before, self.one(gone, &[Hazard::RepresentativeLeaves])))
    }
}
