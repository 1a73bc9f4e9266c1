"""The tiers that need a server, as a table: the function each runs, its needs, and the builds that leave it out.

Invariant: tiers run in the order of the table, on one build; what goes wrong with the build or the cluster fails the server as one, and the
next server goes on. Called by stages.py.
"""

from typing import Callable, NamedTuple

import build
import clients
import suites
import toolchain
from choice import SELECTED, profile
from cluster import Cluster
from toolchain import ROOT
from total import guarded, headline


class Server(NamedTuple):
    """`cluster` runs while tiers do that need it, and is None afterwards."""
    where: str
    config: object
    cluster: object = None


class Tier(NamedTuple):
    name: str
    run: Callable
    needs: str
    slow: bool = False
    sql: str = "no"


# needs: the cluster that tiers share (with the oracle in template1), or a pg_config, for a cluster of its own beside or after that one.
# slow: left out by --fast. sql: whether it belongs to stages sql:SERVER; hostile does on servers with assertions.
CLUSTER, BESIDE, AFTER = "cluster", "pg_config, beside", "pg_config, after"
TIERS = (
    Tier("regress", suites.regress, CLUSTER, sql="yes"),
    Tier("isolation", suites.isolation, CLUSTER, sql="yes"),
    Tier("hostile", clients.hostile, BESIDE, slow=True, sql="with assertions"),
    Tier("docs", suites.docs, CLUSTER),
    Tier("differential", clients.differential, CLUSTER, slow=True),
    Tier("concurrent", clients.concurrent, CLUSTER, slow=True),
    Tier("tpch", clients.tpch, CLUSTER, slow=True),
    Tier("scripts", suites.scripts, AFTER),
)


def chosen(pg, fast, sql_only, again):
    suites_of_sql = {"yes", "with assertions"} if pg.endswith("-assert") else {"yes"}
    left_out = suites_of_sql | {"with assertions"} if again and not SELECTED else set()
    return [tier for tier in TIERS if not (fast and tier.slow) and (not sql_only or tier.sql in suites_of_sql) and tier.sql not in left_out]


def prepare(cluster):
    """Every database that is made from now on has the oracle."""
    cluster.sql((ROOT / "regress/oracle.sql").read_text(), "template1")


def run(pg, fast=False, sql_only=False, again=False):
    """All tiers on one server, or the suites of SQL. `again`: these are run on the same server with assertions, too, and are left out here."""
    where = toolchain.label(pg)
    headline(f"building for {where}")
    with guarded(where):
        server = Server(where, build.install(pg, profile()))
        tiers = chosen(pg, fast, sql_only, again)
        with Cluster(server.config, ram=True) as cluster:
            prepare(cluster)
            for tier in tiers:
                if tier.needs != AFTER:
                    tier.run(server._replace(cluster=cluster))
        for tier in tiers:
            if tier.needs == AFTER:
                tier.run(server)
