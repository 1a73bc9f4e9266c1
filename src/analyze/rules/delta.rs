//! The weighted rows by which a join changes when its base relations do.
//!
//! Semantics: a query block below its GROUP BY is a multiset of rows, linear in a relation when that relation is on no
//! side that an outer join can null-extend and in no sub-query. Then, for changed relations T1 … Tn (each occurrence is
//! one of them), the delta is the sum over i of the block with Ti replaced by ΔTi, T1 … Ti-1 by their old state and
//! the others as they are now; the old state of T is T minus ΔT, a multiset with weights, and weights multiply. Change rows
//! come by sign, inserted and deleted ones, each as often as its weight says, so that every SELECT has one weight: a column
//! for it would be unknown to the joins above (ruleutils.c counts the columns of what it joins).
//! One T on the nullable side of an outer join L ⟕ R may be among them, the last in that order: its delta is that of the
//! rows with a partner (L ⋈ R, linear), plus the rows of L that have no partner now, minus those that had none before,
//! looked for among the rows of L that the change rows of T are partners of.
//! Invariant: exact, so it is either made or refused with a reason; simultaneous changes are neither lost nor counted
//! twice. Called by refresh/plan.

use crate::analyze::describe::{Block, Described, Item};
use crate::analyze::query::printed;
use crate::analyze::query::tree::{self, constant, outputs};
use crate::analyze::rules::change_rows::replace_by;
use crate::analyze::rules::fence;
use crate::analyze::rules::outer::nullable_places;
use crate::analyze::rules::texts::Texts;
use crate::analyze::rules::value_range::{self, Range};
use crate::pg::error::Result;
use crate::pg::fault::{self, Fault};
use crate::pg::{ext, list};
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use tviews_core::reason::Reason;

/// The SELECTs of a delta: weight, then targets.
#[derive(Default, Clone)]
pub struct Terms {
    /// To be run with the state after the changes.
    pub now: Vec<Texts>,
    /// To be run with the state before the changes.
    pub before: Vec<Texts>,
    /// Atoms that a change can null-extend or bring back: two writers can be blind to each other there.
    pub flips: BTreeSet<usize>,
    /// Keys of rows that must be found first.
    pub anchors: Vec<Anchors>,
    /// SELECTs of values: writers that have locked those of their changes are not blind to each other.
    pub locks: Vec<String>,
    /// Nothing less than one writer at a time will do.
    pub alone: bool,
    /// SELECTs of a boolean each: when one is false, the terms are not all.
    pub gates: Vec<String>,
}

/// A delta as a flush runs it.
pub struct Weighted {
    /// Weight, then targets; to be run with the state after the changes.
    pub now: Option<Texts>,
    /// To be run with the state before the changes.
    pub before: Option<Texts>,
    /// Keys of rows that must be found first.
    pub anchors: Vec<Anchors>,
    /// SELECTs of values that must be locked first.
    pub locks: Vec<String>,
    /// SELECTs of a boolean each: when one is false, the terms are not all.
    pub gates: Vec<String>,
    /// Two such changes can be blind to each other, whatever they lock of that.
    pub alone: bool,
}

impl From<Terms> for Weighted {
    fn from(terms: Terms) -> Weighted {
        let (now, before) = (Texts::union_all(&terms.now), Texts::union_all(&terms.before));
        let Terms { anchors, locks, gates, alone, .. } = terms;
        Weighted { now, before, anchors, locks, gates, alone }
    }
}

/// The keys of rows of a relation by which the SELECTs are restricted: they read them from tviews.dirty().
#[derive(Debug, Clone)]
pub struct Anchors {
    pub relid: u32,
    /// Key columns.
    pub columns: Vec<i16>,
    /// Finds the keys.
    pub select: Texts,
    /// Writers that have locked their keys are not blind to each other.
    pub lock: bool,
}

/// One term per changed occurrence; `targets` are expressions of the described query.
///
/// # Safety
/// `d` was described from a query that is alive; `targets` belong to it.
pub unsafe fn terms(
    d: &Described,
    targets: &[*mut pg_sys::Node],
    changed: &BTreeSet<u32>,
) -> Result<std::result::Result<Terms, Reason>> {
    // SAFETY: the caller promises: `d` was described from a query that is alive; `targets` belong to it.
    unsafe {
        let atoms = &d.description.atoms;
        let of_changed = |a: &usize| atoms[*a].relid.is_some_and(|r| changed.contains(&r));
        let (mut linear, mut optional) = (Vec::new(), Vec::new());
        for atom in (0..atoms.len()).filter(of_changed) {
            let mut places = Vec::new();
            if let Err(why) = nullable_places(d.block.query, &d.block, &atoms[atom].path, &[], &mut places) {
                return Ok(Err(why));
            }
            match places.len() {
                0 => linear.push(atom),
                1 => optional.push((atom, places.remove(0))),
                _ => return Ok(Err(Reason::TwoOuterJoins)),
            }
        }
        if optional.len() > 1 {
            return Ok(Err(Reason::SeveralNullable));
        }
        if linear.len() > 4 {
            return Ok(Err(Reason::ManyTogether));
        }
        let mut out = Terms::default();
        let term = |parts: &Parts, sign: i64, range: Option<&Range>| -> Result<Texts> {
            let query = ext::copy(d.block.query);
            put(query, &d.block, parts)?;
            if let Some(range) = range {
                range.add(query);
            }
            select(query, constant(sign), targets)
        };
        for (i, atom) in linear.iter().enumerate() {
            let range = value_range::find(d.block.query, d, *atom, targets)?;
            out.gates.extend(range.iter().map(|r| r.gate.clone()));
            let range = range.as_ref();
            for (sign, part) in CHANGES {
                // The last one sees all others as they were.
                let twice = fault::on(Fault::CountTogetherTwice);
                if i > 0 && i + 1 == linear.len() && optional.is_empty() && !twice {
                    out.before.push(term(&Parts::from([(*atom, part)]), sign, range)?);
                    continue;
                }
                for (weight, mut parts) in old_states(if twice { &[] } else { &linear[..i] }) {
                    parts.insert(*atom, part);
                    out.now.push(term(&parts, sign * weight, range)?);
                }
            }
        }
        if let Some((atom, place)) = optional.pop() {
            if place.side.iter().any(|a| linear.contains(a)) {
                return Ok(Err(Reason::BothSides));
            }
            // Rows with a partner: linear, once the join keeps only those. All other relations as they were.
            for (sign, part) in CHANGES {
                let query = ext::copy(d.block.query);
                place.keep_partners(place.find(query));
                put(query, &d.block, &Parts::from([(atom, part)]))?;
                out.before.push(select(query, constant(sign), targets)?);
            }
            // Rows that have lost their last partner, or have found the first one.
            for now in [true, false] {
                if fault::on(Fault::SkipPartners) {
                    continue;
                }
                let others = if now { old_states(&linear) } else { old_states(&[]) };
                for (weight, parts) in others {
                    let query = ext::copy(d.block.query);
                    if let Err(why) = place.without_partner(query, d, atom)? {
                        return Ok(Err(why));
                    }
                    put(query, &d.block, &parts)?;
                    if now {
                        out.now.push(select(query, constant(weight), targets)?);
                    } else {
                        out.before.push(select(query, constant(-weight), targets)?);
                    }
                }
            }
            // What the changed row is compared with may have been another row of the same side before.
            let known = linear.is_empty() || place.side == BTreeSet::from([atom]);
            let values = if known { place.partner_values(d, atom)? } else { None };
            out.alone = values.is_none();
            out.locks.extend(values);
            out.flips = place.side;
        }
        Ok(Ok(out))
    }
}

/// The SELECT of a weight and some expressions from the FROM and WHERE clauses of a query.
unsafe fn select(query: *mut pg_sys::Query, weight: *mut pg_sys::Node, targets: &[*mut pg_sys::Node]) -> Result<Texts> {
    // SAFETY: `query` is a live tree of the server; `weight` is a live node of such a tree; `targets` holds live nodes of that tree.
    unsafe {
        tree::strip(query);
        let mut list: *mut pg_sys::List = std::ptr::null_mut();
        for (i, node) in std::iter::once(&weight).chain(targets).enumerate() {
            let label = CString::new(format!("c{i}")).unwrap_or_default();
            let tle =
                pg_sys::makeTargetEntry(ext::copy(*node).cast(), i as i16 + 1, pg_sys::pstrdup(label.as_ptr()), false);
            list = pg_sys::lappend(list, tle.cast());
        }
        (*query).targetList = list;
        let at_once = printed::text(query)?;
        Ok(Texts { by_key: fence::text(query).unwrap_or_else(|| at_once.clone()), at_once })
    }
}

/// The output expressions of a query.
pub unsafe fn outputs_of(query: *mut pg_sys::Query) -> Vec<*mut pg_sys::Node> {
    // SAFETY: `query` is a live tree of the server.
    unsafe { outputs(query).into_iter().map(|t| ext::flatten_join_aliases(query, (*t).expr.cast())).collect() }
}

/// Change rows in the place of some occurrences.
type Parts = BTreeMap<usize, Part>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Inserted,
    Deleted,
}

const CHANGES: [(i64, Part); 2] = [(1, Part::Inserted), (-1, Part::Deleted)];

/// The old state of some occurrences as a sum: each is its rows, plus the deleted ones, minus the inserted ones.
fn old_states(atoms: &[usize]) -> Vec<(i64, Parts)> {
    let mut out = vec![(1, Parts::new())];
    for atom in atoms {
        let taken_back = CHANGES.iter().flat_map(|(sign, part)| {
            out.iter().map(move |(weight, parts)| {
                let mut parts = parts.clone();
                parts.insert(*atom, *part);
                (-sign * weight, parts)
            })
        });
        let taken_back: Vec<_> = taken_back.collect();
        out.extend(taken_back);
    }
    out
}

/// Replaces the occurrences in `query`, which mirrors `block`.
unsafe fn put(query: *mut pg_sys::Query, block: &Block, parts: &Parts) -> Result<()> {
    // SAFETY: `query` is a live tree of the server; `block` belongs to a query that is alive.
    unsafe {
        for (i, item) in &block.items {
            let rte = list::nth::<pg_sys::RangeTblEntry>((*query).rtable, i - 1);
            match item {
                Item::Atom(a) => match parts.get(a) {
                    Some(Part::Inserted) => replace_by(rte, "inserted")?,
                    Some(Part::Deleted) => replace_by(rte, "deleted")?,
                    None => {}
                },
                Item::Sub(sub) => put((*rte).subquery, sub, parts)?,
            }
        }
        Ok(())
    }
}
