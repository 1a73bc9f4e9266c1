//! Change rows without the columns that a TVIEW does not use.
//!
//! Images in the queue have the columns that some TVIEW uses. For one TVIEW the other columns are set to NULL, as capture does for columns that no
//! TVIEW uses, and images are summed again: old and new rows that are equal in the columns that the TVIEW uses cancel out. A TVIEW without change
//! rows has nothing to follow: it is not opened, finds no keys and takes no locks.
//! Change sets that a flush has followed under another snapshot are summed each for itself: rows that the flush wrote and a later change undoes
//! must still be looked at. A stage has no columns that the query above it does not use.
//! Invariant: the rows returned have every column that SQL of the TVIEW can read of a change row: the columns captured for the TVIEW, and the key
//! of a source that is a TVIEW itself (analyze/rules/anchor.rs).
//! Called by the flush for each TVIEW and relation, when all TVIEWs below are up to date.

use crate::capture::trigger::ImageBuilder;
use crate::pg::error::Result;
use crate::pg::relation::Relation;
use crate::pg::slot;
use crate::queue::changes::ChangeSet;
use crate::queue::sums::Sums;
use crate::refresh::plan::graph::Graph;
use crate::refresh::plan::tview;
use crate::tam;
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::rc::Rc;

/// The change rows of a relation, as one TVIEW sees them; empty when no column that it uses has changed. `apart`: each set is summed for itself.
pub fn without(
    sets: Vec<Rc<ChangeSet>>,
    apart: bool,
    tview: u32,
    relid: u32,
    graph: &Graph,
) -> Result<Vec<Rc<ChangeSet>>> {
    if apart && sets.len() > 1 {
        let each = sets.into_iter().map(|set| without(vec![set], apart, tview, relid, graph));
        return Ok(each.collect::<Result<Vec<_>>>()?.concat());
    }
    let used = graph.columns(tview, relid);
    // Rows that only come, or only go, cancel nothing out.
    let may_cancel = sets.iter().any(|s| s.has(1)) && sets.iter().any(|s| s.has(-1));
    if !may_cancel || graph.is_stage(relid) || used.contains(&0) || sets.iter().any(|s| s.is_everything()) {
        return Ok(sets);
    }
    let is_tview = tam::is_tview(pg_sys::Oid::from(relid));
    if !is_tview && graph.captured(tview, relid).iter().all(|column| used.contains(column)) {
        return Ok(sets);
    }
    let Some(rel) = Relation::open(pg_sys::Oid::from(relid), pg_sys::AccessShareLock) else { return Ok(sets) };
    let mut kept: BTreeSet<i16> = used.clone();
    if is_tview {
        kept.extend(tview::stored_key(&rel).into_iter().flat_map(|key| key.columns));
        if (0..rel.natts()).all(|i| rel.attribute(i).attisdropped || kept.contains(&(i as i16 + 1))) {
            return Ok(sets);
        }
    }
    let left = project(&rel, &sets, &kept);
    Ok(if left.len() == 0 { Vec::new() } else { vec![Rc::new(left)] })
}

fn project(rel: &Relation, sets: &[Rc<ChangeSet>], kept: &BTreeSet<i16>) -> ChangeSet {
    let mut sums = Sums::default();
    // SAFETY: images are minimal tuples of the relation's row type; the values set belong to the row in the slot.
    unsafe {
        let row = pg_sys::MakeSingleTupleTableSlot(rel.tupdesc(), &pg_sys::TTSOpsMinimalTuple);
        let mut image = ImageBuilder::new(rel.tupdesc());
        for set in sets {
            set.each(|tuple, weight| {
                pg_sys::ExecStoreMinimalTuple(tuple, row, false);
                let (values, nulls) = slot::all(row);
                for column in kept.iter().filter(|c| **c > 0) {
                    let at = *column as usize - 1;
                    image.set(at, (!nulls[at]).then_some(values[at]));
                }
                sums.add(&image.image(), weight);
            });
        }
        pg_sys::ExecDropSingleTupleTableSlot(row);
    }
    let mut left = ChangeSet::default();
    for rows in sums.by_parts() {
        rows.iter().for_each(|(image, weight)| left.add_image(image, weight));
    }
    left
}
