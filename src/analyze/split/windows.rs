//! Windows with nothing in common: a stage for those of each partitioning, joined by the key of the rows. Without a key they
//! are chained (`chain`).
//!
//! A change then recomputes the partitions it touches in each stage, where together they would have to be computed over all
//! rows. The first stage also has what the outputs need beside windows.
//! Invariant: each stage has one row for each row of the query, with its key, which is never NULL. Called by `core`.

use crate::analyze::describe::{Item, describe};
use crate::analyze::query::tree;
use crate::analyze::split::Splitter;
use crate::analyze::split::eligible::can_be_stored;
use crate::analyze::split::groups::plain;
use crate::analyze::split::relation::{beside, label, over, stage_column};
use crate::pg::error::Result;
use crate::pg::{ext, list, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use tviews_core::key;

/// Windows that are partitioned by the same expressions, by their sort references.
#[derive(Clone)]
pub struct Apart {
    pub by: BTreeSet<u32>,
    pub windows: BTreeSet<u32>,
}

impl Splitter<'_> {
    /// None when there is a window over all rows, or a column that cannot be stored.
    pub unsafe fn windows_apart(&mut self, query: *mut pg_sys::Query) -> Result<Option<*mut pg_sys::Query>> {
        // SAFETY: `query` is a live tree of the server.
        unsafe {
            let q = &*query;
            let Some(apart) = partitionings(query).filter(|a| a.len() > 1) else { return Ok(None) };
            if !q.cteList.is_null() || pg_sys::checkExprHasSubLink(q.targetList.cast()) {
                return Ok(None);
            }
            if let Some(key) = self.row_key(query)
                && let Some(outer) = self.joined(query, &apart, &key)?
            {
                return Ok(Some(outer));
            }
            self.chained(query, &apart)
        }
    }

    /// A stage for each partitioning, joined by this key.
    unsafe fn joined(
        &mut self,
        query: *mut pg_sys::Query,
        apart: &[Apart],
        key: &[*mut pg_sys::Node],
    ) -> Result<Option<*mut pg_sys::Query>> {
        // SAFETY: `query` is a live tree of the server; `apart` belongs to a query that is alive; `key` holds live nodes of that tree.
        unsafe {
            let q = &*query;
            let mut beside: Vec<*mut pg_sys::Node> = Vec::new();
            let mut windows: Vec<Vec<*mut pg_sys::Node>> = apart.iter().map(|_| Vec::new()).collect();
            for tle in list::iter::<pg_sys::TargetEntry>(q.targetList).filter(|t| !(**t).resjunk) {
                walk::rewrite(plain(query, (*tle).expr.cast()), &mut |n| {
                    let (to, is_window) = match window_of(n) {
                        Some(w) => (&mut windows[apart.iter().position(|a| a.windows.contains(&w)).unwrap_or(0)], true),
                        None => (&mut beside, false),
                    };
                    if !is_window && !is_carried(n) {
                        return None;
                    }
                    if !to.iter().any(|known| pg_sys::equal((*known).cast(), n.cast())) {
                        to.push(n);
                    }
                    Some(n)
                });
            }
            let mut columns: Vec<Vec<*mut pg_sys::Node>> = Vec::new();
            for (i, own) in windows.into_iter().enumerate() {
                let first: &[*mut pg_sys::Node] = if i == 0 { &beside } else { &[] };
                columns.push(key.iter().chain(first).copied().chain(own).collect());
            }
            if columns.iter().flatten().any(|c| !can_be_stored(*c) || is_row(*c)) {
                return Ok(None);
            }
            let mut stages = Vec::new();
            for (group, columns) in apart.iter().zip(&columns) {
                let Some(stage) = stage(query, group, columns) else { return Ok(None) };
                stages.push(stage);
            }
            let joined = describe_key(key);
            if !self.stages.is_joined(&joined) {
                return Ok(None);
            }
            let mut outer: *mut pg_sys::Query = std::ptr::null_mut();
            for stage in stages {
                let next = over(stage, self.joined_relation(stage, &joined)?)?;
                outer = if outer.is_null() { next } else { join(outer, next, key) };
            }
            (*outer).targetList = targets(query, &columns);
            Ok(Some(outer))
        }
    }

    /// Columns that tell the rows of a query apart.
    unsafe fn row_key(&self, query: *mut pg_sys::Query) -> Option<Vec<*mut pg_sys::Node>> {
        // SAFETY: `query` is a live tree of the server.
        unsafe {
            let copy = ext::copy(query);
            (*copy).hasWindowFuncs = false;
            (*copy).windowClause = std::ptr::null_mut();
            (*copy).sortClause = std::ptr::null_mut();
            (*copy).targetList = std::ptr::null_mut();
            let d = describe(copy, self.key_of);
            let mut candidates: Vec<*mut pg_sys::Node> = Vec::new();
            for (index, item) in &d.block.items {
                let rte = list::nth::<pg_sys::RangeTblEntry>((*query).rtable, index - 1);
                let attributes: Vec<i16> = match item {
                    Item::Atom(a) => d.description.atoms[*a].keys.iter().flatten().copied().collect(),
                    Item::Sub(_) => tree::outputs((*rte).subquery).iter().map(|t| (**t).resno).collect(),
                };
                for att in attributes {
                    let var = match (*rte).rtekind {
                        pg_sys::RTEKind::RTE_RELATION => of_relation(*index, (*rte).relid, att),
                        pg_sys::RTEKind::RTE_SUBQUERY => of_sub_query(*index, (*rte).subquery, att),
                        _ => continue,
                    };
                    candidates.push(var.cast());
                }
            }
            candidates.sort_by_key(|v| ((*v.cast::<pg_sys::Var>()).varno, (*v.cast::<pg_sys::Var>()).varattno));
            candidates.dedup_by(|a, b| pg_sys::equal((*a).cast(), (*b).cast()));
            (*copy).targetList = entries(&candidates);
            let d = describe(copy, self.key_of);
            key::of_rows(&d.description).map(|key| key.into_iter().map(|p| candidates[p]).collect())
        }
    }
}

/// A key as it is remembered: tables may get other keys later.
unsafe fn describe_key(key: &[*mut pg_sys::Node]) -> String {
    // SAFETY: `key` holds live nodes of one tree.
    unsafe {
        let column = |v: &*mut pg_sys::Node| {
            let var = &*v.cast::<pg_sys::Var>();
            format!("{}.{}", var.varno, var.varattno)
        };
        key.iter().map(column).collect::<Vec<_>>().join(" ")
    }
}

/// The windows in use by what they are partitioned by; None when one is not.
pub unsafe fn partitionings(query: *mut pg_sys::Query) -> Option<Vec<Apart>> {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        let mut used = BTreeSet::new();
        walk::walk((*query).targetList.cast(), &mut |n| {
            used.extend(window_of(n));
            false
        });
        let mut out: Vec<Apart> = Vec::new();
        for window in list::iter::<pg_sys::WindowClause>((*query).windowClause) {
            if !used.contains(&(*window).winref) {
                continue;
            }
            let by: BTreeSet<u32> = list::iter::<pg_sys::SortGroupClause>((*window).partitionClause)
                .map(|c| (*c).tleSortGroupRef)
                .collect();
            if by.is_empty() {
                return None;
            }
            match out.iter_mut().find(|a| a.by == by) {
                Some(known) => _ = known.windows.insert((*window).winref),
                None => out.push(Apart { by, windows: BTreeSet::from([(*window).winref]) }),
            }
        }
        Some(out)
    }
}

pub unsafe fn window_of(node: *mut pg_sys::Node) -> Option<u32> {
    // SAFETY: `node` is a live node of a tree of the server.
    unsafe { list::is(node, pg_sys::NodeTag::T_WindowFunc).then(|| (*node.cast::<pg_sys::WindowFunc>()).winref) }
}

/// Whether an expression is a column of a stage that others read: a column of a relation, or what is computed from a row as
/// a whole, which would be another row when its table gets another column.
pub unsafe fn is_carried(node: *mut pg_sys::Node) -> bool {
    // SAFETY: `node` is a live node of a tree of the server.
    unsafe {
        use pg_sys::NodeTag::*;
        let has = |is: &dyn Fn(*mut pg_sys::Node) -> bool| walk::walk(node, &mut |n| is(n));
        match (*node).type_ {
            T_Var => true,
            T_FuncExpr | T_OpExpr | T_NullTest | T_CoerceViaIO => {
                has(&|n| is_row(n)) && !has(&|n| window_of(n).is_some())
            }
            _ => false,
        }
    }
}

/// Whether an expression is the row of a relation.
pub unsafe fn is_row(node: *mut pg_sys::Node) -> bool {
    // SAFETY: `node` is a live node of a tree of the server.
    unsafe { list::is(node, pg_sys::NodeTag::T_Var) && (*node.cast::<pg_sys::Var>()).varattno == 0 }
}

unsafe fn of_relation(index: usize, relid: pg_sys::Oid, att: i16) -> *mut pg_sys::Var {
    // SAFETY: `makeVar` allocates in the current context; the type comes from the locked relation.
    unsafe {
        let (mut typid, mut typmod, mut collation) = (pg_sys::InvalidOid, -1, pg_sys::InvalidOid);
        pg_sys::get_atttypetypmodcoll(relid, att, &mut typid, &mut typmod, &mut collation);
        pg_sys::makeVar(index as i32, att, typid, typmod, collation, 0)
    }
}

unsafe fn of_sub_query(index: usize, query: *mut pg_sys::Query, att: i16) -> *mut pg_sys::Var {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        let tle = list::iter::<pg_sys::TargetEntry>((*query).targetList).find(|t| (**t).resno == att);
        let node: *mut pg_sys::Node = tle.map_or(std::ptr::null_mut(), |t| (*t).expr.cast());
        let (typid, typmod, collation) =
            (pg_sys::exprType(node), pg_sys::exprTypmod(node), pg_sys::exprCollation(node));
        pg_sys::makeVar(index as i32, att, typid, typmod, collation, 0)
    }
}

unsafe fn entries(nodes: &[*mut pg_sys::Node]) -> *mut pg_sys::List {
    // SAFETY: `nodes` holds live nodes of one tree.
    unsafe {
        let mut out: *mut pg_sys::List = std::ptr::null_mut();
        for (i, node) in nodes.iter().enumerate() {
            let tle = pg_sys::makeTargetEntry(ext::copy(*node).cast(), i as i16 + 1, label(i), false);
            out = pg_sys::lappend(out, tle.cast());
        }
        out
    }
}

/// A window that does not need the one it was defined by: the parser has copied what it takes from it (parse_clause.c,
/// transformWindowDefinitions).
pub unsafe fn standalone(window: *mut pg_sys::WindowClause) -> *mut pg_sys::WindowClause {
    // SAFETY: `window` is a live node of a tree of the server.
    unsafe {
        let own = ext::copy(window);
        (*own).refname = std::ptr::null_mut();
        (*own).copiedOrder = false;
        own
    }
}

/// The query with these columns and the windows of one partitioning, or of some that have it in common; None when what they
/// are partitioned by cannot be stored.
pub unsafe fn stage(
    query: *mut pg_sys::Query,
    group: &Apart,
    columns: &[*mut pg_sys::Node],
) -> Option<*mut pg_sys::Query> {
    // SAFETY: `query` is a live tree of the server; `group` belongs to a query that is alive; `columns` holds live nodes of that tree.
    unsafe {
        let copy = ext::copy(query);
        let mut targets = entries(columns);
        let mut windows: *mut pg_sys::List = std::ptr::null_mut();
        let mut sorted = BTreeSet::new();
        for window in list::iter::<pg_sys::WindowClause>((*copy).windowClause) {
            if !group.windows.contains(&(*window).winref) {
                continue;
            }
            let window = standalone(window);
            for clause in [(*window).partitionClause, (*window).orderClause] {
                sorted.extend(list::iter::<pg_sys::SortGroupClause>(clause).map(|c| (*c).tleSortGroupRef));
            }
            windows = pg_sys::lappend(windows, window.cast());
        }
        for reference in sorted {
            let tle = pg_sys::get_sortgroupref_tle(reference, (*query).targetList);
            let node = ext::copy(plain(query, (*tle).expr.cast()));
            // What it is partitioned by has to be seen; what it is ordered by need not.
            let number = list::len(targets);
            let junk = !group.by.contains(&reference);
            if !junk && !can_be_stored(node) {
                return None;
            }
            let own = pg_sys::makeTargetEntry(node.cast(), number as i16 + 1, label(number), junk);
            (*own).ressortgroupref = reference;
            targets = pg_sys::lappend(targets, own.cast());
        }
        (*copy).targetList = in_order(targets);
        (*copy).windowClause = windows;
        (*copy).sortClause = std::ptr::null_mut();
        Some(copy)
    }
}

/// Junk entries last: the columns of a stage are numbered without them.
unsafe fn in_order(targets: *mut pg_sys::List) -> *mut pg_sys::List {
    // SAFETY: `targets` is null or a live list of nodes.
    unsafe {
        let all: Vec<*mut pg_sys::TargetEntry> = list::iter(targets).collect();
        let (junk, shown): (Vec<_>, Vec<_>) = all.into_iter().partition(|t| (**t).resjunk);
        let mut out: *mut pg_sys::List = std::ptr::null_mut();
        for (i, tle) in shown.into_iter().chain(junk).enumerate() {
            (*tle).resno = i as i16 + 1;
            (*tle).resname = label(i);
            out = pg_sys::lappend(out, tle.cast());
        }
        out
    }
}

/// One stage more in the FROM clause, its first columns equal to those of the first one.
unsafe fn join(outer: *mut pg_sys::Query, next: *mut pg_sys::Query, key: &[*mut pg_sys::Node]) -> *mut pg_sys::Query {
    // SAFETY: `outer` and `next` are live trees of the server; `key` holds live nodes of that tree.
    unsafe {
        let outer = beside(outer, next);
        let index = list::len((*outer).rtable) as i32;
        let from = &mut *(*outer).jointree;
        let mut all = pg_sys::make_ands_implicit(from.quals.cast());
        for (i, node) in key.iter().enumerate() {
            let (of, collation) = (pg_sys::exprType(*node), pg_sys::exprCollation(*node));
            let entry = pg_sys::lookup_type_cache(of, pg_sys::TYPECACHE_EQ_OPR as i32);
            let [left, right] = [stage_column(1, i, *node), stage_column(index, i, *node)];
            let (bool_type, none) = (pg_sys::BOOLOID, pg_sys::InvalidOid);
            let equal =
                pg_sys::make_opclause((*entry).eq_opr, bool_type, false, left.cast(), right.cast(), none, collation);
            pg_sys::set_opfuncid(equal.cast());
            all = pg_sys::lappend(all, equal.cast());
        }
        from.quals = pg_sys::make_ands_explicit(all).cast();
        outer
    }
}

/// The outputs of the query, computed from the columns of the stages.
unsafe fn targets(query: *mut pg_sys::Query, columns: &[Vec<*mut pg_sys::Node>]) -> *mut pg_sys::List {
    // SAFETY: `query` is a live tree of the server; `columns` holds live nodes of that tree.
    unsafe {
        let mut out: *mut pg_sys::List = std::ptr::null_mut();
        for tle in list::iter::<pg_sys::TargetEntry>((*query).targetList).filter(|t| !(**t).resjunk) {
            let own = ext::copy(tle);
            let lowered = walk::rewrite(plain(query, (*tle).expr.cast()), &mut |n| {
                columns.iter().enumerate().find_map(|(s, of)| {
                    let at = of.iter().position(|c| pg_sys::equal((*c).cast(), n.cast()))?;
                    Some(stage_column(s as i32 + 1, at, n))
                })
            });
            (*own).expr = lowered.cast();
            (*own).ressortgroupref = 0;
            out = pg_sys::lappend(out, own.cast());
        }
        out
    }
}
