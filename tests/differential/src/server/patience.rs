//! Whether a query takes long in any session, with or without TVIEWs.
//! Invariant: nobody else's time is measured: the query is run as it is, without a TVIEW. Called when a statement has run into a timeout.

use super::state;
use postgres::Client;

/// Longer than this, and a flush may take as long as a statement is given.
const SECONDS: u64 = 5;

/// Whether one of the queries has become too large to wait for. Rolls an open transaction back.
pub fn takes_long<'a>(client: &mut Client, queries: impl IntoIterator<Item = &'a str>) -> bool {
    let _ = client.batch_execute("ROLLBACK");
    let Ok(known) = client.query_one("SHOW statement_timeout", &[]).map(|row| row.get::<_, String>(0)) else {
        return false;
    };
    let _ = client.batch_execute(&format!("SET statement_timeout = '{SECONDS}s'"));
    // rows are counted, not made: no column is left out of what they cost
    let long = queries.into_iter().any(|sql| {
        let counted = format!("SELECT count(q::text) FROM ({sql}) AS q");
        client.batch_execute(&counted).is_err_and(|e| state(&e) == "57014")
    });
    let _ = client.batch_execute(&format!("SET statement_timeout = '{known}'"));
    long
}
