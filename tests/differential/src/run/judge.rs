//! What an error means.
//! Invariant: an error is accepted only when the statement, or the query of a view, fails in the same way without any TVIEW.
//! Called by `transaction` and `run`.

use super::{Failure, Outcome, Run};
use crate::case::{Case, Mode};
use crate::hazards::Hazard;
use crate::server::{Session, describe, in_flush, state, takes_long};
use anyhow::Result;

/// Before the SQLSTATE, in the kind of a failure that may be the statement's own.
pub(super) const SUSPICIOUS: &str = "suspicious ";

/// The failure, if it is the TVIEWs': not when the same statement fails without any TVIEW, or a query takes long by itself.
pub(super) fn settle(
    session: &mut Session,
    case: &Case,
    mode: Mode,
    f: Failure,
    out: &mut Outcome,
) -> Result<Option<Failure>> {
    let Some(code) = f.kind.strip_prefix(SUSPICIOUS).map(str::to_string) else {
        return Ok(Some(f));
    };
    if code == "57014" {
        let queries = || case.views.iter().map(|v| v.query.sql.as_str());
        // The rows that make a query long may be gone with the transaction: without TVIEWs they stay.
        let mut long = takes_long(&mut session.client, queries());
        if !long && !mode.without_tviews {
            let so_far = case.transactions.iter().take(f.transaction.saturating_add(1)).cloned().collect();
            super::run(session, &Case { transactions: so_far, ..case.clone() }, Mode { without_tviews: true, ..mode })?;
            long = takes_long(&mut session.client, queries());
        }
        if long {
            out.errors.add(format!("{code} (case ended: a query has outgrown it)"));
            return Ok(None);
        }
        return Ok(Some(Failure { kind: format!("error {code}"), ..f }));
    }
    if code == "21000" {
        out.counts.add(Hazard::ScalarTwoRows);
    }
    let again = super::run(session, case, Mode { without_tviews: true, ..mode })?;
    if again.failed_steps.iter().any(|(t, _, c)| *t == f.transaction && *c == code) {
        // then the case ends here: it is not what it was meant to be, but nobody is wrong
        out.errors.add(format!("{code} (case ended)"));
        return Ok(None);
    }
    Ok(Some(Failure { kind: format!("error {code} only with TVIEWs"), ..f }))
}

impl Run<'_> {
    /// Whose fault an error is: nothing when it may happen.
    pub(super) fn judge(&mut self, e: &postgres::Error, what: &str, step: usize) -> Option<Failure> {
        let code = state(e);
        let text = format!("{what}\n{}", describe(e));
        self.out.failed_steps.insert((self.at, step, code.clone()));
        if self.mode.verbose {
            println!("-- {}", describe(e));
        }
        match code.as_str() {
            "closed" => return self.fail("connection closed", text),
            "TV001" => return self.fail("difference within a statement", text),
            // nobody else writes
            "40001" | "40P01" => return self.fail(format!("error {code} without another writer"), text),
            "57014" => return self.fail(format!("{SUSPICIOUS}{code}"), text),
            "55P03" => return self.fail(format!("error {code}"), text),
            _ if code.starts_with("XX") => return self.fail(format!("error {code}"), text),
            _ => {}
        }
        if self.mode.without_tviews {
            return None;
        }
        let of_query = code.starts_with("21") || code.starts_with("22");
        if in_flush(e) && !of_query {
            return self.fail(format!("flush fails with {code}"), text);
        }
        self.out.errors.add(code.clone());
        if !in_flush(e) && (code.starts_with("23") || code == "22012") {
            return None;
        }
        self.fail(format!("{SUSPICIOUS}{code}"), text)
    }

    /// The same without consequences for an open transaction.
    pub(super) fn evaluate_plain_now(&mut self, open: bool) -> Result<(), postgres::Error> {
        if !open {
            self.evaluate_plain();
            return Ok(());
        }
        self.session.client.batch_execute("SAVEPOINT plain")?;
        self.evaluate_plain();
        self.session.client.batch_execute("ROLLBACK TO SAVEPOINT plain; RELEASE SAVEPOINT plain")
    }

    /// Computes all views, which are plain views: the errors belong to their queries.
    fn evaluate_plain(&mut self) {
        for (view, v) in self.case.views.iter().enumerate() {
            if self.live[view] {
                let sql = format!("SELECT md5(string_agg(v::text, '')) FROM {} AS v", v.name);
                if let Err(e) = self.session.client.batch_execute(&sql) {
                    self.out.failed_steps.insert((self.at, usize::MAX, state(&e)));
                    return;
                }
            }
        }
    }
}
