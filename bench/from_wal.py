"""What writers pay for deferred TVIEWs whose tables are captured from WAL: `from_wal.py [PG]`. Called by hand; prints a table.

Four databases of one server with wal_level = logical: no view; no view and REPLICA IDENTITY FULL; the TVIEWs of deferred.sql by triggers; the same from WAL.
Latency of one client (the reader on the same core, as all else), and throughput of several, the reader beside them.
Invariant: at the end the TVIEWs equal their queries. Variables: see pgbench.py.
"""

import os
import statistics
import sys
import time

import pgbench  # first: finds the others
import build
import page
import scenario
from cluster import Cluster

VARIANTS = ["none", "whole_rows", "deferred", "wal"]
WRITES = ["post: update the title", "order: change the amount", "order: insert"]
BULK = "\\set id random(1, 90000)\nUPDATE orders SET amount = amount + 0.01 WHERE id BETWEEN :id AND :id + 9999;"
CLIENTS = 8
TABLES = ["posts", "users", "orders", "customers"]


def setup(cluster):
    scenario.setup(cluster, [v for v in VARIANTS if v != "wal"])
    cluster.sql("CREATE DATABASE wal")
    cluster.sql("CREATE EXTENSION pg_tviews", "wal")
    for script in ("schema", "deferred"):
        cluster.sql((scenario.HERE / f"{script}.sql").read_text(), "wal")
    for database in ("whole_rows", "wal"):
        cluster.sql(";".join(f"ALTER TABLE {table} REPLICA IDENTITY FULL" for table in TABLES), database)
    cluster.sql("VACUUM ANALYZE", "wal")
    deadline = time.time() + 60
    while cluster.sql("SELECT count(*) FROM tviews.wal", "wal") != str(len(TABLES)):
        if time.time() > deadline:
            sys.exit("error: tables are not captured from WAL")
        time.sleep(0.2)


def measure(cluster):
    scripts = {write: pgbench.script_file(cluster, f"wal{i}", scenario.WRITES[write]) for i, write in enumerate(WRITES)}
    scripts["10,000 orders by one statement"] = pgbench.script_file(cluster, "bulk", BULK)
    found = {}
    for number in pgbench.rounds():
        for write, script in scripts.items():
            for variant in pgbench.turns(number, VARIANTS):
                found.setdefault((write, variant, 1), []).append(pgbench.latency(cluster, variant, script))
                found.setdefault((write, variant, CLIENTS), []).append(pgbench.throughput(cluster, variant, [script], CLIENTS))
                if variant in ("deferred", "wal"):
                    cluster.sql("SELECT tviews.refresh_all()", variant)
    return {key: statistics.median(values) for key, values in found.items()}, list(scripts)


def main():
    config = build.install((sys.argv[1:] or ["18"])[0], os.environ.get("PROFILE", "release"))
    if os.environ.get("ONE_CORE"):
        pgbench.use_one_core()
    more = {"output_plugin_libraries": "pg_tviews"} if b"output_plugin_libraries" in (config.parent / "postgres").read_bytes() else {}
    settings = {**scenario.SETTINGS, "wal_level": "logical", "pg_tviews.cdc_mode": "auto", **more}
    with Cluster(config, **settings) as cluster:
        setup(cluster)
        found, writes = measure(cluster)
        for variant in ("deferred", "wal"):
            cluster.sql("SELECT tviews.refresh_all()", variant)
            for view in scenario.VIEWS:
                if rows := cluster.difference(view, variant):
                    sys.exit(f"error: TVIEW {view} differs from its query by {rows} rows")
    print("| write | no view | REPLICA IDENTITY FULL | triggers | WAL | WAL : no view | WAL : FULL | triggers : no view | 8 clients: no view : WAL | FULL : WAL |")
    print("|---" + "|--:" * 9 + "|")
    for write in writes:
        none, full, deferred, wal = (found[write, variant, 1] for variant in VARIANTS)
        many = {variant: found[write, variant, CLIENTS] for variant in VARIANTS}
        print(f"| {write} | {none:,.0f} µs | {full:,.0f} µs | {deferred:,.0f} µs | {wal:,.0f} µs | {wal / none:.2f} | {wal / full:.2f} | {deferred / none:.2f} "
              f"| {many['none'] / many['wal']:.2f} | {many['whole_rows'] / many['wal']:.2f} |")
    print(f"\n{page.measured(config)}, {page.processor()}; {pgbench.ROUNDS} rounds of {pgbench.SECONDS} s.")


if __name__ == "__main__":
    main()
