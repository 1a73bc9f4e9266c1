"""`tviews plan`, `tviews apply` and `tviews diff`, the program being given as argument.

A schema file is brought into a database step by step. What plan shows is what apply does, after which there is nothing to change; planning leaves
nothing behind, and a change that fails leaves the database as it was.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from cluster import Cluster, Report

COMMAND = sys.argv[1]

TABLES = """
CREATE EXTENSION pg_tviews;
CREATE SCHEMA "My App";
CREATE TABLE product (id int PRIMARY KEY, name text NOT NULL, category text NOT NULL);
CREATE TABLE sale (id int PRIMARY KEY, product int NOT NULL REFERENCES product, amount numeric NOT NULL);
INSERT INTO product SELECT n, 'product ' || n, 'category ' || n % 5 FROM generate_series(1, 50) n;
INSERT INTO sale SELECT n, 1 + n % 50, n FROM generate_series(1, 200) n;
"""

FIRST = """
-- Statements about other things are not looked at.
CREATE TABLE IF NOT EXISTS product (id int PRIMARY KEY);
CREATE TVIEW category_sales AS
    SELECT p.category, count(*) AS sales, sum(s.amount) AS amount FROM sale s JOIN product p ON p.id = s.product GROUP BY p.category;
CREATE INDEX by_amount ON category_sales (amount);
COMMENT ON TVIEW category_sales IS 'sales; by category';
GRANT SELECT ON category_sales TO PUBLIC;
CREATE MATERIALIZED VIEW "My App"."Large" (category, amount) WITH (incremental, mode = incremental) AS
    SELECT category, amount FROM category_sales WHERE amount > 1000 WITH NO DATA;
CREATE TABLE tv_product AS SELECT id, name FROM product;
CREATE LOGGED TVIEW late WITH (refresh = deferred, schedule = '5m') AS SELECT category, max(id) AS last FROM product GROUP BY category;
"""


class Files:
    """Runs the command on a file with a text."""

    def __init__(self, cluster):
        self.directory = tempfile.TemporaryDirectory()
        self.cluster = cluster

    def run(self, word, database, text, *options):
        path = Path(self.directory.name) / "schema.sql"
        path.write_text(text)
        return subprocess.run([COMMAND, word, "--dsn", self.cluster.dsn(database), *options, path], capture_output=True, text=True)


def main():
    report = Report()
    with Cluster() as cluster:
        for name in ("one", "two"):
            cluster.sql(f"CREATE DATABASE {name}")
            cluster.sql(TABLES, name)
        files = Files(cluster)
        catalog = "SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_depend), (SELECT count(*) FROM pg_trigger)"

        def words(done):
            return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("-- ") and not line.startswith("--  ")]

        def step(what, text, changes, *options):
            before = cluster.sql(catalog, "one")
            planned = files.run("plan", "one", text, *options)
            report.ok(planned.returncode == 1 and words(planned) == changes, f"{what}: planned", planned.stdout + planned.stderr)
            report.ok(cluster.sql(catalog, "one") == before, f"{what}: planning leaves nothing behind")
            applied = files.run("apply", "one", text, *options)
            report.ok(applied.returncode == 0 and words(applied) == changes, f"{what}: applied", applied.stdout + applied.stderr)
            again = files.run("plan", "one", text, *options)
            report.ok(again.returncode == 0 and words(again) == ["nothing"], f"{what}: nothing to change then", again.stdout + again.stderr)
            report.ok(cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()", "one") == "t", f"{what}: TVIEWs are exact")

        planned = files.run("plan", "one", FIRST)
        cluster.sql(planned.stdout, "two")
        step("new TVIEWs", FIRST, ["create"] * 4)
        report.ok("sale: fold" in planned.stdout and "CREATE INDEX ON public.sale (product)" in planned.stdout, "with strategies and hints", planned.stdout)
        same = subprocess.run([COMMAND, "diff", "--dsn", cluster.dsn("one"), "--with", cluster.dsn("two")], capture_output=True, text=True)
        report.ok(same.returncode == 0 and not same.stdout, "the plan is a script that does the same", same.stdout + same.stderr)
        report.ok(cluster.sql("SELECT obj_description('category_sales'::regclass), has_table_privilege('pg_monitor', 'category_sales', 'SELECT')", "one")
                  == "sales; by category|t", "comments and privileges come with a new TVIEW")

        second = FIRST.replace("mode = incremental", "mode = full").replace("'5m'", "'1h'").replace("CREATE LOGGED TVIEW late", "CREATE UNLOGGED TVIEW late")
        second = second.replace("CREATE INDEX by_amount", "CREATE INDEX by_sales ON category_sales (sales);\nCREATE INDEX by_amount")
        step("options and indexes", second, ["indexes", "options", "options"])
        different = subprocess.run([COMMAND, "diff", "--dsn", cluster.dsn("one"), "--with", cluster.dsn("two")], capture_output=True, text=True)
        report.ok(different.returncode == 1 and "-CREATE INDEX by_sales" in different.stdout and "+CREATE LOGGED TVIEW public.late" in different.stdout,
                  "which diff shows", different.stdout + different.stderr)

        third = second.replace("sum(s.amount) AS amount FROM", "sum(s.amount) AS amount, max(s.id) AS last FROM")
        step("a query with one more column", third, ["replace"])
        report.ok(cluster.sql("SELECT count(last) FROM category_sales", "one") == "5", "which is there")
        fourth = third.replace("SELECT id, name FROM product;", "SELECT name, id FROM product WHERE id > 3;")
        step("other columns", fourth, ["remake"])
        cluster.sql("CREATE MATERIALIZED VIEW plain AS SELECT id FROM sale; CREATE TVIEW extra AS SELECT id FROM product; CREATE TVIEW over_extra AS SELECT id FROM extra", "one")
        fifth = fourth + "CREATE TVIEW plain AS SELECT id FROM sale;"
        kept = files.run("plan", "one", fifth)
        report.ok("extra is not in the files" in kept.stderr and words(kept) == ["switch"], "what is not in the files stays without --drop", kept.stdout + kept.stderr)
        step("a materialized view, and TVIEWs that are gone", fifth, ["drop", "drop", "switch"], "--drop")

        before = cluster.sql(catalog, "one")
        broken = fifth + "CREATE TVIEW good AS SELECT id FROM sale;\nCREATE TVIEW bad WITH (key = 'category') AS SELECT id, category FROM product;"
        failed = files.run("apply", "one", broken)
        report.ok(failed.returncode == 2 and "nothing was changed" in failed.stderr and cluster.sql(catalog, "one") == before,
                  "a statement that fails takes all back", failed.stdout + failed.stderr)
        for text, why in [("CREATE TVIEW v AS SELECT now() AS at FROM product;", "schema.sql:1: v cannot be a TVIEW: function now()"),
                          ("\nCREATE TVIEW v AS SELECT nothing FROM product;", "schema.sql:2: v cannot be a TVIEW: column \"nothing\" does not exist"),
                          ("CREATE TVIEW sale AS SELECT 1 AS a;", "public.sale is there, and no TVIEW"), ("SELECT 1;", "the files make no TVIEW"),
                          ("CREATE TVIEW v AS SELECT FROM WHERE;", "cannot be read")]:
            refused = files.run("plan", "one", text)
            report.ok(refused.returncode == 2 and why in refused.stderr, why, refused.stdout + refused.stderr)

        cluster.sql("CREATE DATABASE three")
        none = files.run("plan", "three", FIRST)
        report.ok(none.returncode == 2 and "the database three does not have the extension" in none.stderr, "a database without the extension", none.stderr)
        away = subprocess.run([COMMAND, "plan", "--dsn", "host=/nowhere dbname=x", "/dev/null"], capture_output=True, text=True)
        report.ok(away.returncode == 2 and "there is no connection to the database x at /nowhere" in away.stderr, "no server", away.stderr)
        with_locks = subprocess.Popen(cluster.psql(database="one"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=cluster.env)
        with_locks.stdin.write("BEGIN; LOCK TABLE product IN ROW EXCLUSIVE MODE; SELECT pg_advisory_lock(1);\n")
        with_locks.stdin.flush()
        while cluster.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "one") == "0":
            pass
        waited = files.run("apply", "one", fifth + "CREATE TVIEW waits AS SELECT id FROM product;", "--lock-timeout", "1")
        report.ok(waited.returncode == 2 and "lock timeout" in waited.stderr, "apply does not wait for ever", waited.stdout + waited.stderr)
        with_locks.stdin.close()
        with_locks.wait()
    report.done()


main()
