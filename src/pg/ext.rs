//! Exported server functions that pgrx's bindings leave out, each behind a guard.
//!
//! Signatures follow the headers named beside them (PostgreSQL 15 to 18).

use super::varlena;
use pgrx::pg_sys::{self, ffi::pg_guard_ffi_boundary as guard};

#[allow(improper_ctypes)]
mod raw {
    use super::*;
    unsafe extern "C-unwind" {
        // commands/view.h
        pub fn StoreViewQuery(view: pg_sys::Oid, query: *mut pg_sys::Query, replace: bool);
        // commands/matview.h
        pub fn SetMatViewPopulatedState(relation: pg_sys::Relation, newstate: bool);
        // catalog/pg_inherits.h
        pub fn find_all_inheritors(
            parent: pg_sys::Oid,
            lockmode: pg_sys::LOCKMODE,
            parents: *mut *mut pg_sys::List,
        ) -> *mut pg_sys::List;
        // catalog/pg_constraint.h
        pub fn get_relation_constraint_oid(
            relid: pg_sys::Oid,
            name: *const std::ffi::c_char,
            missing_ok: bool,
        ) -> pg_sys::Oid;
        pub fn get_primary_key_attnos(
            relid: pg_sys::Oid,
            deferrable_ok: bool,
            constraint: *mut pg_sys::Oid,
        ) -> *mut pg_sys::Bitmapset;
        // parser/parse_agg.h
        pub fn expand_grouping_sets(sets: *mut pg_sys::List, distinct: bool, limit: i32) -> *mut pg_sys::List;
        // utils/ruleutils.h
        pub fn quote_qualified_identifier(
            qualifier: *const std::ffi::c_char,
            ident: *const std::ffi::c_char,
        ) -> *mut std::ffi::c_char;
        // executor/functions.h
        pub fn prepare_sql_fn_parse_info(
            tuple: pg_sys::HeapTuple,
            call: *mut pg_sys::Node,
            collation: pg_sys::Oid,
        ) -> *mut std::ffi::c_void;
        pub fn sql_fn_parser_setup(state: *mut pg_sys::ParseState, info: *mut std::ffi::c_void);
        // commands/async.h
        pub fn Async_Notify(channel: *const std::ffi::c_char, payload: *const std::ffi::c_char);
        // utils/datum.h
        pub fn datum_image_eq(a: pg_sys::Datum, b: pg_sys::Datum, by_value: bool, len: i32) -> bool;
        pub fn datumCopy(value: pg_sys::Datum, by_value: bool, len: i32) -> pg_sys::Datum;
        // access/toast_compression.h
        pub static default_toast_compression: std::ffi::c_int;
    }
}

/// # Safety
/// `view` is locked by the caller, who made it; `query` is a live tree.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub unsafe fn store_view_query(view: pg_sys::Oid, query: *mut pg_sys::Query, replace: bool) {
    // SAFETY: `view` is locked by the caller, who made it; `query` is a live tree.
    unsafe { guard(|| raw::StoreViewQuery(view, query, replace)) }
}

/// # Safety
/// `relation` is open.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub unsafe fn set_matview_populated(relation: pg_sys::Relation, populated: bool) {
    // SAFETY: `relation` is open.
    unsafe { guard(|| raw::SetMatViewPopulatedState(relation, populated)) }
}

/// Sends a message when the transaction commits.
///
/// # Safety
/// Inside a transaction that has not begun to end.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub unsafe fn notify(channel: &std::ffi::CStr, message: &std::ffi::CStr) {
    // SAFETY: as the caller promises; both texts are copied.
    unsafe { guard(|| raw::Async_Notify(channel.as_ptr(), message.as_ptr())) }
}

/// The relation and all relations that inherit from it, partitions included.
/// Empty when it does not exist.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub fn find_all_inheritors(parent: pg_sys::Oid, lockmode: i32) -> Vec<pg_sys::Oid> {
    // SAFETY: the server's list of OIDs is read before anything else is allocated.
    unsafe {
        if pg_sys::get_rel_relkind(parent) == 0 {
            return Vec::new();
        }
        let list = guard(|| raw::find_all_inheritors(parent, lockmode, std::ptr::null_mut()));
        super::list::oids(list)
    }
}

/// Attribute numbers of the primary key; none when there is no such key that is checked at once.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub fn primary_key(relid: pg_sys::Oid) -> Vec<i16> {
    let (mut found, mut constraint, mut member) = (Vec::new(), pg_sys::InvalidOid, -1);
    // SAFETY: a look-up in the catalogs, which gives a set of numbers, or null, which is a set, too.
    unsafe {
        let set = guard(|| raw::get_primary_key_attnos(relid, false, &raw mut constraint));
        loop {
            member = pg_sys::bms_next_member(set, member);
            if member < 0 {
                return found;
            }
            found.push((member + pg_sys::FirstLowInvalidHeapAttributeNumber) as i16);
        }
    }
}

/// The grouping sets of a query one by one, as lists of sort references.
///
/// # Safety
/// `sets` is null or a live list of nodes.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub unsafe fn expand_grouping_sets(sets: *mut pg_sys::List, distinct: bool) -> *mut pg_sys::List {
    // SAFETY: `sets` is null or a live list of nodes.
    unsafe { guard(|| raw::expand_grouping_sets(sets, distinct, -1)) }
}

/// Replaces Vars of join aliases by the columns they stand for.
///
/// # Safety
/// `query` is a live tree of the server; `node` is a live node of such a tree.
pub unsafe fn flatten_join_aliases(query: *mut pg_sys::Query, node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: `query` is a live tree of the server; `node` is a live node of such a tree.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::flatten_join_alias_vars(query, node);
        #[cfg(not(feature = "pg15"))]
        pg_sys::flatten_join_alias_vars(std::ptr::null_mut(), query, node)
    }
}

/// Replaces Vars of the GROUP range table entry (18) by the grouping expressions.
///
/// # Safety
/// `query` is a live tree of the server; `node` is a live node of such a tree.
#[cfg(feature = "since_18")]
pub unsafe fn flatten_groups(query: *mut pg_sys::Query, node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: `query` is a live tree of the server; `node` is a live node of such a tree.
    unsafe { if (*query).hasGroupRTE { pg_sys::flatten_group_exprs(std::ptr::null_mut(), query, node) } else { node } }
}

/// Before 18 there is no GROUP entry.
///
/// # Safety
/// None: the signature is that of 18.
#[cfg(not(feature = "since_18"))]
pub unsafe fn flatten_groups(_query: *mut pg_sys::Query, node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    node
}

/// The constraint of this name of a relation, 0 when there is none.
///
/// # Safety
/// `name` ends with a NUL.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub unsafe fn constraint_of(relid: pg_sys::Oid, name: *const std::ffi::c_char) -> pg_sys::Oid {
    // SAFETY: `name` ends with a NUL.
    unsafe { guard(|| raw::get_relation_constraint_oid(relid, name, true)) }
}

/// Whether two values are the same bytes, after detoasting.
///
/// # Safety
/// Both values are of the type that `by_value` and `len` describe.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub unsafe fn same_image(a: pg_sys::Datum, b: pg_sys::Datum, by_value: bool, len: i32) -> bool {
    if by_value {
        return a.value() == b.value();
    }
    // SAFETY: both values are of the type that `by_value` and `len` describe.
    unsafe {
        if len == -1 && varlena::size_if_plain(a).is_some() && varlena::size_if_plain(b).is_some() {
            return varlena::bytes(a) == varlena::bytes(b);
        }
        guard(|| raw::datum_image_eq(a, b, by_value, len))
    }
}

/// Whether values of an attribute are compressed by pglz; `method`: pg_attribute.attcompression.
pub fn compresses_by_pglz(method: std::ffi::c_char) -> bool {
    // SAFETY: a plain global.
    let usual = || unsafe { raw::default_toast_compression } == std::ffi::c_int::from(b'p');
    if method == 0 { usual() } else { method as u8 == b'p' }
}

/// A copy of a value in the current memory context.
///
/// # Safety
/// The value is of the type that `by_value` and `len` describe.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub unsafe fn copy_datum(value: pg_sys::Datum, by_value: bool, len: i32) -> pg_sys::Datum {
    if by_value {
        return value;
    }
    // SAFETY: the value is of the type that `by_value` and `len` describe.
    unsafe { guard(|| raw::datumCopy(value, by_value, len)) }
}

/// Tells the parser the arguments of an SQL function; types of polymorphic arguments come from `call`, which may be null.
///
/// # Safety
/// `state` is live; `function` exists; `call` is null or a live call of it.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub unsafe fn set_up_function_parser(
    state: *mut pg_sys::ParseState,
    function: pg_sys::Oid,
    call: *mut pg_sys::Node,
    collation: pg_sys::Oid,
) {
    // SAFETY: the entry of the cache is released after its use, or by the end of the (sub)transaction after an error.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::PROCOID as i32;
        let tuple = pg_sys::SearchSysCache1(cache, function.into());
        guard(|| raw::sql_fn_parser_setup(state, raw::prepare_sql_fn_parse_info(tuple, call, collation)));
        pg_sys::ReleaseSysCache(tuple);
    }
}

/// A copy of a node tree.
///
/// # Safety
/// `node` is null or a live node, which the server copies with all that is below.
pub unsafe fn copy<T>(node: *const T) -> *mut T {
    // SAFETY: `node` is null or a live node, which the server copies with all that is below.
    unsafe { pg_sys::copyObjectImpl(node.cast()).cast() }
}

/// A constant of type `integer`.
pub fn int4(value: i32) -> *mut pg_sys::Const {
    // SAFETY: allocates in the current memory context.
    unsafe { pg_sys::makeConst(pg_sys::INT4OID, -1, pg_sys::InvalidOid, 4, pg_sys::Datum::from(value), false, true) }
}

/// `schema.name`, quoted where needed.
#[allow(ffi_unwind_calls)] // inside the guard's closure, which has nothing to drop
pub fn quote_qualified(schema: &std::ffi::CStr, name: &std::ffi::CStr) -> String {
    // SAFETY: both names end with a NUL; the result is copied.
    unsafe {
        let p = guard(|| raw::quote_qualified_identifier(schema.as_ptr(), name.as_ptr()));
        std::ffi::CStr::from_ptr(p).to_string_lossy().into_owned()
    }
}

/// A new node, all of it zero but its tag.
///
/// # Safety
/// `T` is the node struct of `tag`.
pub unsafe fn make<T>(tag: pg_sys::NodeTag) -> *mut T {
    // SAFETY: `T` is the node struct of `tag`, as the caller promises.
    unsafe {
        let node = pg_sys::palloc0(std::mem::size_of::<T>()).cast::<T>();
        (*node.cast::<pg_sys::Node>()).type_ = tag;
        node
    }
}

/// The owner of a schema.
pub fn namespace_owner(schema: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: a syscache look-up; the row is read before it is released.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::NAMESPACEOID as i32;
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(schema));
        if tuple.is_null() {
            return pg_sys::InvalidOid;
        }
        let owner = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_namespace>()).nspowner;
        pg_sys::ReleaseSysCache(tuple);
        owner
    }
}
