"""pgbench on a throw-away cluster: how long one client waits, how much several get done, in rounds that take the variants in turn.

Invariant: no figure of a run in which a transaction has failed. $SECONDS_BENCH: length of one measurement, $ROUNDS: how many of each.
Called by run.py, writers.py and syntax.py, which find the modules of tools and regress/t by it.
"""

import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "regress/t")]
import toolchain  # noqa: E402

SECONDS = int(os.environ.get("SECONDS_BENCH", "1"))
ROUNDS = int(os.environ.get("ROUNDS", "9"))


def rounds(count=ROUNDS):
    for number in range(count):
        toolchain.say(f"round {number + 1} of {count}")
        yield number


def turns(number, variants):
    """The variants of one round: each round begins with another one, so that what disturbs the machine disturbs all."""
    return [variants[(turn + number) % len(variants)] for turn in range(len(variants))]


def run(cluster, database, directory, *options):
    """Runs pgbench for the time of one measurement; returns its output, or None after a failure, and a message."""
    command = [cluster.bindir / "pgbench", "-n", *options, database]
    done = subprocess.run(list(map(str, command)), env=cluster.env, cwd=directory, capture_output=True, text=True)
    failed = done.returncode or "number of failed transactions: 0 " not in done.stdout
    return None if failed else done.stdout, f"pgbench failed in database {database}:\n{done.stdout}{done.stderr}"


def latency(cluster, database, script, protocol="prepared", median=statistics.median):
    """Median latency of one transaction in microseconds: unlike the average, not moved by checkpoints and other programs."""
    options = ["-M", protocol, "-c", "1", "-T", SECONDS, "-l", "--log-prefix", "latency", "-f", script]
    printed, problem = run(cluster, database, script.parent, *options)
    logs = list(script.parent.glob("latency.*"))
    latencies = [int(line.split()[2]) for log in logs for line in log.read_text().splitlines()]
    for log in logs:
        log.unlink()
    if printed is None or not latencies:
        sys.exit(problem)
    return median(latencies)


def throughput(cluster, database, scripts, clients):
    """Committed transactions per second."""
    files = [word for script in scripts for word in ("-f", script)]
    printed, problem = run(cluster, database, cluster.directory, "-M", "prepared", "-c", clients, "-j", "1", "-T", SECONDS, *files)
    found = re.search(r"^tps = ([\d.]+)", printed or "", re.M)
    if not found:
        sys.exit(problem)
    return float(found.group(1))


def script_file(cluster, name, text):
    script = cluster.directory / f"{name}.sql"
    script.write_text(text + "\n")
    return script


def use_one_core():
    """One core for client and server: otherwise waking an idle core is most of what is measured."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
