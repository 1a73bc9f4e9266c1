//! The columns that a loop looks at, and expressions over them.
//!
//! Invariant: an expression is run only if it depends on nothing but these columns and the settings of maintenance.

use super::Value;
use crate::analyze::query::tree::{Type, type_of};
use crate::pg::procedure;
use crate::pg::tree::{Node, Tree, Var, lsyscache, make, server, walk};
use pgrx::pg_sys::{self, NodeTag, Oid};
use std::collections::BTreeSet;

/// The columns that a loop looks at.
pub(super) struct Frame {
    /// (atom, attribute, place)
    pub(super) columns: Vec<(usize, i16, usize)>,
    pub(super) types: Vec<Type>,
}

impl Frame {
    fn place(&mut self, var: Var) -> usize {
        let (atom, att) = (var.varno() as usize - 1, var.varattno());
        if let Some((_, _, place)) = self.columns.iter().find(|(a, c, _)| (*a, *c) == (atom, att)) {
            return *place;
        }
        self.types.push(type_of(var.cast()));
        self.columns.push((atom, att, self.types.len() - 1));
        self.types.len() - 1
    }

    pub(super) fn value(&mut self, node: Node) -> Option<Value> {
        match node.tag() {
            // The number of an input, see `by_key`.
            NodeTag::T_Var if node.cast::<pg_sys::Var>().varno() == INPUT => {
                Some(Value::Column(node.cast::<pg_sys::Var>().varattno() as usize - 1))
            }
            NodeTag::T_Var => Some(Value::Column(self.place(node.cast()))),
            _ => self.computed(node).map(Value::Computed),
        }
    }

    /// The expression over the frame, ready to be run; None when it calls what a loop does not run.
    pub(super) fn computed(&mut self, node: Node) -> Option<Tree<pg_sys::Expr>> {
        let over = walk::rewrite(node, &mut |n| {
            (n.tag() == NodeTag::T_Var)
                .then(|| make::var(1, self.place(n.cast()) as i16 + 1, type_of(n), 0).cast::<pg_sys::Node>())
        });
        // Before planning puts the body of a function in the place of its call: the body can be replaced.
        if walk::walk(over, &mut |n| calls_others(n)) {
            return None;
        }
        let planned = server::expression_planner(over);
        (!walk::walk(planned, &mut |n| !is_run(n))).then_some(planned.cast())
    }

    /// The attributes of an atom that are looked at, and their places; None when one of them is computed when it is read.
    pub(super) fn places_of(&self, atom: usize, relid: Oid) -> Option<Vec<(i16, usize)>> {
        let own = self.columns.iter().filter(|(a, _, _)| *a == atom).map(|(_, att, place)| (*att, *place));
        let columns: Vec<(i16, usize)> = own.collect();
        let is_virtual = |att: i16| lsyscache::get_attgenerated(relid, att) == b'v';
        (!columns.iter().any(|(att, _)| is_virtual(*att))).then_some(columns)
    }
}

/// The places of the frame that an expression over it looks at.
pub fn places_of(expression: Tree<pg_sys::Expr>) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    walk::walk(expression.cast(), &mut |n| {
        if n.tag() == NodeTag::T_Var {
            found.insert(n.cast::<pg_sys::Var>().varattno() as usize - 1);
        }
        false
    });
    found
}

/// Relation number of the values that a loop by key starts with.
pub(super) const INPUT: i32 = 0;

/// Whether a node of a planned expression is run by a loop: what depends on nothing but its inputs and the settings of maintenance, and calls
/// only functions that are written in C and came with the server.
fn is_run(node: Node) -> bool {
    use NodeTag::*;
    let known = matches!(
        node.tag(),
        T_Var
            | T_Const
            | T_List
            | T_FuncExpr
            | T_OpExpr
            | T_DistinctExpr
            | T_NullIfExpr
            | T_ScalarArrayOpExpr
            | T_BoolExpr
            | T_RelabelType
            | T_CoerceViaIO
            | T_CaseExpr
            | T_CaseWhen
            | T_CaseTestExpr
            | T_ArrayExpr
            | T_CoalesceExpr
            | T_MinMaxExpr
            | T_NullTest
            | T_BooleanTest
    );
    let of_server = |of: Oid| of.to_u32() < pg_sys::FirstNormalObjectId;
    let types = if node.tag() == T_CoerceViaIO {
        vec![server::exprType(node), server::exprType(node.cast::<pg_sys::CoerceViaIO>().arg())]
    } else {
        Vec::new()
    };
    known && types.into_iter().all(of_server) && !calls_others(node)
}

/// Whether a node calls functions that did not come with the server, or are not written in C.
fn calls_others(node: Node) -> bool {
    !node.is_null() && !server::functions_of(node).into_iter().all(procedure::is_of_server)
}
