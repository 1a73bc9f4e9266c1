"""Stages that have a build or a server of their own: faults, no-syntax, core, mine.

Invariant: a server that was given another build gets its ordinary one back, whatever happens. Called by stages.py.
"""

import os

import build
import clients
import toolchain
from choice import profile, wanted
from cluster import Cluster
from suites import script
from total import guarded, headline
from watch import MINUTES


def faults():
    """The differential test on a build in which rules of maintenance can be broken."""
    if not wanted("faults"):
        return
    headline("faults")
    profile = os.environ.get("PROFILE", "dev")
    try:
        with guarded("faults"):
            config = build.install("18", profile, [*build.USUAL, "faults"])
            with Cluster(config, ram=True) as cluster:
                clients.faults(cluster)
    finally:
        build.install("18", profile)


def no_syntax():
    """The build without the native syntax: everything else works."""
    if not wanted("no-syntax"):
        return
    headline("no-syntax")
    try:
        with guarded("no-syntax"):
            script("t/syntax.py", "no-syntax", build.install("18", profile(), []), "absent")
    finally:
        build.install("18", profile())


def core(pg):
    """PostgreSQL's own suites, on a server built from source, which has them."""
    if not wanted("core"):
        return
    where = toolchain.label(pg)
    headline(f"core, {where}")
    with guarded(f"core, {where}"):
        script("core/run.py", "core", build.install(pg, profile()))


def mine(pg):
    """Queries of PostgreSQL's own suite and of SQLsmith as TVIEWs; not in CI."""
    headline(f"mined queries, {toolchain.label(pg)}")
    script("core/mine.py", "mined", build.install(pg, profile()), minutes=6 * MINUTES)
