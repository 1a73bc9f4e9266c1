//! Decoded transactions → rows of logs.
//!
//! Invariant: with the rows, the same transaction writes up to where WAL has been read, so each decoded transaction is in the logs once. A change is
//! written when its relation is captured from WAL where its record begins (`Span::has`), as the catalog says when the transaction that made it
//! has ended: the catalog is not ahead of it, nor behind a DDL statement in it. Columns that no deferred TVIEW uses are NULL, as in images that
//! triggers make; images that are equal then are left out.
//! Called by the worker, in a transaction of its own.

use super::plugin::Shapes;
use super::store::{Change, Store};
use crate::capture::trigger::ImageBuilder;
use crate::catalog::wal::{self, Span};
use crate::catalog::{self, deferred};
use crate::log::write::{self, By, Writer};
use crate::pg::error::{Error, Result};
use crate::pg::memory::Arena;
use crate::pg::relation::{Relation, TABLEOID};
use crate::pg::slot;
use crate::queue::changes::Image;
use pgrx::pg_sys;
use std::collections::{BTreeSet, HashMap};

/// Part of all rows that come from WAL: never one that a refresh inside of their transaction has followed.
const PART: i32 = i32::MAX;

/// A relation whose changes are written.
struct Sought {
    span: Span,
    log: Relation,
    /// 0 stands for all.
    columns: BTreeSet<i16>,
    /// Rows cannot tell what a reader wants to know.
    entirely: bool,
}

/// Writes what is in the store, and that WAL has been read up to `upto`.
pub fn write(store: &mut Store, shapes: &Shapes, upto: u64) -> Result<()> {
    for transaction in &store.transactions {
        wait(transaction.xid.into());
    }
    let sought = sought(store)?;
    let by: Vec<By> = store.transactions.iter().map(|t| By { xid: widen(t.xid), at: t.at, part: PART }).collect();
    let mut writers: HashMap<u32, Writer> = HashMap::new();
    let arena = Arena::current();
    let mut entirely: BTreeSet<(usize, u32)> = BTreeSet::new();
    let result = store.each(|number, change| {
        let Some(to) = sought.get(&change.source).filter(|s| s.span.has(change.lsn)) else { return };
        if entirely.contains(&(number, change.source)) {
            return;
        }
        // SAFETY: logs are open for writing until the end; images have the shape that they were made with.
        unsafe {
            let writer = writers.entry(change.source).or_insert_with(|| Writer::open(&to.log, by[number]));
            writer.go_on_as(by[number]);
            if to.entirely || change.old.is_empty() && change.new.is_empty() {
                entirely.insert((number, change.source));
                return writer.put(None, &[]);
            }
            let images = arena.enter(|| restricted(change, shapes, &to.columns));
            arena.reset();
            let Some((old, new)) = images else { return };
            for (image, weight) in [(old, -1), (new, 1)].into_iter().filter_map(|(i, w)| Some((i?, w))) {
                let (_, bytes, _) = image.align_to::<u8>();
                writer.put(Some(weight), &bytes[..length(&image)]);
            }
        }
    });
    result.map_err(|error| Error::Internal(format!("could not read a temporary file: {error}")))?;
    for (_, writer) in writers {
        // SAFETY: opened above.
        unsafe { writer.finish() };
    }
    wal::confirm(upto)
}

/// Waits until a transaction has ended for everybody: it has written that it commits, but others may not see that yet.
fn wait(xid: pg_sys::TransactionId) {
    // SAFETY: a transaction of this server.
    unsafe {
        if pg_sys::TransactionIdIsInProgress(xid) {
            pg_sys::XactLockTableWait(xid, std::ptr::null_mut(), std::ptr::null_mut(), pg_sys::XLTW_Oper::XLTW_None);
        }
    }
}

/// The number of a transaction that has not ended long ago. Source: utils/adt/xid8funcs.c.
fn widen(xid: u32) -> u64 {
    // SAFETY: a plain getter.
    let next = unsafe { pg_sys::ReadNextFullTransactionId().value };
    next.saturating_sub(u64::from((next as u32).wrapping_sub(xid)))
}

/// The relations that changes in the store are written of.
fn sought(store: &Store) -> Result<HashMap<u32, Sought>> {
    let mut found = HashMap::new();
    if store.is_empty() {
        return Ok(found);
    }
    let sources = catalog::sources(|_| true);
    let deferred = deferred::all(&sources);
    for span in wal::all().into_iter().filter(|span| store.sources.contains(&span.source.to_u32())) {
        let source = span.source.to_u32();
        let Some(log) = write::open(source) else { continue };
        let readers = sources.iter().filter(|s| s.relid == span.source && deferred.contains(&s.tview.to_u32()));
        let columns: BTreeSet<i16> = readers.flat_map(|s| s.columns.iter().copied()).collect();
        let entirely = columns.contains(&TABLEOID);
        found.insert(source, Sought { span, log, columns, entirely });
    }
    Ok(found)
}

/// The images with the columns that are used; None when these do not differ.
///
/// # Safety
/// The images have the shape that the change names.
unsafe fn restricted(
    change: &Change,
    shapes: &Shapes,
    columns: &BTreeSet<i16>,
) -> Option<(Option<Image>, Option<Image>)> {
    let desc = shapes.get(change.shape)?;
    // SAFETY: as the caller promises.
    let image = |of: &[u64]| (!of.is_empty()).then(|| unsafe { with_columns(of, desc, columns) });
    let (old, new) = (image(change.old), image(change.new));
    (old != new).then_some((old, new))
}

/// # Safety
/// An image of the row type.
unsafe fn with_columns(image: &[u64], desc: pg_sys::TupleDesc, columns: &BTreeSet<i16>) -> Image {
    if columns.contains(&0) {
        return image.into();
    }
    // SAFETY: as the caller promises; the slot goes before its tuple does.
    unsafe {
        let row = pg_sys::MakeSingleTupleTableSlot(desc, &pg_sys::TTSOpsMinimalTuple);
        pg_sys::ExecStoreMinimalTuple(image.as_ptr().cast_mut().cast(), row, false);
        let (values, nulls) = slot::all(row);
        let mut builder = ImageBuilder::new(desc);
        for i in (0..values.len()).filter(|i| columns.contains(&(*i as i16 + 1))) {
            builder.set(i, (!nulls[i]).then_some(values[i]));
        }
        let image = builder.image();
        pg_sys::ExecDropSingleTupleTableSlot(row);
        image
    }
}

/// Bytes of an image, without what fills its last word.
fn length(image: &Image) -> usize {
    // SAFETY: an image begins like a minimal tuple.
    unsafe { (*image.as_ptr().cast::<pg_sys::MinimalTupleData>()).t_len as usize }
}
