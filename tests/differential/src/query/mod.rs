//! Random defining queries.
//! Invariant: what a query returns is determined by the contents of its tables, except for which of several equal values stands for them:
//! such output columns are marked `fuzzy` and compared by equality, all others by their text.
//! One file per family of constructs; each adds to the `facts` from which the transaction generator aims its writes. Called by `case`.

mod aggregate;
mod cte;
mod expression;
mod from;
mod select;
mod setop;
mod sublink;
mod window;

use crate::dice::Dice;
use crate::hazards::Hazard;
use crate::schema::Schema;
use crate::types::Ty;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub struct Col {
    /// quoted
    pub name: String,
    pub ty: Ty,
    pub fuzzy: bool,
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

/// A source that was made before: a plain view or TVIEW, with its columns.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    pub columns: Vec<Col>,
    pub is_tview: bool,
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
    pub extrema: Vec<Base>,
    pub partitions: Vec<Base>,
    pub limited: Vec<usize>,
    pub ungrouped: Vec<usize>,
    pub tables: BTreeSet<usize>,
    pub sources: BTreeSet<String>,
    pub hazards: BTreeSet<Hazard>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Join {
    Inner,
    Outer,
    Full,
}

pub struct Gen<'a> {
    pub dice: &'a mut Dice,
    pub schema: &'a Schema,
    pub sources: &'a [Source],
    pub facts: Facts,
    aliases: usize,
    in_aggregate: bool,
}

impl<'a> Gen<'a> {
    pub fn new(dice: &'a mut Dice, schema: &'a Schema, sources: &'a [Source]) -> Self {
        Gen { dice, schema, sources, facts: Facts::default(), aliases: 0, in_aggregate: false }
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
        let kind = if depth == 0 {
            self.dice.weighted(&[(4, 0), (3, 1), (1, 4)])
        } else {
            self.dice.weighted(&[
                (28, 0),
                (22, 1),
                (5, 2),
                (5, 3),
                (6, 4),
                (5, 5),
                (11, 6),
                (9, 7),
                (5, 8),
                (8, 9),
                (4, 10),
            ])
        };
        match kind {
            0 => self.select(depth),
            1 => self.grouped(depth),
            2 => self.ungrouped(depth),
            3 => self.grouping_sets(depth),
            4 => self.distinct(depth),
            5 => self.distinct_on(depth),
            6 => self.set_operation(depth),
            7 => self.window(depth),
            8 => self.top(depth),
            9 => self.cte(depth),
            _ => self.recursive(),
        }
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
                Col { name: crate::names::ident(&name), ty: e.ty, fuzzy: e.fuzzy }
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
