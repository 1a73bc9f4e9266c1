//! Joins of all kinds. Called by `Gen::from` and the families that build their FROM clause themselves.

use super::From;
use crate::hazards::Hazard;
use crate::query::{Base, Expr, Gen, Join, Rel};
use crate::types::Ty;

/// A join condition: its SQL, whether it is an equality, and what it compares.
struct On {
    sql: String,
    equal: bool,
    bases: Option<(Base, Base)>,
    met: Option<(Expr, Expr)>,
}

impl Gen<'_> {
    /// Columns that can be compared, the more alike the more often.
    fn pairs(&self, left: &[Rel], right: &Rel) -> Vec<(Expr, Expr)> {
        let mut pairs = vec![];
        for l in self.columns_of(left) {
            for r in &right.columns {
                let same = l.ty == r.ty || l.ty.is_integer() && r.ty.is_integer();
                if same && l.ty.has_equality() {
                    let named = l.sql.split('.').next_back() == r.sql.split('.').next_back();
                    let times = if named || l.ty.is_integer() { 2 } else { 1 };
                    pairs.extend(std::iter::repeat_n((l.clone(), r.clone()), times));
                }
            }
        }
        pairs
    }

    /// A join condition between what is there and a new rel.
    fn on(&mut self, left: &[Rel], right: &Rel, must_equal: bool) -> On {
        let pairs = self.pairs(left, right);
        let Some((l, r)) = self.dice.maybe(&pairs).cloned() else {
            return On { sql: "true".into(), equal: false, bases: None, met: None };
        };
        let bases = l.base.zip(r.base);
        let met = Some((l.clone(), r.clone()));
        let other = |sql: String| On { sql, equal: false, bases, met: None };
        let equality = format!("{} = {}", l.sql, r.sql);
        let all = || -> Vec<Rel> { left.iter().cloned().chain([right.clone()]).collect() };
        match self.dice.below(17) {
            0 => {
                // a second equality
                let (l, r) = self.dice.pick(&pairs).clone();
                On { sql: format!("{equality} AND {} = {}", l.sql, r.sql), equal: true, bases, met }
            }
            1 if !must_equal && !self.large => {
                self.note(Hazard::NonEqui);
                other(format!("{} {} {}", l.sql, self.dice.pick(&["<", "<>", ">="]), r.sql))
            }
            2 if !must_equal => {
                self.note(Hazard::NullSafeJoin);
                other(format!("{} IS NOT DISTINCT FROM {}", l.sql, r.sql))
            }
            3 if !must_equal => {
                let more = self.condition(&all(), 0);
                On { sql: format!("{equality} AND {more}"), equal: true, bases, met }
            }
            4 if !must_equal => {
                self.note(Hazard::SublinkInOn);
                let more = self.sublink(&all(), 0);
                On { sql: format!("{equality} AND {more}"), equal: true, bases, met }
            }
            _ => On { sql: equality, equal: true, bases, met },
        }
    }

    pub fn from(&mut self, depth: u32) -> From {
        let count = self.dice.weighted(&[(38, 1), (36, 2), (19, 3), (7, 4)]);
        self.join_of(depth, count)
    }

    pub fn join_of(&mut self, depth: u32, count: usize) -> From {
        let first = self.rel(depth);
        let mut from = From::start(first);
        self.add_joins(&mut from, depth, count - 1);
        from
    }

    /// Inner and left joins of base tables on equality.
    pub fn plain_joins(&mut self) -> From {
        let first = self.some_base();
        let mut from = From::start(first);
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

    pub fn add_joins(&mut self, from: &mut From, depth: u32, count: usize) {
        let (mut outer, mut cross) = (false, false);
        for number in 0..count {
            if self.dice.chance(20) && self.lateral(from) {
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
    fn join(&mut self, from: &mut From, kind: &str, sql: String, right: &[Rel]) -> bool {
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
    fn nested(&mut self, from: &mut From, kind: &str) -> bool {
        self.note(Hazard::NestedJoin);
        let first = self.some_base();
        let mut inner = From::start(first);
        let right = self.some_base();
        let word = *self.dice.pick(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
        self.join(&mut inner, word, right.sql.clone(), &[right]);
        self.join(from, kind, format!("({})", inner.sql), &inner.rels)
    }

    pub fn join_fact(&mut self, bases: Option<(Base, Base)>, class: Join) {
        if let Some((l, r)) = bases {
            self.facts.joins.push((l, r, class));
        }
    }

    /// A join condition for a sub-query that looks at the rels before it.
    pub fn correlation(&mut self, left: &[Rel], right: &Rel) -> String {
        let on = self.on(left, right, false);
        self.join_fact(on.bases, Join::Outer);
        on.sql
    }

    /// `(a LEFT JOIN b USING (m)) AS s`: the names of a and b are hidden, and m may be of two types.
    fn named_join(&mut self, from: &mut From, right: Rel) {
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
        if self.dice.chance(60) && columns.iter().all(|c| !c.fuzzy && !c.ty.is_ambiguous() && c.ty != Ty::Approx) {
            self.note(Hazard::NamedJoinRow);
            self.facts.no_text = true;
            let row = Expr { sql: format!("to_jsonb({alias})"), ty: Ty::Jsonb, fuzzy: false, base: None };
            columns.push(row);
        }
        let names = columns.iter().map(|c| c.sql.rsplit('.').next().unwrap_or_default().to_string()).collect();
        let order = columns.iter().map(Expr::order).collect();
        from.sql = sql;
        from.rels = vec![Rel { sql: from.sql.clone(), columns, names, order, key: vec![] }];
    }

    fn using(&mut self, from: &mut From, right: Rel) {
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
