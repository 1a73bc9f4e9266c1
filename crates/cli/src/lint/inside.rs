//! Sub-queries in expressions: how changes of their tables lead to the rows of the block.
//!
//! Invariant: a sub-query that looks at the row, or that a column is compared with, is followed as the block is; what all rows are compared with is a
//! stage of one row, or everything. Called by `block`.

use super::decide::{Analysis, Analyst, Block};
use super::expression::{has_aggregates, sub_links};
use super::scope::Found;
use crate::script::nodes::{json, walk};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, SelectStmt, SubLinkType};

pub enum Inside {
    /// Its tables lead to the rows that they concern.
    AsAround,
    /// A value that all rows are compared with: a stage of one row.
    Value,
    /// All rows depend on all of its rows.
    Full,
}

/// Analyses of the sub-queries in expressions.
pub fn sub_queries(cx: &mut Analyst, b: &mut Block, expressions: &[&Node]) -> Vec<(Analysis, Inside)> {
    let links: Vec<(&SelectStmt, SubLinkType)> = expressions.iter().flat_map(|e| sub_links(e)).collect();
    let mut found = Vec::new();
    for (query, kind) in links {
        let around = b.scope.clone();
        let analysis = cx.query(query, &around);
        if has_sub_query(query) {
            b.doubts.insert("a sub-query inside of a sub-query".into());
        }
        let compared = matches!(kind, SubLinkType::AnySublink | SubLinkType::AllSublink);
        let inside = if analysis.correlated || compared {
            Inside::AsAround
        } else if kind == SubLinkType::ArraySublink {
            Inside::Full
        } else {
            let one_value = kind == SubLinkType::ExistsSublink || (is_one_group(query, cx));
            b.doubts.insert("a sub-query without connection to the row".into());
            if one_value { Inside::Value } else { Inside::Full }
        };
        found.push((analysis, inside));
    }
    found
}

fn has_sub_query(query: &SelectStmt) -> bool {
    let mut found = false;
    walk(&json(query), &mut |kind, _| {
        found |= kind == "SubLink" || kind == "JsonArrayQueryConstructor";
        true
    });
    found
}

pub fn is_one_group(select: &SelectStmt, cx: &Analyst) -> bool {
    let aggregates = |n: &Node| matches!(&n.node, Some(NodeEnum::ResTarget(t)) if t.val.as_ref().is_some_and(|v| has_aggregates(v, cx.schema)));
    select.group_clause.is_empty() && select.target_list.iter().any(aggregates)
}

/// Whether a name of the block is one of the blocks around it.
pub fn is_correlated(b: &Block, expressions: &[&Node]) -> bool {
    let around =
        |n: &&Node| matches!(&n.node, Some(NodeEnum::ColumnRef(c)) if matches!(b.scope.find(c), Found::Around(_)));
    expressions.iter().flat_map(|e| super::expression::all(e)).any(|n| around(&n))
}
