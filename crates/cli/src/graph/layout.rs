//! Where nodes stand: in layers, each behind all that it is computed from, ordered so that few edges cross.
//!
//! Invariant: every edge leads to a later layer. Names that make a circle, of which the extension makes none, end in the last layer that was
//! counted. Called by the drawers.

use super::{Edge, Node};
use std::collections::HashMap;

/// The nodes of each layer, as numbers.
pub fn layers(nodes: &[Node], edges: &[Edge]) -> Vec<Vec<usize>> {
    let number: HashMap<&str, usize> = nodes.iter().enumerate().map(|(n, node)| (node.name.as_str(), n)).collect();
    let pairs: Vec<(usize, usize)> =
        edges.iter().filter_map(|e| Some((*number.get(e.from.as_str())?, *number.get(e.to.as_str())?))).collect();
    let mut depth = vec![0; nodes.len()];
    for _ in 0..nodes.len() {
        for (from, to) in &pairs {
            depth[*to] = depth[*to].max((depth[*from] + 1).min(nodes.len()));
        }
    }
    let mut layers: Vec<Vec<usize>> = vec![Vec::new(); depth.iter().max().map_or(0, |d| d + 1)];
    depth.iter().enumerate().for_each(|(n, d)| layers[*d].push(n));
    // Each node moves to the middle of its neighbours in the layers before, and then in those behind.
    for sweep in 0..8 {
        let place = places(&layers);
        let behind = sweep % 2 == 1;
        for layer in &mut layers {
            let middle = |n: usize| {
                let near = pairs.iter().filter_map(|(from, to)| match behind {
                    false if *to == n => Some(place[from]),
                    true if *from == n => Some(place[to]),
                    _ => None,
                });
                let near: Vec<f64> = near.collect();
                if near.is_empty() { place[&n] } else { near.iter().sum::<f64>() / near.len() as f64 }
            };
            layer.sort_by(|a, b| middle(*a).total_cmp(&middle(*b)));
        }
    }
    layers
}

/// Where each node stands in its layer, from 0 to 1.
fn places(layers: &[Vec<usize>]) -> HashMap<usize, f64> {
    let place = |layer: &Vec<usize>| -> Vec<(usize, f64)> {
        layer.iter().enumerate().map(|(at, n)| (*n, (at as f64 + 0.5) / layer.len() as f64)).collect()
    };
    layers.iter().flat_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn graph(edges: &[(&str, &str)]) -> (Vec<Node>, Vec<Edge>) {
        let mut names: Vec<&str> = edges.iter().flat_map(|(a, b)| [*a, *b]).collect();
        names.sort_unstable();
        names.dedup();
        let node = |n: &&str| Node { name: (*n).into(), kind: "table".into() };
        let edge = |(a, b): &(&str, &str)| Edge { from: (*a).into(), to: (*b).into(), strategy: "fold".into() };
        (names.iter().map(node).collect(), edges.iter().map(edge).collect())
    }

    #[test]
    fn edges_lead_to_later_layers() {
        let (nodes, edges) = graph(&[("a", "v"), ("b", "v"), ("v", "w"), ("a", "w"), ("c", "x")]);
        let layers = layers(&nodes, &edges);
        let depth = |name: &str| layers.iter().position(|l| l.iter().any(|n| nodes[*n].name == name)).unwrap();
        assert!(edges.iter().all(|e| depth(&e.from) < depth(&e.to)));
        assert_eq!((depth("a"), depth("v"), depth("w"), depth("x")), (0, 1, 2, 1));
    }

    #[test]
    fn neighbours_stand_beside_each_other() {
        let (nodes, edges) = graph(&[("a", "z"), ("b", "y"), ("c", "x")]);
        let layers = layers(&nodes, &edges);
        let names: Vec<&str> = layers[1].iter().map(|n| nodes[*n].name.as_str()).collect();
        assert_eq!(names, ["z", "y", "x"], "no edge crosses another");
    }

    #[test]
    fn nothing_and_circles() {
        assert!(layers(&[], &[]).is_empty());
        let (nodes, edges) = graph(&[("a", "b"), ("b", "a")]);
        assert_eq!(layers(&nodes, &edges).iter().flatten().count(), 2);
    }
}
