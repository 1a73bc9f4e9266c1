"""pg_dump and pg_restore of TVIEWs: a restored database dumps identically, and its TVIEWs are alive.

Invariant tested: definition, options, persistence, indexes, comments, privileges and the populated state of a TVIEW survive, in plain and in
custom format. Called by `make check`; alone: PG_CONFIG=… regress/t/dump.py
"""

import difflib
import re

from cluster import Cluster, Report, SqlError

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE ROLE reader;
CREATE SCHEMA shop;
CREATE TABLE shop.customer (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE shop.sale (id int PRIMARY KEY, customer int REFERENCES shop.customer, amount numeric NOT NULL);
INSERT INTO shop.customer SELECT i, 'customer ' || i FROM generate_series(1, 20) i;
INSERT INTO shop.sale SELECT i, 1 + i % 20, i * 1.5 FROM generate_series(1, 400) i;

CREATE TVIEW shop.tv_sale AS SELECT s.id, s.amount, c.name FROM shop.sale s JOIN shop.customer c ON c.id = s.customer;
CREATE TVIEW shop.tv_total WITH (logged = true, fillfactor = 70) AS
    SELECT customer, count(*) AS sales, sum(amount) AS amount FROM shop.sale GROUP BY customer;
CREATE MATERIALIZED VIEW shop.total_by_name WITH (incremental) AS SELECT name, sum(amount) AS amount FROM shop.tv_sale GROUP BY name;
CREATE MATERIALIZED VIEW shop.rare USING tview AS SELECT customer FROM shop.tv_total WHERE sales < 3;
CREATE TVIEW "Odd Name" WITH (mode = 'full') AS SELECT name AS "Select", id FROM shop.customer;
CREATE TVIEW shop.keyed WITH (refresh = commit, key = 'id') AS SELECT id, name FROM shop.customer;
CREATE TVIEW shop.large AS SELECT customer, count(*) AS sales, sum(amount) AS amount FROM shop.sale GROUP BY customer HAVING count(*) > 19;
CREATE TVIEW shop.different AS SELECT name, count(DISTINCT s.amount::int) AS amounts, count(*) AS sales FROM shop.sale s JOIN shop.customer c ON c.id = s.customer GROUP BY name;
CREATE TVIEW shop.both AS SELECT id FROM shop.customer UNION SELECT customer FROM shop.tv_total WHERE sales > 20;
CREATE TVIEW shop.top AS SELECT customer, sum(amount) AS amount FROM shop.sale GROUP BY customer ORDER BY sum(amount) DESC, customer LIMIT 3;
CREATE TVIEW shop.empty_stages AS SELECT customer FROM shop.sale GROUP BY customer HAVING sum(amount) > 100 WITH NO DATA;
CREATE TVIEW shop.empty AS SELECT id, amount FROM shop.sale WITH NO DATA;
CREATE TVIEW shop.later WITH (refresh = deferred, schedule = '@yearly', logged) AS SELECT customer, max(amount) AS most FROM shop.sale GROUP BY customer;
CREATE TVIEW shop.by_hand WITH (refresh = manual) AS SELECT s.id, c.name FROM shop.sale s LEFT JOIN shop.customer c ON c.id = s.customer;
CREATE TVIEW shop.over_later AS SELECT most, count(*) AS customers FROM shop.later GROUP BY most;
CREATE INDEX sale_name ON shop.tv_sale (name) INCLUDE (amount);
CREATE UNIQUE INDEX total_customer ON shop.tv_total (customer);
COMMENT ON TVIEW shop.tv_sale IS 'sales with the name of their customer';
COMMENT ON COLUMN shop.tv_sale.name IS 'the name';
GRANT SELECT ON shop.tv_sale TO reader;
CREATE VIEW shop.over AS SELECT name FROM shop.tv_sale WHERE amount > 100;
"""

POPULATED = ["shop.tv_sale", "shop.tv_total", "shop.total_by_name", "shop.rare", '"Odd Name"', "shop.keyed", "shop.large", "shop.different", "shop.both",
             "shop.top"]

DEFERRED = ["shop.later", "shop.by_hand"]

WRITES = """
INSERT INTO shop.sale VALUES (1000, 3, 99.5);
UPDATE shop.customer SET name = 'renamed' WHERE id = 3;
DELETE FROM shop.sale WHERE customer = 5;
"""

SHAPE = """
SELECT c.oid::regclass, am.amname, c.relpersistence, c.relispopulated, c.reloptions,
       (SELECT array_agg(pg_get_indexdef(indexrelid) ORDER BY pg_get_indexdef(indexrelid) COLLATE "C") FROM pg_index WHERE indrelid = c.oid)
FROM pg_class c JOIN pg_am am ON am.oid = c.relam
WHERE c.relkind = 'm' AND am.amname = 'tview' AND c.relnamespace <> 'pg_toast_tviews'::regnamespace ORDER BY c.oid::regclass::text COLLATE "C"
"""

# Stages are not dumped: each restored TVIEW makes its own.
STAGES = "SELECT schema, name, internal_stages, strategies FROM tviews.tviews ORDER BY schema, name"


def dump(cluster, database):
    """A plain dump without the token that newer versions of pg_dump put in."""
    return re.sub(r"^\\(un)?restrict .*$", "", cluster.tool("pg_dump", database), flags=re.M)


def alive(cluster, report, database, what):
    """Writes to the base tables reach the TVIEWs of this database."""
    try:
        cluster.sql(WRITES, database)
        for tview in POPULATED:
            report.ok((rows := cluster.difference(tview, database)) == 0, f"{what}: {tview} follows writes", f"{rows} rows differ")
        behind = cluster.sql("SELECT string_agg(tview::text, ' ' ORDER BY tview::text) FROM tviews.staleness WHERE rows_behind > 0", database)
        report.ok(behind == "shop.by_hand shop.later", f"{what}: deferred TVIEWs wait with what has been logged", behind)
        cluster.sql("REFRESH TVIEW shop.by_hand; REFRESH TVIEW shop.later", database)
        for tview in DEFERRED + ["shop.over_later"]:
            report.ok((rows := cluster.difference(tview, database)) == 0, f"{what}: {tview} follows its log", f"{rows} rows differ")
        renamed = cluster.sql("SELECT count(*) FROM shop.tv_sale WHERE name = 'renamed'", database)
        report.ok(int(renamed) > 1, f"{what}: the write is visible", renamed)
        cluster.sql("REFRESH MATERIALIZED VIEW shop.empty; REFRESH MATERIALIZED VIEW shop.empty_stages", database)
        cluster.sql("UPDATE shop.sale SET amount = 0 WHERE id = 1", database)
        for tview in ("shop.empty", "shop.empty_stages"):
            report.ok(cluster.difference(tview, database) == 0, f"{what}: {tview} can be populated")
    except SqlError as error:
        report.ok(False, f"{what}: writes", error)


def main():
    report = Report()
    with Cluster() as c:
        c.sql("CREATE DATABASE original; CREATE DATABASE plain TEMPLATE template0; CREATE DATABASE custom TEMPLATE template0")
        if not report.attempt("create TVIEWs of every kind", lambda: c.sql(SCHEMA, "original") is not None):
            report.done()
        first = dump(c, "original")
        shape, stages = c.sql(SHAPE, "original"), c.sql(STAGES, "original")
        report.ok("pg_toast_tviews" not in first and "tviews_internal" not in first and "TRIGGER" not in first, "nothing internal is dumped", first)

        archive = c.directory / "archive"
        c.tool("pg_dump", "-Fc", "-f", archive, "original")
        restored = {
            "plain": lambda: c.sql(first, "plain") is not None,
            "custom": lambda: c.tool("pg_restore", "--exit-on-error", "-d", "custom", archive) is not None,
        }
        for database, restore in restored.items():
            if not report.attempt(f"{database}: restore", restore):
                continue
            second = dump(c, database)
            lines = difflib.unified_diff(first.splitlines(), second.splitlines(), "original", database, lineterm="")
            report.ok(first == second, f"{database}: dumps identically", "\n".join(lines))
            found = c.sql(SHAPE, database)
            report.ok(found == shape, f"{database}: access methods, persistence, options and indexes", f"{shape}\n--\n{found}")
            found = c.sql(STAGES, database)
            report.ok(found == stages, f"{database}: stages and strategies", f"{stages}\n--\n{found}")
            alive(c, report, database, database)
        alive(c, report, "original", "original")
    report.done()


if __name__ == "__main__":
    main()
