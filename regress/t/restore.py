"""Ways of restoring a dump with TVIEWs: over an existing database, in one transaction, and without table access methods.

Invariant tested: pg_restore --clean and psql with a dump of pg_dump --clean do with TVIEWs what they do with ordinary materialized views, keys that go first
included; what docs/operate/restore.md says about --no-table-access-method is so.
Called by `make check`; alone: PG_CONFIG=… regress/t/restore.py
"""

from cluster import Cluster, Report

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE TABLE t (id int PRIMARY KEY, a int);
CREATE TABLE u (id int PRIMARY KEY, t int REFERENCES t, b int);
INSERT INTO t SELECT i, i % 7 FROM generate_series(1, 50) i;
INSERT INTO u SELECT i, i, i FROM generate_series(1, 50) i;
CREATE TVIEW v AS SELECT id, a FROM t;
CREATE UNIQUE INDEX v_id ON v (id);
CREATE TVIEW of_v AS SELECT a, count(*) AS n FROM v GROUP BY a;
CREATE TVIEW joined WITH (logged) AS SELECT u.id, u.b, t.a FROM u LEFT JOIN t ON t.id = u.t;
CREATE TVIEW staged AS SELECT a, n FROM (SELECT a, count(*) AS n FROM t GROUP BY a) x WHERE n > 7;
"""
TVIEWS = ["v", "of_v", "joined", "staged"]
WAYS = "SELECT name, strategies, logged, populated FROM tviews.tviews ORDER BY name"


def main():
    report = Report()
    with Cluster() as c:
        c.sql("CREATE DATABASE original")
        c.sql(SCHEMA, "original")
        ways, archive, plain = c.sql(WAYS, "original"), c.directory / "archive", c.directory / "plain.sql"
        c.tool("pg_dump", "-Fc", "-f", archive, "original")
        c.tool("pg_dump", "--clean", "--if-exists", "-f", plain, "original")

        def exact(what):
            c.sql("INSERT INTO t SELECT max(id) + 1, 3 FROM t; UPDATE t SET a = a + 1 WHERE id % 2 = 0; UPDATE u SET t = 1 WHERE id < 4", "original")
            for tview in TVIEWS:
                report.ok(c.difference(tview, "original") == 0, f"{what}: {tview} follows writes")
            found = c.sql(WAYS, "original")
            report.ok(found == ways, f"{what}: strategies, storage", f"{ways}\n{found}")

        for options in (["--clean", "--if-exists", "-1"], ["--clean", "-1"], ["--clean", "--if-exists", "--exit-on-error"]):
            what = " ".join(options)
            if report.attempt(what, lambda: c.tool("pg_restore", *options, "-d", "original", archive) == ""):
                exact(what)
        if report.attempt("psql", lambda: c.tool("psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", "original", "-f", plain) is not None):
            exact("psql")

        # the access method that the dump would have set
        c.sql("CREATE DATABASE kept")
        c.sql("CREATE EXTENSION pg_tviews", "kept")
        c.env["PGOPTIONS"] = "-c default_table_access_method=tview"
        report.attempt("--no-table-access-method", lambda: c.tool("pg_restore", "--no-table-access-method", "--exit-on-error", "-d", "kept", archive) == "")
        del c.env["PGOPTIONS"]
        found = c.sql(WAYS, "kept")
        report.ok(found == ways, "--no-table-access-method: TVIEWs", f"{ways}\n{found}")
        methods = c.sql("SELECT DISTINCT relkind, amname FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm') ORDER BY 2", "kept")
        report.ok(methods == "r|heap\nm|tview", "--no-table-access-method: tables in heap", methods)

        # ordinary materialized views
        c.sql("CREATE DATABASE ordinary")
        for tview in ("of_v", "v", "joined", "staged"):
            c.sql(f"ALTER MATERIALIZED VIEW {tview} SET ACCESS METHOD heap", "original")
        c.sql("DROP EXTENSION pg_tviews", "original")
        c.tool("pg_dump", "-Fc", "-f", archive, "original")
        if report.attempt("as ordinary materialized views", lambda: c.tool("pg_restore", "--no-table-access-method", "--exit-on-error", "-d", "ordinary", archive) == ""):
            found = c.sql("SELECT count(*) FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE relkind = 'm' AND amname = 'heap' AND relispopulated", "ordinary")
            report.ok(found == "4", "as ordinary materialized views: populated", found)
    report.done()


if __name__ == "__main__":
    main()
