//! The SELECTs of the weighted rows by which a join changes when its base relations do.
//!
//! The terms come from the delta equation (tviews_core::delta). Each term is one SELECT with one weight: a column for the weight would be unknown to
//! the joins above (ruleutils.c counts the columns of both sides). Rows of an outer join with a partner come from a join that keeps only these
//! rows; rows without a partner are found by two sub-queries, for a changed partner and for none (outer.rs).
//! Invariant: exact, so it is either made or refused with a reason; simultaneous changes are neither lost nor counted
//! twice. Called by refresh/plan.

use crate::analyze::describe::{Block, Described, Item};
use crate::analyze::query::tree::{self, constant, outputs};
use crate::analyze::query::{from, printed, relations};
use crate::analyze::rules::change_rows::{replace_by, replace_by_both};
use crate::analyze::rules::fence;
use crate::analyze::rules::forms::Forms;
use crate::analyze::rules::outer::nullable_places;
use crate::analyze::rules::value_range::{self, Range};
use crate::pg::error::Result;
use crate::pg::fault::{self, Fault};
use crate::pg::tree::{List, Node, Query, Text, Tree, list, make, server, walk};
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use tviews_core::delta::{Changed, Moment, Part, Parts, Rows, States, Term};
use tviews_core::reason::Reason;

/// The SELECTs of a delta: weight, then targets.
#[derive(Default, Clone)]
pub struct Terms {
    /// To be run with the state after the changes.
    pub now: Vec<Forms>,
    /// To be run with the state before the changes.
    pub before: Vec<Forms>,
    /// Atoms that a change can null-extend or bring back: two writers can be blind to each other there.
    pub flips: BTreeSet<usize>,
    /// Keys of rows that must be found first.
    pub anchors: Vec<Anchors>,
    /// Writers that have locked the values of their changes are not blind to each other.
    pub locks: Vec<Values>,
    /// Nothing less than one writer at a time will do.
    pub alone: bool,
    /// SELECTs of a boolean each: when one is false, the terms are not all.
    pub gates: Vec<String>,
    /// Whether some SELECT has rows of both signs.
    pub is_mixed: bool,
}

/// A delta as a flush runs it.
pub struct Weighted {
    /// Weight, then targets; to be run with the state after the changes.
    pub now: Option<Forms>,
    /// To be run with the state before the changes.
    pub before: Option<Forms>,
    /// Keys of rows that must be found first.
    pub anchors: Vec<Anchors>,
    /// Values that must be locked first.
    pub locks: Vec<Values>,
    /// SELECTs of a boolean each: when one is false, the terms are not all.
    pub gates: Vec<String>,
    /// Two writers of such changes can be blind to each other, whichever of these values and keys they lock.
    pub alone: bool,
}

impl From<Terms> for Weighted {
    fn from(terms: Terms) -> Weighted {
        let (now, before) = (Forms::union_all(&terms.now), Forms::union_all(&terms.before));
        let Terms { anchors, locks, gates, alone, .. } = terms;
        Weighted { now, before, anchors, locks, gates, alone }
    }
}

/// The keys of rows of a relation by which the SELECTs are restricted: the SELECTs read the keys from tviews.dirty(). Writers that have locked
/// their keys are not blind to each other.
#[derive(Debug, Clone)]
pub struct Anchors {
    pub relid: u32,
    /// Key columns.
    pub columns: Vec<i16>,
    /// Finds the keys.
    pub select: Forms,
}

/// The values by which changes on one side of an outer join find their partners.
#[derive(Debug, Clone)]
pub struct Values {
    /// The same number for all relations on this side, and no other side.
    pub place: u32,
    pub select: String,
}

/// What writers lock to see each other where rows depend on rows that they both change.
#[derive(Debug, PartialEq, Eq)]
pub enum Guard {
    Values(u32),
    /// Keys of a relation.
    Keys(u32, Vec<i16>),
}

impl Terms {
    pub fn guards(&self) -> Vec<Guard> {
        let values = self.locks.iter().map(|v| Guard::Values(v.place));
        values.chain(self.anchors.iter().map(Guard::of)).collect()
    }
}

impl Guard {
    pub fn of(anchors: &Anchors) -> Guard {
        Guard::Keys(anchors.relid, anchors.columns.clone())
    }
}

/// One term per changed occurrence; `targets` are expressions of the described query.
pub fn terms(
    d: &Described,
    targets: &[Node],
    changed: &BTreeSet<u32>,
    states: States,
) -> Result<std::result::Result<Terms, Reason>> {
    let atoms = &d.description.atoms;
    let of_changed = |a: &usize| atoms[*a].relid.is_some_and(|r| changed.contains(&r));
    let (mut occurrences, mut nullable) = (Changed::default(), None);
    for atom in (0..atoms.len()).filter(of_changed) {
        let mut places = Vec::new();
        let known = nullable_places(d.block.query, &d.block, &atoms[atom].path, &[], &mut places);
        let sides = places.iter().map(|p| p.side.clone());
        if let Err(why) = known.and_then(|()| occurrences.add(atom, sides)) {
            return Ok(Err(why));
        }
        nullable = places.pop().map(|place| (atom, place)).or(nullable);
    }
    let equation = match occurrences.terms(states) {
        Ok(equation) => with_faults(equation),
        Err(why) => return Ok(Err(why)),
    };
    let mut out = Terms::default();
    let mut ranges: BTreeMap<usize, Option<Range>> = BTreeMap::new();
    for atom in occurrences.linear() {
        let range = value_range::find(d.block.query, d, *atom, targets)?;
        out.gates.extend(range.iter().map(|r| r.gate.clone()));
        ranges.insert(*atom, range);
    }
    for term in equation {
        let query = d.block.query.copy();
        match (term.rows, &nullable) {
            (Rows::Partnered, Some((_, place))) => place.keep_partners(place.find(query)),
            (Rows::Alone, Some((atom, place))) => {
                if let Err(why) = place.without_partner(query, d, *atom)? {
                    return Ok(Err(why));
                }
            }
            _ => {}
        }
        put(query, &d.block, &term.parts)?;
        if let Rows::All(atom) = term.rows
            && let Some(Some(range)) = ranges.get(&atom)
        {
            range.add(query);
        }
        let select = select(query, constant(term.weight), targets)?;
        match term.moment {
            Moment::Now => out.now.push(select),
            Moment::Before => out.before.push(select),
        }
    }
    // One change, and nothing else in its place: the rest of the join is gone through once, instead of once for each sign.
    if let ([_, _], [], [atom]) = (&out.now[..], &out.before[..], occurrences.linear())
        && nullable.is_none()
        && let Some(both) = both_signs(d, *atom, ranges.get(atom).and_then(Option::as_ref), targets)?
    {
        let apart = Forms::union_all(&out.now).map(|forms| forms.by_key).unwrap_or_default();
        out.now = vec![Forms { by_key: apart, at_once: both }];
        out.is_mixed = true;
    }
    if let Some((atom, place)) = nullable {
        let values = if occurrences.values_tell() { place.partner_values(d, atom)? } else { None };
        out.alone = values.is_none();
        let first = place.side.first().map_or(0, |atom| *atom as u32);
        out.locks.extend(values.map(|select| Values { place: first, select }));
        out.flips = place.side;
    }
    Ok(Ok(out))
}

/// The SELECT of the rows of both signs of a change, those of positive weight first; None where the sign cannot be one column more of the change rows:
/// behind JOIN, whose columns are counted, in sub-queries, and where whole rows are read.
fn both_signs(d: &Described, atom: usize, range: Option<&Range>, targets: &[Node]) -> Result<Option<String>> {
    let Some(index) = d.block.items.iter().find_map(|(i, item)| match item {
        Item::Atom(a) if *a == atom => Some(*i),
        _ => None,
    }) else {
        return Ok(None);
    };
    let query = d.block.query.copy();
    let mut joins = Vec::new();
    let is_alone = from::find(query.jointree().cast(), index, &mut joins) && joins.is_empty();
    let reads_row = |node: Node| {
        walk::walk(node, &mut |n| {
            list::is(n, pg_sys::NodeTag::T_Var)
                && n.cast::<pg_sys::Var>().varno() as usize == index
                && n.cast::<pg_sys::Var>().varattno() <= 0
        })
    };
    if !is_alone || relations::reads_whole_row(query, index) || targets.iter().any(|t| reads_row(*t)) {
        return Ok(None);
    }
    let Some(sign) = replace_by_both(server::rt_fetch(index, query))? else { return Ok(None) };
    if let Some(range) = range {
        range.add(query);
    }
    let sign = make::var(index as i32, sign, (pg_sys::INT8OID, -1, pg_sys::InvalidOid), 0);
    let both = printed::or_none(select(query, sign.cast(), targets).map(Some))?;
    Ok(both.map(|both| format!("SELECT * FROM ({}) x ORDER BY 1 DESC", both.at_once)))
}

/// The equation without the terms that a fault takes out.
fn with_faults(mut equation: Vec<Term>) -> Vec<Term> {
    if fault::on(Fault::CountTogetherTwice) {
        equation.retain(|t| !matches!(t.rows, Rows::All(_)) || t.parts.len() == 1);
        equation.iter_mut().filter(|t| matches!(t.rows, Rows::All(_))).for_each(|t| t.moment = Moment::Now);
    }
    if fault::on(Fault::SkipPartners) {
        equation.retain(|t| t.rows != Rows::Alone);
    }
    equation
}

/// The SELECT of a weight and some expressions from the FROM and WHERE clauses of a query.
pub(super) fn select(query: Query, weight: Node, targets: &[Node]) -> Result<Forms> {
    tree::strip(query);
    let mut list: List = Tree::null();
    for (i, node) in std::iter::once(&weight).chain(targets).enumerate() {
        let label = CString::new(format!("c{i}")).unwrap_or_default();
        let tle = make::target(node.copy().cast(), i + 1, Text::of(&label), false);
        list = list::lappend(list, tle.cast());
    }
    query.set_targetList(list);
    let at_once = printed::text(query)?;
    Ok(Forms { by_key: fence::text(query).unwrap_or_else(|| at_once.clone()), at_once })
}

/// The output expressions of a query.
pub fn outputs_of(query: Query) -> Vec<Node> {
    outputs(query).into_iter().map(|t| server::flatten_join_aliases(query, t.expr())).collect()
}

/// Replaces the occurrences in `query`, which mirrors `block`.
fn put(query: Query, block: &Block, parts: &Parts) -> Result<()> {
    for (i, item) in &block.items {
        let rte = server::rt_fetch(*i, query);
        match item {
            Item::Atom(a) => match parts.get(a) {
                Some(Part::Inserted) => replace_by(rte, "inserted")?,
                Some(Part::Deleted) => replace_by(rte, "deleted")?,
                None => {}
            },
            Item::Sub(sub) => put(rte.subquery(), sub, parts)?,
        }
    }
    Ok(())
}
