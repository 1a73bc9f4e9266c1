//! Walking and rewriting a parse tree with a Rust closure, below one guard.
//!
//! The server's walkers call back for every node, and call themselves through that callback: a tree of a thousand terms is a stack of a
//! thousand frames. Invariant: between the one guard (`run`) and the closure there is no second guard. An ERROR of the server's walker
//! jumps to the guard, over frames without destructors; a panic of the closure is caught where the closure is called, the walk is
//! ended by the server's own means, and the panic goes on above the guard. So an error crosses one boundary, however deep the tree,
//! and a tree that is too deep is the server's own "stack depth limit exceeded".
//! Callers: analysis, which looks at every node of a query. Source: nodes/nodeFuncs.c.

use super::list;
use pgrx::pg_sys::{self, Node, NodeTag, ffi::pg_guard_ffi_boundary};
use std::any::Any;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

type Walker = unsafe extern "C-unwind" fn(*mut Node, *mut c_void) -> bool;
type Mutator = unsafe extern "C-unwind" fn(*mut Node, *mut c_void) -> *mut Node;

/// The server's own functions, without pgrx's guards. Before 16 they have the names that are macros from 16 on.
#[allow(improper_ctypes)]
mod raw {
    use super::*;
    unsafe extern "C-unwind" {
        #[cfg_attr(not(feature = "pg15"), link_name = "expression_tree_walker_impl")]
        pub fn expression_tree_walker(node: *mut Node, walker: Walker, context: *mut c_void) -> bool;
        #[cfg_attr(not(feature = "pg15"), link_name = "query_tree_walker_impl")]
        pub fn query_tree_walker(query: *mut pg_sys::Query, walker: Walker, context: *mut c_void, flags: c_int)
        -> bool;
        #[cfg_attr(not(feature = "pg15"), link_name = "raw_expression_tree_walker_impl")]
        pub fn raw_expression_tree_walker(node: *mut Node, walker: Walker, context: *mut c_void) -> bool;
        #[cfg_attr(not(feature = "pg15"), link_name = "expression_tree_mutator_impl")]
        pub fn expression_tree_mutator(node: *mut Node, mutator: Mutator, context: *mut c_void) -> *mut Node;
        #[cfg_attr(not(feature = "pg15"), link_name = "query_tree_mutator_impl")]
        pub fn query_tree_mutator(
            query: *mut pg_sys::Query,
            mutator: Mutator,
            context: *mut c_void,
            flags: c_int,
        ) -> *mut pg_sys::Query;
    }
}

/// Where the walk goes after a visit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The nodes below.
    Below,
    /// The next nodes, but not those below this one.
    Beside,
    /// The end.
    Stop,
}

struct Walk<'a> {
    visit: &'a mut dyn FnMut(*mut Node) -> Next,
    panic: Option<Box<dyn Any + Send>>,
}

impl Walk<'_> {
    /// # Safety
    /// `visit` outlives the walk, which is the only one to use it.
    unsafe fn run(visit: &mut dyn FnMut(*mut Node) -> Next, f: impl Fn(*mut c_void) -> bool) -> bool {
        // SAFETY: `visit` outlives the walk, which is the only one to use it.
        unsafe {
            let mut walk = Walk { visit, panic: None };
            let context = (&raw mut walk).cast::<c_void>();
            let stopped = pg_guard_ffi_boundary(|| f(context));
            match walk.panic {
                Some(panic) => resume_unwind(panic),
                None => stopped,
            }
        }
    }

    /// Never unwinds.
    ///
    /// # Safety
    /// `context` is what the walker was started with; `node` is a live node of a tree of the server.
    unsafe fn visit(context: *mut c_void, node: *mut Node) -> Next {
        // SAFETY: `context` is what the walker was started with; `node` is a live node of a tree of the server.
        unsafe {
            let walk = &mut *context.cast::<Walk>();
            match catch_unwind(AssertUnwindSafe(|| (walk.visit)(node))) {
                Ok(next) => next,
                Err(panic) => {
                    walk.panic = Some(panic);
                    Next::Stop
                }
            }
        }
    }
}

/// Calls `visit` for `node` and every node below it, sub-queries included; `visit` returns true to stop everything, which is the result.
///
/// # Safety
/// `node` is null or a valid expression or query tree.
pub unsafe fn walk(node: *mut Node, visit: &mut dyn FnMut(*mut Node) -> bool) -> bool {
    // SAFETY: `node` is null or a valid expression or query tree, as the caller promises.
    unsafe { Walk::run(&mut |n| if visit(n) { Next::Stop } else { Next::Below }, |context| step(node, context)) }
}

/// As `walk`, where `visit` says which nodes are gone into.
///
/// # Safety
/// As for `walk`.
pub unsafe fn walk_into(node: *mut Node, visit: &mut dyn FnMut(*mut Node) -> Next) -> bool {
    // SAFETY: as for `walk`, as the caller promises.
    unsafe { Walk::run(visit, |context| step(node, context)) }
}

#[allow(ffi_unwind_calls)] // the frame has no destructors
unsafe extern "C-unwind" fn step(node: *mut Node, context: *mut c_void) -> bool {
    // SAFETY: `node` is a live node of a tree of the server; `context` is what the walker was started with.
    unsafe {
        if node.is_null() {
            return false;
        }
        match Walk::visit(context, node) {
            Next::Stop => true,
            Next::Beside => false,
            Next::Below if (*node).type_ == NodeTag::T_Query => raw::query_tree_walker(node.cast(), step, context, 0),
            Next::Below => raw::expression_tree_walker(node, step, context),
        }
    }
}

/// As `walk_into`, over the parser's tree of a text. Utility statements are not gone into.
///
/// # Safety
/// `node` is null or a valid raw parse tree.
pub unsafe fn walk_raw(node: *mut Node, visit: &mut dyn FnMut(*mut Node) -> Next) -> bool {
    // SAFETY: `node` is null or a valid raw parse tree, as the caller promises.
    unsafe { Walk::run(visit, |context| step_raw(node, context)) }
}

#[allow(ffi_unwind_calls)] // the frame has no destructors
unsafe extern "C-unwind" fn step_raw(node: *mut Node, context: *mut c_void) -> bool {
    // SAFETY: `node` is a live node of a tree of the server; `context` is what the walker was started with.
    unsafe {
        if node.is_null() {
            return false;
        }
        match Walk::visit(context, node) {
            Next::Stop => true,
            Next::Beside => false,
            Next::Below => raw::raw_expression_tree_walker(node, step_raw, context),
        }
    }
}

/// The queries directly below a query: in FROM, in WITH, and of the sub-links anywhere in its expressions.
///
/// # Safety
/// `query` is a valid query.
#[allow(ffi_unwind_calls)] // inside run's guard; the closure that jumps has nothing to drop
pub unsafe fn below(query: *mut pg_sys::Query) -> Vec<*mut pg_sys::Query> {
    // SAFETY: `query` is a valid query, as the caller promises.
    unsafe {
        let mut found: Vec<*mut pg_sys::Query> = Vec::new();
        let mut visit = |node: *mut Node| {
            if list::is(node, NodeTag::T_Query) {
                found.push(node.cast());
                return Next::Beside;
            }
            Next::Below
        };
        Walk::run(&mut visit, |context| raw::query_tree_walker(query, step, context, 0));
        found
    }
}

/// Sub-links of a block's own expressions, in a fixed order; sub-links in the test expression of another one included.
///
/// # Safety
/// `query` is a valid query.
pub unsafe fn links(query: *mut pg_sys::Query) -> Vec<*mut pg_sys::SubLink> {
    // SAFETY: `query` is a valid query, as the caller promises.
    unsafe {
        let roots = [(*query).jointree.cast(), (*query).targetList.cast(), (*query).havingQual];
        roots.into_iter().flat_map(|root| links_in(root)).collect()
    }
}

/// Sub-links of an expression.
///
/// # Safety
/// `root` is null or a valid expression.
pub unsafe fn links_in(root: *mut Node) -> Vec<*mut pg_sys::SubLink> {
    // SAFETY: `root` is a valid expression, as the caller promises.
    unsafe {
        let mut found = Vec::new();
        links_of(root, &mut found);
        found
    }
}

/// # Safety
/// `root` is a live node of a tree of the server; `found` holds live nodes of that tree.
unsafe fn links_of(root: *mut Node, found: &mut Vec<*mut pg_sys::SubLink>) {
    // SAFETY: `root` is a live node of a tree of the server; `found` holds live nodes of that tree.
    unsafe {
        rewrite(root, &mut |n| {
            if !list::is(n, NodeTag::T_SubLink) {
                return None;
            }
            let link = n.cast::<pg_sys::SubLink>();
            found.push(link);
            links_of((*link).testexpr, found);
            Some(n)
        });
    }
}

struct Rewrite<'a> {
    replace: &'a mut dyn FnMut(*mut Node, u32) -> Option<*mut Node>,
    /// How many queries the node is below the root; None: sub-queries are left alone.
    depth: Option<u32>,
    panic: Option<Box<dyn Any + Send>>,
}

/// A copy of an expression in which every node for which `replace` gives another one is replaced. Sub-queries are left
/// alone.
///
/// # Safety
/// `node` is null or a valid expression tree.
pub unsafe fn rewrite(node: *mut Node, replace: &mut dyn FnMut(*mut Node) -> Option<*mut Node>) -> *mut Node {
    // SAFETY: `node` is null or a valid expression tree, as the caller promises.
    unsafe { Rewrite { replace: &mut |n, _| replace(n), depth: None, panic: None }.run(node) }
}

/// As `rewrite`, sub-queries included. `replace` is told how many queries are around a node, below the root.
///
/// # Safety
/// As for `rewrite`.
pub unsafe fn rewrite_deep(node: *mut Node, replace: &mut dyn FnMut(*mut Node, u32) -> Option<*mut Node>) -> *mut Node {
    // SAFETY: the nodes are live ones of a tree of the server, as the caller promises.
    unsafe { Rewrite { replace, depth: Some(0), panic: None }.run(node) }
}

#[allow(ffi_unwind_calls)] // the frame has no destructors
unsafe extern "C-unwind" fn mutate(node: *mut Node, context: *mut c_void) -> *mut Node {
    // SAFETY: `node` is a live node of a tree of the server; `context` is what the walker was started with.
    unsafe {
        if node.is_null() {
            return node;
        }
        match Rewrite::replacement(context, node) {
            Some(other) => other,
            None if (*node).type_ == NodeTag::T_Query => {
                let Some(depth) = (*context.cast::<Rewrite>()).depth else { return node };
                // An ERROR leaves the depth as it is; nobody looks at the depth then.
                (*context.cast::<Rewrite>()).depth = Some(depth + 1);
                let query = raw::query_tree_mutator(node.cast(), mutate, context, 0);
                (*context.cast::<Rewrite>()).depth = Some(depth);
                query.cast()
            }
            None => raw::expression_tree_mutator(node, mutate, context),
        }
    }
}

impl Rewrite<'_> {
    /// # Safety
    /// `self` outlives the walk, which is the only one to use it; `node` is a live node of a tree of the server.
    unsafe fn run(mut self, node: *mut Node) -> *mut Node {
        // SAFETY: `self` outlives the walk, which is the only one to use it; `node` is a live node of a tree of the server.
        unsafe {
            let context = (&raw mut self).cast::<c_void>();
            let out = pg_guard_ffi_boundary(|| mutate(node, context));
            match self.panic {
                Some(panic) => resume_unwind(panic),
                None => out,
            }
        }
    }

    /// Never unwinds. After a panic nothing is looked at any more.
    ///
    /// # Safety
    /// `context` is what the walker was started with; `node` is a live node of a tree of the server.
    unsafe fn replacement(context: *mut c_void, node: *mut Node) -> Option<*mut Node> {
        // SAFETY: `context` is what the walker was started with; `node` is a live node of a tree of the server.
        unsafe {
            let rewrite = &mut *context.cast::<Rewrite>();
            if rewrite.panic.is_some() {
                return Some(node);
            }
            let depth = rewrite.depth.unwrap_or(0);
            match catch_unwind(AssertUnwindSafe(|| (rewrite.replace)(node, depth))) {
                Ok(replacement) => replacement,
                Err(panic) => {
                    rewrite.panic = Some(panic);
                    Some(node)
                }
            }
        }
    }
}
