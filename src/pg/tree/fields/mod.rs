//! The fields of the server's nodes, by the names that they have in C: fields of expressions (nodes/primnodes.h), and of queries and
//! clauses (nodes/parsenodes.h).
//!
//! Invariant: a field is read and written in place, by copy, after the node's tag was looked at; no reference to a node is ever made, so that
//! two handles of one node cannot be in each other's way. A node that a field points at lives as long as the node with the field, see `Tree`.

// As in C, so that nobody has to translate.
#![allow(non_snake_case)]

mod parsenodes;
mod primnodes;

use super::{Bits, Node, Text, Tree};
use pgrx::pg_sys;
use std::ffi::c_char;

/// A value as a field keeps it.
trait Held<Raw>: Sized {
    /// # Safety
    /// `raw` is the field of a live node.
    unsafe fn of(raw: Raw) -> Self;
    fn into_raw(self) -> Raw;
}

impl<T> Held<T> for T {
    unsafe fn of(raw: T) -> T {
        raw
    }
    fn into_raw(self) -> T {
        self
    }
}

impl<T> Held<*mut T> for Tree<T> {
    unsafe fn of(raw: *mut T) -> Tree<T> {
        // SAFETY: nodes point at null or at live nodes.
        unsafe { Tree::new(raw) }
    }
    fn into_raw(self) -> *mut T {
        self.raw()
    }
}

impl Held<*mut pg_sys::Expr> for Node {
    unsafe fn of(raw: *mut pg_sys::Expr) -> Node {
        // SAFETY: nodes point at null or at live nodes.
        unsafe { Tree::new(raw.cast()) }
    }
    fn into_raw(self) -> *mut pg_sys::Expr {
        self.raw().cast()
    }
}

impl Held<*mut c_char> for Text {
    unsafe fn of(raw: *mut c_char) -> Text {
        // SAFETY: nodes point at null or at strings that live as long.
        unsafe { Text::new(raw) }
    }
    fn into_raw(self) -> *mut c_char {
        self.raw()
    }
}

impl Held<*mut pg_sys::Bitmapset> for Bits {
    unsafe fn of(raw: *mut pg_sys::Bitmapset) -> Bits {
        // SAFETY: nodes point at null or at sets that live as long.
        unsafe { Bits::new(raw) }
    }
    fn into_raw(self) -> *mut pg_sys::Bitmapset {
        self.raw()
    }
}

impl Held<c_char> for u8 {
    unsafe fn of(raw: c_char) -> u8 {
        raw as u8
    }
    fn into_raw(self) -> c_char {
        self as c_char
    }
}

/// `kind: tags { field, setter: type; … }`
macro_rules! nodes {
    ($($(#[$on:meta])* $kind:ident: $first:ident $(| $more:ident)* {
        $($(#[$has:meta])* $get:ident, $set:ident: $type:ty;)*
    })*) => {$(
        $(#[$on])*
        impl Kind for pg_sys::$kind {
            const TAG: NodeTag = $first;
            fn fits(tag: NodeTag) -> bool {
                matches!(tag, $first $(| $more)*)
            }
        }
        $(#[$on])*
        #[allow(dead_code)] // the fields there are, whoever asks
        impl Tree<pg_sys::$kind> {
            $(
                $(#[$has])*
                pub fn $get(self) -> $type {
                    // SAFETY: `place` is that of a live node of this kind.
                    unsafe { <$type as Held<_>>::of((*self.place()).$get) }
                }
                $(#[$has])*
                pub fn $set(self, value: $type) {
                    // SAFETY: as above; what is written is what such a field holds.
                    unsafe { (*self.place()).$get = <$type as Held<_>>::into_raw(value) }
                }
            )*
        }
    )*};
}

use nodes;
