//! The query for the keys of all rows that a change of one base relation can affect.
//!
//! For a change of T at one place of the FROM clause ("term"): T becomes its old and new change rows; every other
//! changed relation becomes itself plus its deleted rows; outer joins that could null-extend T become inner (full joins:
//! preserve T's side); conditions that a null-extended row may pass where the matched row does not are dropped; the key
//! is projected. Where such a join existed, for T or for another changed relation, the key is also projected as if that
//! side were null-extended, in every combination of such sides: a row of the old state may have had several of them.
//! Invariant: the result is a superset of the keys whose output rows differ between old and new state. It is only about
//! keys: the rows themselves are always recomputed from the real query.
//! Called by refresh (SQL of a flush) and by analysis (is it possible, and why not).

use crate::analyze::describe::{Block, Described, Item, KeyOf, describe};
use crate::analyze::query::conditions::{conditions, conjunction, mentions};
use crate::analyze::query::from::find;
use crate::analyze::query::tree::{outputs, strip};
use crate::analyze::query::{printed, relations};
use crate::analyze::rules::change_rows::{add_beside, drop_whole_rows, replace_by};
use crate::analyze::rules::forget::{Rows, forget_items};
use crate::analyze::rules::lift;
use crate::analyze::rules::null_extension::{
    drop_conditions, lateral_depends, nullable_side, others_depend, outer_conditions, survives,
};
use crate::analyze::rules::outer_links::{self, Others, Relaxed, Sought};
use crate::analyze::rules::value_range::{self, Range};
use crate::pg::error::Result;
use crate::pg::fault::{self, Fault};
use crate::pg::memory;
use crate::pg::tree::{List, Node, Query, Text, Tree, list, make, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::CString;
use tviews_core::null_extension::combinations;
use tviews_core::reason::Reason;

/// All terms for changes of some relations.
#[derive(Default)]
pub struct Terms {
    pub selects: Vec<String>,
    /// Places where the relations are read.
    pub occurrences: usize,
    /// Whether two writers of one relation can meet in one output row.
    pub meet: bool,
    /// SELECTs of a boolean each: when one is false, the terms are not all.
    pub gates: Vec<String>,
}

/// Builds the terms for all places where a query reads one of `changed`.
pub fn terms(
    query: Query,
    key: &[usize],
    changed: &BTreeSet<u32>,
    beside: Beside,
    key_of: KeyOf,
) -> Result<std::result::Result<Terms, Reason>> {
    let mut out = Terms::default();
    let cx = Collect { key, changed, beside, key_of };
    Ok(printed::or_why(cx.collect(query, &[], None, &mut out))?.map(|()| out))
}

/// The change rows that are added to the other changed relations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Their deleted rows: enough for a statement that sees the state after the changes.
    Deleted,
    /// All change rows: the same rows with the state before and after.
    Changed,
}

struct Collect<'a> {
    key: &'a [usize],
    changed: &'a BTreeSet<u32>,
    beside: Beside,
    key_of: KeyOf<'a>,
}

impl Collect<'_> {
    /// Terms of the relations in the FROM clause at and below `focus`, and of relations in sub-queries there. `origin`: the outer join, by its
    /// range table index, in whose condition the sub-query stood that `focus` is.
    fn collect(
        &self,
        query: Query,
        focus: &[usize],
        origin: Option<i32>,
        out: &mut Terms,
    ) -> Result<std::result::Result<(), Reason>> {
        if let Err(why) = self.places(query, focus, origin, out)? {
            return Ok(Err(why));
        }
        for site in lift::sites(query, focus, self.changed) {
            let origin = origin.or_else(|| site.link().and_then(|n| outer_links::around(query, n)));
            let collected = memory::aside(|| {
                let lifted = query.copy();
                match lift::lift(lifted, &site, self.key, self.changed) {
                    Ok(path) => self.collect(lifted, &path, origin, out),
                    Err(why) => Ok(Err(why)),
                }
            });
            if let Err(why) = collected? {
                return Ok(Err(why));
            }
        }
        Ok(Ok(()))
    }

    /// Terms of the relations in the FROM clause at and below `focus`.
    fn places(
        &self,
        query: Query,
        focus: &[usize],
        origin: Option<i32>,
        out: &mut Terms,
    ) -> Result<std::result::Result<(), Reason>> {
        if !lift::has_place(lift::block_at(query, focus), self.changed) {
            return Ok(Ok(()));
        }
        if !focus.is_empty() || outer_links::joins(query, self.changed).is_empty() {
            return self.at(query, focus, Wanted { lifted: !focus.is_empty(), origin }, out);
        }
        // What the joins say depends on where changes are looked for.
        for index in relations::in_from(query) {
            if lift::is_place(server::rt_fetch(index, query), self.changed)
                && let Err(why) = self.at(query, &[index], Wanted { lifted: false, origin }, out)?
            {
                return Ok(Err(why));
            }
        }
        Ok(Ok(()))
    }

    fn at(
        &self,
        query: Query,
        focus: &[usize],
        wanted: Wanted,
        out: &mut Terms,
    ) -> Result<std::result::Result<(), Reason>> {
        let mut alternative = 0;
        loop {
            match self.alternative(query, focus, wanted, alternative, out)? {
                Ok(all) if alternative + 1 < all => alternative += 1,
                found => return Ok(found.map(|_| ())),
            }
        }
    }

    /// The terms of one alternative; returns how many alternatives there are.
    fn alternative(
        &self,
        query: Query,
        focus: &[usize],
        wanted: Wanted,
        alternative: usize,
        out: &mut Terms,
    ) -> Result<std::result::Result<usize, Reason>> {
        let own = focus.first().copied();
        let relaxed = |rows: Rows, others: Others| {
            let clean = query.copy();
            let relaxed = match own {
                Some(own) => {
                    outer_links::relax(clean, Sought { own, origin: wanted.origin }, self.changed, others, alternative)?
                }
                None => Relaxed::default(),
            };
            lift::drop_changed_conditions(clean, self.changed)
                .and_then(|()| forget_items(clean, focus, self.key, self.changed, rows))
                .map(|widened| (clean, widened, relaxed))
        };
        let any = |others| relaxed(Rows::Any, others).or_else(|why| relaxed(Rows::All, others).map_err(|_| why));
        let (clean, widened, relaxed) = match any(Others::LeftOut).or_else(|why| any(Others::Paired).map_err(|_| why)) {
            Ok(relaxed) => relaxed,
            Err(why) => return Ok(Err(why)),
        };
        let d = describe(clean, self.key_of);
        for (a, atom) in d.description.atoms.iter().enumerate() {
            let beside = widened.iter().any(|path| atom.path.starts_with(path));
            if beside || !atom.path.starts_with(focus) || !atom.relid.is_some_and(|r| self.changed.contains(&r)) {
                continue;
            }
            // Below, conditions are missing.
            let range = if focus.is_empty() { value_range::find(query, &d, a, &[])? } else { None };
            out.gates.extend(range.iter().map(|r| r.gate.clone()));
            let place = Place { atom: a, own, origin: wanted.origin, range: range.as_ref(), relaxed: &relaxed };
            match memory::aside(|| term(&d, self.key, &place, self.changed, self.beside))? {
                Err(why) => return Ok(Err(why)),
                Ok(term) => {
                    out.meet |= wanted.lifted
                        || self.key.iter().any(|p| match d.description.outputs[*p] {
                            Some(c) => term.nulled.contains(&c.atom),
                            None => !term.nulled.is_empty(),
                        });
                    out.occurrences += usize::from(alternative == 0);
                    out.selects.extend(term.selects);
                }
            }
        }
        Ok(Ok(relaxed.alternatives))
    }
}

/// What changes are looked for in.
#[derive(Clone, Copy)]
struct Wanted {
    /// A sub-query that was lifted.
    lifted: bool,
    /// The outer join in whose condition it stood.
    origin: Option<i32>,
}

/// What a term is for.
struct Place<'a> {
    /// The atom whose changes are looked for.
    atom: usize,
    /// The item of FROM that it is in, if only this one is wanted.
    own: Option<usize>,
    /// The outer join in whose condition that item stood.
    origin: Option<i32>,
    /// What the term may be restricted by.
    range: Option<&'a Range>,
    relaxed: &'a Relaxed,
}

/// A term's SQL and the atoms that matter for concurrency.
struct Term {
    /// One SELECT per combination of null-extended sides, each with one column per key position.
    pub selects: Vec<String>,
    /// Atoms that can be null-extended.
    pub nulled: BTreeSet<usize>,
}

/// Builds the term for a change of atom `atom`.
fn term(
    d: &Described,
    key: &[usize],
    place: &Place,
    changed: &BTreeSet<u32>,
    beside: Beside,
) -> Result<std::result::Result<Term, Reason>> {
    let query = d.block.query.copy();
    let atoms = &d.description.atoms;
    let atom = place.atom;
    let mut edit = Edit { atom, changed, beside, groups: Vec::new() };
    let origin = place.origin.map(|join| (join, place.own));
    for (join, lifted) in origin.into_iter().chain(place.relaxed.paired.iter().map(|join| (*join, None))) {
        if let Err(why) = edit.null_extension_of(query, &d.block, join, lifted) {
            return Ok(Err(why));
        }
    }
    if let Err(why) = edit.null_extensions(query, &d.block, &atoms[atom].path, &atoms[atom].path, true) {
        return Ok(Err(why));
    }
    for (other, a) in atoms.iter().enumerate() {
        if other != atom
            && a.relid.is_some_and(|r| changed.contains(&r))
            && let Err(why) = edit.null_extensions(query, &d.block, &a.path, &atoms[atom].path, false)
        {
            return Ok(Err(why));
        }
    }
    let mut combinations = match combinations(&edit.groups) {
        Ok(combinations) => combinations,
        Err(why) => return Ok(Err(why)),
    };
    if fault::on(Fault::SkipNullExtension) {
        combinations.truncate(1);
    }
    if edit.whole_rows(query, &d.block) {
        return Ok(Err(Reason::WholeRow));
    }
    edit.replace(query, &d.block)?;
    let mut keys: Vec<Node> = Vec::new();
    let outs = outputs(query);
    for p in key {
        let expr = server::flatten_groups(query, outs[*p].expr());
        keys.push(server::flatten_join_aliases(query, expr));
    }
    strip(query);
    if let Some(range) = place.range {
        range.add(query);
    }
    for witness in &place.relaxed.witnesses {
        witness.add(query, changed, beside)?;
    }
    let mut selects = Vec::new();
    for group in &combinations {
        let mut variant = Vec::new();
        for k in &keys {
            match null_extend(&d.block, *k, group) {
                Some(expr) => variant.push(expr),
                None => return Ok(Err(Reason::KeyOfBothSides)),
            }
        }
        let select = project(query, &variant)?;
        if !selects.contains(&select) {
            selects.push(select);
        }
    }
    let nulled = edit.groups.iter().flatten().copied().collect();
    Ok(Ok(Term { selects, nulled }))
}

fn project(query: Query, keys: &[Node]) -> Result<String> {
    let mut targets: List = Tree::null();
    for (i, k) in keys.iter().enumerate() {
        let label = CString::new(format!("k{}", i + 1)).unwrap_or_default();
        let tle = make::target(k.copy().cast(), i + 1, Text::of(&label), false);
        targets = list::lappend(targets, tle.cast());
    }
    let copy = query.copy();
    copy.set_targetList(targets);
    printed::text(copy)
}

/// The key expression when the atoms of `group` are null-extended; None when it cannot be told.
fn null_extend(block: &Block, key: Node, group: &BTreeSet<usize>) -> Option<Node> {
    let mut possible = true;
    // Also inside of sub-queries: the row of a join with a name is a sub-query.
    let out = walk::rewrite_deep(key, &mut |node, depth| {
        if !list::is(node, pg_sys::NodeTag::T_Var) || node.cast::<pg_sys::Var>().varlevelsup() != depth {
            return None;
        }
        let var = node.cast::<pg_sys::Var>().copy();
        var.set_varlevelsup(0);
        let atoms = block.atoms_of(var.varno() as usize);
        if atoms.is_disjoint(group) {
            return None;
        }
        let inside = match block.resolve(var) {
            Some(col) => group.contains(&col.atom),
            None if atoms.is_subset(group)
                && matches!(block.items.get(&(var.varno() as usize)), Some(Item::Atom(_))) =>
            {
                true
            }
            None => {
                possible = false;
                false
            }
        };
        inside.then(|| make::null((var.vartype(), var.vartypmod(), var.varcollid())).cast::<pg_sys::Node>())
    });
    possible.then_some(out)
}

struct Edit<'a> {
    atom: usize,
    changed: &'a BTreeSet<u32>,
    beside: Beside,
    /// Sets of atoms that can be null-extended together because of the changes.
    groups: Vec<BTreeSet<usize>>,
}

impl Edit<'_> {
    /// Finds the sides that can be null-extended on the way to an atom, at this block and below, and drops the conditions that
    /// such rows may pass where matched rows do not. `convert`: the atom is the changed one, so that only its own rows
    /// are wanted and outer joins that would null-extend it become inner. `own`: the path of the changed one; empty outside of its block.
    fn null_extensions(
        &mut self,
        query: Query,
        block: &Block,
        path: &[usize],
        own: &[usize],
        convert: bool,
    ) -> std::result::Result<(), Reason> {
        let index = path[0];
        let mut joins = Vec::new();
        find(query.jointree().cast(), index, &mut joins);
        let mut local: Vec<BTreeSet<usize>> = Vec::new();
        for i in (0..joins.len()).rev() {
            let Some(side) = nullable_side(&joins[i], convert) else { continue };
            local.extend(survives(query, &joins[..i], side)?);
        }
        drop_conditions(query, &mut local);
        if local.iter().any(|side| lateral_depends(query, side, own.first().copied())) {
            return Err(Reason::LateralOfNullable);
        }
        for side in &local {
            let atoms = side.iter().flat_map(|i| block.atoms_of(*i)).collect();
            if !self.groups.contains(&atoms) {
                self.groups.push(atoms);
            }
        }
        if let Some(Item::Sub(sub)) = block.items.get(&index) {
            let rte = server::rt_fetch(index, query);
            let before = self.groups.len();
            let below = if own.first() == Some(&index) { &own[1..] } else { &[][..] };
            self.null_extensions(rte.subquery(), sub, &path[1..], below, convert)?;
            for group in &self.groups[before..] {
                outer_conditions(query, &joins, index, sub, group)?;
            }
        }
        Ok(())
    }

    /// The same for an outer join whose condition can have changed, by its range table index. `lifted`: the item that stood in its condition, and whose changes are
    /// looked for; rows in which the nullable side is there are wanted then, and those with NULLs in its place.
    fn null_extension_of(
        &mut self,
        query: Query,
        block: &Block,
        join: i32,
        lifted: Option<usize>,
    ) -> std::result::Result<(), Reason> {
        let Some(joins) = outer_links::path_of(query, join) else { return Err(Reason::SubqueryInOuterCondition) };
        let Some((last, above)) = joins.split_last() else { return Ok(()) };
        let Some(side) = nullable_side(last, lifted.is_some()) else { return Ok(()) };
        // What a lifted item says is about pairs of rows of the join.
        let from = query.jointree();
        let is_of_it = |c: &Node| lifted.is_some_and(|own| mentions(*c).contains(&own));
        let (of_it, others): (Vec<_>, Vec<_>) = conditions(from.quals()).into_iter().partition(is_of_it);
        from.set_quals(conjunction(others));
        let mut local: Vec<BTreeSet<usize>> = survives(query, above, side)?.into_iter().collect();
        drop_conditions(query, &mut local);
        from.set_quals(conjunction(conditions(from.quals()).into_iter().chain(of_it).collect()));
        if local.iter().any(|side| others_depend(query, side, lifted)) {
            return Err(Reason::LateralOfNullable);
        }
        for side in local {
            let atoms = side.iter().flat_map(|i| block.atoms_of(*i)).collect();
            if !self.groups.contains(&atoms) {
                self.groups.push(atoms);
            }
        }
        Ok(())
    }

    /// Whether outputs have whole rows of other changed relations, which change rows would make incomplete.
    fn whole_rows(&self, query: Query, block: &Block) -> bool {
        block.items.iter().any(|(i, item)| {
            let rte = server::rt_fetch(*i, query);
            match item {
                Item::Sub(sub) => self.whole_rows(rte.subquery(), sub),
                Item::Atom(a) if *a == self.atom => false,
                Item::Atom(_) => {
                    rte.rtekind() == pg_sys::RTEKind::RTE_RELATION
                        && self.changed.contains(&rte.relid().to_u32())
                        && list::iter::<pg_sys::Var>(server::pull_vars_of_level(query.targetList().cast(), 0))
                            .any(|var| var.varno() as usize == *i && var.varattno() <= 0)
                }
            }
        })
    }

    /// Puts change rows in the place of the changed atom, and deleted rows beside every other changed relation.
    fn replace(&self, query: Query, block: &Block) -> Result<()> {
        for (i, item) in &block.items {
            let rte = server::rt_fetch(*i, query);
            match item {
                Item::Sub(sub) => self.replace(rte.subquery(), sub)?,
                Item::Atom(a) if *a == self.atom => replace_by(rte, "changed")?,
                Item::Atom(_) => {
                    let relation = rte.rtekind() == pg_sys::RTEKind::RTE_RELATION;
                    let relation = relation && !fault::on(Fault::SkipDeletedOfOthers);
                    if relation && self.changed.contains(&rte.relid().to_u32()) {
                        drop_whole_rows(query, *i);
                        add_beside(rte, self.beside)?;
                    }
                }
            }
        }
        Ok(())
    }
}
