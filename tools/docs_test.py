"""Runs the SQL of the documentation: `docs_test.py DSN`, with psql on the path.

Each Markdown file (README.md, docs/**) gets a database with the extension; its ```sql blocks run in order, stopping at the first error.
A block ```sql fails must fail. A block ```sql ignore is not run, and the line before it says why.
A block ```output or ```error shows lines that the block of SQL before it has printed, notices and errors of the server included, as psql prints
them; … stands for whatever may differ.
Generated parts of pages must be what reference.py makes of this server.
Invariant: one `ok` or `not ok` line per block, so that nothing in the documentation is silently skipped. Called by the tier docs.
"""

import re
import subprocess
import sys
from pathlib import Path

import reference

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = "docs_template"  # with the extension: copied for each page
BLOCK = re.compile(r"^(?P<indent> *)```(?P<info>(?:sql|output|error)[^\n]*)\n(?P<text>.*?)^(?P=indent)```\s*$", re.M | re.S)


def psql(dsn, script):
    command = ["psql", "-X", "-q", "-d", dsn, "-v", "ON_ERROR_STOP=1", "-f", "-"]
    return subprocess.run(command, input=script, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def of(dsn, database):
    return re.sub(r"dbname=\S+", f"dbname={database}", dsn)


def blocks(text):
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        before = text[: match.start()].rstrip("\n").rpartition("\n")[2]
        yield line, match["info"].split(), match["text"], before


def printed(output):
    """Lines as a page shows them: without psql's own name, and blanks at their ends."""
    return [re.sub(r"^psql:<stdin>:\d+: ", "", line).rstrip() for line in output.splitlines()]


def shows(output, text):
    """Whether these lines stand in the output, one behind the other."""
    wanted = [re.compile(".*".join(re.escape(part) for part in line.rstrip().split("…"))) for line in text.strip("\n").splitlines()]
    found = printed(output)
    return any(all(pattern.fullmatch(line) for pattern, line in zip(wanted, found[n:])) for n in range(len(found) - len(wanted) + 1))


def run(dsn, info, sql, before):
    """Whether a block of SQL does what it is to do, what is to be known when it does not, and what it printed."""
    if "ignore" in info:
        return bool(before.strip()) and not before.startswith("```"), "say why on the line before", "ignored", ""
    done = psql(dsn, sql)
    fails = "fails" in info
    return (done.returncode != 0) == fails, done.stdout or "did not fail", "fails" if fails else "runs", done.stdout


def test(path, dsn, database):
    """All blocks of one file; returns the number of failures."""
    name = path.relative_to(ROOT)
    psql(dsn, f"CREATE DATABASE {database} TEMPLATE {TEMPLATE}")
    own = of(dsn, database)
    failures, last = 0, ""
    for line, info, text, before in blocks(path.read_text()):
        if info[0] == "sql":
            passed, detail, label, last = run(own, info, text, before)
        else:
            passed, detail, label = shows(last, text), "\n".join(printed(last)) or "nothing was printed", info[0]
        print(f"{'ok' if passed else 'not ok'} - {name}:{line} {label}", flush=True)
        if not passed:
            failures += 1
            print("".join(f"#   {row}\n" for row in detail.splitlines()[:40]), end="", flush=True)
    psql(dsn, f"DROP DATABASE {database} WITH (FORCE)")
    return failures


def main():
    """Arguments after the first one are files: only these."""
    files = [Path(name).resolve() for name in sys.argv[2:]] or [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    psql(sys.argv[1], f"CREATE DATABASE {TEMPLATE}")
    psql(of(sys.argv[1], TEMPLATE), "CREATE EXTENSION pg_tviews")
    failures = sum(test(path, sys.argv[1], f"docs_{n}") for n, path in enumerate(files) if path.exists())
    if not sys.argv[2:]:
        failures += reference.check(sys.argv[1])
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
