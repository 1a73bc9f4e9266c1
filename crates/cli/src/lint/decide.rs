//! Which strategy each table of a query has, by the rules of the extension, over what the files say.
//!
//! Invariant: strategy and reason come from `tviews_core::decide` and `tviews_core::key`, fed with a description that is made from the parse tree
//! here and from catalogs there. Where the tree does not tell, or where the extension looks closer than this does, the analysis has a doubt.
//! Called by lint, and by convert.

use super::block::{block, limit};
use super::schema::{Kind, Name, Schema};
use super::scope::{Cte, Scope, Source};
use crate::script::nodes::strings;
use pg_query::NodeEnum;
use pg_query::protobuf::{SelectStmt, SetOperation};
use std::collections::{BTreeMap, BTreeSet};
use tviews_core::decide::{self, Attempts, Keys, Query, Read, Weighted};
use tviews_core::key;
use tviews_core::model::{Atom, Description, Join, Shape};
use tviews_core::reason::{Because, Reason};
use tviews_core::strategy::{Decision, Strategy};

/// An output column.
#[derive(Debug, Clone, Default)]
pub struct Output {
    pub name: String,
    pub of: Option<String>,
    pub not_null: bool,
}

/// By which columns rows of a table are searched when another one changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Search {
    pub changed: Name,
    pub searched: Name,
    pub columns: BTreeSet<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Analysis {
    pub outputs: Vec<Output>,
    pub key: Option<Vec<usize>>,
    /// The most expensive way from each table to the output.
    pub followed: BTreeMap<Name, Decision>,
    pub searches: BTreeSet<Search>,
    pub doubts: BTreeSet<String>,
    /// Its tables and columns that are compared with columns of the block around.
    pub meetings: Vec<(Name, String, tviews_core::model::Col)>,
    /// A row of it depends on a row of the query around.
    pub correlated: bool,
}

impl Analysis {
    pub fn merge(&mut self, table: Name, decision: Decision) {
        let known = self.followed.entry(table).or_insert(decision);
        if decision.strategy > known.strategy {
            *known = decision;
        }
    }

    /// A table of a stage: the way to the stage, and the one from there.
    pub fn through(&mut self, stage: &Analysis, above: Decision) {
        for (table, below) in &stage.followed {
            self.merge(table.clone(), if below.strategy >= above.strategy { *below } else { above });
        }
        self.searches.extend(stage.searches.iter().cloned());
        self.doubts.extend(stage.doubts.iter().cloned());
    }

    /// When one table changes, another one is searched by this column, too.
    pub fn searched(&mut self, changed: Name, searched: &Name, column: &str) {
        let known = self.searches.iter().find(|s| s.changed == changed && s.searched == *searched).cloned();
        let mut search = known.unwrap_or(Search { changed, searched: searched.clone(), columns: BTreeSet::new() });
        self.searches.remove(&search);
        search.columns.insert(column.into());
        self.searches.insert(search);
    }

    pub fn all_full(mut self, why: Reason) -> Analysis {
        self.followed.values_mut().for_each(|d| *d = Decision::full(why));
        self.key = None;
        self
    }
}

/// One query block while it is looked at.
#[derive(Default)]
pub struct Block {
    pub atoms: Vec<Atom>,
    pub sources: Vec<Source>,
    /// Names of the columns of each atom.
    pub columns: Vec<Vec<String>>,
    pub hidden: BTreeMap<Name, Reason>,
    pub scope: Scope,
    /// Pairs of columns by which items meet.
    pub pairs: Vec<(tviews_core::model::Col, tviews_core::model::Col)>,
    pub outer_joins: usize,
    pub doubts: BTreeSet<String>,
}

pub struct Analyst<'a> {
    pub schema: &'a Schema,
    pub stages: Vec<Analysis>,
    depth: usize,
}

/// Deeper than any query that is written by hand.
const DEEPEST: usize = 60;

impl<'a> Analyst<'a> {
    pub fn new(schema: &'a Schema) -> Analyst<'a> {
        Analyst { schema, stages: Vec::new(), depth: 0 }
    }

    /// A query as a TVIEW, or as a stage.
    pub fn query(&mut self, select: &SelectStmt, around: &Scope) -> Analysis {
        if self.depth > DEEPEST {
            return Analysis {
                doubts: BTreeSet::from(["the query is nested too deeply to be looked at".into()]),
                ..Analysis::default()
            };
        }
        self.depth += 1;
        let outside = [around.items.clone(), around.lateral.clone(), around.around.clone()].concat();
        let mut scope = Scope { around: outside, ctes: around.ctes.clone(), ..Scope::default() };
        add_ctes(select, &mut scope);
        let found = if select.op != SetOperation::SetopNone as i32 {
            self.set_operation(select, &scope)
        } else if select.values_lists.is_empty() {
            block(self, select, scope)
        } else {
            Analysis::default()
        };
        self.depth -= 1;
        found
    }

    /// The query of a view or TVIEW, which sees nothing around it.
    pub fn alone(&mut self, select: &SelectStmt) -> Analysis {
        self.query(select, &Scope::default())
    }

    fn set_operation(&mut self, select: &SelectStmt, scope: &Scope) -> Analysis {
        let mut branches = Vec::new();
        let plain_sum = select.op == SetOperation::SetopUnion as i32 && select.all;
        let mut push = |side: &Option<Box<SelectStmt>>| {
            if let Some(side) = side {
                branches.push((**side).clone());
            }
        };
        push(&select.larg);
        push(&select.rarg);
        let mut found = Analysis::default();
        for branch in &branches {
            let stage = self.query(branch, scope);
            let delta = followed(Strategy::Delta, Reason::Added);
            let is_rows = stage.followed.values().all(|d| d.strategy != Strategy::Full);
            if found.outputs.is_empty() {
                found.outputs = stage.outputs.iter().map(|o| Output { not_null: false, ..o.clone() }).collect();
            }
            if is_rows && is_plain(branch) {
                // A branch by itself may be keyed; in a sum its rows are added.
                for table in stage.followed.keys() {
                    found.merge(table.clone(), delta);
                }
                found.searches.extend(stage.searches);
                found.doubts.extend(stage.doubts);
            } else {
                found.through(&stage, delta);
            }
            found.correlated |= stage.correlated;
        }
        if !plain_sum && select.op != SetOperation::SetopUnion as i32 && !select.all {
            for decision in found.followed.values_mut() {
                if decision.strategy < Strategy::Keyed {
                    *decision = followed(Strategy::Keyed, Reason::RowsRecomputed);
                }
            }
        }
        if !plain_sum && !(select.all) {
            found.key = Some((0..found.outputs.len()).collect());
        }
        limit(found, select)
    }

    /// Decides for the relations of a block, and for what is behind its stages. `fold`: whether the state of its groups can be kept.
    pub fn decide(
        &mut self,
        block: Block,
        join: Join,
        shape: Shape,
        outputs: Vec<Output>,
        columns: Vec<Option<tviews_core::model::Col>>,
        fold: Result<(), Reason>,
    ) -> Analysis {
        let comparable = outputs.iter().map(|o| super::expression::is_comparable(o.of.as_deref())).collect();
        let description = Description { atoms: block.atoms, join, shape, outputs: columns, comparable };
        let derived = match &description.shape {
            Shape::Groups(g) if g.is_empty() => Some(Vec::new()),
            // The rows of a full join are added and taken away.
            Shape::Rows if description.join.has_full() => None,
            _ => key::derive(&description),
        };
        let fold = fold.and_then(|()| decide::finds_groups(&description.shape, derived.as_deref()));
        let query = Query {
            shape: &description.shape,
            key: derived.as_deref().filter(|k| !k.is_empty()),
            fold,
            is_sum: false,
            in_order: None,
            mode_full: false,
        };
        let mut found = Analysis { doubts: block.doubts, ..Analysis::default() };
        for source in &block.sources {
            let times = block.sources.iter().filter(|s| same(s, source)).count();
            let hidden = match source {
                Source::Table(name) => block.hidden.get(name).copied(),
                _ => None,
            };
            let Ok((decision, _)) = decide::decide(&query, &Read { times, hidden }, &mut Simple { times });
            match source {
                Source::Table(name) => found.merge(name.clone(), decision),
                Source::Stage(index) => {
                    let stage = self.stages[*index].clone();
                    found.through(&stage, decision);
                }
                Source::Other => {}
            }
        }
        for (a, b) in &block.pairs {
            for (from, to) in [(a, b), (b, a)] {
                if let Source::Table(searched) = &block.sources[to.atom]
                    && let Some(column) = block.columns[to.atom].get(to.att as usize - 1)
                    && from.atom != to.atom
                {
                    for changed in self.changed(&block.sources[from.atom]) {
                        found.searched(changed, searched, column);
                    }
                }
            }
        }
        found.key = derived;
        self.groups_searched(&mut found, &description, &block.sources, &block.columns);
        found.outputs = outputs;
        for (at, output) in found.outputs.iter_mut().enumerate() {
            output.not_null |= description.is_never_null(at);
        }
        found
    }
}

impl Analyst<'_> {
    /// The tables from which the changes of a source come.
    pub fn changed(&self, source: &Source) -> Vec<Name> {
        match source {
            Source::Table(name) => vec![name.clone()],
            Source::Stage(index) => self.stages[*index].followed.keys().cloned().collect(),
            Source::Other => Vec::new(),
        }
    }

    /// The rows of a group that is recomputed are found by its key.
    fn groups_searched(
        &self,
        found: &mut Analysis,
        description: &Description,
        sources: &[Source],
        names: &[Vec<String>],
    ) {
        let key = found.key.as_deref().unwrap_or_default();
        let columns: Option<Vec<_>> = key.iter().map(|p| description.outputs[*p]).collect();
        let Some(columns) = columns.filter(|c| !c.is_empty() && matches!(description.shape, Shape::Groups(_))) else {
            return;
        };
        let atom = columns[0].atom;
        let Source::Table(searched) = &sources[atom] else { return };
        if columns.iter().any(|c| c.atom != atom) {
            return;
        }
        let columns: BTreeSet<String> =
            columns.iter().filter_map(|c| names[atom].get(c.att as usize - 1).cloned()).collect();
        let keyed: Vec<Name> =
            found.followed.iter().filter(|(_, d)| d.strategy == Strategy::Keyed).map(|(n, _)| n.clone()).collect();
        for changed in keyed {
            if !found.searches.iter().any(|s| s.changed == changed && s.searched == *searched) {
                found.searches.insert(Search { changed, searched: searched.clone(), columns: columns.clone() });
            }
        }
    }
}

/// The attempts as they end where nothing special is in the way; what could be is a doubt of the block.
struct Simple {
    times: usize,
}

impl Attempts for Simple {
    type Error = std::convert::Infallible;

    fn keys(&mut self) -> Result<Result<Keys, Reason>, Self::Error> {
        Ok(Ok(Keys { places: self.times, meet: false }))
    }

    fn taken_in(&mut self) -> Result<Result<Weighted, Reason>, Self::Error> {
        self.added()
    }

    fn added(&mut self) -> Result<Result<Weighted, Reason>, Self::Error> {
        Ok(Ok(Weighted { flips: false, alone: false, anchored: false }))
    }

    fn placed(&mut self) -> Result<Result<(), Reason>, Self::Error> {
        Ok(Ok(()))
    }
}

pub fn followed(strategy: Strategy, reason: Reason) -> Decision {
    Decision { strategy, reason: Because::from(reason), ..Decision::full(reason) }
}

fn same(a: &Source, b: &Source) -> bool {
    match (a, b) {
        (Source::Table(a), Source::Table(b)) => a == b,
        (Source::Stage(a), Source::Stage(b)) => a == b,
        _ => false,
    }
}

/// Whether a query only joins, filters and projects.
pub fn is_plain(select: &SelectStmt) -> bool {
    select.op == SetOperation::SetopNone as i32
        && select.values_lists.is_empty()
        && select.distinct_clause.is_empty()
        && select.group_clause.is_empty()
        && select.having_clause.is_none()
        && select.limit_count.is_none()
        && select.limit_offset.is_none()
        && !select.from_clause.is_empty()
}

/// The CTEs of a query join those around it.
pub fn add_ctes(select: &SelectStmt, scope: &mut Scope) {
    let Some(with) = &select.with_clause else { return };
    for cte in &with.ctes {
        if let Some(NodeEnum::CommonTableExpr(cte)) = &cte.node
            && let Some(NodeEnum::SelectStmt(query)) = cte.ctequery.as_ref().and_then(|q| q.node.as_ref())
        {
            let columns = strings(&cte.aliascolnames).into_iter().map(str::to_string).collect();
            let recursive = with.recursive
                && crate::script::nodes::json(query.as_ref())
                    .to_string()
                    .contains(&format!("\"relname\":\"{}\"", cte.ctename));
            let marked = cte.search_clause.is_some() || cte.cycle_clause.is_some();
            let (name, query) = (cte.ctename.clone(), query.clone());
            scope.ctes.push(Cte { name, columns, query, recursive, marked, rows: None });
        }
    }
}

/// Whether a relation's changes arrive as changes of a table do.
pub fn is_captured(kind: Kind) -> bool {
    matches!(kind, Kind::Table | Kind::Tview | Kind::Matview)
}
