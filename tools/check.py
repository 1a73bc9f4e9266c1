"""Runs the tests: `check.py [--fast] STAGE…`, a stage being a server (18, 15, 18-assert, a pg_config), sql:SERVER (its regress and isolation
suites, with assertions hostile, too), core:SERVER (PostgreSQL's own suites), or one of format, house,
lint, deny, unit, types:N, no-syntax, faults, valgrind, mine:SERVER (queries of others as those of TVIEWs).

Invariant: the last line is `N passed, N failed`, the sum over everything that ran, and the exit status says the same.
$TESTS names what to run of it: tiers (regress, isolation, hostile, scripts, docs, differential, concurrent, tpch, core, no-syntax, faults) or single
tests of them.
Called by `make check` and .ci/run.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import build
import toolchain
from toolchain import ROOT, TARGET

sys.path.insert(0, str(ROOT / "regress/t"))
import valgrind  # noqa: E402
from cluster import Cluster  # noqa: E402

SUM = re.compile(r"^(\d+) passed, (\d+) failed$")
RESULT = re.compile(r"^\s*(?:test )?(?:(not ok|ok)\b\s+(?:\d+\s+)?[-+]\s+\S|(?:\S+ +)?\.\.\. (FAILED|failed|ok)\b)")
UNIT = re.compile(r"^test result: .*? (\d+) passed; (\d+) failed")
SELECTED = os.environ.get("TESTS", "").split()
SECONDS = os.environ.get("SECONDS_DIFFERENTIAL", "45")
SECONDS_CONCURRENT = os.environ.get("SECONDS_CONCURRENT", "45")
SESSIONS = "4"
SECONDS_HOSTILE = os.environ.get("SECONDS_HOSTILE", "0")  # one round, whatever it takes
UNITS = ["-p", "tviews_core", "-p", "tviews_tpch", "-p", "tviews_differential", "-p", "tviews_hostile"]
SECONDS_TPCH = os.environ.get("SECONDS_TPCH", "60")
LONG = 300  # seconds from which an optimised build, which takes minutes to make, looks at more cases
MINUTES = 20  # for one tier, against tests that hang
MINUTES_VALGRIND = 360


class Total:
    passed = failed = 0

    def add(self, good, bad=0):
        self.passed += good
        self.failed += bad


total = Total()


def headline(text):
    print(f"\n== {text} ==", flush=True)


def watch(command, count, minutes=MINUTES, **options):
    """Runs a program, shows what it prints, and lets `count(line)` judge each line. Returns the exit status."""
    process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", start_new_session=True, **options)
    timer = threading.Timer(minutes * 60, end, [process])
    timer.start()
    try:
        for line in process.stdout:
            print(line, end="", flush=True)
            count(line)
        return process.wait()
    finally:
        timer.cancel()
        end(process)


def end(process):
    """Ends what still runs of a program: first politely, for scripts have servers to stop."""
    for number, patience in ((signal.SIGINT, 30), (signal.SIGKILL, None)):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                continue


def tally(command, name, **options):
    """Counts `ok` and `not ok` lines, as TAP and pg_regress print them. A program that fails without saying so counts as one failure."""
    before = total.failed

    def count(line):
        if match := RESULT.match(line):
            total.add(*((1, 0) if "ok" in match.groups() else (0, 1)))

    status = watch(command, count, **options)
    if status and total.failed == before:
        print(f"not ok - {name} ended with status {status}")
        total.add(0, 1)
    return status


def step(name, *arguments, env=None):
    """A cargo command that passes or fails as one; minimal toolchains lack some, which only CI minds."""
    headline(name)
    if subprocess.run(["cargo", arguments[0], "--version"], capture_output=True).returncode:
        print(f"# not run: cargo {arguments[0]} is not installed")
        if os.environ.get("CI"):
            print(f"not ok - {name}")
            total.add(0, 1)
        return
    failed = watch(["cargo", *arguments], lambda line: None, cwd=ROOT, env=env) != 0
    print(f"{'not ok' if failed else 'ok'} - {name}")
    total.add(not failed, failed)


def lint():
    """The workspace as it is built, with the tests of what is tested; and the extension without and with what is not usual."""
    environment = build.environment("18", toolchain.pg_config("18"))
    step("lint", "clippy", "--workspace", "--", "-D", "warnings", env=environment)
    step("lint, tests", "clippy", *UNITS, "--all-targets", "--", "-D", "warnings", env=environment)
    for chosen in ([], [*build.USUAL, "faults"]):
        step(f"lint, {' '.join(chosen) or 'no features'}", "clippy", "-p", "pg_tviews", "--lib", *build.features("18", chosen), "--", "-D", "warnings", env=environment)


def deny():
    """Licences and sources of everything that is linked (deny.toml)."""
    headline("deny")
    failed = watch([toolchain.cargo_deny(), "check", "licenses", "sources", "bans"], lambda line: None, cwd=ROOT) != 0
    print(f"{'not ok' if failed else 'ok'} - deny")
    total.add(not failed, failed)


def host_environment():
    """For crates that know no PostgreSQL: built once for all servers."""
    return dict(os.environ, CARGO_TARGET_DIR=str(TARGET / "host"))


def unit():
    headline("unit")
    before = total.failed

    def count(line):
        if match := UNIT.match(line):
            total.add(*map(int, match.groups()))

    if watch(["cargo", "test", *UNITS], count, cwd=ROOT, env=host_environment()) and total.failed == before:
        total.add(0, 1)


def wanted(tier, names):
    """What $TESTS leaves of a tier: everything, or the tests it names."""
    if not SELECTED or tier in SELECTED:
        return list(names)
    return [name for name in names if name in SELECTED]


def scheduled(schedule):
    lines = (ROOT / "regress" / schedule).read_text().splitlines()
    return [name for line in lines if line.startswith("test:") for name in line[5:].split()]


def pg_regress(cluster, tier, program, schedule, where, minutes=MINUTES):
    """The SQL and the isolation suite: same driver, other input."""
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
        print(diffs.read_text(errors="replace")[:40000])
    if status:
        print(f"# server log:\n{cluster.log_tail()}")


def hostile(config, where):
    """Statements that nobody should send. In a cluster of its own: some of them take the server down, when something is wrong."""
    names = SELECTED if any(name.startswith("hostile:") for name in SELECTED) else []
    if not names and not wanted("hostile", ["hostile"]):
        return
    headline(f"hostile, {where}")
    fresh = str(int(time.time())) if "SECONDS_HOSTILE" in os.environ else "1"
    seed = os.environ.get("SEED") or fresh
    only = ",".join(name.removeprefix("hostile:") for name in names if name.startswith("hostile:"))
    before = total.passed + total.failed

    def count(line):
        if match := SUM.match(line):
            total.add(*map(int, match.groups()))

    with Cluster(config, ram=True, log_line_prefix="@%e@%p@ ") as cluster:
        cluster.sql("CREATE DATABASE hostile")
        command = ["cargo", "run", "--release", "-p", "tviews_hostile", "--", "--dsn", cluster.dsn("hostile"), "--log", cluster.log,
                   "--seconds", SECONDS_HOSTILE, "--seed", seed, *(["--only", only] if only else [])]
        minutes = MINUTES + int(SECONDS_HOSTILE) // 60
        status = watch(command, count, minutes, cwd=ROOT, env=dict(host_environment(), RUST_BACKTRACE="0"))
    if total.passed + total.failed == before:
        print(f"not ok - hostile ended with status {status}")
        total.add(0, 1)


def scripts(config, where):
    names = wanted("scripts", sorted(p.stem for p in (ROOT / "regress/t").glob("*.py") if p.stem != "cluster"))
    for name in names:
        headline(f"script {name}, {where}")
        tally([sys.executable, ROOT / f"regress/t/{name}.py"], name, env=dict(os.environ, PG_CONFIG=str(config)), cwd="/")


def docs(cluster, where):
    if wanted("docs", ["docs"]):
        headline(f"docs, {where}")
        tally([sys.executable, ROOT / "tools/docs_test.py", cluster.dsn()], "docs", env=dict(cluster.env, PATH=f"{cluster.bindir}:{os.environ['PATH']}"))


def differential(cluster, where, tier="differential", seconds=SECONDS, *arguments):
    """Random cases, each by one session; as tier `concurrent`, each by several sessions at the same time."""
    if not wanted(tier, [tier]):
        return
    headline(f"{tier}, {where}")
    cluster.sql(f"CREATE DATABASE {tier}")
    # `make check` must say the same twice; `make fuzz` looks for what is new.
    fresh = str(int(time.time())) if f"SECONDS_{tier.upper()}" in os.environ else "1"
    seed = os.environ.get("SEED") or fresh
    command = ["cargo", "run", "--release", "-p", "tviews_differential", "--", "--dsn", cluster.dsn(tier), "--seconds", seconds, "--seed", seed]
    minutes = MINUTES + int(seconds) // 60 if int(seconds) else 60 * 24 * 365  # 0: until interrupted
    failed = watch([*command, *arguments], lambda line: None, minutes, cwd=ROOT, env=dict(host_environment(), RUST_BACKTRACE="0")) != 0
    print(f"{'not ok' if failed else 'ok'} - {tier}, seed {seed}")
    total.add(not failed, failed)


def faults():
    """Breaks one rule of maintenance at a time in a build made for it: the differential test must notice. The server gets its ordinary build back."""
    if not wanted("faults", ["faults"]):
        return
    headline("faults")
    profile = os.environ.get("PROFILE", "dev")
    try:
        config = build.install("18", profile, [*build.USUAL, "faults"])
        with Cluster(config, ram=True) as cluster:
            cluster.sql("CREATE DATABASE faults")
            command = ["cargo", "run", "--release", "-p", "tviews_differential", "--", "--faults", "--dsn", cluster.dsn("faults")]
            tally(command, "faults", cwd=ROOT, env=dict(host_environment(), RUST_BACKTRACE="0"))
    except (SystemExit, Exception) as error:
        print(f"not ok - faults: {error}")
        total.add(0, 1)
    finally:
        build.install("18", profile)


def no_syntax():
    """The build without the native syntax: everything else works. The server gets its ordinary build back."""
    if not wanted("no-syntax", ["no-syntax"]):
        return
    headline("no-syntax")
    try:
        config = build.install("18", profile(), [])
        tally([sys.executable, ROOT / "regress/t/syntax.py", "absent"], "no-syntax", env=dict(os.environ, PG_CONFIG=str(config)), cwd="/")
    except (SystemExit, Exception) as error:
        print(f"not ok - no-syntax: {error}")
        total.add(0, 1)
    finally:
        build.install("18", profile())


def core(pg):
    """PostgreSQL's own suites, on a server that has them: one that is built from source."""
    if not wanted("core", ["core"]):
        return
    where = toolchain.label(pg)
    headline(f"core, {where}")
    try:
        config = build.install(pg, profile())
        tally([sys.executable, ROOT / "regress/core/run.py"], "core", env=dict(os.environ, PG_CONFIG=str(config)), cwd="/")
    except (SystemExit, Exception) as error:
        print(f"not ok - core, {where}: {error}")
        total.add(0, 1)


def mine(pg):
    """Queries of PostgreSQL's own suite and of SQLsmith as those of TVIEWs; not in CI."""
    where = toolchain.label(pg)
    headline(f"mined queries, {where}")
    config = build.install(pg, profile())
    tally([sys.executable, ROOT / "regress/core/mine.py"], "mined", minutes=6 * MINUTES, env=dict(os.environ, PG_CONFIG=str(config)), cwd="/")


def memcheck(pg="18-valgrind"):
    """The regress suite with every process of the server under Valgrind, whose logs are left in target/results/pg18-valgrind/valgrind."""
    if not wanted("regress", scheduled("schedule")):
        return
    where = toolchain.label(pg)
    logs = TARGET / "results" / where / "valgrind"
    headline(f"building for {where}")
    try:
        print(f"# {valgrind.version()}")
        config = build.install(pg, profile())
        with valgrind.UnderValgrind(config, logs, ram=True) as cluster:
            cluster.sql((ROOT / "regress/oracle.sql").read_text(), "template1")
            cluster.provoke()
            pg_regress(cluster, "regress", "regress/pg_regress", "schedule", where, MINUTES_VALGRIND)
        errors, missed = valgrind.found(logs)
    except (SystemExit, Exception) as error:
        print(f"not ok - {where}: {error}")
        total.add(0, 1)
        return
    headline(f"valgrind, {where}")
    for name in missed:
        print(f"not ok - valgrind does not notice {name}")
    for number, error in enumerate(errors, 1):
        print(f"not ok - error {number}, seen {error.times} times\n{error.text}")
        for statement in dict.fromkeys(error.statements[:3]):
            print(f"# during: {statement}")
    if not missed and not errors:
        print(f"ok - valgrind, {len(list(logs.iterdir()))} processes")
    total.add(not missed and not errors, len(missed) + len(errors))


def tpch(cluster, where, major):
    """The 22 queries of TPC-H under random transactions; one server of `make check` is enough for it."""
    if not wanted("tpch", ["tpch"]) or (not SELECTED and major != "18"):
        return
    headline(f"tpch, {where}")
    cluster.sql("CREATE DATABASE tpch")
    seed = os.environ.get("SEED") or "1"
    command = ["cargo", "run", "--release", "-p", "tviews_tpch", "--", "check", "--dsn", cluster.dsn("tpch"), "--seconds", SECONDS_TPCH, "--seed", seed]
    tally(command, "tpch", cwd=ROOT, env=dict(host_environment(), RUST_BACKTRACE="0"))


def profile():
    """Tests run on the build that is quicker to make, long runs on the one that is quicker to use."""
    long = any(not int(seconds) or int(seconds) >= LONG for seconds in (SECONDS, SECONDS_CONCURRENT))
    return os.environ.get("PROFILE") or ("release" if long else "dev")


def server(pg, fast, sql_only=False):
    """All tiers that need a server, or the suites of SQL."""
    where = toolchain.label(pg)
    headline(f"building for {where}")
    try:
        config = build.install(pg, profile())
        with Cluster(config, ram=True) as cluster:
            cluster.sql((ROOT / "regress/oracle.sql").read_text(), "template1")
            pg_regress(cluster, "regress", "regress/pg_regress", "schedule", where)
            pg_regress(cluster, "isolation", "isolation/pg_isolation_regress", "isolation_schedule", where)
            if not fast and (not sql_only or pg.endswith("-assert")):
                hostile(config, where)
            if sql_only:
                return
            docs(cluster, where)
            if not fast:
                differential(cluster, where)
                differential(cluster, where, "concurrent", SECONDS_CONCURRENT, "--concurrent", SESSIONS)
                tpch(cluster, where, toolchain.major(config))
        scripts(config, where)
    except (SystemExit, Exception) as error:
        print(f"not ok - {where}: {error}")
        total.add(0, 1)


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stages = [word for word in sys.argv[1:] if not word.startswith("-")]
    started = time.time()
    for stage in stages:
        if stage == "format":
            step("format", "fmt", "--all", "--check")
        elif stage == "lint":
            lint()
        elif stage == "house":
            headline("house")
            tally([sys.executable, ROOT / "tools/house.py"], "house")
        elif stage == "deny":
            deny()
        elif stage == "unit":
            if wanted("unit", ["unit"]):
                unit()
        elif stage == "faults":
            faults()
        elif stage == "no-syntax":
            no_syntax()
        elif stage == "valgrind":
            memcheck()
        elif stage.startswith("types:"):
            version = stage.partition(":")[2]
            headline(f"type-check for PostgreSQL {version}")
            failed = subprocess.run([sys.executable, ROOT / "tools/build.py", "typecheck", version]).returncode != 0
            print(f"{'not ok' if failed else 'ok'} - types {version}")
            total.add(not failed, failed)
        elif stage.startswith("core:"):
            core(stage.partition(":")[2])
        elif stage.startswith("mine:"):
            mine(stage.partition(":")[2])
        elif stage.startswith("sql:"):
            server(stage.partition(":")[2], False, sql_only=True)
        else:
            server(stage, "--fast" in sys.argv)
    print(f"\n# {time.time() - started:.0f} s")
    print(f"{total.passed} passed, {total.failed} failed", flush=True)
    sys.exit(1 if total.failed or not total.passed else 0)


if __name__ == "__main__":
    main()
