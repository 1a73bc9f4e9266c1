//! The oracle: a TVIEW against its defining query, as multisets, both ways.
//! Invariant: reading through a second session repairs nothing (it has no pending changes); columns are compared by text, so that 1.0 is not 1.000
//! and json can be compared, except those marked fuzzy, where the query itself may return either of two equal values.
//! Called by `run` and `concurrent`.

use crate::case::View;
use crate::query::Col;
use crate::server::rows;
use crate::types::{Ty, first_digits};
use postgres::{Client, SimpleQueryMessage};

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

/// Names for the columns of a view, and the columns as text under these.
fn shown_columns(view: &View) -> (String, String) {
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
    let (names, list) = shown_columns(view);
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

/// A row of a TVIEW: its ctid, its xmin, and its columns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placed {
    pub place: String,
    pub content: String,
}

pub fn places(client: &mut Client, view: &View) -> Result<Vec<Placed>, postgres::Error> {
    let (names, list) = shown_columns(view);
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
        out.extend(digest(client, t)?);
    }
    Ok(out)
}

/// A summary of what a view shows.
pub fn view_fingerprint(client: &mut Client, view: &View) -> Result<Vec<String>, postgres::Error> {
    let (names, list) = shown_columns(view);
    digest(client, &format!("(SELECT {list} FROM {} AS s({names}))", view.name))
}

fn digest(client: &mut Client, from: &str) -> Result<Vec<String>, postgres::Error> {
    let sql = format!(
        "SELECT md5(coalesce(string_agg(r, '|' ORDER BY r), '')) FROM (SELECT x::text COLLATE \"C\" AS r FROM {from} AS x) AS all_rows"
    );
    rows(client, &sql)
}
