"""A subscriber that pg_createsubscriber (17 and later) makes of a standby: it starts with the publisher's catalogs, TVIEWs included.

Invariant tested: the new node's TVIEWs follow what is applied and what is written there; what the publisher does with its TVIEWs afterwards (its
publication is FOR ALL TABLES) neither arrives nor stops the apply worker, and no backend of the node ends by a signal.
Called by `make check`; alone: PG_CONFIG=… regress/t/created_subscriber.py
"""

import time

from cluster import Cluster, Report

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE TABLE item (id int PRIMARY KEY, g int, name text);
CREATE TABLE alone (id int PRIMARY KEY);
INSERT INTO item SELECT i, i % 5, 'item ' || i FROM generate_series(1, 100) i;
CREATE TVIEW total WITH (logged) AS SELECT g, count(*) AS n, max(name) AS last FROM item GROUP BY g;
CREATE TVIEW large WITH (logged) AS SELECT i.id, t.n FROM item i JOIN (SELECT g, count(*) AS n FROM item GROUP BY g HAVING count(*) > 3) t USING (g);
CREATE TVIEW fleeting AS SELECT g, min(id) AS first FROM item GROUP BY g;
"""

TVIEWS = ["total", "large", "fleeting"]

STEPS = {
    "rows arrive": "INSERT INTO item VALUES (1001, 1, 'zebra'), (1002, 9, 'new')",
    "rows change": "UPDATE item SET g = g + 1 WHERE id % 3 = 0; DELETE FROM item WHERE id % 7 = 0",
    "the publisher makes a TVIEW": "CREATE TVIEW newer WITH (logged) AS SELECT id, name FROM item; INSERT INTO item VALUES (1003, 2, 'after')",
    "and one over a table that had none": "CREATE TVIEW solitary AS SELECT count(*) AS n FROM alone; INSERT INTO alone VALUES (1)",
    "the publisher drops a TVIEW": "DROP TVIEW total; UPDATE item SET g = 3 WHERE id = 1001",
    "and replaces one": "CREATE OR REPLACE TVIEW large WITH (logged) AS SELECT id, count(*) AS n FROM item GROUP BY id; INSERT INTO item VALUES (1004, 3, 'last')",
}


def caught_up(primary, node, seconds=60):
    deadline = time.time() + seconds
    end = primary.sql("SELECT pg_current_wal_lsn()")
    while primary.sql(f"SELECT count(*) > 0 AND bool_and(confirmed_flush_lsn >= '{end}') FROM pg_replication_slots WHERE slot_type = 'logical'") != "t":
        if time.time() > deadline:
            raise RuntimeError(f"the subscriber does not catch up:\n{node.log_tail()}")
        time.sleep(0.05)
    return True


def main():
    report = Report()
    with Cluster() as primary:
        if not (primary.bindir / "pg_createsubscriber").exists():
            print("# pg_createsubscriber comes with PostgreSQL 17: nothing to test here")
            return report.done()
        primary.sql(SCHEMA)
        copy = primary.directory / "copy"
        primary.tool("pg_basebackup", "-D", copy, "-c", "fast", "-X", "stream")
        (copy / "standby.signal").touch()
        with Cluster(template=copy, primary_conninfo=primary.dsn()) as node:
            node.stop()
            node.tool("pg_createsubscriber", "-D", node.data, "-d", "postgres", "-P", primary.dsn(), "-s", node.directory, "-p", "5432", "-U", "postgres")
            node.start()
            for what, sql in STEPS.items():
                primary.sql(sql)
                report.attempt(f"{what}: applied", lambda: caught_up(primary, node))
                for tview in TVIEWS:
                    report.attempt(f"{what}: {tview}", lambda: node.difference(tview) == 0)
            node.sql("INSERT INTO item VALUES (5000, 4, 'written here'); UPDATE item SET name = 'x' WHERE id = 1; INSERT INTO alone VALUES (77)")
            for tview in TVIEWS:
                report.attempt(f"writes of the node: {tview}", lambda: node.difference(tview) == 0)
            report.attempt("no row of the publisher's catalogs", lambda: node.sql("SELECT count(*) FROM tviews.source WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = tview)") == "0")
            report.attempt("verify_all()", lambda: node.sql("SELECT bool_and(ok) FROM tviews.verify_all()") == "t")
            report.ok("signal" not in node.log.read_text(errors="replace"), "no backend ended by a signal", node.log_tail())
    report.done()


if __name__ == "__main__":
    main()
