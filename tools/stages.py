"""The stages of a run, as a table: for each word of the command line the function it runs, and its needs.

Invariant: a word that is not in the table is a server. Called by check.py.
"""

from typing import Callable, NamedTuple

import builds
import memcheck
import tiers
import workspace


class Stage(NamedTuple):
    run: Callable
    needs: str


# Words that end with a colon take an argument behind it.
STAGES = {
    "format": Stage(workspace.rustfmt, "rustfmt"),
    "house": Stage(workspace.house, "the source"),
    "lint": Stage(workspace.lint, "clippy, and the headers of 18; hadolint and ShellCheck, from wheels"),
    "deny": Stage(workspace.deny, "cargo-deny, which is built"),
    "meta": Stage(workspace.meta, "pgxn_meta, which is built"),
    "unit": Stage(workspace.unit, "cargo"),
    "types:": Stage(workspace.types, "cargo; the bindings that pgrx ships for that version"),
    "faults": Stage(builds.faults, "18, and a build with the feature `faults`"),
    "no-syntax": Stage(builds.no_syntax, "18, and a build without the feature `native_syntax`"),
    "core:": Stage(builds.core, "a server built from source, which keeps the suites"),
    "mine:": Stage(builds.mine, "a server built from source, and SQLsmith"),
    "valgrind": Stage(memcheck.memcheck, "18-valgrind, and Debian's package valgrind"),
    "sql:": Stage(lambda pg: tiers.run(pg, sql_only=True), "a server"),
}


def run(word, fast, words):
    """`fast`: servers without their slow tiers. `words`: all words of this run."""
    name, colon, argument = word.partition(":")
    stage = STAGES.get(name + colon)
    if stage is None:
        tiers.run(word, fast, again=f"sql:{word}-assert" in words)
    elif colon:
        stage.run(argument)
    else:
        stage.run()
