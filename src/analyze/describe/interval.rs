//! Windows over one relation whose results a change concerns in an interval of their order only; and OFFSET, which leaves out the rows in front of a place.
//!
//! A row's result looks `back` rows back and `ahead` rows ahead in its partition, or goes on from the result of the row before it (running totals
//! and numbers). So a changed row concerns the rows that it is ahead of or behind by so many, and, with running results, all that come after it.
//! Invariant: whatever the relation contains, rows outside of the interval have the same results before and after the change. What
//! depends on the order of rows that are equal in it has an order without equal rows. Called by decisions, by the SQL of such changes, and by stages.

use crate::analyze::describe::first_rows::{self, Ordered, constant, is_limited, key, only_relation};
use crate::analyze::describe::{KeyOf, describe};
use crate::analyze::query::tree::outputs;
use crate::pg::name;
use crate::pg::tree::{List, Node, Query, Tree, list, lsyscache, make, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use tviews_core::model::Description;

/// What the windows of a query look at.
pub struct Intervals {
    /// Output columns that the windows are partitioned by.
    pub by: Vec<usize>,
    /// Output columns that they are ordered by.
    pub order: Vec<Ordered>,
    /// Those of them, by their numbers in the order, that can be NULL.
    pub nullable: BTreeSet<usize>,
    /// How many rows before it a row's result looks at, and how many behind it.
    pub back: u64,
    pub ahead: u64,
    /// Output columns with results that go on from the row before.
    pub running: Vec<(usize, Running)>,
    /// No windows, but OFFSET: how many rows in front are not shown.
    pub skipped: Option<u64>,
}

/// How a result goes on from that of the row before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// A number of rows or groups of equal rows: NULL never.
    Count,
    /// rank(): one more than the rows before.
    Rank,
    /// A sum, NULL when there is nothing to add.
    Sum,
    Least,
    Greatest,
    First,
}

/// More rows than these are not looked at one by one.
const FAR: u64 = 1000;

type Window = Tree<pg_sys::WindowClause>;

/// What the windows look at, where the query shows what they are partitioned and ordered by; the same of the edge of OFFSET.
pub fn of(query: Query, key_of: KeyOf) -> Option<Intervals> {
    match first_rows::skipped(query) {
        Some(skipped) => {
            let looks = Looks { total: true, ..Looks::default() };
            let found = in_order(query, Tree::null(), query.sortClause(), looks, key_of)?;
            Some(Intervals { skipped: Some(skipped), ..found })
        }
        None => {
            let window = common_window(query)?;
            in_order(query, window.partitionClause(), window.orderClause(), looks(query)?, key_of)
        }
    }
}

fn in_order(query: Query, by: List, order: List, looks: Looks, key_of: KeyOf) -> Option<Intervals> {
    let shown = outputs(query);
    let at = |clause: Tree<pg_sys::SortGroupClause>| {
        shown.iter().position(|t| t.ressortgroupref() == clause.tleSortGroupRef())
    };
    let clauses = |of| list::iter::<pg_sys::SortGroupClause>(of);
    let by = clauses(by).map(at).collect::<Option<Vec<_>>>()?;
    let mut order = clauses(order)
        .map(|clause| at(clause).map(|at| Ordered { at, key: key(clause, shown[at].expr()) }))
        .collect::<Option<Vec<_>>>()?;
    let rows = describe(rows_of(query), key_of).description;
    let nullable: BTreeSet<usize> = (0..order.len()).filter(|i| !rows.is_never_null(order[*i].at)).collect();
    for (_, o) in order.iter_mut().enumerate().filter(|(i, _)| !nullable.contains(i)) {
        // Where an index has them by itself.
        o.key.nulls_first = lsyscache::operators(server::exprType(shown[o.at].expr())).greater == o.key.operator;
    }
    let (back, ahead, running) = (looks.back, looks.ahead, looks.running);
    let found = Intervals { by, order, nullable, back, ahead, running, skipped: None };
    found.is_sure(query, looks.total, &rows).then_some(found)
}

/// Whether the same query would do, if it showed what its windows are ordered by.
pub fn hides_order(query: Query, key_of: KeyOf) -> bool {
    let copy = query.copy();
    let Some(window) = common_window(copy) else { return false };
    let mut hidden = false;
    for clause in list::iter::<pg_sys::SortGroupClause>(window.orderClause()) {
        let tle = server::get_sortgroupref_tle(clause.tleSortGroupRef(), copy.targetList());
        hidden |= tle.resjunk();
        tle.set_resjunk(false);
    }
    hidden && of(copy, key_of).is_some()
}

/// The query without its windows and without OFFSET: the rows that they are over.
pub fn rows_of(query: Query) -> Query {
    let rows = query.copy();
    rows.set_limitOffset(Tree::null());
    rows.set_limitCount(Tree::null());
    rows.set_hasWindowFuncs(false);
    rows.set_windowClause(Tree::null());
    rows.set_sortClause(Tree::null());
    rows
}

/// Whether the same query would do over a stage of its rows.
pub fn is_over_rows(query: Query, key_of: KeyOf) -> bool {
    let Some((window, looks)) = one_window(query).zip(looks(query)) else { return false };
    if only_relation(rows_of(query)).is_some() {
        return false;
    }
    let of = |clause: Tree<pg_sys::SortGroupClause>| {
        server::get_sortgroupref_tle(clause.tleSortGroupRef(), query.targetList())
    };
    let order: Vec<_> =
        list::iter::<pg_sys::SortGroupClause>(window.orderClause()).map(|clause| (of(clause), clause)).collect();
    let by = list::iter::<pg_sys::SortGroupClause>(window.partitionClause()).map(of);
    let rows = rows_of(query);
    let mut shown: List = Tree::null();
    for (i, tle) in order.iter().map(|(tle, _)| *tle).chain(by).enumerate() {
        shown = list::lappend(shown, make::target(tle.expr().copy().cast(), i + 1, tle.resname(), false).cast());
    }
    rows.set_targetList(shown);
    let d = describe(rows, key_of).description;
    order.iter().all(|(tle, clause)| can_compare(tle.expr(), key(*clause, tle.expr()).operator))
        && (!looks.total || tviews_core::key::of_rows(&d).is_some())
}

/// One of the windows in use, when all have its partitions and its order, over one relation.
fn common_window(query: Query) -> Option<Window> {
    only_relation(rows_of(query))?;
    one_window(query)
}

/// The same over any rows.
fn one_window(query: Query) -> Option<Window> {
    if !query.hasWindowFuncs() || is_limited(query) || query.hasTargetSRFs() {
        return None;
    }
    let mut used = BTreeSet::new();
    walk::walk(query.targetList().cast(), &mut |n| {
        used.extend(function(n).map(|f| f.winref()));
        false
    });
    let windows = || list::iter::<pg_sys::WindowClause>(query.windowClause()).filter(|w| used.contains(&w.winref()));
    let first = windows().next()?;
    let same = |w: Window| {
        let equal = |a: List, b: List| server::equal(a.cast(), b.cast());
        equal(w.partitionClause(), first.partitionClause()) && equal(w.orderClause(), first.orderClause())
    };
    (!first.orderClause().is_null() && windows().all(same)).then_some(first)
}

fn function(node: Node) -> Option<Tree<pg_sys::WindowFunc>> {
    list::is(node, pg_sys::NodeTag::T_WindowFunc).then(|| node.cast())
}

#[derive(Default)]
struct Looks {
    back: u64,
    ahead: u64,
    running: Vec<(usize, Running)>,
    /// Some result depends on the order of equal rows.
    total: bool,
}

/// How far all window functions of the outputs look; None when one looks at all rows, or it is not known.
fn looks(query: Query) -> Option<Looks> {
    let mut found = Looks::default();
    for (at, tle) in outputs(query).into_iter().enumerate() {
        let whole = function(tle.expr());
        let mut calls = Vec::new();
        walk::walk(tle.expr(), &mut |n| {
            calls.extend(function(n));
            false
        });
        for call in calls {
            let mut windows = list::iter::<pg_sys::WindowClause>(query.windowClause());
            let window = windows.find(|w| w.winref() == call.winref())?;
            let look = look(call, window)?;
            found.back = found.back.max(look.back);
            found.ahead = found.ahead.max(look.ahead);
            found.total |= look.total;
            if let Some(running) = look.running {
                whole.filter(|w| server::equal(w.cast(), call.cast()))?;
                found.running.push((at, running));
            }
        }
    }
    (found.back <= FAR && found.ahead <= FAR).then_some(found)
}

struct Look {
    back: u64,
    ahead: u64,
    running: Option<Running>,
    total: bool,
}

fn look(call: Tree<pg_sys::WindowFunc>, window: Window) -> Option<Look> {
    #[cfg(feature = "since_19")]
    if call.ignore_nulls() != 0 {
        return None;
    }
    let number = |at: usize| constant(list::nth(call.args(), at)).and_then(|n| u64::try_from(n).ok());
    let running = |running, total| Some(Look { back: 0, ahead: 0, running: Some(running), total });
    let rows = |back, ahead| Some(Look { back, ahead, running: None, total: true });
    match call.winfnoid().to_u32() {
        pg_sys::F_ROW_NUMBER => running(Running::Count, true),
        pg_sys::F_RANK_ => running(Running::Rank, false),
        pg_sys::F_DENSE_RANK_ => running(Running::Count, false),
        pg_sys::F_LAG_ANYELEMENT => rows(1, 0),
        pg_sys::F_LEAD_ANYELEMENT => rows(0, 1),
        pg_sys::F_LAG_ANYELEMENT_INT4 | pg_sys::F_LAG_ANYCOMPATIBLE_INT4_ANYCOMPATIBLE => rows(number(1)?, 0),
        pg_sys::F_LEAD_ANYELEMENT_INT4 | pg_sys::F_LEAD_ANYCOMPATIBLE_INT4_ANYCOMPATIBLE => rows(0, number(1)?),
        pg_sys::F_FIRST_VALUE if is_running(window) => running(Running::First, true),
        pg_sys::F_FIRST_VALUE | pg_sys::F_LAST_VALUE | pg_sys::F_NTH_VALUE => {
            let (back, ahead) = frame(window)?;
            rows(back, ahead)
        }
        _ if call.winagg() => aggregate(call, window),
        _ => None,
    }
}

fn aggregate(call: Tree<pg_sys::WindowFunc>, window: Window) -> Option<Look> {
    if is_running(window) {
        let by_rows = window.frameOptions() as u32 & pg_sys::FRAMEOPTION_ROWS != 0;
        return Some(Look { back: 0, ahead: 0, running: Some(going_on(call)?), total: by_rows });
    }
    // What a user's aggregate takes out of a moving frame need not be what it has taken in.
    let is_own = call.winfnoid().to_u32() < pg_sys::FirstNormalObjectId;
    let (back, ahead) = frame(window).filter(|_| is_own)?;
    Some(Look { back, ahead, running: None, total: true })
}

/// How an aggregate over all rows up to the current one goes on from the row before, exactly.
fn going_on(call: Tree<pg_sys::WindowFunc>) -> Option<Running> {
    // Types whose equal values are the same bytes.
    let is_plain = [
        pg_sys::INT2OID,
        pg_sys::INT4OID,
        pg_sys::INT8OID,
        pg_sys::OIDOID,
        pg_sys::DATEOID,
        pg_sys::TIMEOID,
        pg_sys::TIMESTAMPOID,
        pg_sys::TIMESTAMPTZOID,
    ]
    .contains(&call.wintype());
    let function = call.winfnoid();
    match function.to_u32() {
        pg_sys::F_COUNT_ | pg_sys::F_COUNT_ANY => Some(Running::Count),
        pg_sys::F_SUM_INT2 | pg_sys::F_SUM_INT4 | pg_sys::F_SUM_INT8 | pg_sys::F_SUM_NUMERIC => Some(Running::Sum),
        _ if is_plain && lsyscache::get_func_namespace(function) == pg_sys::Oid::from(pg_sys::PG_CATALOG_NAMESPACE) => {
            let called = lsyscache::get_func_name(function);
            if called.is(c"min") { Some(Running::Least) } else { called.is(c"max").then_some(Running::Greatest) }
        }
        _ => None,
    }
}

/// Whether the frame is all rows up to the current one, by ROWS or, with the rows that are equal to it, by RANGE.
fn is_running(window: Window) -> bool {
    let options = window.frameOptions() as u32;
    let bounds = pg_sys::FRAMEOPTION_START_UNBOUNDED_PRECEDING | pg_sys::FRAMEOPTION_END_CURRENT_ROW;
    options & bounds == bounds && options & (pg_sys::FRAMEOPTION_GROUPS | pg_sys::FRAMEOPTION_EXCLUSION) == 0
}

/// How many rows back and ahead a frame of ROWS between two numbers reaches.
fn frame(window: Window) -> Option<(u64, u64)> {
    let options = window.frameOptions() as u32;
    let has = |option: u32| options & option != 0;
    let bound = |preceding, following, current, offset: Node| -> Option<i64> {
        let rows = || constant(offset).filter(|n| (0..=FAR as i64).contains(n));
        if has(preceding) {
            rows().map(|n| -n)
        } else if has(following) {
            rows()
        } else {
            has(current).then_some(0)
        }
    };
    let start = bound(
        pg_sys::FRAMEOPTION_START_OFFSET_PRECEDING,
        pg_sys::FRAMEOPTION_START_OFFSET_FOLLOWING,
        pg_sys::FRAMEOPTION_START_CURRENT_ROW,
        window.startOffset(),
    );
    let end = bound(
        pg_sys::FRAMEOPTION_END_OFFSET_PRECEDING,
        pg_sys::FRAMEOPTION_END_OFFSET_FOLLOWING,
        pg_sys::FRAMEOPTION_END_CURRENT_ROW,
        window.endOffset(),
    );
    let reach = |rows: i64| rows.max(0) as u64;
    has(pg_sys::FRAMEOPTION_ROWS).then_some((reach(-start?), reach(end?)))
}

/// Whether values of an expression are compared in SQL as an order has them.
fn can_compare(node: Node, operator: pg_sys::Oid) -> bool {
    let typid = server::exprType(node);
    let own = lsyscache::operators(typid);
    let of_server = name::equality(typid).is_some_and(|e| e.starts_with("OPERATOR(pg_catalog."));
    let collation = server::exprCollation(node);
    of_server
        && [own.less, own.greater].contains(&operator)
        && (collation == pg_sys::InvalidOid || lsyscache::get_collation_isdeterministic(collation))
}

impl Intervals {
    /// Whether places in the order can be compared in SQL, and, where results need it, no two rows of a partition are equal in it.
    fn is_sure(&self, query: Query, total: bool, rows: &Description) -> bool {
        let shown = outputs(query);
        if !self.order.iter().all(|o| can_compare(shown[o.at].expr(), o.key.operator))
            || !self.by.iter().all(|b| name::equality(server::exprType(shown[*b].expr())).is_some())
        {
            return false;
        }
        let [atom] = &rows.atoms[..] else { return false };
        let columns: BTreeSet<i16> = self
            .by
            .iter()
            .chain(self.order.iter().map(|o| &o.at))
            .filter_map(|at| rows.outputs[*at])
            .map(|c| c.att)
            .collect();
        let is_key = |key: &Vec<i16>| key.iter().all(|c| columns.contains(c));
        !total || atom.keys.iter().any(is_key)
    }
}
