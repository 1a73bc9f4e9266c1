//! Scans of system catalogs that have no syscache and that pgrx's bindings leave out.
//!
//! Numbers come from the server's catalog headers (pg_inherits.h, pg_depend.h, pg_shdepend.h, pg_rewrite.h, pg_subscription_rel.h,
//! pg_attrdef.h, pg_constraint.h, pg_event_trigger.h, pg_extension.h), which have not changed
//! from 15 to 19.

use super::relation::Relation;
use pgrx::FromDatum;
use pgrx::pg_sys::{self, Oid};

/// A catalog, the index to use, and the columns the index starts with.
pub struct Catalog {
    relation: u32,
    index: u32,
    keys: &'static [i16],
}

/// pg_inherits by inhrelid.
pub const INHERITS_BY_CHILD: Catalog = Catalog { relation: 2611, index: 2680, keys: &[1] };
pub const INHERITS_PARENT: i32 = 2;
/// pg_subscription_rel by srrelid.
pub const SUBSCRIPTION_BY_RELATION: Catalog = Catalog { relation: 6102, index: 6117, keys: &[2] };
pub const SUBSCRIPTION_RELATION: i32 = 2;
/// pg_depend by (refclassid, refobjid).
pub const DEPEND_BY_REFERENCE: Catalog = Catalog { relation: 2608, index: 2674, keys: &[4, 5] };
pub const DEPEND_CLASS: i32 = 1;
pub const DEPEND_OBJECT: i32 = 2;
pub const DEPEND_COLUMN: i32 = 3;
pub const DEPEND_ON_COLUMN: i32 = 6;
/// pg_depend by (classid, objid).
pub const DEPEND_BY_DEPENDENT: Catalog = Catalog { relation: 2608, index: 2673, keys: &[1, 2] };
pub const DEPEND_ON_CLASS: i32 = 4;
pub const DEPEND_ON_OBJECT: i32 = 5;
/// pg_shdepend by (refclassid, refobjid).
pub const SHARED_DEPEND_BY_REFERENCE: Catalog = Catalog { relation: 1214, index: 1233, keys: &[5, 6] };
pub const SHARED_DEPEND_DATABASE: i32 = 1;
pub const SHARED_DEPEND_CLASS: i32 = 2;
pub const SHARED_DEPEND_OBJECT: i32 = 3;
pub const SHARED_DEPEND_KIND: i32 = 7;
/// SHARED_DEPENDENCY_OWNER, a char.
pub const OWNED: Oid = Oid::from_u32(b'o' as u32);
/// pg_constraint.
pub const CONSTRAINT: u32 = 2606;
/// pg_event_trigger, all of it, by evtname.
pub const EVENT_TRIGGERS: Catalog = Catalog { relation: 3466, index: 3467, keys: &[] };
pub const EVENT_TRIGGER_OID: i32 = 1;
/// pg_extension by oid.
pub const EXTENSION_BY_OID: Catalog = Catalog { relation: 3079, index: 3080, keys: &[1] };
pub const EXTENSION_VERSION: i32 = 6;
/// pg_attrdef by oid.
pub const DEFAULT_BY_OID: Catalog = Catalog { relation: DEFAULT, index: 2657, keys: &[1] };
pub const DEFAULT: u32 = 2604;
pub const DEFAULT_RELATION: i32 = 2;
pub const DEFAULT_COLUMN: i32 = 3;
/// pg_rewrite by oid.
pub const REWRITE_BY_OID: Catalog = Catalog { relation: REWRITE, index: 2692, keys: &[1] };
pub const REWRITE: u32 = 2618;

/// pg_policy by oid.
pub const POLICY_BY_OID: Catalog = Catalog { relation: POLICY, index: 3257, keys: &[1] };
pub const POLICY: u32 = 3256;
pub const POLICY_RELATION: i32 = 3;

/// pg_class by oid.
pub const CLASS_BY_OID: Catalog = Catalog { relation: 1259, index: 2662, keys: &[1] };
pub const CLASS_FILENODE: i32 = 8;

/// pg_proc by oid.
pub const PROCEDURE_BY_OID: Catalog = Catalog { relation: PROCEDURE, index: 2690, keys: &[1] };
pub const PROCEDURE: u32 = 1255;

/// pg_ts_config.
pub const TS_CONFIG: u32 = 3602;

/// pg_ts_dict.
pub const TS_DICTIONARY: u32 = 3600;
pub const REWRITE_RELATION: i32 = 3;

/// The catalogs whose rows, beside the row of pg_class, say what a relation is, by the number of the relation. Rows of these catalogs are replaced,
/// never changed in place.
pub const ATTRIBUTES: Catalog = Catalog { relation: 1249, index: 2659, keys: &[1] };
pub const INDEXES: Catalog = Catalog { relation: 2610, index: 2678, keys: &[2] };
#[cfg(feature = "since_18")]
pub const CONSTRAINTS: Catalog = Catalog { relation: CONSTRAINT, index: 2665, keys: &[9] };
#[cfg(not(feature = "since_18"))]
pub const CONSTRAINTS: Catalog = Catalog { relation: CONSTRAINT, index: 2665, keys: &[8] };
pub const DEFAULTS: Catalog = Catalog { relation: DEFAULT, index: 2656, keys: &[2] };
pub const RULES: Catalog = Catalog { relation: REWRITE, index: 2693, keys: &[3] };
pub const POLICIES: Catalog = Catalog { relation: POLICY, index: 3258, keys: &[3] };
pub const CHILDREN: Catalog = Catalog { relation: 2611, index: 2187, keys: &[2] };

/// A version of a row: the transaction that wrote it, and its place.
pub type Version = (u32, i64);

/// # Safety
/// A tuple that was read from a table.
pub unsafe fn version_of(tuple: pg_sys::HeapTuple) -> Version {
    // SAFETY: a tuple that was read from a table.
    unsafe {
        let place = (*tuple).t_self;
        let block = i64::from(place.ip_blkid.bi_hi) << 16 | i64::from(place.ip_blkid.bi_lo);
        ((*(*tuple).t_data).t_choice.t_heap.t_xmin.into_inner(), block << 16 | i64::from(place.ip_posid))
    }
}

/// The transaction that wrote a version of a row; None when it is older than every snapshot. Source: access/htup_details.h.
///
/// # Safety
/// A tuple that was read from a table.
pub unsafe fn inserted_by(tuple: pg_sys::HeapTuple) -> Option<pg_sys::TransactionId> {
    // SAFETY: a tuple that was read from a table.
    unsafe {
        let (header, frozen) = (&*(*tuple).t_data, pg_sys::HEAP_XMIN_FROZEN as u16);
        (header.t_infomask & frozen != frozen).then_some(header.t_choice.t_heap.t_xmin)
    }
}

impl Catalog {
    /// The versions of all rows with these key values.
    pub fn versions(&self, values: &[Oid]) -> Vec<Version> {
        let mut found = Vec::new();
        // SAFETY: a tuple of the catalog.
        self.scan(values, |_, tuple| found.push(unsafe { version_of(tuple) }));
        found
    }

    /// For every tuple with these key values: the columns `wanted`, which are oids, numbers or single characters.
    pub fn find(&self, values: &[Oid], wanted: &[i32]) -> Vec<Vec<Oid>> {
        // SAFETY: null stands for the server's own snapshot of the catalogs.
        unsafe { self.find_as(std::ptr::null_mut(), values, wanted) }
    }

    /// As `find`, for tuples that a snapshot sees.
    ///
    /// # Safety
    /// `snapshot` is null, or active or registered.
    pub unsafe fn find_as(&self, snapshot: pg_sys::Snapshot, values: &[Oid], wanted: &[i32]) -> Vec<Vec<Oid>> {
        let mut out = Vec::new();
        let look = |rel: &Relation, tuple: pg_sys::HeapTuple| {
            let column = |att: &i32| {
                let mut null = false;
                // SAFETY: a tuple of the catalog; wanted columns are passed by value and not NULL.
                unsafe {
                    let datum = pg_sys::heap_getattr(tuple, *att, rel.tupdesc(), &mut null);
                    Oid::from_datum(datum, null).unwrap_or(pg_sys::InvalidOid)
                }
            };
            out.push(wanted.iter().map(column).collect());
        };
        // SAFETY: as the caller promises.
        unsafe { self.scan_as(snapshot, values, look) };
        out
    }

    /// A column of type text of the first tuple with these key values; None where there is none, or it is NULL.
    pub fn text(&self, values: &[Oid], column: i32) -> Option<String> {
        let mut found = None;
        self.scan(values, |rel, tuple| {
            let mut null = false;
            // SAFETY: a tuple of the catalog, and a column of it that is a text.
            found = unsafe { String::from_datum(pg_sys::heap_getattr(tuple, column, rel.tupdesc(), &mut null), null) };
        });
        found
    }

    /// Stores the trees of one row again that `change` has changed in place; whether there was one. Columns are numbered from 1.
    pub fn replace_trees(
        &self,
        oid: Oid,
        columns: &[usize],
        mut change: impl FnMut(*mut pg_sys::Node) -> bool,
    ) -> bool {
        let mut old = None;
        // SAFETY: a copy of a tuple of the catalog.
        self.scan(&[oid], |_, tuple| old = Some(unsafe { pg_sys::heap_copytuple(tuple) }));
        let rel = Relation::open(Oid::from(self.relation), pg_sys::RowExclusiveLock);
        let (Some(old), Some(rel)) = (old, rel) else { return false };
        let n = rel.natts();
        let (mut values, mut nulls, mut replaced) =
            (vec![pg_sys::Datum::from(0usize); n], vec![false; n], vec![false; n]);
        // SAFETY: the columns are texts of trees, as nodeToString writes them.
        unsafe {
            for &column in columns {
                let mut null = false;
                let stored = pg_sys::heap_getattr(old, column as i32, rel.tupdesc(), &mut null);
                if null {
                    continue;
                }
                let tree = pg_sys::stringToNode(pg_sys::text_to_cstring(stored.cast_mut_ptr())).cast::<pg_sys::Node>();
                if !tree.is_null() && change(tree) {
                    let text = pg_sys::cstring_to_text(pg_sys::nodeToString(tree.cast()));
                    (values[column - 1], replaced[column - 1]) = (pg_sys::Datum::from(text), true);
                }
            }
            let is_changed = replaced.contains(&true);
            if is_changed {
                let (values, nulls, replaced) = (values.as_mut_ptr(), nulls.as_mut_ptr(), replaced.as_mut_ptr());
                let new = pg_sys::heap_modify_tuple(old, rel.tupdesc(), values, nulls, replaced);
                pg_sys::CatalogTupleUpdate(rel.raw(), &mut (*old).t_self, new);
            }
            is_changed
        }
    }

    /// Shows every tuple with these key values.
    fn scan(&self, values: &[Oid], look: impl FnMut(&Relation, pg_sys::HeapTuple)) {
        // SAFETY: as above.
        unsafe { self.scan_as(std::ptr::null_mut(), values, look) }
    }

    /// # Safety
    /// As `find_as`.
    unsafe fn scan_as(
        &self,
        snapshot: pg_sys::Snapshot,
        values: &[Oid],
        mut look: impl FnMut(&Relation, pg_sys::HeapTuple),
    ) {
        assert_eq!(values.len(), self.keys.len());
        let Some(rel) = Relation::open(Oid::from(self.relation), pg_sys::AccessShareLock) else { return };
        // SAFETY: a catalog scan as the server itself does it.
        unsafe {
            let mut keys: Vec<pg_sys::ScanKeyData> = Vec::new();
            for (att, value) in self.keys.iter().zip(values) {
                let mut key: pg_sys::ScanKeyData = std::mem::zeroed();
                pg_sys::ScanKeyInit(
                    &mut key,
                    *att,
                    pg_sys::BTEqualStrategyNumber as u16,
                    Oid::from(pg_sys::F_OIDEQ),
                    pg_sys::Datum::from(*value),
                );
                keys.push(key);
            }
            let scan = pg_sys::systable_beginscan(
                rel.raw(),
                Oid::from(self.index),
                true,
                snapshot,
                keys.len() as i32,
                keys.as_mut_ptr(),
            );
            loop {
                let tuple = pg_sys::systable_getnext(scan);
                if tuple.is_null() {
                    break;
                }
                look(&rel, tuple);
            }
            pg_sys::systable_endscan(scan);
        }
    }
}
