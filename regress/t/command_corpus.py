"""`tviews lint`, the program being given as argument, over the queries of the regression tests: whatever it says without a doubt is what a server says.

Each file of regress/sql is a schema: its tables, functions and views are made in a database, and its TVIEWs are looked at by the file alone and by that
database. Queries that the database cannot look at, because what they read is made in other ways, are counted and left out.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from cluster import Cluster, Report

COMMAND = sys.argv[1]
FILES = sorted((Path(__file__).resolve().parents[1] / "sql").glob("*.sql"))
MADE = re.compile(r"\s*(--[^\n]*\n\s*)*(CREATE (OR REPLACE )?(UNIQUE )?(TABLE|INDEX|FUNCTION|TYPE|DOMAIN|VIEW|AGGREGATE|SCHEMA|STATISTICS)|ALTER TABLE)", re.I)


def lint(file, *options):
    done = subprocess.run([COMMAND, "lint", "--format", "json", *options, file], capture_output=True, text=True)
    if done.returncode == 2:
        raise RuntimeError(done.stderr)
    return [view for view in json.loads(done.stdout) if view["kind"] != "view"]


def strategies(view):
    return {table["base_table"].split(".")[-1]: table["strategy"] for table in view["tables"]}


def main():
    report = Report()
    seen = Counter()
    with Cluster(ram=True) as cluster:
        cluster.sql("CREATE EXTENSION pg_tviews", "template1")
        for file in FILES:
            name = f"corpus_{file.stem}"
            cluster.sql(f"CREATE DATABASE {name}")
            made = [s for s in re.split(r";\s*\n", file.read_text()) if MADE.match(s)]
            psql = [str(cluster.bindir / "psql"), "-X", "-q", "-d", name, "-f", "-"]
            subprocess.run(psql, input=";\n".join(made) + ";\n", text=True, env=cluster.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wrong = []
            for by_file, by_server in zip(lint(file), lint(file, "--dsn", cluster.dsn(name))):
                if by_server["refused"] and "cannot be" not in by_server["refused"][0]["message"]:
                    seen["left out"] += 1
                    continue
                same = strategies(by_file) == strategies(by_server) and bool(by_file["refused"]) == bool(by_server["refused"])
                seen["doubts" if by_file["doubts"] else "sure"] += 1
                if not same and not by_file["doubts"]:
                    wrong.append(f"line {by_file['line']}, {by_file['name']}: {strategies(by_file)} {by_file['refused']}\nserver: {strategies(by_server)} {by_server['refused']}")
            report.ok(not wrong, f"{file.name}: nothing is said that is not so", "\n".join(wrong))
            cluster.sql(f"DROP DATABASE {name}")
    report.ok(seen["sure"] > 400 and seen["sure"] > seen["doubts"], "and much is said", seen)
    report.done()


main()
