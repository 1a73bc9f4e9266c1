"""The page of the documentation: docs/reference/benchmarks.md.

Invariant: its sections stand in the order of `make bench`; a new one replaces what stood from its heading on. Called by run.py, writers.py, many_writers.py, deferred.py,
syntax.py, documents.py and loads.py.
"""

import datetime
import os
import re
from pathlib import Path

import pgbench  # first: finds the others
import build
import toolchain

PAGE = pgbench.ROOT / "docs/reference/benchmarks.md"


def processor():
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M) if Path("/proc/cpuinfo").exists() else []
    return f"{os.cpu_count()} cores" + (f", {names[0]}" if names else "")


def measured(config):
    """When, and on which server with which build."""
    return f'{datetime.date.today().isoformat()}, {toolchain.ask(config, "version")[0]}, pg_tviews {build.version()} (release build)'


def picture(name, what):
    """A plot of the figures of a section, which `make plots` draws when they are new."""
    return f"![{what}](../img/{name}.svg)"


def write(text):
    """The page with its first section."""
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text)
    toolchain.say(f"written to {PAGE.relative_to(pgbench.ROOT)}")


def write_section(heading, text):
    """Puts a section behind the sections written before it."""
    write(f"{PAGE.read_text().partition(heading)[0].rstrip()}\n\n{text}")
