"""PostgreSQL's own regression and isolation suites, with the extension created in template1: they must say what they say without it.

A test whose output is not the expected one is `not ok`, unless each line of the difference is one of `known`, or the same test gives the same output
on a server without the extension. That other run is only made when it is needed: tests build on each other, so it is the whole suite.
Invariant: one `ok` or `not ok` line per test. $PG_CONFIG names a server built from source by tools/toolchain.py, which keeps the suites.
Called by tools/check.py. Outputs and differences are left in target/results/core.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent / "t"), str(ROOT / "tools")]
from cluster import Cluster, Report  # noqa: E402
from toolchain import CORE  # noqa: E402

OUTPUT = ROOT / "target/results/core"
# suite: driver, schedule, database (its name is in expected outputs)
SUITES = {
    "regress": ("regress/pg_regress", "parallel_schedule", "regression"),
    "isolation": ("isolation/pg_isolation_regress", "isolation_schedule", "isolation_regression"),
}
CONNECTIONS = "8"
LIMIT = 420  # seconds for a suite, which takes less than one minute
STEP = "15"  # seconds; a step of an isolation test that waits for twice as long is cancelled
TEST = re.compile(r"^(not ok|ok)\b\s+\d+\s+[-+]\s+(\S+)")
# The servers of these suites are plain ones: what they say depends on settings that other tests need.
PLAIN = {"wal_level": "replica", "max_prepared_transactions": "2"}
# As pg_regress sets them in a database that it creates itself.
SETTINGS = ("lc_messages = 'C'", "lc_monetary = 'C'", "lc_numeric = 'C'", "lc_time = 'C'", "bytea_output = 'hex'", "timezone_abbreviations = 'Default'")


def known():
    """What may differ: (suite, test) → [regular expression of a whole line]."""
    found = {}
    for line in (HERE / "known").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, pattern = line.partition(" ")
            found.setdefault(tuple(name.split("/")), []).append(re.compile(pattern.strip()))
    return found


def scheduled(suite):
    lines = (Path(os.environ["PG_CONFIG"]).parents[1] / CORE / suite / SUITES[suite][1]).read_text().splitlines()
    return [test for line in lines if line.startswith("test:") for test in line[5:].split()]


def differences(diffs):
    """regression.diffs, by test: the lines that came and went."""
    found, current, header = {}, None, 0
    for line in diffs.read_text(errors="replace").splitlines() if diffs.exists() else ():
        if line.startswith("diff "):
            current, header = found.setdefault(Path(line.split()[-1]).stem, []), 2
        elif header:
            header -= 1
        elif line[:1] in ("+", "-"):
            current.append(line)
    return found


def run(suite, extension):
    """One run of a suite: (test → passed, where its outputs are)."""
    driver, schedule, database = SUITES[suite]
    kind = "with" if extension else "without"
    with Cluster(ram=True, **PLAIN, shared_preload_libraries="pg_tviews" if extension else "") as cluster:
        server = cluster.bindir.parent
        libraries = Path(cluster.tool("pg_config", "--pkglibdir").strip())
        drivers = Path(cluster.tool("pg_config", "--pgxs").strip()).parents[1] / "test"
        if extension:
            # Not into public, which the suites look at.
            cluster.sql("CREATE SCHEMA tviews_interface; CREATE EXTENSION pg_tviews SCHEMA tviews_interface", "template1")
        cluster.sql(f"CREATE DATABASE {database} TEMPLATE template1")
        cluster.sql("".join(f"ALTER DATABASE {database} SET {setting};" for setting in SETTINGS))
        output = cluster.directory / "output"
        output.mkdir()
        cluster._give(output)  # the server writes there, too
        inputs = server / CORE / suite
        command = [drivers / driver, f"--inputdir={inputs}", f"--expecteddir={inputs}", f"--outputdir={output}", f"--bindir={cluster.bindir}", f"--dlpath={libraries}",
                   f"--host={cluster.directory}", "--port=5432", "--user=postgres", f"--dbname={database}", "--use-existing",
                   f"--max-connections={CONNECTIONS}", f"--schedule={inputs / schedule}"]
        kept = OUTPUT / suite / kind
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        with open(kept / "stdout", "w") as stdout:
            try:
                subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.STDOUT, timeout=LIMIT,
                               env=dict(cluster.env, PG_TEST_TIMEOUT_DEFAULT=STEP), cwd=output, **cluster.as_server())
            except subprocess.TimeoutExpired:
                pass  # the tests that are left have no result
        said = (kept / "stdout").read_text(errors="replace")
        passed = {match[2]: match[1] == "ok" for match in map(TEST.match, said.splitlines()) if match}
        shutil.copytree(output, kept, dirs_exist_ok=True)
        shutil.copy(cluster.log, kept / "server.log")
        if not passed:
            raise RuntimeError(f"{driver} ran nothing:\n{said[-2000:]}\n{cluster.log_tail()}")
        return passed, kept


def check(report, suite):
    passed, ours = run(suite, True)
    diffs, listed, plain = differences(ours / "regression.diffs"), known(), None
    used = set()
    late = [test for test in scheduled(suite) if test not in passed]
    report.ok(not late, f"core {suite}: all tests ended", f"within {LIMIT} s, the first that did not: {late[:1]}")
    for test, good in passed.items():
        name = f"core {suite} {test}"
        patterns = listed.get((suite, test), [])
        lines = diffs.get(test, ["(no difference was recorded)"])
        left = [line for line in lines if not any(pattern.fullmatch(line) for pattern in patterns)]
        if good or not left:
            if not good:
                used.add((suite, test))
            report.ok(True, name if good else f"{name} (known)")
            continue
        if plain is None:
            _, plain = run(suite, False)
        mine, other = (place / "results" / f"{test}.out" for place in (ours, plain))
        same = mine.exists() and other.exists() and mine.read_bytes() == other.read_bytes()
        report.ok(same, f"{name} (as without the extension)" if same else name, "\n".join(left[:60]))
    stale = {key for key in listed if key[0] == suite} - used
    report.ok(not stale, f"core {suite}: nothing is listed that does not occur", " ".join("/".join(key) for key in sorted(stale)))
    crashed = "TRAP: " in (ours / "server.log").read_text(errors="replace")
    report.ok(not crashed, f"core {suite}: no assertion failed")


def main():
    report = Report()
    text = (ROOT / "docs/internals/verification.md").read_text()
    silent = [f"{suite}/{test}" for suite, test in known() if f"`{test}`" not in text]
    report.ok(not silent, "core: docs/internals/verification.md gives the reason of each known difference", " ".join(silent))
    if not (Path(os.environ["PG_CONFIG"]).parents[1] / CORE).exists():
        sys.exit("not ok - core: this server has no suites; PG=18-assert has, built again if its directory in target/cache is an old one")
    for suite in sys.argv[1:] or SUITES:
        check(report, suite)
    report.done()


if __name__ == "__main__":
    main()
