//! The TVIEWs that schema files ask for.
//!
//! Invariant: what is kept of a statement is what the server would read of it: name, columns, query as a text, options by name. Statements about
//! anything else than TVIEWs are none of this. Called by plan and apply.

use crate::lint::schema::{Kind, made_as};
use crate::script::nodes::{Constant, constant, last, literal, relation, strings};
use crate::script::{Script, Tree, tree};
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RangeVar};
use std::collections::BTreeMap;
use tviews_core::syntax;

#[derive(Debug, Clone)]
pub struct Wanted {
    pub name: String,
    pub columns: Vec<String>,
    pub query: String,
    pub options: BTreeMap<String, String>,
    pub logged: Option<bool>,
    /// The statement that creates it, as it is written.
    pub statement: String,
    pub place: String,
    /// What it reads, by name.
    pub reads: Vec<String>,
    /// Indexes with a name, and all other statements about it, to be run when it is new.
    pub indexes: Vec<(String, String)>,
    pub others: Vec<String>,
}

/// In the order of the files.
pub fn of(scripts: &[Script]) -> Result<Vec<Wanted>, String> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for script in scripts {
        for statement in &script.statements {
            let text = script.text_of(statement);
            let place = format!("{}:{}", script.path.display(), script.line(statement.start));
            let tree = statement.tree.as_ref().map_err(|why| format!("{place} cannot be read: {why}"))?;
            if let Some(made) = wanted_by(tree, text, &place)? {
                if wanted.iter().any(|w| w.name == made.name) {
                    return Err(format!("{place}: {} is made twice", made.name));
                }
                wanted.push(made);
            } else if let Some((about, index)) = about(tree)
                && let Some(of) = wanted.iter_mut().find(|w| w.name == about)
            {
                match index {
                    Some(name) => of.indexes.push((name, text.into())),
                    None => of.others.push(text.into()),
                }
            }
        }
    }
    Ok(wanted)
}

fn wanted_by(tree: &Tree, text: &str, place: &str) -> Result<Option<Wanted>, String> {
    let Some((create, query)) = tree.create_as().filter(|_| made_as(tree) == Some(Kind::Tview)) else {
        return Ok(None);
    };
    let Some(into) = create.into.as_ref() else { return Ok(None) };
    let Some(name) = &into.rel else { return Ok(None) };
    let (start, end) = tree::query_of(tree, text).ok_or_else(|| format!("{place}: its query is not found"))?;
    let mut options = BTreeMap::new();
    for option in &into.options {
        let Some(NodeEnum::DefElem(option)) = &option.node else { continue };
        let key = if option.defnamespace.is_empty() {
            option.defname.clone()
        } else {
            format!("{}.{}", option.defnamespace, option.defname)
        };
        let value = option.arg.as_deref().map(value_of);
        let value = match tviews_core::options::is_ours(&key) {
            true => tviews_core::options::check(&key, value).map_err(|e| format!("{place}: {e}"))?,
            false => value.unwrap_or_else(|| "true".into()),
        };
        options.insert(key, value);
    }
    let mut logged = match (tree.tview, name.relpersistence.as_str()) {
        (Some(syntax::Kind::Create { logged, .. }), _) => logged,
        (None, "u") => Some(false),
        _ => None,
    };
    if let Some(given) = options.remove("logged") {
        logged = Some(given == "true");
    }
    let reads = crate::lint::relations(query).into_iter().map(|(schema, name)| shown(&schema, &name)).collect();
    Ok(Some(Wanted {
        name: relation(name),
        columns: strings(&into.col_names).into_iter().map(str::to_string).collect(),
        query: text[start..end].into(),
        options,
        logged,
        statement: text.into(),
        place: place.into(),
        reads,
        indexes: Vec::new(),
        others: Vec::new(),
    }))
}

fn shown(schema: &str, name: &str) -> String {
    relation(&RangeVar { schemaname: schema.into(), relname: name.into(), ..RangeVar::default() })
}

/// The value of an option, which can be a word.
fn value_of(node: &Node) -> String {
    match &node.node {
        Some(NodeEnum::String(s)) => s.sval.clone(),
        Some(NodeEnum::Integer(i)) => i.ival.to_string(),
        Some(NodeEnum::Float(f)) => f.fval.clone(),
        Some(NodeEnum::Boolean(b)) => b.boolval.to_string(),
        Some(NodeEnum::TypeName(t)) => last(&t.names).into(),
        _ => match constant(node) {
            Some(Constant::Text(t) | Constant::Number(t)) => t,
            Some(Constant::Bool(b)) => b.to_string(),
            _ => String::new(),
        },
    }
}

/// The relation that an index, a comment or a privilege is about, and the name of the index.
fn about(tree: &Tree) -> Option<(String, Option<String>)> {
    match &tree.node {
        NodeEnum::IndexStmt(index) => {
            Some((relation(index.relation.as_ref()?), Some(index.idxname.clone()).filter(|n| !n.is_empty())))
        }
        NodeEnum::CommentStmt(comment) => match comment.object.as_ref()?.node.as_ref()? {
            NodeEnum::List(list) => match strings(&list.items)[..] {
                [name] => Some((shown("", name), None)),
                [schema, name] => Some((shown(schema, name), None)),
                _ => None,
            },
            _ => None,
        },
        NodeEnum::GrantStmt(grant) => match &grant.objects[..] {
            [Node { node: Some(NodeEnum::RangeVar(name)) }] => Some((relation(name), None)),
            _ => None,
        },
        _ => None,
    }
}

/// `WITH (…)` of a statement, or nothing.
pub fn with(options: &BTreeMap<String, String>) -> String {
    let list: Vec<String> = options.iter().map(|(name, value)| format!("{name} = {}", literal(value))).collect();
    if list.is_empty() { String::new() } else { format!(" WITH ({})", list.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn all_ways_to_ask_for_a_tview() {
        let sql = "CREATE LOGGED TVIEW a.b (x) WITH (mode = full, schedule = '5m', fillfactor = 80, notify) AS SELECT 1 WITH NO DATA;
                   CREATE MATERIALIZED VIEW m WITH (incremental, logged = off) AS SELECT id FROM a.b; CREATE MATERIALIZED VIEW plain AS SELECT 1;
                   CREATE TABLE tv_x AS SELECT 2 AS id; CREATE INDEX ON tv_x (id); CREATE INDEX named ON m (id); COMMENT ON TVIEW m IS 'x'; GRANT SELECT ON m TO PUBLIC;";
        let found = of(&[Script::new(Path::new("s.sql"), sql.into())]).unwrap();
        let names: Vec<&str> = found.iter().map(|w| w.name.as_str()).collect();
        assert_eq!(names, ["a.b", "m", "tv_x"]);
        let options = [("fillfactor", "80"), ("mode", "full"), ("notify", "true"), ("schedule", "5m")];
        assert_eq!(found[0].options, options.map(|(a, b)| (a.to_string(), b.to_string())).into());
        assert_eq!((found[0].logged, found[1].logged, found[2].logged), (Some(true), Some(false), None));
        assert_eq!(found[1].reads, ["a.b"]);
        assert_eq!((found[1].indexes.len(), found[1].others.len(), found[2].others.len()), (1, 2, 1));
        assert_eq!(found[0].query, "SELECT 1");
    }

    #[test]
    fn bad_options_and_unreadable_statements_are_errors() {
        let error = |sql: &str| of(&[Script::new(Path::new("s.sql"), sql.into())]).unwrap_err();
        assert!(error("\nCREATE TVIEW v WITH (mode = sometimes) AS SELECT 1").starts_with("s.sql:2: "));
        assert!(error("CREATE TVIEW v AS SELECT FROM WHERE").contains("cannot be read"));
        assert!(error("CREATE TVIEW v AS SELECT 1; CREATE TVIEW v AS SELECT 2").contains("twice"));
    }
}
