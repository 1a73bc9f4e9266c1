//! Sub-queries that give one value, the same for every row: the value is a stage of one row, and the query is joined to it.
//!
//! `SELECT id FROM t WHERE x > (SELECT avg(x) FROM t)` is `SELECT id FROM t, (SELECT avg(x) AS c1 FROM t) s WHERE x > c1`: a change
//! inside costs the value, and when the value becomes another one, the rows that are compared with it. EXISTS is `count(*) > 0`.
//! A sub-query that has one row at most, and `ARRAY(…)`, are the value of a query without FROM: `SELECT (SELECT n FROM t WHERE id = 1) AS c1`.
//! Invariant: a stage that is joined has exactly one row. A sub-query that is only expected to have one stays a sub-query, over a
//! stage with its rows, so that a second row is an error where it was one before. Called by the splitter for each block.

use crate::analyze::describe::{describe, first_rows};
use crate::analyze::query::conditions::{conditions, conjunction};
use crate::analyze::query::relations;
use crate::analyze::query::tree::{constant, count_all, is_plain, outputs};
use crate::analyze::split::eligible::{can_be_stage, can_be_stored, is_stage};
use crate::analyze::split::relation::{beside, label, over, stage_column};
use crate::analyze::split::{Splitter, clock};
use crate::pg::error::{Error, Result};
use crate::pg::tree::{Node, Query, Text, Tree, list, lsyscache, make, walk};
use pgrx::pg_sys;
use tviews_core::key;

impl Splitter<'_> {
    /// Joins a block to the values that WHERE, the outputs of rows and the aggregates look at.
    pub fn values(&mut self, query: Query) -> Result<()> {
        let grouped = !query.groupClause().is_null() || query.hasAggs();
        if !query.groupingSets().is_null() || !query.setOperations().is_null() {
            return Ok(());
        }
        free_conditions(query);
        let targets: Node = query.targetList().cast();
        let mut links = links_of(query.jointree().quals());
        links.extend(if grouped { below_aggregates(targets) } else { links_of(targets) });
        let alone = relations::in_from(query).is_empty();
        let mut values: Vec<(Tree<pg_sys::SubLink>, Node)> = Vec::new();
        let mut joined: Vec<(pg_sys::Oid, i32)> = Vec::new();
        for link in links {
            let Some((stage, kept)) = self.value(link, alone)? else { continue };
            let oid = self.joined_relation(stage, kept)?;
            let index = match joined.iter().find(|(known, _)| *known == oid) {
                Some((_, index)) => *index,
                None => {
                    beside(query, over(stage, oid)?);
                    joined.push((oid, list::len(query.rtable()) as i32));
                    list::len(query.rtable()) as i32
                }
            };
            values.push((link, stage_column(index, 0, outputs(stage)[0].expr())));
        }
        if values.is_empty() {
            return Ok(());
        }
        let mut replace = |n: Node| values.iter().find(|(link, _)| (*link).cast() == n).map(|(_, v)| *v);
        query.jointree().set_quals(walk::rewrite(query.jointree().quals(), &mut replace));
        query.set_targetList(walk::rewrite(targets, &mut replace).cast());
        query.set_hasSubLinks(!walk::links(query).is_empty());
        Ok(())
    }

    /// The query of one row and column that gives the value of a sub-query, and what its stage is remembered by. `alone`: it is the value of a query
    /// without FROM already.
    fn value(&mut self, link: Tree<pg_sys::SubLink>, alone: bool) -> Result<Option<(Query, &'static str)>> {
        if !is_value(link) {
            let wrapped = !alone && self.has_value(link);
            return Ok(wrapped.then(|| (alone_in_a_query(link), VALUE)));
        }
        let sub: Query = link.subselect().cast();
        if link.subLinkType() == pg_sys::SubLinkType::EXPR_SUBLINK {
            return Ok(Some((sub, "")));
        }
        let rows = if is_plain(sub) { sub.copy() } else { over(sub, self.relation(sub)?)? };
        exist(rows).map(|q| Some((q, "")))
    }

    /// Whether a sub-query is a value, whatever rows it has. That it has one row at most is told by keys of the moment: a stage of such a value is remembered
    /// as one. When the key is gone, and there are more rows, the stage fails as the sub-query does.
    fn has_value(&self, link: Tree<pg_sys::SubLink>) -> bool {
        let sub: Query = link.subselect().cast();
        let is_single = || match link.subLinkType() {
            pg_sys::SubLinkType::ARRAY_SUBLINK => true,
            pg_sys::SubLinkType::EXPR_SUBLINK => {
                !self.stages.makes() || is_limited(sub) || is_total(sub) || is_plain(sub) && self.is_pinned(sub)
            }
            _ => false,
        };
        can_be_stage(sub) && can_be_stored(link.cast()) && self.stages.is_joined(VALUE) && is_single()
    }

    /// Whether constants pin the row of each relation of a plain query.
    fn is_pinned(&self, sub: Query) -> bool {
        key::is_single(&describe(sub.copy(), self.key_of).description)
    }
}

/// What a stage with a value is remembered by.
const VALUE: &str = "value";

/// `SELECT (…) AS c1`.
fn alone_in_a_query(link: Tree<pg_sys::SubLink>) -> Query {
    let query = make::make::<pg_sys::Query>();
    query.set_commandType(pg_sys::CmdType::CMD_SELECT);
    query.set_canSetTag(true);
    query.set_querySource(pg_sys::QuerySource::QSRC_ORIGINAL);
    query.set_hasSubLinks(true);
    query.set_jointree(make::make::<pg_sys::FromExpr>());
    let tle = make::target(link.copy().cast(), 1, label(0), false);
    query.set_targetList(list::lappend(Tree::null(), tle.cast()));
    query
}

/// LIMIT 1, or 0.
fn is_limited(sub: Query) -> bool {
    let counts = sub.limitOption() == pg_sys::LimitOption::LIMIT_OPTION_COUNT;
    counts && first_rows::constant(sub.limitCount()).is_some_and(|rows| rows <= 1)
}

/// Aggregates without GROUP BY, perhaps with HAVING.
fn is_total(sub: Query) -> bool {
    let rest = sub.copy();
    rest.set_havingQual(Tree::null());
    has_one_row(rest)
}

/// Whether a sub-query has one value that does not depend on the rows around it.
fn is_value(link: Tree<pg_sys::SubLink>) -> bool {
    let sub: Query = link.subselect().cast();
    match link.subLinkType() {
        pg_sys::SubLinkType::EXPR_SUBLINK => has_one_row(sub) && can_be_stage(sub) || clock::is_value(sub),
        pg_sys::SubLinkType::EXISTS_SUBLINK if is_plain(sub) => exist(sub.copy()).is_ok_and(can_be_stage),
        pg_sys::SubLinkType::EXISTS_SUBLINK => is_stage(sub),
        _ => false,
    }
}

/// An aggregate without GROUP BY, and nothing that could take its row away.
fn has_one_row(q: Query) -> bool {
    q.hasAggs()
        && q.groupClause().is_null()
        && q.groupingSets().is_null()
        && q.havingQual().is_null()
        && q.limitCount().is_null()
        && q.limitOffset().is_null()
        && q.distinctClause().is_null()
        && q.setOperations().is_null()
        && !q.hasTargetSRFs()
        && !q.hasWindowFuncs()
}

/// `SELECT count(*) > 0` of the rows of a plain query.
fn exist(rows: Query) -> Result<Query> {
    let none = pg_sys::InvalidOid;
    let zero = constant(0);
    let names = list::of([c"pg_catalog", c">"].map(|part| make::string(Text::of(part))));
    let greater = lsyscache::OpernameGetOprid(names, pg_sys::INT8OID, pg_sys::INT8OID);
    if greater == none {
        return Err(Error::Internal("bigint has no operator >".into()));
    }
    let more = make::comparison(greater, count_all().cast(), zero, none);
    let tle = make::target(more, 1, label(0), false);
    rows.set_targetList(list::lappend(Tree::null(), tle.cast()));
    rows.set_sortClause(Tree::null());
    rows.set_hasAggs(true);
    Ok(rows)
}

/// Puts conditions of inner joins that compare with a value into WHERE, where all relations can be looked at; not from the
/// nullable side of an outer join.
fn free_conditions(query: Query) {
    let from = query.jointree();
    let mut freed = Vec::new();
    for item in list::iter::<pg_sys::Node>(from.fromlist()) {
        free(item, &mut freed);
    }
    if !freed.is_empty() {
        let mut all = conditions(from.quals());
        all.extend(freed);
        from.set_quals(conjunction(all));
    }
}

/// Not below a join with an alias, which hides the relations below it.
fn free(item: Node, freed: &mut Vec<Node>) {
    if !list::is(item, pg_sys::NodeTag::T_JoinExpr) {
        return;
    }
    let join = item.cast::<pg_sys::JoinExpr>();
    if !join.alias().is_null() {
        return;
    }
    use pg_sys::JoinType::*;
    if matches!(join.jointype(), JOIN_INNER | JOIN_LEFT) {
        free(join.larg(), freed);
    }
    if matches!(join.jointype(), JOIN_INNER | JOIN_RIGHT) {
        free(join.rarg(), freed);
    }
    if join.jointype() != JOIN_INNER {
        return;
    }
    let (up, stay): (Vec<_>, Vec<_>) =
        conditions(join.quals()).into_iter().partition(|c| links_of(*c).into_iter().any(is_value));
    if !up.is_empty() {
        join.set_quals(if stay.is_empty() { make::boolean(true) } else { conjunction(stay) });
        freed.extend(up);
    }
}

/// Sub-links of an expression; not those inside aggregates of a block above, which must not look at this block.
fn links_of(root: Node) -> Vec<Tree<pg_sys::SubLink>> {
    let mut found = Vec::new();
    walk::rewrite(root, &mut |n| {
        if list::is(n, pg_sys::NodeTag::T_SubLink) {
            found.push(n.cast());
        }
        let above = list::is(n, pg_sys::NodeTag::T_Aggref) && n.cast::<pg_sys::Aggref>().agglevelsup() > 0;
        above.then_some(n)
    });
    found
}

/// Sub-links below aggregates. Direct arguments of ordered-set aggregates are not below them: they may look at grouping columns only.
fn below_aggregates(root: Node) -> Vec<Tree<pg_sys::SubLink>> {
    let mut found = Vec::new();
    walk::rewrite(root, &mut |n| {
        list::is(n, pg_sys::NodeTag::T_Aggref).then(|| {
            let agg = n.cast::<pg_sys::Aggref>();
            found.extend(links_of(agg.args().cast()));
            found.extend(links_of(agg.aggfilter()));
            n
        })
    });
    found
}
