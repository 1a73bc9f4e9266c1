//! FROM clauses: base tables, views, TVIEWs, CTEs, sub-queries, VALUES.
//! Invariant: every item has an alias of its own, by which its columns are named. Called by every family.
//! `base` makes items of tables, `join` joins items by the conditions of `on`, `merged` by USING, `lateral` adds what looks at items before it.

mod base;
mod join;
mod lateral;
mod merged;
mod on;

use super::{Col, Expr, Gen};
use crate::hazards::Hazard;
use crate::types::Ty;

/// One item of a FROM clause.
#[derive(Clone, Debug)]
pub struct Rel {
    pub sql: String,
    pub columns: Vec<Expr>,
    /// names without alias, for USING
    pub names: Vec<String>,
    /// orders its rows totally but for rows that are the same
    pub order: Vec<String>,
    pub key: Vec<usize>,
}

/// A source that was made before, with its columns: a plain view, a TVIEW, or, without a hazard, a CTE of the query.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    pub columns: Vec<Col>,
    pub hazard: Option<Hazard>,
}

pub struct FromClause {
    pub sql: String,
    pub rels: Vec<Rel>,
    /// join conditions that belong in WHERE
    pub conditions: Vec<String>,
    /// columns merged by USING
    pub merged: Vec<Expr>,
    /// what outer joins compare
    pub met: Vec<(Expr, Expr)>,
}

impl FromClause {
    pub fn start(first: Rel) -> FromClause {
        FromClause { sql: first.sql.clone(), rels: vec![first], conditions: vec![], merged: vec![], met: vec![] }
    }
}

/// A rel of these columns, which have no key.
fn rel_of(alias: &str, sql: String, columns: &[(&str, Ty, bool)]) -> Rel {
    let exprs: Vec<Expr> = columns
        .iter()
        .map(|(name, ty, fuzzy)| Expr { sql: format!("{alias}.{name}"), ty: *ty, fuzzy: *fuzzy, base: None })
        .collect();
    Rel {
        sql,
        order: exprs.iter().map(Expr::order).collect(),
        columns: exprs,
        names: columns.iter().map(|c| c.0.to_string()).collect(),
        key: vec![],
    }
}

impl Gen<'_> {
    /// A FROM item that has a name, or is in parentheses, with these columns.
    pub fn named(&mut self, name: &str, columns: &[Col]) -> Rel {
        let alias = self.alias();
        let columns: Vec<_> = columns.iter().map(|c| (c.name.as_str(), c.ty, c.fuzzy)).collect();
        rel_of(&alias, format!("{name} AS {alias}"), &columns)
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
        let sql = format!("(VALUES {}) AS {alias}(v, w)", rows.join(", "));
        rel_of(&alias, sql, &[("v", Ty::Int, false), ("w", Ty::Text, false)])
    }
}
