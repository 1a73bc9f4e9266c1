//! Trees of the server's nodes: queries, expressions, clauses.
//!
//! A `Tree<T>` is a pointer to a node, or null, the server's own form of "no node". Invariant: the pointer is null, or the node is alive, whatever
//! its kind; whether the node is a `T` is checked whenever a field is used, with an internal error if not. Nodes live in memory contexts, and no
//! lifetime says so: a tree is used by the statement that made it, in the context in which it was made, or as long as its owner keeps
//! that context (`memory::Arena`); no tree is kept in a static here. The server's own functions that take nodes are in `server.rs`, look-ups in its
//! catalogs in `lsyscache.rs`.
//! Code that gets a node from elsewhere vouches for it once, with `Tree::new`. Called by analysis.

mod fields;
pub mod list;
pub mod lsyscache;
pub mod make;
pub mod parser;
pub mod server;
pub mod walk;

use super::error::{Error, or_raise};
use pgrx::pg_sys::{self, NodeTag};
use std::ffi::{CStr, CString, c_char};
use std::hash::{Hash, Hasher};

/// A pointer to a node, or null; see above.
pub struct Tree<T>(*mut T);

pub type Node = Tree<pg_sys::Node>;
pub type List = Tree<pg_sys::List>;
pub type Query = Tree<pg_sys::Query>;
pub type Var = Tree<pg_sys::Var>;
pub type TargetEntry = Tree<pg_sys::TargetEntry>;
pub type RangeTblEntry = Tree<pg_sys::RangeTblEntry>;
pub type JoinExpr = Tree<pg_sys::JoinExpr>;
pub type Aggref = Tree<pg_sys::Aggref>;

/// A struct of the server that is a node.
pub trait Kind {
    /// The tag of a new node.
    const TAG: NodeTag;
    /// Whether nodes with this tag have this struct.
    fn fits(tag: NodeTag) -> bool;
}

impl<T> Clone for Tree<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Tree<T> {}

/// Whether both are the same node; for equal nodes there is `server::equal`.
impl<T> PartialEq for Tree<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Tree<T> {}

impl<T> Hash for Tree<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<T> std::fmt::Debug for Tree<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{:?} at {:p}", self.tag(), self.0)
    }
}

impl<T> Tree<T> {
    /// # Safety
    /// Null, or a live node that lives as long as the tree is used.
    pub unsafe fn new(node: *mut T) -> Tree<T> {
        Tree(node)
    }

    pub fn null() -> Tree<T> {
        Tree(std::ptr::null_mut())
    }

    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    pub fn raw(self) -> *mut T {
        self.0
    }

    /// The same node as a node of another kind: the kind is checked when a field is used.
    pub fn cast<U>(self) -> Tree<U> {
        Tree(self.0.cast())
    }

    /// The node's tag; `T_Invalid` for null.
    pub fn tag(self) -> NodeTag {
        if self.is_null() {
            return NodeTag::T_Invalid;
        }
        // SAFETY: a live node, which begins with its tag.
        unsafe { (*self.0.cast::<pg_sys::Node>()).type_ }
    }

    /// A copy of the node and all nodes below it, in the current memory context.
    pub fn copy(self) -> Tree<T> {
        // SAFETY: null or a live node.
        unsafe { Tree(super::ext::copy(self.0)) }
    }
}

impl<T: Kind> Tree<T> {
    /// The address of the node, which is of this kind; an internal error if not.
    fn place(self) -> *mut T {
        if !T::fits(self.tag()) {
            or_raise(Err(Error::Internal(format!("{:?} is not {:?}", self.tag(), T::TAG))))
        }
        self.0
    }

    /// Overwrites the node with the fields of another node.
    pub fn become_like(self, other: Tree<T>) {
        // SAFETY: both are live nodes of this kind.
        unsafe { std::ptr::copy(other.place(), self.place(), 1) }
    }
}

/// A string of the server, or null. It lives as long as trees do.
#[derive(Clone, Copy, Debug)]
pub struct Text(*mut c_char);

impl Text {
    /// # Safety
    /// Null, or a string that ends with a NUL and lives as long as the text is used.
    pub unsafe fn new(text: *mut c_char) -> Text {
        Text(text)
    }

    pub fn null() -> Text {
        Text(std::ptr::null_mut())
    }

    /// A copy in the current memory context.
    pub fn of(text: &CStr) -> Text {
        // SAFETY: `text` ends with a NUL.
        Text(unsafe { pg_sys::pstrdup(text.as_ptr()) })
    }

    /// As `of`. No name of the server has a NUL in it.
    pub fn from(text: String) -> Text {
        Text::of(&CString::new(text).unwrap_or_default())
    }

    pub fn raw(self) -> *mut c_char {
        self.0
    }

    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// The text as a C string of Rust; empty for null.
    pub fn to_c(self) -> CString {
        if self.is_null() {
            return CString::default();
        }
        // SAFETY: ends with a NUL, and lives.
        unsafe { CStr::from_ptr(self.0).to_owned() }
    }

    pub fn is(self, text: &CStr) -> bool {
        !self.is_null() && self.to_c().as_c_str() == text
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.to_c().to_string_lossy())
    }
}

/// A set of small numbers. Null is the empty set.
#[derive(Clone, Copy, Debug)]
pub struct Bits(*mut pg_sys::Bitmapset);

impl Bits {
    /// # Safety
    /// Null, or a set that lives as long as it is used.
    pub unsafe fn new(bits: *mut pg_sys::Bitmapset) -> Bits {
        Bits(bits)
    }

    pub fn null() -> Bits {
        Bits(std::ptr::null_mut())
    }

    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    pub fn raw(self) -> *mut pg_sys::Bitmapset {
        self.0
    }

    /// The numbers, ascending.
    pub fn members(self) -> Vec<i32> {
        // SAFETY: null or a live set.
        unsafe { super::list::members(self.0) }
    }
}
