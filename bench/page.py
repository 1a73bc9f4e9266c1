"""The page of the documentation: docs/reference/benchmarks.md.

Invariant: what is measured anew replaces its own part, from its heading to the next one, and leaves the others; a new part comes last. The first part has no heading of its own.
Called by what `make bench` runs.
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
    others = sections()[1:] if PAGE.exists() else []
    put([text, *others])


def write_section(heading, text):
    """Puts a section in the place of the one with its heading."""
    all_of_them = sections()
    places = [place for place, section in enumerate(all_of_them) if section.startswith(f"{heading}\n")]
    if places:
        all_of_them[places[0]] = text
    else:
        all_of_them.append(text)
    put(all_of_them)


def sections():
    return re.split(r"^(?=## )", PAGE.read_text(), flags=re.M)


def put(texts):
    PAGE.write_text("\n\n".join(text.strip() for text in texts) + "\n")
    toolchain.say(f"written to {PAGE.relative_to(pgbench.ROOT)}")
