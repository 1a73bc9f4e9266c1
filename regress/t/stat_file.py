"""The file in which counters and hours survive a clean restart; after anything else they start from zero, and a file that is wrong is only logged."""

import signal

from cluster import Cluster, Report

STAT = "SELECT flushes, rows_inserted, dirty_keys, flush_time, failures, last_error, stats_reset FROM tviews.stat WHERE tview = 'v'::regclass"
HOURS = "SELECT * FROM pg_tviews_performance_summary"
FLUSHES = "SELECT flushes FROM tviews.stat WHERE tview = 'v'::regclass"


def main():
    report = Report()
    with Cluster() as cluster:
        file = cluster.data / "pg_stat/pg_tviews.stat"

        def numbers():
            return cluster.sql(f"{STAT}; {HOURS}")

        def write(text):
            file.write_bytes(text)
            cluster._give(file.parent)

        def said(since, what):
            return what in cluster.log.read_text()[since:]

        def zero(name, message=None):
            """Starts the stopped server, which has nothing to go on with."""
            since = len(cluster.log.read_text())
            cluster.start()
            found = cluster.sql(f"{FLUSHES}; {HOURS}")
            report.ok(found == "0", f"{name}: everything is zero", found)
            lines = cluster.log.read_text()[since:]
            if message:
                report.ok(f'LOG:  ignored file "pg_stat/pg_tviews.stat": {message}' in lines, f"{name}: the log says why", lines)
            else:
                report.ok("pg_tviews.stat" not in lines, f"{name}: the log has no word of it", lines)
            report.ok(not file.exists(), f"{name}: the file is gone")
            cluster.sql("UPDATE t SET a = a + 1")
            report.ok(cluster.sql(FLUSHES) == "1", f"{name}: counting goes on", cluster.sql(FLUSHES))

        cluster.sql("""CREATE EXTENSION pg_tviews;
                       CREATE TABLE t (id int PRIMARY KEY, a int);
                       CREATE TVIEW v WITH (logged) AS SELECT id, 10 / a AS a FROM t;
                       SELECT tviews.stat_reset();
                       INSERT INTO t SELECT i, i FROM generate_series(1, 5) i;
                       UPDATE t SET a = 7""")
        try:
            cluster.sql("UPDATE t SET a = 0 WHERE id = 1")
        except Exception as error:
            report.ok("division by zero" in str(error), "an error to remember", error)
        before = numbers()
        report.ok(before.startswith("2|5|") and "|1|division by zero|" in before and before.count("\n") >= 1, "there is something to keep", before)
        report.ok(not file.exists(), "a running server has no file")

        cluster.stop()
        report.ok(file.exists() and file.stat().st_mode & 0o777 == 0o600, "a clean stop leaves a file that only the server reads", list(file.parent.iterdir()))
        report.ok([path.name for path in file.parent.glob("pg_tviews*")] == [file.name], "and no other")
        cluster.start()
        report.ok(numbers() == before, "counters, errors, hours and the time of the last reset survive a clean restart", f"{before}\n{numbers()}")
        report.ok(not file.exists(), "the file is removed when it is read")
        cluster.stop(signal.SIGTERM)
        cluster.start()
        report.ok(numbers() == before, "a smart shutdown and a second restart", f"{before}\n{numbers()}")

        # Numbers go on from where they were.
        cluster.sql("UPDATE t SET a = 8")
        report.ok(cluster.sql(FLUSHES) == "3", "counting goes on", cluster.sql(FLUSHES))

        cluster.stop()
        kept = file.read_bytes()
        cluster.start()
        cluster.stop(signal.SIGQUIT)
        report.ok(not file.exists(), "an immediate stop writes no file")
        zero("immediate stop")
        cluster.crash()
        zero("crash")

        # A file from before, put back by hand: the last stop was no clean one.
        cluster.stop(signal.SIGQUIT)
        write(kept)
        zero("crash with an old file")

        # A process that dies takes the counters with it, though the postmaster lives.
        pid = cluster.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'background writer'")
        since = len(cluster.log.read_text())
        cluster.sql("UPDATE t SET a = a + 1")
        cluster.tool("pg_ctl", "kill", "KILL", pid)
        while not said(since, "ready to accept connections"):
            pass
        report.ok(cluster.sql(FLUSHES) == "0", "a process that crashes: everything is zero", cluster.sql(FLUSHES))

        for name, text, message in (
            ("cut", kept[: len(kept) // 2], "it is damaged"),
            ("one bit", kept[:40] + bytes([kept[40] ^ 1]) + kept[41:], "it is damaged"),
            ("longer", kept + b"x", "it is damaged"),
            ("empty", b"", "it is no file of pg_tviews"),
            ("foreign", b"something else" * 100, "it is no file of pg_tviews"),
        ):
            cluster.stop()
            write(text)
            zero(name, message)

        cluster.stop()
        with Cluster() as other:
            other.stop()
            write((other.data / "pg_stat/pg_tviews.stat").read_bytes())
        zero("of another cluster", "another server has written it")

        # Nothing here keeps the server from stopping or starting.
        since = len(cluster.log.read_text())
        (file.parent / "pg_tviews.stat.tmp").mkdir()
        cluster.stop()
        report.ok(said(since, 'LOG:  could not write file "pg_stat/pg_tviews.stat"'), "a file that cannot be written is logged", cluster.log_tail())
        (file.parent / "pg_tviews.stat.tmp").rmdir()
        since = len(cluster.log.read_text())
        file.mkdir()
        cluster.start()
        report.ok(said(since, 'LOG:  could not read file "pg_stat/pg_tviews.stat"'), "a file that cannot be read is logged", cluster.log_tail())
        report.ok(cluster.sql(FLUSHES) == "0", "and everything is zero", cluster.sql(FLUSHES))
        report.ok(cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()") == "t", "the TVIEW is right")
    report.done()


if __name__ == "__main__":
    main()
