//! A query block as a nested loop over btree indexes: from a row of one relation to the rows that it is joined to, one relation after another.
//!
//! A flush of few rows runs such a loop itself, without SQL (refresh/follow/nested_loop.rs). Invariant: the loop gives the rows that the block
//! has for the row it starts with, each as often; a block is only taken when it consists of tables and TVIEWs without policies, joined by
//! equalities that an index holds, and of expressions of the server's own functions. An optional side of an outer join is one relation.
//! The SQL of the flush stays the reference, and the way for everything else.
//! Called by refresh/plan.
//!
//! flat: a block whose expressions are about its relations, and the loops through it · look_up: by which index a relation is looked up ·
//! frame: the columns that a loop looks at, and expressions over them.

mod flat;
mod frame;
mod look_up;

pub use flat::Flat;
pub use frame::places_of;
pub use look_up::{rows_by, rows_by_hash};

use crate::analyze::query::tree::Type;
use crate::pg::memory::Arena;
use crate::pg::tree::Tree;
use pgrx::pg_sys::{self, Oid};
use std::collections::BTreeSet;

/// A value computed from the columns bound so far.
#[derive(Clone, Copy)]
pub enum Value {
    /// A column of the frame, from 0.
    Column(usize),
    /// An expression over Vars of relation 1, which is the frame.
    Computed(Tree<pg_sys::Expr>),
}

/// A column of an index, and what it is compared with.
#[derive(Clone)]
pub struct Key {
    /// Column of the index, from 1.
    pub column: i16,
    /// Type of the value.
    pub subtype: Oid,
    pub collation: Oid,
    /// The function of the equality.
    pub function: Oid,
    pub value: Value,
    /// NULL finds NULL.
    pub finds_null: bool,
}

/// One relation that is looked up.
pub struct Step {
    pub relid: Oid,
    pub index: Oid,
    pub keys: Vec<Key>,
    /// Attributes that are looked at, from 1, and their places in the frame.
    pub columns: Vec<(i16, usize)>,
    pub conditions: Vec<Tree<pg_sys::Expr>>,
    /// Without a partner the columns are NULL.
    pub outer: bool,
    /// There is at most one partner.
    pub unique: bool,
}

pub struct NestedLoop {
    /// Types of the columns that a row of the loop is made of.
    pub frame: Vec<Type>,
    /// Columns of the row that the loop starts with, and their places in the frame.
    pub inputs: Vec<(i16, usize)>,
    /// Conditions on the row that the loop starts with.
    pub conditions: Vec<Tree<pg_sys::Expr>>,
    pub steps: Vec<Step>,
    /// Conditions on a row of all relations.
    pub at_last: Vec<Tree<pg_sys::Expr>>,
    pub values: Vec<Value>,
    /// After so many steps these values are shown, whatever the conditions say.
    pub reached: Option<(usize, Vec<Value>)>,
    arena: Option<Arena>,
}

impl NestedLoop {
    /// Whether something has to be evaluated.
    pub fn computes(&self) -> bool {
        let computed = |v: &Value| matches!(v, Value::Computed(_));
        !self.conditions.is_empty()
            || !self.at_last.is_empty()
            || self.values.iter().chain(self.reached.iter().flat_map(|(_, values)| values)).any(computed)
            || self.steps.iter().any(|s| !s.conditions.is_empty() || s.keys.iter().any(|k| computed(&k.value)))
    }

    /// The places of the frame that keys and conditions look at.
    pub fn places_on_the_way(&self) -> BTreeSet<usize> {
        let of_conditions = |all: &[Tree<pg_sys::Expr>]| all.iter().flat_map(|c| places_of(*c)).collect::<Vec<_>>();
        let of_value = |v: &Value| match v {
            Value::Column(place) => BTreeSet::from([*place]),
            Value::Computed(e) => places_of(*e),
        };
        let keys = self.steps.iter().flat_map(|s| s.keys.iter().flat_map(|k| of_value(&k.value)));
        let on_steps = self.steps.iter().flat_map(|s| of_conditions(&s.conditions));
        let conditions = of_conditions(&self.conditions).into_iter().chain(of_conditions(&self.at_last));
        keys.chain(on_steps).chain(conditions).collect()
    }

    /// The relations that rows are looked up in, and their indexes, in this order.
    pub fn look_ups(&self) -> impl Iterator<Item = (Oid, Oid)> {
        self.steps.iter().map(|s| (s.relid, s.index))
    }

    /// Makes the expressions independent of the query.
    pub fn keep(mut self) -> NestedLoop {
        let arena = Arena::cached();
        // SAFETY: live expressions; the arena is kept as long as the copies are used.
        let copy = |e: &mut Tree<pg_sys::Expr>| *e = unsafe { Tree::new(arena.keep(e.raw())) };
        let value = |v: &mut Value| {
            if let Value::Computed(e) = v {
                copy(e);
            }
        };
        self.conditions.iter_mut().chain(&mut self.at_last).for_each(copy);
        self.values.iter_mut().for_each(value);
        self.reached.iter_mut().flat_map(|(_, values)| values).for_each(value);
        for step in &mut self.steps {
            step.conditions.iter_mut().for_each(copy);
            step.keys.iter_mut().for_each(|k| value(&mut k.value));
        }
        self.arena = Some(arena);
        self
    }
}
