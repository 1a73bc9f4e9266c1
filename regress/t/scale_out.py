"""examples/scale_out, for real: a writer, three subscribers with everything, three with a third each, and a coordinator.

Invariant tested: when a subscriber has caught up, its TVIEWs equal their queries and have what the writer has; the view of the coordinator has the totals
of the writer; a subscriber that is stopped, crashed, made anew, or given another schema comes back to that. Needs postgres_fdw.
Not part of `make check`: seven servers. Called by `make scale-out`; alone: PG_CONFIG=… regress/t/scale_out.py
"""

import contextlib
import time
from pathlib import Path

from cluster import Cluster, Report

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/scale_out"
SETTINGS = {"shared_buffers": "32MB", "max_wal_senders": "12", "max_replication_slots": "12"}
ROWS = """
INSERT INTO shop SELECT i, 'shop ' || i FROM generate_series(1, 30) i;
INSERT INTO sale SELECT i, 1 + i % 30, date '2026-01-01' + i % 60, i % 97 FROM generate_series(1, 6000) i;
"""
DAYS = "SELECT md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM (SELECT day, sum(n)::bigint, sum(a), max(m) FROM ({}) p (day, n, a, m) GROUP BY day) t"
AT_WRITER = DAYS.format("SELECT day, count(*), sum(amount), max(amount) FROM sale GROUP BY day")
AT_COORDINATOR = DAYS.format("SELECT day, sales, amount, largest FROM day_total")
SALES = "SELECT md5(string_agg(s::text, ' ' ORDER BY id)) FROM (SELECT id, shop, day, amount FROM sale) s"


class System:
    def __init__(self, new):
        self.writer, self.coordinator = new(), new()
        self.readers = [new() for _ in range(3)]
        self.shards = [new() for _ in range(3)]

    def script(self, cluster, file, **variables):
        """A file of the example, by psql."""
        settings = "".join(f"\\set {key} {quoted(value)}\n" for key, value in variables.items())
        return cluster.sql(settings + (EXAMPLE / file).read_text())

    def set_up(self):
        self.script(self.writer, "tables.sql")
        self.writer.sql(ROWS)
        self.script(self.writer, "writer.sql")
        for number, reader in enumerate(self.readers, 1):
            self.reader(number, reader)
        for number, shard in enumerate(self.shards):
            self.script(shard, "tables.sql")
            self.script(shard, "shard.sql", shard=number, writer=self.writer.dsn())
        servers = {f"server_{n}": f"host '{s.directory}', port '5432', dbname 'postgres'" for n, s in enumerate(self.shards)}
        self.script(self.coordinator, "coordinator.sql", **servers)
        return True

    def reader(self, number, reader):
        self.script(reader, "tables.sql")
        self.script(reader, "reader.sql", name=f"reader_{number}", writer=self.writer.dsn())

    def caught_up(self, slots=None, seconds=60):
        """Everybody, or these, have applied what the writer has committed. Returns the seconds that took."""
        started, end = time.time(), self.writer.sql("SELECT pg_current_wal_lsn()")
        slots = slots or [*(f"reader_{n}" for n in (1, 2, 3)), *(f"shard_{n}" for n in range(3))]
        names = ", ".join(f"'{slot}'" for slot in slots)
        query = f"SELECT count(*) = {len(slots)} FROM pg_replication_slots WHERE slot_name IN ({names}) AND confirmed_flush_lsn >= '{end}'"
        subscribers = [c for n, c in enumerate(self.readers, 1) if f"reader_{n}" in slots] + [c for n, c in enumerate(self.shards) if f"shard_{n}" in slots]
        copied = "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel"
        while not (all(c.sql(copied) == "t" for c in subscribers) and self.writer.sql(query) == "t"):
            if time.time() > started + seconds:
                raise RuntimeError("\n".join([self.script(self.writer, "lag.sql"), *(c.log_tail(8) for c in subscribers)]))
            time.sleep(0.05)
        return time.time() - started

    def exact(self, readers=(0, 1, 2), slots=None):
        self.caught_up(slots)
        sales = self.writer.sql(SALES)
        for number in readers:
            reader = self.readers[number]
            for tview in ("shop_total", "sale_page"):
                if reader.difference(tview):
                    raise RuntimeError(f"{tview} of reader_{number + 1} differs from its query")
            if reader.sql(SALES) != sales:
                raise RuntimeError(f"reader_{number + 1} has other sales than the writer")
        if any(shard.difference("day_total") for shard in self.shards):
            raise RuntimeError("a shard differs from its query")
        if (here := self.coordinator.sql(AT_COORDINATOR)) != (there := self.writer.sql(AT_WRITER)):
            raise RuntimeError(f"the coordinator has {here}, the writer {there}")
        return True


def quoted(value):
    """As psql's \\set takes it."""
    return "'" + str(value).replace("'", "''") + "'"


def writes(system, report):
    report.attempt("rows come, change and go", lambda: system.writer.sql("""
        INSERT INTO sale SELECT i, 1 + i % 30, date '2026-03-01' + i % 30, 5 FROM generate_series(10001, 12000) i;
        UPDATE sale SET amount = amount + 1 WHERE id % 5 = 0; DELETE FROM sale WHERE id % 7 = 0""") == "" and system.exact())
    report.attempt("a sale moves from one shard to another", lambda: system.writer.sql("UPDATE sale SET shop = shop % 30 + 1 WHERE id % 11 = 0") == "" and system.exact())
    report.attempt("a shop is renamed", lambda: system.writer.sql("UPDATE shop SET name = 'renamed' WHERE id = 4") == "" and system.exact())
    found = system.readers[1].sql("SELECT count(*) FROM sale_page WHERE data ->> 'shop' = 'renamed'")
    report.ok(int(found) > 100, "the readers' documents have its name", found)


def distribution(system, report):
    counts = [int(shard.sql("SELECT count(*) FROM sale")) for shard in system.shards]
    everything = int(system.writer.sql("SELECT count(*) FROM sale"))
    report.ok(sum(counts) == everything and max(counts) < everything / 2, "each shard has a part of the sales", (counts, everything))
    plan = system.coordinator.sql("EXPLAIN SELECT * FROM day_total")
    report.ok(plan.count("Async Foreign Scan") == 3, "the coordinator asks all shards at the same time", plan)
    plan = system.coordinator.sql("EXPLAIN SELECT * FROM partial_total WHERE shard = 1")
    report.ok("partial_1" in plan and "partial_0" not in plan, "and only one for what is of one", plan)


def stopped(system, report):
    """A subscriber is away for a while; its clients read from others, and the writer keeps what it misses."""
    system.readers[1].stop()
    system.writer.sql("INSERT INTO sale SELECT i, 1 + i % 30, date '2026-05-01', 3 FROM generate_series(20001, 24000) i")
    report.attempt("a subscriber is stopped, the others go on", lambda: system.exact((0, 2), ["reader_1", "reader_3", "shard_0", "shard_1", "shard_2"]))
    lag = {line.split("|")[0]: line.split("|") for line in system.script(system.writer, "lag.sql").splitlines()}
    report.ok(lag["reader_2"][1] == "f" and int(lag["reader_2"][2]) > 100_000 and lag["reader_1"][1] == "t", "lag.sql shows how much is kept for it", lag)
    system.readers[1].start()
    report.attempt("it comes back and catches up", system.exact)


def crashed(system, report):
    """kill -9: its unlogged TVIEWs are computed anew."""
    system.readers[2].crash()
    system.writer.sql("UPDATE sale SET amount = amount + 2 WHERE id % 3 = 0")
    system.readers[2].start()
    report.attempt("a subscriber crashes and catches up", system.exact)


def anew(system, report, new):
    """A subscriber that is lost: another one takes its place, by a copy of the tables."""
    system.readers[0].crash()
    deadline = time.time() + 20
    while system.writer.sql("SELECT active FROM pg_replication_slots WHERE slot_name = 'reader_1'") == "t" and time.time() < deadline:
        time.sleep(0.1)
    system.writer.sql("SELECT pg_drop_replication_slot('reader_1')")
    system.readers[0] = new()
    report.attempt("a new subscriber takes the place of a lost one", lambda: system.reader(1, system.readers[0]) is None and system.exact())


def again(system, report):
    """A subscriber whose tables were changed by hand stops at a row that it cannot apply: its tables are copied again, under the same TVIEWs."""
    reader = system.readers[1]
    reader.sql("INSERT INTO sale VALUES (900000, 1, '2026-06-01', 1)")
    system.writer.sql("INSERT INTO sale VALUES (900000, 2, '2026-06-01', 2)")
    deadline = time.time() + 20
    while "duplicate key" not in reader.log_tail(40) and time.time() < deadline:
        time.sleep(0.1)
    report.ok("duplicate key" in reader.log_tail(40), "a subscriber with a row of its own stops", reader.log_tail())
    reader.sql("DROP SUBSCRIPTION reader_2; TRUNCATE sale, shop")
    report.ok(reader.sql("SELECT count(*) FROM shop_total") == "0", "TRUNCATE empties its TVIEWs")
    reader.sql(f"CREATE SUBSCRIPTION reader_2 CONNECTION '{system.writer.dsn()}' PUBLICATION reads")
    report.attempt("its tables are copied again", system.exact)


def schema_change(system, report):
    """A column more: first where it is received, then where it is written, then the TVIEWs."""
    for cluster in [*system.readers, *system.shards]:
        cluster.sql("ALTER TABLE sale ADD COLUMN channel text NOT NULL DEFAULT 'shop'")
    system.writer.sql("ALTER TABLE sale ADD COLUMN channel text NOT NULL DEFAULT 'shop'; INSERT INTO sale VALUES (950000, 1, '2026-07-01', 9, 'web')")
    report.attempt("a column more", system.exact)
    for reader in system.readers:
        reader.sql("""CREATE OR REPLACE TVIEW sale_page AS
            SELECT s.id, jsonb_build_object('day', s.day, 'amount', s.amount, 'shop', o.name, 'channel', s.channel) AS data
              FROM sale s JOIN shop o ON o.id = s.shop""")
    report.attempt("TVIEWs that show it", lambda: system.writer.sql("UPDATE sale SET channel = 'web' WHERE id % 100 = 0") == "" and system.exact())
    found = {reader.sql("SELECT count(*) FROM sale_page WHERE data ->> 'channel' = 'web'") for reader in system.readers}
    report.ok(found == {system.writer.sql("SELECT count(*) FROM sale WHERE channel = 'web'")}, "they have it", found)


def main():
    report = Report()
    with contextlib.ExitStack() as stack:
        def new():
            return stack.enter_context(Cluster(ram=True, **SETTINGS))

        system = System(new)
        if not report.attempt("set up", system.set_up):
            report.done()
        report.attempt("the first copy", system.exact)
        distribution(system, report)
        writes(system, report)
        stopped(system, report)
        crashed(system, report)
        anew(system, report, new)
        again(system, report)
        schema_change(system, report)
        for cluster in system.readers:
            report.ok(cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()") == "t", "verify_all()")
            bad = cluster.sql("SELECT \"check\", detail FROM tviews.health() WHERE status = 'error'")
            report.ok(bad == "", "health()", bad)
    report.done()


if __name__ == "__main__":
    main()
