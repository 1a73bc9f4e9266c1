"""`documents.py [PG]`: long documents of which a part changes, with TVIEWs, with TVIEWs that compute rows as a whole, and with hand-written triggers.

Databases `hand` (triggers that call jsonb_set) and `tviews` of one throw-away cluster hold the same tables (documents.sql). pgbench runs each write with one
client and prepared statements; the three variants take turns in each round.
Invariant: afterwards TVIEW and hand-written table are compared with the query, byte for byte in text; a difference ends the run with an error.
The table goes to the screen and to docs/reference/benchmarks.md. Variables: see pgbench.py.
"""

import os
import statistics
import sys

import pgbench  # first: finds the others
import build
import page
import toolchain
from cluster import Cluster
from pgbench import ROUNDS, SECONDS
from scenario import HERE, SETTINGS

HEADING = "## Parts of long documents"
VARIANTS = {"hand": ("hand", ""), "whole rows": ("tviews", "-c pg_tviews.partial_rows=off"), "TVIEW": ("tviews", "")}
WRITES = {
    "rename a user who occurs in 1,000 documents": "UPDATE users SET name = 'renamed ' || random() WHERE id = 1;",
    "edit one comment of a document with 1,000": "\\set id random(100001, 110000)\nUPDATE comments SET score = random() * 100 WHERE id = :id;",
}


def load(cluster):
    tables, query, triggers = (HERE / "documents.sql").read_text().split("-- next\n")
    for database in ("hand", "tviews"):
        toolchain.say(f"loading database {database}")
        cluster.sql(f"CREATE DATABASE {database}")
        cluster.sql(tables, database)
    cluster.sql(f"CREATE EXTENSION pg_tviews; CREATE TVIEW post_document AS {query}", "tviews")
    cluster.sql(f"CREATE UNLOGGED TABLE post_document WITH (fillfactor = 90) AS {query}; {triggers}", "hand")
    for database in ("hand", "tviews"):
        cluster.sql("VACUUM ANALYZE", database)
    return query.strip().rstrip(";")


def measure(cluster):
    latencies = {(write, variant): [] for write in WRITES for variant in VARIANTS}
    for number in pgbench.rounds():
        for index, (write, text) in enumerate(WRITES.items()):
            script = pgbench.script_file(cluster, f"write{index}", text)
            for variant in pgbench.turns(number, list(VARIANTS)):
                database, options = VARIANTS[variant]
                cluster.env["PGOPTIONS"] = options
                latencies[write, variant].append(pgbench.latency(cluster, database, script))
                cluster.env.pop("PGOPTIONS")
        # Old versions of long values would fill the disk.
        for database in ("hand", "tviews"):
            cluster.sql("VACUUM", database)
    return latencies


def check(cluster, query):
    for database in ("hand", "tviews"):
        sides = ["SELECT t::text FROM post_document t", f"SELECT q::text FROM ({query}) q"]
        for one, other in (sides, sides[::-1]):
            if wrong := int(cluster.sql(f"SELECT count(*) FROM ({one} EXCEPT ALL {other}) x", database)):
                sys.exit(f"error: {database}: the documents differ from their query by {wrong} rows")


def table(latencies):
    lines = ["| write | jsonb_set in a trigger | whole rows | TVIEW | TVIEW : whole rows | TVIEW : trigger |", "|---|--:|--:|--:|--:|--:|"]
    for write in WRITES:
        hand, whole, tview = (statistics.median(latencies[write, variant]) / 1000 for variant in VARIANTS)
        lines.append(f"| {write} | {hand:.1f} ms | {whole:.1f} ms | {tview:.1f} ms | {tview / whole:.2f} | {tview / hand:.2f} |")
    return "\n".join(lines)


def text(config, cluster, result):
    size = cluster.sql("SELECT string_agg(format('%s documents of %s bytes of text, %s stored', n, length, stored), '; ') FROM (SELECT count(*) AS n, avg(length(data::text))::int AS length, avg(pg_column_size(data))::int AS stored FROM post_document GROUP BY author = 3) x", "tviews")
    return f"""{HEADING}

`bench/documents.py`: median of {ROUNDS} rounds of {SECONDS} s each (one transaction at least), of the median transaction in each; one client and the server on one core; the three variants take turns.
Afterwards all documents were compared with their query and were equal.

{page.picture("documents", "Time of a write that concerns long documents")}

{result}

* **jsonb_set in a trigger**: a row trigger as one would write it (bench/documents.sql), which is not exact for several writers.
* **whole rows**: the same TVIEW with `pg_tviews.partial_rows` off.

Documents: {size}. Conditions: {page.measured(config)}, {page.processor()}, {", ".join(f"`{name} = {value}`" for name, value in sorted(SETTINGS.items()))}.
"""


def main():
    pg = (sys.argv[1:] or ["18"])[0]
    config = toolchain.pg_config(pg) if os.environ.get("INSTALLED") else build.install(pg, "release")
    pgbench.use_one_core()
    with Cluster(config, **SETTINGS) as cluster:
        query = load(cluster)
        latencies = measure(cluster)
        toolchain.say("comparing all documents with their query")
        check(cluster, query)
        result = table(latencies)
        print(f"\n{result}\n")
        page.write_section(HEADING, text(config, cluster, result))


if __name__ == "__main__":
    main()
