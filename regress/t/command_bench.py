"""`tviews bench`, the program being given as argument: it finds a cost that is there, and leaves the database as it was."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cluster import Cluster, Report

COMMAND = sys.argv[1]

SETUP = """
CREATE EXTENSION pg_tviews;
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL, amount numeric NOT NULL, note text);
INSERT INTO orders SELECT n, 1 + n % 100, n FROM generate_series(1, 5000) n;
CREATE TVIEW by_customer AS SELECT customer, count(*) AS n, sum(amount) AS amount FROM orders GROUP BY customer;
CREATE TVIEW places AS SELECT id, rank() OVER (ORDER BY amount) AS place FROM orders;
CREATE VIEW over AS SELECT * FROM by_customer;
ANALYZE;
"""
CONTENTS = "SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o"
CATALOG = "SELECT count(*), sum(oid::bigint) FROM pg_class"


def main():
    report = Report()
    with Cluster() as cluster, tempfile.TemporaryDirectory() as directory:
        cluster.sql("CREATE DATABASE shop")
        cluster.sql(SETUP, "shop")
        script = Path(directory) / "script.sql"

        def bench(text, *options):
            script.write_text(text)
            return subprocess.run([COMMAND, "bench", "--dsn", cluster.dsn("shop"), "-f", script, *options], capture_output=True, text=True)

        def as_it_was():
            return cluster.sql(CONTENTS, "shop"), cluster.sql(CATALOG, "shop"), cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()", "shop")

        before = as_it_was()
        heavy = "-- one order;\nUPDATE orders SET amount = amount + 1 WHERE id = 7;\nINSERT INTO orders VALUES (0, 1, 1);\n"
        done = bench(heavy, "--format", "json", "--rounds", "6")
        result = json.loads(done.stdout)
        ratio = result["ratio"]
        report.ok(done.returncode == 0 and result["rounds"] == 6 and result["with"] > result["without"] > 0, "both ways are measured", done.stdout + done.stderr)
        report.ok(1 < ratio["low"] <= ratio["ratio"] <= ratio["high"], "a TVIEW that is computed anew costs", ratio)
        report.ok([name for name, _ in result["flushes"]][:1] == ["places"], "and it is named first", result["flushes"])
        report.ok(as_it_was() == before, "the database is as it was", as_it_was())
        text = bench(heavy, "--rounds", "3")
        report.ok("with 95 % confidence from" in text.stdout and "by 3 rounds" in text.stdout, "in words", text.stdout + text.stderr)
        free = json.loads(bench("UPDATE orders SET note = 'x' WHERE id < 200;", "--format", "json", "--rounds", "10").stdout)
        report.ok(free["ratio"]["low"] < ratio["low"] and not free["flushes"], "columns that no TVIEW reads cost next to nothing", free)

        for sql, why in [("UPDATE orders SET amount = 1;\nCOMMIT;", "script.sql:2: bench begins and ends transactions by itself"),
                         ("\\set x 1\nSELECT 1;", "script.sql:2: the line before it is a command of psql"), ("VACUUM orders;", "inside of a transaction"),
                         ("UPDATE orders SET nothing = 1;", "script.sql:1: column \"nothing\""), ("SELECT FROM FROM;", "syntax error"), ("-- nothing", "has no statement")]:
            failed = bench(sql)
            report.ok(failed.returncode == 2 and why in failed.stderr and as_it_was() == before, why, failed.stdout + failed.stderr)

        other = subprocess.Popen(cluster.psql(database="shop"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=cluster.env)
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND backend_type = 'client backend'"
        while cluster.sql(others) == "0":
            time.sleep(0.05)
        refused = bench(heavy)
        report.ok(refused.returncode == 2 and "1 other session is connected" in refused.stderr, "a database in use is left alone", refused.stderr)
        report.ok(bench(heavy, "--rounds", "3", "--lock-others").returncode == 0, "unless it is asked for")
        other.stdin.close()
        other.wait()
        while cluster.sql(others) != "0":
            time.sleep(0.05)
        url = f"postgresql://postgres@/shop?host={cluster.directory}&port=5432"
        script.write_text(heavy)
        copied = subprocess.run([COMMAND, "bench", "--dsn", url, "-f", script, "--rounds", "3", "--copy", "shop copy"], capture_output=True, text=True)
        report.ok(copied.returncode == 0 and "by 3 rounds" in copied.stdout, "a copy is measured", copied.stdout + copied.stderr)
        report.ok(cluster.sql("SELECT count(*) FROM pg_database WHERE datname = 'shop copy'") == "0" and as_it_was() == before, "and dropped")
        cluster.sql("CREATE DATABASE taken")
        taken = bench(heavy, "--copy", "taken")
        report.ok(taken.returncode == 2 and "the copy cannot be made" in taken.stderr and cluster.sql("SELECT count(*) FROM pg_database WHERE datname = 'taken'") == "1",
                  "a database of that name stays", taken.stderr)
    report.done()


main()
