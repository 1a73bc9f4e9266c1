//! The graph for a terminal: TVIEWs in the order in which they follow, each with what it reads and by which strategy.
//!
//! Invariant: a TVIEW comes behind those that it reads. Called by graph.

use super::{Edge, Node};
use std::fmt::Write;

pub fn draw(nodes: &[Node], edges: &[Edge], layers: &[Vec<usize>]) -> String {
    let mut out = String::new();
    for n in layers.iter().flatten().filter(|n| nodes[**n].kind != "table") {
        let name = &nodes[*n].name;
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
