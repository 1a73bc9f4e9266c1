"""`make bench`: what a single-row write costs with TVIEWs, next to hand-written triggers and to no view at all: `run.py [PG]`.

Three databases of one throw-away cluster hold the same tables: `none`, `hand` (triggers.sql) and `tviews` (tviews.sql). pgbench runs each
write with one client and prepared statements, in rounds that take the variants in turn, so that what disturbs the machine disturbs all.
Invariant: afterwards both kinds of views are compared with their queries; a difference ends the run with an error and no table.
The table goes to the screen and to docs/reference/benchmarks.md. $SECONDS_BENCH: length of one measurement, $ROUNDS: how many of each.
"""

import datetime
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "regress/t")]
import build  # noqa: E402
import toolchain  # noqa: E402
from cluster import Cluster, SqlError  # noqa: E402

SETTINGS = {"synchronous_commit": "off", "shared_buffers": "512MB", "autovacuum": "off", "full_page_writes": "on", "fsync": "on", "wal_level": "replica", "jit": "off"}
VARIANTS = ["none", "hand", "tviews"]
VIEWS = ["post_document", "region_total"]
WRITES = {
    "post: update the title": "\\set id random(1, 100000)\nUPDATE posts SET title = 'title ' || random() WHERE id = :id;",
    "user: rename (10 posts)": "\\set id random(1, 10000)\nUPDATE users SET name = 'user ' || random() WHERE id = :id;",
    "post: insert": "\\set id random(1, 10000)\nINSERT INTO posts (user_id, title, content) VALUES (:id, 'a new title', repeat('words of a post ', 12));",
    "order: change the amount": "\\set id random(1, 100000)\nUPDATE orders SET amount = amount + 0.01 WHERE id = :id;",
    "order: insert": "\\set region random(0, 99)\nINSERT INTO orders (region, amount) VALUES (:region, 12.34);",
}
SECONDS = int(os.environ.get("SECONDS_BENCH", "1"))
ROUNDS = int(os.environ.get("ROUNDS", "9"))


def setup(cluster):
    for variant in VARIANTS:
        toolchain.say(f"loading database {variant}")
        cluster.sql(f"CREATE DATABASE {variant}")
        if variant == "tviews":
            cluster.sql("CREATE EXTENSION pg_tviews", variant)
        for script in ["schema", *{"hand": ["triggers"], "tviews": ["tviews"]}.get(variant, [])]:
            cluster.sql((HERE / f"{script}.sql").read_text(), variant)
        cluster.sql("VACUUM ANALYZE", variant)
    cluster.sql("CHECKPOINT")


def measure(cluster, variant, script, protocol="prepared", median=statistics.median):
    """Median latency of one transaction in microseconds: unlike the average, not moved by checkpoints and other programs."""
    command = [cluster.bindir / "pgbench", "-n", "-M", protocol, "-c", "1", "-T", SECONDS, "-l", "--log-prefix", "latency", "-f", script, variant]
    done = subprocess.run(list(map(str, command)), env=cluster.env, cwd=script.parent, capture_output=True, text=True)
    logs = list(script.parent.glob("latency.*"))
    latencies = [int(line.split()[2]) for log in logs for line in log.read_text().splitlines()]
    for log in logs:
        log.unlink()
    if done.returncode or not latencies or "number of failed transactions: 0 " not in done.stdout:
        sys.exit(f"pgbench failed in database {variant}:\n{done.stdout}{done.stderr}")
    return median(latencies)


def use_one_core():
    """One core for client and server: otherwise waking an idle core is most of what is measured."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def rounds(cluster):
    """Latencies by (write, variant)."""
    latencies = {(write, variant): [] for write in WRITES for variant in VARIANTS}
    for number in range(ROUNDS):
        toolchain.say(f"round {number + 1} of {ROUNDS}")
        for index, (write, text) in enumerate(WRITES.items()):
            script = cluster.directory / f"write{index}.sql"
            script.write_text(text + "\n")
            for turn in range(len(VARIANTS)):
                variant = VARIANTS[(turn + number) % len(VARIANTS)]
                latencies[write, variant].append(measure(cluster, variant, script))
    return latencies


def check(cluster):
    """Views of both kinds must equal their queries; the triggers' tables are compared with the queries of the TVIEWs."""
    for view in VIEWS:
        if difference := cluster.difference(view, "tviews"):
            sys.exit(f"error: TVIEW {view} differs from its query by {difference} rows")
        query = cluster.sql(f"SELECT pg_get_viewdef('{view}'::regclass)", "tviews").rstrip(";")
        sides = [f"SELECT t::text FROM {view} t", f"SELECT q::text FROM ({query}) q"]
        for one, other in (sides, sides[::-1]):
            if wrong := int(cluster.sql(f"SELECT count(*) FROM ({one} EXCEPT ALL {other}) x", "hand")):
                sys.exit(f"error: hand-written {view} differs from its query by {wrong} rows")


def table(latencies):
    median = {key: statistics.median(values) for key, values in latencies.items()}
    lines = ["| write | no view | + triggers by hand | + TVIEW | TVIEW : hand |", "|---|--:|--:|--:|--:|"]
    for write in WRITES:
        none, hand, tview = (median[write, variant] for variant in VARIANTS)
        ratio = f"{(tview - none) / (hand - none):.1f}" if hand > none else "–"
        lines.append(f"| {write} | {none:.0f} µs | {hand - none:+.0f} µs | {tview - none:+.0f} µs | {ratio} |")
    return "\n".join(lines)


def processor():
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M) if Path("/proc/cpuinfo").exists() else []
    return f"{os.cpu_count()} cores" + (f", {names[0]}" if names else "")


def strategies(cluster):
    rows = cluster.sql("SELECT format('%s on %s: %s', t.name, s.key, s.value) FROM tviews.tviews t, jsonb_each_text(t.strategies) s ORDER BY 1", "tviews")
    return ", ".join(rows.splitlines())


def page(config, cluster, result):
    settings = ", ".join(f"`{name} = {value}`" for name, value in sorted(SETTINGS.items()))
    return f"""# Benchmarks

What maintaining a view adds to a single-row write, measured by `make bench`: median of {ROUNDS} rounds of {SECONDS} s each, of the median transaction in each; one client
and the server on one core, prepared statements; the three variants take turns within each round. Afterwards all views were compared with their queries and were equal.

{result}

* **no view**: latency of the statement on tables without any view.
* **+ triggers by hand**: what plpgsql row triggers add (bench/triggers.sql). They touch exactly the affected rows, increment totals, and write unlogged tables.
* **+ TVIEW**: what TVIEWs with the same queries add (bench/tviews.sql). {strategies(cluster)}.
* **TVIEW : hand**: ratio of the two additions.

Tables: 100,000 posts of 10,000 users, 100,000 orders in 100 regions. The triggers are exact for one writer only: with several, they need locks of
their own, which TVIEWs include. The groups have 1,000 orders each; how many does not matter to either.

Conditions: {datetime.date.today().isoformat()}, {toolchain.ask(config, "version")[0]}, pg_tviews {build.version()} (release build), {processor()}, {settings}.
"""


def write_section(heading, text):
    """Puts a section behind those that were written before it."""
    target = ROOT / "docs/reference/benchmarks.md"
    before = target.read_text().partition(heading)[0].rstrip()
    target.write_text(f"{before}\n\n{text}")
    toolchain.say(f"written to {target.relative_to(ROOT)}")


def main():
    pg = (sys.argv[1:] or ["18"])[0]
    config = build.install(pg, "release")
    use_one_core()
    with Cluster(config, **SETTINGS) as cluster:
        setup(cluster)
        latencies = rounds(cluster)
        toolchain.say("comparing all views with their queries")
        check(cluster)
        result = table(latencies)
        print(f"\n{result}\n")
        target = ROOT / "docs/reference/benchmarks.md"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page(config, cluster, result))
        toolchain.say(f"written to {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
