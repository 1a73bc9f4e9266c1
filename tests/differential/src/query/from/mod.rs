//! FROM clauses: base tables, views, TVIEWs, CTEs, sub-queries, VALUES. `join` joins them, `lateral` has what looks at items before it.
//! Called by every family.

mod join;
mod lateral;

use super::{Col, Expr, Gen, Rel, Source};
use crate::hazards::Hazard;
use crate::schema::Kind;
use crate::types::Ty;

pub struct From {
    pub sql: String,
    pub rels: Vec<Rel>,
    /// join conditions that belong in WHERE
    pub conditions: Vec<String>,
    /// columns merged by USING
    pub merged: Vec<Expr>,
    /// what outer joins compare
    pub met: Vec<(Expr, Expr)>,
}

impl From {
    pub fn start(first: Rel) -> From {
        From { sql: first.sql.clone(), rels: vec![first], conditions: vec![], merged: vec![], met: vec![] }
    }
}

impl Gen<'_> {
    /// Whether a column of a base table may be NULL.
    pub fn nullable(&self, (table, column): super::Base) -> bool {
        self.schema.tables[table].columns[column].nullable
    }

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
            hazards.extend(match c.ty {
                Ty::Json | Ty::Point => Some(Hazard::NoEquality),
                Ty::Char => Some(Hazard::CharColumn),
                Ty::Ints | Ty::Texts => Some(Hazard::ArrayColumn),
                Ty::Pair => Some(Hazard::CompositeColumn),
                Ty::Mood | Ty::PosInt => Some(Hazard::EnumDomain),
                Ty::Range => Some(Hazard::RangeColumn),
                Ty::NoCase | Ty::Citext => Some(Hazard::CaseInsensitive),
                Ty::Stamp => Some(Hazard::StampColumn),
                Ty::Bytea => Some(Hazard::ByteaColumn),
                Ty::Float | Ty::Real => Some(Hazard::MinusZero),
                Ty::Bits => Some(Hazard::BitColumn),
                _ => None,
            });
            if c.name.starts_with('"') || c.name.len() > 60 {
                hazards.push(Hazard::OddNames);
            }
        }
        self.facts.hazards.extend(hazards);
        let only = matches!(t.kind, Kind::Parent { .. }) && self.dice.chance(20);
        if only {
            self.note(Hazard::Only);
        }
        let columns = t
            .columns
            .iter()
            .enumerate()
            .map(|(i, c)| Expr { sql: format!("{alias}.{}", c.name), ty: c.ty, fuzzy: false, base: Some((table, i)) })
            .collect();
        let leaf = match &t.kind {
            Kind::Parted { leaves, .. } if self.dice.chance(12) => Some(self.dice.pick(leaves).clone()),
            Kind::Parent { child } if !only && self.dice.chance(12) => Some(child.clone()),
            _ => None,
        };
        if leaf.is_some() {
            self.facts.hazards.insert(Hazard::Leaf);
        }
        Rel {
            sql: format!("{}{} AS {alias}", if only { "ONLY " } else { "" }, leaf.as_ref().unwrap_or(&t.name)),
            columns,
            names: t.columns.iter().map(|c| c.name.clone()).collect(),
            order: t.total_order(&alias),
            key: t.sure_key(),
        }
    }

    /// Any base table of the schema.
    pub fn some_base(&mut self) -> Rel {
        let mut table = self.dice.below(self.schema.tables.len());
        // thousands of rows joined with thousands would be millions
        if self.large && self.facts.tables.contains(&0) {
            table = self.schema.tables.len() - 1;
        }
        self.base(table)
    }

    pub fn named(&mut self, name: &str, columns: &[Col]) -> Rel {
        let alias = self.alias();
        let exprs: Vec<Expr> = columns
            .iter()
            .map(|c| Expr { sql: format!("{alias}.{}", c.name), ty: c.ty, fuzzy: c.fuzzy, base: None })
            .collect();
        Rel {
            sql: format!("{name} AS {alias}"),
            order: exprs.iter().map(Expr::order).collect(),
            columns: exprs,
            names: columns.iter().map(|c| c.name.clone()).collect(),
            key: vec![],
        }
    }

    /// A view, TVIEW or CTE that was made before.
    pub fn source(&mut self, source: &Source) -> Rel {
        if let Some(hazard) = source.hazard {
            self.note(hazard);
            self.facts.sources.insert(source.name.clone());
        } else {
            self.cte_uses += 1;
        }
        self.named(&source.name, &source.columns)
    }

    /// What else than base tables may stand here.
    fn sources(&self) -> Vec<Source> {
        self.ctes.iter().chain(self.sources).cloned().collect()
    }

    /// One item of FROM.
    pub fn rel(&mut self, depth: u32) -> Rel {
        let percent = if depth > 1 { 40 } else { 22 };
        if depth > 0 && self.dice.chance(percent) {
            return self.sub_query(depth - 1);
        }
        let sources = self.sources();
        if !sources.is_empty() && self.dice.chance(if self.ctes.is_empty() { 25 } else { 50 }) {
            let source = self.dice.pick(&sources).clone();
            return self.source(&source);
        }
        if self.dice.chance(3) {
            return self.values();
        }
        self.some_base()
    }

    /// A base table, view, TVIEW or CTE, for a sub-link.
    pub fn simple_rel(&mut self) -> Rel {
        let sources = self.sources();
        if !sources.is_empty() && self.dice.chance(18) {
            let source = self.dice.pick(&sources).clone();
            return self.source(&source);
        }
        self.some_base()
    }

    pub fn sub_query(&mut self, depth: u32) -> Rel {
        let query = match self.dice.below(14) {
            0..=2 => self.foldable(),
            3 => self.grouped(depth),
            4 => self.distinct(depth),
            5 => self.distinct_on(depth),
            6..=8 => self.set_operation(depth),
            _ => self.query(depth),
        };
        for (word, hazard) in [
            ("GROUP BY", Hazard::GroupedSubquery),
            ("LIMIT", Hazard::LimitInside),
            ("SELECT DISTINCT ON", Hazard::DistinctOnInside),
            (" OVER (", Hazard::WindowInside),
            ("UNION", Hazard::SetOperationInside),
        ] {
            if query.sql.contains(word) {
                self.note(hazard);
            }
        }
        self.named(&format!("({})", query.sql), &query.columns)
    }

    /// A list of constants.
    fn values(&mut self) -> Rel {
        self.note(Hazard::ValuesList);
        let alias = self.alias();
        let rows: Vec<String> = (0..self.dice.between(1, 3))
            .map(|_| format!("({}, {})", self.dice.below(5), Ty::Text.literal(self.dice)))
            .collect();
        let column = |name: &str, ty| Expr { sql: format!("{alias}.{name}"), ty, fuzzy: false, base: None };
        let columns = vec![column("v", Ty::Int), column("w", Ty::Text)];
        Rel {
            sql: format!("(VALUES {}) AS {alias}(v, w)", rows.join(", ")),
            order: columns.iter().map(Expr::order).collect(),
            columns,
            names: vec!["v".into(), "w".into()],
            key: vec![],
        }
    }
}
