//! Names of relations, columns, types and operators as SQL text.
//!
//! Invariant: everything is schema-qualified and quoted where needed, so the text means the same under any search_path.

use super::ext;
use pgrx::pg_sys;
use std::ffi::{CStr, CString};

/// Quoted identifier.
pub fn ident(name: &str) -> String {
    let c = CString::new(name).unwrap_or_default();
    // SAFETY: quote_identifier returns its argument or palloc'd memory.
    unsafe { CStr::from_ptr(pg_sys::quote_identifier(c.as_ptr())).to_string_lossy().into_owned() }
}

/// Quoted literal.
pub fn literal(value: &str) -> String {
    let c = CString::new(value).unwrap_or_default();
    // SAFETY: quote_literal_cstr returns palloc'd memory.
    unsafe { CStr::from_ptr(pg_sys::quote_literal_cstr(c.as_ptr())).to_string_lossy().into_owned() }
}

/// A string of JSON.
pub fn json(value: &str) -> String {
    let c = CString::new(value).unwrap_or_default();
    // SAFETY: a buffer of the server's, freed with its context.
    unsafe {
        let buffer = pg_sys::makeStringInfo();
        pg_sys::escape_json(buffer, c.as_ptr());
        CStr::from_ptr((*buffer).data).to_string_lossy().into_owned()
    }
}

/// `schema.relation`, or None when it does not exist (any more).
pub fn relation(relid: pg_sys::Oid) -> Option<String> {
    // SAFETY: syscache look-ups; results are palloc'd.
    unsafe {
        let name = pg_sys::get_rel_name(relid);
        if name.is_null() {
            return None;
        }
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(relid));
        if schema.is_null() {
            return None;
        }
        Some(ext::quote_qualified(CStr::from_ptr(schema), CStr::from_ptr(name)))
    }
}

/// Bare relation name, or its number.
pub fn bare(relid: pg_sys::Oid) -> String {
    // SAFETY: syscache look-up.
    unsafe {
        let name = pg_sys::get_rel_name(relid);
        if name.is_null() { relid.to_u32().to_string() } else { CStr::from_ptr(name).to_string_lossy().into_owned() }
    }
}

/// `OPERATOR(schema.=)` for the default equality of a type, None when the type has no equality that can be hashed or sorted.
pub fn equality(typid: pg_sys::Oid) -> Option<String> {
    // SAFETY: type cache entries live for the whole session.
    unsafe {
        let flags = (pg_sys::TYPECACHE_EQ_OPR | pg_sys::TYPECACHE_CMP_PROC) as i32;
        let entry = pg_sys::lookup_type_cache(typid, flags);
        if (*entry).eq_opr == pg_sys::InvalidOid || (*entry).cmp_proc == pg_sys::InvalidOid {
            return None;
        }
        infix((*entry).eq_opr)
    }
}

/// `OPERATOR(schema.name)`, as it stands between two expressions; None when it does not exist.
pub fn infix(op: pg_sys::Oid) -> Option<String> {
    // SAFETY: look-ups in the catalogs; the tuple is released when its name has been copied.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::OPEROID as i32, pg_sys::Datum::from(op));
        if tuple.is_null() {
            return None;
        }
        let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_operator>();
        let schema = pg_sys::get_namespace_name((*form).oprnamespace);
        let name = CStr::from_ptr((*form).oprname.data.as_ptr()).to_string_lossy().into_owned();
        pg_sys::ReleaseSysCache(tuple);
        if schema.is_null() {
            return None;
        }
        Some(format!("OPERATOR({}.{})", ident(&CStr::from_ptr(schema).to_string_lossy()), name))
    }
}

/// Whether equal values of (type, typmod, collation) are the same bytes, as index deduplication asks. Numeric values of
/// one declared scale are. Source: access/nbtree/nbtutils.c, _bt_allequalimage.
pub fn equal_is_same(of: &(pg_sys::Oid, i32, pg_sys::Oid)) -> bool {
    if of.0 == pg_sys::NUMERICOID {
        return of.1 >= 0;
    }
    // SAFETY: type cache and syscache look-ups; the support function takes an oid.
    unsafe {
        let entry = pg_sys::lookup_type_cache(of.0, pg_sys::TYPECACHE_BTREE_OPFAMILY as i32);
        let family = (*entry).btree_opf;
        if family == pg_sys::InvalidOid {
            return false;
        }
        let input = (*entry).btree_opintype;
        let support = pg_sys::get_opfamily_proc(family, input, input, BTEQUALIMAGE_PROC);
        support != pg_sys::InvalidOid
            && pg_sys::OidFunctionCall1Coll(support, of.2, pg_sys::Datum::from(input)).value() & 0xff != 0
    }
}

/// Whether values of a type can be hashed, also inside a row.
pub fn is_hashable(typid: pg_sys::Oid) -> bool {
    // SAFETY: type cache entries live for the whole session.
    unsafe {
        let entry = pg_sys::lookup_type_cache(typid, pg_sys::TYPECACHE_HASH_EXTENDED_PROC as i32);
        (*entry).hash_extended_proc != pg_sys::InvalidOid
    }
}

/// access/nbtree.h.
const BTEQUALIMAGE_PROC: i16 = 4;

/// `schema.function(types)`.
pub fn function(oid: pg_sys::Oid) -> String {
    // SAFETY: gives the number of a function that does not exist.
    unsafe { CStr::from_ptr(pg_sys::format_procedure_qualified(oid)).to_string_lossy().into_owned() }
}

/// `schema.operator(types)`.
pub fn operator(oid: pg_sys::Oid) -> String {
    // SAFETY: gives the number of an operator that does not exist.
    unsafe { CStr::from_ptr(pg_sys::format_operator_qualified(oid)).to_string_lossy().into_owned() }
}
