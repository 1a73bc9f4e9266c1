"""Everything that refreshes TVIEWs, at work for a long time while things are killed: `soak.py [MINUTES [PG]]`, not part of any other test.

Eleven TVIEWs that read each other (at commit, by schedules, calculated, manual, logged), eight writers, changes captured by triggers and from WAL in turn. Each
minute something is killed: the scheduler, a worker, the reader of WAL, a backend, or the whole server, which is stopped immediately, or by SIGKILL.
Each second `tviews.staleness`, the memory of the processes, the size of the logs and the WAL that the slot keeps are noted.
Invariant tested: at the end every TVIEW equals its query; outside of kills 99 % of the samples meet their bound; nothing that is kept grows.
$SEED: what is killed when. Writes the samples to target/soak/. A run of an hour: docs/internals/verification.md.
"""

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time

import pgbench  # first: finds the others
import build
from cluster import Cluster, Report, SqlError
from wal import knows_libraries

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE TABLE customer (id int PRIMARY KEY, country int NOT NULL, name text NOT NULL);
CREATE TABLE sale (id bigserial PRIMARY KEY, customer int NOT NULL, amount int NOT NULL);
CREATE INDEX ON sale (customer);
CREATE TABLE event (id bigserial PRIMARY KEY, kind int NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON event (kind);
INSERT INTO customer SELECT i, i % 20, 'customer ' || i FROM generate_series(1, 2000) i;
INSERT INTO sale (customer, amount) SELECT 1 + (random() * 1999)::int, (random() * 100)::int FROM generate_series(1, 50000);
INSERT INTO event (kind) SELECT (random() * 50)::int FROM generate_series(1, 20000);
ALTER TABLE customer REPLICA IDENTITY FULL;
ALTER TABLE sale REPLICA IDENTITY FULL;
ALTER TABLE event REPLICA IDENTITY FULL;
CREATE TVIEW line WITH (refresh = deferred, schedule = '2s') AS SELECT s.id, s.amount, c.country FROM sale s JOIN customer c ON c.id = s.customer;
CREATE TVIEW per_country WITH (refresh = deferred, schedule = 'calculated', logged) AS SELECT country, count(*) AS n, sum(amount) AS amount FROM line GROUP BY country;
CREATE TVIEW report WITH (refresh = deferred, schedule = '3s') AS SELECT n > 2500 AS many, count(*) AS countries FROM per_country GROUP BY n > 2500;
CREATE TVIEW at_commit AS SELECT customer, count(*) AS n, sum(amount) AS amount FROM sale GROUP BY customer;
CREATE TVIEW commit_over_deferred AS SELECT country, max(n) AS n FROM per_country GROUP BY country;
CREATE TVIEW by_hand WITH (refresh = manual) AS SELECT c.country, count(*) AS n FROM customer c JOIN sale s ON s.customer = c.id WHERE s.amount > 50 GROUP BY c.country;
CREATE TVIEW idle_customers WITH (refresh = deferred, schedule = '2s') AS SELECT country, count(*) AS n FROM customer c WHERE NOT EXISTS (SELECT FROM sale s WHERE s.customer = c.id AND s.amount > 90) GROUP BY country;
CREATE TVIEW sales_per_customer WITH (refresh = deferred, schedule = '5s') AS SELECT c.id, c.name, count(s.id) AS n FROM customer c LEFT JOIN sale s ON s.customer = c.id GROUP BY c.id, c.name;
CREATE TVIEW kinds WITH (refresh = deferred, schedule = '1s', logged) AS SELECT kind, count(*) AS n, max(id) AS last FROM event GROUP BY kind;
CREATE TVIEW ranked WITH (refresh = deferred, schedule = '*/5 * * * * *') AS SELECT kind, n, rank() OVER (ORDER BY n DESC) AS place FROM kinds;
CREATE TVIEW top_kinds WITH (refresh = manual) AS SELECT kind, n FROM kinds ORDER BY n DESC, kind LIMIT 5;
"""
TVIEWS = ["line", "per_country", "report", "at_commit", "commit_over_deferred", "by_hand", "idle_customers", "sales_per_customer", "kinds", "ranked", "top_kinds"]
MANUAL = ["by_hand", "top_kinds"]
WRITERS = 8
# What a writer adds it takes away, so that the tables keep their size.
WRITE = """
INSERT INTO sale (customer, amount) SELECT 1 + (random() * 1999)::int, (random() * 100)::int FROM generate_series(1, 4);
DELETE FROM sale WHERE id IN (SELECT id FROM sale WHERE id % {writers} = {writer} ORDER BY id LIMIT 4);
UPDATE sale SET amount = (random() * 100)::int WHERE id = (SELECT id FROM sale WHERE id % {writers} = {writer} ORDER BY id DESC LIMIT 1);
UPDATE customer SET country = (random() * 19)::int WHERE id = 1 + (random() * 249)::int * {writers} + {writer} % {writers};
BEGIN; INSERT INTO event (kind) VALUES ((random() * 50)::int); SAVEPOINT a; DELETE FROM event WHERE id % 1000 = {writer}; ROLLBACK TO a;
DELETE FROM event WHERE id IN (SELECT id FROM event WHERE id % {writers} = {writer} ORDER BY id LIMIT 1); COMMIT;
SELECT pg_sleep(0.05);
"""
# So long after a kill, or until everything has caught up after it, samples do not count.
RECOVERY = 20
SAMPLE = """
SELECT json_build_object(
    'views', (SELECT json_object_agg(tview::text, json_build_array(seconds_behind, bound, met, rows_behind, errors)) FROM tviews.staleness),
    'processes', (SELECT json_object_agg(pid, backend_type) FROM pg_stat_activity WHERE backend_type LIKE 'pg_tviews%' AND datname = current_database()),
    'logs', (SELECT sum(pg_total_relation_size(first) + pg_total_relation_size(second)) FROM tviews.log),
    'wal', coalesce((SELECT max(pg_current_wal_lsn() - restart_lsn) FROM pg_replication_slots), 0),
    'history', (SELECT count(*) FROM tviews.refresh_history),
    'from_wal', (SELECT count(*) FROM tviews.capture WHERE slot_name IS NOT NULL))
"""
KILLS = ["scheduler", "worker", "reader", "backend", "cancel", "SIGKILL of a backend", "immediate stop", "crash"]


class Writers:
    def __init__(self, cluster):
        self.cluster, self.over, self.rounds, self.failed = cluster, False, [0] * WRITERS, [0] * WRITERS
        self.threads = [threading.Thread(target=self.write, args=(number,)) for number in range(WRITERS)]
        for thread in self.threads:
            thread.start()

    def write(self, number):
        script = WRITE.format(writers=WRITERS, writer=number) * 20
        while not self.over:
            done = subprocess.run(self.cluster.psql("-f", "-"), input=script, capture_output=True, text=True, env=self.cluster.env)
            self.rounds[number] += done.returncode == 0
            self.failed[number] += done.returncode != 0
            if done.returncode:
                time.sleep(0.5)

    def stop(self):
        self.over = True
        for thread in self.threads:
            thread.join()


def memory(pid):
    """Kilobytes of a process that are its own; 0 when it has gone."""
    try:
        with open(f"/proc/{pid}/status") as status:
            return next((int(line.split()[1]) for line in status if line.startswith("RssAnon")), 0)
    except (OSError, ValueError):
        return 0


def kill(cluster, what):
    by_type = "SELECT {}(pid) FROM pg_stat_activity WHERE {} ORDER BY random() LIMIT 1"
    ours = "datname = current_database() AND backend_type = 'pg_tviews {}'"
    backend = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
    if what in ("scheduler", "worker", "reader"):
        cluster.sql(by_type.format("pg_terminate_backend", ours.format(what)))
    elif what == "backend":
        cluster.sql(by_type.format("pg_terminate_backend", backend))
    elif what == "cancel":
        cluster.sql(by_type.format("pg_cancel_backend", "datname = current_database() AND backend_type IN ('pg_tviews worker', 'pg_tviews scheduler') AND state = 'active'"))
    elif what == "SIGKILL of a backend":
        pid = cluster.sql(f"SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE {backend}")
        if pid != "0":
            os.kill(int(pid), signal.SIGKILL)
            time.sleep(1)
    elif what == "immediate stop":
        cluster.stop(signal.SIGQUIT)
        cluster.start()
    else:
        cluster.crash()
        cluster.start()


def patient(action, seconds=120):
    """Runs something that fails while the server is down."""
    deadline = time.time() + seconds
    while True:
        try:
            return action()
        except (SqlError, RuntimeError):
            if time.time() > deadline:
                raise
            time.sleep(0.5)


class Soak:
    def __init__(self, cluster, minutes, dice):
        self.cluster, self.dice, self.samples, self.kills = cluster, dice, [], []
        self.began, self.ends = time.time(), time.time() + minutes * 60
        self.mode = "trigger"

    def run(self):
        next_kill, next_switch, next_refresh = time.time() + 60, time.time() + 45, time.time() + 10
        while time.time() < self.ends:
            now = time.time()
            if now >= next_kill and now < self.ends - 45:
                next_kill += 60
                what = self.dice.choice(KILLS)
                print(f"# {now - self.began:5.0f} s: {what}", flush=True)
                try:
                    kill(self.cluster, what)
                except SqlError as error:
                    print(f"#   {error}", flush=True)
                self.kills.append((now - self.began, time.time() - self.began, what))
            if now >= next_switch:
                next_switch += 90
                self.mode = "wal" if self.mode == "trigger" else "trigger"
                patient(lambda: self.cluster.sql(f"ALTER SYSTEM SET pg_tviews.cdc_mode = {self.mode}"))
                patient(lambda: self.cluster.sql("SELECT pg_reload_conf()"))
            if now >= next_refresh:
                next_refresh += 20
                patient(lambda: self.cluster.sql("".join(f"REFRESH TVIEW {tview};" for tview in MANUAL)))
            self.sample()
            time.sleep(max(0.0, 1 - (time.time() - now)))

    def sample(self):
        try:
            found = json.loads(self.cluster.sql(SAMPLE))
        except (SqlError, ValueError) as error:
            self.samples.append({"at": time.time() - self.began, "error": str(error)})
            return
        found["memory"] = {name: memory(pid) for pid, name in (found.pop("processes") or {}).items()}
        found["at"] = time.time() - self.began
        self.samples.append(found)

    def counting(self):
        """Samples outside of kills."""
        recovering = lambda at: any(began - 1 <= at <= ended + RECOVERY for began, ended, _ in self.kills)
        return [s for s in self.samples if "error" not in s and not recovering(s["at"])]


def thirds(values):
    """Medians of the second sixth and of the last one: the first is the beginning."""
    sixth = max(1, len(values) // 6)
    return statistics.median(values[sixth:2 * sixth] or values), statistics.median(values[-sixth:])


def judge(soak, report):
    counting = soak.counting()
    met = [(s["at"], tview, v) for s in counting for tview, v in (s["views"] or {}).items() if v[1] is not None]
    missed = [m for m in met if not m[2][2]]
    share = 100 * (1 - len(missed) / max(1, len(met)))
    report.ok(share >= 99, f"{share:.2f} % of {len(met)} samples of {len(counting)} seconds outside of kills meet their bound", missed[:20])
    from_wal = sum(1 for s in counting if s["from_wal"])
    report.ok(from_wal > 0, f"in {from_wal} of these seconds changes were read from WAL")
    late = [s["at"] for s in soak.samples if "error" in s and not any(began - 1 <= s["at"] <= ended + RECOVERY for began, ended, _ in soak.kills)]
    report.ok(not late, "outside of kills every sample could be taken", late)
    for name, of, spare in [("logs", lambda s: s["logs"] or 0, 16 << 20), ("WAL of the slot", lambda s: s["wal"], 256 << 20)]:
        values = [of(s) for s in counting]
        first, last = thirds(values)
        report.ok(last <= first * 2 + spare, f"{name}: {first / 1e6:.1f} MB at the beginning, {last / 1e6:.1f} MB at the end, at most {max(values) / 1e6:.1f} MB")
    for name in ["pg_tviews scheduler", "pg_tviews worker", "pg_tviews reader"]:
        values = [s["memory"][name] for s in counting if s["memory"].get(name)]
        if values:
            first, last = thirds(values)
            report.ok(last <= first * 1.5 + 20_000, f"{name}: {first / 1e3:.1f} MB of its own at the beginning, {last / 1e3:.1f} MB at the end, at most {max(values) / 1e3:.1f} MB")


def main():
    minutes = float((sys.argv[1:] or ["20"])[0])
    config = build.install((sys.argv[2:] or ["18"])[0], os.environ.get("PROFILE", "release"))
    seed = int(os.environ.get("SEED", str(random.randrange(1 << 30))))
    report = Report()
    print(f"# {minutes:g} minutes, SEED={seed}", flush=True)
    settings = {"wal_level": "logical", "max_wal_size": "512MB", "shared_buffers": "256MB"}
    if knows_libraries(config):
        settings["output_plugin_libraries"] = "pg_tviews"
    with Cluster(config, **settings) as cluster:
        cluster.sql(SCHEMA)
        writers = Writers(cluster)
        soak = Soak(cluster, minutes, random.Random(seed))
        try:
            soak.run()
        finally:
            writers.stop()
        directory = pgbench.ROOT / "target/soak"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{seed}.json").write_text("\n".join(map(json.dumps, soak.samples)))
        (directory / f"{seed}.log").write_text(cluster.log.read_text(errors="replace"))
        report.ok(min(writers.rounds) > 0, f"{sum(writers.rounds) * 20:,} rounds of the writers were committed, {sum(writers.failed)} sessions ended by errors; {len(soak.kills)} kills")
        refresh = "".join(f"REFRESH TVIEW {tview};" for tview in MANUAL)
        patient(lambda: cluster.sql("SELECT tviews.resume(tview) FROM tviews.staleness WHERE paused"))
        behind, deadline = "?", time.time() + 120
        while behind != "0" and time.time() < deadline:
            patient(lambda: cluster.sql(refresh))
            behind = patient(lambda: cluster.sql("SELECT count(*) FROM tviews.staleness WHERE rows_behind > 0"))
            time.sleep(1)
        report.ok(behind == "0", "all changes are followed", cluster.sql("TABLE tviews.staleness"))
        differences = {tview: n for tview in TVIEWS if (n := cluster.difference(tview))}
        report.ok(not differences, "every TVIEW equals its query", differences)
        failed = cluster.sql("SELECT count(*), error FROM tviews.refresh_history WHERE status = 'failed' GROUP BY error ORDER BY 1 DESC")
        expected = ("the process that refreshed it has ended", "canceling statement due to user request", "terminating connection", "")
        report.ok(all(line.partition("|")[2].startswith(expected) for line in failed.splitlines()), "refreshes failed by kills only", failed)
        judge(soak, report)
        why = cluster.sql("SELECT action, coalesce(reason, ''), count(*) FROM tviews.refresh_history GROUP BY 1, 2 ORDER BY 3 DESC")
        print("\n".join(f"# {line}" for line in why.splitlines()))
    report.done()


if __name__ == "__main__":
    main()
