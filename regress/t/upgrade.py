"""pg_upgrade of a database with TVIEWs, from a version to itself: on the way they are ordinary materialized views.

Invariant tested: after SET ACCESS METHOD heap, DROP EXTENSION, pg_upgrade, CREATE EXTENSION and SET ACCESS METHOD tview, TVIEWs have their
stages and strategies again, equal their queries and follow writes. Called by `make check`; alone: PG_CONFIG=… regress/t/upgrade.py
"""

from cluster import Cluster, Report

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE TABLE sale (id int PRIMARY KEY, shop int, item text, amount numeric(10,2));
INSERT INTO sale SELECT i, i % 7, 'item ' || i % 5, i * 1.5 FROM generate_series(1, 500) i;
CREATE TVIEW plain AS SELECT id, amount FROM sale;
CREATE TVIEW total AS SELECT shop, count(*) AS n, sum(amount) AS amount FROM sale GROUP BY shop;
CREATE TVIEW large AS SELECT shop, sum(amount) AS amount FROM sale GROUP BY shop HAVING count(*) > 71;
CREATE TVIEW items AS SELECT shop, count(DISTINCT id % 9) AS n FROM plain JOIN sale USING (id) GROUP BY shop;
CREATE TVIEW top AS SELECT shop, n FROM total UNION SELECT shop, 0 FROM large;
CREATE TVIEW empty AS SELECT item FROM sale GROUP BY item HAVING count(*) > 2 WITH NO DATA;
"""

TVIEWS = ["plain", "total", "large", "items", "top"]

OFF = """
SELECT format('ALTER MATERIALIZED VIEW %s SET ACCESS METHOD heap', c.oid::regclass) FROM pg_class c JOIN tviews.tviews t ON t.name = c.relname
 WHERE c.relkind = 'm' ORDER BY c.oid DESC \\gexec
DROP EXTENSION pg_tviews;
"""

ON = """
CREATE EXTENSION pg_tviews;
SELECT format('ALTER MATERIALIZED VIEW %s SET ACCESS METHOD tview', oid::regclass) FROM pg_class WHERE relkind = 'm' AND relnamespace <> 'tviews'::regnamespace ORDER BY oid \\gexec
"""

SHAPE = "SELECT name, strategies, internal_stages, populated FROM tviews.tviews ORDER BY name"

WRITES = """
INSERT INTO sale VALUES (1000, 3, 'item 1', 99.5), (1001, 9, 'item x', 1);
UPDATE sale SET shop = 2 WHERE shop = 4;
DELETE FROM sale WHERE id % 50 = 0;
"""


def upgrade(old, new):
    old.stop()
    new.stop()
    new.tool("pg_upgrade", "-b", old.bindir, "-B", new.bindir, "-d", old.data, "-D", new.data, "-U", "postgres", "-s", new.directory, "-p", "50432", "-P", "50433")
    new.start()
    return True


def main():
    report = Report()
    with Cluster() as old, Cluster() as new:
        if not (old.bindir / "pg_upgrade").exists():
            report.ok(True, "this server comes without pg_upgrade")
            report.done()
        if not report.attempt("create TVIEWs", lambda: old.sql(SCHEMA) is not None):
            report.done()
        shape = old.sql(SHAPE)
        passed = (report.attempt("they become ordinary materialized views", lambda: old.sql(OFF) is not None)
                  and report.attempt("pg_upgrade", lambda: upgrade(old, new))
                  and report.attempt("they become TVIEWs again", lambda: new.sql(ON) is not None))
        if passed:
            found = new.sql(SHAPE)
            report.ok(found == shape, "stages and strategies", f"{shape}\n--\n{found}")
            new.sql(WRITES)
            for tview in TVIEWS:
                report.ok((rows := new.difference(tview)) == 0, f"{tview} follows writes", f"{rows} rows differ")
            new.sql("REFRESH MATERIALIZED VIEW empty")
            report.ok(new.difference("empty") == 0, "the empty one can be populated")
    report.done()


if __name__ == "__main__":
    main()
