//! As `pg/walk.rs`, for trees.

use super::{Node, Query, Tree};
use crate::pg::walk as raw;
pub use crate::pg::walk::Next;
use pgrx::pg_sys;

/// Calls `visit` for `node` and every node below it, sub-queries included; `visit` returns true to stop everything, which is the result.
pub fn walk(node: Node, visit: &mut dyn FnMut(Node) -> bool) -> bool {
    // SAFETY: null or a live tree, whose nodes the server shows us.
    unsafe { raw::walk(node.raw().cast(), &mut |n| visit(Tree::new(n))) }
}

/// As `walk`, where `visit` says which nodes are gone into.
pub fn walk_into(node: Node, visit: &mut dyn FnMut(Node) -> Next) -> bool {
    // SAFETY: as above.
    unsafe { raw::walk_into(node.raw().cast(), &mut |n| visit(Tree::new(n))) }
}

/// As `walk_into`, over the parser's tree of a text. Utility statements are not gone into.
pub fn walk_raw(node: Node, visit: &mut dyn FnMut(Node) -> Next) -> bool {
    // SAFETY: as above.
    unsafe { raw::walk_raw(node.raw().cast(), &mut |n| visit(Tree::new(n))) }
}

/// The queries directly below a query: in FROM, in WITH, and of the sub-links anywhere in its expressions.
pub fn below(query: Query) -> Vec<Query> {
    // SAFETY: a live query; the server shows live ones.
    unsafe { raw::below(query.raw()).into_iter().map(|q| Tree::new(q)).collect() }
}

/// Sub-links of a block's own expressions, in a fixed order; sub-links in the test expression of another one included.
pub fn links(query: Query) -> Vec<Tree<pg_sys::SubLink>> {
    // SAFETY: as above.
    unsafe { raw::links(query.raw()).into_iter().map(|l| Tree::new(l)).collect() }
}

/// Sub-links of an expression.
pub fn links_in(root: Node) -> Vec<Tree<pg_sys::SubLink>> {
    // SAFETY: as above.
    unsafe { raw::links_in(root.raw().cast()).into_iter().map(|l| Tree::new(l)).collect() }
}

/// A copy of an expression in which every node for which `replace` gives another one is replaced. Sub-queries are left alone.
pub fn rewrite(node: Node, replace: &mut dyn FnMut(Node) -> Option<Node>) -> Node {
    // SAFETY: null or a live tree, of which the server makes another one.
    unsafe { Tree::new(raw::rewrite(node.raw().cast(), &mut |n| replace(Tree::new(n)).map(Tree::raw)).cast()) }
}

/// As `rewrite`, sub-queries included. `replace` is told how many queries are around a node, below the root.
pub fn rewrite_deep(node: Node, replace: &mut dyn FnMut(Node, u32) -> Option<Node>) -> Node {
    // SAFETY: as above.
    unsafe {
        Tree::new(raw::rewrite_deep(node.raw().cast(), &mut |n, d| replace(Tree::new(n), d).map(Tree::raw)).cast())
    }
}
