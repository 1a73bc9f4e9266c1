"""What the script of another extension changes is followed as if it were typed: functions that are replaced or renamed, types, partitions, operators.

Invariant tested: a TVIEW over objects of an extension equals its query after ALTER EXTENSION … UPDATE, and a session that held plans goes on without
an error.
Called by `make check`; alone: PG_CONFIG=… regress/t/extensions.py
"""

import subprocess
from pathlib import Path

from cluster import Cluster, Report, SqlError

NAME = "regress_versions"
CONTROL = "default_version = '1.0'\nrelocatable = false\nschema = ext\n"
FIRST = """
CREATE FUNCTION plus(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 + 1; END';
CREATE FUNCTION renamed(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 * 2; END';
CREATE FUNCTION near(int, int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN abs($1 - $2) < 2; END';
CREATE OPERATOR <~> (LEFTARG = int, RIGHTARG = int, FUNCTION = near);
CREATE TYPE mood AS ENUM ('low', 'high');
CREATE TYPE place AS (street text, zip text);
CREATE TABLE part (k int, v text) PARTITION BY LIST (k);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part_2 (k int, v text);
CREATE VIEW shown AS SELECT k, v FROM part WHERE k < 3;
CREATE FUNCTION total_add(int, int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 + $2; END';
CREATE AGGREGATE total(int) (SFUNC = total_add, STYPE = int, INITCOND = '0');
"""
SECOND = """
CREATE OR REPLACE FUNCTION plus(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 + 2; END';
ALTER FUNCTION renamed(int) RENAME TO doubled;
CREATE OR REPLACE FUNCTION near(int, int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN abs($1 - $2) < 3; END';
ALTER TYPE mood RENAME VALUE 'low' TO 'sad';
ALTER TYPE place RENAME ATTRIBUTE zip TO code;
ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES IN (2);
CREATE OR REPLACE VIEW shown AS SELECT k, v FROM part WHERE k < 2;
CREATE OR REPLACE FUNCTION total_add(int, int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 + 2 * $2; END';
"""
SCHEMA = f"""
CREATE EXTENSION pg_tviews;
CREATE SCHEMA ext;
CREATE EXTENSION {NAME};
CREATE TABLE t (id int PRIMARY KEY, n int, m ext.mood, p ext.place);
INSERT INTO t SELECT i, i, (ARRAY['low', 'high'])[1 + i % 2]::ext.mood, ROW('s', i::text)::ext.place FROM generate_series(1, 6) i;
INSERT INTO ext.part VALUES (1, 'one');
INSERT INTO ext.part_2 VALUES (2, 'two');
CREATE TVIEW called AS SELECT id, ext.plus(n) AS x FROM t;
CREATE TVIEW grouped AS SELECT ext.plus(n) / 3 AS k, count(*) AS n FROM t GROUP BY 1;
CREATE TVIEW renamed AS SELECT id, ext.renamed(n) AS x FROM t;
CREATE TVIEW pairs AS SELECT a.id, b.id AS other FROM t a JOIN t b ON a.n OPERATOR(ext.<~>) b.n;
CREATE TVIEW moods AS SELECT m::text AS mood, count(*) AS n FROM t GROUP BY m::text;
CREATE TVIEW places AS SELECT id, to_jsonb(p) AS p FROM t;
CREATE TVIEW parts AS SELECT k, v FROM ext.part;
CREATE TVIEW shown AS SELECT count(*) AS n, max(v) AS v FROM ext.shown;
CREATE TVIEW totals AS SELECT m, ext.total(n) AS total FROM t GROUP BY m;
"""
TVIEWS = ["called", "grouped", "renamed", "pairs", "moods", "places", "parts", "shown", "totals"]
WRITE = "UPDATE t SET n = n + 1 WHERE id IN (2, 5); INSERT INTO t SELECT max(id) + 1, 7, 'high', ROW('x', 'y')::ext.place FROM t; DELETE FROM t WHERE id = 3; INSERT INTO ext.part VALUES (1, 'more');"


def main():
    report = Report()
    with Cluster() as c:
        folder = Path(c.tool("pg_config", "--sharedir").strip()) / "extension"
        files = {f"{NAME}.control": CONTROL, f"{NAME}--1.0.sql": FIRST, f"{NAME}--1.0--1.1.sql": SECOND}
        try:
            for name, text in files.items():
                (folder / name).write_text(text)
                (folder / name).chmod(0o644)
            c.sql(SCHEMA)
            with subprocess.Popen(c.psql("-A", "-t", "-v", "ON_ERROR_STOP=0", "-f", "-"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=c.env) as old:
                old.stdin.write(f"{WRITE}\nSELECT 'warm';\n")
                old.stdin.flush()
                while old.stdout.readline().strip() != "warm":
                    pass
                report.attempt("ALTER EXTENSION … UPDATE", lambda: c.sql(f"ALTER EXTENSION {NAME} UPDATE TO '1.1'") == "")
                for tview in TVIEWS:
                    report.attempt(f"updated: {tview} is exact", lambda: c.difference(tview) == 0)
                said = old.communicate(WRITE)[0].strip()
                report.ok(said == "", "a session that was there before goes on", said)
            for tview in TVIEWS:
                report.attempt(f"written: {tview} is exact", lambda: c.difference(tview) == 0)
            c.sql(WRITE.replace("DELETE FROM t WHERE id = 3", "DELETE FROM t WHERE id = 4"))
            for tview in TVIEWS:
                report.attempt(f"written by another session: {tview} is exact", lambda: c.difference(tview) == 0)
            try:
                c.sql(f"DROP EXTENSION {NAME}")
                report.ok(False, "DROP EXTENSION is refused")
            except SqlError as error:
                report.ok("other objects depend on it" in str(error), "DROP EXTENSION is refused", error)
        finally:
            for name in files:
                (folder / name).unlink(missing_ok=True)
    report.done()


if __name__ == "__main__":
    main()
