//! A complex query as a graph of simple stages.
//!
//! Sub-queries that group, remove duplicates, limit, have windows or combine sets, and that do not depend on the rows
//! around them, are stages: internal TVIEWs with storage of their own. So is the grouped core of a query that does more
//! to its groups than show them (HAVING, windows, DISTINCT, LIMIT …). What remains reads the stages as relations.
//! A stage may have stages itself; each level splits only its outermost sub-queries.
//! Invariant: the same query always splits into the same stages in the same order, equal sub-queries being one stage.
//! Called at creation (which makes the stages) and once per backend and TVIEW (which finds them).

use super::describe::is_plain;
use super::load::outputs;
use super::relations;
use crate::capture::install::make;
use crate::pg::error::{Error, Result};
use crate::pg::{ext, list, name, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};

/// Gives the relation of a stage, from its SQL text.
pub type Resolve<'a> = &'a mut dyn FnMut(&str) -> Result<pg_sys::Oid>;

/// The query with its stages as relations. The expanded query is not changed.
///
/// # Safety
/// `query` is a valid, expanded query.
pub unsafe fn split(query: *mut pg_sys::Query, resolve: Resolve) -> Result<*mut pg_sys::Query> {
    let copy = ext::copy(query);
    if (*copy).commandType != pg_sys::CmdType::CMD_SELECT || !can_split(copy) {
        return Ok(copy);
    }
    inline_ctes(copy);
    let copy = super::set_operations::rewrite(copy)?.unwrap_or(copy);
    let mut cx = Splitter { known: Vec::new(), resolve };
    let copy = cx.core(copy)?;
    cx.block(copy, 0)?;
    Ok(copy)
}

/// Row security and inheritance by ONLY are bound to the query as the user wrote it.
unsafe fn can_split(query: *mut pg_sys::Query) -> bool {
    !walk::walk(query.cast(), &mut |n| {
        list::is(n, pg_sys::NodeTag::T_Query) && {
            let q = n.cast::<pg_sys::Query>();
            (*q).hasRowSecurity
                || list::iter::<pg_sys::RangeTblEntry>((*q).rtable).any(|r| {
                    (*r).rtekind == pg_sys::RTEKind::RTE_RELATION
                        && ((*r).relkind as u8 == pg_sys::RELKIND_RELATION
                            || (*r).relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE)
                        && has_policies((*r).relid)
                })
        }
    })
}

unsafe fn has_policies(relid: pg_sys::Oid) -> bool {
    let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, pg_sys::Datum::from(relid));
    if tuple.is_null() {
        return false;
    }
    let on = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>()).relrowsecurity;
    pg_sys::ReleaseSysCache(tuple);
    on
}

struct Splitter<'a> {
    known: Vec<(String, pg_sys::Oid)>,
    resolve: Resolve<'a>,
}

impl Splitter<'_> {
    unsafe fn relation(&mut self, query: *mut pg_sys::Query) -> Result<pg_sys::Oid> {
        let text = CStr::from_ptr(pg_sys::pg_get_querydef(ext::copy(query), false)).to_string_lossy().into_owned();
        if let Some((_, oid)) = self.known.iter().find(|(t, _)| *t == text) {
            return Ok(*oid);
        }
        let oid = (self.resolve)(&text)?;
        self.known.push((text, oid));
        Ok(oid)
    }

    /// Replaces the stages of a block and of the plain blocks below it. `depth`: how many blocks are above.
    unsafe fn block(&mut self, query: *mut pg_sys::Query, depth: u32) -> Result<()> {
        for index in relations::in_from(query) {
            let rte = list::nth::<pg_sys::RangeTblEntry>((*query).rtable, index - 1);
            if (*rte).rtekind != pg_sys::RTEKind::RTE_SUBQUERY {
                continue;
            }
            let sub = (*rte).subquery;
            if is_stage(sub) {
                blank_unused(query, index, sub);
                let oid = self.relation(sub)?;
                become_relation(rte, oid)?;
            } else if !(*sub).setOperations.is_null() {
                self.branches(sub, depth + 1)?;
            } else {
                self.block(sub, depth + 1)?;
            }
        }
        if !(*query).setOperations.is_null() {
            return self.branches(query, depth);
        }
        for link in links(query) {
            let sub = (*link).subselect.cast::<pg_sys::Query>();
            if is_stage(sub) {
                let oid = self.relation(sub)?;
                (*link).subselect = select_all(sub, oid)?.cast();
            } else {
                self.block(sub, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Branches of a set operation.
    unsafe fn branches(&mut self, query: *mut pg_sys::Query, depth: u32) -> Result<()> {
        for rte in list::iter::<pg_sys::RangeTblEntry>((*query).rtable) {
            if (*rte).rtekind != pg_sys::RTEKind::RTE_SUBQUERY {
                continue;
            }
            if is_stage((*rte).subquery) {
                let oid = self.relation((*rte).subquery)?;
                (*rte).subquery = select_all((*rte).subquery, oid)?;
            } else {
                self.block((*rte).subquery, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Makes the grouped or unlimited core of a query a stage, when more is done to it.
    unsafe fn core(&mut self, query: *mut pg_sys::Query) -> Result<*mut pg_sys::Query> {
        let q = &*query;
        if !q.setOperations.is_null() && (!q.limitCount.is_null() || !q.limitOffset.is_null()) {
            return self.exposed(query);
        }
        if !q.setOperations.is_null() || !q.groupingSets.is_null() || q.hasTargetSRFs {
            return Ok(query);
        }
        let limited = !q.limitCount.is_null() || !q.limitOffset.is_null();
        let grouped = !q.groupClause.is_null() || q.hasAggs;
        let distinct = !q.distinctClause.is_null();
        if grouped && (limited || distinct || q.hasWindowFuncs || !q.havingQual.is_null() || !shows_groups(query)) {
            if let Some(outer) = self.above_groups(query)? {
                return self.core(outer);
            }
            return Ok(query);
        }
        let windows = q.hasWindowFuncs;
        if limited || (windows && (distinct || super::describe::partition_columns(query).is_empty())) {
            return self.exposed(query);
        }
        Ok(query)
    }

    /// `SELECT groups, aggregates … GROUP BY` as a stage, and what is computed from it.
    unsafe fn above_groups(&mut self, query: *mut pg_sys::Query) -> Result<Option<*mut pg_sys::Query>> {
        let plain = |node: *mut pg_sys::Node| ext::flatten_join_aliases(query, ext::flatten_groups(query, node));
        // What the stage computes: (expression, sort reference).
        let mut columns: Vec<(*mut pg_sys::Node, u32)> = Vec::new();
        for clause in list::iter::<pg_sys::SortGroupClause>((*query).groupClause) {
            let tle = pg_sys::get_sortgroupref_tle((*clause).tleSortGroupRef, (*query).targetList);
            columns.push((plain((*tle).expr.cast()), (*clause).tleSortGroupRef));
        }
        let groups = columns.len();
        let mut possible = true;
        let mut lower = |node: *mut pg_sys::Node| {
            let node = plain(node);
            walk::rewrite(node, &mut |n| {
                let found = columns.iter().position(|(c, _)| pg_sys::equal((*c).cast(), n.cast()));
                let at = match found {
                    Some(at) => at,
                    None if is_aggregate(n) => {
                        if pg_sys::checkExprHasSubLink(n) {
                            possible = false;
                        }
                        columns.push((n, 0));
                        columns.len() - 1
                    }
                    None if list::is(n, pg_sys::NodeTag::T_Var) && groups > 0 => {
                        // Depends on the grouping columns.
                        if (*n.cast::<pg_sys::Var>()).varlevelsup != 0 || (*n.cast::<pg_sys::Var>()).varattno <= 0 {
                            possible = false;
                        }
                        columns.push((n, u32::MAX));
                        columns.len() - 1
                    }
                    None if list::is(n, pg_sys::NodeTag::T_SubLink) => {
                        if looks_up((*n.cast::<pg_sys::SubLink>()).subselect)
                            || !(*n.cast::<pg_sys::SubLink>()).testexpr.is_null()
                        {
                            possible = false;
                        }
                        return Some(n);
                    }
                    None if list::is(n, pg_sys::NodeTag::T_GroupingFunc) => {
                        possible = false;
                        return Some(n);
                    }
                    None => return None,
                };
                Some(column(at, n))
            })
        };
        let targets: Vec<*mut pg_sys::Node> = list::iter::<pg_sys::TargetEntry>((*query).targetList)
            .map(|t| if is_group_only(query, t) { std::ptr::null_mut() } else { lower((*t).expr.cast()) })
            .collect();
        let having = lower((*query).havingQual);
        let windows: Vec<[*mut pg_sys::Node; 2]> = list::iter::<pg_sys::WindowClause>((*query).windowClause)
            .map(|w| [lower((*w).startOffset), lower((*w).endOffset)])
            .collect();
        if !possible || columns.iter().any(|(c, _)| !can_be_stored(*c)) || columns.is_empty() {
            return Ok(None);
        }
        let inner = ext::copy(query);
        (*inner).havingQual = std::ptr::null_mut();
        (*inner).distinctClause = std::ptr::null_mut();
        (*inner).sortClause = std::ptr::null_mut();
        (*inner).windowClause = std::ptr::null_mut();
        (*inner).limitCount = std::ptr::null_mut();
        (*inner).limitOffset = std::ptr::null_mut();
        (*inner).hasWindowFuncs = false;
        (*inner).hasDistinctOn = false;
        #[cfg(feature = "pg18")]
        {
            (*inner).hasGroupRTE = false;
        }
        (*inner).groupClause = std::ptr::null_mut();
        let mut targetlist: *mut pg_sys::List = std::ptr::null_mut();
        for (i, (expr, reference)) in columns.iter().enumerate() {
            let label = CString::new(format!("c{}", i + 1)).unwrap_or_default();
            let tle =
                pg_sys::makeTargetEntry(ext::copy(*expr).cast(), i as i16 + 1, pg_sys::pstrdup(label.as_ptr()), false);
            if i < groups || *reference == u32::MAX {
                (*tle).ressortgroupref = i as u32 + 1;
                let clause = make::<pg_sys::SortGroupClause>(pg_sys::NodeTag::T_SortGroupClause);
                if i < groups {
                    *clause = *list::nth::<pg_sys::SortGroupClause>((*query).groupClause, i);
                }
                (*clause).tleSortGroupRef = i as u32 + 1;
                (*inner).groupClause = pg_sys::lappend((*inner).groupClause, clause.cast());
            }
            targetlist = pg_sys::lappend(targetlist, tle.cast());
        }
        (*inner).targetList = targetlist;
        let oid = self.relation(inner)?;
        let outer = over(inner, oid)?;
        let mut targetlist: *mut pg_sys::List = std::ptr::null_mut();
        for (tle, expr) in list::iter::<pg_sys::TargetEntry>((*query).targetList).zip(targets) {
            if expr.is_null() {
                continue;
            }
            let own = ext::copy(tle);
            (*own).expr = expr.cast();
            targetlist = pg_sys::lappend(targetlist, own.cast());
        }
        (*outer).targetList = targetlist;
        (*(*outer).jointree).quals = having;
        (*outer).sortClause = (*query).sortClause;
        (*outer).distinctClause = (*query).distinctClause;
        (*outer).hasDistinctOn = (*query).hasDistinctOn;
        (*outer).hasWindowFuncs = (*query).hasWindowFuncs;
        (*outer).windowClause = ext::copy((*query).windowClause);
        for (w, offsets) in list::iter::<pg_sys::WindowClause>((*outer).windowClause).zip(windows) {
            [(*w).startOffset, (*w).endOffset] = offsets;
        }
        (*outer).limitCount = (*query).limitCount;
        (*outer).limitOffset = (*query).limitOffset;
        (*outer).limitOption = (*query).limitOption;
        (*outer).hasSubLinks = (*query).hasSubLinks;
        Ok(Some(outer))
    }

    /// The query without LIMIT, and without DISTINCT over windows, as a stage that shows all columns it sorts and
    /// partitions by.
    unsafe fn exposed(&mut self, query: *mut pg_sys::Query) -> Result<*mut pg_sys::Query> {
        let limited = !(*query).limitCount.is_null() || !(*query).limitOffset.is_null();
        if limited && ((*query).sortClause.is_null() || looks_simple(query)) || !limited && !has_partitions(query) {
            return Ok(query);
        }
        let inner = ext::copy(query);
        (*inner).limitCount = std::ptr::null_mut();
        (*inner).limitOffset = std::ptr::null_mut();
        let distinct_above = (*query).hasWindowFuncs && !(*query).distinctClause.is_null();
        if distinct_above {
            (*inner).distinctClause = std::ptr::null_mut();
            (*inner).hasDistinctOn = false;
        }
        if !(*inner).hasDistinctOn {
            (*inner).sortClause = std::ptr::null_mut();
        }
        let mut exprs = Vec::new();
        for (i, tle) in list::iter::<pg_sys::TargetEntry>((*inner).targetList).enumerate() {
            (*tle).resjunk = false;
            (*tle).resno = i as i16 + 1;
            let expr = ext::flatten_groups(query, (*tle).expr.cast());
            if !can_be_stored(expr) {
                return Ok(query);
            }
            exprs.push(expr);
            let label = CString::new(format!("c{}", i + 1)).unwrap_or_default();
            (*tle).resname = pg_sys::pstrdup(label.as_ptr());
        }
        let oid = self.relation(inner)?;
        let outer = over(inner, oid)?;
        let mut targetlist: *mut pg_sys::List = std::ptr::null_mut();
        for (i, (tle, expr)) in list::iter::<pg_sys::TargetEntry>((*query).targetList).zip(exprs).enumerate() {
            let own = ext::copy(tle);
            (*own).expr = column(i, expr).cast();
            targetlist = pg_sys::lappend(targetlist, own.cast());
        }
        (*outer).targetList = targetlist;
        (*outer).sortClause = (*query).sortClause;
        if distinct_above {
            (*outer).distinctClause = (*query).distinctClause;
            (*outer).hasDistinctOn = (*query).hasDistinctOn;
        }
        (*outer).limitCount = (*query).limitCount;
        (*outer).limitOffset = (*query).limitOffset;
        (*outer).limitOption = (*query).limitOption;
        Ok(outer)
    }
}

/// An aggregate, or a JSON constructor around one (16 and later).
unsafe fn is_aggregate(node: *mut pg_sys::Node) -> bool {
    #[cfg(not(feature = "pg15"))]
    if list::is(node, pg_sys::NodeTag::T_JsonConstructorExpr) {
        return list::is((*node.cast::<pg_sys::JsonConstructorExpr>()).func, pg_sys::NodeTag::T_Aggref);
    }
    list::is(node, pg_sys::NodeTag::T_Aggref)
}

/// Whether all windows of a query are partitioned by something in common.
unsafe fn has_partitions(query: *mut pg_sys::Query) -> bool {
    let mut common: Option<BTreeSet<u32>> = None;
    for window in list::iter::<pg_sys::WindowClause>((*query).windowClause) {
        let these: BTreeSet<u32> =
            list::iter::<pg_sys::SortGroupClause>((*window).partitionClause).map(|c| (*c).tleSortGroupRef).collect();
        common = Some(match common {
            None => these,
            Some(before) => before.intersection(&these).copied().collect(),
        });
    }
    common.is_some_and(|c| !c.is_empty())
}

/// One relation, with nothing but a projection: storing it once more would not help.
unsafe fn looks_simple(query: *mut pg_sys::Query) -> bool {
    let from = relations::in_from(query);
    from.len() == 1
        && is_relation(query, from[0])
        && !(*query).hasSubLinks
        && !(*query).hasWindowFuncs
        && (*query).distinctClause.is_null()
}

unsafe fn is_relation(query: *mut pg_sys::Query, index: usize) -> bool {
    (*list::nth::<pg_sys::RangeTblEntry>((*query).rtable, index - 1)).rtekind == pg_sys::RTEKind::RTE_RELATION
}

/// Whether a target entry is only there to be grouped by.
unsafe fn is_group_only(query: *mut pg_sys::Query, tle: *mut pg_sys::TargetEntry) -> bool {
    let sorted = |clause: *mut pg_sys::List| {
        list::iter::<pg_sys::SortGroupClause>(clause).any(|c| (*c).tleSortGroupRef == (*tle).ressortgroupref)
    };
    let windowed = list::iter::<pg_sys::WindowClause>((*query).windowClause)
        .any(|w| sorted((*w).partitionClause) || sorted((*w).orderClause));
    (*tle).resjunk && !sorted((*query).sortClause) && !sorted((*query).distinctClause) && !windowed
}

/// Whether all grouping expressions are outputs, and outputs have no sub-query beside aggregates.
unsafe fn shows_groups(query: *mut pg_sys::Query) -> bool {
    let shown: BTreeSet<u32> = outputs(query).into_iter().map(|t| (*t).ressortgroupref).collect();
    list::iter::<pg_sys::SortGroupClause>((*query).groupClause).all(|c| shown.contains(&(*c).tleSortGroupRef))
        && !outputs(query).into_iter().any(|t| pg_sys::checkExprHasSubLink((*t).expr.cast()))
}

/// Column `i` of the only relation of a query.
unsafe fn column(i: usize, of: *mut pg_sys::Node) -> *mut pg_sys::Node {
    let var =
        pg_sys::makeVar(1, i as i16 + 1, pg_sys::exprType(of), pg_sys::exprTypmod(of), pg_sys::exprCollation(of), 0);
    var.cast()
}

unsafe fn can_be_stored(expr: *mut pg_sys::Node) -> bool {
    let of = pg_sys::exprType(expr);
    pg_sys::get_typtype(of) as u8 != pg_sys::TYPTYPE_PSEUDO && of != pg_sys::UNKNOWNOID && of != pg_sys::RECORDOID
}

/// Whether a sub-query is worth and able to be a stage.
unsafe fn is_stage(sub: *mut pg_sys::Query) -> bool {
    let q = &*sub;
    q.commandType == pg_sys::CmdType::CMD_SELECT
        && !is_plain(q)
        && q.cteList.is_null()
        && q.rowMarks.is_null()
        && !looks_up(sub.cast())
        && !relations::of(sub).is_empty()
        && !outputs(sub).is_empty()
        && outputs(sub).into_iter().all(|t| can_be_stored((*t).expr.cast()))
}

/// Whether a query depends on the blocks around it.
unsafe fn looks_up(query: *mut pg_sys::Node) -> bool {
    (0..8).any(|level| pg_sys::contain_vars_of_level(query, level + 1))
        || walk::walk(query, &mut |n| {
            list::is(n, pg_sys::NodeTag::T_Aggref) && (*n.cast::<pg_sys::Aggref>()).agglevelsup > 0
        })
        || has_outer_cte(query)
}

/// Whether a CTE that is not defined inside is read.
unsafe fn has_outer_cte(query: *mut pg_sys::Node) -> bool {
    walk::walk(query, &mut |n| {
        list::is(n, pg_sys::NodeTag::T_Query)
            && list::iter::<pg_sys::RangeTblEntry>((*n.cast::<pg_sys::Query>()).rtable)
                .any(|r| (*r).rtekind == pg_sys::RTEKind::RTE_CTE)
    })
}

/// Sub-links of a block's own expressions.
unsafe fn links(query: *mut pg_sys::Query) -> Vec<*mut pg_sys::SubLink> {
    let mut found = Vec::new();
    let roots: [*mut pg_sys::Node; 3] = [(*query).jointree.cast(), (*query).targetList.cast(), (*query).havingQual];
    for root in roots {
        walk::walk(root, &mut |n| {
            if list::is(n, pg_sys::NodeTag::T_SubLink) {
                found.push(n.cast());
            }
            false
        });
    }
    // Those inside other sub-links are found at their own block.
    let inner: BTreeSet<usize> = found
        .iter()
        .flat_map(|l: &*mut pg_sys::SubLink| {
            let mut below = Vec::new();
            walk::walk((**l).subselect, &mut |n| {
                if list::is(n, pg_sys::NodeTag::T_SubLink) {
                    below.push(n as usize);
                }
                false
            });
            below
        })
        .collect();
    found.retain(|l| !inner.contains(&(*l as usize)));
    found
}

/// Makes outputs of a grouped sub-query NULL that its query does not look at: computing them could fail where the query
/// itself would not.
unsafe fn blank_unused(query: *mut pg_sys::Query, index: usize, sub: *mut pg_sys::Query) {
    let s = &*sub;
    // An aggregate without GROUP BY must stay one.
    let lone = s.hasAggs && s.groupClause.is_null();
    if lone || !s.setOperations.is_null() || !s.distinctClause.is_null() || s.hasTargetSRFs {
        return;
    }
    let mut used = BTreeSet::new();
    let mut note = |node: *mut pg_sys::Node| {
        walk::walk(node, &mut |n| {
            if list::is(n, pg_sys::NodeTag::T_Var) && (*n.cast::<pg_sys::Var>()).varno as usize == index {
                used.insert((*n.cast::<pg_sys::Var>()).varattno);
            }
            false
        });
    };
    let targets = ext::flatten_groups(query, (*query).targetList.cast());
    let roots: [*mut pg_sys::Node; 3] = [targets, (*query).jointree.cast(), (*query).havingQual];
    for root in roots {
        note(ext::flatten_join_aliases(query, root));
    }
    for rte in list::iter::<pg_sys::RangeTblEntry>((*query).rtable) {
        note((*rte).subquery.cast());
        note((*rte).functions.cast());
        note((*rte).values_lists.cast());
        note((*rte).tablefunc.cast());
    }
    if used.iter().any(|a| *a <= 0) {
        return;
    }
    for tle in outputs(sub) {
        if !used.contains(&(*tle).resno) && (*tle).ressortgroupref == 0 {
            let expr: *mut pg_sys::Node = (*tle).expr.cast();
            let null =
                pg_sys::makeNullConst(pg_sys::exprType(expr), pg_sys::exprTypmod(expr), pg_sys::exprCollation(expr));
            (*tle).expr = null.cast();
        }
    }
}

/// Turns a sub-query of FROM into a relation, keeping its alias.
unsafe fn become_relation(rte: *mut pg_sys::RangeTblEntry, oid: pg_sys::Oid) -> Result<()> {
    let donor = relation_entry(oid)?;
    let alias = pg_sys::makeAlias((*(*rte).eref).aliasname, (*(*rte).eref).colnames);
    (*donor).alias = alias;
    (*donor).eref = pg_sys::makeAlias((*(*rte).eref).aliasname, (*(*rte).eref).colnames);
    (*donor).inFromCl = true;
    *rte = *donor;
    Ok(())
}

unsafe fn relation_entry(oid: pg_sys::Oid) -> Result<*mut pg_sys::RangeTblEntry> {
    let table = name::relation(oid).ok_or_else(|| Error::Internal("a stage does not exist".into()))?;
    let text = CString::new(format!("SELECT FROM {table}")).unwrap_or_default();
    let text = pg_sys::pstrdup(text.as_ptr());
    let raw = pg_sys::raw_parser(text, pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
    let query = pg_sys::parse_analyze_fixedparams(list::nth(raw, 0), text, std::ptr::null(), 0, std::ptr::null_mut());
    let rte = list::nth::<pg_sys::RangeTblEntry>((*query).rtable, 0);
    #[cfg(not(feature = "pg15"))]
    {
        (*rte).perminfoindex = 0;
    }
    Ok(rte)
}

/// A query with nothing but a stage in its FROM clause.
unsafe fn over(stage: *mut pg_sys::Query, oid: pg_sys::Oid) -> Result<*mut pg_sys::Query> {
    let query = make::<pg_sys::Query>(pg_sys::NodeTag::T_Query);
    (*query).commandType = pg_sys::CmdType::CMD_SELECT;
    (*query).canSetTag = true;
    (*query).querySource = pg_sys::QuerySource::QSRC_ORIGINAL;
    let rte = relation_entry(oid)?;
    let mut names: *mut pg_sys::List = std::ptr::null_mut();
    for i in 0..outputs(stage).len() {
        let label = CString::new(format!("c{}", i + 1)).unwrap_or_default();
        names = pg_sys::lappend(names, pg_sys::makeString(pg_sys::pstrdup(label.as_ptr())).cast());
    }
    (*rte).alias = pg_sys::makeAlias(c"stage".as_ptr(), names);
    (*rte).eref = pg_sys::makeAlias(c"stage".as_ptr(), names);
    (*rte).inFromCl = true;
    (*query).rtable = pg_sys::lappend(std::ptr::null_mut(), rte.cast());
    let reference = make::<pg_sys::RangeTblRef>(pg_sys::NodeTag::T_RangeTblRef);
    (*reference).rtindex = 1;
    let from = make::<pg_sys::FromExpr>(pg_sys::NodeTag::T_FromExpr);
    (*from).fromlist = pg_sys::lappend(std::ptr::null_mut(), reference.cast());
    (*query).jointree = from;
    Ok(query)
}

/// `SELECT * FROM stage`.
unsafe fn select_all(stage: *mut pg_sys::Query, oid: pg_sys::Oid) -> Result<*mut pg_sys::Query> {
    let query = over(stage, oid)?;
    let mut targetlist: *mut pg_sys::List = std::ptr::null_mut();
    for (i, tle) in outputs(stage).into_iter().enumerate() {
        let var = column(i, (*tle).expr.cast());
        let own = pg_sys::makeTargetEntry(var.cast(), i as i16 + 1, (*tle).resname, false);
        targetlist = pg_sys::lappend(targetlist, own.cast());
    }
    (*query).targetList = targetlist;
    Ok(query)
}

/// Puts the queries of WITH in the place of their references, unless they are recursive.
unsafe fn inline_ctes(query: *mut pg_sys::Query) {
    if (*query).hasRecursive {
        return;
    }
    let ctes: Vec<*mut pg_sys::CommonTableExpr> = list::iter((*query).cteList).collect();
    let mut all = true;
    for (i, cte) in ctes.iter().enumerate() {
        let cte = &**cte;
        if cte.cterecursive || !list::is(cte.ctequery, pg_sys::NodeTag::T_Query) {
            all = false;
            continue;
        }
        inline_ctes(cte.ctequery.cast());
        let label = CStr::from_ptr(cte.ctename);
        for later in &ctes[i + 1..] {
            replace_cte((**later).ctequery.cast(), label, cte.ctequery.cast(), 1);
        }
        replace_cte(query, label, cte.ctequery.cast(), 0);
    }
    if all {
        (*query).cteList = std::ptr::null_mut();
    }
    for rte in list::iter::<pg_sys::RangeTblEntry>((*query).rtable) {
        if (*rte).rtekind == pg_sys::RTEKind::RTE_SUBQUERY {
            inline_ctes((*rte).subquery);
        }
    }
    for link in links(query) {
        inline_ctes((*link).subselect.cast());
    }
}

/// Replaces the references of a CTE that is defined `level` blocks above `query`.
unsafe fn replace_cte(query: *mut pg_sys::Query, label: &CStr, body: *mut pg_sys::Query, level: u32) {
    for rte in list::iter::<pg_sys::RangeTblEntry>((*query).rtable) {
        if (*rte).rtekind == pg_sys::RTEKind::RTE_CTE
            && (*rte).ctelevelsup == level
            && !(*rte).self_reference
            && CStr::from_ptr((*rte).ctename) == label
        {
            let own = ext::copy(body);
            pg_sys::IncrementVarSublevelsUp(own.cast(), level as i32, 1);
            (*rte).rtekind = pg_sys::RTEKind::RTE_SUBQUERY;
            (*rte).subquery = own;
            // Columns have the names of WITH, not those of its query.
            (*rte).alias = pg_sys::makeAlias((*(*rte).eref).aliasname, (*(*rte).eref).colnames);
            (*rte).ctename = std::ptr::null_mut();
            (*rte).ctelevelsup = 0;
            (*rte).coltypes = std::ptr::null_mut();
            (*rte).coltypmods = std::ptr::null_mut();
            (*rte).colcollations = std::ptr::null_mut();
        } else if (*rte).rtekind == pg_sys::RTEKind::RTE_SUBQUERY {
            replace_cte((*rte).subquery, label, body, level + 1);
        }
    }
    for cte in list::iter::<pg_sys::CommonTableExpr>((*query).cteList) {
        if list::is((*cte).ctequery, pg_sys::NodeTag::T_Query) {
            replace_cte((*cte).ctequery.cast(), label, body, level + 1);
        }
    }
    for link in links(query) {
        replace_cte((*link).subselect.cast(), label, body, level + 1);
    }
}
