//! Items of FROM as atoms of the join that the description has.
//!
//! Invariant: every relation that is read is an atom of the block, or inside of a stage that is one. Called by `block`.

use super::decide::{Analysis, Analyst, Block, Output, add_ctes, is_captured, is_plain};
use super::schema::Kind;
use super::scope::{Item, Scope, Seen, Source, Value};
use crate::script::nodes::{last, strings};
use pg_query::NodeEnum;
use pg_query::protobuf::{Alias, JoinExpr, JoinType, Node, RangeFunction, RangeVar, SelectStmt};
use tviews_core::model::{Atom, Col, Equality, Join, OuterKind};
use tviews_core::reason::Reason;

/// All items under WHERE.
pub fn items(cx: &mut Analyst, b: &mut Block, from: &[Node], condition: Option<&Node>) -> Join {
    let joins: Vec<Join> = from.iter().filter_map(|n| item(cx, b, n)).collect();
    let mut equalities = Vec::new();
    if let Some(condition) = condition {
        b.scope.equalities(condition, &mut equalities);
    }
    meet(b, &equalities);
    Join::Inner(joins, equalities)
}

/// Conditions of joins, which can have sub-queries.
pub fn conditions(from: &[Node]) -> Vec<&Node> {
    let mut found = Vec::new();
    for node in from {
        if let Some(NodeEnum::JoinExpr(join)) = &node.node {
            found.extend(join.quals.as_deref());
            found.extend(join.larg.as_deref().map(std::slice::from_ref).map_or(Vec::new(), conditions));
            found.extend(join.rarg.as_deref().map(std::slice::from_ref).map_or(Vec::new(), conditions));
        }
    }
    found
}

fn meet(b: &mut Block, equalities: &[Equality]) {
    b.pairs.extend(equalities.iter().filter_map(|(l, r)| r.map(|r| (*l, r))));
}

fn item(cx: &mut Analyst, b: &mut Block, node: &Node) -> Option<Join> {
    match node.node.as_ref()? {
        NodeEnum::RangeVar(name) => Some(named(cx, b, name)),
        NodeEnum::JoinExpr(join) => joined(cx, b, join),
        NodeEnum::RangeSubselect(sub) => {
            let Some(NodeEnum::SelectStmt(query)) = sub.subquery.as_ref().and_then(|q| q.node.as_ref()) else {
                return None;
            };
            let ctes = b.scope.ctes.clone();
            Some(sub_query(cx, b, query, sub.alias.as_ref(), &[], sub.lateral, ctes))
        }
        NodeEnum::RangeFunction(function) => Some(of_function(cx, b, function)),
        NodeEnum::RangeTableFunc(_) | NodeEnum::JsonTable(_) => Some(Join::Atom(opaque(b, Vec::new()))),
        _ => None,
    }
}

fn joined(cx: &mut Analyst, b: &mut Block, join: &JoinExpr) -> Option<Join> {
    let before = b.scope.items.len();
    let left = item(cx, b, join.larg.as_deref()?)?;
    let middle = b.scope.items.len();
    let right = item(cx, b, join.rarg.as_deref()?)?;
    let kind = JoinType::try_from(join.jointype).unwrap_or(JoinType::JoinInner);
    let mut equalities = Vec::new();
    let shared: Vec<String> = if join.is_natural {
        let names = |items: &[Item]| -> Vec<String> {
            items.iter().flat_map(|i| i.columns.iter().map(|c| c.name.clone())).collect()
        };
        let right = names(&b.scope.items[middle..]);
        names(&b.scope.items[before..middle]).into_iter().filter(|n| right.contains(n)).collect()
    } else {
        strings(&join.using_clause).into_iter().map(str::to_string).collect()
    };
    for name in &shared {
        let find = |items: &[Item]| {
            items.iter().find_map(|i| i.columns.iter().find(|c| c.name == *name).and_then(|c| c.value.column))
        };
        if let (Some(l), Some(r)) = (find(&b.scope.items[before..middle]), find(&b.scope.items[middle..])) {
            equalities.push((l, Some(r)));
        }
        // The merged column is that of the side that is never null-extended.
        let lost = if kind == JoinType::JoinRight { before..middle } else { middle..b.scope.items.len() };
        for item in &mut b.scope.items[lost] {
            item.hidden.push(name.clone());
        }
        if kind == JoinType::JoinFull {
            for item in &mut b.scope.items[before..middle] {
                item.hidden.push(name.clone());
            }
        }
    }
    if let Some(condition) = &join.quals {
        b.scope.equalities(condition, &mut equalities);
    }
    meet(b, &equalities);
    Some(match kind {
        JoinType::JoinLeft | JoinType::JoinRight | JoinType::JoinFull => {
            b.outer_joins += 1;
            let outer = if kind == JoinType::JoinFull { OuterKind::Full } else { OuterKind::Left };
            let (l, r) = if kind == JoinType::JoinRight { (right, left) } else { (left, right) };
            Join::Outer(outer, Box::new(l), Box::new(r), equalities)
        }
        _ => Join::Inner(vec![left, right], equalities),
    })
}

fn named(cx: &mut Analyst, b: &mut Block, name: &RangeVar) -> Join {
    let alias = name.alias.clone();
    if name.schemaname.is_empty()
        && let Some(at) = b.scope.ctes.iter().rposition(|c| c.name == name.relname)
    {
        let cte = b.scope.ctes[at].clone();
        let own = Alias { aliasname: name.relname.clone(), colnames: Vec::new() };
        if cte.recursive {
            return recursive(cx, b, at, &alias.unwrap_or(own));
        }
        let visible = b.scope.ctes[..at].to_vec();
        return sub_query(cx, b, &cte.query, Some(&alias.unwrap_or(own)), &cte.columns, false, visible);
    }
    let found = cx.schema.find(&name.schemaname, &name.relname).map(|(n, r)| (n.clone(), r.clone()));
    let Some((full, relation)) = found else {
        let schema = if name.schemaname.is_empty() { "public".to_string() } else { name.schemaname.clone() };
        let at = atom(b, Source::Table((schema, name.relname.clone())), Vec::new(), Atom::default());
        see(b, at, alias_of(name), Vec::new(), alias.as_ref());
        b.doubts.insert(format!("the table {} is not in these files", name.relname));
        return Join::Atom(at);
    };
    if relation.kind == Kind::View
        && let Some(query) = &relation.query
    {
        let own = alias.unwrap_or(Alias { aliasname: name.relname.clone(), colnames: Vec::new() });
        return sub_query(cx, b, query, Some(&own), &relation.names, false, Vec::new());
    }
    let (columns, keys) = match &relation.query {
        Some(query) if is_captured(relation.kind) => {
            let made = cx.alone(query);
            let outputs = rename(made.outputs, &relation.names);
            (outputs, made.key.filter(|k| !k.is_empty()).into_iter().collect::<Vec<_>>())
        }
        _ => {
            let column =
                |c: &super::schema::Column| Output { name: c.name.clone(), of: c.of.clone(), not_null: c.not_null };
            (relation.columns.iter().map(column).collect(), relation.keys.clone())
        }
    };
    if !relation.complete {
        b.doubts.insert(format!("not all that {} has is in these files", name.relname));
    }
    if !name.inh && relation.has_children {
        b.hidden.insert(full.clone(), Reason::OnlyOfParent);
    }
    if relation.columns.iter().any(|c| c.is_virtual) {
        b.doubts.insert(format!("{} has virtual generated columns: its rows as a whole, where an outer join null-extends them, make it full", name.relname));
    }
    let made = Atom {
        keys: keys.iter().chain(&relation.keys).map(|k| k.iter().map(|p| *p as i16 + 1).collect()).collect(),
        not_null: (0..columns.len()).filter(|p| columns[*p].not_null).map(|p| p as i16 + 1).collect(),
        ..Atom::default()
    };
    let at = atom(b, Source::Table(full), columns.iter().map(|c| c.name.clone()).collect(), made);
    see(b, at, alias_of(name), columns, alias.as_ref());
    Join::Atom(at)
}

fn alias_of(name: &RangeVar) -> String {
    name.alias.as_ref().map_or_else(|| name.relname.clone(), |a| a.aliasname.clone())
}

fn rename(mut outputs: Vec<Output>, names: &[String]) -> Vec<Output> {
    outputs.iter_mut().zip(names).for_each(|(o, n)| o.name = n.clone());
    outputs
}

fn atom(b: &mut Block, source: Source, columns: Vec<String>, mut made: Atom) -> usize {
    let at = b.atoms.len();
    made.relid = Some(at as u32);
    b.atoms.push(made);
    b.sources.push(source);
    b.columns.push(columns);
    at
}

/// An item of which nothing is known but its keys.
pub fn opaque(b: &mut Block, keys: Vec<Vec<i16>>) -> usize {
    let depends = (0..b.atoms.len()).collect();
    let at = atom(b, Source::Other, Vec::new(), Atom { keys, depends, ..Atom::default() });
    b.atoms[at].relid = None;
    at
}

fn see(b: &mut Block, at: usize, alias: String, columns: Vec<Output>, renamed: Option<&Alias>) {
    let names: Vec<String> =
        renamed.map_or(Vec::new(), |a| strings(&a.colnames).into_iter().map(str::to_string).collect());
    let columns = rename(columns, &names).into_iter().enumerate();
    let seen = |(p, c): (usize, Output)| Seen {
        name: c.name,
        value: Value { column: Some(Col { atom: at, att: p as i16 + 1 }), of: c.of, not_null: c.not_null },
    };
    let item = Item { alias, columns: columns.map(seen).collect(), hidden: Vec::new() };
    b.scope.items.push(item);
}

/// A sub-query, view or CTE: taken into the block when it only joins and filters, otherwise a stage.
fn sub_query(
    cx: &mut Analyst,
    b: &mut Block,
    query: &SelectStmt,
    alias: Option<&Alias>,
    columns: &[String],
    lateral: bool,
    ctes: Vec<super::scope::Cte>,
) -> Join {
    let name = alias.map_or_else(String::new, |a| a.aliasname.clone());
    let mut names: Vec<String> = columns.to_vec();
    if let Some(alias) = alias.filter(|a| !a.colnames.is_empty()) {
        names = strings(&alias.colnames).into_iter().map(str::to_string).collect();
    }
    let mut scope = Scope { around: b.scope.around.clone(), ctes, ..Scope::default() };
    if lateral {
        scope.lateral = [b.scope.items.clone(), b.scope.lateral.clone()].concat();
    }
    add_ctes(query, &mut scope);
    if lateral && b.outer_joins > 0 {
        b.doubts.insert("a LATERAL item beside an outer join".into());
    }
    if is_plain(query) && !super::block_has_stage(query, cx.schema) {
        let saved = std::mem::replace(&mut b.scope, scope);
        let join = items(cx, b, &query.from_clause, query.where_clause.as_deref());
        let targets = super::targets::targets(b, query);
        let columns = targets
            .iter()
            .enumerate()
            .map(|(p, t)| Seen { name: names.get(p).unwrap_or(&t.name).clone(), value: t.value.clone() })
            .collect();
        let has_sub_links = query
            .target_list
            .iter()
            .chain(query.where_clause.as_deref())
            .chain(conditions(&query.from_clause))
            .any(|n| !super::expression::sub_links(n).is_empty());
        if has_sub_links {
            b.doubts.insert("sub-queries inside of a sub-query in FROM".into());
        }
        b.scope = saved;
        b.scope.items.push(Item { alias: name, columns, hidden: Vec::new() });
        return join;
    }
    let around = Scope { around: [scope.lateral, scope.around].concat(), ctes: scope.ctes, ..Scope::default() };
    let analysis = cx.query(query, &around);
    let made = Atom {
        keys: match &analysis.key {
            // Of each row around it there is one.
            _ if analysis.correlated && (super::inside::is_one_group(query, cx) || is_one_row(query)) => {
                vec![Vec::new()]
            }
            key => key.iter().map(|k| k.iter().map(|p| *p as i16 + 1).collect()).collect(),
        },
        not_null: (0..analysis.outputs.len()).filter(|p| analysis.outputs[*p].not_null).map(|p| p as i16 + 1).collect(),
        depends: if analysis.correlated { (0..b.atoms.len()).collect() } else { Vec::new() },
        ..Atom::default()
    };
    if analysis.correlated {
        b.doubts.insert("a LATERAL item that is computed by itself".into());
    }
    let outputs = rename(analysis.outputs.clone(), &names);
    let columns = outputs.iter().map(|o| o.name.clone()).collect();
    cx.stages.push(if analysis.correlated { without_full(analysis) } else { analysis });
    let at = atom(b, Source::Stage(cx.stages.len() - 1), columns, made);
    see(b, at, name, outputs, None);
    Join::Atom(at)
}

fn is_one_row(query: &SelectStmt) -> bool {
    use crate::script::nodes::{Constant, constant};
    query.limit_count.as_deref().and_then(constant) == Some(Constant::Number("1".into()))
}

/// LIMIT and totals of a LATERAL item are computed for each row: its tables lead to the rows that they concern.
fn without_full(mut analysis: super::decide::Analysis) -> super::decide::Analysis {
    use tviews_core::strategy::Strategy;
    analysis.followed.values_mut().for_each(|d| *d = super::decide::followed(Strategy::Fold, Reason::TakenIn));
    analysis
}

/// A recursive query as a stage; in its own step, the rows before.
fn recursive(cx: &mut Analyst, b: &mut Block, at: usize, alias: &Alias) -> Join {
    let (cte, before) = (b.scope.ctes[at].clone(), b.scope.ctes[..at].to_vec());
    let analysis = match &cte.rows {
        Some(outputs) => Analysis { outputs: outputs.clone(), ..Analysis::default() },
        None => super::recursion::rows(cx, &cte, &before),
    };
    let outputs = analysis.outputs.clone();
    let made = Atom {
        // The stored rows are unique where their columns are never NULL.
        keys: analysis
            .key
            .iter()
            .filter(|k| k.iter().all(|p| outputs[*p].not_null))
            .map(|k| k.iter().map(|p| *p as i16 + 1).collect())
            .collect(),
        not_null: (0..outputs.len()).filter(|p| outputs[*p].not_null).map(|p| p as i16 + 1).collect(),
        ..Atom::default()
    };
    let columns = outputs.iter().map(|o| o.name.clone()).collect();
    cx.stages.push(analysis);
    let at = atom(b, Source::Stage(cx.stages.len() - 1), columns, made);
    see(b, at, alias.aliasname.clone(), outputs, Some(alias));
    Join::Atom(at)
}

fn of_function(cx: &mut Analyst, b: &mut Block, function: &RangeFunction) -> Join {
    if function.functions.iter().any(|f| !super::expression::sub_links(f).is_empty()) {
        b.doubts.insert("a function in FROM has a sub-query as argument".into());
    }
    let calls: Vec<_> = function.functions.iter().flat_map(super::expression::calls_of_list).collect();
    let one_row = !calls.is_empty()
        && !function.is_rowsfrom
        && calls.iter().take(1).all(|c| !super::expression::returns_set(c, cx.schema));
    let alias = function.alias.as_ref();
    let name = alias
        .map_or_else(|| calls.first().map_or_else(String::new, |c| last(&c.funcname).into()), |a| a.aliasname.clone());
    let mut columns: Vec<String> =
        alias.map_or(Vec::new(), |a| strings(&a.colnames).into_iter().map(str::to_string).collect());
    if columns.is_empty() {
        columns.push(name.clone());
        if function.ordinality {
            columns.push("ordinality".into());
        }
    }
    let keys = if one_row {
        vec![Vec::new()]
    } else if function.ordinality {
        vec![vec![columns.len() as i16]]
    } else {
        Vec::new()
    };
    let at = opaque(b, keys);
    if function.ordinality {
        b.atoms[at].not_null.push(columns.len() as i16);
    }
    let outputs = columns.into_iter().map(|name| Output { name, ..Output::default() }).collect();
    see(b, at, name, outputs, None);
    Join::Atom(at)
}
