"""`make bench`, second part: several writers of both tables of a join at the same time: `writers.py [PG]`.

Half of the transactions rename a user, half of them change a post; a TVIEW joins the two. They wait for the disk at commit, which is where
locks that are held until the end of a transaction would show: with `none` and `tviews` (run.py) the same number of clients should gain the same.
Invariant: afterwards the TVIEWs equal their queries; otherwise the run ends with an error and no table.
The table goes to the screen and to a section of docs/reference/benchmarks.md, which run.py has just written. Variables: see run.py.
"""

import datetime
import re
import statistics
import subprocess
import sys

import run
from run import SECONDS, Cluster, build, toolchain

HEADING = "## Several writers"
SETTINGS = {**run.SETTINGS, "synchronous_commit": "on"}
VARIANTS = ["none", "tviews"]
CLIENTS = [1, 2, 4, 8, 16]
WRITES = [run.WRITES["user: rename (10 posts)"], run.WRITES["post: update the title"]]


def measure(cluster, variant, clients):
    """Committed transactions per second."""
    scripts = []
    for number, text in enumerate(WRITES):
        script = cluster.directory / f"writer{number}.sql"
        script.write_text(text + "\n")
        scripts += ["-f", script]
    command = [cluster.bindir / "pgbench", "-n", "-M", "prepared", "-c", clients, "-j", "1", "-T", SECONDS, *scripts, variant]
    done = subprocess.run(list(map(str, command)), env=cluster.env, cwd=cluster.directory, capture_output=True, text=True)
    found = re.search(r"^tps = ([\d.]+)", done.stdout, re.M)
    if done.returncode or not found or "number of failed transactions: 0 " not in done.stdout:
        sys.exit(f"pgbench failed in database {variant}:\n{done.stdout}{done.stderr}")
    return float(found.group(1))


def rounds(cluster):
    """Transactions per second by (clients, variant), one of each round."""
    rates = {(clients, variant): [] for clients in CLIENTS for variant in VARIANTS}
    for number in range(run.ROUNDS):
        toolchain.say(f"round {number + 1} of {run.ROUNDS}")
        for clients in CLIENTS:
            for turn in range(len(VARIANTS)):
                variant = VARIANTS[(turn + number) % len(VARIANTS)]
                rates[clients, variant].append(measure(cluster, variant, clients))
    return {key: statistics.median(values) for key, values in rates.items()}


def table(rates):
    lines = ["| clients | no view | TVIEWs | TVIEWs : no view |", "|--:|--:|--:|--:|"]
    for clients in CLIENTS:
        none, tviews = (rates[clients, variant] for variant in VARIANTS)
        lines.append(f"| {clients} | {none:,.0f}/s | {tviews:,.0f}/s | {tviews / none:.2f} |")
    return "\n".join(lines)


def section(config, result):
    return f"""{HEADING}

Transactions per second of clients that rename a random user, or change the title of a random post, half and half, and wait for the disk at commit
(`synchronous_commit = on`): the two tables that `post_document` joins. Median of {run.ROUNDS} rounds of {SECONDS} s each; the variants take turns. Afterwards all
TVIEWs were compared with their queries and were equal.

{result}

{datetime.date.today().isoformat()}, {toolchain.ask(config, "version")[0]}, pg_tviews {build.version()} (release build), {run.processor()}, with which clients and server make do.
"""


def main():
    pg = (sys.argv[1:] or ["18"])[0]
    config = build.install(pg, "release")
    run.VARIANTS[:] = VARIANTS
    with Cluster(config, **SETTINGS) as cluster:
        run.setup(cluster)
        result = table(rounds(cluster))
        for view in run.VIEWS:
            if difference := cluster.difference(view, "tviews"):
                sys.exit(f"error: TVIEW {view} differs from its query by {difference} rows")
    print(f"\n{result}\n")
    run.write_section(HEADING, section(config, result))


if __name__ == "__main__":
    main()
