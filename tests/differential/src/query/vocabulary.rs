//! What generators hand to each other: expressions, output columns, queries; their SQL, their types, and whether their values are determined.
//! Invariant: an expression that is not `fuzzy` has one text however the server computes it, or of type `Approx` the same first digits.
//! Used by all families, the oracle, and `Table::total_order`.

use super::Base;
use crate::types::{Ty, first_digits};

/// Of the columns of a FROM clause.
#[derive(Clone, Debug)]
pub struct Expr {
    pub sql: String,
    pub ty: Ty,
    pub fuzzy: bool,
    /// if it is a column of a table as it is
    pub base: Option<Base>,
}

impl Expr {
    /// An expression that is determined, and no bare column.
    pub fn plain(sql: impl Into<String>, ty: Ty) -> Expr {
        Expr { sql: sql.into(), ty, fuzzy: false, base: None }
    }

    /// As text: equal texts are the same bytes.
    pub fn text(&self) -> String {
        match self.ty {
            Ty::NoCase | Ty::Citext => format!("{}::text COLLATE \"C\"", self.sql),
            _ => format!("{}::text", self.sql),
        }
    }

    /// A sort expression that does not depend on undetermined digits or letters, and otherwise tells values apart.
    pub fn order(&self) -> String {
        match self.ty {
            Ty::Approx => first_digits(&self.sql),
            ty if ty.has_equality() && (!ty.is_ambiguous() || self.fuzzy) => self.sql.clone(),
            _ => self.text(),
        }
    }
}

/// An output column of a query.
#[derive(Clone, Debug)]
pub struct Col {
    /// quoted
    pub name: String,
    pub ty: Ty,
    pub fuzzy: bool,
    /// the column of a table whose values it shows, if it is nothing but a group key
    pub origin: Option<Base>,
}

#[derive(Clone, Debug)]
pub struct Query {
    pub sql: String,
    pub columns: Vec<Col>,
}

/// Marks the columns that become undetermined when one of several equal values is chosen.
pub fn blur(columns: &mut [Col]) {
    for c in columns {
        c.fuzzy |= c.ty.is_ambiguous();
    }
}
