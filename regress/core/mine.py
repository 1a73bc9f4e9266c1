"""Queries of others as queries of TVIEWs: the SELECTs of PostgreSQL's own regression suite, and those that SQLsmith makes over its tables.

The suite's scripts are run one after the other, as they are, and each SELECT is tried before it runs (mine.sql): a TVIEW of it is made, compared with
it, compared again after rows of its tables went and came back, and rolled back. `not ok` is a query whose TVIEW differs, fails where the query does not,
or is refused with an internal error. Queries without one result (unordered LIMIT, random()) are listed in `without_one_result`.
Invariant: an `ok` line per script, and one for SQLsmith. $PG_CONFIG names a server with the suites. Not a part of CI: it takes long.
Called by tools/check.py; SOURCES="join select sqlsmith" takes these only, QUERIES=n so many of SQLsmith.
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
from cluster import Cluster, Report, SqlError  # noqa: E402
from toolchain import CORE  # noqa: E402

OUTPUT = ROOT / "target/results/mined"
QUERY = re.compile(r"^\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:(?:SELECT|WITH|VALUES|TABLE)\b|\()", re.I | re.S)
VARIABLE = re.compile(r"(?<!:):['\"{a-zA-Z_]")
INTO = re.compile(r"\b(INTO|FOR\s+(?:NO\s+KEY\s+)?UPDATE|FOR\s+(?:KEY\s+)?SHARE)\b", re.I)
# What CREATE TVIEW may say of a query that the server can keep: it is refused, with a reason, or it needs what this user lacks.
REFUSALS = ("0A000", "42501", "54000", "54001", "54011", "53200")


def statements(text):
    """(statement with its end, whether it is SQL that ends with a semicolon) of a psql script."""
    at, start, depth = 0, 0, 0
    while at < len(text):
        c = text[at]
        if text.startswith("--", at):
            at = text.find("\n", at) % (len(text) + 1)
            continue
        if text.startswith("/*", at):
            at = text.find("*/", at) + 2
            continue
        if c in "'\"":
            escapes = c == "'" and text[at - 1 : at] in ("e", "E")
            at += 1
            while at < len(text) and text[at] != c:
                at += 2 if escapes and text[at] == "\\" else 1
            at += 1
            continue
        dollar = re.compile(r"\$(?:[A-Za-z_]\w*)?\$").match(text, at)
        if dollar and not (at and (text[at - 1].isalnum() or text[at - 1] == "_")):
            end = text.find(dollar[0], dollar.end())
            at = end + len(dollar[0]) if end >= 0 else len(text)
            continue
        if c == "\\":
            line = text.find("\n", at)
            line = len(text) if line < 0 else line
            yield text[start : line + 1], False
            at = start = line + 1
            continue
        if re.compile(r"begin\s+atomic\b", re.I).match(text, at):
            depth += 1
        elif depth and re.compile(r"\bend\b", re.I).match(text, at) and not text[at - 1].isalnum():
            depth -= 1
        if c == ";" and not depth:
            yield text[start : at + 1], True
            start = at + 1
        at += 1
    yield text[start:], False


def copies(statement):
    return re.match(r"\s*(?:--[^\n]*\n\s*)*copy\b.*\bfrom\s+stdin\b", statement, re.I | re.S)


def tagged(query):
    tag = "$mined_query$"
    return f"{tag}{query}{tag}"


def interposed(name, text):
    """A script in which each query is tried before it runs, and how many are."""
    out, tried, data = [], 0, False
    for statement, ends in statements(text):
        if data:
            # rows of COPY look like anything
            out.append(statement)
            data = "\\." not in statement
            continue
        if ends and QUERY.match(statement) and not VARIABLE.search(statement) and not INTO.search(statement):
            query = statement.rstrip().rstrip(";")
            out.append(f"\nSELECT mined.try('{name}', {tagged(query)}) \\g /dev/null\n")
            tried += 1
        out.append(statement)
        data = bool(ends and copies(statement))
    return "".join(out), tried


def judge(report, cluster, name, listed, tried, database="regression"):
    cluster.sql("", database)
    rows = cluster.sql(f"COPY (SELECT state, at, message, query FROM mined.log WHERE source = '{name}') TO STDOUT", database)
    bad, refused, counts = [], [], {"exact": 0, "refused": 0, "of more than the query computes": 0, "no plain view": 0}
    for row in filter(None, rows.split("\n")):
        state, at, message, query = row.split("\t", 3)
        if state == "TV000":
            counts["exact"] += 1
        elif at == "plain":
            counts["no plain view"] += 1
        elif at == "create" and state.startswith("22"):
            # a stage computes what the query does not need: docs/reference/supported-sql.md
            counts["of more than the query computes"] += 1
        elif at == "create" and state in REFUSALS:
            counts["refused"] += 1
            refused.append(f"{state} {message}\n    {query}")
        elif not any(pattern.search(query) for pattern in listed):
            bad.append(f"{state} at {at}: {message}\n    {query}")
    for kind, lines in {"bad": bad, "refused": refused}.items():
        (OUTPUT / f"{name}.{kind}").write_text("\n".join(lines))
    summary = ", ".join(f"{n} {what}" for what, n in counts.items())
    report.ok(not bad, f"mined {name}: {tried} queries, {summary}", f"{len(bad)} bad\n" + "\n".join(bad[:8]))


def scripts(inputs):
    lines = (inputs / "parallel_schedule").read_text().splitlines()
    return [test for line in lines if line.startswith("test:") for test in line[5:].split()]


def listed():
    """Patterns of queries that have no one result."""
    lines = (HERE / "without_one_result").read_text().splitlines()
    return [re.compile(line) for line in lines if line.strip() and not line.startswith("#")]


def sqlsmith(report, cluster, patterns):
    """Random queries over the tables of the suite, all in one transaction each."""
    if not shutil.which("sqlsmith"):
        sys.exit("not ok - mined: sqlsmith is not there; apt-get install sqlsmith")
    count = int(os.environ.get("QUERIES", "2000"))
    seed = os.environ.get("SEED", "1")
    target = cluster.dsn("regression")
    done = subprocess.run(["sqlsmith", "--dry-run", f"--target={target}", f"--max-queries={count}", f"--seed={seed}", "--exclude-catalog"],
                          capture_output=True, text=True, errors="replace", timeout=900)
    made = [s.strip().rstrip(";") for s in re.split(r";\n", done.stdout)]
    queries = [q for q in made if QUERY.match(q) and not INTO.search(q)]
    script = "".join(f"SELECT mined.try('sqlsmith', {tagged(q)}) \\g /dev/null\n" for q in queries)
    run(cluster, "sqlsmith", script)
    judge(report, cluster, "sqlsmith", patterns, len(queries))


def run(cluster, name, script, environment=()):
    with open(OUTPUT / f"{name}.out", "w") as out:
        subprocess.run([str(cluster.bindir / "psql"), "-X", "-a", "-q", "-d", "regression", "-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on"], input=script, stdout=out,
                       stderr=subprocess.STDOUT, text=True, errors="replace", env=dict(cluster.env, PGTZ="America/Los_Angeles", PGDATESTYLE="Postgres, MDY", **dict(environment)), timeout=1800)


def main():
    report = Report()
    config = Path(os.environ["PG_CONFIG"])
    inputs = config.parents[1] / CORE / "regress"
    if not inputs.exists():
        sys.exit("not ok - mined: this server has no suites; PG=18-assert has")
    wanted = os.environ.get("SOURCES", "").split()
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    patterns = listed()
    with Cluster(ram=True, wal_level="replica", max_prepared_transactions="2") as cluster:
        libraries = cluster.tool("pg_config", "--pkglibdir").strip()
        environment = {"PG_ABS_SRCDIR": str(inputs), "PG_LIBDIR": libraries, "PG_DLSUFFIX": ".so", "PG_ABS_BUILDDIR": str(cluster.directory)}
        (cluster.directory / "results").mkdir()
        cluster._give(cluster.directory / "results")
        cluster.sql("CREATE DATABASE regression TEMPLATE template0")
        cluster.sql("CREATE EXTENSION pg_tviews; ALTER DATABASE regression SET pg_tviews.ctas_prefix = ''; ALTER DATABASE regression SET statement_timeout = '60s'", "regression")
        cluster.sql((HERE / "mine.sql").read_text(), "regression")
        for name in scripts(inputs):
            script = (inputs / "sql" / f"{name}.sql").read_text(errors="replace")
            tried = 0
            if not wanted or name in wanted:
                script, tried = interposed(name, script)
            run(cluster, name, script, environment.items())
            if tried:
                judge(report, cluster, name, patterns, tried)
        if not wanted or "sqlsmith" in wanted:
            sqlsmith(report, cluster, patterns)
        log = cluster.log.read_text(errors="replace")
        shutil.copy(cluster.log, OUTPUT / "server.log")
        report.ok("TRAP: " not in log and "terminated by signal" not in log, "mined: no assertion failed")
    report.done()


if __name__ == "__main__":
    main()
