//! A block over atoms, and the loops through it.
//!
//! Invariant: an expression over atoms has no Vars but those of columns of atoms, with the number of the atom, from 1, in the place of a relation's.

use super::frame::{Frame, INPUT};
use super::look_up::{Draft, by_key, draft};
use super::{NestedLoop, Step};
use crate::analyze::describe::{Block, Described, Item};
use crate::analyze::query::tree::{Type, type_of};
use crate::pg::relation::Relation;
use crate::pg::tree::{Node, list, lsyscache, make, server, walk};
use pgrx::pg_sys::{self, NodeTag, Oid};
use std::collections::{BTreeMap, BTreeSet};

/// A condition of the block, its Vars being those of atoms: relation number is the number of the atom, from 1.
#[derive(Clone)]
pub(super) struct Condition {
    pub(super) node: Node,
    atoms: BTreeSet<usize>,
}

/// A block whose joins, conditions and expressions are about atoms.
pub struct Flat<'a> {
    block: &'a Block,
    /// By atom.
    relations: Vec<Oid>,
    conditions: Vec<Condition>,
    /// Conditions of the outer join by which an atom is optional.
    optional: BTreeMap<usize, Vec<Condition>>,
}

impl<'a> Flat<'a> {
    /// None for a block that cannot be run as a loop.
    pub fn of(described: &'a Described) -> Option<Flat<'a>> {
        let block = &described.block;
        let relations = described.description.atoms.iter().map(|a| a.relid.map(Oid::from)).collect::<Option<_>>()?;
        let mut flat = Flat { block, relations, conditions: Vec::new(), optional: BTreeMap::new() };
        flat.collect(block.query.jointree().cast(), block)?;
        Some(flat)
    }

    fn collect(&mut self, node: Node, block: &Block) -> Option<()> {
        match node.tag() {
            NodeTag::T_FromExpr => {
                let from = node.cast::<pg_sys::FromExpr>();
                for item in list::iter::<pg_sys::Node>(from.fromlist()) {
                    self.collect(item, block)?;
                }
                self.conditions.extend(conditions(block, from.quals())?);
            }
            NodeTag::T_JoinExpr => {
                let join = node.cast::<pg_sys::JoinExpr>();
                let (kept, other) = match join.jointype() {
                    pg_sys::JoinType::JOIN_INNER => {
                        self.collect(join.larg(), block)?;
                        self.collect(join.rarg(), block)?;
                        self.conditions.extend(conditions(block, join.quals())?);
                        return Some(());
                    }
                    pg_sys::JoinType::JOIN_LEFT => (join.larg(), join.rarg()),
                    pg_sys::JoinType::JOIN_RIGHT => (join.rarg(), join.larg()),
                    _ => return None,
                };
                self.collect(kept, block)?;
                self.collect(other, block)?;
                let index = (other.tag() == NodeTag::T_RangeTblRef)
                    .then(|| other.cast::<pg_sys::RangeTblRef>().rtindex() as usize)?;
                let Some(Item::Atom(atom)) = block.items.get(&index) else { return None };
                self.optional.insert(*atom, conditions(block, join.quals())?);
            }
            NodeTag::T_RangeTblRef => {
                let index = node.cast::<pg_sys::RangeTblRef>().rtindex() as usize;
                let rte = server::rt_fetch(index, block.query);
                if !rte.securityQuals().is_null() || rte.security_barrier() || !rte.tablesample().is_null() {
                    return None;
                }
                match block.items.get(&index)? {
                    Item::Sub(sub) => self.collect(sub.query.jointree().cast(), sub)?,
                    Item::Atom(_) => is_single(rte.relid(), rte.inh()).then_some(())?,
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// The atom of a relation that stands in one place.
    pub fn atom_of(&self, relid: u32) -> Option<usize> {
        let mut places = self.relations.iter().enumerate().filter(|(_, r)| r.to_u32() == relid);
        let found = places.next()?.0;
        places.next().is_none().then_some(found)
    }

    /// An expression of the block over atoms.
    pub fn expression(&self, node: Node) -> Option<Node> {
        flat(self.block, server::flatten_groups(self.block.query, node))
    }

    /// The atom and the column that an expression of the block is.
    pub fn column(&self, node: Node) -> Option<(usize, i16)> {
        let var = self.expression(node)?;
        (var.tag() == NodeTag::T_Var)
            .then(|| (var.cast::<pg_sys::Var>().varno() as usize - 1, var.cast::<pg_sys::Var>().varattno()))
    }

    /// From a row of an atom to all rows that the block makes of it.
    pub fn starting_at(&self, atom: usize, targets: &[Node]) -> Option<NestedLoop> {
        if self.optional.contains_key(&atom) {
            return None;
        }
        let drafts = self.complete(BTreeSet::from([atom]), Vec::new())?;
        self.finish(Some(atom), &[], drafts, targets, &self.conditions, None)
    }

    /// From columns that are a key of an atom to the row of the block with this key. All partners are looked up by keys.
    pub fn of_key(&self, atom: usize, columns: &[i16], targets: &[Node]) -> Option<NestedLoop> {
        if self.optional.contains_key(&atom) {
            return None;
        }
        let first = Draft { atom, outer: false, ..by_key(self.relations[atom], columns, true)? };
        let drafts = self.complete(BTreeSet::from([atom]), vec![first])?;
        let types = columns.iter().map(|c| lsyscache::get_atttypetypmodcoll(self.relations[atom], *c));
        let inputs: Vec<Type> = types.collect();
        drafts.iter().all(|d| d.unique).then_some(())?;
        self.finish(None, &inputs, drafts, targets, &self.conditions, None)
    }

    /// From a row of an atom to columns of rows of another atom, as many as can belong to it at least.
    pub fn reach(&self, from: usize, to: usize, targets: &[Node]) -> Option<NestedLoop> {
        self.finish(Some(from), &[], self.way(from, to)?, targets, &[], None)
    }

    /// From a row of an atom, over all columns of rows of another atom that `reach` finds, to the rows that the block makes of it.
    pub fn through(&self, from: usize, to: usize, reached: &[Node], targets: &[Node]) -> Option<NestedLoop> {
        let way = self.way(from, to)?;
        let bound: BTreeSet<usize> = way.iter().map(|d| d.atom).chain([from]).collect();
        if bound.iter().any(|a| self.optional.contains_key(a)) {
            return None;
        }
        let on_the_way = way.len();
        let drafts = self.complete(bound, way)?;
        self.finish(Some(from), &[], drafts, targets, &self.conditions, Some((on_the_way, reached)))
    }

    /// From a row of an atom, by way of the row with a key that it is part of, to expressions that may look at few of the atoms only: the others are
    /// left out. `columns`: the key, of atom `to`.
    ///
    /// Let a be a row of `to` that has a row in the block. Its partner in `from` is found from a by equalities along a chain of unique indexes. The
    /// loop has all atoms of this chain, and holds all conditions about its atoms to be true, these equalities among them: so the row
    /// that it started with is that partner. A row that is read besides is found by a unique index, too.
    pub fn parts(&self, from: usize, to: usize, columns: &[i16], targets: &[Node]) -> Option<NestedLoop> {
        let way = self.way(from, to)?;
        let mut needed: BTreeSet<usize> = way.iter().map(|d| d.atom).chain([from, to]).collect();
        if from != to {
            needed.extend(self.chain(from, to, columns)?);
        }
        if needed.iter().any(|a| self.optional.contains_key(a)) {
            return None;
        }
        let mut read: Vec<usize> = targets.iter().flat_map(|t| atoms_of(*t)).collect();
        while let Some(atom) = read.pop() {
            if needed.insert(atom) {
                read.extend(self.optional.get(&atom).into_iter().flatten().flat_map(|c| c.atoms.iter().copied()));
            }
        }
        let bound = way.iter().map(|d| d.atom).chain([from]).collect();
        let on_the_way = way.len();
        let drafts = self.bind(bound, way, &needed)?;
        drafts[on_the_way..].iter().all(|d| d.unique).then_some(())?;
        let held: Vec<Condition> = self.conditions.iter().filter(|c| c.atoms.is_subset(&needed)).cloned().collect();
        self.finish(Some(from), &[], drafts, targets, &held, None)
    }

    /// The atoms by which the row of `from` is found that belongs to a key of `to`.
    fn chain(&self, from: usize, to: usize, columns: &[i16]) -> Option<BTreeSet<usize>> {
        let first = Draft { atom: to, outer: false, ..by_key(self.relations[to], columns, true)? };
        let drafts = self.complete(BTreeSet::from([to]), vec![first])?;
        let mut chain = BTreeSet::from([from]);
        for draft in drafts.iter().rev().filter(|d| d.atom != to) {
            if chain.contains(&draft.atom) {
                draft.unique.then_some(())?;
                chain.extend(draft.keys.iter().flat_map(|k| atoms_of(k.node)));
            }
        }
        Some(chain)
    }

    /// The steps from a row of an atom to the rows of another one. The condition of an outer join holds only where the row of its optional side is
    /// there: for the row that the way begins with, and for rows that an equality has led to, which NULLs would not satisfy.
    fn way(&self, from: usize, to: usize) -> Option<Vec<Draft>> {
        let mut bound = BTreeSet::from([from]);
        let mut drafts: Vec<Draft> = Vec::new();
        while !bound.contains(&to) {
            let of_bound = bound.iter().filter_map(|atom| self.optional.get(atom)).flatten();
            let all: Vec<&Condition> = self.conditions.iter().chain(of_bound).collect();
            let unbound = (0..self.relations.len()).filter(|a| !bound.contains(a));
            let found = unbound.filter_map(|a| draft(a, self.relations[a], &bound, &all));
            // The goal first: the fewest relations on the way.
            let best = found.max_by_key(|d| (d.atom == to, d.unique, d.keys.len()))?;
            bound.insert(best.atom);
            drafts.push(best);
        }
        let mut needed = BTreeSet::from([to]);
        let mut kept = Vec::new();
        for draft in drafts.into_iter().rev().filter(|d| d.atom != from) {
            if needed.contains(&draft.atom) {
                needed.extend(draft.keys.iter().flat_map(|k| atoms_of(k.node)));
                kept.insert(0, draft);
            }
        }
        Some(kept)
    }

    /// Adds the steps by which all atoms are bound.
    fn complete(&self, bound: BTreeSet<usize>, drafts: Vec<Draft>) -> Option<Vec<Draft>> {
        self.bind(bound, drafts, &(0..self.relations.len()).collect())
    }

    /// Adds the steps by which these atoms are bound.
    fn bind(&self, mut bound: BTreeSet<usize>, mut drafts: Vec<Draft>, wanted: &BTreeSet<usize>) -> Option<Vec<Draft>> {
        while !wanted.is_subset(&bound) {
            let found = wanted.difference(&bound).filter_map(|&atom| match self.optional.get(&atom) {
                None => draft(atom, self.relations[atom], &bound, &self.conditions.iter().collect::<Vec<_>>()),
                Some(on) => {
                    let known = |c: &Condition| c.atoms.iter().all(|a| *a == atom || bound.contains(a));
                    on.iter().all(known).then_some(())?;
                    let found = draft(atom, self.relations[atom], &bound, &on.iter().collect::<Vec<_>>())?;
                    Some(Draft { outer: true, ..found })
                }
            });
            let best = found.max_by_key(|d| (d.unique, !d.outer, d.keys.len()))?;
            bound.insert(best.atom);
            drafts.push(best);
        }
        Some(drafts)
    }

    /// Gives the columns that are looked at their places, and conditions to the step behind which they can be evaluated.
    /// `start`: the atom whose row the loop starts with; without one, it starts with values of the types `inputs`. `reached`: after so many steps,
    /// before any condition is looked at, these values are shown.
    fn finish(
        &self,
        start: Option<usize>,
        inputs: &[Type],
        drafts: Vec<Draft>,
        targets: &[Node],
        where_: &[Condition],
        reached: Option<(usize, &[Node])>,
    ) -> Option<NestedLoop> {
        let mut frame = Frame { columns: Vec::new(), types: inputs.to_vec() };
        let mut bound: BTreeSet<usize> = start.into_iter().collect();
        let mut left: Vec<&Condition> = where_.iter().collect();
        let mut used: Vec<Node> = Vec::new();
        let mut due = |bound: &BTreeSet<usize>, used: &[Node]| {
            let (now, later): (Vec<_>, Vec<_>) = left.iter().partition(|c| c.atoms.is_subset(bound));
            left = later;
            now.into_iter().map(|c| c.node).filter(|n| !used.contains(n)).collect::<Vec<Node>>()
        };
        let quiet = reached.map_or(0, |(steps, _)| steps + 1);
        let first = if quiet == 0 { due(&bound, &used) } else { Vec::new() };
        let conditions = first.into_iter().map(|c| frame.computed(c)).collect::<Option<_>>()?;
        let mut steps = Vec::new();
        for (number, draft) in drafts.into_iter().enumerate() {
            let keys = draft.keys.iter().map(|k| k.with(frame.value(k.node)?)).collect::<Option<_>>()?;
            bound.insert(draft.atom);
            used.extend(draft.keys.iter().filter_map(|k| k.of));
            let own = match self.optional.get(&draft.atom).filter(|_| draft.outer) {
                Some(on) => on.iter().map(|c| c.node).filter(|n| !used.contains(n)).collect(),
                None if number + 1 < quiet => Vec::new(),
                None => due(&bound, &used),
            };
            let conditions = own.into_iter().map(|c| frame.computed(c)).collect::<Option<_>>()?;
            steps.push((draft, keys, conditions));
        }
        left.retain(|c| !used.contains(&c.node));
        let values_of =
            |nodes: &[Node], frame: &mut Frame| nodes.iter().map(|t| frame.value(*t)).collect::<Option<_>>();
        let reached = match reached {
            Some((steps, nodes)) => Some((steps, values_of(nodes, &mut frame)?)),
            None => None,
        };
        let at_last = left.into_iter().map(|c| frame.computed(c.node)).collect::<Option<_>>()?;
        let values = values_of(targets, &mut frame)?;
        let mut finished: Vec<Step> = Vec::new();
        for (draft, keys, conditions) in steps {
            let columns = frame.places_of(draft.atom, self.relations[draft.atom])?;
            let (relid, index) = (self.relations[draft.atom], draft.index);
            finished.push(Step { relid, index, keys, columns, conditions, outer: draft.outer, unique: draft.unique });
        }
        let inputs = match start {
            Some(atom) => frame.places_of(atom, self.relations[atom])?,
            None => (0..inputs.len()).map(|i| (i as i16 + 1, i)).collect(),
        };
        Some(NestedLoop {
            frame: frame.types,
            inputs,
            conditions,
            steps: finished,
            at_last,
            values,
            reached,
            arena: None,
        })
    }
}

/// Whether a relation is one table, or a materialized view: its rows are nowhere else.
fn is_single(relid: Oid, with_children: bool) -> bool {
    Relation::open(relid, pg_sys::AccessShareLock).is_some_and(|rel| {
        let plain = matches!(rel.relkind(), pg_sys::RELKIND_RELATION | pg_sys::RELKIND_MATVIEW);
        plain && !(with_children && rel.class().relhassubclass)
    })
}

/// The terms of a condition, over atoms.
fn conditions(block: &Block, quals: Node) -> Option<Vec<Condition>> {
    if quals.is_null() {
        return Some(Vec::new());
    }
    let terms = server::make_ands_implicit(flat(block, quals)?);
    Some(list::iter::<pg_sys::Node>(terms).map(|node| Condition { node, atoms: atoms_of(node) }).collect())
}

/// The atoms that an expression over atoms looks at.
pub(super) fn atoms_of(node: Node) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    walk::walk(node, &mut |n| {
        if n.tag() == NodeTag::T_Var && n.cast::<pg_sys::Var>().varno() != INPUT {
            found.insert(n.cast::<pg_sys::Var>().varno() as usize - 1);
        }
        false
    });
    found
}

/// An expression of a block over atoms; None when it looks at anything but columns of atoms.
fn flat(block: &Block, node: Node) -> Option<Node> {
    let mut plain = true;
    let over = walk::rewrite(server::flatten_join_aliases(block.query, node), &mut |n| {
        if n.tag() == NodeTag::T_SubLink {
            plain = false;
            return Some(n);
        }
        if n.tag() != NodeTag::T_Var {
            return None;
        }
        let var = n.cast::<pg_sys::Var>();
        let item = if var.varlevelsup() == 0 { block.items.get(&(var.varno() as usize)) } else { None };
        let found: Option<Node> = match item {
            Some(Item::Atom(atom)) if var.varattno() > 0 => {
                Some(make::var(*atom as i32 + 1, var.varattno(), type_of(n), 0).cast())
            }
            Some(Item::Sub(sub)) => sub.output(var.varattno()).and_then(|e| flat(sub, e)),
            _ => None,
        };
        plain &= found.is_some();
        found.or(Some(n))
    });
    plain.then_some(over)
}
