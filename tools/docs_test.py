"""Runs the SQL of the documentation: `docs_test.py DSN`, with psql on the path.

Each Markdown file (README.md, docs/**) gets a database with the extension; its ```sql blocks run in order, stopping at the first error.
A block ```sql fails must fail. A block ```sql ignore is not run, and the line before it says why.
Invariant: one `ok` or `not ok` line per block, so that nothing in the documentation is silently skipped. Called by the tier docs.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^(?P<indent> *)```sql(?P<info>[^\n]*)\n(?P<sql>.*?)^(?P=indent)```\s*$", re.M | re.S)


def psql(dsn, script):
    command = ["psql", "-X", "-q", "-d", dsn, "-v", "ON_ERROR_STOP=1", "-f", "-"]
    return subprocess.run(command, input=script, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def blocks(text):
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        before = text[: match.start()].rstrip("\n").rpartition("\n")[2]
        yield line, match["info"].split(), match["sql"], before


def test(path, dsn, database):
    """All blocks of one file; returns the number of failures."""
    name = path.relative_to(ROOT)
    psql(dsn, f"CREATE DATABASE {database}")
    own = re.sub(r"dbname=\S+", f"dbname={database}", dsn)
    psql(own, "CREATE EXTENSION pg_tviews")
    failures = 0
    for line, info, sql, before in blocks(path.read_text()):
        if "ignore" in info:
            passed, detail = bool(before.strip()) and not before.startswith("```"), "say why on the line before"
            label = "ignored"
        else:
            done = psql(own, sql)
            passed, detail = (done.returncode != 0) == ("fails" in info), done.stdout or "did not fail"
            label = "fails" if "fails" in info else "runs"
        print(f"{'ok' if passed else 'not ok'} - {name}:{line} {label}", flush=True)
        if not passed:
            failures += 1
            print("".join(f"#   {row}\n" for row in detail.splitlines()[:20]), end="", flush=True)
    psql(dsn, f"DROP DATABASE {database} WITH (FORCE)")
    return failures


def main():
    files = [path for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if path.exists()]
    sys.exit(1 if sum(test(path, sys.argv[1], f"docs_{n}") for n, path in enumerate(files)) else 0)


if __name__ == "__main__":
    main()
