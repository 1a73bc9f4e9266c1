"""pg_upgrade from 15 to a newer server, of a database with TVIEWs, as docs/operate/upgrade.md says.

Argument: pg_config of the old server, with the extension installed. Invariant tested: by tviews.upgrade_statements() every TVIEW comes back with its
strategies, stages, options, persistence, indexes, comments, privileges and dependents, equals its query, and follows writes; whoever forgets it is told
by pg_upgrade, and the old cluster still works. Not part of `make check`: TESTS=pg_upgrade, two servers.
"""

import re
import sys
from pathlib import Path

from cluster import Cluster, Report

PAGE = (Path(__file__).resolve().parents[2] / "docs/operate/upgrade.md").read_text()

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE ROLE reader; CREATE ROLE analyst;
CREATE SCHEMA report;
CREATE TYPE money_of AS (amount numeric, currency text);
CREATE TABLE sale (id int PRIMARY KEY, shop int NOT NULL, item text, amount numeric(10,2), paid money_of);
INSERT INTO sale SELECT i, i % 7, 'item ' || i % 5, i * 1.5, row(i, 'EUR')::money_of FROM generate_series(1, 500) i;
CREATE TABLE shop (id int PRIMARY KEY, name text);
INSERT INTO shop SELECT i, 'shop ' || i FROM generate_series(0, 9) i;
CREATE TVIEW plain AS SELECT id, amount, paid FROM sale;
CREATE LOGGED TVIEW total WITH (fillfactor = 70, notify) AS SELECT shop, count(*) AS n, sum(amount) AS amount FROM sale GROUP BY shop;
CREATE TVIEW report."Large ones" AS SELECT shop, sum(amount) AS amount FROM sale GROUP BY shop HAVING count(*) > 71;
CREATE TVIEW items AS SELECT shop, count(DISTINCT id % 9) AS n FROM plain JOIN sale USING (id) GROUP BY shop;
CREATE VIEW between_them AS SELECT shop, n FROM total;
CREATE TVIEW top AS SELECT shop, n FROM between_them UNION SELECT shop, 0 FROM report."Large ones";
CREATE TVIEW page WITH (mode = incremental, key = 'id') AS SELECT s.id, jsonb_build_object('shop', o.name, 'item', s.item) AS data FROM sale s JOIN shop o ON o.id = s.shop;
CREATE TVIEW ranked WITH (mode = full) AS SELECT id, rank() OVER (ORDER BY amount DESC) AS r FROM sale;
CREATE TVIEW later WITH (refresh = deferred, schedule = '@yearly') AS SELECT shop, max(amount) AS most FROM sale GROUP BY shop;
CREATE TVIEW by_hand WITH (refresh = manual) AS SELECT id, item FROM sale;
CREATE TVIEW empty AS SELECT item FROM sale GROUP BY item HAVING count(*) > 2 WITH NO DATA;
CREATE TVIEW first_made AS SELECT id FROM sale;
CREATE OR REPLACE TVIEW first_made AS SELECT p.id FROM plain p;
CREATE INDEX total_amount ON total (amount);
CREATE INDEX page_shop ON page ((data ->> 'shop'));
CREATE VIEW over AS SELECT name, n FROM total JOIN shop ON shop.id = total.shop;
CREATE MATERIALIZED VIEW ordinary AS SELECT count(*) AS n FROM sale;
COMMENT ON TVIEW total IS 'sales of each shop';
GRANT SELECT ON total TO reader;
GRANT SELECT, TRIGGER ON sale TO analyst;
ALTER MATERIALIZED VIEW by_hand OWNER TO analyst;
"""

EXACT = ["plain", "total", 'report."Large ones"', "items", "top", "page", "ranked", "first_made"]

# Since 17 an owner has a privilege more, m.
SHAPE = """
SELECT schema, name, owner, (SELECT array_agg(o ORDER BY o) FROM unnest(options) o), refresh, strategies, populated, logged, internal_stages FROM tviews.tviews ORDER BY 1, 2;
SELECT c.oid::regclass, replace(c.relacl::text, 'm/', '/'), obj_description(c.oid),
       (SELECT array_agg(pg_get_indexdef(indexrelid) ORDER BY pg_get_indexdef(indexrelid) COLLATE "C") FROM pg_index WHERE indrelid = c.oid)
  FROM pg_class c WHERE c.relkind = 'm' AND c.relnamespace <> 'tviews'::regnamespace AND c.relnamespace <> 'pg_toast_tviews'::regnamespace ORDER BY c.oid::regclass::text
"""

WRITES = """
INSERT INTO sale VALUES (1000, 3, 'item 1', 99.5, row(1, 'USD')::money_of), (1001, 9, 'item x', 1, NULL);
UPDATE sale SET shop = 2 WHERE shop = 4;
UPDATE shop SET name = 'renamed' WHERE id = 2;
DELETE FROM sale WHERE id % 50 = 0;
"""


def of_page(start):
    """The block of the page that begins so."""
    return next(block for block in re.findall(r"^```sql[^\n]*\n(.*?)^```", PAGE, re.M | re.S) if block.startswith(start))


def upgrade(old, new, *options):
    old.stop()
    new.tool("pg_upgrade", "-b", old.bindir, "-B", new.bindir, "-d", old.data, "-D", new.data, "-U", "postgres", "-s", new.directory, "-p", "50432", "-P", "50433", *options)
    return True


def refused(old, new):
    """With the extension in it the old cluster is not taken, and stays as it is."""
    try:
        upgrade(old, new)
    except RuntimeError as error:
        old.start()
        return "Checking" in str(error) or "restore" in str(error)
    return False


def main():
    report = Report()
    checksums = {"initdb": ["--no-data-checksums"]} if sys.argv[1:] else sys.exit("argument: pg_config of the old server")
    with Cluster(sys.argv[1]) as old, Cluster(**checksums) as new, Cluster(**checksums) as thrown_away:
        if not report.attempt("create TVIEWs", lambda: old.sql(SCHEMA) is not None):
            report.done()
        shape = old.sql(SHAPE)
        thrown_away.stop()
        report.attempt("pg_upgrade refuses TVIEWs", lambda: refused(old, thrown_away))
        report.ok(old.sql(SHAPE) == shape and not any(old.difference(t) for t in EXACT), "the old cluster is as it was")

        after = old.sql(of_page("SELECT after"))
        passed = (report.attempt("TVIEWs become ordinary materialized views", lambda: old.sql(of_page("SELECT before")) is not None)
                  and report.attempt("options of columns are taken away", lambda: old.sql(of_page("UPDATE pg_attribute")) is not None)
                  and report.ok(old.sql("SELECT count(*) FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'tview'") == "0", "no TVIEW is left"))
        new.stop()
        if passed and report.attempt("pg_upgrade", lambda: upgrade(old, new)):
            new.start()
            report.ok(new.sql("SELECT count(*), sum((paid).amount) FROM plain") == "500|125250", "materialized views have their rows")
            if report.attempt("they become TVIEWs again", lambda: new.sql("CREATE EXTENSION pg_tviews;\n" + after) is not None):
                found = new.sql(SHAPE)
                report.ok(found == shape, "strategies, stages, options, indexes, comments, privileges", f"{shape}\n--\n{found}")
                new.sql(WRITES)
                for tview in EXACT:
                    report.ok((rows := new.difference(tview)) == 0, f"{tview} follows writes", f"{rows} rows differ")
                new.sql("REFRESH TVIEW later; REFRESH TVIEW by_hand; REFRESH MATERIALIZED VIEW empty")
                report.ok(not any(new.difference(t) for t in ("later", "by_hand", "empty")), "deferred ones and the empty one can be refreshed")
                report.ok(new.sql("SELECT bool_and(ok) FROM tviews.verify_all()") == "t", "verify_all()")
                report.ok(new.sql("SELECT count(*) = (SELECT count(DISTINCT shop) FROM sale) FROM over") == "t", "dependent views are there")
    report.done()


if __name__ == "__main__":
    main()
