//! Runs one case in a fresh schema and says what is wrong, if anything.
//! Invariant: the script it returns, run by psql on an empty database, does the same. Called by `main` and `shrink`.

use crate::case::{Act, Case, End, Step, Transaction};
use crate::hazards::{Counts, Hazard};
use crate::oracle::{self, comparison};
use anyhow::{bail, Context, Result};
use postgres::{Client, NoTls, SimpleQueryMessage};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

pub const SCHEMA: &str = "fuzz";

#[derive(Clone, Debug)]
pub struct Failure {
    /// what must stay the same while a case is made smaller
    pub kind: String,
    pub detail: String,
    /// index of the transaction
    pub transaction: usize,
}

#[derive(Default)]
pub struct Outcome {
    pub failure: Option<Failure>,
    pub script: Vec<String>,
    pub counts: Counts,
    pub created: u64,
    pub refused: u64,
    /// plain SELECT refused too
    pub illegal: u64,
    pub transactions: u64,
    pub comparisons: u64,
    pub retries: u64,
    /// SQLSTATEs of statements that failed on their own account
    pub errors: BTreeMap<String, u64>,
    /// (transaction, step, SQLSTATE) of every statement that failed
    pub failed_steps: BTreeSet<(usize, usize, String)>,
    pub refusals: BTreeMap<String, u64>,
    /// how many base tables of TVIEWs are followed in which way
    pub strategies: BTreeMap<String, u64>,
    pub fingerprints: Option<(Vec<String>, Vec<String>)>,
}

#[derive(Clone, Copy, Debug)]
pub struct Mode {
    pub baseline: bool,
    /// run the transactions only: tells whether an error is the statement's own
    pub without_tviews: bool,
    pub verbose: bool,
}

pub struct Session {
    pub dsn: String,
    pub client: Client,
    pub checker: Client,
}

impl Session {
    pub fn connect(dsn: &str) -> Result<Session> {
        let connect = || -> Result<Client> {
            let mut client = Client::connect(dsn, NoTls).context("cannot connect")?;
            client.batch_execute(oracle::SETTINGS)?;
            client.batch_execute(&format!("SET search_path = {SCHEMA}, public"))?;
            Ok(client)
        };
        let (client, checker) = (connect()?, connect()?);
        Ok(Session { dsn: dsn.to_string(), client, checker })
    }

    /// A new connection, after a crash or a time-out; waits for the server to recover.
    pub fn reconnect(&mut self) -> Result<()> {
        let dsn = self.dsn.clone();
        for _ in 0..60 {
            std::thread::sleep(std::time::Duration::from_millis(500));
            if let Ok(session) = Session::connect(&dsn) {
                *self = session;
                return Ok(());
            }
        }
        bail!("the server does not come back")
    }

    pub fn clean(&mut self) -> Result<()> {
        let _ = self.client.batch_execute("ROLLBACK");
        self.client.batch_execute(oracle::SETTINGS)?;
        for gid in
            oracle::rows(&mut self.client, "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")?
        {
            self.client.batch_execute(&format!("ROLLBACK PREPARED '{gid}'"))?;
        }
        self.client.batch_execute(&format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}"))?;
        Ok(())
    }
}

pub fn state(e: &postgres::Error) -> String {
    e.as_db_error().map(|d| d.code().code().to_string()).unwrap_or_else(|| "closed".into())
}

pub fn describe(e: &postgres::Error) -> String {
    match e.as_db_error() {
        Some(d) => {
            let mut text = format!("{}: {}", d.code().code(), d.message());
            for (label, part) in [("detail", d.detail()), ("hint", d.hint()), ("context", d.where_())] {
                if let Some(part) = part {
                    text += &format!("\n{label}: {part}");
                }
            }
            text
        }
        None => e.to_string(),
    }
}

pub fn in_flush(e: &postgres::Error) -> bool {
    e.as_db_error().and_then(|d| d.where_()).is_some_and(|w| w.contains("flush of TVIEW"))
}

struct Run<'a> {
    session: &'a mut Session,
    case: &'a Case,
    mode: Mode,
    out: Outcome,
    live: Vec<bool>,
    /// definitions as the server prints them, once a definition has changed
    texts: Option<Vec<Option<String>>>,
    at: usize,
}

pub fn run(session: &mut Session, case: &Case, mode: Mode) -> Result<Outcome> {
    session.clean()?;
    let live = vec![false; case.views.len()];
    let mut run = Run { session, case, mode, out: Outcome::default(), live, texts: None, at: 0 };
    let failure = run.whole()?;
    let mut out = run.out;
    if failure.as_ref().is_some_and(|f| f.kind.contains("closed")) {
        session.reconnect()?;
    }
    if let Some(f) = failure {
        // would the same statement fail without any TVIEW?
        let own = f.kind.strip_prefix("suspicious ").map(str::to_string);
        match own {
            Some(code) => {
                let again = self::run(session, case, Mode { without_tviews: true, ..mode })?;
                if again.failed_steps.iter().any(|(t, _, c)| *t == f.transaction && *c == code) {
                    // then the case ends here: it is not what it was meant to be, but nobody is wrong
                    *out.errors.entry(format!("{code} (case ended)")).or_default() += 1;
                } else {
                    out.failure = Some(Failure { kind: format!("error {code} only with TVIEWs"), ..f });
                }
            }
            None => out.failure = Some(f),
        }
    }
    Ok(out)
}

impl Run<'_> {
    fn fail(&self, kind: impl Into<String>, detail: impl Into<String>) -> Option<Failure> {
        Some(Failure { kind: kind.into(), detail: detail.into(), transaction: self.at })
    }

    fn log(&mut self, sql: &str) {
        if self.mode.verbose {
            println!("{sql};");
        }
        self.out.script.push(format!("{sql};"));
    }

    /// Runs SQL; the number of rows it changed.
    fn sql(&mut self, sql: &str) -> Result<u64, postgres::Error> {
        self.log(sql);
        let mut changed = 0;
        let done = self.session.client.simple_query(sql);
        if self.mode.verbose {
            if let Err(e) = &done {
                println!("-- {}", describe(e));
            }
        }
        for message in done? {
            if let SimpleQueryMessage::CommandComplete(n) = message {
                changed += n;
            }
        }
        Ok(changed)
    }

    fn whole(&mut self) -> Result<Option<Failure>> {
        for ddl in self.case.ddl.clone() {
            if let Err(e) = self.sql(&ddl) {
                return Ok(self.fail(format!("setup {}", state(&e)), describe(&e)));
            }
        }
        if !self.case.rows.is_empty() {
            let rows = self.case.rows.join(";\n");
            if let Err(e) = self.sql(&rows) {
                return Ok(self.fail(format!("setup {}", state(&e)), describe(&e)));
            }
        }
        for view in 0..self.case.views.len() {
            if self.case.views[view].late {
                continue;
            }
            if let Some(f) = self.create(view)? {
                return Ok(Some(f));
            }
        }
        if !self.mode.without_tviews
            && !self.live.iter().zip(&self.case.views).any(|(l, v)| *l && v.is_tview)
            && !self.case.views.iter().any(|v| v.late)
        {
            return Ok(None);
        }
        if self.case.odd_settings && !self.mode.baseline {
            self.sql(oracle::ODD_SETTINGS)?;
        }
        self.at = usize::MAX;
        if let Some(f) = self.check_all()? {
            return Ok(Some(f));
        }
        if self.case.odd_settings {
            self.out.counts.add(Hazard::OtherSettings);
        }
        for hazard in self.case.hazards.iter().copied() {
            self.out.counts.add(hazard);
        }
        for (index, transaction) in self.case.transactions.iter().enumerate() {
            self.at = index;
            let before = if transaction.no_change { self.places()? } else { vec![] };
            if let Some(f) = self.transaction(transaction)? {
                return Ok(Some(f));
            }
            self.out.transactions += 1;
            if let Some(f) = self.check_all()? {
                return Ok(Some(f));
            }
            if transaction.no_change && before != self.places()? {
                let after = self.places()?;
                let changed: Vec<String> = before
                    .iter()
                    .zip(&after)
                    .filter(|(b, a)| b != a)
                    .map(|(b, a)| format!("{b:?} became {a:?}"))
                    .collect();
                return Ok(self.fail("rows written without a change", changed.join("\n")));
            }
        }
        self.end()
    }

    fn places(&mut self) -> Result<Vec<(String, Vec<String>)>> {
        if self.mode.baseline {
            return Ok(vec![]);
        }
        let mut all = vec![];
        for (view, v) in self.case.views.iter().enumerate() {
            if self.live[view] && v.is_tview && !v.query.columns.iter().any(|c| c.fuzzy) {
                all.push((v.name.clone(), oracle::places(&mut self.session.checker, &v.name)?));
            }
        }
        Ok(all)
    }

    /// Creates a view, unless its query is not legal or is refused.
    fn create(&mut self, view: usize) -> Result<Option<Failure>> {
        let v = &self.case.views[view];
        if self.mode.without_tviews {
            // plain views are part of nothing that is written
            return Ok(None);
        }
        let inside = self.at != 0 || !self.out.script.iter().all(|s| !s.starts_with("BEGIN"));
        if inside {
            self.session.client.batch_execute("SAVEPOINT creation")?;
        }
        let probe = self.session.client.batch_execute(&format!("SELECT * FROM ({}) AS probe", v.query.sql));
        if let Err(e) = probe {
            self.out.illegal += 1;
            if self.mode.verbose || (state(&e) != "42P01" && std::env::var_os("SHOW_ILLEGAL").is_some()) {
                println!("-- not legal: {}\n--   {}", describe(&e), v.query.sql);
            }
            if state(&e) == "closed" || state(&e).starts_with("XX") {
                return Ok(
                    self.fail(format!("plain query {}", state(&e)), format!("{}\n{}", v.query.sql, describe(&e)))
                );
            }
            if inside {
                self.session.client.batch_execute("ROLLBACK TO creation")?;
            }
            return Ok(None);
        }
        if inside {
            self.session.client.batch_execute("RELEASE creation; SAVEPOINT creation")?;
        }
        let sql = v.create(self.mode.baseline);
        if let Err(e) = self.sql(&sql) {
            let code = state(&e);
            if code == "0A000" && v.is_tview {
                self.out.refused += 1;
                let message = e.as_db_error().map(|d| d.message().to_string()).unwrap_or_default();
                *self.out.refusals.entry(message).or_default() += 1;
                if inside {
                    self.session.client.batch_execute("ROLLBACK TO creation")?;
                }
                return Ok(None);
            }
            return Ok(self.fail(format!("CREATE fails with {code}"), format!("{sql}\n{}", describe(&e))));
        }
        self.live[view] = true;
        self.out.created += u64::from(v.is_tview);
        if v.is_tview {
            for hazard in v.facts.hazards.iter().copied() {
                self.out.counts.add(hazard);
            }
            if !inside {
                return self.same_columns(view);
            }
        }
        Ok(None)
    }

    /// Names and types of the columns are those of the query.
    fn same_columns(&mut self, view: usize) -> Result<Option<Failure>> {
        let v = &self.case.views[view];
        let mut shape = |sql: String| -> Result<Vec<(String, u32)>> {
            let s = self.session.client.prepare(&sql)?;
            Ok(s.columns().iter().map(|c| (c.name().to_string(), c.type_().oid())).collect())
        };
        let stored = shape(format!("SELECT * FROM {}", v.name));
        let wanted = shape(v.query.sql.clone())?;
        match stored {
            Ok(stored) if stored == wanted => Ok(None),
            Ok(stored) => Ok(self.fail("columns differ", format!("{stored:?}\ninstead of\n{wanted:?}"))),
            Err(e) => Ok(self.fail("cannot read", e.to_string())),
        }
    }

    fn query_text(&mut self, view: usize, inside: bool) -> Result<String, postgres::Error> {
        let name = &self.case.views[view].name;
        match &self.texts {
            None => Ok(self.case.views[view].query.sql.clone()),
            Some(texts) => match texts.get(view).cloned().flatten() {
                Some(text) => Ok(text),
                None => {
                    let client = if inside { &mut self.session.client } else { &mut self.session.checker };
                    let text = oracle::rows(client, &format!("SELECT rtrim(pg_get_viewdef('{name}'::regclass), ';')"))?
                        .pop()
                        .unwrap_or_default();
                    if let Some(texts) = self.texts.as_mut().filter(|_| !inside) {
                        texts[view] = Some(text.clone());
                    }
                    Ok(text)
                }
            },
        }
    }

    fn check_all(&mut self) -> Result<Option<Failure>> {
        if self.mode.without_tviews {
            return Ok(None);
        }
        if self.mode.baseline {
            self.refresh_all()?;
        }
        for view in 0..self.case.views.len() {
            if self.live[view] && self.case.views[view].is_tview {
                let compared = self.query_text(view, false).and_then(|text| {
                    let sql = comparison(&self.case.views[view], &text);
                    oracle::rows(&mut self.session.checker, &sql).map(|rows| (sql, rows))
                });
                self.out.comparisons += 1;
                match compared {
                    Err(e) => {
                        let text = format!(
                            "after the transaction, comparing {}: {}",
                            self.case.views[view].name,
                            describe(&e)
                        );
                        return Ok(self.fail(format!("comparison fails with {}", state(&e)), text));
                    }
                    Ok((sql, rows)) if !rows.is_empty() => return Ok(self.difference(view, "", sql, rows)),
                    Ok(_) => {}
                }
            }
        }
        Ok(None)
    }

    fn difference(&mut self, view: usize, place: &str, sql: String, rows: Vec<String>) -> Option<Failure> {
        self.log(&sql);
        let shown: Vec<String> = rows.iter().take(20).cloned().collect();
        self.fail(
            "difference",
            format!("{}{place}: {} rows differ\n{}", self.case.views[view].name, rows.len(), shown.join("\n")),
        )
    }

    fn refresh_all(&mut self) -> Result<(), postgres::Error> {
        for (view, v) in self.case.views.iter().enumerate() {
            if self.live[view] && v.is_tview {
                self.session.client.batch_execute(&format!("REFRESH MATERIALIZED VIEW {}", v.name))?;
            }
        }
        Ok(())
    }

    /// Whose fault an error is: nothing when it may happen.
    fn judge(&mut self, e: &postgres::Error, what: &str, step: usize) -> Option<Failure> {
        let code = state(e);
        let text = format!("{what}\n{}", describe(e));
        self.out.failed_steps.insert((self.at, step, code.clone()));
        if self.mode.verbose {
            println!("-- {}", describe(e));
        }
        if code == "closed" {
            return self.fail("connection closed", text);
        }
        if code == "40001" || code == "40P01" {
            self.out.retries += 1;
            return None;
        }
        if in_flush(e) {
            return self.fail(format!("flush fails with {code}"), text);
        }
        if code.starts_with("XX") || code == "57014" || code == "55P03" {
            return self.fail(format!("error {code}"), text);
        }
        *self.out.errors.entry(code.clone()).or_default() += 1;
        if code.starts_with("23") || code == "22012" || self.mode.without_tviews {
            return None;
        }
        self.fail(format!("suspicious {code}"), text)
    }

    fn transaction(&mut self, t: &Transaction) -> Result<Option<Failure>> {
        let mut open = false;
        if t.end != End::Autocommit {
            self.sql(&format!("BEGIN ISOLATION LEVEL {}", t.isolation))?;
            open = true;
        }
        let live = self.live.clone();
        let mut savepoints: Vec<String> = vec![];
        let mut good: BTreeMap<u32, bool> = BTreeMap::new();
        let mut changed_ddl = false;
        let mut aborted = false;
        for (number, step) in t.steps.iter().enumerate() {
            let done = self.step(step, &savepoints, open)?;
            match done {
                Done::Rows(n) => {
                    let counts = matches!(step.act, Act::Sql(_) | Act::Copy { .. }) && !step.is_ddl;
                    let done = !counts || n > 0 || step_counts_without_rows(&step.act);
                    let entry = good.entry(step.group).or_insert(true);
                    *entry &= done;
                    changed_ddl |= step.is_ddl;
                    match &step.act {
                        Act::Savepoint(name) => savepoints.push(name.clone()),
                        Act::RollbackTo(name) => {
                            if let Some(at) = savepoints.iter().position(|s| s == name) {
                                savepoints.truncate(at + 1);
                            }
                        }
                        Act::Release(name) => {
                            if let Some(at) = savepoints.iter().position(|s| s == name) {
                                savepoints.truncate(at);
                            }
                        }
                        _ => {}
                    }
                }
                Done::Skipped => {
                    good.insert(step.group, false);
                }
                Done::Failed(f) => return Ok(Some(f)),
                Done::Error(e, what) => {
                    good.insert(step.group, false);
                    if let Some(f) = self.judge(&e, &what, number) {
                        return Ok(Some(f));
                    }
                    if !open {
                        continue;
                    }
                    if let Some(name) = savepoints.last().cloned() {
                        self.sql(&format!("ROLLBACK TO SAVEPOINT {name}"))?;
                    } else {
                        self.sql("ROLLBACK")?;
                        self.out.counts.add(Hazard::ErrorRollback);
                        open = false;
                        aborted = true;
                        break;
                    }
                }
            }
        }
        let mut committed = !aborted;
        if open {
            let gid = format!("fuzz_{}", self.at);
            let end = match t.end {
                End::Commit | End::Autocommit => self.sql("COMMIT").map(|_| ()),
                End::Rollback => {
                    committed = false;
                    self.out.counts.add(Hazard::RolledBack);
                    self.sql("ROLLBACK").map(|_| ())
                }
                End::PreparedCommit | End::PreparedRollback => self.prepare(t.end, &gid, &mut committed),
            };
            if let Err(e) = end {
                committed = false;
                let _ = self.session.client.batch_execute("ROLLBACK");
                if let Some(f) = self.judge(&e, "at the end of the transaction", usize::MAX) {
                    return Ok(Some(f));
                }
            }
        }
        if !committed {
            self.live = live;
            return Ok(None);
        }
        if changed_ddl {
            self.texts = Some(vec![None; self.case.views.len()]);
        }
        if t.isolation != "READ COMMITTED" && good.values().any(|g| *g) {
            self.out.counts.add(if t.isolation == "SERIALIZABLE" {
                Hazard::Serializable
            } else {
                Hazard::RepeatableRead
            });
        }
        let mut tables: BTreeSet<&str> = BTreeSet::new();
        for step in &t.steps {
            if good.get(&step.group) == Some(&true) {
                if let Act::Sql(sql) = &step.act {
                    let mut words = sql.split_whitespace();
                    match words.next() {
                        Some("UPDATE") => tables.extend(words.next()),
                        Some("INSERT" | "DELETE") => tables.extend(words.nth(1)),
                        _ => {}
                    }
                }
            }
        }
        if tables.len() >= 3 {
            self.out.counts.add(Hazard::ManyTables);
        }
        let mut last: BTreeMap<u32, usize> = BTreeMap::new();
        for (i, step) in t.steps.iter().enumerate() {
            last.insert(step.group, i);
        }
        for (group, i) in last {
            if good.get(&group) == Some(&true) {
                for hazard in &t.steps[i].hazards {
                    self.out.counts.add(*hazard);
                }
            }
        }
        Ok(None)
    }

    fn prepare(&mut self, end: End, gid: &str, committed: &mut bool) -> Result<(), postgres::Error> {
        self.sql(&format!("PREPARE TRANSACTION '{gid}'"))?;
        if end == End::PreparedCommit {
            self.out.counts.add(Hazard::PreparedCommit);
            self.sql(&format!("COMMIT PREPARED '{gid}'"))?;
        } else {
            *committed = false;
            self.out.counts.add(Hazard::PreparedRollback);
            self.sql(&format!("ROLLBACK PREPARED '{gid}'"))?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step, savepoints: &[String], open: bool) -> Result<Done> {
        let done = |r: Result<u64, postgres::Error>, what: &str| match r {
            Ok(n) => Done::Rows(n),
            Err(e) => Done::Error(Box::new(e), what.to_string()),
        };
        Ok(match &step.act {
            Act::Sql(sql) => {
                let refreshed = sql.strip_prefix("REFRESH MATERIALIZED VIEW ");
                if let Some(name) = refreshed {
                    let there = self.case.views.iter().zip(&self.live).any(|(v, live)| *live && v.name == name);
                    if !there {
                        return Ok(Done::Skipped);
                    }
                }
                let sql = self.without_dead_views(sql);
                done(self.sql(&sql), &sql)
            }
            Act::Native(sql) => {
                let dead = self
                    .case
                    .views
                    .iter()
                    .zip(&self.live)
                    .any(|(v, live)| !*live && sql.contains(&format!("'{}'", v.name)));
                if self.mode.baseline || self.mode.without_tviews || dead {
                    return Ok(Done::Skipped);
                }
                done(self.sql(sql), sql)
            }
            Act::Copy { sql, data } => {
                self.out.script.push(format!("{sql};\n{data}\\."));
                if self.mode.verbose {
                    println!("{sql};\n{data}\\.");
                }
                let copied = self.session.client.copy_in(sql.as_str()).and_then(|mut w| {
                    // what the server says comes with finish
                    let _ = w.write_all(data.as_bytes());
                    w.finish()
                });
                done(copied, sql)
            }
            Act::Read(view) => {
                if !self.live[*view] || self.mode.without_tviews {
                    return Ok(Done::Skipped);
                }
                if self.mode.baseline {
                    let name = format!("REFRESH MATERIALIZED VIEW {}", self.case.views[*view].name);
                    for (i, v) in self.case.views.iter().enumerate() {
                        if self.live[i] && v.is_tview && i <= *view {
                            if let Err(e) =
                                self.session.client.batch_execute(&format!("REFRESH MATERIALIZED VIEW {}", v.name))
                            {
                                return Ok(Done::Error(Box::new(e), name));
                            }
                        }
                    }
                }
                let text = match self.query_text(*view, true) {
                    Ok(text) => text,
                    Err(e) => return Ok(Done::Error(Box::new(e), "pg_get_viewdef".into())),
                };
                let sql = comparison(&self.case.views[*view], &text);
                self.out.comparisons += 1;
                let odd = self.case.odd_settings && !self.mode.baseline;
                if odd {
                    self.sql(oracle::SETTINGS)?;
                }
                self.log(&sql);
                let compared = oracle::rows(&mut self.session.client, &sql);
                if odd && compared.is_ok() {
                    self.sql(oracle::ODD_SETTINGS)?;
                }
                match compared {
                    Err(e) => Done::Error(Box::new(e), sql),
                    Ok(rows) if rows.is_empty() => Done::Rows(0),
                    Ok(rows) => match self.difference(*view, " (read inside the transaction)", sql, rows) {
                        Some(f) => Done::Failed(Failure { kind: "difference inside a transaction".into(), ..f }),
                        None => Done::Skipped,
                    },
                }
            }
            Act::Create(view) => match self.create(*view)? {
                Some(f) => Done::Failed(f),
                None if self.live[*view] => Done::Rows(1),
                None => Done::Skipped,
            },
            Act::Drop(view) => {
                if !self.live[*view] {
                    return Ok(Done::Skipped);
                }
                let sql = self.case.views[*view].drop(self.mode.baseline);
                let r = self.sql(&sql);
                if r.is_ok() {
                    self.live[*view] = false;
                }
                done(r, &sql)
            }
            Act::Savepoint(name) if open => done(self.sql(&format!("SAVEPOINT {name}")), ""),
            Act::RollbackTo(name) if open && savepoints.contains(name) => {
                done(self.sql(&format!("ROLLBACK TO SAVEPOINT {name}")), "")
            }
            Act::Release(name) if open && savepoints.contains(name) => {
                done(self.sql(&format!("RELEASE SAVEPOINT {name}")), "")
            }
            _ => Done::Skipped,
        })
    }

    /// DO blocks read a view only while it is there.
    fn without_dead_views(&self, sql: &str) -> String {
        if !sql.starts_with("DO ") {
            return sql.to_string();
        }
        let dead = |line: &str| {
            line.trim_start().starts_with("PERFORM count(*) FROM")
                && (self.mode.without_tviews
                    || self
                        .case
                        .views
                        .iter()
                        .zip(&self.live)
                        .any(|(v, live)| !*live && line.ends_with(&format!("FROM {};", v.name))))
        };
        sql.lines().filter(|l| !dead(l)).collect::<Vec<_>>().join("\n")
    }

    /// Verification by the extension itself, then nothing may be left of the TVIEWs.
    fn end(&mut self) -> Result<Option<Failure>> {
        self.at = self.case.transactions.len();
        if self.mode.without_tviews {
            return Ok(None);
        }
        let mut tables: Vec<String> = oracle::rows(&mut self.session.checker, &format!("SELECT oid::regclass::text FROM pg_class WHERE relnamespace = '{SCHEMA}'::regnamespace AND relkind = 'r' ORDER BY relname"))?;
        let base = oracle::fingerprint(&mut self.session.checker, &tables)?;
        tables = self
            .case
            .views
            .iter()
            .zip(&self.live)
            .filter(|(v, live)| **live && v.is_tview && !v.query.columns.iter().any(|c| c.fuzzy))
            .map(|(v, _)| v.name.clone())
            .collect();
        let shown = oracle::fingerprint(&mut self.session.checker, &tables)?;
        self.out.fingerprints = Some((base, shown));
        if self.mode.baseline {
            return Ok(None);
        }
        let used = oracle::rows(
            &mut self.session.checker,
            "SELECT s.value FROM tviews.tviews, jsonb_each_text(strategies::jsonb) AS s",
        )?;
        for strategy in used {
            *self.out.strategies.entry(strategy).or_default() += 1;
        }
        for view in 0..self.case.views.len() {
            let v = &self.case.views[view];
            if !self.live[view] || !v.is_tview || v.query.columns.iter().any(|c| c.fuzzy) {
                continue;
            }
            let sql = format!("SELECT missing, extra, ok FROM tviews.verify('{}')", v.name);
            self.log(&sql);
            match oracle::rows(&mut self.session.client, &sql) {
                Ok(rows) if rows.iter().all(|r| r.ends_with(" t")) && !rows.is_empty() => {}
                Ok(rows) => return Ok(self.fail("tviews.verify says no", format!("{}: {rows:?}", v.name))),
                Err(e) => return Ok(self.fail(format!("tviews.verify fails with {}", state(&e)), describe(&e))),
            }
        }
        for view in (0..self.case.views.len()).rev() {
            if self.live[view] {
                let sql = self.case.views[view].drop(false);
                if let Err(e) = self.sql(&sql) {
                    return Ok(self.fail(format!("DROP fails with {}", state(&e)), describe(&e)));
                }
            }
        }
        let left = format!(
            "SELECT tgrelid::regclass || ' ' || tgname FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace = '{SCHEMA}'::regnamespace AND tgconstraint = 0 AND tgname <> 'trg'"
        );
        self.log(&left);
        let rows = oracle::rows(&mut self.session.client, &left)?;
        if !rows.is_empty() {
            return Ok(self.fail("triggers left behind", rows.join("\n")));
        }
        Ok(None)
    }
}

fn step_counts_without_rows(act: &Act) -> bool {
    match act {
        Act::Sql(sql) => ["TRUNCATE", "DO ", "ALTER", "REFRESH", "SELECT"].iter().any(|w| sql.starts_with(w)),
        _ => true,
    }
}

enum Done {
    Rows(u64),
    Skipped,
    Error(Box<postgres::Error>, String),
    Failed(Failure),
}
