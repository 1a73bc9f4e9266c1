"""Tiers that are programs of the workspace, which make their tests themselves: hostile, differential, concurrent, TPC-H; and faults.

Invariant: a program is built without a server, once for all of them, and is told a seed, so that its run can be repeated. Called by tiers.py and builds.py.
"""

import os
import re
import subprocess

import toolchain
from choice import SECONDS, SELECTED, seed, wanted
from cluster import Cluster
from toolchain import ROOT, TARGET
from total import headline, total, verdict
from watch import MINUTES, passes, sums, tally

SUM = re.compile(r"^(\d+) passed, (\d+) failed$")
SESSIONS = "4"
# Of hostile in CI: runs of a case on average, its first way and another one now and then; and what is run on servers without assertions.
RUNS_IN_CI = "1.1"
IN_CI = "catalogs,ddl,walkers,deep"


def host_environment():
    """For crates that know no server: built once for all of them. The command has PostgreSQL's parser, whose bindings are made with libclang."""
    return dict(os.environ, CARGO_TARGET_DIR=str(TARGET / "host"), **toolchain.bindings())


def release_environment():
    """For programs that are built to be used: linking them as the extension is would take longer than it gains."""
    return {**host_environment(), "CARGO_PROFILE_RELEASE_LTO": "off", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16"}


def client(package, *arguments):
    """How a program of the workspace is run: its command, and the rest. It is built once for a run."""
    return ["cargo", "run", "--release", "-p", package, "--", *arguments], {"cwd": ROOT, "env": {**release_environment(), "RUST_BACKTRACE": "0"}}


def listener():
    """The program that listens to the change feed."""
    command, options = client("tviews_listen")
    subprocess.run(["cargo", "build", "-q", *command[2:command.index("--")]], check=True, **options)
    return TARGET / "host/release/tviews_listen"


def command():
    """The command tviews, built as its unit tests are."""
    subprocess.run(["cargo", "build", "-q", "-p", "tviews_cli"], check=True, cwd=ROOT, env=host_environment())
    return TARGET / "host/debug/tviews"


def hostile(server):
    """Statements that nobody should send. In a cluster of its own: some of them take the server down, when something is wrong."""
    names = SELECTED if any(name.startswith("hostile:") for name in SELECTED) else []
    if not names and not wanted("hostile"):
        return
    headline(f"hostile, {server.where}")
    seconds, only = SECONDS["hostile"], ",".join(name.removeprefix("hostile:") for name in names if name.startswith("hostile:"))
    if os.environ.get("CI") and not server.where.endswith("-assert"):
        only = only or IN_CI
    before = total.count()
    with Cluster(server.config, ram=True, log_line_prefix="@%e@%p@ ") as cluster:
        cluster.sql("CREATE DATABASE hostile")
        runs = ["--runs", RUNS_IN_CI] if os.environ.get("CI") else []
        command, options = client("tviews_hostile", "--dsn", cluster.dsn("hostile"), "--log", cluster.log, "--seconds", seconds,
                                  "--seed", seed("hostile"), *runs, *(["--only", only] if only else []))
        status = sums(command, SUM, minutes=MINUTES + int(seconds) // 60, **options)
    if total.count() == before:
        verdict(True, f"hostile ended with status {status}")


def differential(server):
    """Random cases, each by one session."""
    compare(server, "differential")


def concurrent(server):
    """Random cases, each by several sessions at the same time."""
    compare(server, "concurrent", "--concurrent", SESSIONS)


def compare(server, tier, *arguments):
    if not wanted(tier):
        return
    headline(f"{tier}, {server.where}")
    server.cluster.sql(f"CREATE DATABASE {tier}")
    capture_from_wal(server.cluster)
    seconds, number = SECONDS[tier], seed(tier)
    command, options = client("tviews_differential", "--dsn", server.cluster.dsn(tier), "--seconds", seconds, "--seed", number, *arguments)
    minutes = MINUTES + int(seconds) // 60 if int(seconds) else 60 * 24 * 365  # 0: until interrupted
    passes(command, f"{tier}, seed {number}", minutes=minutes, **options)


def capture_from_wal(cluster):
    """From here on tables can be captured from WAL."""
    if cluster.sql("SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'") == "1":
        cluster.sql("ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, pg_tviews")
    cluster.sql("ALTER SYSTEM SET pg_tviews.cdc_mode = auto")
    cluster.sql("SELECT pg_reload_conf()")


def tpch(server):
    """The 22 queries of TPC-H under random transactions; one server of `make check` is enough for it."""
    major = toolchain.major(server.config)
    if not wanted("tpch") or (not SELECTED and major != "18"):
        return
    headline(f"tpch, {server.where}")
    server.cluster.sql("CREATE DATABASE tpch")
    command, options = client("tviews_tpch", "check", "--dsn", server.cluster.dsn("tpch"), "--seconds", SECONDS["tpch"], "--seed", seed())
    tally(command, "tpch", **options)


def faults(cluster):
    """Breaks one rule of maintenance at a time: the differential test must notice."""
    cluster.sql("CREATE DATABASE faults")
    capture_from_wal(cluster)
    command, options = client("tviews_differential", "--faults", "--dsn", cluster.dsn("faults"))
    tally(command, "faults", **options)
