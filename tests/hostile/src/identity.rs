//! As whom users' functions run, wherever they are and whatever calls them.
//! Invariant: a function in the query of a TVIEW runs as the TVIEW's owner, or as the ordinary role that types the definition, and never as a
//! superuser who only happens to write, read, refresh, verify or restore; one of a table runs as who writes, or as an owner. Called by `main`.

use crate::database::Server;
use crate::log::{Log, parse};
use crate::report::Report;
use crate::session::{Session, literal};
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::process::Command;

const OWNER: &str = "hostile_owner";

/// Queries with the function in each place, named as it names itself: in `{v}` a place is put.
const QUERIES: &[(&str, &str)] = &[
    ("list", "SELECT id, ident.who('query.list', v) AS x FROM ident.t"),
    ("constant", "SELECT id, ident.who('query.constant', 7) AS x FROM ident.t"),
    ("filter", "SELECT id FROM ident.t WHERE ident.who('query.where', v) > ident.who('query.where', 2)"),
    (
        "outer",
        "SELECT a.id, b.v FROM ident.t a LEFT JOIN ident.t b ON ident.who('query.on', b.g) = a.id AND ident.who_bool('query.on', true)",
    ),
    (
        "groups",
        "SELECT ident.who('query.group', g) AS g, count(*) FILTER (WHERE ident.who_bool('query.aggfilter', v > 1)) AS n FROM ident.t GROUP BY 1 HAVING count(*) > ident.who('query.having', 0)",
    ),
    (
        "ordered",
        "SELECT id, v FROM ident.t ORDER BY ident.who('query.order', v), id LIMIT ident.who('query.limit', 5) OFFSET ident.who('query.offset', 1)",
    ),
    (
        "lateral",
        "SELECT t.id, l.v FROM ident.t, LATERAL (SELECT u.v FROM ident.t u WHERE u.g = t.id ORDER BY u.v LIMIT ident.who('query.lateral limit', 1)) l",
    ),
    (
        "staged",
        "SELECT g, n FROM (SELECT g, count(DISTINCT ident.who('query.stage', v)) AS n FROM ident.t GROUP BY g HAVING count(*) > ident.who('query.stage', 1)) x WHERE n > ident.who('query.above', 0)",
    ),
    (
        "framed",
        "SELECT id, sum(v) OVER (PARTITION BY ident.who('query.partition', g) ORDER BY id ROWS ident.who('query.frame', 1) PRECEDING) AS s FROM ident.t",
    ),
    (
        "distinct",
        "SELECT DISTINCT ON (ident.who('query.distinct', g)) g, id FROM ident.t ORDER BY ident.who('query.distinct', g), id",
    ),
    ("own", "SELECT g, ident.own_sum(v) AS s FROM ident.t GROUP BY g"),
    (
        "operators",
        "SELECT id, v OPERATOR(ident.+@) 1::bigint AS x, (v::ident.pair)::text AS p, v::ident.small AS s, 5::bigint OPERATOR(ident.+@) 6::bigint AS c FROM ident.t",
    ),
    ("sets", "SELECT t.id, s.x FROM ident.t, ident.who_set('query.set', t.v) s(x)"),
    ("above_view", "SELECT g, sum(v) AS s FROM ident.between GROUP BY g"),
    ("parts", "SELECT k, count(*) AS n FROM ident.parted WHERE ident.who_bool('query.where', k > 0) GROUP BY k"),
    (
        "sublink",
        "SELECT id, (SELECT max(ident.who('query.sublink', u.v)) FROM ident.t u WHERE u.g = t.g) AS m FROM ident.t WHERE v IN (SELECT ident.who('query.in', g) FROM ident.t) OR v > 3",
    ),
    (
        "united",
        "SELECT ident.who('query.union', v) AS v FROM ident.t UNION SELECT ident.who('query.union', id) FROM ident.t",
    ),
    (
        "recursive",
        "WITH RECURSIVE r AS (SELECT ident.who('query.recursive', 1) AS a UNION ALL SELECT a + 1 FROM r WHERE a < 3) SELECT a FROM r",
    ),
    (
        "argued",
        "SELECT g, string_agg(v::text, ',' ORDER BY ident.who('query.aggorder', v)) AS s, percentile_disc(0.5) WITHIN GROUP (ORDER BY ident.who('query.within', v)) AS p FROM ident.t GROUP BY g",
    ),
];

/// What may run them, each as every one of the roles: what is typed, and the roles that may type it.
const ENTRIES: &[(&str, &str)] = &[
    ("write", "INSERT INTO ident.t (id, g, v) VALUES (100, 1, 5)"),
    ("update", "UPDATE ident.t SET v = v + 1"),
    ("parted", "INSERT INTO ident.parted VALUES (5, 5)"),
    ("read", "BEGIN; UPDATE ident.t SET v = v + 1; SELECT count(*) FROM {view}; COMMIT"),
    ("flush", "BEGIN; UPDATE ident.t SET v = v - 1; SELECT tviews.flush(); ROLLBACK"),
    ("verify", "SELECT * FROM tviews.verify('{view}')"),
    ("verify_all", "SELECT * FROM tviews.verify_all()"),
    ("explain", "SELECT * FROM tviews.explain('{view}')"),
    ("rebuild", "SELECT tviews.rebuild('{view}')"),
    ("refresh", "REFRESH MATERIALIZED VIEW {view}"),
    ("health", "SELECT * FROM tviews.health()"),
    ("views", "SELECT count(strategies) FROM tviews.tviews"),
    ("analyze", "ANALYZE ident.t; ANALYZE {view}"),
    ("vacuum", "VACUUM FULL {view}"),
    ("reindex", "REINDEX TABLE {view}"),
    ("mode", "ALTER MATERIALIZED VIEW {view} SET (mode = full); ALTER MATERIALIZED VIEW {view} RESET (mode)"),
    (
        "method",
        "ALTER MATERIALIZED VIEW {view} SET ACCESS METHOD heap; ALTER MATERIALIZED VIEW {view} SET ACCESS METHOD tview",
    ),
];

/// Whoever has run functions since the last call, by the log: pairs of place and role.
fn runs(log: &mut Log) -> Result<BTreeSet<(String, String)>> {
    // what the server has just said is in the file when the answer is
    let news = log.news()?;
    let lines = news.lines().filter_map(parse).filter_map(|l| l.message.strip_prefix("runs: "));
    Ok(lines.filter_map(|l| l.rsplit_once(' ')).map(|(place, role)| (place.to_string(), role.to_string())).collect())
}

/// Whoever ran what she must not, after `typist` has typed something.
fn wrong(seen: &BTreeSet<(String, String)>, typist: &str, owns: bool) -> Vec<String> {
    let right = |place: &str, role: &str| {
        let of_query = place.starts_with("query.");
        let is_typist = role == typist && (!of_query || owns || typist != "postgres");
        role == OWNER || is_typist
    };
    let wrong = seen.iter().filter(|(place, role)| !right(place, role));
    wrong.map(|(place, role)| format!("{place} runs as {role}")).collect()
}

struct Test<'a> {
    log: &'a mut Log,
    report: &'a mut Report,
    reported: usize,
}

impl Test<'_> {
    fn judge(&mut self, name: &str, typist: &str, owns: bool) -> Result<()> {
        let seen = runs(self.log)?;
        self.reported += seen.len();
        self.report.test(&format!("identity: {name} by {typist}"), &wrong(&seen, typist, owns));
        Ok(())
    }
}

pub fn run(server: &mut Server, log: &mut Log, report: &mut Report) -> Result<()> {
    let database = server.copy(None)?;
    let mut admin = Session::connect_again(&server.dsn, &database, None)?;
    admin.rows(&server.script("identity.sql")?)?;
    let mut owner = Session::connect_again(&server.dsn, &database, Some(OWNER))?;
    let mut writer = Session::connect_again(&server.dsn, &database, Some("hostile_writer"))?;
    let mut test = Test { log, report, reported: 0 };
    runs(test.log)?;
    for (name, query) in QUERIES {
        owner.send(&format!("SELECT * FROM tviews.check({})", literal(query)));
        test.judge(&format!("check of {name}"), OWNER, true)?;
        admin.send(&format!("SELECT * FROM tviews.check({})", literal(query)));
        test.judge(&format!("check of {name}"), "postgres", true)?;
        let created = owner.send(&format!("CREATE TVIEW ident.{name} AS {query}"));
        if !created.is_ok() {
            test.report.not_ok(&format!("identity: CREATE TVIEW {name}"), &[created.to_string()]);
        }
        test.judge(&format!("CREATE TVIEW {name}"), OWNER, true)?;
        owner.send(&format!("CREATE OR REPLACE TVIEW ident.{name} AS {query}"));
        test.judge(&format!("OR REPLACE TVIEW {name}"), OWNER, true)?;
        admin.send(&format!("CREATE OR REPLACE TVIEW ident.{name} AS {query}"));
        test.judge(&format!("OR REPLACE TVIEW {name}"), "postgres", false)?;
    }
    owner.send("CREATE INDEX ON ident.list (ident.who('query.index of TVIEW', x)) WHERE ident.who_bool('query.index of TVIEW', id > 0)");
    owner.send("CREATE STATISTICS ON (ident.who('query.statistics of TVIEW', x)), id FROM ident.list");
    test.judge("CREATE INDEX", OWNER, true)?;
    for (name, sql) in ENTRIES {
        let views: Vec<&str> = QUERIES.iter().map(|q| q.0).filter(|_| sql.contains("{view}")).collect();
        for view in if views.is_empty() { vec![""] } else { views } {
            for (session, typist) in [(&mut admin, "postgres"), (&mut owner, OWNER), (&mut writer, "hostile_writer")] {
                for statement in sql.replace("{view}", &format!("ident.{view}")).split("; ") {
                    session.send(statement);
                }
                session.send("ROLLBACK");
                session.send("DELETE FROM ident.t WHERE id = 100");
                test.judge(&format!("{name} {view}"), typist, typist == OWNER)?;
            }
        }
    }
    recovery(server, &mut admin, &database, &mut test)?;
    restore(server, &database, &mut test)?;
    println!("ok - identity: functions have reported {} times", test.reported);
    if test.reported < 200 {
        bail!("functions have reported {} times only: the log is not read as it is written", test.reported);
    }
    server.drop(&database)
}

/// A crash empties the TVIEWs; who reads one fills it.
fn recovery(server: &mut Server, admin: &mut Session, database: &str, test: &mut Test) -> Result<()> {
    Command::new("kill").args(["-9", &admin.pid.to_string()]).status()?;
    admin.send("SELECT 1");
    *admin = Session::connect_again(&server.dsn, database, None)?;
    runs(test.log)?;
    for (view, _) in QUERIES {
        admin.send(&format!("SELECT count(*) FROM ident.{view}"));
        test.judge(&format!("recovery of {view}"), "postgres", false)?;
    }
    server.make_template()
}

/// pg_dump and psql, as an administrator does it.
fn restore(server: &mut Server, database: &str, test: &mut Test) -> Result<()> {
    let mut admin = server.admin()?;
    let programs = admin.one("SELECT setting FROM pg_config WHERE name = 'BINDIR'")?;
    let config: postgres::Config = server.dsn.parse()?;
    let host = admin.one("SELECT split_part(current_setting('unix_socket_directories'), ',', 1)")?;
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let user = config.get_user().unwrap_or("postgres").to_string();
    let run = |program: &str, arguments: &[&str]| -> Result<()> {
        let mut command = Command::new(format!("{programs}/{program}"));
        command.args(["-h", &host, "-p", &port, "-U", &user]).args(arguments);
        let done = command.output()?;
        if !done.status.success() {
            bail!("{program}: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(())
    };
    admin.rows("DROP DATABASE IF EXISTS hostile_restored WITH (FORCE)")?;
    admin.rows("CREATE DATABASE hostile_restored TEMPLATE template0")?;
    let file = std::env::temp_dir().join(format!("hostile-{}.sql", std::process::id()));
    let path = file.to_string_lossy().into_owned();
    // schemas of the extension are made by it
    let dumped = run("pg_dump", &["-f", &path, database]);
    test.judge("pg_dump", "postgres", false)?;
    let restored = dumped.and_then(|_| run("psql", &["-X", "-q", "-o", "/dev/null", "-f", &path, "hostile_restored"]));
    let _ = std::fs::remove_file(&file);
    restored?;
    test.judge("restore", "postgres", false)?;
    server.drop("hostile_restored")
}
