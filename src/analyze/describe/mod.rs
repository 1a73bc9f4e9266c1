//! From an expanded `Query` to the core's description.
//!
//! Sub-queries that only join, filter and project are flattened: their relations become atoms of the whole. Everything
//! else in a FROM clause is an opaque atom. Invariant: a `Block` mirrors the query block it was made from, so positions
//! found here can be used to edit a copy of the query (rules/dirty.rs).

pub mod common_value;
pub mod first_rows;
pub mod fold;
pub mod interval;
pub mod never_null;
pub mod order;
pub mod partners;
pub mod recognise;
pub mod settings;
mod statistics;
pub mod view_owners;

use crate::analyze::query::conditions::mentions;
use crate::analyze::query::tree::{is_plain, outputs};
use crate::analyze::query::{levels, relations};
use crate::pg::fault::{self, Fault};
use crate::pg::name;
use crate::pg::relation::Relation;
use crate::pg::tree::{List, Node, Query, RangeTblEntry, Tree, Var, list, lsyscache, server};
use pgrx::pg_sys;
use std::collections::{BTreeSet, HashMap};
use tviews_core::model::{Atom, Col, Description, Equality, Join, OuterKind, Shape};
use tviews_core::reason::Reason;

/// The item that a range table index of a block stands for.
pub enum Item {
    Atom(usize),
    Sub(Block),
}

/// A query block whose FROM clause has been flattened into the description.
pub struct Block {
    pub query: Query,
    pub items: HashMap<usize, Item>,
}

impl Block {
    /// All atoms below a range table index of this block.
    pub fn atoms_of(&self, index: usize) -> BTreeSet<usize> {
        match self.items.get(&index) {
            Some(Item::Atom(a)) => BTreeSet::from([*a]),
            Some(Item::Sub(b)) => b.items.keys().flat_map(|i| b.atoms_of(*i)).collect(),
            None => BTreeSet::new(),
        }
    }

    /// The atom column that a Var of this block is, if it is a plain one.
    pub fn resolve(&self, var: Var) -> Option<Col> {
        if var.varlevelsup() != 0 {
            return None;
        }
        match self.items.get(&(var.varno() as usize))? {
            Item::Atom(a) => var.varattno().gt(&0).then(|| Col { atom: *a, att: var.varattno() }),
            Item::Sub(b) => b.resolve_expr(b.output(var.varattno())?),
        }
    }

    /// The expression of output column `att` of this block.
    pub fn output(&self, att: i16) -> Option<Node> {
        if att < 1 {
            return None;
        }
        let tle = list::iter::<pg_sys::TargetEntry>(self.query.targetList()).find(|t| t.resno() == att)?;
        Some(server::flatten_join_aliases(self.query, tle.expr()))
    }

    pub fn resolve_expr(&self, mut node: Node) -> Option<Col> {
        while list::is(node, pg_sys::NodeTag::T_RelabelType) {
            node = node.cast::<pg_sys::RelabelType>().arg();
        }
        list::is(node, pg_sys::NodeTag::T_Var).then(|| self.resolve(node.cast())).flatten()
    }
}

/// The unique key that a TVIEW is stored by.
pub struct StoredKey {
    pub columns: Vec<i16>,
    /// Columns that are never NULL.
    pub not_null: Vec<i16>,
}

/// Asks for the key of an open TVIEW.
pub type KeyOf<'a> = &'a dyn Fn(&Relation) -> Option<StoredKey>;

pub struct Described {
    pub block: Block,
    pub description: Description,
}

/// Describes an expanded query.
pub fn describe(query: Query, key_of: KeyOf) -> Described {
    let mut atoms = Vec::new();
    let (block, join) = describe_block(query, &[], &mut atoms, key_of);
    let mut outs = Vec::new();
    let mut comparable = Vec::new();
    for tle in outputs(query) {
        let expr = server::flatten_groups(query, tle.expr());
        let expr = server::flatten_join_aliases(query, expr);
        outs.push(block.resolve_expr(expr));
        comparable.push(name::equality(server::exprType(expr)).is_some());
    }
    let shape = shape(query);
    Described { block, description: Description { atoms, join, shape, outputs: outs, comparable } }
}

fn shape(query: Query) -> Shape {
    let opaque = [
        (!query.setOperations().is_null(), Reason::SetOperation),
        (!query.groupingSets().is_null(), Reason::GroupingSets),
        (query.hasTargetSRFs(), Reason::SetReturning),
        (!query.limitCount().is_null() || !query.limitOffset().is_null(), Reason::Limit),
    ];
    if let Some((_, what)) = opaque.iter().find(|(is, _)| *is) {
        return Shape::Opaque(*what);
    }
    let grouped = !query.groupClause().is_null() || query.hasAggs() || !query.havingQual().is_null();
    let distinct = !query.distinctClause().is_null();
    if query.hasWindowFuncs() {
        let columns = partition_columns(query);
        if grouped || distinct || columns.is_empty() {
            return Shape::Opaque(Reason::WindowOverAll);
        }
        return Shape::Partitions(columns);
    }
    if query.hasDistinctOn() && !grouped {
        // The first row of each group is shown.
        return Shape::Groups(positions(query, query.distinctClause()));
    }
    match (grouped, distinct) {
        (true, true) => Shape::Opaque(Reason::DistinctOverGroups),
        (false, true) => Shape::Distinct,
        (false, false) => Shape::Rows,
        (true, false) => Shape::Groups(positions(query, query.groupClause())),
    }
}

/// Output columns by which all windows of a query are partitioned.
pub fn partition_columns(query: Query) -> Vec<usize> {
    let mut common: Option<BTreeSet<usize>> = None;
    for window in list::iter::<pg_sys::WindowClause>(query.windowClause()) {
        let these: BTreeSet<usize> = positions(query, window.partitionClause()).into_iter().flatten().collect();
        common = Some(match common {
            None => these,
            Some(before) => before.intersection(&these).copied().collect(),
        });
    }
    common.unwrap_or_default().into_iter().collect()
}

/// Output position of each expression of a grouping clause.
fn positions(query: Query, clause: List) -> Vec<Option<usize>> {
    let outs = outputs(query);
    list::iter::<pg_sys::SortGroupClause>(clause)
        .map(|c| outs.iter().position(|t| t.ressortgroupref() == c.tleSortGroupRef()))
        .collect()
}

fn describe_block(query: Query, path: &[usize], atoms: &mut Vec<Atom>, key_of: KeyOf) -> (Block, Join) {
    let mut block = Block { query, items: HashMap::new() };
    let join = describe_from(query.jointree().cast(), &mut block, path, atoms, key_of);
    (block, join)
}

fn describe_from(node: Node, block: &mut Block, path: &[usize], atoms: &mut Vec<Atom>, key_of: KeyOf) -> Join {
    if list::is(node, pg_sys::NodeTag::T_FromExpr) {
        let from = node.cast::<pg_sys::FromExpr>();
        let items: Vec<Join> = list::iter::<pg_sys::Node>(from.fromlist())
            .map(|item| describe_from(item, block, path, atoms, key_of))
            .collect();
        let equalities = equalities(from.quals(), block);
        return Join::Inner(items, equalities);
    }
    if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
        let join = node.cast::<pg_sys::JoinExpr>();
        let left = describe_from(join.larg(), block, path, atoms, key_of);
        let right = describe_from(join.rarg(), block, path, atoms, key_of);
        let mut on = equalities(join.quals(), block);
        return match join.jointype() {
            pg_sys::JoinType::JOIN_LEFT => {
                on.extend(pinned(join.quals(), block, join.larg()));
                Join::Outer(OuterKind::Left, Box::new(left), Box::new(right), on)
            }
            pg_sys::JoinType::JOIN_RIGHT => {
                on.extend(pinned(join.quals(), block, join.rarg()));
                Join::Outer(OuterKind::Left, Box::new(right), Box::new(left), on)
            }
            pg_sys::JoinType::JOIN_FULL => Join::Outer(OuterKind::Full, Box::new(left), Box::new(right), on),
            _ => Join::Inner(vec![left, right], on),
        };
    }
    let index = node.cast::<pg_sys::RangeTblRef>().rtindex() as usize;
    let rte = list::nth::<pg_sys::RangeTblEntry>(block.query.rtable(), index - 1);
    let mut here = path.to_vec();
    here.push(index);
    if rte.rtekind() == pg_sys::RTEKind::RTE_SUBQUERY && is_plain(rte.subquery()) {
        let (sub, join) = describe_block(rte.subquery(), &here, atoms, key_of);
        block.items.insert(index, Item::Sub(sub));
        return join;
    }
    let atom = if rte.rtekind() == pg_sys::RTEKind::RTE_RELATION {
        base_atom(rte.relid(), rte.inh(), here, key_of)
    } else {
        computed_atom(rte, block, here)
    };
    atoms.push(atom);
    block.items.insert(index, Item::Atom(atoms.len() - 1));
    Join::Atom(atoms.len() - 1)
}

/// A sub-query or function of FROM, with the keys that it has by its form.
fn computed_atom(rte: RangeTblEntry, block: &Block, path: Vec<usize>) -> Atom {
    let (node, level, keys): (Node, i32, Vec<Vec<i16>>) = match rte.rtekind() {
        pg_sys::RTEKind::RTE_SUBQUERY => (rte.subquery().cast(), 1, keys_of(rte.subquery())),
        pg_sys::RTEKind::RTE_FUNCTION => (rte.functions().cast(), 0, keys_of_functions(rte)),
        _ => return Atom { path, ..Atom::default() },
    };
    // All relations that the item looks at, and all that a join alias may stand for.
    let looks_at = server::pull_varnos_of_level(node, level);
    let mut depends = BTreeSet::new();
    for index in looks_at {
        let below = block.atoms_of(index);
        if below.is_empty() {
            depends.extend(block.items.keys().flat_map(|i| block.atoms_of(*i)));
        }
        depends.extend(below);
    }
    Atom { keys, depends: depends.into_iter().collect(), path, ..Atom::default() }
}

/// Output columns of a sub-query that no two of its rows share.
fn keys_of(sub: Query) -> Vec<Vec<i16>> {
    if !sub.groupingSets().is_null() || sub.hasTargetSRFs() {
        return Vec::new();
    }
    if is_one(sub.limitCount()) && sub.limitOption() != pg_sys::LimitOption::LIMIT_OPTION_WITH_TIES {
        return vec![Vec::new()];
    }
    if !sub.setOperations().is_null() {
        return Vec::new();
    }
    let outs = outputs(sub);
    let columns = |clause: List| -> Option<Vec<i16>> {
        list::iter::<pg_sys::SortGroupClause>(clause)
            .map(|c| outs.iter().find(|t| t.ressortgroupref() == c.tleSortGroupRef()).map(|t| t.resno()))
            .collect()
    };
    let mut keys = Vec::new();
    if !sub.distinctClause().is_null() {
        keys.extend(columns(sub.distinctClause()));
    }
    if sub.hasAggs() || !sub.groupClause().is_null() || !sub.havingQual().is_null() {
        keys.extend(columns(sub.groupClause()));
    }
    keys
}

/// Whether a LIMIT is written as 1 or 0. Nothing is evaluated: functions of users may stand there. The parser casts an integer to bigint.
fn is_one(limit: Node) -> bool {
    let mut node = limit;
    if list::is(node, pg_sys::NodeTag::T_FuncExpr) {
        let cast = node.cast::<pg_sys::FuncExpr>();
        if cast.funcid() != pg_sys::Oid::from(pg_sys::F_INT8_INT4) {
            return false;
        }
        node = list::nth(cast.args(), 0);
    }
    if !list::is(node, pg_sys::NodeTag::T_Const) || node.cast::<pg_sys::Const>().constisnull() {
        return false;
    }
    let value = node.cast::<pg_sys::Const>().constvalue().value();
    match node.cast::<pg_sys::Const>().consttype() {
        pg_sys::INT8OID => value as i64 <= 1,
        pg_sys::INT4OID => value as i32 <= 1,
        _ => false,
    }
}

fn keys_of_functions(rte: RangeTblEntry) -> Vec<Vec<i16>> {
    if rte.funcordinality() {
        return vec![vec![list::len(rte.eref().colnames()) as i16]];
    }
    let sets =
        list::iter::<pg_sys::RangeTblFunction>(rte.functions()).any(|f| server::expression_returns_set(f.funcexpr()));
    if sets && !fault::on(Fault::OneElement) { Vec::new() } else { vec![Vec::new()] }
}

/// Plain equalities of a conjunction whose sides are columns or a column and a constant.
fn equalities(quals: Node, block: &Block) -> Vec<Equality> {
    let mut out = Vec::new();
    let constant = |n: Node| list::is(n, pg_sys::NodeTag::T_Const) && !n.cast::<pg_sys::Const>().constisnull();
    for [left, right] in compared(quals, block) {
        match (block.resolve_expr(left), block.resolve_expr(right)) {
            (Some(a), Some(b)) => out.push((a, Some(b))),
            (Some(a), None) if constant(right) => out.push((a, None)),
            (None, Some(b)) if constant(left) => out.push((b, None)),
            _ => {}
        }
    }
    out
}

/// Columns of the nullable side of an outer join that have to equal an expression over the preserved side, such as a sub-query that looks at its rows: for each row of
/// that side they are constants.
fn pinned(quals: Node, block: &Block, preserved: Node) -> Vec<Equality> {
    let mut items = Vec::new();
    relations::collect(preserved, &mut items);
    let looks_there = |n: Node| mentions(n).iter().all(|i| items.contains(i)) && !levels::looks_up(n);
    let mut out = Vec::new();
    for [left, right] in compared(quals, block) {
        for (column, other) in [(left, right), (right, left)] {
            if let Some(column) = block.resolve_expr(column).filter(|_| block.resolve_expr(other).is_none())
                && !list::is(other, pg_sys::NodeTag::T_Const)
                && looks_there(other)
            {
                out.push((column, None));
            }
        }
    }
    out
}

/// The two sides of the conditions of a conjunction that say that they are equal.
fn compared(quals: Node, block: &Block) -> Vec<[Node; 2]> {
    let mut out = Vec::new();
    let flat = server::flatten_join_aliases(block.query, quals);
    for conjunct in list::iter::<pg_sys::Node>(server::make_ands_implicit(flat.cast())) {
        if !list::is(conjunct, pg_sys::NodeTag::T_OpExpr) {
            continue;
        }
        let op = conjunct.cast::<pg_sys::OpExpr>();
        if list::len(op.args()) != 2 {
            continue;
        }
        let left = list::nth::<pg_sys::Node>(op.args(), 0);
        let right = list::nth::<pg_sys::Node>(op.args(), 1);
        let exact = lsyscache::op_mergejoinable(op.opno(), server::exprType(left))
            && (op.inputcollid() == pg_sys::InvalidOid || lsyscache::get_collation_isdeterministic(op.inputcollid()));
        if exact {
            out.push([left, right]);
        }
    }
    out
}

/// The keys of a relation without columns that can be NULL.
pub fn keys_of_relation(relid: pg_sys::Oid, inh: bool, key_of: KeyOf) -> Vec<Vec<i16>> {
    let atom = base_atom(relid, inh, Vec::new(), key_of);
    let lasts = |key: &Vec<i16>| !key.is_empty() && key.iter().all(|c| atom.not_null.contains(c));
    atom.keys.into_iter().filter(lasts).collect()
}

fn base_atom(relid: pg_sys::Oid, inh: bool, path: Vec<usize>, key_of: KeyOf) -> Atom {
    let mut atom = Atom { relid: Some(relid.to_u32()), path, ..Atom::default() };
    let Some(rel) = Relation::open(relid, pg_sys::AccessShareLock) else { return atom };
    for i in 0..rel.natts() {
        let att = rel.attribute(i);
        if !att.attisdropped && rel.is_never_null(i, inh) {
            atom.not_null.push(att.attnum);
        }
    }
    if rel.relkind() == pg_sys::RELKIND_MATVIEW {
        if let Some(key) = key_of(&rel) {
            atom.not_null = key.not_null;
            atom.keys = vec![key.columns];
        }
        return atom;
    }
    if !(inh && rel.has_heirs()) {
        atom.keys = unique_keys(&rel, &atom.not_null);
    }
    atom
}

/// Keys from unique indexes that hold at every moment. Source: catalog/pg_index.h.
fn unique_keys(rel: &Relation, not_null: &[i16]) -> Vec<Vec<i16>> {
    let mut keys = Vec::new();
    // SAFETY: an open relation.
    let indexes: List = unsafe { Tree::new(pg_sys::RelationGetIndexList(rel.raw())) };
    for index in list::oids(indexes) {
        let Some(index) = Relation::open(index, pg_sys::AccessShareLock) else { continue };
        // SAFETY: an open index has a form, as many columns as it says, and lists or null of what is not a column.
        let (form, plain, columns) = unsafe {
            let form = &*(*index.raw()).rd_index;
            let plain = pg_sys::RelationGetIndexPredicate(index.raw()).is_null()
                && pg_sys::RelationGetIndexExpressions(index.raw()).is_null();
            let at = |i: usize| *form.indkey.values.as_ptr().add(i);
            (form, plain, (0..form.indnkeyatts as usize).map(at).collect::<Vec<i16>>())
        };
        if !plain || !form.indisunique || !form.indisvalid || !form.indisready || !form.indimmediate {
            continue;
        }
        if columns.iter().all(|c| *c > 0 && (form.indnullsnotdistinct || not_null.contains(c))) {
            keys.push(columns);
        }
    }
    keys
}
