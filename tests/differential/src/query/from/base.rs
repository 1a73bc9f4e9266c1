//! Base tables as items of FROM, and the special properties of their columns.
//! Invariant: every table of a query is in its facts. Called by `Gen::rel` and all families that want tables only.

use super::Rel;
use crate::hazards::Hazard;
use crate::query::{Base, Expr, Gen};
use crate::schema::Kind;
use crate::types::Ty;

impl Gen<'_> {
    /// Whether a column of a base table may be NULL.
    pub fn nullable(&self, (table, column): Base) -> bool {
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
}
