//! The output plugin: committed transactions of the reorder buffer → row images in a store.
//!
//! Invariant: for each relation that is captured from WAL, what a transaction has done to it comes out row by row, old −1 and new +1, as images of
//! that relation's row type at that time, with values of TOAST tables in them; or as one change "all rows", where WAL does not have the old row
//! (no REPLICA IDENTITY FULL) or has no rows at all (TRUNCATE). It only reads: catalogs as they were, without locks. In any process but our own
//! reader it refuses to start, so a slot of somebody else with this plugin does nothing.
//! Called by the server while it decodes. Source of the protocol: replication/output_plugin.h, contrib/test_decoding.

use super::store::{Change, Store};
use crate::capture::route::ancestors;
use crate::capture::trigger::ImageBuilder;
use crate::pg::error::{Error, or_raise};
use crate::pg::memory::Arena;
use crate::pg::process::process;
use crate::pg::relation::attname;
use crate::pg::tupdesc;
use crate::pg::varlena::fetched;
use crate::queue::changes::Image;
use pgrx::{pg_guard, pg_sys};
use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

process! {
    /// What this process decodes into; null in every other one.
    static SINK: Cell<*mut Sink> = const { Cell::new(std::ptr::null_mut()) };
}

/// What the reader wants, and what it gets.
#[derive(Default)]
pub struct Sink {
    pub store: Store,
    /// The relations that are captured from WAL.
    pub sources: BTreeSet<u32>,
    /// Row types of images, by number.
    pub shapes: Shapes,
    /// Where the rows of the relations go that the transaction has changed.
    targets: HashMap<u32, Rc<[Target]>>,
}

/// From now on this process decodes, until it ends.
pub fn begin_use() {
    if SINK.get().is_null() {
        SINK.set(Box::into_raw(Box::default()));
    }
}

/// What has been decoded; not while something is decoded.
pub fn with<T>(f: impl FnOnce(&mut Sink) -> T) -> T {
    begin_use();
    // SAFETY: made by `begin_use`, and never freed; callbacks run inside of `Reader::step` only.
    f(unsafe { &mut *SINK.get() })
}

/// Row types that relations have or had. They are few, and kept as long as the process lives.
#[derive(Default)]
pub struct Shapes {
    all: Vec<pg_sys::TupleDesc>,
    latest: HashMap<u32, u32>,
}

impl Shapes {
    pub fn get(&self, number: u32) -> Option<pg_sys::TupleDesc> {
        self.all.get(number as usize).copied()
    }

    /// The number of a relation's row type.
    ///
    /// # Safety
    /// A valid descriptor.
    unsafe fn number(&mut self, source: u32, desc: pg_sys::TupleDesc) -> u32 {
        // SAFETY: as the caller promises; copies are never freed.
        unsafe {
            if let Some(number) = self.latest.get(&source) {
                let same = self.get(*number).is_some_and(|known| pg_sys::equalTupleDescs(known, desc));
                if same {
                    return *number;
                }
            }
            let context = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
            self.all.push(pg_sys::CreateTupleDescCopy(desc));
            pg_sys::MemoryContextSwitchTo(context);
            let number = self.all.len() as u32 - 1;
            self.latest.insert(source, number);
            number
        }
    }
}

/// One of the relations that a table's rows belong to.
struct Target {
    source: u32,
    shape: u32,
    desc: pg_sys::TupleDesc,
    /// By attribute of the relation: attribute of the table.
    from: Vec<Option<usize>>,
}

/// # Safety
/// Called by the server, with what it calls afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn _PG_output_plugin_init(callbacks: *mut pg_sys::OutputPluginCallbacks) {
    // SAFETY: the server's own structure.
    unsafe {
        (*callbacks).startup_cb = Some(startup);
        (*callbacks).begin_cb = Some(begin_transaction);
        (*callbacks).change_cb = Some(change);
        (*callbacks).truncate_cb = Some(truncate);
        (*callbacks).commit_cb = Some(commit);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn startup(
    _ctx: *mut pg_sys::LogicalDecodingContext,
    options: *mut pg_sys::OutputPluginOptions,
    _is_init: bool,
) {
    if SINK.get().is_null() {
        Error::WrongState {
            what: "output plugin \"pg_tviews\" is used by the background worker of pg_tviews only".into(),
            hint: Some("The worker makes and drops the slots that it needs, as pg_tviews.cdc_mode says.".into()),
        }
        .raise()
    }
    // SAFETY: the server's own structure.
    unsafe { (*options).output_type = pg_sys::OutputPluginOutputType::OUTPUT_PLUGIN_BINARY_OUTPUT };
}

/// What this process decodes into; `startup` has seen to it that there is one.
fn sink<'a>() -> Option<&'a mut Sink> {
    // SAFETY: made by `begin_use`, and never freed; callbacks do not call each other.
    unsafe { SINK.get().as_mut() }
}

#[pg_guard]
unsafe extern "C-unwind" fn begin_transaction(
    _ctx: *mut pg_sys::LogicalDecodingContext,
    _txn: *mut pg_sys::ReorderBufferTXN,
) {
    // The catalogs are those of another moment.
    if let Some(sink) = sink() {
        sink.targets.clear();
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn commit(
    _ctx: *mut pg_sys::LogicalDecodingContext,
    txn: *mut pg_sys::ReorderBufferTXN,
    _lsn: pg_sys::XLogRecPtr,
) {
    // SAFETY: the transaction that is being shown.
    let (xid, at) = unsafe {
        #[cfg(not(feature = "since_19"))]
        let at = (*txn).xact_time.commit_time;
        #[cfg(feature = "since_19")]
        let at = (*txn).__bindgen_anon_1.commit_time;
        ((*txn).xid, at)
    };
    if let Some(sink) = sink() {
        sink.store.commit(xid.into_inner(), at);
        sink.targets.clear();
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn truncate(
    _ctx: *mut pg_sys::LogicalDecodingContext,
    txn: *mut pg_sys::ReorderBufferTXN,
    count: i32,
    relations: *mut pg_sys::Relation,
    change: *mut pg_sys::ReorderBufferChange,
) {
    let Some(sink) = sink() else { return };
    // SAFETY: so many open relations; the change is live.
    unsafe {
        for relation in std::slice::from_raw_parts(relations, usize::try_from(count).unwrap_or(0)) {
            for target in sink.targets(txn, *relation).iter() {
                sink.add((*change).lsn, target, &[], &[]);
            }
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn change(
    _ctx: *mut pg_sys::LogicalDecodingContext,
    txn: *mut pg_sys::ReorderBufferTXN,
    relation: pg_sys::Relation,
    change: *mut pg_sys::ReorderBufferChange,
) {
    use pg_sys::ReorderBufferChangeType::*;
    let Some(sink) = sink() else { return };
    // SAFETY: an open relation and a change of it; the tuples live during the call.
    unsafe {
        let targets = sink.targets(txn, relation);
        if targets.is_empty() {
            return;
        }
        let change = &*change;
        let (old, new) = tuples(change);
        let whole = (*(*relation).rd_rel).relreplident as u8 == pg_sys::REPLICA_IDENTITY_FULL;
        let (needs_old, needs_new) = match change.action {
            REORDER_BUFFER_CHANGE_INSERT => (false, true),
            REORDER_BUFFER_CHANGE_UPDATE => (true, true),
            REORDER_BUFFER_CHANGE_DELETE => (true, false),
            _ => return,
        };
        let lacks = needs_old && (old.is_null() || !whole) || needs_new && new.is_null();
        if lacks {
            targets.iter().for_each(|target| sink.add(change.lsn, target, &[], &[]));
            return;
        }
        let arena = Arena::current();
        arena.enter(|| {
            let old = needs_old.then(|| Row::of(old, relation));
            let new = needs_new.then(|| Row::of(new, relation).completed(old.as_ref(), relation));
            for target in targets.iter() {
                let old = old.as_ref().map(|row| row.image(target));
                let new = new.as_ref().map(|row| row.image(target));
                if old == new {
                    continue;
                }
                sink.add(change.lsn, target, old.as_deref().unwrap_or(&[]), new.as_deref().unwrap_or(&[]));
            }
        });
    }
}

/// The rows before and after, or null.
///
/// # Safety
/// A live change of a row.
unsafe fn tuples(change: &pg_sys::ReorderBufferChange) -> (pg_sys::HeapTuple, pg_sys::HeapTuple) {
    // SAFETY: as the caller promises; until 16 tuples were behind a header.
    unsafe {
        let tp = &change.data.tp;
        #[cfg(feature = "since_17")]
        return (tp.oldtuple, tp.newtuple);
        #[cfg(not(feature = "since_17"))]
        {
            let of = |buffer: *mut pg_sys::ReorderBufferTupleBuf| match buffer.is_null() {
                true => std::ptr::null_mut(),
                false => &raw mut (*buffer).tuple,
            };
            (of(tp.oldtuple), of(tp.newtuple))
        }
    }
}

/// The values of a row.
struct Row {
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

impl Row {
    /// # Safety
    /// A row of an open relation.
    unsafe fn of(tuple: pg_sys::HeapTuple, relation: pg_sys::Relation) -> Row {
        // SAFETY: as the caller promises; one place for each attribute.
        unsafe {
            let desc = (*relation).rd_att;
            let n = (*desc).natts as usize;
            let (mut values, mut nulls) = (vec![pg_sys::Datum::from(0usize); n], vec![true; n]);
            pg_sys::heap_deform_tuple(tuple, desc, values.as_mut_ptr(), nulls.as_mut_ptr());
            Row { values, nulls }
        }
    }

    /// With the values that an UPDATE has left in the TOAST table: WAL has these in the old row only. Source: access/heap/heapam.c,
    /// ExtractReplicaIdentity; replication/logical/reorderbuffer.c, ReorderBufferToastReplace.
    ///
    /// # Safety
    /// A new row of the relation, and the old one with all values in it.
    unsafe fn completed(mut self, old: Option<&Row>, relation: pg_sys::Relation) -> Row {
        // SAFETY: as the caller promises.
        unsafe {
            for i in 0..self.values.len() {
                let att = &*tupdesc::attr((*relation).rd_att, i);
                if self.nulls[i] || att.attisdropped || att.attlen != -1 {
                    continue;
                }
                if is_left(self.values[i]) {
                    if let Some(old) = old.filter(|old| !old.nulls[i]) {
                        self.values[i] = old.values[i];
                    } else {
                        or_raise(Err::<(), _>(Error::Internal("a value of a changed row is not in WAL".into())));
                    }
                } else {
                    self.values[i] = fetched(self.values[i]);
                }
            }
            self
        }
    }

    /// # Safety
    /// The values are those of a row of the target's table.
    unsafe fn image(&self, target: &Target) -> Image {
        // SAFETY: as the caller promises; the descriptor is kept for ever.
        unsafe {
            let mut image = ImageBuilder::new(target.desc);
            for (i, from) in target.from.iter().enumerate() {
                image.set(i, from.and_then(|j| (!self.nulls[j]).then_some(self.values[j])));
            }
            image.image()
        }
    }
}

/// Whether a value of variable length is in a TOAST table.
///
/// # Safety
/// A value of variable length.
unsafe fn is_left(value: pg_sys::Datum) -> bool {
    // SAFETY: as the caller promises. The tag is the second byte of such a pointer: varatt.h, varattrib_1b_e.
    unsafe {
        let varlena = value.cast_mut_ptr::<pg_sys::varlena>();
        pgrx::varatt_is_1b_e(varlena) && *varlena.cast::<u8>().add(1) == pg_sys::vartag_external::VARTAG_ONDISK as u8
    }
}

impl Sink {
    fn add(&mut self, lsn: u64, target: &Target, old: &[u64], new: &[u64]) {
        let change = Change { lsn, source: target.source, shape: target.shape, old, new };
        if let Err(error) = self.store.add(&change) {
            Error::Internal(format!("could not write a temporary file: {error}")).raise()
        }
    }

    /// Where the rows of a table go: to the captured relations among itself and the tables above it, as they were then.
    ///
    /// # Safety
    /// The relation is open, and the catalogs are those of the change.
    unsafe fn targets(&mut self, txn: *mut pg_sys::ReorderBufferTXN, relation: pg_sys::Relation) -> Rc<[Target]> {
        // SAFETY: as the caller promises.
        unsafe {
            let relid = (*relation).rd_id.to_u32();
            // A transaction that changes catalogs may change these.
            let changes_catalogs = (*txn).txn_flags & pg_sys::RBTXN_HAS_CATALOG_CHANGES != 0;
            if let Some(known) = self.targets.get(&relid).filter(|_| !changes_catalogs) {
                return Rc::clone(known);
            }
            let above = ancestors((*relation).rd_id);
            let all = std::iter::once((*relation).rd_id).chain(above);
            let captured: Vec<pg_sys::Oid> = all.filter(|r| self.sources.contains(&r.to_u32())).collect();
            let found: Rc<[Target]> = captured.into_iter().filter_map(|source| self.target(source, relation)).collect();
            self.targets.insert(relid, Rc::clone(&found));
            found
        }
    }

    /// # Safety
    /// As for `targets`.
    unsafe fn target(&mut self, source: pg_sys::Oid, relation: pg_sys::Relation) -> Option<Target> {
        // SAFETY: as the caller promises; relations are opened without locks, as the reorder buffer does.
        unsafe {
            let base = pg_sys::RelationIdGetRelation(source);
            if base.is_null() {
                return None;
            }
            let (desc, own) = ((*base).rd_att, (*relation).rd_att);
            let shape = self.shapes.number(source.to_u32(), desc);
            let from = (0..(*desc).natts as usize).map(|i| position(&*tupdesc::attr(desc, i), own)).collect();
            pg_sys::RelationClose(base);
            let desc = self.shapes.get(shape)?;
            Some(Target { source: source.to_u32(), shape, desc, from })
        }
    }
}

/// The attribute of a table that an attribute of a relation above it, or of itself, has its values in.
///
/// # Safety
/// A valid descriptor.
unsafe fn position(wanted: &pg_sys::FormData_pg_attribute, desc: pg_sys::TupleDesc) -> Option<usize> {
    // A virtual generated column (18) is computed when it is read: rows do not have it.
    if wanted.attisdropped || wanted.attgenerated as u8 == b'v' {
        return None;
    }
    let name = attname(wanted);
    // SAFETY: as the caller promises.
    (0..unsafe { (*desc).natts } as usize).find(|i| {
        // SAFETY: as the caller promises.
        let att = unsafe { &*tupdesc::attr(desc, *i) };
        !att.attisdropped && attname(att) == name
    })
}
