//! Where nodes stand: in layers, each behind all that it is computed from, ordered so that few edges cross.
//!
//! Invariant: every edge leads to a later layer, and bends once in each layer that it passes, where nothing else stands. Names that make a circle, of
//! which the extension makes none, end in the last layer that was counted. Called by the drawers.

use super::{Edge, Node};
use std::collections::HashMap;

/// What stands in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// A node, by its number.
    Node(usize),
    /// An edge that passes, by its number, and the layer.
    Bend(usize, usize),
}

pub fn layers(nodes: &[Node], edges: &[Edge]) -> Vec<Vec<Slot>> {
    let number: HashMap<&str, usize> = nodes.iter().enumerate().map(|(n, node)| (node.name.as_str(), n)).collect();
    let ends = |e: &Edge| Some((*number.get(e.from.as_str())?, *number.get(e.to.as_str())?));
    let known: Vec<(usize, (usize, usize))> =
        edges.iter().enumerate().filter_map(|(n, e)| Some((n, ends(e)?))).collect();
    let mut depth = vec![0; nodes.len()];
    for _ in 0..nodes.len() {
        for (_, (from, to)) in &known {
            depth[*to] = depth[*to].max((depth[*from] + 1).min(nodes.len()));
        }
    }
    let mut layers: Vec<Vec<Slot>> = vec![Vec::new(); depth.iter().max().map_or(0, |d| d + 1)];
    depth.iter().enumerate().for_each(|(n, d)| layers[*d].push(Slot::Node(n)));
    let mut pairs = Vec::new();
    for (edge, (from, to)) in &known {
        let mut last = Slot::Node(*from);
        for (at, layer) in layers.iter_mut().enumerate().take(depth[*to]).skip(depth[*from] + 1) {
            layer.push(Slot::Bend(*edge, at));
            pairs.push((last, Slot::Bend(*edge, at)));
            last = Slot::Bend(*edge, at);
        }
        pairs.push((last, Slot::Node(*to)));
    }
    // Each slot moves to the middle of its neighbours in the layers before, and then in those behind.
    for sweep in 0..12 {
        let behind = sweep % 2 == 1;
        for at in 0..layers.len() {
            let place = places(&layers);
            let middle = |slot: &Slot| {
                let near: Vec<f64> = pairs
                    .iter()
                    .filter_map(|(from, to)| match behind {
                        false if to == slot => Some(place[from]),
                        true if from == slot => Some(place[to]),
                        _ => None,
                    })
                    .collect();
                if near.is_empty() { place[slot] } else { near.iter().sum::<f64>() / near.len() as f64 }
            };
            let at = if behind { layers.len() - 1 - at } else { at };
            layers[at].sort_by(|a, b| middle(a).total_cmp(&middle(b)));
        }
    }
    layers
}

/// Where each slot is in its layer, from 0 to 1.
fn places(layers: &[Vec<Slot>]) -> HashMap<Slot, f64> {
    let place = |layer: &Vec<Slot>| -> Vec<(Slot, f64)> {
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
        let is = |slot: &Slot, name: &str| matches!(slot, Slot::Node(n) if nodes[*n].name == name);
        let depth = |name: &str| layers.iter().position(|l| l.iter().any(|s| is(s, name))).unwrap();
        assert!(edges.iter().all(|e| depth(&e.from) < depth(&e.to)));
        assert_eq!((depth("a"), depth("v"), depth("w"), depth("x")), (0, 1, 2, 1));
        let passes = edges.iter().position(|e| e.from == "a" && e.to == "w").unwrap();
        assert!(layers[1].contains(&Slot::Bend(passes, 1)), "an edge has a place in the layer that it passes");
    }

    #[test]
    fn neighbours_stand_beside_each_other() {
        let (nodes, edges) = graph(&[("a", "z"), ("b", "y"), ("c", "x")]);
        let layers = layers(&nodes, &edges);
        let name = |slot: &Slot| match slot {
            Slot::Node(n) => nodes[*n].name.clone(),
            Slot::Bend(..) => String::new(),
        };
        let names: String = layers[1].iter().map(name).collect();
        assert_eq!(names, "zyx", "no edge crosses another");
    }

    #[test]
    fn nothing_and_circles() {
        assert!(layers(&[], &[]).is_empty());
        let (nodes, edges) = graph(&[("a", "b"), ("b", "a")]);
        assert_eq!(layers(&nodes, &edges).iter().flatten().count(), 2);
    }
}
