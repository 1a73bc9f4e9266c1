//! The graph for a terminal: TVIEWs in the order in which they follow, each with what it reads and by which strategy.
//!
//! Invariant: a TVIEW comes behind those that it reads. Called by graph.

use super::layout::Slot;
use super::{Edge, Node};
use std::fmt::Write;

pub fn draw(nodes: &[Node], edges: &[Edge], layers: &[Vec<Slot>]) -> String {
    let mut out = String::new();
    let tview = |slot: &Slot| match slot {
        Slot::Node(n) if nodes[*n].kind != "table" => Some(&nodes[*n].name),
        _ => None,
    };
    let in_order = layers.iter().flat_map(|layer| {
        let mut names: Vec<&String> = layer.iter().filter_map(tview).collect();
        names.sort();
        names
    });
    for name in in_order {
        let _ = writeln!(out, "{name}");
        let reads: Vec<&Edge> = edges.iter().filter(|e| e.to == *name).collect();
        let width = reads.iter().map(|e| e.from.chars().count()).max().unwrap_or(0);
        for (at, edge) in reads.iter().enumerate() {
            let branch = if at + 1 == reads.len() { "└─" } else { "├─" };
            let _ = writeln!(out, "{branch} {:width$}  {}", edge.from, edge.strategy);
        }
    }
    out
}
