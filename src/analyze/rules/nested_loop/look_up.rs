//! By which index, and by which values, the rows of a relation are looked up.
//!
//! Invariant: the index has all rows of the relation, whatever the snapshot, and its operator family says that the comparison is its equality.

use super::flat::{Condition, atoms_of};
use super::frame::INPUT;
use super::{Key, NestedLoop, Step, Value};
use crate::analyze::query::tree::{Type, type_of};
use crate::pg::relation::Relation;
use crate::pg::tree::{List, Node, Tree, list, lsyscache, make, server, walk};
use pgrx::pg_sys::{self, NodeTag, Oid};
use std::collections::BTreeSet;

/// A step whose values are still expressions over atoms.
pub(super) struct Draft {
    pub(super) atom: usize,
    pub(super) index: Oid,
    pub(super) keys: Vec<DraftKey>,
    pub(super) outer: bool,
    pub(super) unique: bool,
}

pub(super) struct DraftKey {
    pub(super) column: i16,
    pub(super) subtype: Oid,
    pub(super) collation: Oid,
    pub(super) function: Oid,
    pub(super) node: Node,
    /// The condition that the key is made of.
    pub(super) of: Option<Node>,
    pub(super) finds_null: bool,
}

impl DraftKey {
    pub(super) fn with(&self, value: Value) -> Option<Key> {
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
pub(super) fn draft(atom: usize, relid: Oid, bound: &BTreeSet<usize>, conditions: &[&Condition]) -> Option<Draft> {
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

/// Whether an index column finds the values that are equal by the type's own equality, under the column's own collation.
fn is_usual(relid: Oid, column: &Indexed) -> bool {
    let (of, _, collation) = lsyscache::get_atttypetypmodcoll(relid, column.attribute);
    // SAFETY: a syscache look-up.
    let class = unsafe { pg_sys::GetDefaultOpClass(of, pg_sys::BTREE_AM_OID) };
    let is_default = class != pg_sys::InvalidOid && lsyscache::get_opclass_family(class) == column.family;
    is_default && collation == column.collation
}

/// The look-up of rows by all of these columns: input number i is column number i.
pub(super) fn by_key(relid: Oid, columns: &[i16], unique: bool) -> Option<Draft> {
    let rel = Relation::open(relid, pg_sys::AccessShareLock)?;
    let by = |index: Index| {
        let key = |(i, column): (usize, &Indexed)| {
            let number = columns.iter().position(|c| *c == column.attribute).filter(|_| is_usual(relid, column))?;
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
                Some(_) if !is_usual(relid, column) => return None,
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
