//! Joins of items of FROM, of all kinds.
//! Invariant: a clause stays legal whatever is added to it. Called by `Gen::clause` and the families that build their FROM clause themselves.

use super::{FromClause, Rel};
use crate::hazards::Hazard;
use crate::query::{Expr, Gen, Join};

impl Gen<'_> {
    pub fn clause(&mut self, depth: u32) -> FromClause {
        let count = self.dice.weighted(&[(38, 1), (36, 2), (19, 3), (7, 4)]);
        self.join_of(depth, count)
    }

    pub fn join_of(&mut self, depth: u32, count: usize) -> FromClause {
        let first = self.rel(depth);
        let mut from = FromClause::start(first);
        self.add_joins(&mut from, depth, count - 1);
        from
    }

    /// Inner and left joins of base tables on equality.
    pub fn plain_joins(&mut self) -> FromClause {
        let first = self.some_base();
        let mut from = FromClause::start(first);
        for _ in 0..self.dice.weighted(&[(35, 0), (42, 1), (23, 2)]) {
            let right = self.some_base();
            let on = self.on(&from.rels, &right, true);
            if !on.equal {
                break;
            }
            let left = self.dice.chance(35);
            if left {
                self.note(Hazard::LeftJoin);
                self.note(Hazard::FoldOverLeftJoin);
            }
            self.join_fact(on.bases, if left { Join::Outer } else { Join::Inner });
            from.sql = format!("{} {} {} ON {}", from.sql, if left { "LEFT JOIN" } else { "JOIN" }, right.sql, on.sql);
            from.rels.push(right);
        }
        from
    }

    pub fn add_joins(&mut self, from: &mut FromClause, depth: u32, count: usize) {
        let (mut outer, mut cross) = (false, false);
        for number in 0..count {
            if self.dice.chance(20) && self.lateral(from) {
                continue;
            }
            if number == 0 && from.rels.len() == 1 && self.dice.chance(6) && self.full_chain(from) {
                outer = true;
                continue;
            }
            let kind = self.dice.weighted(&[
                (34, "JOIN"),
                (26, "LEFT JOIN"),
                (6, "RIGHT JOIN"),
                (11, "FULL JOIN"),
                (if self.large { 0 } else { 4 }, "CROSS JOIN"),
                (12, ","),
                (9, "USING"),
            ]);
            if kind.ends_with("JOIN") && kind != "CROSS JOIN" && self.dice.chance(7) {
                outer |= self.nested(from, kind);
                continue;
            }
            let outward = matches!(kind, "LEFT JOIN" | "RIGHT JOIN" | "FULL JOIN");
            let right = if outward && self.dice.chance(8) { self.with_sublink() } else { self.rel(depth) };
            if kind == "USING" && number == 0 && from.rels.len() == 1 {
                if self.dice.chance(50) {
                    self.named_join(from, right);
                } else {
                    self.using(from, right);
                }
                continue;
            }
            let kind = if kind == "USING" { "JOIN" } else { kind };
            match kind {
                "CROSS JOIN" => {
                    from.sql = format!("{} CROSS JOIN {}", from.sql, right.sql);
                    cross = true;
                }
                "," => {
                    let on = self.on(&from.rels, &right, false);
                    from.conditions.push(on.sql);
                    self.join_fact(on.bases, Join::Inner);
                    from.sql = format!("{}, {}", from.sql, right.sql);
                    self.note(Hazard::CommaJoin);
                    cross = true;
                    // what follows could not see the rels before the comma in ON: keep the clause legal by ending here
                    from.rels.push(right);
                    break;
                }
                _ => outer |= self.join(from, kind, right.sql.clone(), std::slice::from_ref(&right)),
            }
            if !matches!(kind, "JOIN" | "LEFT JOIN" | "RIGHT JOIN" | "FULL JOIN") {
                from.rels.push(right);
            }
        }
        if outer && cross {
            self.note(Hazard::MixedJoin);
        }
    }

    /// A sub-query of a base table with a sub-query in its condition, for the nullable side of an outer join.
    fn with_sublink(&mut self) -> Rel {
        self.note(Hazard::NullableSublink);
        let inner = self.some_base();
        let condition = self.sublink(std::slice::from_ref(&inner), 1);
        let alias = self.alias();
        let list: Vec<&str> = inner.columns.iter().map(|c| c.sql.as_str()).collect();
        let sql = format!("(SELECT {} FROM {} WHERE {condition}) AS {alias}", list.join(", "), inner.sql);
        let outside = |(c, name): (&Expr, &String)| Expr { sql: format!("{alias}.{name}"), ..c.clone() };
        let columns: Vec<Expr> = inner.columns.iter().zip(&inner.names).map(outside).collect();
        Rel { sql, order: columns.iter().map(Expr::order).collect(), columns, names: inner.names, key: inner.key }
    }

    /// Joins `sql`, which has the rels of `right`; whether it is an outer join.
    fn join(&mut self, from: &mut FromClause, kind: &str, sql: String, right: &[Rel]) -> bool {
        let meet = self.dice.pick(right).clone();
        let on = self.on(&from.rels, &meet, kind == "FULL JOIN");
        let kind = if kind == "FULL JOIN" && !on.equal { "LEFT JOIN" } else { kind };
        let class = match kind {
            "JOIN" => Join::Inner,
            "FULL JOIN" => Join::Full,
            _ => Join::Outer,
        };
        if class != Join::Inner {
            self.note(if class == Join::Full { Hazard::FullJoin } else { Hazard::LeftJoin });
            if class == Join::Full && from.rels.len() > 1 {
                self.note(Hazard::FullJoinOfJoin);
            }
        }
        self.join_fact(on.bases, class);
        if class != Join::Inner {
            from.met.extend(on.met);
        }
        from.sql = format!("{} {kind} {sql} ON {}", from.sql, on.sql);
        from.rels.extend(right.iter().cloned());
        class != Join::Inner
    }

    /// Joins a join: `a LEFT JOIN (b JOIN c ON …) ON …`.
    fn nested(&mut self, from: &mut FromClause, kind: &str) -> bool {
        self.note(Hazard::NestedJoin);
        let first = self.some_base();
        let mut inner = FromClause::start(first);
        let right = self.some_base();
        let word = *self.dice.pick(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
        self.join(&mut inner, word, right.sql.clone(), &[right]);
        self.join(from, kind, format!("({})", inner.sql), &inner.rels)
    }
}
