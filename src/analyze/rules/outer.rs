//! Relations on the nullable side of an outer join: where their changes take away and give back null-extended rows.
//!
//! Invariant: a row of the preserved side can lose or find its partners by a change only if it is a partner of one of the
//! change rows, before or after. So whoever has locked the values by which change rows find their partners is the only one
//! that can do that to those rows. Called by `delta`.

use crate::analyze::describe::{Block, Described, Item};
use crate::analyze::query::conditions::conjunction;
use crate::analyze::query::from::{find, is_nullable, keep};
use crate::analyze::query::tree::constant;
use crate::analyze::query::{levels, printed, relations};
use crate::analyze::rules::change_rows::replace_by;
use crate::analyze::rules::lift;
use crate::pg::error::Result;
use crate::pg::ext::{self, make};
use crate::pg::fault::{self, Fault};
use crate::pg::{list, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::CString;
use tviews_core::reason::Reason;

/// An outer join whose nullable side has the changed relation.
pub struct Place {
    /// Path of the block that the join is in.
    block: Vec<usize>,
    /// Range table index by which the join is found: that of the item of the changed relation.
    index: usize,
    /// Which of the joins above it, outermost first.
    nth: usize,
    in_left: bool,
    /// Atoms of the nullable side.
    pub side: BTreeSet<usize>,
}

impl Place {
    unsafe fn block_of(&self, query: *mut pg_sys::Query) -> *mut pg_sys::Query {
        // SAFETY: `query` is a live tree of the server.
        unsafe { lift::block_at(query, &self.block) }
    }

    pub unsafe fn find(&self, query: *mut pg_sys::Query) -> *mut pg_sys::JoinExpr {
        // SAFETY: `query` is a live tree of the server.
        unsafe {
            let mut joins = Vec::new();
            find((*self.block_of(query)).jointree.cast(), self.index, &mut joins);
            joins[self.nth].join
        }
    }

    /// The nullable side, and the range table indexes of its relations.
    unsafe fn nullable_side(&self, join: *mut pg_sys::JoinExpr) -> (*mut pg_sys::Node, BTreeSet<usize>) {
        // SAFETY: `join` is a live node of a tree of the server.
        unsafe {
            let side = if self.in_left { (*join).larg } else { (*join).rarg };
            let mut inside = Vec::new();
            relations::collect(side, &mut inside);
            (side, inside.into_iter().collect())
        }
    }

    /// The join keeps only rows in which the nullable side is there.
    pub unsafe fn keep_partners(&self, join: *mut pg_sys::JoinExpr) {
        // SAFETY: `join` is a live node of a tree of the server.
        unsafe { keep(join, self.in_left) }
    }

    /// Restricts the query to rows of the other side for which the change rows are partners, but which have none.
    pub unsafe fn without_partner(
        &self,
        query: *mut pg_sys::Query,
        d: &Described,
        atom: usize,
    ) -> Result<std::result::Result<(), Reason>> {
        // SAFETY: `query` is a live tree of the server; `d` belongs to a query that is alive.
        unsafe {
            let block = self.block_of(query);
            let join = self.find(query);
            let (side, inside) = self.nullable_side(join);
            let on = ext::flatten_join_aliases(block, (*join).quals);
            if !on.is_null() && pg_sys::checkExprHasSubLink(on) {
                return Ok(Err(Reason::SubqueryInOuterCondition));
            }
            let lateral = |i: &usize| (*list::nth::<pg_sys::RangeTblEntry>((*block).rtable, i - 1)).lateral;
            if inside.iter().any(lateral) {
                return Ok(Err(Reason::LateralNullable));
            }
            let partners = |changes: bool| -> Result<*mut pg_sys::Node> {
                let one = pg_sys::makeTargetEntry(constant(1).cast(), 1, pg_sys::pstrdup(c"one".as_ptr()), false);
                let sub = only_side(block, side, &inside, on, pg_sys::lappend(std::ptr::null_mut(), one.cast()));
                below(sub, &inside);
                if changes {
                    self.put_changed(sub, d, atom)?;
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
            (*join).quals = pg_sys::makeBoolConst(false, false);
            let from = (*block).jointree;
            let mut all: Vec<*mut pg_sys::Node> =
                list::iter(pg_sys::make_ands_implicit((*from).quals.cast())).collect();
            all.extend([changed, absent.cast()]);
            (*from).quals = conjunction(all);
            (*block).hasSubLinks = true;
            Ok(Ok(()))
        }
    }

    /// Change rows in the place of the changed relation, in a query that begins at the block of the join.
    unsafe fn put_changed(&self, query: *mut pg_sys::Query, d: &Described, atom: usize) -> Result<()> {
        // SAFETY: `query` is a live tree of the server; `d` belongs to a query that is alive.
        unsafe {
            let path = &d.description.atoms[atom].path[self.block.len()..];
            let last = lift::block_at(query, &path[..path.len() - 1]);
            let rte = list::nth::<pg_sys::RangeTblEntry>((*last).rtable, path[path.len() - 1] - 1);
            replace_by(rte, "changed")
        }
    }

    /// The SELECT of the values by which change rows find their partners; None when the join has no equality that says.
    pub unsafe fn partner_values(&self, d: &Described, atom: usize) -> Result<Option<String>> {
        // SAFETY: `d` belongs to a query that is alive.
        unsafe {
            let query = ext::copy(d.block.query);
            let block = self.block_of(query);
            let join = self.find(query);
            let (side, inside) = self.nullable_side(join);
            let on = ext::flatten_join_aliases(block, (*join).quals);
            let mut targets: *mut pg_sys::List = std::ptr::null_mut();
            for condition in list::iter::<pg_sys::Node>(pg_sys::make_ands_implicit(on.cast())) {
                let Some(value) = equal_to_outside(condition, &inside) else { continue };
                let number = list::len(targets) + 1;
                let label = CString::new(format!("v{number}")).unwrap_or_default();
                let tle = pg_sys::makeTargetEntry(value.cast(), number as i16, pg_sys::pstrdup(label.as_ptr()), false);
                targets = pg_sys::lappend(targets, tle.cast());
            }
            if targets.is_null() {
                return Ok(None);
            }
            let sub = only_side(block, side, &inside, std::ptr::null_mut(), targets);
            // On its own it has no queries around it.
            if levels::looks_up(sub.cast()) {
                return Ok(None);
            }
            self.put_changed(sub, d, atom)?;
            let text = printed::text(sub)?;
            Ok(Some(format!("SELECT DISTINCT * FROM ({text}) x")))
        }
    }
}

/// The side of an equality that looks only at the relations `inside`, when the other one does not look at them. The
/// equality is one that the type's hashes agree with: values that are equal to one of another type (integer and bigint) are equal to
/// each other.
unsafe fn equal_to_outside(condition: *mut pg_sys::Node, inside: &BTreeSet<usize>) -> Option<*mut pg_sys::Node> {
    // SAFETY: `condition` is a live node of a tree of the server.
    unsafe {
        if !list::is(condition, pg_sys::NodeTag::T_OpExpr) {
            return None;
        }
        let op = &*condition.cast::<pg_sys::OpExpr>();
        if list::len(op.args) != 2 {
            return None;
        }
        let sides = [list::nth::<pg_sys::Node>(op.args, 0), list::nth::<pg_sys::Node>(op.args, 1)];
        let looks_at = |node: *mut pg_sys::Node| -> BTreeSet<usize> {
            let members = list::members(pg_sys::pull_varnos(std::ptr::null_mut(), node));
            members.into_iter().map(|i| i as usize).collect()
        };
        let own = |node: *mut pg_sys::Node| {
            let found = looks_at(node);
            !found.is_empty() && found.is_subset(inside)
        };
        let at = sides.iter().position(|n| own(*n))?;
        let (value, other) = (sides[at], sides[1 - at]);
        let typid = pg_sys::exprType(value);
        let types = (pg_sys::TYPECACHE_HASH_OPFAMILY | pg_sys::TYPECACHE_HASH_PROC) as i32;
        let known = &*pg_sys::lookup_type_cache(typid, types);
        let deterministic = |c: pg_sys::Oid| c == pg_sys::InvalidOid || pg_sys::get_collation_isdeterministic(c);
        let right = looks_at(other).is_disjoint(inside)
            && known.hash_opf != pg_sys::InvalidOid
            && pg_sys::op_in_opfamily(op.opno, known.hash_opf)
            && known.hash_proc != pg_sys::InvalidOid
            && (deterministic(op.inputcollid) || op.inputcollid == pg_sys::exprCollation(value))
            && !pg_sys::contain_mutable_functions(value)
            && !levels::looks_up(value)
            && !pg_sys::checkExprHasSubLink(value);
        right.then(|| ext::copy(value))
    }
}

/// A query over one side of a join, at the level of the block that the join is in.
unsafe fn only_side(
    block: *mut pg_sys::Query,
    side: *mut pg_sys::Node,
    inside: &BTreeSet<usize>,
    quals: *mut pg_sys::Node,
    targets: *mut pg_sys::List,
) -> *mut pg_sys::Query {
    // SAFETY: `block` is a live tree of the server; `side` and `quals` are live nodes of a tree of the server; `targets` is a list of such nodes.
    unsafe {
        let sub = make::<pg_sys::Query>(pg_sys::NodeTag::T_Query);
        (*sub).commandType = pg_sys::CmdType::CMD_SELECT;
        (*sub).canSetTag = true;
        (*sub).rtable = ext::copy((*block).rtable);
        blank_others((*sub).rtable, side, inside);
        let from = make::<pg_sys::FromExpr>(pg_sys::NodeTag::T_FromExpr);
        (*from).fromlist = pg_sys::lappend(std::ptr::null_mut(), ext::copy(side).cast());
        (*from).quals = ext::copy(quals);
        (*sub).jointree = from;
        (*sub).targetList = targets;
        sub
    }
}

/// Moves such a query to where it is a sub-query of the block: what it takes from around the block is one level further up,
/// and so are now the relations of the block that are not `inside`, which its condition looks at.
unsafe fn below(sub: *mut pg_sys::Query, inside: &BTreeSet<usize>) {
    // SAFETY: the nodes are live ones of a tree of the server.
    unsafe {
        if !fault::on(Fault::KeepLevels) {
            pg_sys::IncrementVarSublevelsUp(sub.cast(), 1, 1);
        }
        let from = (*sub).jointree;
        (*from).quals = outward((*from).quals, inside);
    }
}

/// Makes range table entries that are not below `side` empty ones: the deparser looks at all joins of a range table.
unsafe fn blank_others(rtable: *mut pg_sys::List, side: *mut pg_sys::Node, inside: &BTreeSet<usize>) {
    // SAFETY: `rtable` is a list of such nodes; `side` is a live node of a tree of the server.
    unsafe {
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
}

unsafe fn joins_below(node: *mut pg_sys::Node, out: &mut BTreeSet<usize>) {
    // SAFETY: `node` is a live node of a tree of the server.
    unsafe {
        if list::is(node, pg_sys::NodeTag::T_JoinExpr) {
            let join = node.cast::<pg_sys::JoinExpr>();
            out.insert((*join).rtindex as usize);
            joins_below((*join).larg, out);
            joins_below((*join).rarg, out);
        }
    }
}

/// A condition of the block, for use inside a sub-query that has the relations `inside` itself.
unsafe fn outward(condition: *mut pg_sys::Node, inside: &BTreeSet<usize>) -> *mut pg_sys::Node {
    // SAFETY: `condition` is a live node of a tree of the server.
    unsafe {
        walk::rewrite(condition, &mut |node| {
            if !list::is(node, pg_sys::NodeTag::T_Var) {
                return None;
            }
            let var = node.cast::<pg_sys::Var>();
            if (*var).varlevelsup > 0 || inside.contains(&((*var).varno as usize)) {
                return None;
            }
            let out = ext::copy(var);
            (*out).varlevelsup = 1;
            Some(out.cast())
        })
    }
}

/// The joins on the way to an atom that can null-extend it.
pub unsafe fn nullable_places(
    query: *mut pg_sys::Query,
    block: &Block,
    path: &[usize],
    above: &[usize],
    out: &mut Vec<Place>,
) -> std::result::Result<(), Reason> {
    // SAFETY: `query` is a live tree of the server; `block` belongs to a query that is alive.
    unsafe {
        let index = path[0];
        let mut joins = Vec::new();
        find((*query).jointree.cast(), index, &mut joins);
        for (nth, on) in joins.iter().enumerate() {
            if is_nullable(on) {
                let mut side = Vec::new();
                relations::collect(if on.in_left { (*on.join).larg } else { (*on.join).rarg }, &mut side);
                let side = side.into_iter().flat_map(|i| block.atoms_of(i)).collect();
                out.push(Place { block: above.to_vec(), index, nth, in_left: on.in_left, side });
            }
        }
        let rte = list::nth::<pg_sys::RangeTblEntry>((*query).rtable, index - 1);
        if !(*rte).securityQuals.is_null() {
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
}

/// Whether a whole-row Var of this level's relation `index` occurs.
unsafe fn whole_row(query: *mut pg_sys::Query, index: usize) -> bool {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        walk::walk(query.cast(), &mut |node| {
            list::is(node, pg_sys::NodeTag::T_Var)
                && (*node.cast::<pg_sys::Var>()).varno as usize == index
                && (*node.cast::<pg_sys::Var>()).varattno <= 0
        })
    }
}
