//! FROM clauses: base tables, views, TVIEWs, sub-queries, set-returning functions, and joins of all kinds between them.
//! Called by every family.

use super::{Expr, Gen, Join, Rel};
use crate::hazards::Hazard;
use crate::schema::Kind;
use crate::types::Ty;

pub struct From {
    pub sql: String,
    pub rels: Vec<Rel>,
    /// join conditions that belong in WHERE
    pub conditions: Vec<String>,
    /// all joins are inner and all rels have keys
    pub merged: Vec<Expr>,
}

impl Gen<'_> {
    pub fn base(&mut self, table: usize) -> Rel {
        let t = &self.schema.tables[table];
        let alias = self.alias();
        if !self.facts.tables.insert(table) {
            self.note(Hazard::SelfJoin);
        }
        let mut hazards = vec![];
        if t.key.is_empty() {
            hazards.push(Hazard::TableWithoutKey);
        }
        match &t.kind {
            Kind::Parted { .. } => hazards.push(Hazard::Partitioned),
            Kind::Parent { .. } => hazards.push(Hazard::Inheritance),
            Kind::Plain => {}
        }
        for c in &t.columns {
            match c.ty {
                Ty::Json => hazards.push(Hazard::JsonColumn),
                Ty::Char => hazards.push(Hazard::CharColumn),
                Ty::Ints | Ty::Texts => hazards.push(Hazard::ArrayColumn),
                Ty::Pair => hazards.push(Hazard::CompositeColumn),
                Ty::Mood | Ty::PosInt => hazards.push(Hazard::EnumDomain),
                _ => {}
            }
            if c.name.starts_with('"') || c.name.len() > 60 {
                hazards.push(Hazard::OddNames);
            }
        }
        self.facts.hazards.extend(hazards);
        let only = if matches!(t.kind, Kind::Parent { .. }) && self.dice.chance(20) { "ONLY " } else { "" };
        let columns = t
            .columns
            .iter()
            .enumerate()
            .map(|(i, c)| Expr { sql: format!("{alias}.{}", c.name), ty: c.ty, fuzzy: false, base: Some((table, i)) })
            .collect();
        Rel {
            sql: format!("{only}{} AS {alias}", t.name),
            columns,
            names: t.columns.iter().map(|c| c.name.clone()).collect(),
            order: t.total_order(&alias),
            key: if t.kind == Kind::Plain { t.key.clone() } else { vec![] },
        }
    }

    pub fn named(&mut self, name: &str, columns: &[super::Col]) -> Rel {
        let alias = self.alias();
        let exprs: Vec<Expr> = columns
            .iter()
            .map(|c| Expr { sql: format!("{alias}.{}", c.name), ty: c.ty, fuzzy: c.fuzzy, base: None })
            .collect();
        let order = exprs
            .iter()
            .map(|e| {
                if e.ty.has_equality() && (!e.ty.is_ambiguous() || e.fuzzy) {
                    e.sql.clone()
                } else {
                    format!("{}::text", e.sql)
                }
            })
            .collect();
        Rel {
            sql: format!("{name} AS {alias}"),
            columns: exprs,
            names: columns.iter().map(|c| c.name.clone()).collect(),
            order,
            key: vec![],
        }
    }

    /// One item of FROM.
    pub fn rel(&mut self, depth: u32) -> Rel {
        if depth > 0 && self.dice.chance(18) {
            let query = self.query(depth - 1);
            if query.sql.contains("GROUP BY") {
                self.note(Hazard::GroupedSubquery);
            }
            if query.sql.contains("LIMIT") {
                self.note(Hazard::LimitInside);
            }
            return self.named(&format!("({})", query.sql), &query.columns);
        }
        if !self.sources.is_empty() && self.dice.chance(25) {
            let source = self.dice.pick(self.sources).clone();
            self.note(if source.is_tview { Hazard::TviewSource } else { Hazard::ViewSource });
            self.facts.sources.insert(source.name.clone());
            return self.named(&source.name, &source.columns);
        }
        let table = self.dice.below(self.schema.tables.len());
        self.base(table)
    }

    /// A join condition between what is there and a new rel; the flag says that it is an equality.
    fn on(
        &mut self,
        left: &[Rel],
        right: &Rel,
        must_equal: bool,
    ) -> (String, bool, Option<(super::Base, super::Base)>) {
        let mut pairs = vec![];
        for l in self.columns_of(left) {
            for r in &right.columns {
                let same = l.ty == r.ty || matches!((l.ty, r.ty), (Ty::Int, Ty::Big) | (Ty::Big, Ty::Int));
                if same && l.ty.has_equality() {
                    // the more alike, the more often
                    let named = l.sql.split('.').next_back() == r.sql.split('.').next_back();
                    pairs.push((l.clone(), r.clone()));
                    if named || l.ty == Ty::Int {
                        pairs.push((l.clone(), r.clone()));
                    }
                }
            }
        }
        let Some((l, r)) = self.dice.maybe(&pairs).cloned() else {
            return ("true".into(), false, None);
        };
        let bases = l.base.zip(r.base);
        if !must_equal {
            match self.dice.below(14) {
                0 => {
                    self.note(Hazard::NonEqui);
                    return (format!("{} < {}", l.sql, r.sql), false, bases);
                }
                1 => {
                    self.note(Hazard::NonEqui);
                    return (format!("{} <> {}", l.sql, r.sql), false, bases);
                }
                2 => {
                    self.note(Hazard::NullSafeJoin);
                    return (format!("{} IS NOT DISTINCT FROM {}", l.sql, r.sql), false, bases);
                }
                3 => {
                    let both: Vec<Rel> = left.iter().cloned().chain([right.clone()]).collect();
                    let more = self.condition(&both, 0);
                    return (format!("{} = {} AND {more}", l.sql, r.sql), true, bases);
                }
                _ => {}
            }
        }
        (format!("{} = {}", l.sql, r.sql), true, bases)
    }

    pub fn from(&mut self, depth: u32) -> From {
        let count = self.dice.weighted(&[(38, 1), (36, 2), (19, 3), (7, 4)]);
        self.join_of(depth, count)
    }

    pub fn join_of(&mut self, depth: u32, count: usize) -> From {
        let first = self.rel(depth);
        let mut from = From { sql: first.sql.clone(), rels: vec![first], conditions: vec![], merged: vec![] };
        let (mut outer, mut cross) = (false, false);
        for number in 1..count {
            if self.dice.chance(12) && self.lateral(&mut from) {
                continue;
            }
            let right = self.rel(depth);
            let kind = self.dice.weighted(&[
                (34, "JOIN"),
                (26, "LEFT JOIN"),
                (6, "RIGHT JOIN"),
                (9, "FULL JOIN"),
                (4, "CROSS JOIN"),
                (12, ","),
                (9, "USING"),
            ]);
            if kind == "USING" && number == 1 {
                self.using(&mut from, right);
                continue;
            }
            let kind = if kind == "USING" { "JOIN" } else { kind };
            match kind {
                "CROSS JOIN" => {
                    from.sql = format!("{} CROSS JOIN {}", from.sql, right.sql);
                    cross = true;
                }
                "," => {
                    let (condition, _, bases) = self.on(&from.rels, &right, false);
                    from.conditions.push(condition);
                    self.join_fact(bases, Join::Inner);
                    from.sql = format!("{}, {}", from.sql, right.sql);
                    self.note(Hazard::CommaJoin);
                    cross = true;
                    // what follows could not see the rels before the comma in ON: keep the clause legal by ending here
                    from.rels.push(right);
                    break;
                }
                _ => {
                    let (condition, equal, bases) = self.on(&from.rels, &right, kind == "FULL JOIN");
                    let kind = if kind == "FULL JOIN" && !equal { "LEFT JOIN" } else { kind };
                    let class = match kind {
                        "JOIN" => Join::Inner,
                        "FULL JOIN" => Join::Full,
                        _ => Join::Outer,
                    };
                    if class != Join::Inner {
                        outer = true;
                        self.note(if class == Join::Full { Hazard::FullJoin } else { Hazard::LeftJoin });
                    }
                    self.join_fact(bases, class);
                    from.sql = format!("{} {kind} {} ON {condition}", from.sql, right.sql);
                }
            }
            from.rels.push(right);
        }
        if outer && cross {
            self.note(Hazard::MixedJoin);
        }
        from
    }

    fn join_fact(&mut self, bases: Option<(super::Base, super::Base)>, class: Join) {
        if let Some((l, r)) = bases {
            self.facts.joins.push((l, r, class));
        }
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
        let kind = *self.dice.pick(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
        let joinable: Vec<usize> = common.iter().copied().filter(|&i| left.columns[i].ty.has_equality()).collect();
        let natural = joinable.len() == common.len() && common.len() == 1 && self.dice.chance(40);
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

    /// Adds a LATERAL sub-query or a set-returning function.
    fn lateral(&mut self, from: &mut From) -> bool {
        let alias = self.alias();
        let rels = from.rels.clone();
        let make = |sql: String, ty: Ty| Rel {
            sql,
            columns: vec![Expr { sql: format!("{alias}.v"), ty, fuzzy: false, base: None }],
            names: vec!["v".into()],
            order: vec![format!("{alias}.v")],
            key: vec![],
        };
        let kind = self.dice.below(5);
        let rel = match kind {
            0 => self.column_of(&rels, Ty::Ints).map(|c| make(format!("unnest({}) AS {alias}(v)", c.sql), Ty::Int)),
            1 => self.column_of(&rels, Ty::Texts).map(|c| make(format!("unnest({}) AS {alias}(v)", c.sql), Ty::Text)),
            2 => self
                .column_of(&rels, Ty::Int)
                .map(|c| make(format!("generate_series(1, least({}, 3)) AS {alias}(v)", c.sql), Ty::Int)),
            3 => self.column_of(&rels, Ty::Jsonb).map(|c| {
                make(
                    format!(
                        "jsonb_array_elements(CASE WHEN jsonb_typeof({0}) = 'array' THEN {0} END) AS {alias}(v)",
                        c.sql
                    ),
                    Ty::Jsonb,
                )
            }),
            _ => None,
        };
        if let Some(rel) = rel {
            self.note(Hazard::SetReturning);
            from.sql = if self.dice.chance(30) {
                format!("{} LEFT JOIN {} ON true", from.sql, rel.sql)
            } else {
                format!("{} CROSS JOIN LATERAL {}", from.sql, rel.sql)
            };
            from.rels.push(rel);
            return true;
        }
        let table = self.dice.below(self.schema.tables.len());
        let inner = self.base(table);
        let (condition, _, bases) = self.on(&rels, &inner, false);
        let picked = self.any_column(std::slice::from_ref(&inner));
        let (sql, columns) = if self.dice.chance(50) {
            (
                format!("SELECT count(*) AS v, max({0}::text) AS w FROM {1} WHERE {condition}", picked.sql, inner.sql),
                vec![("v", Ty::Big), ("w", Ty::Text)],
            )
        } else {
            let order = inner.order.join(", ");
            (
                format!("SELECT {} AS v FROM {} WHERE {condition} ORDER BY {order} LIMIT 2", picked.sql, inner.sql),
                vec![("v", picked.ty)],
            )
        };
        self.note(Hazard::Lateral);
        self.join_fact(bases, Join::Outer);
        let rel = Rel {
            sql: format!("LATERAL ({sql}) AS {alias}"),
            columns: columns
                .iter()
                .map(|(n, ty)| Expr { sql: format!("{alias}.{n}"), ty: *ty, fuzzy: false, base: None })
                .collect(),
            names: columns.iter().map(|(n, _)| n.to_string()).collect(),
            order: columns.iter().map(|(n, _)| format!("{alias}.{n}::text")).collect(),
            key: vec![],
        };
        from.sql = if self.dice.chance(50) {
            format!("{} LEFT JOIN {} ON true", from.sql, rel.sql)
        } else {
            format!("{} CROSS JOIN {}", from.sql, rel.sql)
        };
        from.rels.push(rel);
        true
    }
}
