//! Walking a parse tree with a Rust closure.
//!
//! Callers: analysis, which looks at every node of a query.

use super::{ext, list};
use pgrx::{pg_guard, pg_sys};
use std::ffi::c_void;

struct Context<'a> {
    visit: &'a mut dyn FnMut(*mut pg_sys::Node) -> bool,
}

/// Calls `visit` for `node` and every node below it, sub-queries included; `visit` returns true to stop everything.
///
/// # Safety
/// `node` is null or a valid expression or query tree.
pub unsafe fn walk(node: *mut pg_sys::Node, visit: &mut dyn FnMut(*mut pg_sys::Node) -> bool) -> bool {
    let mut context = Context { visit };
    step(node, (&mut context as *mut Context).cast())
}

#[pg_guard]
unsafe extern "C-unwind" fn step(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    let cx = &mut *context.cast::<Context>();
    if (cx.visit)(node) {
        return true;
    }
    if (*node).type_ == pg_sys::NodeTag::T_Query {
        ext::query_tree_walker(node.cast(), Some(step), context, 0)
    } else {
        ext::expression_tree_walker(node, Some(step), context)
    }
}

/// The queries directly below a query: in FROM, in WITH, and of the sub-links anywhere in its expressions.
///
/// # Safety
/// `query` is a valid query.
pub unsafe fn below(query: *mut pg_sys::Query) -> Vec<*mut pg_sys::Query> {
    let mut found: Vec<*mut pg_sys::Query> = Vec::new();
    ext::query_tree_walker(query, Some(collect), (&mut found as *mut Vec<*mut pg_sys::Query>).cast(), 0);
    found
}

#[pg_guard]
unsafe extern "C-unwind" fn collect(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if list::is(node, pg_sys::NodeTag::T_Query) {
        (*context.cast::<Vec<*mut pg_sys::Query>>()).push(node.cast());
        return false;
    }
    !node.is_null() && ext::expression_tree_walker(node, Some(collect), context)
}

/// Sub-links of a block's own expressions, in a fixed order; those that another one compares its rows with included.
///
/// # Safety
/// `query` is a valid query.
pub unsafe fn links(query: *mut pg_sys::Query) -> Vec<*mut pg_sys::SubLink> {
    let mut found = Vec::new();
    for root in [(*query).jointree.cast(), (*query).targetList.cast(), (*query).havingQual] {
        links_of(root, &mut found);
    }
    found
}

unsafe fn links_of(root: *mut pg_sys::Node, found: &mut Vec<*mut pg_sys::SubLink>) {
    rewrite(root, &mut |n| {
        if !list::is(n, pg_sys::NodeTag::T_SubLink) {
            return None;
        }
        let link = n.cast::<pg_sys::SubLink>();
        found.push(link);
        links_of((*link).testexpr, found);
        Some(n)
    });
}

struct Rewrite<'a> {
    replace: &'a mut dyn FnMut(*mut pg_sys::Node) -> Option<*mut pg_sys::Node>,
}

/// A copy of an expression in which every node for which `replace` gives another one is replaced. Sub-queries are left
/// alone.
///
/// # Safety
/// `node` is null or a valid expression tree.
pub unsafe fn rewrite(
    node: *mut pg_sys::Node,
    replace: &mut dyn FnMut(*mut pg_sys::Node) -> Option<*mut pg_sys::Node>,
) -> *mut pg_sys::Node {
    let mut context = Rewrite { replace };
    mutate(node, (&mut context as *mut Rewrite).cast())
}

#[pg_guard]
unsafe extern "C-unwind" fn mutate(node: *mut pg_sys::Node, context: *mut c_void) -> *mut pg_sys::Node {
    if node.is_null() {
        return node;
    }
    let cx = &mut *context.cast::<Rewrite>();
    if let Some(other) = (cx.replace)(node) {
        return other;
    }
    if (*node).type_ == pg_sys::NodeTag::T_Query {
        return node;
    }
    ext::expression_tree_mutator(node, Some(mutate), context)
}
