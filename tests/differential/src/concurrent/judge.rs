//! Which errors may happen when several sessions write: errors of locks, of constraints, and of a query over some rows. And when a query has no
//! answer to compare with.
//! Invariant: an error is not tried again without TVIEWs, for others write meanwhile; the text of the queries decides.
//! Called by `writer` and `reader`.

use crate::case::{Case, View};
use crate::server::{in_flush, rows, state, takes_long};
use postgres::Client;

/// Of serialization and of deadlocks: somebody else was first.
pub fn is_conflict(e: &postgres::Error) -> bool {
    matches!(state(e).as_str(), "40001" | "40P01")
}

/// Whether a transaction may end with this error.
pub fn may_happen(client: &mut Client, case: &Case, live: &[bool], e: &postgres::Error) -> bool {
    let code = state(e);
    // A comparison runs the query, which fails, too, where no result depends on it, see `reader::compare`.
    let own = query_can_fail(case, live, &code) || !in_flush(e) && (code.starts_with("23") || code.starts_with("22"));
    own || is_conflict(e)
        || (code == "55P03" && others_work(client))
        || (matches!(code.as_str(), "55P03" | "57014") && outgrown(client, case, live))
}

/// Whether the query of some TVIEW has become so large that a flush takes as long as statements may.
pub fn outgrown(client: &mut Client, case: &Case, live: &[bool]) -> bool {
    let queries = case.views.iter().zip(live).filter(|(_, live)| **live).map(|(v, _)| v.query.sql.as_str());
    takes_long(client, queries)
}

/// Whether some writer is at work, with a query that has become large; if all writers wait, nobody has noticed a deadlock.
fn others_work(client: &mut Client) -> bool {
    let writers = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'writer' AND state = 'active'
        AND wait_event_type IS DISTINCT FROM 'Lock' AND pid <> pg_backend_pid()";
    client.query(writers, &[]).is_ok_and(|rows| !rows.is_empty())
}

/// Whether the query of some TVIEW has what fails with this error over some rows.
pub fn query_can_fail(case: &Case, live: &[bool], code: &str) -> bool {
    let has = |v: &View| match code {
        "21000" => !v.facts.unusual.is_empty(),
        "22012" => v.query.sql.contains(" / "),
        "22003" => [" * ", " + 1)", "(-", "squares("].iter().any(|part| v.query.sql.contains(part)),
        _ => false,
    };
    case.views.iter().zip(live).any(|(v, live)| *live && has(v))
}

/// Whether the transaction sees two rows with one unique key: a row that others have deleted since its snapshot, and its own new row.
/// A query over them has the answer that its plan happens to give: findings/key_twice_in_a_snapshot.sh
pub fn sees_a_key_twice(client: &mut Client) -> Result<bool, postgres::Error> {
    let keys = "SELECT format('SELECT FROM %s%s WHERE (%s) IS NOT NULL GROUP BY %3$s HAVING count(*) > 1', CASE relkind WHEN 'r' THEN 'ONLY ' END, r,
               (SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute WHERE attrelid = r AND attnum = ANY (indkey)))
        FROM pg_index, pg_class, CAST(indrelid AS regclass) AS r
        WHERE pg_class.oid = indrelid AND indisunique AND indexprs IS NULL AND indpred IS NULL AND relkind IN ('r', 'p')
          AND relnamespace = current_schema()::regnamespace";
    for key in rows(client, keys)? {
        if !rows(client, &key)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
