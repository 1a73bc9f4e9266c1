//! The graph as a picture: tables as boxes, TVIEWs as rounded ones, the colour of an edge for its strategy.
//!
//! Invariant: names are text and never markup, and the picture is as large as what is on it. Called by graph.

use super::layout::Slot;
use super::{Edge, Node};
use std::collections::HashMap;
use std::fmt::Write;

const HEIGHT: usize = 34;
const GAP: usize = 18;
const BETWEEN: usize = 130;
const MARGIN: usize = 16;
/// Of a letter, in a font that is not known here.
const LETTER: usize = 8;

const COLOURS: [(&str, &str); 5] =
    [("fold", "#2a9d55"), ("delta", "#2f7fd0"), ("keyed", "#c98a12"), ("range", "#a05fc0"), ("full", "#cc3b3b")];

struct Place {
    x: usize,
    y: usize,
    width: usize,
}

pub fn draw(nodes: &[Node], edges: &[Edge], layers: &[Vec<Slot>]) -> String {
    let tallest = layers.iter().map(|l| l.len() * (HEIGHT + GAP)).max().unwrap_or(0);
    let mut places: HashMap<&str, Place> = HashMap::new();
    let mut bends: HashMap<usize, Vec<Place>> = HashMap::new();
    let mut x = MARGIN;
    for layer in layers {
        let letters = |slot: &Slot| match slot {
            Slot::Node(n) => nodes[*n].name.chars().count() * LETTER + 24,
            Slot::Bend(..) => 0,
        };
        let width = layer.iter().map(letters).max().unwrap_or(0);
        let mut y = MARGIN + (tallest - layer.len() * (HEIGHT + GAP)) / 2;
        for slot in layer {
            match slot {
                Slot::Node(n) => {
                    places.insert(&nodes[*n].name, Place { x, y, width });
                }
                Slot::Bend(edge, _) => bends.entry(*edge).or_default().push(Place { x, y, width }),
            }
            y += HEIGHT + GAP;
        }
        x += width + BETWEEN;
    }
    let (width, height) = ((x + MARGIN).saturating_sub(BETWEEN).max(2 * MARGIN), tallest + 2 * MARGIN);
    let mut out = String::new();
    let _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">"#
    );
    let _ = writeln!(out, r#"<rect width="100%" height="100%" fill="white"/>"#);
    for (number, edge) in edges.iter().enumerate() {
        let (Some(from), Some(to)) = (places.get(edge.from.as_str()), places.get(edge.to.as_str())) else { continue };
        let colour = COLOURS.iter().find(|(s, _)| *s == edge.strategy).map_or("#777", |(_, c)| c);
        let middle = |p: &Place| p.y + HEIGHT / 2;
        let (mut x, mut y) = (from.x + from.width, middle(from));
        // The label stands near the start, where edges to one node are apart.
        let next = bends.get(&number).and_then(|b| b.first()).unwrap_or(to);
        let (lx, ly) = ((2 * x + next.x) / 3, (3 * y + middle(next)) / 4);
        let mut path = format!("M{x} {y}");
        for stop in bends.get(&number).into_iter().flatten().chain([to]) {
            let (bend, end) = (BETWEEN / 2, middle(stop));
            let _ = write!(path, " C{} {y} {} {end} {} {end}", x + bend, stop.x.saturating_sub(bend), stop.x);
            (x, y) = (stop.x, end);
            if !std::ptr::eq(stop, to) {
                x += stop.width;
                let _ = write!(path, " H{x}");
            }
        }
        let _ = writeln!(out, r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>"#);
        let _ = writeln!(out, r#"<path d="M{x} {y} l-8 -4 v8 z" fill="{colour}"/>"#);
        let _ = writeln!(
            out,
            r#"<text x="{lx}" y="{}" fill="{colour}" font-size="11" text-anchor="middle">{}</text>"#,
            ly.saturating_sub(3),
            edge.strategy
        );
    }
    for node in nodes {
        let Some(place) = places.get(node.name.as_str()) else { continue };
        let (round, fill) = if node.kind == "table" { (2, "#f1f1f1") } else { (17, "#e5f0ff") };
        let _ = writeln!(
            out,
            r##"<rect x="{}" y="{}" width="{}" height="{HEIGHT}" rx="{round}" fill="{fill}" stroke="#555"/>"##,
            place.x, place.y, place.width
        );
        let _ = writeln!(
            out,
            r#"<text x="{}" y="{}" text-anchor="middle">{}</text>"#,
            place.x + place.width / 2,
            place.y + HEIGHT / 2 + 5,
            escaped(&node.name)
        );
    }
    out + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_markup() {
        let nodes = [Node { name: "a<b>&\"c\"".into(), kind: "table".into() }];
        let svg = draw(&nodes, &[], &[vec![Slot::Node(0)]]);
        assert!(svg.contains("a&lt;b&gt;&amp;&quot;c&quot;") && svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn nothing_is_a_picture_too() {
        assert!(draw(&[], &[], &[]).contains("width=\"32\""));
    }
}
