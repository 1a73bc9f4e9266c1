"""`tviews doctor`, the program being given as argument: each thing that can be wrong is brought about, named, and mended by the statement that comes with it."""

import json
import subprocess
import sys
import time

from cluster import Cluster, Report

COMMAND = sys.argv[1]

SETUP = """
CREATE EXTENSION pg_tviews;
CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, country text NOT NULL);
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL, amount numeric NOT NULL, pad text DEFAULT repeat('x', 200));
CREATE INDEX ON orders (customer);
INSERT INTO customer SELECT n, 'name ' || n, 'country ' || n % 3 FROM generate_series(1, 100) n;
INSERT INTO orders SELECT n, 1 + n % 100, n FROM generate_series(1, 6000) n;
CREATE TVIEW by_customer AS SELECT customer, count(*) AS n, sum(amount) AS amount FROM orders GROUP BY customer;
CREATE TVIEW page AS SELECT o.id, o.amount, c.name FROM orders o JOIN customer c ON c.id = o.customer;
ANALYZE;
"""


def main():
    report = Report()
    with Cluster(idle_in_transaction_session_timeout="10min", autovacuum_naptime="1d") as cluster:
        statements = cluster.sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_stat_statements'") == "1"
        if statements:
            cluster.sql("ALTER SYSTEM SET shared_preload_libraries = pg_tviews, pg_stat_statements")
            cluster.restart()
            cluster.sql("CREATE EXTENSION pg_stat_statements")
        cluster.sql(SETUP)

        def doctor(*options, dsn=cluster.dsn()):
            done = subprocess.run([COMMAND, "doctor", "--dsn", dsn, "--format", "json", *options], capture_output=True, text=True)
            if done.returncode == 2:
                raise RuntimeError(done.stderr)
            return done.returncode, json.loads(done.stdout)

        def found(check):
            return [f for f in doctor()[1] if f["check"] == check]

        def unread():
            return [f["sentence"] for f in found("unread columns")]

        status, findings = doctor()
        others = [f for f in findings if f["check"] != "unread columns"]
        report.ok(status == 0 and not others, "nothing is wrong", findings)

        def case(check, bring_about, sentence, mend=None, problem=True):
            cluster.sql(bring_about)
            status, findings = doctor()
            mine = [f for f in findings if f["check"] == check]
            report.ok(mine and all(f["problem"] == problem for f in mine) and any(sentence in f["sentence"] for f in mine) and status == problem,
                      f"{check} is found", findings)
            strict, _ = doctor("--strict")
            report.ok(strict == 1, f"{check}: --strict minds it")
            if mend is None:
                for finding in mine:
                    for statement in (finding["statement"] or "").split(";"):
                        cluster.sql(statement)
            else:
                cluster.sql(mend)
            deadline = time.time() + 20
            while found(check) and time.time() < deadline:
                time.sleep(0.2)
            report.ok(not found(check), f"{check} is mended by its statement", found(check))

        case("contents", "REFRESH TVIEW by_customer WITH NO DATA", "public.by_customer is not populated")
        case("triggers", """UPDATE pg_trigger SET tgenabled = 'D' WHERE tgname LIKE '$tviews_insert%' AND tgrelid = 'orders'::regclass;
                            SET allow_system_table_mods = on; UPDATE pg_class SET relhastriggers = true WHERE relname = 'orders';""",
             "writes to orders are not captured: its trigger $tviews_insert")
        report.ok(cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()") == "t", "after which TVIEWs are exact")
        case("indexes", "CREATE INDEX bad ON page (amount); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'bad'::regclass",
             "the index bad of page is not valid")
        case("missing indexes", "DROP INDEX orders_customer_idx", "reads all of public.orders")
        case("privileges", """CREATE ROLE keeper; GRANT SELECT, TRIGGER ON customer TO keeper; CREATE SCHEMA kept AUTHORIZATION keeper; SET ROLE keeper;
                              CREATE TVIEW kept.countries AS SELECT country, count(*) AS n FROM customer GROUP BY country; RESET ROLE;
                              REVOKE SELECT ON customer FROM keeper;""", "role \"keeper\"")
        cluster.sql("DROP TVIEW kept.countries")
        case("bloat", "UPDATE orders SET amount = amount + 1; UPDATE orders SET amount = amount + 1; SELECT pg_stat_force_next_flush()", "rows of page are dead")
        case("schedules", "CREATE TVIEW late WITH (refresh = deferred, schedule = '1h') AS SELECT max(id) AS id FROM customer; SELECT tviews.pause('late')", "late is paused")
        cluster.sql("DROP TVIEW late")
        case("statistics", "CREATE TVIEW fresh AS SELECT id, amount FROM orders", "public.fresh has never been analyzed", problem=False)
        case("settings", "ALTER SYSTEM SET autovacuum = off; SELECT pg_reload_conf()", "autovacuum is off")
        case("settings", "ALTER SYSTEM SET pg_tviews.nested_loops = off; SELECT pg_reload_conf()", "pg_tviews.nested_loops is off", problem=False)

        try:
            cluster.sql("CREATE TVIEW share AS SELECT id, 1 / amount AS share FROM orders; UPDATE orders SET amount = 0 WHERE id = 1")
        except Exception:
            pass
        case("failures", "SELECT 1", "1 flushes of share have failed", mend="SELECT tviews.stat_reset(); DROP TVIEW share", problem=False)
        full = "".join(f"UPDATE orders SET amount = amount + 1 WHERE id = {n};\n" for n in range(1, 20))
        case("full recomputes", f"CREATE TVIEW largest AS SELECT id, percent_rank() OVER (ORDER BY amount) AS place FROM orders; ANALYZE largest; {full}", "flushes of largest computed its whole query",
             mend="DROP TVIEW largest; SELECT tviews.stat_reset()", problem=False)

        holder = subprocess.Popen(cluster.psql(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, env=cluster.env)
        holder.stdin.write("BEGIN; UPDATE orders SET amount = amount + 1 WHERE id = 1; SELECT tviews.flush();\n")
        holder.stdin.flush()
        while cluster.sql("SELECT count(*) FROM tviews.locks") == "0":
            time.sleep(0.05)
        waiter = subprocess.Popen(cluster.psql("-c", "UPDATE orders SET amount = amount + 1 WHERE id = 101"), stderr=subprocess.DEVNULL, env=cluster.env)
        time.sleep(2)
        mine = found("locks")
        report.ok(len(mine) == 1 and "1 sessions have waited" in mine[0]["sentence"] and "idle in transaction" in mine[0]["sentence"], "a lock pile-up is found", doctor())
        cluster.sql(mine[0]["statement"])
        report.ok(waiter.wait(20) == 0 and not found("locks"), "and ended by its statement")
        holder.stdin.close()
        holder.wait()

        if statements:
            cluster.sql("SELECT pg_stat_statements_reset(); SELECT id, amount FROM page WHERE id = 1")
            report.ok(any("public.page joins customer only for name" in s for s in unread()), "a join for a column that nobody reads", unread())
            cluster.sql("SELECT name FROM page WHERE id = 1")
            report.ok(not unread(), "that is read", unread())
        else:
            report.ok(any("not known without pg_stat_statements" in s for s in unread()), "columns that are read are not known without pg_stat_statements", unread())

        receiver = subprocess.Popen([cluster.bindir / "pg_receivewal", "-D", cluster.directory], env=cluster.env, stderr=subprocess.DEVNULL, **cluster.as_server())
        while cluster.sql("SELECT count(*) FROM pg_stat_replication") == "0":
            time.sleep(0.05)
        mine = found("replication")
        for finding in mine:
            cluster.sql(finding["statement"])
        report.ok(any("public.page is unlogged" in f["sentence"] for f in mine) and not found("replication"), "unlogged TVIEWs beside a standby", mine)
        receiver.terminate()
        receiver.wait()

        for check, setting in [("native syntax", "SET pg_tviews.native_syntax = off"), ("preload", "RESET shared_preload_libraries")]:
            cluster.sql(f"ALTER SYSTEM {setting}")
            cluster.restart()
            mine = found(check)
            cluster.sql(mine[0]["statement"] if mine else "SELECT 1")
            cluster.restart()
            report.ok(len(mine) == 1 and mine[0]["problem"] == (check == "preload") and not found(check), f"{check} is found, and mended by its statement", mine)

        cluster.sql("CREATE ROLE visitor LOGIN")
        text = subprocess.run([COMMAND, "doctor", "--dsn", cluster.dsn().replace("user=postgres", "user=visitor")], capture_output=True, text=True)
        report.ok(text.returncode in (0, 1) and "problem" in text.stdout.splitlines()[-1], "any role may look", text.stdout + text.stderr)
    report.done()


main()
