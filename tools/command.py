"""Builds the command tviews for use: the program, its man pages and its completions, below target/command.

Invariant: what is there belongs to one build: man pages and completions are written by the program itself. Called by `make cli`.
"""

import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "regress/t"))
import clients  # noqa: E402
from build import put  # noqa: E402
from shell import ROOT, TARGET, fail, say  # noqa: E402


def main():
    if subprocess.run(["cargo", "build", "--release", "-p", "tviews_cli"], cwd=ROOT, env=clients.release_environment()).returncode:
        fail("the command could not be built")
    built, where = TARGET / "host/release/tviews", TARGET / "command"
    shutil.rmtree(where, ignore_errors=True)
    put(built, where / "bin")
    program = where / "bin/tviews"
    program.chmod(0o755)
    subprocess.run([program, "generate", where], check=True)
    say(f"the command is {program}")


if __name__ == "__main__":
    main()
