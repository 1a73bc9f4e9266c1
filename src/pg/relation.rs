//! An open relation that closes itself.
//!
//! Invariant: the lock taken at open is kept until the end of the transaction; while unwinding nothing is done, the
//! server's resource owner closes the relation.

use super::silent;
use pgrx::pg_sys;

pub struct Relation(pg_sys::Relation);

impl Relation {
    /// None when the relation does not exist (any more).
    pub fn open(relid: pg_sys::Oid, lockmode: u32) -> Option<Relation> {
        // SAFETY: any oid may be tried.
        let rel = unsafe { pg_sys::try_relation_open(relid, lockmode as i32) };
        // not then_some: a value that it does not give it would drop, and so close
        (!rel.is_null()).then(|| Relation(rel))
    }

    /// As `open`, for who does not wait: None, too, while another session holds a lock that this one would wait for.
    pub fn open_if_free(relid: pg_sys::Oid, lockmode: u32) -> Option<Relation> {
        // SAFETY: an existing relation, or a lock that is for nothing.
        let is_free = unsafe { pg_sys::ConditionalLockRelationOid(relid, lockmode as i32) };
        is_free.then(|| Relation::open(relid, pg_sys::NoLock)).flatten()
    }

    /// A relation that is open already; None for null.
    ///
    /// # Safety
    /// Nobody else closes it.
    pub unsafe fn opened(rel: pg_sys::Relation) -> Option<Relation> {
        (!rel.is_null()).then(|| Relation(rel))
    }

    pub fn raw(&self) -> pg_sys::Relation {
        self.0
    }

    pub fn oid(&self) -> pg_sys::Oid {
        // SAFETY: open.
        unsafe { (*self.0).rd_id }
    }

    /// The `pg_class` row.
    pub fn class(&self) -> &pg_sys::FormData_pg_class {
        // SAFETY: rd_rel lives as long as the relation is open.
        unsafe { &*(*self.0).rd_rel }
    }

    pub fn tupdesc(&self) -> pg_sys::TupleDesc {
        // SAFETY: open.
        unsafe { (*self.0).rd_att }
    }

    pub fn natts(&self) -> usize {
        // SAFETY: open.
        unsafe { (*(*self.0).rd_att).natts as usize }
    }

    pub fn relkind(&self) -> u8 {
        self.class().relkind as u8
    }

    /// Attribute by position from 0.
    pub fn attribute(&self, i: usize) -> &pg_sys::FormData_pg_attribute {
        assert!(i < self.natts());
        // SAFETY: in bounds; the descriptor lives as long as the relation is open.
        unsafe { &*super::tupdesc::attr(self.tupdesc(), i) }
    }

    /// Whether rows of tables that inherit are among those of the table, when it is read without ONLY. Partitions are no such tables.
    pub fn has_heirs(&self) -> bool {
        self.relkind() == pg_sys::RELKIND_RELATION && self.class().relhassubclass
    }

    /// Whether no row that a query finds here has NULL in an attribute; `inh`: without ONLY. A NOT NULL may be the table's alone: those that inherit can drop
    /// it before 18, and need not have it from 18 on (NO INHERIT).
    pub fn is_never_null(&self, i: usize, inh: bool) -> bool {
        self.is_not_null(i) && !(inh && self.has_heirs())
    }

    /// Whether no row of its own has NULL in an attribute. From 18 on a constraint NOT NULL may be NOT VALID: rows from before it may.
    fn is_not_null(&self, i: usize) -> bool {
        #[cfg(feature = "since_18")]
        // SAFETY: in bounds, as `attribute` asserts.
        let valid = unsafe {
            let compact = (*self.tupdesc()).compact_attrs.as_ptr().add(i);
            (*compact).attnullability as u8 != pg_sys::ATTNULLABLE_INVALID
        };
        #[cfg(not(feature = "since_18"))]
        let valid = true;
        self.attribute(i).attnotnull && valid
    }
}

impl Drop for Relation {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: opened by us, closed once.
            unsafe { silent::relation_close(self.0, pg_sys::NoLock as i32) }
        }
    }
}

/// The `pg_class` row of a relation, without a lock on it: as of now, and maybe not for long.
pub fn class_of(relid: pg_sys::Oid) -> Option<pg_sys::FormData_pg_class> {
    // SAFETY: a syscache look-up; the form is copied before the tuple is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, pg_sys::Datum::from(relid));
        if tuple.is_null() {
            return None;
        }
        let class = *pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
        pg_sys::ReleaseSysCache(tuple);
        Some(class)
    }
}

/// Name of an attribute.
pub fn attname(att: &pg_sys::FormData_pg_attribute) -> String {
    // SAFETY: a NameData is NUL-terminated.
    unsafe { std::ffi::CStr::from_ptr(att.attname.data.as_ptr()).to_string_lossy().into_owned() }
}

/// Attribute number of tableoid.
pub const TABLEOID: i16 = pg_sys::TableOidAttributeNumber as i16;
