"""`tviews convert`, the program being given as argument: what it writes is run, and gives the same relations as what it was made from.

Scripts that work as they are (materialized views, the convention of pg_tviews, pg_stream by its functions) run in one database, and what they are
converted to in another; the contents and the options are compared. Scripts for pg_ivm, which is not there, are run converted only.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from cluster import Cluster, Report

COMMAND = sys.argv[1]

TABLES = """
CREATE TABLE product (id int PRIMARY KEY, name text NOT NULL, category text NOT NULL);
CREATE TABLE sale (id int PRIMARY KEY, product int NOT NULL REFERENCES product, amount numeric NOT NULL, sold timestamptz NOT NULL);
INSERT INTO product SELECT n, 'product ' || n, 'category ' || n % 5 FROM generate_series(1, 50) n;
INSERT INTO sale SELECT n, 1 + n % 50, n, timestamptz '2026-01-01 UTC' + n * interval '1 hour' FROM generate_series(1, 200) n;
"""

MATVIEWS = """
-- Sales by category.
CREATE MATERIALIZED VIEW category_sales AS
    SELECT p.category, count(*) AS sales, sum(s.amount) AS amount  -- all of them
      FROM sale s JOIN product p ON p.id = s.product GROUP BY p.category;
CREATE UNIQUE INDEX ON category_sales (category);
create materialized view if not exists large (category, total) with (fillfactor = 70) as
    select category, amount from category_sales where amount > 1000 with no data;
REFRESH MATERIALIZED VIEW large;
CREATE MATERIALIZED VIEW last_sales TABLESPACE pg_default AS (SELECT id, product FROM sale ORDER BY sold DESC, id LIMIT 10);
COMMENT ON MATERIALIZED VIEW large IS 'large; ones';
"""

CONVENTION = """
CREATE TABLE tv_product AS SELECT id, name FROM product;
CREATE UNLOGGED TABLE tv_total (category, n) AS SELECT category, count(*) FROM product GROUP BY 1;
SELECT id, amount INTO tv_sale FROM sale;
SELECT pg_tviews_create('page', $$ SELECT p.id, jsonb_build_object('name', p.name) AS data FROM product p; -- pages
$$);
SELECT pg_tviews_create('gone', 'SELECT 1 AS a');
SELECT pg_tviews_drop('gone', if_exists => true);
"""

STREAM = """
SELECT pgstream.create_stream_table('totals', 'SELECT category, count(*) AS n FROM product GROUP BY category', '30s');
SELECT pgstream.create_stream_table(name => 'by_hand', query => 'SELECT id FROM sale;', schedule => NULL, refresh_mode => 'FULL');
SELECT pgstream.create_stream_table('usual', 'SELECT id, name FROM product');
SELECT pgstream.create_stream_table('now_and_then', 'SELECT product, max(sold) AS last FROM sale GROUP BY product', '@hourly', 'AUTO', false);
SELECT pgstream.create_stream_table('exact', 'SELECT max(id) AS id FROM sale', refresh_mode => 'IMMEDIATE');
SELECT pgstream.refresh_stream_table('now_and_then');
SELECT pgstream.alter_stream_table('usual', schedule => '5m', status => 'PAUSED');
SELECT pgstream.create_stream_table('gone', 'SELECT 1 AS a');
SELECT pgstream.drop_stream_table('gone');
"""

IVM = """
SELECT pgivm.create_immv('branch_total', 'SELECT p.category, count(*) AS n, sum(s.amount) AS amount
    FROM sale s JOIN product p ON p.id = s.product WHERE p.name <> ''it''''s'' GROUP BY p.category');
SELECT create_immv('Public.names', 'SELECT id, name FROM product');
SELECT pgivm.refresh_immv('names', true);
SELECT pg_catalog.length(pgivm.get_immv_def('names')) > 0;
"""

CONTENTS = "SELECT string_agg(x::text, E'\\n' ORDER BY x::text) FROM {} x"
OPTIONS = """
SELECT name, refresh, populated, s.paused, array(SELECT o FROM unnest(options) o WHERE o NOT IN ('incremental=true', 'mode=auto', 'logged=true', 'logged=false', 'refresh=commit') ORDER BY 1)
  FROM tviews.tviews t LEFT JOIN tviews.staleness s ON s.tview = format('%I.%I', t.schema, t.name)::regclass ORDER BY 1
"""


def convert(script, *options):
    """What the command makes of a script; its exit status, the difference, and what it tells."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "script.sql"
        path.write_text(script)
        done = subprocess.run([COMMAND, "convert", *options, path], capture_output=True, text=True)
        patched = path.read_text()
        return done, patched if options else patch(script, done.stdout)


def patch(text, difference):
    """A text with a unified difference applied, whose context has to fit."""
    lines, made, at = text.splitlines(keepends=True), [], 0
    for row in difference.splitlines(keepends=True)[2:]:
        if match := re.match(r"@@ -(\d+)", row):
            start = int(match[1]) - 1
            made += lines[at:start]
            at = start
        elif row[0] == "+":
            made.append(row[1:])
        elif row[0] in " -":
            if lines[at] != row[1:]:
                raise RuntimeError(f"{row!r} does not fit {lines[at]!r}")
            made += [row[1:]] if row[0] == " " else []
            at += 1
    return "".join(made + lines[at:])


def main():
    report = Report()
    with Cluster() as cluster:
        number = 0

        def database(script, before=""):
            nonlocal number
            number += 1
            name = f"convert_{number}"
            cluster.sql(f"CREATE DATABASE {name}")
            cluster.sql("CREATE EXTENSION pg_tviews;" + TABLES + before + script, name)
            return name

        for what, script, before in [("materialized views", MATVIEWS, ""), ("the convention of pg_tviews", CONVENTION, ""),
                                     ("stream tables", STREAM, "SELECT tviews.install_pgstream();")]:
            done, converted = convert(script)
            report.ok(done.returncode == 0 and converted != script, f"{what}: everything is understood", done.stderr)
            old, new = database(script, before), database(converted)
            names = cluster.sql("SELECT oid::regclass FROM pg_class WHERE relkind = 'm' AND relnamespace = 'public'::regnamespace ORDER BY 1", old).split()
            tviews = cluster.sql("SELECT name FROM tviews.tviews ORDER BY 1", new).split()
            report.ok(len(names) > 2 and sorted(names) == sorted(tviews), f"{what}: all are TVIEWs", f"{names} {tviews}")
            different = [n for n in names if cluster.sql(CONTENTS.format(n), old) != cluster.sql(CONTENTS.format(n), new)]
            report.ok(not different, f"{what}: the same rows", different)
            if script != MATVIEWS:
                report.ok(cluster.sql(OPTIONS, old) == cluster.sql(OPTIONS, new), f"{what}: the same options",
                          cluster.sql(OPTIONS, old) + "\n" + cluster.sql(OPTIONS, new))
            _, written = convert(script, "--write")
            report.ok(written == converted, f"{what}: --write writes what the difference says")
            again, _ = convert(converted)
            report.ok(again.returncode == 0 and not again.stdout, f"{what}: a second run changes nothing", again.stdout)

        done, converted = convert(IVM)
        name = database(converted)
        report.ok(done.returncode == 0 and cluster.sql("SELECT count(*) FROM tviews.tviews", name) == "2", "IMMVs become TVIEWs", done.stderr)
        cluster.sql("UPDATE product SET category = 'none' WHERE id = 1", name)
        report.ok(cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()", name) == "t", "and follow", done.stdout)

        dump = database(MATVIEWS)
        text = cluster.tool("pg_dump", "-d", dump)
        done, converted = convert(text)
        restored = "restored"
        cluster.sql(f"CREATE DATABASE {restored}")
        cluster.sql(converted, restored)
        report.ok(done.returncode == 0 and cluster.sql("SELECT count(*), bool_and(populated) FROM tviews.tviews", restored) == "3|t",
                  "a dump with materialized views is restored with TVIEWs", done.stderr)

        clock = "CREATE MATERIALIZED VIEW recent AS SELECT id FROM sale WHERE sold > now() - interval '1 year';\n"
        done, converted = convert(clock)
        report.ok(done.returncode == 1 and converted == clock and "script.sql:1: materialized view recent stays" in done.stderr,
                  "what is left alone has its line and reason", done.stderr)
        job = "SELECT cron.schedule('recent', '*/5 * * * *', 'REFRESH MATERIALIZED VIEW recent');\n"
        done, converted = convert(clock + job)
        name = database(converted)
        report.ok(cluster.sql("SELECT refresh, 'schedule=*/5 * * * *' = ANY (options) FROM tviews.tviews", name) == "deferred|t",
                  "a view of the clock takes the schedule of its job", cluster.sql("SELECT refresh, options FROM tviews.tviews", name))
        done = subprocess.run([COMMAND, "convert", "/nowhere.sql"], capture_output=True, text=True)
        report.ok(done.returncode == 2 and "/nowhere.sql cannot be read" in done.stderr, "a file that is not there is an error", done.stderr)
    report.done()


main()
