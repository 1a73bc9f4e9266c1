//! A query block as a nested loop over btree indexes: from a row of one relation to the rows that it is joined to, one relation after another.
//!
//! A flush of few rows runs such a loop itself, without SQL (refresh/follow/nested_loop.rs). Invariant: the loop gives the rows that the block
//! has for the row it starts with, each as often; a block is only taken when it consists of tables and TVIEWs without policies, joined by
//! equalities that an index holds, and of expressions of the server's own functions. An optional side of an outer join is one relation.
//! The SQL of the flush stays the reference, and the way for everything else.
//! Called by refresh/plan.

use crate::analyze::describe::{Block, Described, Item};
use crate::analyze::query::tree::{Type, type_of};
use crate::pg::memory::Arena;
use crate::pg::procedure;
use crate::pg::relation::Relation;
use crate::pg::tree::{List, Node, Tree, Var, list, lsyscache, make, server, walk};
use pgrx::pg_sys::{self, NodeTag, Oid};
use std::collections::{BTreeMap, BTreeSet};

/// A value computed from the columns bound so far.
#[derive(Clone, Copy)]
pub enum Value {
    /// A column of the frame, from 0.
    Column(usize),
    /// An expression over Vars of relation 1, which is the frame.
    Computed(Tree<pg_sys::Expr>),
}

/// A column of an index, and what it is compared with.
#[derive(Clone)]
pub struct Key {
    /// Column of the index, from 1.
    pub column: i16,
    /// Type of the value.
    pub subtype: Oid,
    pub collation: Oid,
    /// The function of the equality.
    pub function: Oid,
    pub value: Value,
    /// NULL finds NULL.
    pub finds_null: bool,
}

/// One relation that is looked up.
pub struct Step {
    pub relid: Oid,
    pub index: Oid,
    pub keys: Vec<Key>,
    /// Attributes that are looked at, from 1, and their places in the frame.
    pub columns: Vec<(i16, usize)>,
    pub conditions: Vec<Tree<pg_sys::Expr>>,
    /// Without a partner the columns are NULL.
    pub outer: bool,
    /// There is at most one partner.
    pub unique: bool,
}

pub struct NestedLoop {
    /// Types of the columns that a row of the loop is made of.
    pub frame: Vec<Type>,
    /// Columns of the row that the loop starts with, and their places in the frame.
    pub inputs: Vec<(i16, usize)>,
    /// Conditions on the row that the loop starts with.
    pub conditions: Vec<Tree<pg_sys::Expr>>,
    pub steps: Vec<Step>,
    /// Conditions on a row of all relations.
    pub at_last: Vec<Tree<pg_sys::Expr>>,
    pub values: Vec<Value>,
    /// After so many steps these values are shown, whatever the conditions say.
    pub reached: Option<(usize, Vec<Value>)>,
    arena: Option<Arena>,
}

impl NestedLoop {
    /// Whether something has to be evaluated.
    pub fn computes(&self) -> bool {
        let computed = |v: &Value| matches!(v, Value::Computed(_));
        !self.conditions.is_empty()
            || !self.at_last.is_empty()
            || self.values.iter().chain(self.reached.iter().flat_map(|(_, values)| values)).any(computed)
            || self.steps.iter().any(|s| !s.conditions.is_empty() || s.keys.iter().any(|k| computed(&k.value)))
    }

    /// The indexes that rows are looked up by, in this order.
    pub fn indexes(&self) -> impl Iterator<Item = Oid> {
        self.steps.iter().map(|s| s.index)
    }

    /// Makes the expressions independent of the query.
    pub fn keep(mut self) -> NestedLoop {
        let arena = Arena::cached();
        // SAFETY: live expressions; the arena is kept as long as the copies are used.
        let copy = |e: &mut Tree<pg_sys::Expr>| *e = unsafe { Tree::new(arena.keep(e.raw())) };
        let value = |v: &mut Value| {
            if let Value::Computed(e) = v {
                copy(e);
            }
        };
        self.conditions.iter_mut().chain(&mut self.at_last).for_each(copy);
        self.values.iter_mut().for_each(value);
        self.reached.iter_mut().flat_map(|(_, values)| values).for_each(value);
        for step in &mut self.steps {
            step.conditions.iter_mut().for_each(copy);
            step.keys.iter_mut().for_each(|k| value(&mut k.value));
        }
        self.arena = Some(arena);
        self
    }
}

/// A condition of the block, its Vars being those of atoms: relation number is the number of the atom, from 1.
#[derive(Clone)]
struct Condition {
    node: Node,
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

    /// The steps from a row of an atom to the rows of another one.
    fn way(&self, from: usize, to: usize) -> Option<Vec<Draft>> {
        let all: Vec<&Condition> = self.conditions.iter().chain(self.optional.values().flatten()).collect();
        let mut bound = BTreeSet::from([from]);
        let mut drafts: Vec<Draft> = Vec::new();
        while !bound.contains(&to) {
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
    fn complete(&self, mut bound: BTreeSet<usize>, mut drafts: Vec<Draft>) -> Option<Vec<Draft>> {
        while bound.len() < self.relations.len() {
            let unbound = (0..self.relations.len()).filter(|a| !bound.contains(a));
            let found = unbound.filter_map(|atom| match self.optional.get(&atom) {
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

/// The columns that a loop looks at.
struct Frame {
    /// (atom, attribute, place)
    columns: Vec<(usize, i16, usize)>,
    types: Vec<Type>,
}

impl Frame {
    fn place(&mut self, var: Var) -> usize {
        let (atom, att) = (var.varno() as usize - 1, var.varattno());
        if let Some((_, _, place)) = self.columns.iter().find(|(a, c, _)| (*a, *c) == (atom, att)) {
            return *place;
        }
        self.types.push(type_of(var.cast()));
        self.columns.push((atom, att, self.types.len() - 1));
        self.types.len() - 1
    }

    fn value(&mut self, node: Node) -> Option<Value> {
        match node.tag() {
            // The number of an input, see `by_key`.
            NodeTag::T_Var if node.cast::<pg_sys::Var>().varno() == INPUT => {
                Some(Value::Column(node.cast::<pg_sys::Var>().varattno() as usize - 1))
            }
            NodeTag::T_Var => Some(Value::Column(self.place(node.cast()))),
            _ => self.computed(node).map(Value::Computed),
        }
    }

    /// The expression over the frame, ready to be run; None when it calls what a loop does not run.
    fn computed(&mut self, node: Node) -> Option<Tree<pg_sys::Expr>> {
        let over = walk::rewrite(node, &mut |n| {
            (n.tag() == NodeTag::T_Var)
                .then(|| make::var(1, self.place(n.cast()) as i16 + 1, type_of(n), 0).cast::<pg_sys::Node>())
        });
        // Before planning puts the body of a function in the place of its call: the body can be replaced.
        if walk::walk(over, &mut |n| calls_others(n)) {
            return None;
        }
        let planned = server::expression_planner(over);
        (!walk::walk(planned, &mut |n| !is_run(n))).then_some(planned.cast())
    }

    /// The attributes of an atom that are looked at, and their places; None when one of them is computed when it is read.
    fn places_of(&self, atom: usize, relid: Oid) -> Option<Vec<(i16, usize)>> {
        let own = self.columns.iter().filter(|(a, _, _)| *a == atom).map(|(_, att, place)| (*att, *place));
        let columns: Vec<(i16, usize)> = own.collect();
        let is_virtual = |att: i16| lsyscache::get_attgenerated(relid, att) == b'v';
        (!columns.iter().any(|(att, _)| is_virtual(*att))).then_some(columns)
    }
}

/// Relation number of the values that a loop by key starts with.
const INPUT: i32 = 0;

/// A step whose values are still expressions over atoms.
struct Draft {
    atom: usize,
    index: Oid,
    keys: Vec<DraftKey>,
    outer: bool,
    unique: bool,
}

struct DraftKey {
    column: i16,
    subtype: Oid,
    collation: Oid,
    function: Oid,
    node: Node,
    /// The condition that the key is made of.
    of: Option<Node>,
    finds_null: bool,
}

impl DraftKey {
    fn with(&self, value: Value) -> Option<Key> {
        let DraftKey { column, subtype, collation, function, finds_null, .. } = *self;
        Some(Key { column, subtype, collation, function, value, finds_null })
    }
}

/// A column of an index, as far as look-ups need it.
struct Indexed {
    attribute: i16,
    family: Oid,
    collation: Oid,
    input: Oid,
    /// What is indexed, when it is no column.
    expression: Option<Node>,
}

struct Index {
    oid: Oid,
    columns: Vec<Indexed>,
    unique: bool,
}

/// The btree indexes of a relation that have all rows and can be used with any snapshot.
fn indexes(rel: &Relation) -> Vec<Index> {
    // SAFETY: an open relation.
    let all: List = unsafe { Tree::new(pg_sys::RelationGetIndexList(rel.raw())) };
    let opened = list::oids(all).into_iter().filter_map(|i| Relation::open(i, pg_sys::AccessShareLock));
    let usable = |index: Relation| {
        // SAFETY: an open index has a form, and for each key column an attribute, a family, a collation and a type.
        unsafe {
            let rd = &*index.raw();
            let form = &*rd.rd_index;
            if rd.rd_rel.as_ref()?.relam != pg_sys::BTREE_AM_OID
                || !form.indisvalid
                || !form.indisready
                || form.indcheckxmin
                || !pg_sys::RelationGetIndexPredicate(index.raw()).is_null()
            {
                return None;
            }
            let expressions: List = Tree::new(pg_sys::RelationGetIndexExpressions(index.raw()));
            let mut expressions = list::iter::<pg_sys::Node>(expressions);
            let column = |i: usize| {
                let attribute = *form.indkey.values.as_ptr().add(i);
                Indexed {
                    attribute,
                    family: *rd.rd_opfamily.add(i),
                    collation: *rd.rd_indcollation.add(i),
                    input: *rd.rd_opcintype.add(i),
                    expression: if attribute == 0 { expressions.next() } else { None },
                }
            };
            let columns = (0..form.indnkeyatts as usize).map(column).collect();
            Some(Index { oid: index.oid(), columns, unique: form.indisunique && form.indimmediate })
        }
    };
    opened.filter_map(usable).collect()
}

const EQUAL: i16 = pg_sys::BTEqualStrategyNumber as i16;

/// The look-up of an atom by the equalities among the conditions whose other side is bound.
fn draft(atom: usize, relid: Oid, bound: &BTreeSet<usize>, conditions: &[&Condition]) -> Option<Draft> {
    let rel = Relation::open(relid, pg_sys::AccessShareLock)?;
    let by = |index: Index| {
        let key = |(i, column): (usize, &Indexed)| {
            conditions
                .iter()
                .find_map(|c| equality(c.node, atom, column, bound))
                .map(|k| DraftKey { column: i as i16 + 1, ..k })
        };
        let keys: Vec<DraftKey> = index.columns.iter().enumerate().map_while(key).collect();
        let unique = index.unique && keys.len() == index.columns.len();
        (!keys.is_empty()).then_some(Draft { atom, index: index.oid, keys, outer: false, unique })
    };
    indexes(&rel).into_iter().filter_map(by).max_by_key(|d| (d.unique, d.keys.len()))
}

/// The key that a condition is for a column of an index.
fn equality(condition: Node, atom: usize, column: &Indexed, bound: &BTreeSet<usize>) -> Option<DraftKey> {
    if condition.tag() != NodeTag::T_OpExpr {
        return None;
    }
    let op = condition.cast::<pg_sys::OpExpr>();
    if list::len(op.args()) != 2 || column.collation != pg_sys::InvalidOid && op.inputcollid() != column.collation {
        return None;
    }
    let sides: [Node; 2] = [list::nth(op.args(), 0), list::nth(op.args(), 1)];
    let is_column = |mut node: Node| {
        while node.tag() == NodeTag::T_RelabelType {
            node = node.cast::<pg_sys::RelabelType>().arg();
        }
        let var = node.cast::<pg_sys::Var>();
        node.tag() == NodeTag::T_Var && var.varno() as usize == atom + 1 && var.varattno() == column.attribute
    };
    let (operator, value) = if is_column(sides[0]) {
        (op.opno(), sides[1])
    } else if is_column(sides[1]) {
        (lsyscache::get_commutator(op.opno()), sides[0])
    } else {
        return None;
    };
    let known = atoms_of(value).is_subset(bound);
    let fits = operator != pg_sys::InvalidOid
        && lsyscache::get_op_opfamily_strategy(operator, column.family) == i32::from(EQUAL);
    (known && fits).then(|| DraftKey {
        column: 0,
        subtype: lsyscache::op_input_types(operator).1,
        collation: op.inputcollid(),
        function: lsyscache::get_opcode(operator),
        node: value,
        of: Some(condition),
        finds_null: false,
    })
}

/// The look-up of rows by all of these columns: input number i is column number i.
fn by_key(relid: Oid, columns: &[i16], unique: bool) -> Option<Draft> {
    let rel = Relation::open(relid, pg_sys::AccessShareLock)?;
    let by = |index: Index| {
        let key = |(i, column): (usize, &Indexed)| {
            let number = columns.iter().position(|c| *c == column.attribute)?;
            let operator = lsyscache::get_opfamily_member(column.family, column.input, column.input, EQUAL);
            (operator != pg_sys::InvalidOid).then(|| DraftKey {
                column: i as i16 + 1,
                subtype: column.input,
                collation: column.collation,
                function: lsyscache::get_opcode(operator),
                node: make::var(INPUT, number as i16 + 1, lsyscache::get_atttypetypmodcoll(relid, column.attribute), 0)
                    .cast(),
                of: None,
                finds_null: true,
            })
        };
        let keys: Vec<DraftKey> = index.columns.iter().enumerate().map_while(key).collect();
        let all: BTreeSet<i16> = keys.iter().map(|k| index.columns[k.column as usize - 1].attribute).collect();
        let found = all.len() == columns.len() && (!unique || index.unique && keys.len() == index.columns.len());
        found.then_some(Draft { atom: 0, index: index.oid, keys, outer: false, unique: index.unique })
    };
    indexes(&rel).into_iter().find_map(by)
}

/// The rows of a relation by these columns; NULL finds NULL.
pub fn rows_by(relid: Oid, columns: &[i16]) -> Option<NestedLoop> {
    let draft = by_key(relid, columns, false)?;
    let keys = draft.keys.iter().map(|k| k.with(Value::Column(k.node.cast::<pg_sys::Var>().varattno() as usize - 1)));
    only(relid, columns, draft.index, keys.collect::<Option<_>>()?)
}

/// Rows of a relation among which are all rows with these columns, by an index on some of them and on a hash of the others.
pub fn rows_by_hash(relid: Oid, columns: &[i16]) -> Option<NestedLoop> {
    let rel = Relation::open(relid, pg_sys::AccessShareLock)?;
    let found = indexes(&rel).into_iter().find_map(|index| {
        let mut seen: BTreeSet<i16> = BTreeSet::new();
        let mut key = |(i, column): (usize, &Indexed)| {
            let operator = lsyscache::get_opfamily_member(column.family, column.input, column.input, EQUAL);
            let number = columns.iter().position(|c| *c == column.attribute);
            let value = match number {
                Some(number) => Value::Column(number),
                None => Value::Computed(hash_over(column.expression?, columns, &mut seen)?),
            };
            seen.extend(number.map(|n| columns[n]));
            (operator != pg_sys::InvalidOid).then(|| Key {
                column: i as i16 + 1,
                subtype: column.input,
                collation: column.collation,
                function: lsyscache::get_opcode(operator),
                value,
                finds_null: true,
            })
        };
        let keys = index.columns.iter().enumerate().map(&mut key).collect::<Option<Vec<Key>>>()?;
        (seen.len() == columns.len()).then_some((index.oid, keys))
    });
    found.and_then(|(index, keys)| only(relid, columns, index, keys))
}

/// The hash of a row of some of the columns, over the frame: equal values have equal hashes. None for another expression.
fn hash_over(expression: Node, columns: &[i16], seen: &mut BTreeSet<i16>) -> Option<Tree<pg_sys::Expr>> {
    let is_hash = expression.tag() == NodeTag::T_FuncExpr
        && expression.cast::<pg_sys::FuncExpr>().funcid() == Oid::from(pg_sys::F_HASH_RECORD_EXTENDED);
    let mut known = is_hash;
    let over = walk::rewrite(expression, &mut |n| {
        if n.tag() != NodeTag::T_Var {
            return None;
        }
        let column = n.cast::<pg_sys::Var>().varattno();
        seen.insert(column);
        let place = columns.iter().position(|c| *c == column);
        known &= place.is_some();
        place.map(|p| make::var(1, p as i16 + 1, type_of(n), 0).cast())
    });
    known.then(|| server::expression_planner(over).cast())
}

/// A loop of one look-up: input number i is column number i.
fn only(relid: Oid, columns: &[i16], index: Oid, keys: Vec<Key>) -> Option<NestedLoop> {
    let frame: Vec<Type> = columns.iter().map(|c| lsyscache::get_atttypetypmodcoll(relid, *c)).collect();
    let inputs = (0..columns.len()).map(|i| (i as i16 + 1, i)).collect();
    let (columns, conditions, at_last) = (Vec::new(), Vec::new(), Vec::new());
    let step = Step { relid, index, keys, columns, conditions, outer: false, unique: false };
    Some(NestedLoop {
        frame,
        inputs,
        conditions: Vec::new(),
        steps: vec![step],
        at_last,
        values: Vec::new(),
        reached: None,
        arena: None,
    })
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
fn atoms_of(node: Node) -> BTreeSet<usize> {
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

/// Whether a node of a planned expression is run by a loop: what depends on nothing but its inputs and the settings of maintenance, and calls
/// only functions that are written in C and came with the server.
fn is_run(node: Node) -> bool {
    use NodeTag::*;
    let known = matches!(
        node.tag(),
        T_Var
            | T_Const
            | T_List
            | T_FuncExpr
            | T_OpExpr
            | T_DistinctExpr
            | T_NullIfExpr
            | T_ScalarArrayOpExpr
            | T_BoolExpr
            | T_RelabelType
            | T_CoerceViaIO
            | T_CaseExpr
            | T_CaseWhen
            | T_CaseTestExpr
            | T_ArrayExpr
            | T_CoalesceExpr
            | T_MinMaxExpr
            | T_NullTest
            | T_BooleanTest
    );
    let of_server = |of: Oid| of.to_u32() < pg_sys::FirstNormalObjectId;
    let types = if node.tag() == T_CoerceViaIO {
        vec![server::exprType(node), server::exprType(node.cast::<pg_sys::CoerceViaIO>().arg())]
    } else {
        Vec::new()
    };
    known && types.into_iter().all(of_server) && !calls_others(node)
}

/// Whether a node calls functions that did not come with the server, or are not written in C.
fn calls_others(node: Node) -> bool {
    !node.is_null() && !server::functions_of(node).into_iter().all(procedure::is_of_server)
}
