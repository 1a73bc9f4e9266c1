//! A call of an aggregate, as a node of an expression. Called by rules and split, which count and take extremes.

use crate::pg::tree::{Node, make};
use pgrx::pg_sys;

/// A call of an aggregate of one argument.
pub struct Call {
    pub function: u32,
    pub result: pg_sys::Oid,
    pub argument: Node,
}

impl Call {
    pub fn node(self) -> Node {
        make::aggregate(pg_sys::Oid::from(self.function), self.result, Some(self.argument)).cast()
    }
}
