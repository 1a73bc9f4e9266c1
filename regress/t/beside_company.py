"""Contents computed anew beside a relation, in the company of others: twice at once, dropped, altered, renamed or given away meanwhile, little time for locks, a
dump while there is a twin, changes that are read from WAL, a standby.

Invariant tested: a call ends, or ends with an error that says why; the TVIEW is exact, and what is left behind is known and goes with the next call.
Called by `make check`; alone: PG_CONFIG=… regress/t/beside_company.py
"""

import random
import subprocess
import sys
import time

from beside import SCHEMA, Writers, call, contents, phase, until
from cluster import Cluster, Report, SqlError
from wal import settings

CALL = "CALL tviews.rebuild_concurrently('total')"
LEFT = "SELECT count(*) FROM pg_class WHERE relname LIKE '%ccnew%'"


def begun(cluster, statement=CALL, when="populating"):
    started = call(cluster, statement)
    until(lambda: phase(cluster) == when)
    return started


def ended(started, seconds=60):
    try:
        said = started.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        started.kill()
        return None, "it does not end"
    return started.returncode, said.strip()


def twice(report, cluster):
    calls = [call(cluster, CALL) for _ in range(3)]
    said = [ended(one) for one in calls]
    report.ok(all(code == 0 for code, _ in said), "three at once end, one after the other", said)
    one, other = call(cluster, "CALL tviews.convert_concurrently('line')"), call(cluster, "CALL tviews.convert_concurrently('line')")
    said = [ended(one), ended(other)]
    report.ok(all(code == 0 for code, _ in said), "two that make the same TVIEW end", said)
    one, other = call(cluster, CALL), call(cluster, "CALL tviews.set_logged_concurrently('total', true)")
    said = [ended(one), ended(other)]
    report.ok(all(code == 0 for code, _ in said), "and two of different kinds", said)
    report.ok(cluster.sql(LEFT) == "0" and cluster.difference("total") == 0 and cluster.difference("line") == 0, "nothing is left, all is exact")


OF_TWIN = "DO $$ BEGIN EXECUTE (SELECT format('WHAT', oid::regclass) FROM pg_class WHERE relname LIKE '%ccnew' AND relkind = 'm'); END $$"
# What others do meanwhile, and whether that waits until the call has ended.
MEANWHILE = [
    ("DROP TVIEW total", "CREATE TVIEW total AS SELECT shop, count(*) AS n, sum(slow(amount)) AS amount FROM sale GROUP BY shop"),
    ("ALTER TVIEW total SET (refresh = manual)", "ALTER TVIEW total SET (refresh = commit)"),
    ("ALTER MATERIALIZED VIEW total RENAME TO other", "ALTER MATERIALIZED VIEW other RENAME TO total"),
    ("ALTER MATERIALIZED VIEW total SET ACCESS METHOD heap", "ALTER MATERIALIZED VIEW total SET ACCESS METHOD tview"),
    ("CREATE OR REPLACE TVIEW total AS SELECT shop, count(*) AS n, sum(slow(amount)) + 1 AS amount FROM sale GROUP BY shop", ""),
    ("CREATE INDEX total_n ON total (n)", "DROP INDEX total_n"),
    ("CREATE OR REPLACE FUNCTION slow(amount numeric) RETURNS numeric IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2'", ""),
    ("ALTER TABLE sale ALTER COLUMN amount TYPE numeric(20, 2)", ""),
    ("ALTER TABLE sale RENAME COLUMN amount TO sum; ALTER TABLE sale RENAME COLUMN sum TO amount", ""),
    ("TRUNCATE sale; INSERT INTO sale (shop, amount) SELECT 1 + i % 100, i FROM generate_series(1, 600) i", ""),
    ("ALTER MATERIALIZED VIEW total OWNER TO other_owner", "ALTER MATERIALIZED VIEW total OWNER TO postgres"),
    ("REFRESH MATERIALIZED VIEW total", ""),
    ("VACUUM total", ""),
    (OF_TWIN.replace("WHAT", "DROP MATERIALIZED VIEW %s"), ""),
    (OF_TWIN.replace("WHAT", "REFRESH MATERIALIZED VIEW %s"), ""),
    (OF_TWIN.replace("WHAT", "ALTER MATERIALIZED VIEW %s RENAME TO mine"), ""),
    (OF_TWIN.replace("WHAT", "ALTER MATERIALIZED VIEW %s SET SCHEMA public"), ""),
    ("DROP TABLE sale CASCADE", None),
]


def meanwhile(report, cluster, slow):
    for statement, back in MEANWHILE:
        if not cluster.sql("SELECT 1 FROM pg_class WHERE relname = 'total'"):
            break
        started = begun(cluster)
        try:
            cluster.sql("SET statement_timeout = '60s'; " + statement)
            said = "done"
        except SqlError as error:
            said = str(error)
        code, printed = ended(started)
        detail = f"{statement}: {said}; the call: {code} {printed}"
        report.ok(code is not None and "XX000" not in printed + said and "internal" not in printed, f"it ends beside {statement.partition(' AS ')[0][:60]}", detail)
        report.ok("statement timeout" not in said, "  and does not keep it waiting for ever", detail)
        print(f"#   {said.splitlines()[0] if said else ''} | {printed.splitlines()[0] if printed else code}", flush=True)
        if back is None:
            break
        if back and said == "done":
            cluster.sql(back)
        report.ok(cluster.difference("total") == 0, "  and the TVIEW is exact", detail)
        cluster.sql("INSERT INTO sale (shop, amount) VALUES (3, 5)")
        report.ok(cluster.difference("total") == 0, "  and follows", detail)
        if statement.startswith("CREATE OR REPLACE FUNCTION"):
            cluster.sql(slow)
    report.ok(cluster.sql(LEFT) == "0" and cluster.sql("SELECT count(*) FROM tviews.frontier") == "0", "nothing is left when all is dropped",
              cluster.sql("SELECT relname FROM pg_class WHERE relname LIKE '%ccnew%'"))


def locks(report, cluster):
    """Timeouts of locks at random moments, with somebody who holds the relation now and then."""
    random.seed(5)
    ends = {}
    with Writers(cluster) as writers:
        for number in range(12):
            holder = call(cluster, "BEGIN; LOCK TABLE sale IN SHARE MODE; SELECT pg_sleep(0.4)" if number % 3 else "BEGIN; SELECT count(*) FROM total; SELECT pg_sleep(0.4)")
            statement = random.choice([CALL, "CALL tviews.set_logged_concurrently('total', true)", "CALL tviews.set_logged_concurrently('total', false)"])
            try:
                cluster.sql(f"SET lock_timeout = {random.randint(1, 300)}; SET statement_timeout = {random.randint(300, 4000)}; {statement}")
                ends["done"] = ends.get("done", 0) + 1
            except SqlError as error:
                ends[str(error)[:70]] = ends.get(str(error)[:70], 0) + 1
            holder.wait()
    expected = ("done", "ERROR:  canceling statement due to", "psql:<stdin>")
    report.ok(all(end.startswith(expected) for end in ends), "with timeouts of locks it ends, or says that it was cancelled", ends)
    print(f"#   {ends}", flush=True)
    report.ok(cluster.difference("total") == 0 and not writers.said, "exact behind them", writers.said)
    cluster.sql(CALL)
    report.ok(cluster.sql(LEFT) == "0", "and the next call leaves nothing", contents(cluster))


def dump(report, cluster):
    started = begun(cluster)
    file = cluster.directory / "dump.sql"
    cluster.tool("pg_dump", "-f", file, "postgres")
    text = file.read_text()
    code, said = ended(started)
    report.ok(code == 0, "it ends beside pg_dump", said)
    report.ok("ccnew" not in text, "a twin is not dumped", [line for line in text.splitlines() if "ccnew" in line])
    cluster.sql("CREATE DATABASE restored")
    done = subprocess.run(cluster.psql("-f", str(file), database="restored"), capture_output=True, text=True, env=cluster.env)
    report.ok(done.returncode == 0, "the dump can be restored", done.stderr)
    report.ok(cluster.difference("total", "restored") == 0 and cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()", "restored") == "t", "and its TVIEWs are exact")
    cluster.sql("INSERT INTO sale (shop, amount) VALUES (3, 5)", "restored")
    cluster.sql(CALL, "restored")
    report.ok(cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()", "restored") == "t", "and can be computed anew there")
    cluster.sql("DROP DATABASE restored")


def from_wal(report, cluster):
    for mode in ("wal", "auto", "trigger"):
        cluster.sql(f"ALTER SYSTEM SET pg_tviews.cdc_mode = {mode}")
        cluster.sql("SELECT pg_reload_conf()")
        with Writers(cluster) as writers:
            said = [ended(call(cluster, statement)) for statement in (CALL, "CALL tviews.set_logged_concurrently('total', true)", CALL, "CALL tviews.set_logged_concurrently('total', false)")]
        report.ok(all(code == 0 for code, _ in said) and not writers.said, f"cdc_mode = {mode}: all end", (said, writers.said))
        report.ok(cluster.difference("total") == 0 and cluster.sql(LEFT) == "0", f"cdc_mode = {mode}: exact, and nothing is left", contents(cluster))
    cluster.sql("ALTER SYSTEM RESET pg_tviews.cdc_mode")
    cluster.sql("SELECT pg_reload_conf()")


def on_standby(report, primary):
    copy = primary.directory / "copy"
    primary.tool("pg_basebackup", "-D", copy, "-c", "fast", "-X", "stream")
    (copy / "standby.signal").touch()
    with Cluster(template=copy, hot_standby="on", primary_conninfo=primary.dsn(), max_standby_streaming_delay="1s", **settings()) as standby:
        for statement in (CALL, "CALL tviews.set_logged_concurrently('total', true)", "CALL tviews.convert_concurrently('staged')"):
            try:
                standby.sql(statement)
                said = "done"
            except SqlError as error:
                said = str(error)
            report.ok("recovery" in said or "read-only" in said, f"{statement} is refused on a standby", said)
        # What is made and dropped on the primary arrives; the standby is promoted while there is a twin.
        primary.sql("CALL tviews.set_logged_concurrently('total', true)")
        started = begun(primary)
        until(lambda: standby.sql(LEFT) != "0")
        left = standby.sql(LEFT)
        standby.tool("pg_ctl", "promote", "-D", standby.data, "-w")
        ended(started)
        standby.sql("INSERT INTO sale (shop, amount) VALUES (3, 5)")
        report.ok(standby.difference("total") == 0, f"promoted beside a call ({left} relations of a twin): exact")
        standby.sql(CALL)
        report.ok(standby.sql(LEFT) == "0" and standby.difference("total") == 0, "and the next call leaves nothing there")


def main():
    report = Report()
    with Cluster(**settings()) as cluster:
        cluster.sql("CREATE ROLE other_owner")
        cluster.sql(SCHEMA)
        slow = SCHEMA[SCHEMA.index("CREATE FUNCTION slow"):SCHEMA.index("CREATE MATERIALIZED VIEW line")].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
        cluster.sql("GRANT SELECT, TRIGGER ON sale TO other_owner; GRANT CREATE ON SCHEMA public TO other_owner")
        for part in (twice, locks, dump, from_wal, on_standby):
            part(report, cluster)
        meanwhile(report, cluster, slow)
        lines = cluster.log.read_text().splitlines()
        trouble = [line for line in lines if "PANIC" in line or "internal error" in line or "XX000" in line or "was terminated by signal" in line or "TRAP" in line]
        report.ok(not trouble, "no internal errors", "\n".join(trouble))
    report.done()


if __name__ == "__main__":
    sys.exit(main())
