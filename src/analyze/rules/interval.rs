//! The SQL for changes that concern windows in an interval of their order.
//!
//! ```text
//!   … b b b b │ a a │ k … k │ p p │ b b b …        in the order of the windows, one partition
//!             └──────┴───────┴─────┘
//!              stored rows are compared with computed rows
//! ```
//!
//! k: from the first changed row to the last one, or, with running results, to the end. a: the rows before it that look ahead to it. p: the rows
//! behind it that look back to it. The windows are computed over these rows and as many more at both ends (b) as their results look at; running
//! results go on from the stored row before all of these. Rows are told by their places in the order, so that stored and
//! computed rows are those between the same two places.
//! Queries that show all rows but the first ones have SQL of the same form (offset).
//! Invariant: the computed rows are the rows of the query between these places. Equations and proof are in README.md of refresh.
//! Called by refresh/plan.

use crate::analyze::describe::first_rows::only_relation;
use crate::analyze::describe::interval::{Intervals, Running, rows_of};
use crate::analyze::query::tree::{outputs, strip};
use crate::analyze::query::{printed, relations};
use crate::analyze::rules::change_rows::{replace_by, transplant};
use crate::analyze::rules::places::{Alternative, Order, Place, both};
use crate::pg::error::Result;
use crate::pg::fault::{self, Fault};
use crate::pg::name;
use crate::pg::tree::{List, Node, Query, Text, Tree, list, lsyscache, make, server, walk};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::CString;
use tviews_core::reason::Reason;

/// The SQL of one kind of changes.
pub struct IntervalSql {
    /// Partitions, by number, and places of changed rows: `bigint`, what the windows are partitioned by, what they are ordered by.
    pub changed: String,
    /// The places of the stored rows in the interval around the places in tviews.dirty().
    pub stored: String,
    /// The rows of the query in this interval.
    pub computed: String,
}

/// The stored rows: name of the TVIEW and of its columns, by position.
pub struct Stored<'a> {
    pub name: &'a str,
    pub columns: &'a [String],
}

/// Whether the SQL can be written.
pub fn check(query: Query, of: &Intervals) -> Result<std::result::Result<(), Reason>> {
    let Some(rows) = rows(query, of)? else { return Ok(Err(Reason::WholeRow)) };
    if rows.text.is_empty() {
        // Texts are not made: it is known that they can be.
        return Ok(Ok(()));
    }
    let all = format!("SELECT {}, true FROM ({}) q", numbered("c", rows.columns), rows.text);
    let over = printed::or_why(over(query, &rows, &all).map(Ok))?;
    Ok(printed::or_why(changed(query, of))?.and(over).map(|_| ()))
}

/// The SQL for changes of the relation; a reason where it cannot be written.
pub fn sql(query: Query, of: &Intervals, stored: &Stored) -> Result<std::result::Result<IntervalSql, Reason>> {
    let Some(rows) = rows(query, of)? else { return Ok(Err(Reason::WholeRow)) };
    let text = Texts { query, of, order: order_of(query, of), stored, rows: &rows };
    let computed = printed::or_why(text.computed().map(Ok))?;
    let changed = printed::or_why(changed(query, of))?;
    Ok(changed.and_then(|changed| Ok(IntervalSql { changed, stored: text.stored(), computed: computed? })))
}

/// Places of the old and new images of changed rows, each once, in their order.
fn changed(query: Query, of: &Intervals) -> Result<std::result::Result<String, Reason>> {
    let copy = rows_of(query);
    let targets = labelled(&places(query, of));
    copy.set_targetList(targets);
    let Some((block, index)) = only_relation(copy) else { return Ok(Err(Reason::WindowOverAll)) };
    if relations::reads_whole_row(block, index) {
        return Ok(Err(Reason::WholeRow));
    }
    let images = if fault::on(Fault::SkipLeaving) { "inserted" } else { "changed" };
    replace_by(server::rt_fetch(index, block), images)?;
    let (by, order) = (numbered("p", of.by.len()), numbered("o", of.order.len()));
    let partition = match by.is_empty() {
        true => "1::pg_catalog.int8".to_string(),
        false => format!("pg_catalog.dense_rank() OVER (ORDER BY {by})"),
    };
    let names = joined([by, order]);
    let (text, sorted) = (printed::text(copy)?, order_of(query, of).sorted("x.", false));
    Ok(Ok(format!(
        "SELECT * FROM (SELECT DISTINCT {partition} AS n, {names} FROM ({text}) x({names})) x ORDER BY n, {sorted}"
    )))
}

/// The expressions of PARTITION BY and ORDER BY.
fn places(query: Query, of: &Intervals) -> Vec<Node> {
    let shown = outputs(query);
    of.by.iter().copied().chain(of.order.iter().map(|o| o.at)).map(|at| shown[at].expr()).collect()
}

fn labelled(nodes: &[Node]) -> List {
    let mut targets: List = Tree::null();
    for (i, node) in nodes.iter().enumerate() {
        let label = CString::new(format!("c{}", i + 1)).unwrap_or_default();
        targets = list::lappend(targets, make::target(node.copy().cast(), i + 1, Text::of(&label), false).cast());
    }
    targets
}

/// The rows that the windows are over.
pub(super) struct Rows {
    /// SELECT of all columns of the relation, NULL for those that are not read, then of what the windows are partitioned and ordered by: c1, c2 …
    text: String,
    /// How many columns the relation has.
    pub(super) columns: usize,
}

fn rows(query: Query, of: &Intervals) -> Result<Option<Rows>> {
    let [index] = relations::in_from(query)[..] else { return Ok(None) };
    if relations::reads_whole_row(query, index) {
        return Ok(None);
    }
    let copy = rows_of(query);
    let rte = server::rt_fetch(index, copy);
    let columns = list::len(rte.eref().colnames());
    // Columns that the query does not read may be such that the owner must not.
    let mut used: BTreeSet<i16> = BTreeSet::new();
    walk::walk(query.targetList().cast(), &mut |n| {
        let var = list::is(n, pg_sys::NodeTag::T_Var).then(|| n.cast::<pg_sys::Var>());
        used.extend(var.filter(|v| v.varno() as usize == index).map(|v| v.varattno()));
        false
    });
    let mut nodes: Vec<Node> = Vec::new();
    for att in 1..=columns as i16 {
        let is_relation = rte.rtekind() == pg_sys::RTEKind::RTE_RELATION;
        let of = match is_relation {
            true if server::get_rte_attribute_is_dropped(rte, att) => (pg_sys::INT4OID, -1, pg_sys::InvalidOid),
            true => lsyscache::get_atttypetypmodcoll(rte.relid(), att),
            false => {
                let tle = list::iter::<pg_sys::TargetEntry>(rte.subquery().targetList()).find(|t| t.resno() == att);
                let node: Node = tle.map_or(Tree::null(), |t| t.expr());
                (server::exprType(node), server::exprTypmod(node), server::exprCollation(node))
            }
        };
        nodes.push(if used.contains(&att) { make::var(index as i32, att, of, 0).cast() } else { make::null(of) });
    }
    nodes.extend(places(query, of));
    strip(copy);
    copy.set_targetList(labelled(&nodes));
    match printed::or_none(printed::text(copy).map(Some))? {
        Some(text) => Ok(Some(Rows { text, columns })),
        None => Ok(None),
    }
}

/// The query over other rows: SELECT of the columns of its relation, and a boolean, which becomes the last column.
fn over(query: Query, rows: &Rows, select: &str) -> Result<String> {
    let copy = query.copy();
    copy.set_sortClause(Tree::null());
    copy.set_limitOffset(Tree::null());
    copy.set_limitCount(Tree::null());
    let [index] = relations::in_from(copy)[..] else { return Ok(String::new()) };
    let rte = server::rt_fetch(index, copy);
    let mut names: List = Tree::null();
    for i in 0..=rows.columns {
        let label = CString::new(format!("c{}", i + 1)).unwrap_or_default();
        names = list::lappend(names, make::string(Text::of(&label)));
    }
    transplant(rte, &format!("SELECT 1 FROM ({select}) x({})", numbered("c", rows.columns + 1)))?;
    rte.eref().set_colnames(names);
    if !rte.alias().is_null() {
        rte.alias().set_colnames(names);
    }
    copy.jointree().set_quals(Tree::null());
    let mark = make::var(index as i32, rows.columns as i16 + 1, (pg_sys::BOOLOID, -1, pg_sys::InvalidOid), 0);
    let (mut targets, shown): (List, usize) = (Tree::null(), outputs(copy).len());
    for tle in list::iter::<pg_sys::TargetEntry>(copy.targetList()) {
        if tle.resjunk() && list::len(targets) == shown {
            targets =
                list::lappend(targets, make::target(mark.cast(), shown + 1, Text::of(c"tviews mark"), false).cast());
        }
        tle.set_resno(list::len(targets) as i16 + 1);
        targets = list::lappend(targets, tle.cast());
    }
    if list::len(targets) == shown {
        targets = list::lappend(targets, make::target(mark.cast(), shown + 1, Text::of(c"tviews mark"), false).cast());
    }
    copy.set_targetList(targets);
    printed::text(copy)
}

pub(super) struct Texts<'a> {
    query: Query,
    of: &'a Intervals,
    pub(super) order: Order,
    stored: &'a Stored<'a>,
    pub(super) rows: &'a Rows,
}

impl Texts<'_> {
    pub(super) fn names(&self) -> String {
        joined([numbered("p", self.of.by.len()), numbered("o", self.of.order.len())])
    }

    /// The query's rows as r: the columns of the relation, then p1 … and o1 ….
    pub(super) fn r(&self) -> String {
        format!("({}) r({}, {})", self.rows.text, numbered("c", self.rows.columns), self.names())
    }

    /// The stored rows as r, with p1 … and o1 … behind the place and all columns.
    pub(super) fn s(&self) -> String {
        let column = |at: &usize| format!("s.{}", self.stored.columns[*at]);
        let places: Vec<String> = self.of.by.iter().chain(self.of.order.iter().map(|o| &o.at)).map(column).collect();
        let n = self.stored.columns.len();
        let all: Vec<String> = (0..n).map(|at| column(&at)).collect();
        format!(
            "(SELECT s.ctid, {}, {} FROM {} s) r(at, {}, {})",
            all.join(", "),
            places.join(", "),
            self.stored.name,
            numbered("c", n),
            self.names(),
        )
    }

    fn same_partition(&self, x: &str, y: &str) -> String {
        let shown = outputs(self.query);
        let equal = |(i, at): (usize, &usize)| {
            let equality = name::equality(server::exprType(shown[*at].expr())).unwrap_or_default();
            format!("{x}.p{n} {equality} {y}.p{n}", n = i + 1)
        };
        let all: Vec<String> = self.of.by.iter().enumerate().map(equal).collect();
        if all.is_empty() { "true".into() } else { all.join(" AND ") }
    }

    /// SELECT of the first ones of rows `r` in the order or its reverse, after some that are left out, for which one of the conditions is true.
    fn first(&self, rows: &str, near: &str, on: &[Alternative], reverse: bool, skipped: u64, shown: u64) -> String {
        let (same, sorted) = (self.same_partition("r", near), self.order.sorted("r.", reverse));
        let some = |on: &Alternative, skipped: u64, shown: u64| {
            let offset = if skipped > 0 { format!(" OFFSET {skipped}") } else { String::new() };
            format!("SELECT * FROM {rows} WHERE {same} AND {} ORDER BY {sorted}{offset} LIMIT {shown}", on.text)
        };
        match on {
            [on] => some(on, skipped, shown),
            _ => {
                let all: Vec<String> = on.iter().map(|on| format!("({})", some(on, 0, skipped + shown))).collect();
                let all = all.join(" UNION ALL ");
                format!("SELECT * FROM ({all}) r ORDER BY {sorted} OFFSET {skipped} LIMIT {shown}")
            }
        }
    }

    /// `d`: changed places; `a`: the first one.
    pub(super) fn changed_rows(&self) -> String {
        let names = self.names();
        let column = |at: &usize| format!("v.{}", self.stored.columns[*at]);
        let places: Vec<String> = self.of.by.iter().chain(self.of.order.iter().map(|o| &o.at)).map(column).collect();
        format!(
            "d AS MATERIALIZED (SELECT DISTINCT {names} FROM (SELECT {} FROM tviews.dirty(NULL::{}) v) d({names})), \
             a AS MATERIALIZED (SELECT * FROM d ORDER BY {} LIMIT 1)",
            places.join(", "),
            self.stored.name,
            self.order.sorted("d.", false),
        )
    }

    /// The same, and `z`: the last one; `l`, `h`: the first row that looks ahead to them, the last one that looks back.
    fn with(&self) -> String {
        let names = self.names();
        let end = |of: &str, from: &str, place, rows: u64, reverse| {
            if rows == 0 {
                return format!("{of} AS MATERIALIZED (SELECT {} FROM {from})", prefixed(&names, &format!("{from}.")));
            }
            let on = self.order.compare("r", place, from);
            format!(
                "{of} AS MATERIALIZED (SELECT {} FROM {from}, LATERAL ({}) r)",
                prefixed(&names, "r."),
                self.first(&self.r(), from, &on, reverse, rows - 1, 1),
            )
        };
        format!(
            "WITH {}, z AS MATERIALIZED (SELECT * FROM d ORDER BY {} LIMIT 1), {}, {}",
            self.changed_rows(),
            self.order.sorted("d.", true),
            end("l", "a", Place::Before, self.of.ahead, true),
            end("h", "z", Place::Behind, self.of.back, false),
        )
    }

    /// Conditions on rows `r` from the first to the last changed place, each with what is read beside them.
    fn changed_places(&self) -> Vec<(String, String)> {
        let same = self.same_partition("r", "a");
        let mut on = self.order.compare("r", Place::NotBefore, "a");
        if self.of.running.is_empty() {
            on = both(&on, &self.order.compare("r", Place::NotBehind, "z"));
        }
        on.iter().map(|on| ("a, z".to_string(), format!("{same} AND {}", on.text))).collect()
    }

    /// The same for all rows of the interval.
    fn parts(&self) -> Vec<(String, String)> {
        let mut all = self.changed_places();
        let mut side = |far: &str, near: &str, beyond, inside| {
            let outer = self.order.compare("r", beyond, near);
            let same = self.same_partition("r", near);
            for on in both(&outer, &self.order.compare("r", inside, far)) {
                all.push((format!("{near}, {far}"), format!("{same} AND {}", on.text)));
            }
            for on in outer {
                all.push((near.to_string(), format!("NOT EXISTS (SELECT FROM {far}) AND {same} AND {}", on.text)));
            }
        };
        if self.of.ahead > 0 {
            side("l", "a", Place::Before, Place::NotBefore);
        }
        if self.of.back > 0 && self.of.running.is_empty() {
            side("h", "z", Place::Behind, Place::NotBehind);
        }
        all
    }

    /// Of alternatives, in which there are equalities, each is one range of an index: not a join of its two ends.
    fn select(&self, columns: &str, rows: &str, (from, on): &(String, String)) -> String {
        match self.of.nullable.is_empty() {
            true => format!("SELECT {columns} FROM {from}, {rows} WHERE {on}"),
            false => format!("SELECT {columns} FROM {from}, LATERAL (SELECT * FROM {rows} WHERE {on} OFFSET 0) r"),
        }
    }

    fn stored(&self) -> String {
        if let Some(skipped) = self.of.skipped {
            return self.stored_behind(skipped);
        }
        let rows = self.s();
        let selects: Vec<String> = self.parts().into_iter().map(|part| self.select("r.at", &rows, &part)).collect();
        format!("{} {}", self.with(), selects.join(" UNION ALL "))
    }

    /// The rows that the windows are computed over, each with whether it is in the interval.
    fn slice(&self) -> String {
        let (columns, rows) = (prefixed(&numbered("c", self.rows.columns), "r."), self.r());
        let margin =
            if fault::on(Fault::NearerEnds) { self.of.ahead.max(self.of.back) } else { self.of.ahead + self.of.back };
        let side = |near: &str, place, shown: u64, reverse| {
            let on = self.order.compare("r", place, near);
            format!(
                "SELECT {columns}, pg_catalog.row_number() OVER (ORDER BY {}) OPERATOR(pg_catalog.<=) {shown} FROM {near}, LATERAL ({}) r",
                self.order.sorted("r.", reverse),
                self.first(&rows, near, &on, reverse, 0, margin),
            )
        };
        let within = self.changed_places().into_iter();
        let mut selects: Vec<String> =
            within.map(|part| self.select(&format!("{columns}, true"), &rows, &part)).collect();
        if margin > 0 {
            selects.push(side("a", Place::Before, self.of.ahead, true));
            if self.of.running.is_empty() {
                selects.push(side("z", Place::Behind, self.of.back, false));
            }
        }
        let selects: Vec<String> = selects.into_iter().map(|s| format!("({s})")).collect();
        format!("{} {}", self.with(), selects.join(" UNION ALL "))
    }

    fn computed(&self) -> Result<String> {
        let slice = self.of.skipped.map_or_else(|| self.slice(), |skipped| self.rows_behind(skipped));
        let text = over(self.query, self.rows, &slice)?;
        let n = self.stored.columns.len();
        let names = numbered("c", n);
        if self.of.running.is_empty() {
            return Ok(format!("SELECT {} FROM ({text}) x({names}, mark) WHERE x.mark", prefixed(&names, "x.")));
        }
        let column = |at: usize| {
            let (own, before) = (format!("x.c{}", at + 1), format!("b.c{}", at + 1));
            match self.of.running.iter().find(|(running, _)| *running == at).map(|(_, how)| how) {
                None => own,
                _ if fault::on(Fault::ForgetBase) => own,
                Some(Running::Count) => format!("COALESCE({before}, 0) OPERATOR(pg_catalog.+) {own}"),
                Some(Running::Rank) => {
                    let all = format!("({before} OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog.+) b.peers");
                    format!("COALESCE({all}, 0) OPERATOR(pg_catalog.+) {own}")
                }
                Some(Running::Sum) => {
                    format!("COALESCE({before} OPERATOR(pg_catalog.+) {own}, {before}, {own})")
                }
                Some(Running::Least) => format!("LEAST({before}, {own})"),
                Some(Running::Greatest) => format!("GREATEST({before}, {own})"),
                Some(Running::First) => format!("CASE WHEN b.peers IS NULL THEN {own} ELSE {before} END"),
            }
        };
        let columns: Vec<String> = (0..n).map(column).collect();
        let peers = if self.of.running.iter().any(|(_, how)| *how == Running::Rank) {
            let e = self.s().replace(") r(at", ") e(at");
            let same = self.same_partition("e", "r");
            let count = |on: Alternative| format!("(SELECT pg_catalog.count(*) FROM {e} WHERE {same} AND {})", on.text);
            let counts: Vec<String> = self.order.equal("e", "r").into_iter().map(count).collect();
            counts.join(" OPERATOR(pg_catalog.+) ")
        } else {
            "1::pg_catalog.int8".into()
        };
        let before = self.order.compare("r", Place::Before, "a");
        Ok(format!(
            "{}, b AS MATERIALIZED (SELECT {}, {peers} AS peers FROM a, LATERAL ({}) r) \
             SELECT {} FROM ({text}) x({names}, mark) LEFT JOIN b ON true WHERE x.mark",
            self.with(),
            prefixed(&names, "r."),
            self.first(&self.s(), "a", &before, true, self.of.ahead + self.of.back, 1),
            columns.join(", "),
        ))
    }
}

fn order_of(query: Query, of: &Intervals) -> Order {
    let shown = outputs(query);
    let descends = |i: usize| {
        let o = &of.order[i];
        lsyscache::operators(server::exprType(shown[o.at].expr())).greater == o.key.operator
    };
    Order::new(of, descends)
}

pub(super) fn numbered(prefix: &str, n: usize) -> String {
    (1..=n).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>().join(", ")
}

fn joined(names: [String; 2]) -> String {
    names.into_iter().filter(|n| !n.is_empty()).collect::<Vec<_>>().join(", ")
}

pub(super) fn prefixed(names: &str, prefix: &str) -> String {
    names.split(", ").map(|n| format!("{prefix}{n}")).collect::<Vec<_>>().join(", ")
}
