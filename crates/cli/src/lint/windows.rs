//! Windows of a block: whether all of them are partitioned by columns that they have in common.
//!
//! Invariant: a window without PARTITION BY is one over all rows, whatever the others are. Called by `block`.

use super::block::group;
use super::expression::{calls, signature};
use super::scope::Scope;
use super::targets::Target;
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, SelectStmt, WindowDef};
use std::collections::BTreeSet;

/// The partitioning expressions of each window that is used.
pub fn windows<'a>(select: &'a SelectStmt, nodes: &[&'a Node]) -> Vec<Vec<&'a Node>> {
    let named = |name: &str| {
        select.window_clause.iter().find_map(|w| match &w.node {
            Some(NodeEnum::WindowDef(w)) if w.name == name => Some(w.as_ref()),
            _ => None,
        })
    };
    let by = |over: &'a WindowDef| -> Vec<&'a Node> {
        let mut over = over;
        for _ in 0..8 {
            let other = if over.name.is_empty() { &over.refname } else { &over.name };
            match named(other) {
                Some(base) if over.partition_clause.is_empty() && !std::ptr::eq(base, over) => over = base,
                _ => break,
            }
        }
        over.partition_clause.iter().collect()
    };
    nodes.iter().flat_map(|n| calls(n)).filter_map(|c| c.over.as_deref()).map(by).collect()
}

pub enum Partitioned {
    Nothing,
    By(Vec<usize>),
    Differently,
}

pub fn partitions(windows: &[Vec<&Node>], scope: &Scope, targets: &[Target]) -> Partitioned {
    if windows.iter().any(Vec::is_empty) {
        return Partitioned::Nothing;
    }
    let sets: Vec<BTreeSet<String>> = windows.iter().map(|w| w.iter().map(|n| signature(n, scope)).collect()).collect();
    let common: Vec<&&Node> =
        windows[0].iter().filter(|n| sets.iter().all(|s| s.contains(&signature(n, scope)))).collect();
    let positions: Option<Vec<usize>> = common.iter().map(|n| group(n, scope, targets).1).collect();
    match positions {
        Some(positions) if !positions.is_empty() => Partitioned::By(positions),
        _ => Partitioned::Differently,
    }
}
