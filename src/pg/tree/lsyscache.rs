//! Look-ups in the catalogs for the OIDs in trees, by the names of the server's functions in C.
//!
//! Invariant: for an OID without an object the server's function raises an error, or gives its own answer for none.
//! Source: utils/cache/lsyscache.c, utils/cache/typcache.c.

// As in C, so that nobody has to translate.
#![allow(non_snake_case)]

use super::{List, Node, Text, Tree};
use crate::pg::relation;
use pgrx::pg_sys::{self, Oid};

/// Look-ups in catalogs.
macro_rules! of_oids {
    ($($name:ident($($argument:ident: $of:ty),*) -> $type:ty;)*) => {$(
        pub fn $name($($argument: $of),*) -> $type {
            // SAFETY: a look-up in a system cache.
            unsafe { pg_sys::$name($($argument),*) as $type }
        }
    )*};
}

of_oids! {
    func_volatile(function: Oid) -> u8;
    func_strict(function: Oid) -> bool;
    getBaseType(typid: Oid) -> Oid;
    get_typtype(typid: Oid) -> u8;
    get_typ_typrelid(typid: Oid) -> Oid;
    get_typcollation(typid: Oid) -> Oid;
    get_element_type(typid: Oid) -> Oid;
    get_base_element_type(typid: Oid) -> Oid;
    get_range_subtype(typid: Oid) -> Oid;
    type_is_rowtype(typid: Oid) -> bool;
    type_is_range(typid: Oid) -> bool;
    get_collation_isdeterministic(collation: Oid) -> bool;
    op_mergejoinable(operator: Oid, typid: Oid) -> bool;
    op_hashjoinable(operator: Oid, typid: Oid) -> bool;
    op_in_opfamily(operator: Oid, family: Oid) -> bool;
    get_op_opfamily_strategy(operator: Oid, family: Oid) -> i32;
    get_opclass_family(class: Oid) -> Oid;
    get_opcode(operator: Oid) -> Oid;
    get_opfamily_member(family: Oid, left: Oid, right: Oid, strategy: i16) -> Oid;
    GetDefaultOpClass(typid: Oid, method: Oid) -> Oid;
    get_commutator(operator: Oid) -> Oid;
    get_negator(operator: Oid) -> Oid;
    get_func_nargs(function: Oid) -> i32;
    get_func_rettype(function: Oid) -> Oid;
    get_func_namespace(function: Oid) -> Oid;
    get_rel_relkind(relation: Oid) -> u8;
    get_attgenerated(relation: Oid, column: i16) -> u8;
}

/// A name of a type, for messages.
pub fn format_type_be(typid: Oid) -> Text {
    // SAFETY: the server makes a string, whatever the type.
    unsafe { Text::new(pg_sys::format_type_be(typid)) }
}

/// The name of a type with its modifier and its schema.
pub fn qualified_type(typid: Oid, typmod: i32) -> Text {
    let flags = (pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN | pg_sys::FORMAT_TYPE_FORCE_QUALIFY) as u16;
    // SAFETY: as above.
    unsafe { Text::new(pg_sys::format_type_extended(typid, typmod, flags)) }
}

pub fn generate_collation_name(collation: Oid) -> Text {
    // SAFETY: an existing collation; an error otherwise.
    unsafe { Text::new(pg_sys::generate_collation_name(collation)) }
}

/// The function by which a type is written.
pub fn output_function(typid: Oid) -> Oid {
    let (mut function, mut varlena) = (pg_sys::InvalidOid, false);
    // SAFETY: an existing type; an error otherwise.
    unsafe { pg_sys::getTypeOutputInfo(typid, &mut function, &mut varlena) };
    function
}

/// Type, modifier and collation of a column.
pub fn get_atttypetypmodcoll(relation: Oid, column: i16) -> (Oid, i32, Oid) {
    let (mut typid, mut typmod, mut collation) = (pg_sys::InvalidOid, -1, pg_sys::InvalidOid);
    // SAFETY: an existing column; an error otherwise.
    unsafe { pg_sys::get_atttypetypmodcoll(relation, column, &mut typid, &mut typmod, &mut collation) };
    (typid, typmod, collation)
}

/// A type's own operators in the type cache, 0 for an operator that it does not have.
pub struct Operators {
    pub equal: Oid,
    pub less: Oid,
    pub greater: Oid,
    /// Values of the type can be compared.
    pub compares: bool,
    pub hash_family: Oid,
    /// Values of the type have a hash.
    pub hashes: bool,
}

pub fn operators(typid: Oid) -> Operators {
    let own = pg_sys::TYPECACHE_EQ_OPR | pg_sys::TYPECACHE_LT_OPR | pg_sys::TYPECACHE_GT_OPR;
    let functions = pg_sys::TYPECACHE_CMP_PROC_FINFO | pg_sys::TYPECACHE_HASH_PROC;
    let flags = (own | functions | pg_sys::TYPECACHE_HASH_OPFAMILY) as i32;
    // SAFETY: entries of the type cache stay.
    unsafe {
        let entry = pg_sys::lookup_type_cache(typid, flags);
        Operators {
            equal: (*entry).eq_opr,
            less: (*entry).lt_opr,
            greater: (*entry).gt_opr,
            compares: (*entry).cmp_proc_finfo.fn_oid != pg_sys::InvalidOid,
            hash_family: (*entry).hash_opf,
            hashes: (*entry).hash_proc != pg_sys::InvalidOid,
        }
    }
}

/// The name of an operator; null when there is no such operator.
pub fn get_opname(operator: Oid) -> Text {
    // SAFETY: a look-up in a system cache; the name is a copy.
    unsafe { Text::new(pg_sys::get_opname(operator)) }
}

/// The name of a function; null when there is no such function.
pub fn get_func_name(function: Oid) -> Text {
    // SAFETY: a look-up in a system cache; the name is a copy.
    unsafe { Text::new(pg_sys::get_func_name(function)) }
}

/// The types of a function's arguments.
pub fn get_func_signature(function: Oid) -> Vec<Oid> {
    let (mut types, mut count) = (std::ptr::null_mut(), 0);
    // SAFETY: the server gives as many types as it says.
    unsafe {
        pg_sys::get_func_signature(function, &mut types, &mut count);
        (0..count as usize).map(|i| *types.add(i)).collect()
    }
}

/// The function of this name with these arguments, 0 when there is none and that is no error.
pub fn LookupFuncName(names: List, arguments: &[Oid], missing_ok: bool) -> Oid {
    // SAFETY: a live list of names, and as many types as are said.
    unsafe { pg_sys::LookupFuncName(names.raw(), arguments.len() as i32, arguments.as_ptr(), missing_ok) }
}

/// The operator of this name between these types, 0 when there is none.
pub fn OpernameGetOprid(names: List, left: Oid, right: Oid) -> Oid {
    // SAFETY: a live list of names.
    unsafe { pg_sys::OpernameGetOprid(names.raw(), left, right) }
}

/// The types that an operator takes.
pub fn op_input_types(operator: Oid) -> (Oid, Oid) {
    let (mut left, mut right) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
    // SAFETY: an existing operator; an error otherwise.
    unsafe { pg_sys::op_input_types(operator, &mut left, &mut right) };
    (left, right)
}

/// The expression that a generated column is computed from.
#[cfg(feature = "since_18")]
pub fn build_generation_expression(relation: &relation::Relation, column: i16) -> Node {
    // SAFETY: an open relation with such a column.
    unsafe { Tree::new(pg_sys::build_generation_expression(relation.raw(), i32::from(column))) }
}
