//! The oracle: a TVIEW against its defining query, as multisets, both ways.
//! Invariant: reading through a second session repairs nothing (it has no pending changes); columns are compared by text, so that 1.0 is not 1.000
//! and json can be compared, except those marked fuzzy, where the query itself may return either of two equal values.
//! Called by `run`.

use crate::case::View;
use crate::query::Col;
use crate::types::{Ty, first_digits};
use postgres::{Client, SimpleQueryMessage};

/// Settings under which TVIEWs are computed, so that text compares.
const PINNED: &[(&str, &str)] = &[
    ("TimeZone", "'UTC'"),
    ("DateStyle", "'ISO, MDY'"),
    ("extra_float_digits", "1"),
    ("IntervalStyle", "'postgres'"),
    ("bytea_output", "'hex'"),
    ("lc_monetary", "'C'"),
    ("array_nulls", "on"),
    ("timezone_abbreviations", "'Default'"),
    ("gin_fuzzy_search_limit", "0"),
    ("transform_null_equals", "off"),
    ("search_path", "fuzz, public"),
];

/// Other settings for a writer: TVIEWs must not depend on them. The search path has functions that answer otherwise.
const ODD: &str = "SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German, DMY'; SET extra_float_digits = -3; SET IntervalStyle = 'iso_8601'; SET bytea_output = 'escape'; SET array_nulls = off; SET timezone_abbreviations = 'Australia'; SET gin_fuzzy_search_limit = 3; SET quote_all_identifiers = on; SET search_path = fuzz_decoy, pg_catalog, fuzz, public";

/// What the odd search path finds first.
pub const DECOY: &str = "DROP SCHEMA IF EXISTS fuzz_decoy CASCADE; CREATE SCHEMA fuzz_decoy; GRANT USAGE ON SCHEMA fuzz_decoy TO PUBLIC; \
CREATE FUNCTION fuzz_decoy.upper(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''decoy'''; \
CREATE FUNCTION fuzz_decoy.to_jsonb(anyelement) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT ''\"decoy\"''::jsonb'; \
CREATE FUNCTION fuzz_decoy.shade(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT -1'; \
CREATE AGGREGATE fuzz_decoy.sum(int) (SFUNC = int4pl, STYPE = int, INITCOND = '1000')";

/// The settings of a comparing session; jit costs more than these queries.
pub fn settings() -> String {
    let pinned: String = PINNED.iter().map(|(name, value)| format!("SET {name} = {value}; ")).collect();
    format!(
        "{pinned}SET client_min_messages = 'error'; SET jit = off; SET statement_timeout = '120s'; SET lock_timeout = '60s'; SET pg_tviews.full_refresh_threshold = 0.3"
    )
}

/// Back to what text is compared under.
pub fn plain_settings() -> String {
    PINNED.iter().map(|(name, value)| format!("SET {name} = {value}; ")).collect()
}

pub fn odd_settings() -> &'static str {
    ODD
}

/// The settings as clauses of CREATE FUNCTION.
pub fn function_settings() -> String {
    PINNED.iter().map(|(name, value)| format!(" SET {name} = {value}")).collect()
}

/// A column as text that is the same for values between which nothing decides.
fn shown(column: &Col, name: &str) -> String {
    match (column.ty, column.fuzzy) {
        (Ty::Approx, _) => format!("{}::text", first_digits(name)),
        (Ty::Num, true) => format!("trim_scale({name})::text"),
        (Ty::Float | Ty::Real, true) => format!("({name} + 0)::text"),
        (Ty::Interval, true) => format!("justify_interval({name})::text"),
        (Ty::NoCase | Ty::Citext, true) => format!("lower({name}::text COLLATE \"C\")"),
        (Ty::NoCase | Ty::Citext, false) => format!("{name}::text COLLATE \"C\""),
        _ => format!("{name}::text"),
    }
}

fn names(view: &View) -> (String, String) {
    let names: Vec<String> = (1..=view.query.columns.len()).map(|i| format!("c{i}")).collect();
    let list: Vec<String> =
        view.query.columns.iter().zip(&names).map(|(c, n)| format!("{} AS {n}", shown(c, n))).collect();
    (names.join(", "), list.join(", "))
}

/// The comparison, as one statement that returns the rows that differ.
pub fn comparison(view: &View, query: &str) -> String {
    comparison_beside("", view, query)
}

/// The same, with another CTE before.
pub fn comparison_beside(with: &str, view: &View, query: &str) -> String {
    against(with, view, &format!("{} AS s", view.name), &format!("({query}) AS w"))
}

/// A stored copy of a TVIEW against another one.
pub fn against(with: &str, view: &View, stored: &str, wanted: &str) -> String {
    let (names, list) = names(view);
    format!(
        "WITH {with}stored AS MATERIALIZED (SELECT {list} FROM {stored}({names})), wanted AS MATERIALIZED (SELECT {list} FROM {wanted}({names}))\n\
         SELECT 'missing' AS problem, m::text FROM (TABLE wanted EXCEPT ALL TABLE stored) AS m\nUNION ALL SELECT 'extra', e::text FROM (TABLE stored EXCEPT ALL TABLE wanted) AS e"
    )
}

/// The body of a function that fails when a view differs: SQLSTATE TV001.
pub fn raise_if_different(view: &View, query: &str) -> String {
    format!(
        "    FOR difference IN {} LOOP RAISE EXCEPTION 'differs: %', difference USING ERRCODE = 'TV001'; END LOOP;\n",
        comparison(view, query)
    )
}

/// Runs a statement and returns its rows, columns joined by a blank.
pub fn rows(client: &mut Client, sql: &str) -> Result<Vec<String>, postgres::Error> {
    let mut out = vec![];
    for message in client.simple_query(sql)? {
        if let SimpleQueryMessage::Row(row) = message {
            out.push((0..row.len()).map(|i| row.get(i).unwrap_or("NULL")).collect::<Vec<_>>().join(" "));
        }
    }
    Ok(out)
}

/// A row of a TVIEW: where it is and who wrote it, and what it shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placed {
    pub place: String,
    pub content: String,
}

pub fn places(client: &mut Client, view: &View) -> Result<Vec<Placed>, postgres::Error> {
    let (names, list) = names(view);
    let sql = format!(
        "SELECT s.ctid::text || ' ' || s.xmin::text, (SELECT x::text FROM (SELECT {list}) AS x) FROM {} AS s({names}) ORDER BY 1",
        view.name
    );
    let mut out = vec![];
    for message in client.simple_query(&sql)? {
        if let SimpleQueryMessage::Row(row) = message {
            let get = |i| row.get(i).unwrap_or("").to_string();
            out.push(Placed { place: get(0), content: get(1) });
        }
    }
    Ok(out)
}

/// A summary of the contents of all tables.
pub fn fingerprint(client: &mut Client, tables: &[String]) -> Result<Vec<String>, postgres::Error> {
    let mut out = vec![];
    for t in tables {
        out.extend(rows(client, &format!("SELECT md5(coalesce(string_agg(r, '|' ORDER BY r), '')) FROM (SELECT x::text COLLATE \"C\" AS r FROM {t} AS x) AS all_rows"))?);
    }
    Ok(out)
}

/// A summary of what a view shows.
pub fn view_fingerprint(client: &mut Client, view: &View) -> Result<Vec<String>, postgres::Error> {
    let (names, list) = names(view);
    rows(
        client,
        &format!(
            "SELECT md5(coalesce(string_agg(r, '|' ORDER BY r), '')) FROM (SELECT x::text COLLATE \"C\" AS r FROM (SELECT {list} FROM {} AS s({names})) AS x) AS all_rows",
            view.name
        ),
    )
}
