"""Contents computed anew while writers go on: tviews.convert_concurrently, rebuild_concurrently, set_logged_concurrently and REFRESH … CONCURRENTLY, with
sessions that write all the time, readers that stay, cancellations, timeouts and crashes at any moment.

Invariant: up to its last moment a call leaves the relation as it was, and nothing is lost or followed twice behind it.
"""

import random
import subprocess
import sys
import threading
import time

from cluster import Cluster, Report, SqlError

WRITERS = 3
SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE TABLE sale (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, shop int NOT NULL, amount numeric NOT NULL);
CREATE INDEX ON sale (shop);
INSERT INTO sale (shop, amount) SELECT 1 + i % 100, i FROM generate_series(1, 600) i;
-- A query that takes its time, but no processor, in sessions that ask for it.
CREATE FUNCTION slow(amount numeric) RETURNS numeric IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('beside.slow', true) = 'on' THEN PERFORM pg_sleep(0.002); END IF;
    RETURN amount;
END $$;
CREATE MATERIALIZED VIEW line AS SELECT id, shop, slow(amount) AS amount FROM sale;
CREATE UNIQUE INDEX ON line (id);
CREATE MATERIALIZED VIEW staged AS SELECT shop, n, rank() OVER (PARTITION BY n ORDER BY shop) FROM (SELECT shop, count(slow(amount)) AS n FROM sale GROUP BY shop HAVING count(*) > 2) q;
CREATE TVIEW total AS SELECT shop, count(*) AS n, sum(slow(amount)) AS amount FROM sale GROUP BY shop;
"""
WRITE = [
    "INSERT INTO sale (shop, amount) SELECT 1 + (random() * 99)::int, 1;",
    "UPDATE sale SET amount = amount + 1 WHERE id = 1 + (random() * 599)::int;",
    "DELETE FROM sale WHERE id = (SELECT max(id) FROM sale WHERE id > 600);",
]


class Writers:
    """Sessions that write until the block ends: how many statements that were, what the longest took in seconds, and what psql said."""

    def __init__(self, cluster):
        self.cluster, self.over, self.number, self.longest, self.said = cluster, False, 0, 0, ""
        self.threads = [threading.Thread(target=self.write, args=(i,)) for i in range(WRITERS)]

    def write(self, number):
        session = subprocess.Popen(self.cluster.psql(), env=self.cluster.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while not self.over:
            began = time.time()
            session.stdin.write(WRITE[(number + self.number) % len(WRITE)] + "\n\\echo done\n")
            session.stdin.flush()
            if (said := session.stdout.readline()) != "done\n":
                self.said += said
                break
            self.longest = max(self.longest, time.time() - began)
            self.number += 1
            time.sleep(0.02)
        session.stdin.close()
        session.wait()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        for thread in self.threads:
            thread.join()


def call(cluster, statement):
    """Runs a statement in a session of its own; returns its process."""
    return subprocess.Popen(cluster.psql("-c", "SET beside.slow = on", "-c", statement), env=cluster.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(condition, seconds=20):
    deadline = time.time() + seconds
    while not condition():
        if time.time() > deadline:
            return False
        time.sleep(0.02)
    return True


def phase(cluster):
    return cluster.sql("SELECT phase FROM tviews.progress_concurrently")


def left(cluster):
    return int(cluster.sql("SELECT count(*) FROM pg_class WHERE relname LIKE '%ccnew%'"))


def contents(cluster):
    return cluster.sql("SELECT status || ' ' || detail FROM tviews.health() WHERE \"check\" = 'contents'")


def with_writers(report, cluster):
    """Each way with sessions that write all the time."""
    for what, statement, name in [
        ("a materialized view becomes a TVIEW", "CALL tviews.convert_concurrently('line')", "line"),
        ("one with stages", "CALL tviews.convert_concurrently('staged')", "staged"),
        ("a TVIEW is computed anew", "CALL tviews.rebuild_concurrently('total')", "total"),
        ("a TVIEW becomes logged", "CALL tviews.set_logged_concurrently('total', true)", "total"),
        ("a new TVIEW is populated", "CREATE TVIEW later AS SELECT shop, max(slow(amount)) AS most FROM sale GROUP BY shop WITH NO DATA; "
         "REFRESH TVIEW CONCURRENTLY later", "later"),
    ]:
        with Writers(cluster) as writers:
            began = time.time()
            for part in statement.split("; "):
                cluster.sql("SET beside.slow = on; " + part)
            took = time.time() - began
            time.sleep(0.3)
        print(f"# {what}: {took:.1f} s, {writers.number} writes, the longest {writers.longest * 1000:.0f} ms", flush=True)
        report.ok(cluster.difference(name) == 0 and not writers.said, f"{what}, and is exact", writers.said)
        report.ok(took > 1 and writers.longest < took / 2, f"{what}: nobody waited for it", f"{took} {writers.longest}\n{cluster.log_tail()}")


def with_readers(report, cluster):
    """Who reads the relation for long, and then writes, is not in a deadlock, and nobody waits for it."""
    reader = subprocess.Popen(cluster.psql(), env=cluster.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, text=True)

    def say(text):
        reader.stdin.write(text + "\n")
        reader.stdin.flush()

    say("BEGIN; SELECT count(*) FROM total;")
    time.sleep(0.2)
    started = call(cluster, "CALL tviews.rebuild_concurrently('total')")
    report.ok(until(lambda: phase(cluster) == "waiting for readers"), "it waits for a reader", phase(cluster))
    began = time.time()
    for _ in range(10):
        cluster.sql("INSERT INTO sale (shop, amount) VALUES (7, 1)")
        cluster.sql("SELECT count(*) FROM total")
    report.ok(time.time() - began < 5, "others read and write meanwhile")
    say("UPDATE sale SET amount = amount + 1 WHERE id = 3;")
    report.ok(until(lambda: phase(cluster) == "waiting for writers"), "and for a writer", phase(cluster))
    cluster.sql("INSERT INTO sale (shop, amount) VALUES (8, 1)")
    say("COMMIT;")
    report.ok(started.wait(30) == 0 and cluster.difference("total") == 0, "and then it ends", started.stdout.read())
    reader.stdin.close()
    report.ok(reader.wait(10) == 0, "the reader had no error")
    cluster.sql("BEGIN; INSERT INTO sale (shop, amount) VALUES (9, 1); PREPARE TRANSACTION 'open'")
    started = call(cluster, "CALL tviews.rebuild_concurrently('total')")
    until(lambda: phase(cluster) == "waiting for writers")
    # A shop of its own, that staged leaves out: a shop with as many sales as that of the prepared transaction would meet it in their window there.
    cluster.sql("SET lock_timeout = '10s'; INSERT INTO sale (shop, amount) VALUES (1000, 1)")
    report.ok(started.poll() is None, "a prepared transaction is waited for")
    cluster.sql("COMMIT PREPARED 'open'")
    report.ok(started.wait(30) == 0 and cluster.difference("total") == 0, "and its rows are there", started.stdout.read())


def interrupted(report, cluster):
    """Cancelled and killed in each phase, with timeouts at any moment."""
    statement = "CALL tviews.rebuild_concurrently('total')"
    for how in ("pg_cancel_backend", "pg_terminate_backend"):
        started = call(cluster, statement)
        until(lambda: phase(cluster) == "populating")
        report.ok(contents(cluster).startswith("ok"), "what is going on is nobody's trouble", contents(cluster))
        cluster.sql(f"SELECT {how}(pid) FROM tviews.progress_concurrently")
        report.ok(started.wait(10) != 0, f"{how} ends it", started.stdout.read())
        report.ok(left(cluster) > 0 and "total_ccnew" in contents(cluster) and phase(cluster) == "", "it says what was left behind", contents(cluster))
        cluster.sql("UPDATE sale SET amount = amount + 1 WHERE id < 5")
        report.ok(cluster.difference("total") == 0, "the TVIEW is exact")
    cluster.sql(statement)
    report.ok(left(cluster) == 0 and contents(cluster).startswith("ok") and cluster.difference("total") == 0, "the next call removes it", contents(cluster))
    random.seed(7)
    ended = 0
    with Writers(cluster) as writers:
        for _ in range(6):
            try:
                cluster.sql(f"SET beside.slow = on; SET statement_timeout = {random.randint(1, 1800)}; {statement}")
                ended += 1
            except SqlError as error:
                report.ok("statement timeout" in str(error), "a timeout is the error", error)
    report.ok(cluster.difference("total") == 0 and not writers.said, f"exact after timeouts ({ended} of 6 came to their end)", writers.said)
    cluster.sql("DROP TVIEW total")
    report.ok(left(cluster) == 0 and cluster.sql("SELECT count(*) FROM tviews.frontier") == "0", "what is left goes with the TVIEW")
    cluster.sql("CREATE TVIEW total AS SELECT shop, count(*) AS n, sum(slow(amount)) AS amount FROM sale GROUP BY shop")


def crashes(report, cluster):
    for statement, name, when in [("CALL tviews.rebuild_concurrently('total')", "total", "populating"),
                                  ("CALL tviews.set_logged_concurrently('total', true)", "total", "waiting for readers")]:
        holder = subprocess.Popen(cluster.psql(), env=cluster.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
        holder.stdin.write("BEGIN; SELECT count(*) FROM total;\n")
        holder.stdin.flush()
        time.sleep(0.2)
        started = call(cluster, statement)
        until(lambda: phase(cluster) == when)
        cluster.crash()
        started.wait(10)
        holder.kill()
        cluster.start()
        cluster.sql("INSERT INTO sale (shop, amount) VALUES (7, 1)")
        report.ok(cluster.difference(name) == 0, f"exact after a crash while {when}")
        report.ok("total_ccnew" in contents(cluster), "and it says what was left behind", contents(cluster))
        cluster.sql(statement)
        report.ok(cluster.difference(name) == 0 and left(cluster) == 0, "and the next call comes to its end")


def main():
    report = Report()
    with Cluster(ram=True) as cluster:
        cluster.sql(SCHEMA)
        for part in (with_writers, with_readers, interrupted, crashes):
            part(report, cluster)
        report.ok(cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()") == "t", "all is exact at the end")
        trouble = [line for line in cluster.log.read_text().splitlines() if "PANIC" in line or "internal error" in line or "XX000" in line]
        report.ok(not trouble, "no internal errors", "\n".join(trouble))
    report.done()


if __name__ == "__main__":
    sys.exit(main())
