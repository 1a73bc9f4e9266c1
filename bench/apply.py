"""`make bench`, last part: how fast subscriptions apply, with and without TVIEWs: `apply.py [PG]`. Writes the figures of docs/operate/scale-out.md.

One publisher writes a load while all subscriptions are disabled; then one subscriber after the other is enabled, and the time is taken until it has applied
all of it. Tables, publications and TVIEWs are those of examples/scale_out.
Invariant: after each load every TVIEW of the subscriber equals its query; otherwise the run ends with an error and no table.
Variables: $ROUNDS.
"""

import contextlib
import statistics
import sys
import time

import pgbench  # first: finds the others
import build
import page
import toolchain
from cluster import Cluster

EXAMPLE = pgbench.ROOT / "examples/scale_out"
PAGE = pgbench.ROOT / "docs/operate/scale-out.md"
HEADING = "## Figures"
ROUNDS = min(pgbench.ROUNDS, 5)
SETTINGS = {"synchronous_commit": "off", "shared_buffers": "256MB", "autovacuum": "off", "full_page_writes": "on", "fsync": "on", "wal_level": "logical",
            "jit": "off", "max_wal_size": "4GB"}
SHOPS, SALES = 1000, 100_000
IDENTITY = "CREATE UNIQUE INDEX sale_identity ON sale (id, shop); ALTER TABLE sale REPLICA IDENTITY USING INDEX sale_identity;"

# What a subscriber has, and the publication it subscribes to.
TOTAL, DOCUMENT = "shop_total", "sale_page"
VARIANTS = {"no TVIEW": ((), "reads"), "a total": ((TOTAL,), "reads"), "a document": ((DOCUMENT,), "reads"), "both": ((TOTAL, DOCUMENT), "reads"),
            "a shard with its total": (("day_total",), "shard_0")}

SMALL, LARGE, SHOPS_RENAMED = 20_000, 100_000, 300
NEXT = "(SELECT coalesce(max(id), 0) FROM sale)"
LOADS = {
    f"{SMALL:,} transactions that insert one sale": (SMALL, f"DO $$ DECLARE n bigint := {NEXT}; BEGIN FOR i IN 1..{SMALL} LOOP "
                                                            f"INSERT INTO sale VALUES (n + i, 1 + i * 7919 % {SHOPS}, '2026-01-01', i % 97); COMMIT; END LOOP; END $$"),
    f"{SMALL:,} transactions that change one sale": (SMALL, f"DO $$ BEGIN FOR i IN 1..{SMALL} LOOP "
                                                            f"UPDATE sale SET amount = amount + 1 WHERE id = 1 + i * 7919 % {SALES}; COMMIT; END LOOP; END $$"),
    f"one transaction that inserts {LARGE:,} sales": (LARGE, f"INSERT INTO sale SELECT {NEXT} + i, 1 + i * 7919 % {SHOPS}, '2026-01-02', i % 97 FROM generate_series(1, {LARGE}) i"),
    f"{SHOPS_RENAMED} transactions that rename a shop (100 sales and more each)": (SHOPS_RENAMED, f"DO $$ BEGIN FOR i IN 1..{SHOPS_RENAMED} LOOP "
                                                                                                 "UPDATE shop SET name = 'renamed ' || random() WHERE id = i; COMMIT; END LOOP; END $$"),
}


def definition(tview):
    """CREATE TVIEW … as the example has it."""
    for name in ("reader.sql", "shard.sql"):
        for statement in (EXAMPLE / name).read_text().split(";"):
            if f"CREATE TVIEW {tview} " in statement:
                return statement + ";"
    return sys.exit(f"error: examples/scale_out has no TVIEW {tview}")


class Subscriber:
    def __init__(self, cluster, publisher, name, variant):
        self.cluster, self.publisher, self.name = cluster, publisher, name
        self.tviews, self.publication = variant
        cluster.sql((EXAMPLE / "tables.sql").read_text() + IDENTITY)
        if self.tviews:
            cluster.sql("CREATE EXTENSION pg_tviews;" + "".join(definition(t) for t in self.tviews))
        cluster.sql(f"CREATE SUBSCRIPTION {name} CONNECTION '{publisher.dsn()}' PUBLICATION {self.publication}")
        self.wait("the first copy", lambda: cluster.sql("SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel") == "t")
        self.applied()
        self.disable()
        cluster.sql("VACUUM ANALYZE; CHECKPOINT")

    def wait(self, what, is_done, seconds=600):
        deadline = time.time() + seconds
        while not is_done():
            if time.time() > deadline:
                sys.exit(f"error: {what} does not end:\n{self.cluster.log_tail()}")
            time.sleep(0.01)

    def disable(self):
        self.cluster.sql(f"ALTER SUBSCRIPTION {self.name} DISABLE")
        self.wait("the worker", lambda: self.publisher.sql(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{self.name}'") == "f")

    def applied(self):
        end = self.publisher.sql("SELECT pg_current_wal_lsn()")
        done = f"SELECT coalesce(bool_and(replay_lsn >= '{end}'), false) FROM pg_stat_replication WHERE application_name = '{self.name}'"
        self.wait("apply", lambda: self.publisher.sql(done) == "t")

    def catch_up(self):
        """Seconds from the first row to the last."""
        started = time.perf_counter()
        self.cluster.sql(f"ALTER SUBSCRIPTION {self.name} ENABLE")
        self.applied()
        taken = time.perf_counter() - started
        self.disable()
        for tview in self.tviews:
            if rows := self.cluster.difference(tview):
                sys.exit(f"error: TVIEW {tview} differs from its query by {rows} rows")
        return taken


def measure(config):
    """Seconds by (load, variant), in rounds that take the variants in turn."""
    with contextlib.ExitStack() as stack:
        publisher = stack.enter_context(Cluster(config, **SETTINGS))
        publisher.sql((EXAMPLE / "tables.sql").read_text())
        publisher.sql(f"INSERT INTO shop SELECT i, 'shop ' || i FROM generate_series(1, {SHOPS}) i; "
                      f"INSERT INTO sale SELECT i, 1 + i % {SHOPS}, date '2026-01-01' + i % 60, i % 97 FROM generate_series(1, {SALES}) i")
        publisher.sql((EXAMPLE / "writer.sql").read_text() + "VACUUM ANALYZE")
        subscribers = {}
        for number, (variant, what) in enumerate(VARIANTS.items()):
            toolchain.say(f"subscriber: {variant}")
            subscribers[variant] = Subscriber(stack.enter_context(Cluster(config, **SETTINGS)), publisher, f"s{number}", what)
        found = {}
        for number in pgbench.rounds(ROUNDS):
            for load, (_, sql) in LOADS.items():
                publisher.sql(sql)
                for variant in pgbench.turns(number, list(VARIANTS)):
                    found.setdefault((load, variant), []).append(subscribers[variant].catch_up())
        return {key: statistics.median(values) for key, values in found.items()}


def section(config, took):
    lines = ["| load | " + " | ".join(VARIANTS) + " |", "|---" + "|--:" * len(VARIANTS) + "|"]
    for load, (count, _) in LOADS.items():
        plain = took[load, "no TVIEW"]
        cells = [f"{LARGE / took[load, v]:,.0f} rows/s" if count == LARGE else f"{count / took[load, v]:,.0f} tx/s" for v in VARIANTS]
        cells = [cell + ("" if v == "no TVIEW" else f" ({took[load, v] / plain:.2f})") for cell, v in zip(cells, VARIANTS)]
        lines.append(f"| {load} | " + " | ".join(cells) + " |")
    settings = ", ".join(f"`{k} = {v}`" for k, v in sorted(SETTINGS.items()))
    return f"""{HEADING}

How fast a subscriber applies what the writer has written (bench/apply.py, part of `make bench`): the load is written while no subscription runs, then one subscriber after the
other catches up; in brackets the time next to that of a subscriber without TVIEW. {SHOPS:,} shops, {SALES:,} sales before the first load; medians of {ROUNDS} rounds. The rate of
the shard counts everything that the writer has written, of which it gets a third. After each load every TVIEW was compared with its query and was equal.

{chr(10).join(lines)}

{page.measured(config)}, {page.processor()}, all servers on it; {settings}.
"""


def main():
    pg = (sys.argv[1:] or ["18"])[0]
    config = build.install(pg, "release")
    text = section(config, measure(config))
    print(f"\n{text}\n")
    PAGE.write_text(f"{PAGE.read_text().partition(HEADING)[0].rstrip()}\n\n{text}")
    toolchain.say(f"written to {PAGE.relative_to(pgbench.ROOT)}")


if __name__ == "__main__":
    main()
