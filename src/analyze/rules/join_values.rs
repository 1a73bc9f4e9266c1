//! By which values the relations of a query meet, for locks that only writers of the same values share.
//!
//! Two writers of different relations whose changed rows have no such values in common do not change the same row of the join, and neither
//! needs rows that the other changes; the columns are found in `tviews_core::meetings`, with the proof. Here the query becomes the join tree
//! that `meetings` looks at. A sub-query, in an expression or in FROM, is the nullable side of a left join, by the equalities of its WHERE clause
//! between a column of its own and a column of the block around it. `IN` as a condition of its own is an equality, too.
//! Invariant: values that an equality holds for have the same hash, whatever their types: both types have the hash operator family that
//! the operator belongs to (access/hash/hashvalidate.c). Called by decide.

use crate::analyze::describe::{Block, Item, describe};
use crate::analyze::query::relations::Use;
use crate::analyze::query::tree::is_plain;
use crate::pg::relation::Relation;
use crate::pg::tree::{Node, Query, Tree, list, lsyscache, server, walk};
use pgrx::pg_sys;
use std::collections::{BTreeMap, HashMap};
use tviews_core::meetings::meetings;
use tviews_core::model::{Col, Description, Equality, Join, OuterKind, Shape};

/// A column that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub att: i16,
    pub typid: pg_sys::Oid,
}

/// Two relations of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub sides: [u32; 2],
    /// Columns of both that are equal where rows of both are parts of one row; none when nothing is known.
    pub equal: Vec<[Column; 2]>,
}

/// All pairs of relations, in order; None for a query to which this does not apply.
pub fn pairs(query: Query, shape: &Shape, used: &BTreeMap<u32, Use>) -> Option<Vec<Pair>> {
    let once = used.len() > 1 && used.values().all(|u| u.times == 1);
    if !once || !matches!(shape, Shape::Rows | Shape::Groups(_) | Shape::Distinct) {
        return None;
    }
    let mut builder = Builder::default();
    let join = builder.query(query, None).0;
    let atoms = join.atoms();
    let atom_of = |relid: &u32| {
        let mut those = atoms.iter().filter(|a| builder.relids[**a] == Some(*relid));
        those.next().filter(|_| those.next().is_none()).copied()
    };
    // A relation that is read where the tree does not show it has no place.
    let places: Option<Vec<(u32, usize)>> = used.keys().map(|r| Some((*r, atom_of(r)?))).collect();
    let places = places?;
    let met = meetings(&join);
    let mut pairs = Vec::new();
    for (i, (left, a)) in places.iter().enumerate() {
        for (right, b) in &places[i + 1..] {
            let column = |col: &Col| Column { att: col.att, typid: builder.types[col] };
            let both = met.get(&(*a.min(b), *a.max(b))).map(Vec::as_slice).unwrap_or_default();
            let mut equal: Vec<_> = both
                .iter()
                .map(|(low, high)| if a < b { [column(low), column(high)] } else { [column(high), column(low)] })
                .collect();
            // All backends have to put the columns into their hashes in the same order.
            equal.sort_by_key(|columns| columns.map(|c| c.att));
            pairs.push(Pair { sides: [*left, *right], equal });
        }
    }
    Some(pairs)
}

/// A block, and the number of its first atom among those of all blocks.
#[derive(Clone, Copy)]
struct Around<'a> {
    block: &'a Block,
    first: usize,
}

/// Makes the join tree of a query and of its sub-queries.
#[derive(Default)]
struct Builder {
    /// The relation of each atom; None for an item that is no relation, and for sub-queries of FROM, whose own atoms follow.
    relids: Vec<Option<u32>>,
    /// Types of the columns that are compared.
    types: HashMap<Col, pg_sys::Oid>,
}

impl Builder {
    /// The tree of a query, and the equalities between its columns and columns of the block around it.
    fn query(&mut self, query: Query, around: Option<Around>) -> (Join, Vec<Equality>) {
        let described = describe(query, &|_: &Relation| None);
        let Description { atoms, .. } = described.description;
        let here = Around { block: &described.block, first: self.relids.len() };
        self.relids.extend(atoms.iter().map(|a| a.relid));
        let join = self.block(here);
        let mut links = Vec::new();
        if let Some(around) = around {
            self.correlated(query.jointree().cast(), here, around, &mut links);
        }
        (join, links)
    }

    /// The tree of a block with the sub-queries of its expressions.
    fn block(&mut self, here: Around) -> Join {
        let query = here.block.query;
        let mut join = self.from(query.jointree().cast(), here);
        let conditions = query.jointree().quals();
        let targets = server::flatten_groups(query, query.targetList().cast());
        let having = server::flatten_groups(query, query.havingQual());
        for root in [conditions, targets, having] {
            for link in walk::links_in(root) {
                let sub = link.subselect().cast::<pg_sys::Query>();
                let first = self.relids.len();
                let (below, mut links) = self.query(sub, Some(here));
                let alone = list::iter::<pg_sys::Node>(server::make_ands_implicit(conditions.cast()));
                if alone.into_iter().any(|c| c == link.cast()) {
                    self.among(link, Around { first, ..here }, here, &mut links);
                }
                join = left(join, below, links);
            }
        }
        join
    }

    fn from(&mut self, node: Node, here: Around) -> Join {
        let mut computed = Vec::new();
        let mut join = if list::is(node, pg_sys::NodeTag::T_FromExpr) {
            let from = node.cast::<pg_sys::FromExpr>();
            let items: Vec<Join> = list::iter::<pg_sys::Node>(from.fromlist())
                .filter_map(|item| self.item(item, here, &mut computed))
                .collect();
            Join::Inner(items, self.equalities(from.quals(), here))
        } else if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
            let join = node.cast::<pg_sys::JoinExpr>();
            let on = self.equalities(join.quals(), here);
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
                Item::Sub(block) => self.block(Around { block, first: here.first }),
            }
        };
        for (below, links) in computed {
            join = left(join, below, links);
        }
        join
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
        computes.then(|| self.query(rte.subquery(), Some(here)))
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
            let [l, r] = sides(op).map(|side| column(here, side, 0));
            out.extend(self.equality(op, l, r));
        }
        out
    }

    /// The equalities between columns of a sub-query and of the block around it, where all rows of the sub-query have to pass.
    fn correlated(&mut self, node: Node, here: Around, around: Around, out: &mut Vec<Equality>) {
        let quals = if list::is(node, pg_sys::NodeTag::T_FromExpr) {
            let from = node.cast::<pg_sys::FromExpr>();
            list::iter::<pg_sys::Node>(from.fromlist()).for_each(|i| self.correlated(i, here, around, out));
            from.quals()
        } else if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
            let join = node.cast::<pg_sys::JoinExpr>();
            if join.jointype() != pg_sys::JoinType::JOIN_INNER {
                return;
            }
            self.correlated(join.larg(), here, around, out);
            self.correlated(join.rarg(), here, around, out);
            join.quals()
        } else {
            return;
        };
        let flat = server::flatten_join_aliases(here.block.query, quals);
        for op in comparisons(flat) {
            let [l, r] = sides(op);
            for (own, other) in [(l, r), (r, l)] {
                out.extend(self.equality(op, column(here, own, 0), column(around, other, 1)));
            }
        }
    }

    /// `x IN (SELECT y …)` where the condition has to be true: NULLs among the y do not matter.
    fn among(&mut self, link: Tree<pg_sys::SubLink>, below: Around, here: Around, out: &mut Vec<Equality>) {
        let sub = link.subselect().cast::<pg_sys::Query>();
        if link.subLinkType() != pg_sys::SubLinkType::ANY_SUBLINK || !is_plain(sub) {
            return;
        }
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
            out.extend(self.equality(op, column(here, l, 0), own.and_then(|own| column(below, own, 0))));
        }
    }

    fn equality(
        &mut self,
        op: Tree<pg_sys::OpExpr>,
        left: Option<(Col, pg_sys::Oid)>,
        right: Option<(Col, pg_sys::Oid)>,
    ) -> Option<Equality> {
        let (left, right, op) = (left?, right?, op);
        let family = hash_family(left.1);
        let hashes = family != pg_sys::InvalidOid
            && family == hash_family(right.1)
            && lsyscache::op_in_opfamily(op.opno(), family)
            && (op.inputcollid() == pg_sys::InvalidOid || lsyscache::get_collation_isdeterministic(op.inputcollid()));
        if !hashes || left.0.atom == right.0.atom {
            return None;
        }
        self.types.extend([left, right]);
        Some((left.0, Some(right.0)))
    }
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
