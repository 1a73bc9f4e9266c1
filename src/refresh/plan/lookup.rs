//! How the stored rows of a key are found: by its columns, or by a hash of the columns that an index cannot hold as they are.

use crate::pg::name;
use crate::refresh::plan::tview::{KeyColumn, Tview};
use pgrx::pg_sys;

/// Columns of a key that are looked up by one hash over these columns.
pub fn hashed_columns(key: &[KeyColumn]) -> Vec<usize> {
    let many = key.len() > MANY;
    let hard = |k: &KeyColumn| many || k.wide || (k.nullable && key.len() > 1);
    let these: Vec<usize> = (0..key.len()).filter(|i| hard(&key[*i])).collect();
    if these.iter().all(|i| name::is_hashable(key[*i].typid)) { these } else { Vec::new() }
}

pub fn hash_sql(these: &[usize], column: impl Fn(usize) -> String) -> String {
    let columns: Vec<String> = these.iter().take(MOST_HASHED).map(|i| column(*i)).collect();
    format!("pg_catalog.hash_record_extended(ROW({}), 0)", columns.join(", "))
}

/// The condition on hashes by which stored rows `s` of keys `d` are found; it stands before the equality of the keys.
pub fn found_by(tview: &Tview, key: &[KeyColumn]) -> String {
    let these = hashed_columns(key);
    if these.is_empty() {
        return String::new();
    }
    let stored = hash_sql(&these, |k| format!("s.{}", tview.columns[key[k].at]));
    let wanted = hash_sql(&these, |k| format!("d.k{}", k + 1));
    format!("{stored} = {wanted} AND ")
}

/// Whether values of a type can be too long for an entry of a btree.
pub fn is_wide(typid: pg_sys::Oid) -> bool {
    // SAFETY: syscache look-ups.
    unsafe {
        let base = pg_sys::getBaseType(typid);
        pg_sys::get_typlen(base) < 0 && base != pg_sys::NUMERICOID
    }
}

/// How many columns an index can have.
pub const MANY: usize = pg_sys::INDEX_MAX_KEYS as usize;

/// How many columns a hash is made of: until 18, `pg_index` has no TOAST table, and the hash expression must fit into a row of `pg_index`.
pub const MOST_HASHED: usize = 256;
