//! Grouped queries that can be folded: which state their aggregates need, and how outputs are made from it.
//!
//! Semantics: the state of a group is a function of the multiset of its input rows; an inserted row is taken in, a
//! deleted one taken out, and the outputs are computed from the state. Invariant: state and outputs after a fold equal
//! what the query gives for the group, to the byte; where an aggregate cannot promise that, the group is recomputed.
//! Called by refresh (facts of a TVIEW, SQL of its flush) and by `text` (state columns of the query).

use crate::analyze::query::tree::Type;
use crate::pg::aggregate::Moving;
use crate::pg::memory::Arena;
use crate::pg::tree::{Aggref, Node, Tree};
use pgrx::pg_sys;
use tviews_core::spread::Statistic;

/// One piece of state, kept in one state attribute.
#[derive(Clone, Debug)]
pub struct State {
    /// The aggregate by which the query computes the state; gone after `Fold::keep`.
    pub node: Aggref,
    pub kind: StateKind,
    /// Position among the arguments of all aggregates.
    pub arg: Option<usize>,
    /// Position among the conditions of all aggregates.
    pub filter: Option<usize>,
}

#[derive(Clone, Debug)]
pub enum StateKind {
    /// The number of values that are not NULL; of rows when there is no argument.
    Count,
    /// The number of values that are true.
    Trues,
    /// The extremum itself; `top` is the state with the best values, which tell what it is when it goes.
    Extremum { max: bool, type_: Type, top: Option<usize> },
    /// The best values and their numbers, see pg/aggregate/top.rs. Such states are the last ones.
    Top,
    /// The transition value; `counter` is the state with the number of values, where the first one becomes the state.
    Moving { moving: Moving, counter: Option<usize> },
    /// A floating-point sum; drifts, which `approximate = on` accepts.
    Sum { short: bool },
    /// The number of rows in which neither value is NULL.
    Pairs { other: usize },
    /// The first one of the sums of `tviews_core::spread`, followed by the others, see `Spread`. `count` is the state with the number of values or pairs,
    /// which stands before it. These drift, too.
    Spread(Spread),
    /// One of these others.
    SpreadPart { count: usize },
}

/// Sums for statistics of a column, x, or of two: of x, of its squares, the peak of these; then the same of y, and the products.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// Position of y among the arguments of all aggregates.
    pub y: Option<usize>,
    pub count: usize,
}

impl Spread {
    /// How many states the sums are.
    pub fn len(self) -> usize {
        if self.y.is_some() { 7 } else { 3 }
    }
}

/// How the result of an aggregate comes from the states.
#[derive(Clone, Debug)]
pub enum Aggregate {
    /// `count(*)`: the number of rows of the group.
    Rows,
    Count(usize),
    Bool {
        and: bool,
        trues: usize,
        count: usize,
    },
    Extremum(usize),
    Moving {
        state: usize,
        moving: Moving,
    },
    Sum {
        state: usize,
        count: usize,
        average: bool,
        short: bool,
    },
    /// `state` is the first one of the sums.
    Statistic {
        state: usize,
        of: Statistic,
    },
}

#[derive(Clone, Copy, Debug)]
pub enum Output {
    Key(usize),
    Aggregate(usize),
    /// An expression over Vars of relation 1: keys, then aggregates.
    Expression(Tree<pg_sys::Expr>),
}

/// How a query is folded. Nodes point into the query, except those of `outputs` after `keep`.
pub struct Fold {
    /// Output position of each grouping column.
    pub positions: Vec<usize>,
    pub key_types: Vec<Type>,
    /// Whether equal values of a key are the same bytes.
    pub key_exact: Vec<bool>,
    pub key_nodes: Vec<Node>,
    pub args: Vec<Node>,
    pub filters: Vec<Node>,
    pub arg_types: Vec<Type>,
    pub filter_count: usize,
    pub aggregates: Vec<Aggregate>,
    pub aggregate_types: Vec<Type>,
    pub outputs: Vec<Output>,
    /// States behind the number of rows.
    pub states: Vec<State>,
    /// Types of the states.
    pub state_types: Vec<pg_sys::Oid>,
    _arena: Option<Arena>,
}

/// More states than this are kept in one attribute together: a row must fit into a page, and has at most 1,600 attributes.
const APART: usize = 12;

impl State {
    pub fn moving(&self) -> Option<&Moving> {
        match &self.kind {
            StateKind::Moving { moving, .. } => Some(moving),
            _ => None,
        }
    }
}

impl Aggregate {
    pub fn moving(&self) -> Option<&Moving> {
        match self {
            Aggregate::Moving { moving, .. } => Some(moving),
            _ => None,
        }
    }
}

impl Fold {
    /// Whether all types and functions of keys and aggregates came with the server.
    pub fn came_with_server(&self) -> bool {
        let moving = self.states.iter().filter_map(State::moving);
        let moving = moving.chain(self.aggregates.iter().filter_map(Aggregate::moving));
        let types = self.key_types.iter().chain(&self.arg_types).map(|t| t.0);
        moving.flat_map(Moving::parts).chain(types).all(|of| of.to_u32() < pg_sys::FirstNormalObjectId)
    }

    /// A fold of no columns yet.
    pub fn empty() -> Fold {
        Fold {
            positions: Vec::new(),
            key_types: Vec::new(),
            key_exact: Vec::new(),
            key_nodes: Vec::new(),
            args: Vec::new(),
            filters: Vec::new(),
            arg_types: Vec::new(),
            filter_count: 0,
            aggregates: Vec::new(),
            aggregate_types: Vec::new(),
            outputs: Vec::new(),
            states: Vec::new(),
            state_types: Vec::new(),
            _arena: None,
        }
    }

    /// Types of the state attributes: the number of rows, then the states, or all of them together.
    pub fn attribute_types(&self) -> Vec<pg_sys::Oid> {
        let states = if self.is_packed() { &[pg_sys::BYTEAOID] } else { self.state_types.as_slice() };
        std::iter::once(pg_sys::INT8OID).chain(states.iter().copied()).collect()
    }

    /// Whether the states are in one attribute, see refresh/follow/fold/packed.rs.
    pub fn is_packed(&self) -> bool {
        self.states.len() > APART
    }

    /// The same without the best values: as rows have it that were computed before there were any.
    pub fn without_tops(mut self) -> Fold {
        let others = self.states.iter().filter(|s| !matches!(s.kind, StateKind::Top)).count();
        self.states.truncate(others);
        self.state_types.truncate(others);
        for state in &mut self.states {
            if let StateKind::Extremum { top, .. } = &mut state.kind {
                *top = None;
            }
        }
        self
    }

    /// Makes the output expressions independent of the query; nothing else may be looked at afterwards.
    pub fn keep(mut self) -> Fold {
        let arena = Arena::cached();
        for out in &mut self.outputs {
            if let Output::Expression(e) = out {
                // SAFETY: a live expression; the arena is kept as long as the copy is used.
                *e = unsafe { Tree::new(arena.keep(e.raw())) };
            }
        }
        self.key_nodes.clear();
        self.args.clear();
        self.filters.clear();
        for s in &mut self.states {
            s.node = Tree::null();
        }
        self._arena = Some(arena);
        self
    }
}
