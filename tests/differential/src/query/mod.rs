//! Random defining queries.
//! Invariant: what a query returns is determined by the contents of its tables, except for which of several equal values stands for them:
//! such output columns are marked `fuzzy` and compared by equality, all others by their text.
//! One file per family of constructs; each adds to the `facts` from which `plan` aims its writes. Called by `case`.

mod aggregate;
mod condition;
mod cte;
mod expression;
mod facts;
mod from;
mod interval;
mod nesting;
mod per_row;
mod scalar;
mod select;
mod setop;
mod sublink;
mod vocabulary;
mod window;

pub use facts::{Base, Facts, Join};
pub use from::{FromClause, Rel, Source};
pub use nesting::Nesting;
pub use vocabulary::{Col, Expr, Query, blur};

use crate::dice::Dice;
use crate::features::Features;
use crate::hazards::Hazard;
use crate::schema::Schema;

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
                (12, Self::window),
                (5, Self::interval),
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
