//! FROM as a join of relations: names to columns, sub-queries that only join and filter taken into the block around them.
//!
//! Invariant: what is flattened gives the rows that the sub-query gives; everything else is one opaque item with an analysis of its own. A name that
//! cannot be resolved is no column, which makes conclusions weaker, never stronger. Called by `decide`.

use super::schema::Name;
use pg_query::NodeEnum;
use pg_query::protobuf::{AExprKind, BoolExprType, ColumnRef, Node};
use tviews_core::model::{Col, Equality};

/// A column that can be named.
#[derive(Debug, Clone)]
pub struct Seen {
    pub name: String,
    pub value: Value,
}

/// What is known of an expression.
#[derive(Debug, Clone, Default)]
pub struct Value {
    pub column: Option<Col>,
    pub of: Option<String>,
    pub not_null: bool,
}

/// An item of FROM under its alias.
#[derive(Debug, Clone)]
pub struct Item {
    pub alias: String,
    pub columns: Vec<Seen>,
    /// Columns that a join with USING or NATURAL has merged into others: only by their alias.
    pub hidden: Vec<String>,
}

/// The items of a block, and of the blocks around it.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    pub items: Vec<Item>,
    /// Items before a LATERAL one that is part of the block: found after its own.
    pub lateral: Vec<Item>,
    /// Items of blocks around: a name that is found here makes the block depend on its row.
    pub around: Vec<Item>,
    /// CTEs by name: the innermost last.
    pub ctes: Vec<Cte>,
}

#[derive(Debug, Clone)]
pub struct Cte {
    pub name: String,
    pub columns: Vec<String>,
    pub query: Box<pg_query::protobuf::SelectStmt>,
    pub recursive: bool,
    /// Has SEARCH or CYCLE.
    pub marked: bool,
    /// What a recursive query shows in its own step.
    pub rows: Option<Vec<super::decide::Output>>,
}

/// Where a name was found.
pub enum Found<'a> {
    Here(&'a Value),
    /// In a block around: its column, which is one of that block's atoms.
    Around(Option<Col>),
    Nowhere,
}

impl Scope {
    pub fn find(&self, column: &ColumnRef) -> Found<'_> {
        let parts = crate::script::nodes::strings(&column.fields);
        let (alias, name) = match parts[..] {
            [name] => (None, name),
            [.., alias, name] => (Some(alias), name),
            [] => return Found::Nowhere,
        };
        for item in self.items.iter().chain(&self.lateral) {
            if alias.is_none_or(|a| a == item.alias)
                && !(alias.is_none() && item.hidden.iter().any(|h| h == name))
                && let Some(seen) = item.columns.iter().find(|c| c.name == name)
            {
                return Found::Here(&seen.value);
            }
        }
        for item in &self.around {
            let seen = item.columns.iter().find(|c| c.name == name);
            if alias.is_some_and(|a| a == item.alias) || (alias.is_none() && seen.is_some()) {
                return Found::Around(seen.and_then(|s| s.value.column));
            }
        }
        Found::Nowhere
    }

    pub fn column(&self, node: &Node) -> Option<Col> {
        match node.node.as_ref()? {
            NodeEnum::ColumnRef(column) => match self.find(column) {
                Found::Here(value) => value.column,
                _ => None,
            },
            _ => None,
        }
    }

    fn column_around(&self, node: &Node) -> Option<Col> {
        match node.node.as_ref()? {
            NodeEnum::ColumnRef(column) => match self.find(column) {
                Found::Around(column) => column,
                _ => None,
            },
            _ => None,
        }
    }

    /// Equalities with columns of the block around: this one's column first.
    pub fn meetings(&self, condition: &Node, found: &mut Vec<(Col, Col)>) {
        match &condition.node {
            Some(NodeEnum::BoolExpr(all)) if all.boolop == BoolExprType::AndExpr as i32 => {
                all.args.iter().for_each(|a| self.meetings(a, found));
            }
            Some(NodeEnum::AExpr(e))
                if e.kind == AExprKind::AexprOp as i32 && crate::script::nodes::last(&e.name) == "=" =>
            {
                let (Some(left), Some(right)) = (&e.lexpr, &e.rexpr) else { return };
                for (own, around) in [(left, right), (right, left)] {
                    if let (Some(own), Some(around)) = (self.column(own), self.column_around(around)) {
                        found.push((own, around));
                    }
                }
            }
            _ => {}
        }
    }

    /// Equalities that hold for every row that a condition lets pass.
    pub fn equalities(&self, condition: &Node, found: &mut Vec<Equality>) {
        match &condition.node {
            Some(NodeEnum::BoolExpr(all)) if all.boolop == BoolExprType::AndExpr as i32 => {
                all.args.iter().for_each(|a| self.equalities(a, found));
            }
            Some(NodeEnum::AExpr(e))
                if e.kind == AExprKind::AexprOp as i32 && crate::script::nodes::last(&e.name) == "=" =>
            {
                let (Some(left), Some(right)) = (&e.lexpr, &e.rexpr) else { return };
                match (self.column(left), self.column(right)) {
                    (Some(a), Some(b)) => found.push((a, Some(b))),
                    (Some(a), None) if is_constant(right) => found.push((a, None)),
                    (None, Some(b)) if is_constant(left) => found.push((b, None)),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

fn is_constant(node: &Node) -> bool {
    match &node.node {
        Some(NodeEnum::AConst(_)) => true,
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_ref().is_some_and(|a| is_constant(a)),
        _ => false,
    }
}

/// A relation that a block reads.
#[derive(Debug, Clone)]
pub enum Source {
    Table(Name),
    /// A sub-query that is kept as a stage: the index of its analysis.
    Stage(usize),
    /// A function, VALUES.
    Other,
}
