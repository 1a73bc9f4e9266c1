//! The TVIEWs that a database has.
//!
//! Invariant: definitions are the server's own text, so that equal queries are equal texts on one server. Reading changes nothing. Called by plan,
//! apply and diff.

use crate::server::sentence;
use anyhow::Result;
use postgres::{GenericClient, Row};
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub struct Present {
    /// Schema and name, quoted as in SQL.
    pub name: String,
    pub definition: String,
    pub options: BTreeMap<String, String>,
    pub logged: bool,
    /// Names and types.
    pub columns: Vec<String>,
    /// Definitions of the indexes that are not made by the extension, by name.
    pub indexes: BTreeMap<String, String>,
    pub is_tview: bool,
    pub is_matview: bool,
    pub comment: Option<String>,
}

const QUERY: &str = "
    SELECT format('%I.%I', n.nspname, c.relname), pg_get_viewdef(c.oid), c.reloptions, c.relpersistence = 'p',
           ARRAY(SELECT format('%I %s', attname, format_type(atttypid, atttypmod)) FROM pg_attribute
                  WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum),
           ARRAY(SELECT i.relname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
                  WHERE x.indrelid = c.oid AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = i.oid AND d.deptype = 'x') ORDER BY 1),
           ARRAY(SELECT pg_get_indexdef(i.oid) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
                  WHERE x.indrelid = c.oid AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = i.oid AND d.deptype = 'x') ORDER BY i.relname::text),
           coalesce(a.amname = 'tview', false), c.relkind = 'm', obj_description(c.oid, 'pg_class')
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am a ON a.oid = c.relam
     WHERE c.relkind IN ('m', 'r', 'v', 'p', 'f') AND ";

fn read(row: &Row) -> Present {
    let list: Option<Vec<String>> = row.get(2);
    let options = list
        .unwrap_or_default()
        .into_iter()
        .filter_map(|o| o.split_once('=').map(|(n, v)| (n.to_string(), v.to_string())));
    let (names, definitions): (Vec<String>, Vec<String>) = (row.get(5), row.get(6));
    Present {
        name: row.get(0),
        definition: row.get::<_, Option<String>>(1).unwrap_or_default(),
        options: options.collect(),
        logged: row.get(3),
        columns: row.get(4),
        indexes: names.into_iter().zip(definitions).collect(),
        is_tview: row.get(7),
        is_matview: row.get(8),
        comment: row.get(9),
    }
}

/// All of them, in an order in which each comes behind those that it reads.
pub fn all(client: &mut impl GenericClient) -> Result<Vec<Present>> {
    let query = format!(
        "{QUERY} a.amname = 'tview' AND c.relkind = 'm' AND n.nspname <> 'pg_toast_tviews'
         ORDER BY (WITH RECURSIVE below AS (
                       SELECT c.oid, 0 AS depth
                       UNION
                       SELECT s.base_table::oid, b.depth + 1 FROM below b JOIN pg_class k ON k.oid = b.oid JOIN pg_am m ON m.oid = k.relam AND m.amname = 'tview'
                         CROSS JOIN LATERAL tviews.strategies(b.oid) s)
                   SELECT max(depth) FROM below), 1"
    );
    Ok(client.query(&query, &[]).map_err(sentence)?.iter().map(read).collect())
}

/// The relation that a name means, as the server reads it.
pub fn named(client: &mut impl GenericClient, name: &str) -> Result<Option<Present>> {
    let query = format!("{QUERY} c.oid = to_regclass($1)");
    Ok(client.query_opt(&query, &[&name]).map_err(sentence)?.as_ref().map(read))
}
