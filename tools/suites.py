"""Tiers that are written by example: PostgreSQL's own drivers over regress, scripts, the SQL of the documentation.

Invariant: outputs are left in target/results, and what a suite needs beside its tests is there, whichever of them are selected.
Called by tiers.py, and regress by memcheck.py, too.
"""

import os
import shutil
import sys
from pathlib import Path

import build
import clients
import deb
import toolchain
from choice import SELECTED, profile, wanted
from toolchain import ROOT, TARGET
from total import headline, total
from watch import MINUTES, tally


def scheduled(schedule):
    lines = (ROOT / "regress" / schedule).read_text().splitlines()
    return [name for line in lines if line.startswith("test:") for name in line[5:].split()]


def regress(server, minutes=MINUTES):
    pg_regress(server, "regress", "regress/pg_regress", "schedule", minutes)


def isolation(server):
    pg_regress(server, "isolation", "isolation/pg_isolation_regress", "isolation_schedule")


def pg_regress(server, tier, program, schedule, minutes=MINUTES):
    """The SQL and the isolation suite: same driver, other input."""
    cluster, where = server.cluster, server.where
    names = wanted(tier, scheduled(schedule))
    if not names:
        return
    headline(f"{tier}, {where}")
    output = TARGET / "results" / where / tier
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    pgxs = Path(toolchain.ask(cluster.pg_config, "pgxs")[0]).parents[1]
    if "setup" in scheduled(schedule) and "setup" not in names:
        names.insert(0, "setup")
    extra = []
    if tier == "isolation":  # specs have no way to load a file: their database comes with the oracle
        cluster.sql(f"CREATE DATABASE {tier} TEMPLATE template1")
        cluster.sql("CREATE EXTENSION pg_tviews", tier)
        extra = ["--use-existing"]
    what = [f"--schedule={ROOT}/regress/{schedule}"] if len(names) == len(scheduled(schedule)) else names
    status = tally([pgxs / "test" / program, f"--inputdir={ROOT}/regress", f"--outputdir={output}", f"--bindir={cluster.bindir}",
                    f"--host={cluster.directory}", "--port=5432", "--user=postgres", f"--dbname={tier}", *extra, *what],
                   tier, env=cluster.env, cwd=output, minutes=minutes)
    diffs = output / "regression.diffs"
    if status and diffs.exists():
        difference = diffs.read_text(errors="replace")
        print(difference[:40000])
        total.tell(difference[:4000])
    if status:
        print(f"# server log:\n{cluster.log_tail()}")


def docs(server):
    if wanted("docs"):
        headline(f"docs, {server.where}")
        cluster = server.cluster
        env = dict(cluster.env, PATH=f"{cluster.bindir}:{os.environ['PATH']}")
        tally([sys.executable, ROOT / "tools/docs_test.py", cluster.dsn()], "docs", env=env)


def script(path, name, config, *arguments, **options):
    """A program below regress that makes servers of its own, by a pg_config."""
    return tally([sys.executable, ROOT / "regress" / path, *arguments], name, env=dict(os.environ, PG_CONFIG=str(config)), cwd="/", **options)


# Scripts that need something that is no part of a server: directories with it, or programs, are handed over as arguments.
COMMANDS = ["command_bench", "command_convert", "command_corpus", "command_docs", "command_doctor", "command_lint", "command_plan", "command_watch"]
NEEDS = {"blog": [toolchain.python_clients], "feed": [toolchain.python_clients, clients.listener], "pool": [toolchain.python_clients, toolchain.pgbouncer],
         "monitoring": [toolchain.pyyaml, toolchain.prometheus],
         "applications": [lambda: toolchain.CACHE / "examples"], "pg_upgrade": [lambda: build.install("15", profile())],
         "release": [toolchain.validators],
         **{name: [clients.command] for name in COMMANDS}}


# What depends on the server little: one of `make check` is enough.
ONCE = {"command_bench", "command_builtin", "command_convert", "command_corpus", "command_docs", "command_lint", "command_watch", "watching"}
# Those that are run when $TESTS names them only: they install much, or start many servers. make clients, make scale-out.
NAMED = {"applications", "pg_upgrade", "release", "scale_out"}


def packages(server):
    """Debian's packages of the library that is installed there."""
    return deb.packages(server.where.removeprefix("pg"), TARGET / "deb/test", Path(toolchain.ask(server.config, "pkglibdir")[0]) / "pg_tviews.so")


def scripts(server):
    names = wanted("scripts", sorted(p.stem for p in (ROOT / "regress/t").glob("*.py") if p.stem != "cluster"))
    if not SELECTED and toolchain.major(server.config) != "18":
        names = [name for name in names if name not in ONCE]
    if not SELECTED or "scripts" in SELECTED:
        names = [name for name in names if name not in NAMED and (name != "package" or toolchain.major(server.config) == "15")]
    for name in names:
        headline(f"script {name}, {server.where}")
        needs = packages(server) if name == "package" else [need() for need in NEEDS.get(name, [])]
        script(f"t/{name}.py", name, server.config, *needs)
