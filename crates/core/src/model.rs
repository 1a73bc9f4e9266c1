//! The description of a query that strategies are decided from.
//!
//! Sub-queries that only join, filter and project are flattened into their parent, so `atoms` are the relations
//! whose rows multiply; everything else (grouped sub-queries, functions, VALUES …) is one opaque atom.
//! Built by the extension's `analyze`, consumed by `key`, `anchor`, `meetings` and `decide`.

use crate::reason::Reason;
use serde::Serialize;

/// A column of an atom. `att` is the attribute number, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Col {
    pub atom: usize,
    pub att: i16,
}

/// One relation of the flattened join.
#[derive(Debug, Clone, Default)]
pub struct Atom {
    /// Base relation, `None` for an opaque item.
    pub relid: Option<u32>,
    /// Range table indexes from the outermost query block to this atom.
    pub path: Vec<usize>,
    /// Immediately checked keys: no two rows are equal in all of these columns, NULLs being equal. An empty key means at
    /// most one row.
    pub keys: Vec<Vec<i16>>,
    /// Atoms on whose rows the rows of this atom depend (LATERAL): its keys hold for each of those rows separately.
    pub depends: Vec<usize>,
    /// Attributes that cannot be NULL in the stored row.
    pub not_null: Vec<i16>,
}

/// An equality that holds for matched rows; `None` on the right is a constant, or, in a left join, a value that the row of its left side gives.
pub type Equality = (Col, Option<Col>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OuterKind {
    /// The right side can be null-extended.
    Left,
    Full,
}

/// The join tree with right joins turned into left ones.
#[derive(Debug, Clone)]
pub enum Join {
    Atom(usize),
    /// Inner join of all items under the conjunction of the equalities (and other conditions, which do not matter here).
    Inner(Vec<Join>, Vec<Equality>),
    Outer(OuterKind, Box<Join>, Box<Join>, Vec<Equality>),
}

impl Join {
    pub fn atoms(&self) -> Vec<usize> {
        match self {
            Join::Atom(a) => vec![*a],
            Join::Inner(items, _) => items.iter().flat_map(Join::atoms).collect(),
            Join::Outer(_, l, r, _) => l.atoms().into_iter().chain(r.atoms()).collect(),
        }
    }

    /// Whether there is a FULL join: no condition on its result can be pushed into it.
    pub fn has_full(&self) -> bool {
        match self {
            Join::Atom(_) => false,
            Join::Inner(items, _) => items.iter().any(Join::has_full),
            Join::Outer(kind, l, r, _) => *kind == OuterKind::Full || l.has_full() || r.has_full(),
        }
    }

    /// Atoms that an outer join can null-extend.
    pub fn nullable(&self) -> Vec<usize> {
        match self {
            Join::Atom(_) => Vec::new(),
            Join::Inner(items, _) => items.iter().flat_map(Join::nullable).collect(),
            Join::Outer(OuterKind::Left, l, r, _) => l.nullable().into_iter().chain(r.atoms()).collect(),
            Join::Outer(OuterKind::Full, l, r, _) => l.atoms().into_iter().chain(r.atoms()).collect(),
        }
    }
}

/// How the rows of the join become rows of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// One output row for each row of the join.
    Rows,
    /// One output row for each value of the grouping expressions: positions in the output, or `None` for one that is
    /// not in the output.
    Groups(Vec<Option<usize>>),
    /// Duplicates removed: every output column is a grouping expression.
    Distinct,
    /// One output row for each row of the join, computed from all rows that share these output columns: the columns by
    /// which all windows are partitioned. They are not a unique key.
    Partitions(Vec<usize>),
    /// Set operations, LIMIT, grouping sets …: nothing is known about the output, for this reason.
    Opaque(Reason),
}

/// A whole query.
#[derive(Debug, Clone)]
pub struct Description {
    pub atoms: Vec<Atom>,
    pub join: Join,
    pub shape: Shape,
    /// For each output column: the atom's column, when the output is a plain column.
    pub outputs: Vec<Option<Col>>,
    /// For each output column: whether its type has an equality operator that can be indexed and hashed.
    pub comparable: Vec<bool>,
}

impl Description {
    /// Whether an output column is a column that is never NULL.
    pub fn is_never_null(&self, position: usize) -> bool {
        let nullable = self.join.nullable();
        self.outputs[position]
            .is_some_and(|c| self.atoms[c.atom].not_null.contains(&c.att) && !nullable.contains(&c.atom))
    }
}
