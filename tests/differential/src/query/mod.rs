//! Random defining queries.
//! Invariant: what a query returns is determined by the contents of its tables, except for which of several equal values stands for them:
//! such output columns are marked `fuzzy` and compared by equality, all others by their text.
//! One file per family of constructs; each adds to the `facts` from which the transaction generator aims its writes. Called by `case`.

mod aggregate;
mod cte;
mod expression;
mod from;
mod levels;
mod select;
mod setop;
mod sublink;
mod window;

pub use levels::Nesting;

use crate::dice::Dice;
use crate::features::Features;
use crate::hazards::Hazard;
use crate::schema::Schema;
use crate::types::{Ty, first_digits};
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub struct Col {
    /// quoted
    pub name: String,
    pub ty: Ty,
    pub fuzzy: bool,
    /// the column of a table whose values it shows, if it is nothing but a group key
    pub origin: Option<Base>,
}

/// A column of a base table: table and column number.
pub type Base = (usize, usize);

#[derive(Clone, Debug)]
pub struct Expr {
    pub sql: String,
    pub ty: Ty,
    pub fuzzy: bool,
    pub base: Option<Base>,
}

impl Expr {
    /// As text, of which equal ones are the same.
    pub fn text(&self) -> String {
        match self.ty {
            Ty::NoCase | Ty::Citext => format!("{}::text COLLATE \"C\"", self.sql),
            _ => format!("{}::text", self.sql),
        }
    }

    /// Something to order by that does not depend on what is undetermined, and otherwise tells values apart.
    pub fn order(&self) -> String {
        match self.ty {
            Ty::Approx => first_digits(&self.sql),
            // numbers inside of jsonb are equal whatever their scale
            ty if ty.has_equality() && (!ty.is_ambiguous() && ty != Ty::Jsonb || self.fuzzy) => self.sql.clone(),
            _ => self.text(),
        }
    }
}

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

#[derive(Clone, Debug)]
pub struct Query {
    pub sql: String,
    pub columns: Vec<Col>,
}

/// What a query depends on, so that writes can be aimed.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub joins: Vec<(Base, Base, Join)>,
    pub sublinks: Vec<(Base, Base)>,
    pub groups: Vec<Base>,
    pub filters: Vec<Base>,
    pub aggregated: Vec<Base>,
    pub havings: Vec<Base>,
    pub extrema: Vec<Base>,
    pub partitions: Vec<Base>,
    pub limited: Vec<usize>,
    pub ungrouped: Vec<usize>,
    /// of two rows with 9 in this column, a sub-query that may return one returns both
    pub unusual: Vec<Base>,
    /// all columns of these are used, also those that come later
    pub whole: BTreeSet<usize>,
    pub tables: BTreeSet<usize>,
    pub sources: BTreeSet<String>,
    pub hazards: BTreeSet<Hazard>,
    /// what the server prints of the query may be another query, or none
    pub no_text: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Join {
    Inner,
    Outer,
    Full,
}

/// Makes a query with so many levels below it.
type Family<'a> = fn(&mut Gen<'a>, u32) -> Query;

pub struct Gen<'a> {
    pub dice: &'a mut Dice,
    pub schema: &'a Schema,
    pub sources: &'a [Source],
    pub features: Features,
    /// tables will have many rows: no joins that multiply them
    pub large: bool,
    pub facts: Facts,
    aliases: usize,
    /// CTEs in scope
    ctes: Vec<Source>,
    cte_uses: u32,
}

impl<'a> Gen<'a> {
    pub fn new(dice: &'a mut Dice, schema: &'a Schema, sources: &'a [Source]) -> Self {
        let (features, large) = (schema.features, schema.large);
        let facts = Facts::default();
        Gen { dice, schema, sources, features, large, facts, aliases: 0, ctes: vec![], cte_uses: 0 }
    }

    pub fn note(&mut self, hazard: Hazard) {
        self.facts.hazards.insert(hazard);
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("{}{}", self.dice.pick(&["x", "y", "r", "src"]), self.aliases)
    }

    /// A query of any kind. `depth`: how many levels may be below it.
    pub fn query(&mut self, depth: u32) -> Query {
        let families: &[(u32, Family<'a>)] = if depth == 0 {
            &[(4, Self::select), (3, Self::grouped), (3, |g, _| g.foldable()), (1, Self::distinct)]
        } else {
            &[
                (22, Self::select),
                (20, |g, _| g.foldable()),
                (14, Self::grouped),
                (7, Self::layered),
                (7, Self::ungrouped),
                (7, Self::grouping_sets),
                (6, Self::distinct),
                (5, Self::distinct_on),
                (9, Self::set_operation),
                (11, Self::window),
                (5, Self::top),
                (8, Self::cte),
                (3, |g, _| g.recursive()),
            ]
        };
        let family = self.dice.weighted(families);
        family(self, depth)
    }

    /// Names of output columns; odd ones now and then.
    fn name_outputs(&mut self, exprs: &[Expr]) -> Vec<Col> {
        let odd = self.dice.chance(25);
        let mut names =
            crate::names::some(self.dice, crate::names::COLUMNS, exprs.len().min(crate::names::COLUMNS.len()));
        exprs
            .iter()
            .enumerate()
            .map(|(i, e)| {
                let name = if odd && i < names.len() { std::mem::take(&mut names[i]) } else { format!("o{}", i + 1) };
                Col { name: crate::names::ident(&name), ty: e.ty, fuzzy: e.fuzzy, origin: None }
            })
            .collect()
    }

    fn render_list(&self, exprs: &[Expr], columns: &[Col]) -> String {
        exprs.iter().zip(columns).map(|(e, c)| format!("{} AS {}", e.sql, c.name)).collect::<Vec<_>>().join(", ")
    }
}

/// Marks what becomes undetermined when one of several equal values is chosen.
pub fn blur(columns: &mut [Col]) {
    for c in columns {
        c.fuzzy |= c.ty.is_ambiguous();
    }
}
