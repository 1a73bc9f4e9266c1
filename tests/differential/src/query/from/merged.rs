//! Joins that merge columns: USING, NATURAL, and those with a name of their own.
//! Invariant: a merged column has one type on both sides, but for integers under a name. Called by `join`.

use super::{FromClause, Rel};
use crate::hazards::Hazard;
use crate::query::{Expr, Gen, Join};
use crate::types::Ty;

impl Gen<'_> {
    /// `(a LEFT JOIN b USING (m)) AS s`: the names of a and b are hidden, and m may be of two types.
    pub(super) fn named_join(&mut self, from: &mut FromClause, right: Rel) {
        let left = from.rels[0].clone();
        let of_types = |l: &Expr, r: &Expr| {
            l.ty == r.ty && l.ty.has_equality() && !l.ty.is_ambiguous() || l.ty.is_integer() && r.ty.is_integer()
        };
        let pairs: Vec<(Expr, Expr)> = left
            .columns
            .iter()
            .flat_map(|l| right.columns.iter().filter(|r| of_types(l, r)).map(|r| (l.clone(), r.clone())))
            .collect();
        // two types more often than they come
        let apart: Vec<(Expr, Expr)> = pairs.iter().filter(|(l, r)| l.ty != r.ty).cloned().collect();
        let some = if self.dice.chance(60) && !apart.is_empty() { &apart } else { &pairs };
        let Some((l, r)) = self.dice.maybe(some).cloned() else {
            from.sql = format!("{} CROSS JOIN {}", from.sql, right.sql);
            from.rels.push(right);
            return;
        };
        self.note(Hazard::NamedJoin);
        self.note(Hazard::NaturalUsing);
        if l.ty != r.ty {
            self.note(Hazard::NamedJoinTypes);
        }
        let kind = *self.dice.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let class = match kind {
            "FULL JOIN" => Join::Full,
            "JOIN" => Join::Inner,
            _ => Join::Outer,
        };
        // The server's text of a merged column that is computed names the hidden relations, and rows lose the names of columns (below).
        self.facts.no_text |= l.ty != r.ty || class == Join::Full;
        self.join_fact(l.base.zip(r.base), class);
        let alias = self.alias();
        let mut columns = vec![];
        let wide = [Ty::Small, Ty::Int, Ty::Big];
        let width = |ty: Ty| wide.iter().position(|w| *w == ty);
        let ty = if width(r.ty) > width(l.ty) { r.ty } else { l.ty };
        let ty = if l.ty == r.ty || width(l.ty).is_some() && width(r.ty).is_some() { ty } else { Ty::Int };
        columns.push(Expr { sql: format!("{alias}.m"), ty, fuzzy: l.fuzzy || r.fuzzy, base: None });
        let mut side = |rel: &Rel, own: &Expr, letter: &str| {
            let name = self.alias();
            let mut list = vec![format!("{} AS m", own.sql)];
            for (i, column) in rel.columns.iter().enumerate() {
                list.push(format!("{} AS {letter}{i}", column.sql));
                columns.push(Expr { sql: format!("{alias}.{letter}{i}"), base: column.base, ..column.clone() });
            }
            format!("(SELECT {} FROM {}) AS {name}", list.join(", "), rel.sql)
        };
        let sql = format!("({} {kind} {} USING (m)) AS {alias}", side(&left, &l, "l"), side(&right, &r, "r"));
        if self.dice.chance(90) && columns.iter().all(|c| !c.fuzzy && !c.ty.is_ambiguous() && c.ty != Ty::Approx) {
            self.note(Hazard::NamedJoinRow);
            self.facts.no_text = true;
            let row = Expr::plain(format!("to_jsonb({alias})"), Ty::Jsonb);
            columns.push(row);
        }
        let names = columns.iter().map(|c| c.sql.rsplit('.').next().unwrap_or_default().to_string()).collect();
        let order = columns.iter().map(Expr::order).collect();
        from.sql = sql;
        from.rels = vec![Rel { sql: from.sql.clone(), columns, names, order, key: vec![] }];
    }

    /// `a FULL JOIN b ON b.k = a.k FULL JOIN c ON c.k = COALESCE(a.k, b.k)`; false when there are no such columns.
    pub(super) fn full_chain(&mut self, from: &mut FromClause) -> bool {
        let left = from.rels[0].clone();
        let usable: Vec<Expr> = left
            .columns
            .iter()
            .filter(|c| c.ty.has_equality() && !c.ty.is_ambiguous() && c.base.is_some())
            .cloned()
            .collect();
        let Some(first) = self.dice.maybe(&usable).cloned() else { return false };
        let mut met = vec![first.clone()];
        let (mut sql, mut rels) = (from.sql.clone(), from.rels.clone());
        for _ in 0..self.dice.between(2, 3) {
            let next = self.some_base();
            let alike: Vec<Expr> = next.columns.iter().filter(|c| c.ty == first.ty).cloned().collect();
            let Some(own) = self.dice.maybe(&alike).cloned() else { continue };
            let names: Vec<&str> = met.iter().map(|c| c.sql.as_str()).collect();
            let value = if names.len() == 1 { names[0].to_string() } else { format!("COALESCE({})", names.join(", ")) };
            let kind = *self.dice.pick(&["FULL JOIN", "FULL JOIN", "FULL JOIN", "LEFT JOIN"]);
            self.join_fact(own.base.zip(first.base), if kind == "FULL JOIN" { Join::Full } else { Join::Outer });
            sql = format!("{sql} {kind} {} ON {} = {value}", next.sql, own.sql);
            rels.push(next);
            met.push(own);
        }
        if met.len() < 3 {
            return false;
        }
        self.note(Hazard::FullChain);
        self.note(Hazard::FullJoin);
        (from.sql, from.rels) = (sql, rels);
        true
    }

    pub(super) fn using(&mut self, from: &mut FromClause, right: Rel) {
        let left = from.rels[0].clone();
        let common: Vec<usize> = (0..left.names.len())
            .filter(|&i| {
                right
                    .names
                    .iter()
                    .enumerate()
                    .any(|(j, n)| *n == left.names[i] && right.columns[j].ty == left.columns[i].ty)
            })
            .collect();
        let kind = *self.dice.pick(&["JOIN", "LEFT JOIN", "FULL JOIN", "FULL JOIN"]);
        let joinable: Vec<usize> = common.iter().copied().filter(|&i| left.columns[i].ty.has_equality()).collect();
        let same_names = left.names.iter().filter(|n| right.names.contains(n)).count();
        let natural = joinable.len() == common.len() && same_names == 1 && self.dice.chance(40);
        let Some(&i) = self.dice.maybe(&joinable) else {
            from.sql = format!("{} CROSS JOIN {}", from.sql, right.sql);
            from.rels.push(right);
            return;
        };
        self.note(Hazard::NaturalUsing);
        let name = &left.names[i];
        from.sql = if natural {
            format!("{} NATURAL {kind} {}", from.sql, right.sql)
        } else {
            format!("{} {kind} {} USING ({name})", from.sql, right.sql)
        };
        let j = right.names.iter().position(|n| n == name).unwrap_or(0);
        let class = match kind {
            "FULL JOIN" => Join::Full,
            "LEFT JOIN" => Join::Outer,
            _ => Join::Inner,
        };
        if class == Join::Full {
            self.note(Hazard::FullJoin);
        }
        self.join_fact(left.columns[i].base.zip(right.columns[j].base), class);
        let ty = left.columns[i].ty;
        from.merged.push(Expr {
            sql: name.clone(),
            ty,
            fuzzy: left.columns[i].fuzzy || right.columns[j].fuzzy || ty.is_ambiguous(),
            base: None,
        });
        from.rels.push(right);
    }
}
