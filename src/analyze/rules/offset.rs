//! The SQL for changes of a query that shows all rows in an order but the first ones: ORDER BY … OFFSET.
//!
//! ```text
//!   h h h h │ p v v d v v …            p: the first row that the query shows now; q: the first one that is stored
//!       │ q v v v d v v …              d: places of changed rows, old and new
//! ```
//!
//! A changed row in front moves the edge: rows between q and p come or go. Behind both of them only the changed places differ.
//! Invariant: each row has a place of its own, so that all rows outside of d and of q to p are shown before and after the change, or not shown
//! before and after it. Called by rules/interval.rs.

use crate::analyze::rules::interval::{Texts, numbered, prefixed};
use crate::analyze::rules::places::{Place, both, either};
use crate::pg::fault::{self, Fault};

impl Texts<'_> {
    /// `d`: changed places; `q`: the first stored row; `p`: the first row that is shown.
    fn edges(&self, skipped: u64) -> String {
        let names = self.names();
        let of_r = prefixed(&names, "r.");
        let sorted = self.order.sorted("r.", false);
        // No change in front, no other edge.
        let behind = either(&self.order.compare("a", Place::Behind, "q"));
        let kept = if fault::on(Fault::KeepEdge) { "q".to_string() } else { format!("q, a WHERE {behind}") };
        format!(
            "WITH {}, q AS MATERIALIZED (SELECT {of_r} FROM {} ORDER BY {sorted} LIMIT 1), \
             k AS MATERIALIZED (SELECT q.* FROM {kept}), \
             p AS MATERIALIZED (SELECT * FROM k UNION ALL (SELECT {of_r} FROM {} WHERE NOT EXISTS (SELECT FROM k) \
             ORDER BY {sorted} OFFSET {skipped} LIMIT 1))",
            self.changed_rows(),
            self.s(),
            self.r(),
        )
    }

    /// Places of the stored rows that are compared: those that changed, and those in front of the edge.
    pub(super) fn stored_behind(&self, skipped: u64) -> String {
        let rows = self.s();
        let mut parts = Vec::new();
        for at in self.order.equal("r", "d") {
            parts.push(("d".to_string(), at.text));
        }
        for before in self.order.compare("r", Place::Before, "p") {
            parts.push(("p".to_string(), before.text));
        }
        let mut selects: Vec<String> = parts.iter().map(|(from, on)| each("r.at", from, &rows, on)).collect();
        selects.push(format!("SELECT r.at FROM {rows} WHERE NOT EXISTS (SELECT FROM p)"));
        format!("{} {}", self.edges(skipped), selects.join(" UNION "))
    }

    /// The columns of the rows that are computed: those at changed places, and those between the edges.
    pub(super) fn rows_behind(&self, skipped: u64) -> String {
        let (columns, rows) = (prefixed(&numbered("c", self.rows.columns), "r."), self.r());
        let columns = format!("{columns}, true");
        let shown = self.order.compare("r", Place::NotBefore, "p");
        let stored = either(&self.order.compare("r", Place::NotBefore, "q"));
        let mut parts = Vec::new();
        for at in self.order.equal("r", "d") {
            parts.push(("d, p, q".to_string(), format!("{} AND {} AND {stored}", at.text, either(&shown))));
        }
        for between in both(&shown, &self.order.compare("r", Place::Before, "q")) {
            parts.push(("p, q".to_string(), between.text));
        }
        for behind in &shown {
            parts.push(("p".to_string(), format!("NOT EXISTS (SELECT FROM q) AND {}", behind.text)));
        }
        let selects: Vec<String> = parts.iter().map(|(from, on)| each(&columns, from, &rows, on)).collect();
        format!("{} {}", self.edges(skipped), selects.join(" UNION ALL "))
    }
}

fn each(columns: &str, from: &str, rows: &str, on: &str) -> String {
    format!("SELECT {columns} FROM {from}, LATERAL (SELECT * FROM {rows} WHERE {on} OFFSET 0) r")
}
