//! `tviews graph`: which TVIEWs are computed from which relations, as text, picture, or source of one.
//!
//! Invariant: the graph is the server's (`tviews.graph`); here it is only drawn. Called by main.

mod layout;
mod svg;
mod text;

use crate::arguments::Graph;
use crate::outcome::Outcome;
use crate::server::{self, sentence};
use anyhow::Result;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Nodes {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Node {
    pub name: String,
    pub kind: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Edge {
    pub from: String,
    pub to: String,
    pub strategy: String,
}

pub fn run(arguments: &Graph) -> Result<Outcome> {
    let mut client = server::connect_extension(&arguments.dsn)?;
    let format = if arguments.mermaid {
        "mermaid"
    } else if arguments.dot {
        "dot"
    } else {
        "json"
    };
    let graph: String = client.query_one("SELECT tviews.graph($1)", &[&format]).map_err(sentence)?.get(0);
    if arguments.mermaid || arguments.dot || arguments.json {
        println!("{graph}");
        return Ok(Outcome::Good);
    }
    let Nodes { nodes, edges } = serde_json::from_str(&graph)?;
    let placed = layout::layers(&nodes, &edges);
    if arguments.svg {
        print!("{}", svg::draw(&nodes, &edges, &placed));
    } else {
        print!("{}", text::draw(&nodes, &edges, &placed));
    }
    Ok(Outcome::Good)
}
