//! Functions and operators that our own SQL may call: none that the query of its TVIEW does not.
//!
//! SQL text names functions and operators, and names are looked up again whenever the text is analysed: in a new session, or when the plan
//! cache has been invalidated. A user who may create functions in a schema of the search_path could create a function that matches better,
//! and it would run with the rights of the TVIEW's owner. Invariant: an analysed query of ours calls functions and operators of
//! the query that was stored when the TVIEW was made (by OID), of the server, of this extension, and operators of operator families, which
//! only superusers can fill. Otherwise the analysis is an error, and nothing is run.
//! Our SQL is recognised by `MARK`, and only looked at while a plan of ours is prepared, planned or run.
//! Called by spi, and by the hook that sees analysed queries.

use super::error::{Error, Result};
use super::{list, name, walk};
use crate::pg::process::process;
use pgrx::{pg_guard, pg_sys};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::{CStr, c_char, c_void};
use std::rc::Rc;

/// The beginning of the text of our SQL.
pub const MARK: &CStr = c"/* pg_tviews */ ";

/// Functions and operators by OID.
#[derive(Default)]
pub struct Callees {
    functions: BTreeSet<u32>,
    operators: BTreeSet<u32>,
    /// The TVIEW whose callees they are, for messages.
    tview: String,
}

process! {
    static ALLOWED: RefCell<Vec<Rc<Callees>>> = const { RefCell::new(Vec::new()) };
}

/// Callees that are in force until this is dropped.
pub struct InForce(());

impl InForce {
    pub fn new(callees: &Rc<Callees>) -> InForce {
        ALLOWED.with(|a| a.borrow_mut().push(Rc::clone(callees)));
        InForce(())
    }
}

impl Drop for InForce {
    fn drop(&mut self) {
        ALLOWED.with(|a| a.borrow_mut().pop());
    }
}

/// Whether a text that is being analysed is ours. No destructors here: called from C frames.
///
/// # Safety
/// `text` is null or a C string.
pub unsafe fn concerns(text: *const c_char) -> bool {
    // SAFETY: `text` is null or a C string, as the caller promises.
    unsafe {
        !text.is_null()
            && ALLOWED.with(|a| !a.borrow().is_empty())
            && libc::strncmp(text, MARK.as_ptr(), MARK.count_bytes()) == 0
    }
}

/// Refuses an analysed query of ours that calls other functions or operators.
///
/// # Safety
/// `query` is valid.
pub unsafe fn check(query: *mut pg_sys::Query) -> Result<()> {
    // SAFETY: `query` is valid, as the caller promises.
    unsafe {
        let Some(allowed) = ALLOWED.with(|a| a.borrow().last().cloned()) else { return Ok(()) };
        let mut stranger = None;
        walk::walk(query.cast(), &mut |node| {
            let operator = operators_of(node).into_iter().find(|o| !allowed.has_operator(*o));
            let function = functions_of(node).into_iter().find(|f| !allowed.has_function(*f));
            stranger = match (operator, function) {
                (Some(operator), _) => Some(format!("operator {}", name::operator(operator))),
                // the function of an operator is allowed with its operator
                (_, Some(function)) if operators_of(node).is_empty() => {
                    Some(format!("function {}", name::function(function)))
                }
                _ => None,
            };
            stranger.is_some()
        });
        match stranger {
            None => Ok(()),
            Some(what) => Err(Error::Ambiguous {
                what: format!("the SQL of TVIEW {} would call {what}, which its query does not call", allowed.tview),
                hint: "It was created after the TVIEW, and matches better by name. Drop or rename it.".into(),
            }),
        }
    }
}

impl Callees {
    /// The callees of an expanded query.
    ///
    /// # Safety
    /// `query` is valid.
    pub unsafe fn of(query: *mut pg_sys::Query, tview: String) -> Callees {
        // SAFETY: `query` is valid, as the caller promises.
        unsafe {
            let mut found = Callees { tview, ..Callees::default() };
            walk::walk(query.cast(), &mut |node| {
                found.functions.extend(functions_of(node).into_iter().map(pg_sys::Oid::to_u32));
                found.operators.extend(operators_of(node).into_iter().map(pg_sys::Oid::to_u32));
                false
            });
            found
        }
    }

    fn has_function(&self, function: pg_sys::Oid) -> bool {
        // SAFETY: look-ups in system caches, whose entries are released before returning.
        unsafe {
            function.to_u32() < pg_sys::FirstNormalObjectId
                || self.functions.contains(&function.to_u32())
                || pg_sys::get_func_namespace(function) == pg_sys::get_namespace_oid(c"tviews".as_ptr(), true)
        }
    }

    fn has_operator(&self, operator: pg_sys::Oid) -> bool {
        operator.to_u32() < pg_sys::FirstNormalObjectId
            || self.operators.contains(&operator.to_u32())
            || is_of_family(operator)
    }
}

fn is_of_family(operator: pg_sys::Oid) -> bool {
    // SAFETY: look-ups in system caches, whose entries are released before returning.
    unsafe {
        let none = pg_sys::Datum::from(0usize);
        let cache = pg_sys::SysCacheIdentifier::AMOPOPID as i32;
        let members = pg_sys::SearchSysCacheList(cache, 1, operator.into(), none, none);
        let any = (*members).n_members > 0;
        pg_sys::ReleaseCatCacheList(members);
        any
    }
}

/// The functions that a node itself calls by name. Not input and output functions, which are found by the type.
///
/// # Safety
/// `node` is valid.
pub unsafe fn functions_of(node: *mut pg_sys::Node) -> Vec<pg_sys::Oid> {
    // SAFETY: `node` is valid, as the caller promises.
    unsafe {
        if list::is(node, pg_sys::NodeTag::T_CoerceViaIO) {
            return Vec::new();
        }
        let mut found: Vec<pg_sys::Oid> = Vec::new();
        pg_sys::check_functions_in_node(node, Some(add), (&raw mut found).cast());
        found
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn add(function: pg_sys::Oid, context: *mut c_void) -> bool {
    // SAFETY: `context` is what the walker was started with.
    unsafe {
        (*context.cast::<Vec<pg_sys::Oid>>()).push(function);
        false
    }
}

/// The operators that a node itself applies.
///
/// # Safety
/// `node` is valid.
pub unsafe fn operators_of(node: *mut pg_sys::Node) -> Vec<pg_sys::Oid> {
    // SAFETY: `node` is valid, as the caller promises.
    unsafe {
        use pg_sys::NodeTag::*;
        match (*node).type_ {
            // DistinctExpr and NullIfExpr are the same struct.
            T_OpExpr | T_DistinctExpr | T_NullIfExpr => vec![(*node.cast::<pg_sys::OpExpr>()).opno],
            T_ScalarArrayOpExpr => vec![(*node.cast::<pg_sys::ScalarArrayOpExpr>()).opno],
            T_RowCompareExpr => list::oids((*node.cast::<pg_sys::RowCompareExpr>()).opnos),
            _ => Vec::new(),
        }
    }
}

/// Nothing is in force any more.
pub fn reset() {
    ALLOWED.with(|a| a.borrow_mut().clear());
}
