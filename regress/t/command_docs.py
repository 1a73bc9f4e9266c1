"""The examples of docs/reference/command.md, the program being given as argument: what the blocks print is what the page shows.

Blocks ```sh run in order, in one directory and with one database; ```sh fails has to end with status 1. A block without a language behind one has its
output, standard error included, in which … stands for anything.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from cluster import Cluster, Report

COMMAND = Path(sys.argv[1])
PAGE = Path(__file__).resolve().parents[2] / "docs/reference/command.md"
BLOCK = re.compile(r"^```sh(?P<info>[^\n]*)\n(?P<script>.*?)^```\n(?:\n```\n(?P<output>.*?)^```\n)?", re.M | re.S)


def pattern(output):
    return re.compile("".join(".*" if part == "…" else re.escape(part) for part in re.split("(…)", output)), re.S)


def main():
    report = Report()
    with Cluster() as cluster, tempfile.TemporaryDirectory() as directory:
        cluster.sql("CREATE DATABASE docs")
        cluster.sql("CREATE EXTENSION pg_tviews", "docs")
        env = dict(cluster.env, PGDATABASE="docs", TVIEWS_DSN=cluster.dsn("docs"), PATH=f"{COMMAND.parent}:{cluster.bindir}:{os.environ['PATH']}")
        text = PAGE.read_text()
        blocks = 0
        for block in BLOCK.finditer(text):
            blocks += 1
            line = text.count("\n", 0, block.start()) + 1
            done = subprocess.run(["bash", "-e", "-c", block["script"]], cwd=directory, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            wanted = 1 if "fails" in block["info"] else 0
            report.ok(done.returncode == wanted, f"command.md:{line} ends with status {wanted}", f"{done.returncode}\n{done.stdout}")
            if block["output"] is not None:
                report.ok(pattern(block["output"]).fullmatch(done.stdout), f"command.md:{line} prints what is shown", done.stdout)
        report.ok(blocks > 8, "the page has examples", blocks)
        prefix = Path(directory) / "prefix"
        subprocess.run([COMMAND, "generate", prefix], check=True)
        help_text = subprocess.run([COMMAND, "--help"], capture_output=True, text=True, check=True).stdout
        words = re.findall(r"^  ([a-z]+)  ", help_text.partition("Commands:")[2], re.M)
        pages = {page.name: page.read_text() for page in (prefix / "share/man/man1").iterdir()}
        report.ok(len(words) > 8 and set(pages) == {"tviews.1", *(f"tviews-{word}.1" for word in words)} and all(".SH SYNOPSIS" in p for p in pages.values()),
                  "each command has a man page", sorted(pages))
        report.ok(all(f"`tviews {word}" in text for word in words), "and is on the page", words)
        completion = prefix / "share/bash-completion/completions/tviews"
        tried = f"source {completion}; COMP_WORDS=(tviews do); COMP_CWORD=1; _tviews tviews do tviews; echo ${{COMPREPLY[@]}}"
        done = subprocess.run(["bash", "-c", tried], capture_output=True, text=True)
        report.ok(done.stdout.split() == ["doctor"] and (prefix / "share/zsh/site-functions/_tviews").exists(), "bash completes commands", done.stdout + done.stderr)
    report.done()


main()
