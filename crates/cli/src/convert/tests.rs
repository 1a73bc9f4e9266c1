//! Scripts, and what becomes of them.

use super::*;
use std::path::Path;

fn converted(sql: &str, from: From) -> (String, Vec<String>) {
    let scripts = [Script::new(Path::new("x.sql"), sql.into())];
    let Converted { edits, left } = convert(&scripts, from);
    let told = left.iter().map(|l| format!("{}: {}", scripts[0].line(l.at), l.why)).collect();
    (applied(sql, edits.into_iter().next().unwrap()), told)
}

/// Everything is understood, and becomes this.
fn becomes(sql: &str, wanted: &str) {
    let (text, left) = converted(sql, From::Auto);
    assert_eq!(text, wanted);
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(converted(wanted, From::Auto).0, wanted, "a second run changes nothing");
}

/// Nothing changes, and one thing is told.
fn stays(sql: &str, line: usize, why: &str) {
    let (text, left) = converted(sql, From::Auto);
    assert_eq!(text, sql);
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].starts_with(&format!("{line}: ")) && left[0].contains(why), "{left:?}");
}

#[test]
fn materialized_views_keep_everything_else() {
    becomes(
        "-- totals;\nCREATE  MATERIALIZED /* of */ VIEW IF NOT EXISTS s.v (a)\n  WITH (fillfactor = 80) TABLESPACE t\n  AS SELECT a -- one\n  FROM t WITH NO DATA;\nCREATE UNIQUE INDEX ON s.v (a);",
        "-- totals;\nCREATE  TVIEW IF NOT EXISTS s.v (a)\n  WITH (fillfactor = 80) TABLESPACE t\n  AS SELECT a -- one\n  FROM t WITH NO DATA;\nCREATE UNIQUE INDEX ON s.v (a);",
    );
    becomes("create materialized view v as select 1;", "create tview v as select 1;");
    becomes(
        "CREATE MATERIALIZED VIEW v WITH (incremental) AS SELECT 1;",
        "CREATE MATERIALIZED VIEW v WITH (incremental) AS SELECT 1;",
    );
    becomes(
        "CREATE MATERIALIZED VIEW v USING tview AS SELECT 1;",
        "CREATE MATERIALIZED VIEW v USING tview AS SELECT 1;",
    );
}

#[test]
fn what_a_tview_cannot_have_stays() {
    stays("\nCREATE MATERIALIZED VIEW v AS\nSELECT random();", 2, "volatile function random()");
    stays("CREATE MATERIALIZED VIEW v USING heap AS SELECT 1;", 1, "another storage");
    stays("CREATE MATERIALIZED VIEW v AS SELECT * FROM t WHERE a > now();", 1, "refresh = deferred");
    let (text, left) = converted(
        "CREATE MATERIALIZED VIEW a AS SELECT current_date; CREATE MATERIALIZED VIEW b AS SELECT * FROM a;",
        From::Auto,
    );
    assert!(!text.contains("TVIEW") && left.len() == 2 && left[1].contains("materialized view \"a\""), "{left:?}");
}

#[test]
fn jobs_go_when_their_view_needs_none() {
    becomes(
        "CREATE MATERIALIZED VIEW v AS SELECT 1;\nSELECT cron.schedule('v', '*/5 * * * *',\n  'REFRESH MATERIALIZED VIEW CONCURRENTLY v;');\nSELECT 1;",
        "CREATE TVIEW v AS SELECT 1;\n-- v is a TVIEW, exact at every commit: this job is not needed any more.\n-- SELECT cron.schedule('v', '*/5 * * * *',\n--   'REFRESH MATERIALIZED VIEW CONCURRENTLY v;');\nSELECT 1;",
    );
    becomes(
        "CREATE MATERIALIZED VIEW v AS SELECT * FROM t WHERE at > now();\nSELECT cron.schedule('30 seconds', 'REFRESH MATERIALIZED VIEW v');",
        "CREATE TVIEW v WITH (refresh = deferred, schedule = '30s') AS SELECT * FROM t WHERE at > now();\n-- v is a TVIEW with this schedule.\n-- SELECT cron.schedule('30 seconds', 'REFRESH MATERIALIZED VIEW v');",
    );
    becomes(
        "CREATE MATERIALIZED VIEW v WITH (fillfactor = 70) AS SELECT now();\nSELECT cron.schedule('j', '@hourly', 'REFRESH MATERIALIZED VIEW v');",
        "CREATE TVIEW v WITH (refresh = deferred, schedule = '@hourly', fillfactor = 70) AS SELECT now();\n-- v is a TVIEW with this schedule.\n-- SELECT cron.schedule('j', '@hourly', 'REFRESH MATERIALIZED VIEW v');",
    );
    stays("SELECT cron.schedule('@hourly', 'REFRESH MATERIALIZED VIEW elsewhere');", 1, "not made in these files");
    stays("SELECT cron.schedule('@hourly', 'VACUUM; REFRESH MATERIALIZED VIEW v');", 1, "more than refresh one view");
    stays("SELECT cron.schedule(a, 'REFRESH MATERIALIZED VIEW v') FROM t;", 1, "inside of a larger statement");
    becomes("SELECT cron.schedule('@daily', 'VACUUM');", "SELECT cron.schedule('@daily', 'VACUUM');");
}

#[test]
fn the_convention_of_pg_tviews() {
    becomes("CREATE UNLOGGED TABLE tv_a AS SELECT 1;", "CREATE UNLOGGED TVIEW tv_a AS SELECT 1;");
    becomes(
        "CREATE TABLE IF NOT EXISTS s.tv_a (x) AS SELECT 1 WITH NO DATA;",
        "CREATE TVIEW IF NOT EXISTS s.tv_a (x) AS SELECT 1 WITH NO DATA;",
    );
    becomes("SELECT id, a\n  INTO TABLE s.tv_a\n  FROM t;", "CREATE TVIEW s.tv_a AS SELECT id, a\n  FROM t;");
    becomes(
        "CREATE TEMP TABLE tv_a AS SELECT 1; CREATE TABLE t AS SELECT 1;",
        "CREATE TEMP TABLE tv_a AS SELECT 1; CREATE TABLE t AS SELECT 1;",
    );
    becomes(
        "SELECT pg_tviews_create('app.post', $$\n    SELECT a -- b\n$$);\nSELECT pg_tviews_drop('Post', cascade => true);\nSELECT pg_tviews_refresh('tv_post');",
        "CREATE OR REPLACE TVIEW app.tv_post AS\nSELECT a -- b\n;\nDROP TVIEW tv_post CASCADE;\nREFRESH TVIEW tv_post;",
    );
    stays("CREATE TABLE tv_a (id int);", 1, "filled by hand");
    stays("CREATE TABLE tv_a AS SELECT now();", 1, "stays a table");
}

#[test]
fn pg_ivm() {
    becomes(
        "CREATE EXTENSION pg_ivm;\nSELECT pgivm.create_immv(/* totals */ 'V.totals', 'SELECT a, ''x''\n FROM t;');\nSELECT create_immv('w', 'TABLE t');",
        "CREATE EXTENSION IF NOT EXISTS pg_tviews;\n/* totals */\nCREATE TVIEW v.totals AS\nSELECT a, 'x'\n FROM t;\nCREATE TVIEW w AS\nTABLE t;",
    );
    becomes(
        "SELECT pgivm.refresh_immv('w', false);\nSELECT x, pgivm.get_immv_def('w') FROM y;",
        "REFRESH TVIEW w WITH NO DATA;\nSELECT x, pg_get_viewdef('w') FROM y;",
    );
    stays("SELECT * FROM pgivm.pg_ivm_immv;", 1, "tviews.tviews");
    stays("SELECT pgivm.create_immv('v', query) FROM queries;", 1, "larger statement");
    stays("SELECT pgivm.create_immv('v', 'SELECT ' || 1);", 1, "computed");
    stays("SELECT pgivm.create_immv('v', 'no query');", 1, "cannot be read");
}

#[test]
fn stream_tables() {
    becomes(
        "SELECT pgstream.create_stream_table('totals', 'SELECT 1', '30s');\nSELECT create_stream_table(name => 's.x', query => 'SELECT 2', schedule => NULL, refresh_mode => 'FULL', initialize => false);",
        "CREATE TVIEW public.totals WITH (refresh = deferred, schedule = '30s') AS\nSELECT 1;\nCREATE TVIEW s.x WITH (refresh = manual, mode = full) AS\nSELECT 2\nWITH NO DATA;",
    );
    becomes(
        "SELECT pgtrickle.create_stream_table('x', 'SELECT 1', refresh_mode => 'IMMEDIATE');",
        "CREATE TVIEW public.x AS\nSELECT 1;",
    );
    becomes(
        "SELECT pgstream.alter_stream_table('x', schedule => 'CALCULATED', status => 'PAUSED');\nSELECT pgstream.drop_stream_table('x');",
        "ALTER TVIEW public.x SET (refresh = deferred, schedule = calculated);\nSELECT tviews.pause('public.x');\nDROP TVIEW public.x CASCADE;".replace("= calculated", "= 'calculated'").as_str(),
    );
    stays("SELECT * FROM pgstream.pgs_status();", 1, "larger statement");
    stays("SELECT pgstream.create_stream_table('x', 'SELECT 1', 'sometimes');", 1, "the schedule sometimes");
}

#[test]
fn triggers_are_told() {
    let sql = "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN\n IF TG_OP = 'INSERT' THEN UPDATE balance SET n = n + 1 WHERE a = NEW.a; END IF; RETURN NULL; END $$;\nCREATE TRIGGER keep AFTER INSERT ON entry FOR EACH ROW EXECUTE FUNCTION keep();";
    stays(sql, 3, "trigger keep on entry keeps balance by keep()");
    let own = sql.replace("UPDATE balance", "UPDATE entry");
    becomes(&own, &own);
}

#[test]
fn bodies_are_told() {
    stays("DO $$ BEGIN\n REFRESH  MATERIALIZED VIEW v; END $$;", 1, "a DO block has refresh materialized view inside");
    stays(
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'SELECT pgivm.create_immv(a, b) FROM t';",
        1,
        "a function has create_immv inside",
    );
    becomes("DO $$ BEGIN PERFORM 1; END $$;", "DO $$ BEGIN PERFORM 1; END $$;");
}

#[test]
fn only_what_is_asked_for() {
    let sql = "CREATE MATERIALIZED VIEW v AS SELECT 1; SELECT create_immv('w', 'SELECT 2');";
    assert_eq!(converted(sql, From::PgIvm).0, "CREATE MATERIALIZED VIEW v AS SELECT 1; CREATE TVIEW w AS\nSELECT 2;");
    assert_eq!(converted(sql, From::Matview).0, "CREATE TVIEW v AS SELECT 1; SELECT create_immv('w', 'SELECT 2');");
}

#[test]
fn what_cannot_be_read_is_told() {
    stays("SELECT 1;\nCREATE MATERIALIZED VIEW :name AS SELECT 1;", 2, "syntax error");
}
