//! Relations on the nullable side of an outer join: where their changes take away and give back null-extended rows.
//!
//! Invariant: a row of the preserved side can lose or find its partners by a change only if it is a partner of one of the
//! change rows, before or after. So a writer that has locked the values by which its change rows find their partners is the only
//! writer that can take or give partners of those rows. Called by `delta`.

use crate::analyze::describe::{Block, Described, Item};
use crate::analyze::query::conditions::conjunction;
use crate::analyze::query::from::{find, is_nullable, keep};
use crate::analyze::query::tree::constant;
use crate::analyze::query::{levels, printed, relations};
use crate::analyze::rules::change_rows::replace_by;
use crate::analyze::rules::lift;
use crate::pg::error::Result;
use crate::pg::fault::{self, Fault};
use crate::pg::tree::{JoinExpr, List, Node, Query, Text, Tree, list, lsyscache, make, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::CString;
use tviews_core::reason::Reason;

/// An outer join whose nullable side has the changed relation.
pub struct Place {
    /// Path of the block that the join is in.
    block: Vec<usize>,
    /// Range table index by which the join is found: the item of the changed relation.
    index: usize,
    /// Which of the joins above this item it is, outermost first.
    nth: usize,
    in_left: bool,
    /// Atoms of the nullable side.
    pub side: BTreeSet<usize>,
}

impl Place {
    fn block_of(&self, query: Query) -> Query {
        lift::block_at(query, &self.block)
    }

    pub fn find(&self, query: Query) -> JoinExpr {
        let mut joins = Vec::new();
        find(self.block_of(query).jointree().cast(), self.index, &mut joins);
        joins[self.nth].join
    }

    /// The nullable side, and the range table indexes of its relations.
    fn nullable_side(&self, join: JoinExpr) -> (Node, BTreeSet<usize>) {
        let side = if self.in_left { join.larg() } else { join.rarg() };
        let mut inside = Vec::new();
        relations::collect(side, &mut inside);
        (side, inside.into_iter().collect())
    }

    /// The join keeps only rows in which the nullable side is there.
    pub fn keep_partners(&self, join: JoinExpr) {
        keep(join, self.in_left)
    }

    /// Restricts the query to rows of the other side for which a change row is a partner, but which have no partner.
    pub fn without_partner(&self, query: Query, d: &Described, atom: usize) -> Result<std::result::Result<(), Reason>> {
        let block = self.block_of(query);
        let join = self.find(query);
        let (side, inside) = self.nullable_side(join);
        let on = server::flatten_join_aliases(block, join.quals());
        if !on.is_null() && server::checkExprHasSubLink(on) {
            return Ok(Err(Reason::SubqueryInOuterCondition));
        }
        let lateral = |i: &usize| server::rt_fetch(*i, block).lateral();
        if inside.iter().any(lateral) {
            return Ok(Err(Reason::LateralNullable));
        }
        let partners = |changes: bool| -> Result<Node> {
            let one = make::target(constant(1), 1, Text::of(c"one"), false);
            let sub = only_side(block, side, &inside, on, list::lappend(Tree::null(), one.cast()));
            below(sub, &inside);
            if changes {
                self.put_changed(sub, d, atom)?;
            }
            let link = make::make::<pg_sys::SubLink>();
            link.set_subLinkType(pg_sys::SubLinkType::EXISTS_SUBLINK);
            link.set_subselect(sub.cast());
            link.set_location(-1);
            Ok(link.cast())
        };
        let (changed, present) = (partners(true)?, partners(false)?);
        let absent = make::make::<pg_sys::BoolExpr>();
        absent.set_boolop(pg_sys::BoolExprType::NOT_EXPR);
        absent.set_args(list::lappend(Tree::null(), present.cast()));
        absent.set_location(-1);
        join.set_jointype(if self.in_left { pg_sys::JoinType::JOIN_RIGHT } else { pg_sys::JoinType::JOIN_LEFT });
        join.set_quals(make::boolean(false));
        let from = block.jointree();
        let mut all: Vec<Node> = list::iter(server::make_ands_implicit(from.quals())).collect();
        all.extend([changed, absent.cast()]);
        from.set_quals(conjunction(all));
        block.set_hasSubLinks(true);
        Ok(Ok(()))
    }

    /// Change rows in the place of the changed relation, in a query that begins at the block of the join.
    fn put_changed(&self, query: Query, d: &Described, atom: usize) -> Result<()> {
        let path = &d.description.atoms[atom].path[self.block.len()..];
        let last = lift::block_at(query, &path[..path.len() - 1]);
        let rte = list::nth::<pg_sys::RangeTblEntry>(last.rtable(), path[path.len() - 1] - 1);
        replace_by(rte, "changed")
    }

    /// The SELECT of the values by which change rows find their partners; None when the join has no equality that says.
    pub fn partner_values(&self, d: &Described, atom: usize) -> Result<Option<String>> {
        let query = d.block.query.copy();
        let block = self.block_of(query);
        let join = self.find(query);
        let (side, inside) = self.nullable_side(join);
        let on = server::flatten_join_aliases(block, join.quals());
        let mut targets: List = Tree::null();
        for condition in list::iter::<pg_sys::Node>(server::make_ands_implicit(on.cast())) {
            let Some(value) = equal_to_outside(condition, &inside) else { continue };
            let number = list::len(targets) + 1;
            let label = CString::new(format!("v{number}")).unwrap_or_default();
            let tle = make::target(value.cast(), number, Text::of(&label), false);
            targets = list::lappend(targets, tle.cast());
        }
        if targets.is_null() {
            return Ok(None);
        }
        let sub = only_side(block, side, &inside, Tree::null(), targets);
        // On its own the sub-query has no queries around it.
        if levels::looks_up(sub.cast()) {
            return Ok(None);
        }
        self.put_changed(sub, d, atom)?;
        let text = printed::text(sub)?;
        Ok(Some(format!("SELECT DISTINCT * FROM ({text}) x")))
    }
}

/// The side of an equality that looks only at the relations `inside`, when the other side does not look at them. The hashes of the
/// side's type agree with the equality: values that are equal to one value of another type (integer and bigint) are equal to each other.
fn equal_to_outside(condition: Node, inside: &BTreeSet<usize>) -> Option<Node> {
    if !list::is(condition, pg_sys::NodeTag::T_OpExpr) {
        return None;
    }
    let op = condition.cast::<pg_sys::OpExpr>();
    if list::len(op.args()) != 2 {
        return None;
    }
    let sides = [list::nth::<pg_sys::Node>(op.args(), 0), list::nth::<pg_sys::Node>(op.args(), 1)];
    let looks_at = |node: Node| -> BTreeSet<usize> { server::pull_varnos(node) };
    let own = |node: Node| {
        let found = looks_at(node);
        !found.is_empty() && found.is_subset(inside)
    };
    let at = sides.iter().position(|n| own(*n))?;
    let (value, other) = (sides[at], sides[1 - at]);
    let typid = server::exprType(value);
    let known = lsyscache::operators(typid);
    let deterministic = |c: pg_sys::Oid| c == pg_sys::InvalidOid || lsyscache::get_collation_isdeterministic(c);
    let right = looks_at(other).is_disjoint(inside)
        && known.hash_family != pg_sys::InvalidOid
        && lsyscache::op_in_opfamily(op.opno(), known.hash_family)
        && known.hashes
        && (deterministic(op.inputcollid()) || op.inputcollid() == server::exprCollation(value))
        && !server::contain_mutable_functions(value)
        && !levels::looks_up(value)
        && !server::checkExprHasSubLink(value);
    right.then(|| value.copy())
}

/// A query over one side of a join, at the level of the block that the join is in.
fn only_side(block: Query, side: Node, inside: &BTreeSet<usize>, quals: Node, targets: List) -> Query {
    let sub = make::make::<pg_sys::Query>();
    sub.set_commandType(pg_sys::CmdType::CMD_SELECT);
    sub.set_canSetTag(true);
    sub.set_rtable(block.rtable().copy());
    blank_others(sub.rtable(), side, inside);
    let from = make::make::<pg_sys::FromExpr>();
    from.set_fromlist(list::lappend(Tree::null(), side.copy().cast()));
    from.set_quals(quals.copy());
    sub.set_jointree(from);
    sub.set_targetList(targets);
    sub
}

/// Makes such a query a sub-query of the block: columns that it takes from around the block are one level further up,
/// and so are now the relations of the block that are not `inside`, which its condition looks at.
fn below(sub: Query, inside: &BTreeSet<usize>) {
    if !fault::on(Fault::KeepLevels) {
        server::IncrementVarSublevelsUp(sub.cast(), 1, 1);
    }
    let from = sub.jointree();
    from.set_quals(outward(from.quals(), inside));
}

/// Makes range table entries that are not below `side` empty ones: the deparser looks at all joins of a range table.
fn blank_others(rtable: List, side: Node, inside: &BTreeSet<usize>) {
    let mut kept = inside.clone();
    joins_below(side, &mut kept);
    for (i, rte) in list::iter::<pg_sys::RangeTblEntry>(rtable).enumerate() {
        if !kept.contains(&(i + 1)) {
            let empty = make::make::<pg_sys::RangeTblEntry>();
            empty.set_rtekind(pg_sys::RTEKind::RTE_RESULT);
            empty.set_eref(make::alias(c"none", Tree::null()));
            rte.become_like(empty);
        }
    }
}

fn joins_below(node: Node, out: &mut BTreeSet<usize>) {
    if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
        let join = node.cast::<pg_sys::JoinExpr>();
        out.insert(join.rtindex() as usize);
        joins_below(join.larg(), out);
        joins_below(join.rarg(), out);
    }
}

/// A condition of the block, for use inside a sub-query that has the relations `inside` itself.
fn outward(condition: Node, inside: &BTreeSet<usize>) -> Node {
    walk::rewrite(condition, &mut |node| {
        if !list::is(node, pg_sys::NodeTag::T_Var) {
            return None;
        }
        let var = node.cast::<pg_sys::Var>();
        if var.varlevelsup() > 0 || inside.contains(&(var.varno() as usize)) {
            return None;
        }
        let out = var.copy();
        out.set_varlevelsup(1);
        Some(out.cast())
    })
}

/// The joins on the way to an atom that can null-extend it.
pub fn nullable_places(
    query: Query,
    block: &Block,
    path: &[usize],
    above: &[usize],
    out: &mut Vec<Place>,
) -> std::result::Result<(), Reason> {
    let index = path[0];
    let mut joins = Vec::new();
    find(query.jointree().cast(), index, &mut joins);
    for (nth, on) in joins.iter().enumerate() {
        if is_nullable(on) {
            let mut side = Vec::new();
            relations::collect(if on.in_left { on.join.larg() } else { on.join.rarg() }, &mut side);
            let side = side.into_iter().flat_map(|i| block.atoms_of(i)).collect();
            out.push(Place { block: above.to_vec(), index, nth, in_left: on.in_left, side });
        }
    }
    let rte = server::rt_fetch(index, query);
    if !rte.securityQuals().is_null() {
        return Err(Reason::RowSecurity);
    }
    if whole_row(query, index) {
        return Err(Reason::WholeRow);
    }
    if let Some(Item::Sub(sub)) = block.items.get(&index) {
        let mut below = above.to_vec();
        below.push(index);
        return nullable_places(sub.query, sub, &path[1..], &below, out);
    }
    Ok(())
}

/// Whether a whole-row Var of this level's relation `index` occurs.
fn whole_row(query: Query, index: usize) -> bool {
    walk::walk(query.cast(), &mut |node| {
        list::is(node, pg_sys::NodeTag::T_Var)
            && node.cast::<pg_sys::Var>().varno() as usize == index
            && node.cast::<pg_sys::Var>().varattno() <= 0
    })
}
