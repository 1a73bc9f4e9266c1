//! Columns of a TVIEW that nobody reads, and for which alone it joins a table: writers of that table and of the others wait for each other for nothing.
//!
//! Invariant: a column counts as unread only when pg_stat_statements has statements that read the TVIEW, all of them can be parsed, and none has
//! the column's name or a star; and no view, index or TVIEW depends on it. Called by doctor.

use super::Finding;
use crate::script::Tree;
use crate::script::nodes::{json, names, walk};
use crate::script::tree::select;
use crate::server::sentence;
use anyhow::Result;
use postgres::Client;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub fn find(client: &mut Client) -> Result<Vec<Finding>> {
    let installed = client
        .query_opt("SELECT format('%I', n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'pg_stat_statements'", &[])
        .map_err(sentence)?;
    let Some(schema) = installed else {
        let text = "which columns are read is not known without pg_stat_statements in this database".into();
        return Ok(vec![Finding {
            check: "unread columns",
            problem: false,
            sentence: text,
            statement: Some("CREATE EXTENSION pg_stat_statements".into()),
        }]);
    };
    let query = format!(
        "SELECT query FROM {}.pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
        schema.get::<_, String>(0)
    );
    let statements: Vec<String> =
        client.query(&query, &[]).map_err(sentence)?.into_iter().filter_map(|r| r.get(0)).collect();
    let tviews = client
        .query(
            "SELECT format('%I.%I', t.schema, t.name), t.name, pg_get_viewdef(c.oid),
                    ARRAY(SELECT a.attname::text FROM pg_attribute a
                           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND EXISTS (
                               SELECT FROM pg_depend d WHERE d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.objid <> c.oid
                                AND NOT (d.classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_depend x WHERE x.objid = d.objid AND x.deptype = 'x'))))
               FROM tviews.tviews t JOIN pg_class c ON c.relname = t.name AND c.relnamespace = t.schema::regnamespace",
            &[],
        )
        .map_err(sentence)?;
    let mut found = Vec::new();
    for row in tviews {
        let (shown, name, definition, mut read): (String, String, String, Vec<String>) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let Some(by_statements) = columns_read(&statements, &name) else { continue };
        read.extend(by_statements);
        for (table, columns) in only_for(&definition, &read) {
            found.push(Finding {
                check: "unread columns",
                problem: false,
                sentence: format!(
                    "{shown} joins {table} only for {}, and no statement that is known reads it: without it writers of {table} would not wait for those of its other tables",
                    columns.join(", ")
                ),
                statement: Some(format!("SELECT pg_get_viewdef('{}'::regclass)", shown.replace('\'', "''"))),
            });
        }
    }
    Ok(found)
}

/// The columns that statements name when they read a TVIEW; None when this is not known: no statement reads it, one has a star or cannot be parsed.
fn columns_read(statements: &[String], tview: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut any = false;
    for text in statements.iter().filter(|s| s.contains(tview)) {
        let tree = json(&Tree::parse(text).ok()?.node);
        let (mut reads, mut defines) = (false, false);
        walk(&tree, &mut |kind, fields| {
            reads |= kind == "RangeVar" && fields["relname"] == tview;
            defines |= matches!(
                kind,
                "CreateTableAsStmt" | "RefreshMatViewStmt" | "IndexStmt" | "DropStmt" | "AlterTableStmt" | "VacuumStmt"
            );
            true
        });
        if !reads || defines {
            continue;
        }
        any = true;
        let mut star = false;
        walk(&tree, &mut |kind, fields| {
            star |= kind == "AStar";
            if kind == "ColumnRef" {
                found.extend(names(&fields["fields"]).iter().map(|n| n.to_string()));
            }
            true
        });
        // The row as a whole is a name, too.
        if star || found.iter().any(|f| f == tview) {
            return None;
        }
    }
    any.then_some(found)
}

/// Tables that a plain join reads for unread columns alone, with these.
fn only_for(definition: &str, read: &[String]) -> Vec<(String, Vec<String>)> {
    let Ok(tree) = Tree::parse(definition.trim().trim_end_matches(';')) else { return Vec::new() };
    let Some(query) = select(&tree.node) else { return Vec::new() };
    if query.op > 1
        || !query.group_clause.is_empty()
        || !query.distinct_clause.is_empty()
        || query.having_clause.is_some()
        || query.with_clause.is_some()
    {
        return Vec::new();
    }
    let mut tables = BTreeMap::new();
    walk(&json(&query.from_clause), &mut |kind, fields| {
        if kind == "RangeVar" {
            let name = fields["relname"].as_str().unwrap_or_default().to_string();
            let alias =
                fields.pointer("/alias/aliasname").and_then(Value::as_str).map_or_else(|| name.clone(), str::to_string);
            tables.insert(alias, name);
        }
        true
    });
    let mut needed = aliases(&json(&query.where_clause));
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for target in &query.target_list {
        let tree = json(target);
        let Some(output) = tree.pointer("/node/ResTarget") else { continue };
        let used = aliases(output);
        let named = output["name"].as_str().filter(|n| !n.is_empty()).map(str::to_string);
        let name = named
            .or_else(|| names(output.pointer("/val/node/ColumnRef/fields")?).last().map(|n| n.to_string()))
            .unwrap_or_default();
        if read.contains(&name) {
            needed.extend(used);
        } else {
            used.into_iter().for_each(|a| columns.entry(a).or_default().push(name.clone()));
        }
    }
    // Conditions lead from one table to the next: one that lies between others is needed.
    let mut conditions: BTreeMap<String, usize> = BTreeMap::new();
    walk(&json(&query.from_clause), &mut |kind, fields| {
        if kind == "JoinExpr" {
            aliases(&fields["quals"]).into_iter().for_each(|a| *conditions.entry(a).or_default() += 1);
        }
        true
    });
    let only = |alias: &String| {
        !needed.contains(alias) && conditions.get(alias).copied().unwrap_or(0) == 1 && tables.len() > 1
    };
    let mut found: Vec<_> =
        columns.into_iter().filter(|(a, _)| only(a)).filter_map(|(a, c)| Some((tables.get(&a)?.clone(), c))).collect();
    if found.len() == tables.len() {
        found.clear();
    }
    found
}

/// The aliases that columns are named with, as the server writes them.
fn aliases(tree: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(tree, &mut |kind, fields| {
        if kind == "ColumnRef"
            && let [.., alias, _] = names(&fields["fields"])[..]
        {
            found.insert(alias.to_string());
        }
        true
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = " SELECT p.id, p.title, a.name AS author, c.name AS country\n   FROM ((post p JOIN author a ON ((a.id = p.author))) JOIN country c ON ((c.id = a.country)));";

    fn strings(of: &[&str]) -> Vec<String> {
        of.iter().map(|s| s.to_string()).collect()
    }

    #[test]
    fn a_join_for_unread_columns() {
        assert_eq!(
            only_for(PAGE, &strings(&["id", "title", "author"])),
            [("country".to_string(), strings(&["country"]))]
        );
        assert_eq!(only_for(PAGE, &strings(&["id", "country"])), [], "author lies between");
        assert_eq!(only_for(PAGE, &strings(&["id", "author", "country"])), []);
        assert_eq!(only_for("SELECT a.x, count(*) AS n FROM a JOIN b ON a.id = b.a GROUP BY a.x", &[]), []);
    }

    #[test]
    fn what_is_read_is_known_or_not() {
        let read = |statements: &[&str]| columns_read(&strings(statements), "page");
        assert_eq!(
            read(&["SELECT id, p.title FROM page p WHERE author = $1", "INSERT INTO x VALUES ($1)"]),
            Some(strings(&["id", "p", "title", "author"]))
        );
        assert_eq!(read(&["SELECT * FROM page"]), None);
        assert_eq!(read(&["SELECT page FROM page"]), None);
        assert_eq!(read(&["SELECT 1"]), None);
        assert_eq!(read(&["REFRESH MATERIALIZED VIEW page"]), None);
    }
}
