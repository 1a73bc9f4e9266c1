"""Stages that need no server: format, lint, deny, house, meta, unit tests, types.

Invariant: a tool that a minimal toolchain lacks leaves its stage out, except in CI, where it fails. Called by stages.py.
"""

import os
import re
import subprocess
import sys

import build
import toolchain
from choice import wanted
from clients import host_environment
from toolchain import ROOT
from total import headline, total, verdict
from watch import passes, sums, tally

UNIT = re.compile(r"^test result: .*? (\d+) passed; (\d+) failed")
# what knows no PostgreSQL
UNITS = ["-p", "tviews_core", "-p", "tviews_tpch", "-p", "tviews_differential", "-p", "tviews_hostile"]
COMMAND = ["-p", "tviews_cli"]


def step(name, *arguments, env=None):
    """A cargo command that passes or fails as one."""
    headline(name)
    if subprocess.run(["cargo", arguments[0], "--version"], capture_output=True).returncode:
        print(f"# not run: cargo {arguments[0]} is not installed")
        if os.environ.get("CI"):
            verdict(True, name)
        return
    passes(["cargo", *arguments], name, cwd=ROOT, env=env)


def rustfmt():
    step("format", "fmt", "--all", "--check")


def lint():
    """The workspace as it is built, with its tests; and the extension without the syntax and with every optional feature. The command is looked at
    where its tests are built, so that PostgreSQL's parser is compiled once."""
    environment = build.environment("18", toolchain.pg_config("18"))
    strictly = ["--", "-D", "warnings"]
    clippy = ["clippy", *build.compiler_options()]
    step("lint", *clippy, "--workspace", "--exclude", "tviews_cli", *strictly, env=environment)
    step("lint, tests", *clippy, *UNITS, "--all-targets", *strictly, env=environment)
    step("lint, command", *clippy, *COMMAND, "--all-targets", *strictly, env=host_environment())
    for chosen in ([], [*build.USUAL, "faults"]):
        name = f"lint, {' '.join(chosen) or 'no features'}"
        step(name, *clippy, "-p", "pg_tviews", "--lib", *build.features("18", chosen), *strictly, env=environment)
    passes([toolchain.hadolint(), "docker/Dockerfile"], "lint, Dockerfile", cwd=ROOT)
    passes([toolchain.shellcheck(), "docker/entrypoint.sh", "tools/release.sh", "sql/convert_tviews.sh"], "lint, scripts of the shell", cwd=ROOT)


def deny():
    """Licences and sources of everything that is linked (deny.toml)."""
    headline("deny")
    passes([toolchain.cargo_deny(), "check", "licenses", "sources", "bans"], "deny", cwd=ROOT)


def meta():
    """META.json, by PGXN's own validator; not in CI, for that is built."""
    headline("meta")
    passes([toolchain.pgxn_meta(), "META.json"], "META.json", cwd=ROOT)


def house():
    headline("house")
    tally([sys.executable, ROOT / "tools/house.py"], "house")


def unit():
    if not wanted("unit"):
        return
    headline("unit")
    before = total.failed
    if sums(["cargo", "test", *UNITS, *COMMAND], UNIT, cwd=ROOT, env=host_environment()) and total.failed == before:
        total.add(0, 1)


def types(version):
    headline(f"type-check for PostgreSQL {version}")
    failed = subprocess.run([sys.executable, ROOT / "tools/build.py", "typecheck", version]).returncode != 0
    verdict(failed, f"types {version}")
