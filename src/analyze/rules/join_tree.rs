//! The join tree that `tviews_core::meetings` looks at, with the sub-queries of a query as parts of it.
//!
//! A sub-query, in an expression or in FROM, is the nullable side of a left join, by the equalities of its WHERE clause between a column of its own
//! and a column of the block around it, also where these are in a sub-query of its own FROM clause, or in the branches of a set operation. `IN` is an equality, too, as a condition of its own, or when no NULL can be among what it compares; so is NOT IN
//! then: its result depends on the equal rows only.
//! Invariant: values that an equality holds for have the same hash, whatever their types: both types have the hash operator family that
//! the operator belongs to (access/hash/hashvalidate.c). Called by join_values.

use crate::analyze::describe::common_value;
use crate::analyze::describe::{Block, Item, describe};
use crate::analyze::query::tree::is_plain;
use crate::pg::relation::Relation;
use crate::pg::tree::{Node, Query, Tree, list, lsyscache, server, walk};
use pgrx::pg_sys;
use std::collections::{HashMap, HashSet};
use tviews_core::model::{Col, Description, Equality, Join, OuterKind};

/// A block, and the number of its first atom among those of all blocks.
#[derive(Clone, Copy)]
struct Around<'a> {
    block: &'a Block,
    first: usize,
    /// The columns that joins compare have one value in each row, so that any of them stands for COALESCE of several (common_value.rs).
    one_value: bool,
}

/// Makes join trees of queries and of their sub-queries; the atoms of all of them are numbered together.
#[derive(Default)]
pub struct Builder {
    /// The relation of each atom; None for an item that is no relation, and for sub-queries of FROM, whose own atoms follow.
    pub relids: Vec<Option<u32>>,
    /// Types of the columns that are compared.
    pub types: HashMap<Col, pg_sys::Oid>,
    /// The operators that compare, their left side first.
    pub operators: HashMap<(Col, Col), pg_sys::Oid>,
    /// Columns that are not NULL in any row of their block.
    never_null: HashSet<Col>,
    /// The number of the first atom of each sub-query of FROM that is not plain.
    firsts: HashMap<Query, usize>,
}

impl Builder {
    /// The tree of a query.
    pub fn tree(&mut self, query: Query) -> Join {
        self.query(query, None).0
    }

    /// The tree of a sub-query, and the equalities between its columns and columns of a block `level` levels up.
    fn below(&mut self, query: Query, around: Around, level: u32) -> (Join, Vec<Equality>) {
        if query.setOperations().is_null() {
            return self.query(query, Some((around, level)));
        }
        let mut all: Option<Join> = None;
        let mut links = Vec::new();
        let mut before: Vec<Outside> = Vec::new();
        for branch in branches(query) {
            let (join, own) = self.below(branch, around, level + 1);
            links.extend(own);
            let mut outside = Vec::new();
            self.outside_of(branch, 1, &mut outside);
            let alike = self.alike(&before, &outside);
            before.extend(outside);
            all = Some(match all {
                None => join,
                Some(others) => Join::Outer(OuterKind::Full, Box::new(others), Box::new(join), alike),
            });
        }
        (all.unwrap_or(Join::Inner(Vec::new(), Vec::new())), links)
    }

    /// The tree of a block, and the equalities between its columns and columns of a block so many levels up.
    fn query(&mut self, query: Query, around: Option<(Around, u32)>) -> (Join, Vec<Equality>) {
        self.firsts.insert(query, self.relids.len());
        let described = describe(query, &|_: &Relation| None);
        let one_value = common_value::common(&described).is_some();
        let Description { atoms, join: items, .. } = described.description;
        let here = Around { block: &described.block, first: self.relids.len(), one_value };
        let nullable = items.nullable();
        for (i, atom) in atoms.iter().enumerate().filter(|(i, _)| !nullable.contains(i)) {
            self.never_null.extend(atom.not_null.iter().map(|att| Col { atom: here.first + i, att: *att }));
        }
        self.relids.extend(atoms.iter().map(|a| a.relid));
        let (join, inside) = self.block(here);
        let mut links = Vec::new();
        if let Some((around, level)) = around {
            self.correlated(query.jointree().cast(), here, around, level, &mut links);
            for Outside { op, own, other, level: inner } in inside {
                links.extend(self.equality(op, op.opno(), Some(own), column(around, other, inner + level)));
            }
        }
        (join, links)
    }

    /// The tree of a block with the sub-queries of its expressions, and what these compare with columns from outside of them.
    fn block(&mut self, here: Around) -> (Join, Vec<Outside>) {
        let query = here.block.query;
        let mut join = self.from(query.jointree().cast(), here);
        let (mut own, mut inside) = (Vec::new(), Vec::new());
        self.outside(query.jointree().cast(), here, 0, &mut own);
        let conditions = query.jointree().quals();
        let targets = server::flatten_groups(query, query.targetList().cast());
        let having = server::flatten_groups(query, query.havingQual());
        for root in [conditions, targets, having] {
            for link in walk::links_in(root) {
                let sub = link.subselect().cast::<pg_sys::Query>();
                let first = self.relids.len();
                let (below, mut links) = self.below(sub, here, 1);
                let alone = list::iter::<pg_sys::Node>(server::make_ands_implicit(conditions.cast()));
                let has_to_be_true = alone.into_iter().any(|c| c == link.cast());
                self.among(link, has_to_be_true, Around { first, ..here }, here, &mut links);
                let mut outside = Vec::new();
                self.outside_of(sub, 1, &mut outside);
                links.extend(self.alike(&own, &outside));
                inside.extend(outside);
                join = left(join, below, links);
            }
        }
        (join, inside)
    }

    fn from(&mut self, node: Node, here: Around) -> Join {
        let mut computed = Vec::new();
        let mut join = if list::is(node, pg_sys::NodeTag::T_FromExpr) {
            let from = node.cast::<pg_sys::FromExpr>();
            let sides: Vec<Node> = list::iter::<pg_sys::Node>(from.fromlist()).collect();
            let mut on = self.equalities(from.quals(), here);
            on.extend(sides.iter().flat_map(|side| self.lateral(*side, here)));
            Join::Inner(sides.into_iter().filter_map(|side| self.item(side, here, &mut computed)).collect(), on)
        } else if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
            let join = node.cast::<pg_sys::JoinExpr>();
            let mut on = self.equalities(join.quals(), here);
            on.extend([join.larg(), join.rarg()].iter().flat_map(|side| self.lateral(*side, here)));
            let kind = match join.jointype() {
                pg_sys::JoinType::JOIN_LEFT => Some(OuterKind::Left),
                pg_sys::JoinType::JOIN_RIGHT => Some(OuterKind::Left),
                pg_sys::JoinType::JOIN_FULL => Some(OuterKind::Full),
                _ => None,
            };
            match kind {
                None => {
                    let sides = [join.larg(), join.rarg()];
                    let items = sides.into_iter().filter_map(|side| self.item(side, here, &mut computed)).collect();
                    Join::Inner(items, on)
                }
                Some(kind) => {
                    let (preserved, other) = match join.jointype() {
                        pg_sys::JoinType::JOIN_RIGHT => (join.rarg(), join.larg()),
                        _ => (join.larg(), join.rarg()),
                    };
                    let preserved = self.from(preserved, here);
                    let mut links = on;
                    let other = match self.sub_query(other, here) {
                        Some((below, correlated)) => {
                            links.extend(correlated);
                            below
                        }
                        None => self.from(other, here),
                    };
                    Join::Outer(kind, Box::new(preserved), Box::new(other), links)
                }
            }
        } else if let Some((below, _)) = self.sub_query(node, here) {
            self.sealed(below)
        } else {
            let index = node.cast::<pg_sys::RangeTblRef>().rtindex() as usize;
            match &here.block.items[&index] {
                Item::Atom(a) => Join::Atom(here.first + a),
                Item::Sub(block) => self.block(Around { block, one_value: false, ..here }).0,
            }
        };
        for (below, links) in computed {
            join = left(join, below, links);
        }
        join
    }

    /// The equalities with other items of a sub-query that only joins and filters.
    fn lateral(&mut self, node: Node, here: Around) -> Vec<Equality> {
        let mut out = Vec::new();
        if list::is(node, pg_sys::NodeTag::T_RangeTblRef) {
            let index = node.cast::<pg_sys::RangeTblRef>().rtindex() as usize;
            if let Some(Item::Sub(block)) = here.block.items.get(&index) {
                let own = Around { block, ..here };
                self.correlated(block.query.jointree().cast(), own, here, 1, &mut out);
            }
        }
        out
    }

    /// An item of an inner join; sub-queries that look at other items come after those items.
    fn item(&mut self, node: Node, here: Around, computed: &mut Vec<(Join, Vec<Equality>)>) -> Option<Join> {
        match self.sub_query(node, here) {
            None => Some(self.from(node, here)),
            Some((below, links)) if links.is_empty() => Some(self.sealed(below)),
            Some(sub) => {
                computed.push(sub);
                None
            }
        }
    }

    /// A sub-query of FROM that computes: its tree, and its equalities with the block.
    fn sub_query(&mut self, node: Node, here: Around) -> Option<(Join, Vec<Equality>)> {
        if !list::is(node, pg_sys::NodeTag::T_RangeTblRef) {
            return None;
        }
        let index = node.cast::<pg_sys::RangeTblRef>().rtindex() as usize;
        let rte = list::nth::<pg_sys::RangeTblEntry>(here.block.query.rtable(), index - 1);
        let computes = rte.rtekind() == pg_sys::RTEKind::RTE_SUBQUERY && !is_plain(rte.subquery());
        computes.then(|| self.below(rte.subquery(), here, 1))
    }

    /// A tree whose rows are computed from all of it: nothing inside adds up.
    fn sealed(&mut self, below: Join) -> Join {
        self.relids.push(None);
        Join::Outer(OuterKind::Full, Box::new(below), Box::new(Join::Atom(self.relids.len() - 1)), Vec::new())
    }

    /// The equalities of a conjunction, between columns whose values have the same hash then.
    fn equalities(&mut self, quals: Node, here: Around) -> Vec<Equality> {
        let flat = server::flatten_join_aliases(here.block.query, quals);
        let mut out = Vec::new();
        for op in comparisons(flat) {
            let any = |side: Node| if here.one_value { first_of(side) } else { side };
            let [l, r] = sides(op).map(|side| column(here, any(side), 0));
            out.extend(self.equality(op, op.opno(), l, r));
        }
        out
    }

    /// The equalities between columns of a sub-query and of a block so many levels up, where all rows of the sub-query have to pass.
    fn correlated(&mut self, node: Node, here: Around, around: Around, level: u32, out: &mut Vec<Equality>) {
        let mut found = Vec::new();
        self.outside(node, here, level, &mut found);
        for Outside { op, own, other, level } in found {
            out.extend(self.equality(op, op.opno(), Some(own), column(around, other, level)));
        }
    }

    /// The comparisons of columns of a sub-query with columns from outside, where all of its rows have to pass. `level` is that of the block outside, as
    /// its columns are seen from `here`; inside of sub-queries of FROM it is higher.
    fn outside(&self, node: Node, here: Around, level: u32, out: &mut Vec<Outside>) {
        let quals = if list::is(node, pg_sys::NodeTag::T_FromExpr) {
            let from = node.cast::<pg_sys::FromExpr>();
            list::iter::<pg_sys::Node>(from.fromlist()).for_each(|i| self.outside(i, here, level, out));
            from.quals()
        } else if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
            let join = node.cast::<pg_sys::JoinExpr>();
            if join.jointype() != pg_sys::JoinType::JOIN_INNER {
                return;
            }
            self.outside(join.larg(), here, level, out);
            self.outside(join.rarg(), here, level, out);
            join.quals()
        } else {
            let index = node.cast::<pg_sys::RangeTblRef>().rtindex() as usize;
            let rte = list::nth::<pg_sys::RangeTblEntry>(here.block.query.rtable(), index - 1);
            match here.block.items.get(&index) {
                Some(Item::Sub(block)) => {
                    let own = Around { block, ..here };
                    self.outside(block.query.jointree().cast(), own, level + 1, out);
                }
                _ if rte.rtekind() == pg_sys::RTEKind::RTE_SUBQUERY => self.outside_of(rte.subquery(), level + 1, out),
                _ => {}
            }
            return;
        };
        let flat = server::flatten_join_aliases(here.block.query, quals);
        for op in comparisons(flat) {
            let [l, r] = sides(op);
            for (own, other) in [(l, r), (r, l)] {
                out.extend(column(here, own, 0).map(|own| Outside { op, own, other: strip(other), level }));
            }
        }
    }

    /// The same for a sub-query of FROM that has a tree already, and for the branches of a set operation.
    fn outside_of(&self, query: Query, level: u32, out: &mut Vec<Outside>) {
        if !query.setOperations().is_null() {
            branches(query).into_iter().for_each(|branch| self.outside_of(branch, level + 1, out));
        } else if let Some(first) = self.firsts.get(&query).copied() {
            let described = describe(query, &|_: &Relation| None);
            let own = Around { block: &described.block, first, one_value: false };
            self.outside(query.jointree().cast(), own, level, out);
        }
    }

    /// The columns of two branches that are compared with one column from outside: where rows of both are for one row around, they are equal.
    fn alike(&mut self, one: &[Outside], other: &[Outside]) -> Vec<Equality> {
        let mut found = Vec::new();
        for (a, b) in one.iter().flat_map(|a| other.iter().map(move |b| (a, b))) {
            let hashed = |o: &Outside| is_hashed(o.op, o.op.opno(), o.own.1, server::exprType(o.other));
            if a.place().is_some()
                && a.place() == b.place()
                && hashed(a)
                && hashed(b)
                && hash_family(a.own.1) == hash_family(b.own.1)
            {
                self.types.extend([a.own, b.own]);
                found.push((a.own.0, Some(b.own.0)));
            }
        }
        found
    }

    /// `x IN (SELECT y …)`: NULLs among the y do not matter where the condition has to be true. `x NOT IN (SELECT y …)` has a value for each x, and
    /// so has IN as a value, where neither can be NULL.
    fn among(
        &mut self,
        link: Tree<pg_sys::SubLink>,
        has_to_be_true: bool,
        below: Around,
        here: Around,
        out: &mut Vec<Equality>,
    ) {
        let sub = link.subselect().cast::<pg_sys::Query>();
        let compares =
            [pg_sys::SubLinkType::ANY_SUBLINK, pg_sys::SubLinkType::ALL_SUBLINK].contains(&link.subLinkType());
        if !compares || !is_plain(sub) {
            return;
        }
        let any = link.subLinkType() == pg_sys::SubLinkType::ANY_SUBLINK;
        // Atoms are numbered as `query` has numbered them.
        let described = describe(sub, &|_: &Relation| None);
        let below = Around { block: &described.block, ..below };
        let flat = server::flatten_join_aliases(here.block.query, link.testexpr());
        for op in comparisons(flat) {
            let [l, r] = sides(op);
            let r = strip(r);
            if !list::is(r, pg_sys::NodeTag::T_Param) {
                continue;
            }
            let own = below.block.output(r.cast::<pg_sys::Param>().paramid() as i16);
            let sides = (column(here, l, 0), own.and_then(|own| column(below, own, 0)));
            let is_known =
                |side: Option<(Col, pg_sys::Oid)>| side.is_some_and(|(col, _)| self.never_null.contains(&col));
            if any && has_to_be_true || is_known(sides.0) && is_known(sides.1) {
                let opno = if any { op.opno() } else { lsyscache::get_negator(op.opno()) };
                out.extend(self.equality(op, opno, sides.0, sides.1));
            }
        }
    }

    fn equality(
        &mut self,
        op: Tree<pg_sys::OpExpr>,
        opno: pg_sys::Oid,
        left: Option<(Col, pg_sys::Oid)>,
        right: Option<(Col, pg_sys::Oid)>,
    ) -> Option<Equality> {
        let (left, right) = (left?, right?);
        if !is_hashed(op, opno, left.1, right.1) || left.0.atom == right.0.atom {
            return None;
        }
        self.types.extend([left, right]);
        self.operators.insert((left.0, right.0), opno);
        Some((left.0, Some(right.0)))
    }
}

/// Whether values for which an operator is true have the same hash.
fn is_hashed(op: Tree<pg_sys::OpExpr>, opno: pg_sys::Oid, left: pg_sys::Oid, right: pg_sys::Oid) -> bool {
    let family = hash_family(left);
    family != pg_sys::InvalidOid
        && family == hash_family(right)
        && lsyscache::op_in_opfamily(opno, family)
        && (op.inputcollid() == pg_sys::InvalidOid || lsyscache::get_collation_isdeterministic(op.inputcollid()))
}

/// A column of a sub-query, compared with something that may be from outside.
struct Outside {
    op: Tree<pg_sys::OpExpr>,
    own: (Col, pg_sys::Oid),
    other: Node,
    level: u32,
}

impl Outside {
    /// Which column from outside it is: how many levels further out, item, column.
    fn place(&self) -> Option<(u32, i32, i16)> {
        if !list::is(self.other, pg_sys::NodeTag::T_Var) {
            return None;
        }
        let var = self.other.cast::<pg_sys::Var>();
        let further = var.varlevelsup().checked_sub(self.level)?;
        (further > 0).then(|| (further, var.varno(), var.varattno()))
    }
}

/// The branches of a set operation.
fn branches(query: Query) -> Vec<Query> {
    let entries = list::iter::<pg_sys::RangeTblEntry>(query.rtable());
    entries.map(|rte| rte.subquery()).filter(|branch| !branch.is_null()).collect()
}

fn left(join: Join, below: Join, links: Vec<Equality>) -> Join {
    Join::Outer(OuterKind::Left, Box::new(join), Box::new(below), links)
}

/// The operators with two arguments of a conjunction.
fn comparisons(quals: Node) -> Vec<Tree<pg_sys::OpExpr>> {
    list::iter::<pg_sys::Node>(server::make_ands_implicit(quals.cast()))
        .filter(|c| list::is(*c, pg_sys::NodeTag::T_OpExpr))
        .map(|c| c.cast::<pg_sys::OpExpr>())
        .filter(|op| list::len(op.args()) == 2)
        .collect()
}

fn sides(op: Tree<pg_sys::OpExpr>) -> [Node; 2] {
    [0, 1].map(|n| list::nth::<pg_sys::Node>(op.args(), n))
}

/// The first of the columns of COALESCE.
fn first_of(node: Node) -> Node {
    if !list::is(node, pg_sys::NodeTag::T_CoalesceExpr) {
        return node;
    }
    first_of(list::nth(node.cast::<pg_sys::CoalesceExpr>().args(), 0))
}

/// The node below changes of its type's name only.
fn strip(mut node: Node) -> Node {
    while list::is(node, pg_sys::NodeTag::T_RelabelType) {
        node = node.cast::<pg_sys::RelabelType>().arg();
    }
    node
}

/// The column of an atom that an expression is, seen from `level` blocks below, with the type that it is stored as.
fn column(here: Around, node: Node, level: u32) -> Option<(Col, pg_sys::Oid)> {
    let node = strip(node);
    if !list::is(node, pg_sys::NodeTag::T_Var) || node.cast::<pg_sys::Var>().varlevelsup() != level {
        return None;
    }
    let own = node.copy();
    own.cast::<pg_sys::Var>().set_varlevelsup(0);
    let own = if level == 0 { own } else { server::flatten_join_aliases(here.block.query, own) };
    let col = here.block.resolve_expr(own)?;
    let typid = type_of(here.block, own)?;
    Some((Col { atom: here.first + col.atom, ..col }, typid))
}

/// The type that a column is stored as, below changes of the type's name only.
fn type_of(block: &Block, mut node: Node) -> Option<pg_sys::Oid> {
    while list::is(node, pg_sys::NodeTag::T_RelabelType) {
        node = node.cast::<pg_sys::RelabelType>().arg();
    }
    let var = node.cast::<pg_sys::Var>();
    match block.items.get(&(var.varno() as usize))? {
        Item::Atom(_) => Some(var.vartype()),
        Item::Sub(below) => type_of(below, below.output(var.varattno())?),
    }
}

fn hash_family(typid: pg_sys::Oid) -> pg_sys::Oid {
    lsyscache::operators(typid).hash_family
}
