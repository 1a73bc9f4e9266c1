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
//! twice. Called by refresh/fold and refresh/delta.

use super::change_rows::replace_by;
use super::describe::{Block, Described, Item};
use super::dirty::{find, is_nullable};
use super::load::outputs;
use super::texts::Texts;
use crate::capture::install::make;
use crate::pg::error::Result;
use crate::pg::fault::{self, Fault};
use crate::pg::{ext, list, walk};
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};

pub type Why = String;

/// The SELECTs of a delta: weight, then targets.
#[derive(Default, Clone)]
pub struct Terms {
    /// To be run with the state after the changes.
    pub now: Vec<Texts>,
    /// To be run with the state before the changes.
    pub before: Vec<Texts>,
    /// Atoms that a change can null-extend or bring back: two writers can be blind to each other there.
    pub flips: BTreeSet<usize>,
    /// Made by `anchor`, which needs keys in the change rows.
    pub anchored: bool,
}

/// One term per changed occurrence; `targets` are expressions of the described query.
///
/// # Safety
/// `d` was described from a query that is alive; `targets` belong to it.
pub unsafe fn terms(
    d: &Described,
    targets: &[*mut pg_sys::Node],
    changed: &BTreeSet<u32>,
) -> Result<std::result::Result<Terms, Why>> {
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
            _ => return Ok(Err("it is on the nullable side of two outer joins".into())),
        }
    }
    if optional.len() > 1 {
        return Ok(Err("several nullable sides of outer joins change together".into()));
    }
    if linear.len() > 4 {
        return Ok(Err("more than four relations change together".into()));
    }
    let mut out = Terms::default();
    let term = |parts: &Parts, sign: i64| -> Result<Texts> {
        let query = ext::copy(d.block.query);
        put(query, &d.block, parts)?;
        Ok(select(query, constant(sign), targets))
    };
    for (i, atom) in linear.iter().enumerate() {
        for (sign, part) in CHANGES {
            // The last one sees all others as they were.
            let twice = fault::on(Fault::CountTogetherTwice);
            if i > 0 && i + 1 == linear.len() && optional.is_empty() && !twice {
                out.before.push(term(&Parts::from([(*atom, part)]), sign)?);
                continue;
            }
            for (weight, mut parts) in old_states(if twice { &[] } else { &linear[..i] }) {
                parts.insert(*atom, part);
                out.now.push(term(&parts, sign * weight)?);
            }
        }
    }
    if let Some((atom, place)) = optional.pop() {
        if place.side.iter().any(|a| linear.contains(a)) {
            return Ok(Err("both sides of a join inside an outer join change together".into()));
        }
        // Rows with a partner: linear, once the join keeps only those. All other relations as they were.
        for (sign, part) in CHANGES {
            let query = ext::copy(d.block.query);
            place.keep_partners(place.find(query));
            put(query, &d.block, &Parts::from([(atom, part)]))?;
            out.before.push(select(query, constant(sign), targets));
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
                    out.now.push(select(query, constant(weight), targets));
                } else {
                    out.before.push(select(query, constant(-weight), targets));
                }
            }
        }
        out.flips = place.side;
    }
    Ok(Ok(out))
}

/// An outer join whose nullable side has the changed relation.
struct Place {
    /// Path of the block that the join is in.
    block: Vec<usize>,
    /// Range table index by which the join is found: that of the item of the changed relation.
    index: usize,
    /// Which of the joins above it, outermost first.
    nth: usize,
    in_left: bool,
    /// Atoms of the nullable side.
    side: BTreeSet<usize>,
}

impl Place {
    unsafe fn block_of(&self, query: *mut pg_sys::Query) -> *mut pg_sys::Query {
        super::lift::block_at(query, &self.block)
    }

    unsafe fn find(&self, query: *mut pg_sys::Query) -> *mut pg_sys::JoinExpr {
        let mut joins = Vec::new();
        find((*self.block_of(query)).jointree.cast(), self.index, &mut joins);
        joins[self.nth].join
    }

    /// The join keeps only rows in which the nullable side is there.
    unsafe fn keep_partners(&self, join: *mut pg_sys::JoinExpr) {
        use pg_sys::JoinType::*;
        (*join).jointype = match ((*join).jointype, self.in_left) {
            (JOIN_FULL, true) => JOIN_LEFT,
            (JOIN_FULL, false) => JOIN_RIGHT,
            _ => JOIN_INNER,
        };
    }

    /// Restricts the query to rows of the other side for which the change rows are partners, but which have none.
    unsafe fn without_partner(
        &self,
        query: *mut pg_sys::Query,
        d: &Described,
        atom: usize,
    ) -> Result<std::result::Result<(), Why>> {
        let block = self.block_of(query);
        let join = self.find(query);
        let side = if self.in_left { (*join).larg } else { (*join).rarg };
        let mut inside = Vec::new();
        super::relations::collect(side, &mut inside);
        let inside: BTreeSet<usize> = inside.into_iter().collect();
        let on = ext::flatten_join_aliases(block, (*join).quals);
        if !on.is_null() && pg_sys::checkExprHasSubLink(on) {
            return Ok(Err("a sub-query in the condition of an outer join".into()));
        }
        let lateral = |i: &usize| (*list::nth::<pg_sys::RangeTblEntry>((*block).rtable, i - 1)).lateral;
        if inside.iter().any(lateral) {
            return Ok(Err("LATERAL on the nullable side of an outer join".into()));
        }
        let partners = |changes: bool| -> Result<*mut pg_sys::Node> {
            let sub = make::<pg_sys::Query>(pg_sys::NodeTag::T_Query);
            (*sub).commandType = pg_sys::CmdType::CMD_SELECT;
            (*sub).canSetTag = true;
            (*sub).rtable = ext::copy((*block).rtable);
            blank_others((*sub).rtable, side, &inside);
            let from = make::<pg_sys::FromExpr>(pg_sys::NodeTag::T_FromExpr);
            (*from).fromlist = pg_sys::lappend(std::ptr::null_mut(), ext::copy(side).cast());
            (*from).quals = outward(ext::copy(on), &inside);
            (*sub).jointree = from;
            let one = pg_sys::makeTargetEntry(constant(1).cast(), 1, pg_sys::pstrdup(c"one".as_ptr()), false);
            (*sub).targetList = pg_sys::lappend(std::ptr::null_mut(), one.cast());
            if changes {
                let path = &d.description.atoms[atom].path[self.block.len()..];
                let last = super::lift::block_at(sub, &path[..path.len() - 1]);
                let rte = list::nth::<pg_sys::RangeTblEntry>((*last).rtable, path[path.len() - 1] - 1);
                replace_by(rte, "changed")?;
            }
            let link = make::<pg_sys::SubLink>(pg_sys::NodeTag::T_SubLink);
            (*link).subLinkType = pg_sys::SubLinkType::EXISTS_SUBLINK;
            (*link).subselect = sub.cast();
            (*link).location = -1;
            Ok(link.cast())
        };
        let (changed, present) = (partners(true)?, partners(false)?);
        let absent = make::<pg_sys::BoolExpr>(pg_sys::NodeTag::T_BoolExpr);
        (*absent).boolop = pg_sys::BoolExprType::NOT_EXPR;
        (*absent).args = pg_sys::lappend(std::ptr::null_mut(), present.cast());
        (*absent).location = -1;
        (*join).jointype = if self.in_left { pg_sys::JoinType::JOIN_RIGHT } else { pg_sys::JoinType::JOIN_LEFT };
        if !(*join).usingClause.is_null() {
            return Ok(Err("USING of an outer join".into()));
        }
        (*join).quals = pg_sys::makeBoolConst(false, false);
        let from = (*block).jointree;
        let mut all: Vec<*mut pg_sys::Node> = list::iter(pg_sys::make_ands_implicit((*from).quals.cast())).collect();
        all.extend([changed, absent.cast()]);
        (*from).quals = super::dirty::conjunction(all);
        (*block).hasSubLinks = true;
        Ok(Ok(()))
    }
}

/// Makes range table entries that are not below `side` empty ones: the deparser looks at all joins of a range table.
unsafe fn blank_others(rtable: *mut pg_sys::List, side: *mut pg_sys::Node, inside: &BTreeSet<usize>) {
    let mut kept = inside.clone();
    joins_below(side, &mut kept);
    for (i, rte) in list::iter::<pg_sys::RangeTblEntry>(rtable).enumerate() {
        if !kept.contains(&(i + 1)) {
            let empty = make::<pg_sys::RangeTblEntry>(pg_sys::NodeTag::T_RangeTblEntry);
            (*empty).rtekind = pg_sys::RTEKind::RTE_RESULT;
            (*empty).eref = pg_sys::makeAlias(c"none".as_ptr(), std::ptr::null_mut());
            *rte = *empty;
        }
    }
}

unsafe fn joins_below(node: *mut pg_sys::Node, out: &mut BTreeSet<usize>) {
    if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
        let join = node.cast::<pg_sys::JoinExpr>();
        out.insert((*join).rtindex as usize);
        joins_below((*join).larg, out);
        joins_below((*join).rarg, out);
    }
}

/// A condition for use inside a sub-query that has the relations `inside` itself.
unsafe fn outward(condition: *mut pg_sys::Node, inside: &BTreeSet<usize>) -> *mut pg_sys::Node {
    walk::rewrite(condition, &mut |node| {
        if !list::is(node, pg_sys::NodeTag::T_Var) {
            return None;
        }
        let var = node.cast::<pg_sys::Var>();
        if inside.contains(&((*var).varno as usize)) {
            return None;
        }
        let out = ext::copy(var);
        (*out).varlevelsup += 1;
        Some(out.cast())
    })
}

/// The SELECT of a weight and some expressions from the FROM and WHERE clauses of a query.
unsafe fn select(query: *mut pg_sys::Query, weight: *mut pg_sys::Node, targets: &[*mut pg_sys::Node]) -> Texts {
    super::dirty::strip(query);
    let mut list: *mut pg_sys::List = std::ptr::null_mut();
    for (i, node) in std::iter::once(&weight).chain(targets).enumerate() {
        let label = CString::new(format!("c{i}")).unwrap_or_default();
        let tle =
            pg_sys::makeTargetEntry(ext::copy(*node).cast(), i as i16 + 1, pg_sys::pstrdup(label.as_ptr()), false);
        list = pg_sys::lappend(list, tle.cast());
    }
    (*query).targetList = list;
    Texts::plain(CStr::from_ptr(pg_sys::pg_get_querydef(query, false)).to_string_lossy().into_owned())
}

/// The joins on the way to an atom that can null-extend it.
unsafe fn nullable_places(
    query: *mut pg_sys::Query,
    block: &Block,
    path: &[usize],
    above: &[usize],
    out: &mut Vec<Place>,
) -> std::result::Result<(), Why> {
    let index = path[0];
    let mut joins = Vec::new();
    find((*query).jointree.cast(), index, &mut joins);
    for (nth, on) in joins.iter().enumerate() {
        if is_nullable(on) {
            let mut side = Vec::new();
            super::relations::collect(if on.in_left { (*on.join).larg } else { (*on.join).rarg }, &mut side);
            let side = side.into_iter().flat_map(|i| block.atoms_of(i)).collect();
            out.push(Place { block: above.to_vec(), index, nth, in_left: on.in_left, side });
        }
    }
    let rte = list::nth::<pg_sys::RangeTblEntry>((*query).rtable, index - 1);
    if !(*rte).securityQuals.is_null() {
        return Err("row security hides some of its rows".into());
    }
    if whole_row(query, index) {
        return Err("a whole row is used".into());
    }
    if let Some(Item::Sub(sub)) = block.items.get(&index) {
        let mut below = above.to_vec();
        below.push(index);
        return nullable_places(sub.query, sub, &path[1..], &below, out);
    }
    Ok(())
}

/// The output expressions of a query.
pub unsafe fn outputs_of(query: *mut pg_sys::Query) -> Vec<*mut pg_sys::Node> {
    outputs(query).into_iter().map(|t| ext::flatten_join_aliases(query, (*t).expr.cast())).collect()
}

/// Whether a whole-row Var of this level's relation `index` occurs.
unsafe fn whole_row(query: *mut pg_sys::Query, index: usize) -> bool {
    walk::walk(query.cast(), &mut |node| {
        list::is(node, pg_sys::NodeTag::T_Var)
            && (*node.cast::<pg_sys::Var>()).varno as usize == index
            && (*node.cast::<pg_sys::Var>()).varattno <= 0
    })
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

unsafe fn constant(value: i64) -> *mut pg_sys::Node {
    let len = std::mem::size_of::<i64>() as i32;
    pg_sys::makeConst(pg_sys::INT8OID, -1, pg_sys::InvalidOid, len, pg_sys::Datum::from(value), false, true).cast()
}
