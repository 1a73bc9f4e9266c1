"""`make bench`, third part: sixteen writers, next to triggers by hand, and TPC-B with one TVIEW and with four: `many_writers.py [PG]`.

Each client writes rows of its own: posts, users, orders and customers whose numbers leave its own number when they are divided by 16, and groups of these.
Triggers and TVIEWs are those of run.py. TPC-B is pgbench's own script, at scale 16, with the TVIEWs of bench/tpcb.sql and an index on tellers by branch.
Invariant: afterwards the TVIEWs equal their queries; otherwise the run ends with an error and no table.
The tables go to the screen and to a section of docs/reference/benchmarks.md. Variables: see pgbench.py.
"""

import statistics
import subprocess
import sys

import pgbench  # first: finds the others
import build
import page
import scenario
from cluster import Cluster
from pgbench import ROUNDS, SECONDS

HEADING = "## Sixteen writers"
CLIENTS = 16
OWN = "\\set id :client_id + 1 + 16 * random(0, {last})\n"
WRITES = {
    "post: update the title": OWN.format(last=6249) + "UPDATE posts SET title = 'title ' || random() WHERE id = :id;",
    "user: rename (10 posts)": OWN.format(last=624) + "UPDATE users SET name = 'user ' || random() WHERE id = :id;",
    "post: insert": OWN.format(last=624)
    + "INSERT INTO posts (user_id, title, content) VALUES (:id, 'a new title', repeat('words of a post ', 12));",
    "order: change the amount": OWN.format(last=6249) + "UPDATE orders SET amount = amount + 0.01 WHERE id = :id;",
    "order: insert": "\\set customer :client_id + 1 + 16 * random(0, 61)\n\\set region :client_id + 16 * random(0, 5)\n"
    "INSERT INTO orders (customer, region, amount) VALUES (:customer, :region, 12.34);",
    "customer: move (100 orders)": "\\set id :client_id + 1 + 16 * random(0, 61)\n\\set country :client_id + 16 * random(0, 2)\n"
    "UPDATE customers SET country = :country WHERE id = :id;",
}
# Customers of a client in countries of its own, as they are after having been moved.
COUNTRIES = f"UPDATE customers SET country = (id - 1) % {CLIENTS} + {CLIENTS} * (id / {CLIENTS} % 3)"
TPCB = {"without": [], "one": ["balance"], "four": ["balance", "teller_total", "teller", "branch_total"]}


def writers(cluster):
    """Transactions per second by (write, variant), the median of all rounds."""
    rates = {(write, variant): [] for write in WRITES for variant in scenario.VARIANTS}
    for number in pgbench.rounds():
        for write in WRITES:
            for variant in pgbench.turns(number, scenario.VARIANTS):
                script = pgbench.script_file(cluster, "clients", WRITES[write])
                rates[write, variant].append(pgbench.throughput(cluster, variant, [script], CLIENTS))
    return {key: statistics.median(values) for key, values in rates.items()}


def tpcb_setup(cluster):
    for variant, views in TPCB.items():
        name = f"tpcb_{variant}"
        cluster.sql(f"CREATE DATABASE {name}")
        command = [cluster.bindir / "pgbench", "-i", "-q", "-s", str(CLIENTS), name]
        subprocess.run(list(map(str, command)), env=cluster.env, capture_output=True, check=True)
        # as docs/howto/indexes.md has it: a branch finds its tellers
        cluster.sql("CREATE EXTENSION pg_tviews; CREATE INDEX ON pgbench_tellers (bid)", name)
        for statement in (scenario.HERE / "tpcb.sql").read_text().split(";\n"):
            if any(f"TVIEW {view} AS" in statement for view in views):
                cluster.sql(statement, name)
        cluster.sql("VACUUM ANALYZE", name)


def tpcb(cluster):
    rates = {variant: [] for variant in TPCB}
    script = pgbench.script_file(cluster, "tpcb", TPCB_SCRIPT)
    for number in pgbench.rounds():
        for variant in pgbench.turns(number, list(TPCB)):
            rates[variant].append(pgbench.throughput(cluster, f"tpcb_{variant}", [script], CLIENTS))
    return {variant: statistics.median(values) for variant, values in rates.items()}


TPCB_SCRIPT = f"""\\set aid random(1, {CLIENTS} * 100000)
\\set bid random(1, {CLIENTS})
\\set tid random(1, {CLIENTS} * 10)
\\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;"""


def tables(rates, tpcb_rates):
    lines = ["| write, by 16 clients | no view | triggers by hand | TVIEW | TVIEW : hand |", "|---|--:|--:|--:|--:|"]
    for write in WRITES:
        none, hand, tviews = (rates[write, variant] for variant in scenario.VARIANTS)
        lines.append(f"| {write} | {none:,.0f}/s | {hand:,.0f}/s | {tviews:,.0f}/s | {tviews / hand:.2f} |")
    lines += ["", "| TPC-B, 16 clients | transactions | : one TVIEW |", "|---|--:|--:|"]
    for variant, rate in tpcb_rates.items():
        lines.append(f"| {variant} | {rate:,.0f}/s | {rate / tpcb_rates['one']:.2f} |")
    return "\n".join(lines)


def section(config, result):
    return f"""{HEADING}

Transactions per second of 16 clients, each of which writes rows and groups of its own; triggers and TVIEWs as above. Below, pgbench's TPC-B at scale 16
without a TVIEW, with one (balances of accounts by branch), and with four (two totals over a join and over the history, two tables joined;
bench/tpcb.sql), all with an index on tellers by branch. Median of {ROUNDS} rounds of {SECONDS} s each; the variants take turns. Afterwards all TVIEWs were compared with their queries and were equal.

{result}

{page.measured(config)}, {page.processor()}, with which clients and server make do; `synchronous_commit = off`.
"""


def main():
    config = build.install((sys.argv[1:] or ["18"])[0], "release")
    with Cluster(config, **scenario.SETTINGS) as cluster:
        scenario.setup(cluster, scenario.VARIANTS)
        for variant in scenario.VARIANTS:
            cluster.sql(COUNTRIES, variant)
        rates = writers(cluster)
        tpcb_setup(cluster)
        tpcb_rates = tpcb(cluster)
        problems = [scenario.difference(cluster, view) for view in scenario.VIEWS]
        problems += [cluster.difference(view, "tpcb_four") and f"error: TVIEW {view} differs" for view in TPCB["four"]]
        if any(problems):
            sys.exit("\n".join(filter(None, problems)))
        result = tables(rates, tpcb_rates)
        print(f"\n{result}\n")
        page.write_section(HEADING, section(config, result))


if __name__ == "__main__":
    main()
