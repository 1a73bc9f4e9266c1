-- Stages: sub-queries with aggregates, DISTINCT, windows or LIMIT, CTEs, and what stands above a GROUP BY are maintained as internal TVIEWs of their own.
CREATE SCHEMA stages;
SET search_path = stages, public;
SET client_min_messages = warning;
CREATE TABLE t (id int PRIMARY KEY, g int, n int, v numeric, unused text);
CREATE TABLE name (g int PRIMARY KEY, label text);
INSERT INTO t SELECT i, i % 50, i % 11, i FROM generate_series(1, 2000) i;
INSERT INTO name SELECT i, 'group ' || i FROM generate_series(0, 49) i;
CREATE INDEX ON t (g);
CREATE TVIEW having_count AS SELECT g, sum(v) AS s FROM t GROUP BY g HAVING count(*) > 40;
CREATE TVIEW having_sum AS SELECT g, max(n) AS hi FROM t GROUP BY g HAVING sum(n) > 1000;
CREATE TVIEW having_null AS SELECT g, count(*) AS c FROM t GROUP BY g HAVING max(n) < 10;
CREATE TVIEW in_from AS SELECT x.g, x.s, name.label FROM (SELECT g, sum(v) AS s FROM t GROUP BY g) x JOIN name ON name.g = x.g;
CREATE TVIEW to_rows AS SELECT t.id, t.v, x.s FROM t JOIN (SELECT g, sum(v) AS s FROM t WHERE n = 10 GROUP BY g) x ON x.g = t.g WHERE t.n = 1;
CREATE TVIEW aggregate_of_aggregate AS SELECT c % 3 AS c3, count(*) AS groups, sum(s) AS s, max(s) AS hi FROM (SELECT g, count(*) AS c, sum(v) AS s FROM t GROUP BY g) x GROUP BY 1;
CREATE TVIEW total_of_distinct AS SELECT count(*) AS c, sum(n) AS s FROM (SELECT DISTINCT g, n FROM t) x;
CREATE TVIEW cte_once AS WITH x AS (SELECT g, count(*) AS c FROM t GROUP BY g) SELECT name.label, x.c FROM x JOIN name ON name.g = x.g;
CREATE TVIEW cte_twice AS WITH x AS MATERIALIZED (SELECT g, sum(v) AS s FROM t GROUP BY g) SELECT a.g, a.s, b.s AS next FROM x a JOIN x b ON b.g = a.g + 1;
CREATE TVIEW cte_chain AS WITH x AS (SELECT g, sum(v) AS s FROM t GROUP BY g), y (k, c) AS (SELECT g % 5, count(*) FROM x WHERE s > 39000 GROUP BY 1) SELECT k, c FROM y WHERE c > 1;
CREATE TVIEW above_groups AS SELECT g, sum(v) / (SELECT count(*) FROM name) AS share FROM t GROUP BY g;
CREATE TVIEW hidden_group AS SELECT count(*) AS c, sum(n) AS s FROM t GROUP BY g;
CREATE TVIEW distinct_over_groups AS SELECT DISTINCT count(*) AS c FROM t GROUP BY g, n;
CREATE TVIEW exists_groups AS SELECT g, label FROM name WHERE EXISTS (SELECT FROM t WHERE t.g = name.g GROUP BY t.g HAVING sum(n) > 190);
CREATE TVIEW in_groups AS SELECT g, label FROM name WHERE g IN (SELECT g FROM t GROUP BY g HAVING max(v) > 1990);
SELECT name, strategies, internal_stages FROM tviews.tviews WHERE schema = 'stages' ORDER BY name;
SELECT * FROM cost();

-- one row of 40 in its group
UPDATE t SET v = v + 1 WHERE id = 60;
SELECT * FROM cost();
INSERT INTO t VALUES (3000, 10, 10, 5);
SELECT * FROM cost();
UPDATE t SET g = 11 WHERE id = 3000;
SELECT * FROM cost();
DELETE FROM t WHERE id = 3000;
SELECT * FROM cost();
UPDATE t SET unused = 'x';
SELECT * FROM cost();
UPDATE name SET label = 'renamed' WHERE g = 9;
SELECT * FROM cost();

-- HAVING is crossed upwards by rows that were there before, downwards, and by NULL
UPDATE t SET n = 900 WHERE id = 12;
SELECT * FROM having_sum;
SELECT * FROM cost('having_sum', 'having_null');
UPDATE t SET n = 800 WHERE id = 62;
UPDATE t SET n = 0 WHERE id = 12;
SELECT * FROM having_sum;
SELECT * FROM cost('having_sum', 'having_null');
UPDATE t SET n = 9 WHERE g = 13;
SELECT * FROM having_null;
UPDATE t SET n = NULL WHERE g = 13;
SELECT * FROM having_null;
SELECT * FROM cost('having_sum', 'having_null');

-- the tables of both stages of a join in one transaction, with a read between, and a savepoint
BEGIN;
UPDATE t SET g = 48 WHERE id = 70;
SELECT FROM tviews.flush();
SELECT c FROM cte_once WHERE label = 'group 48';
SAVEPOINT s;
UPDATE name SET label = 'x' WHERE g = 48;
DELETE FROM t WHERE g = 20;
SELECT FROM tviews.flush();
SELECT c FROM cte_once WHERE label = 'x';
ROLLBACK TO s;
UPDATE name SET label = 'y' WHERE g = 48;
COMMIT;
SELECT * FROM cost();
-- many rows
UPDATE t SET v = v * 2 WHERE id <= 500;
SELECT * FROM cost();

-- Stages are out of sight: not listed, not dumped, not to be dropped or read by others; they go with their TVIEW and follow its owner.
SELECT count(*) FROM tviews.tviews WHERE name LIKE '%_1';
SELECT count(*) FROM pg_class WHERE relnamespace = 'stages'::regnamespace AND relkind = 'm';
CREATE ROLE regress_stages;
GRANT ALL ON SCHEMA stages TO regress_stages;
GRANT SELECT ON t, name TO regress_stages;
ALTER TVIEW in_from OWNER TO regress_stages;
SELECT DISTINCT c.relowner::regrole FROM pg_depend d JOIN pg_class c ON c.oid = d.objid WHERE d.refobjid = 'in_from'::regclass AND d.deptype = 'i' AND c.relkind = 'm';
UPDATE t SET v = 0 WHERE id = 100;
SELECT * FROM cost('in_from');
CREATE TEMP TABLE stage_of AS SELECT d.objid AS oid FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
  WHERE d.refobjid = 'in_from'::regclass AND d.deptype = 'i' AND c.relkind = 'm';
SELECT count(*) FROM pg_class JOIN stage_of USING (oid);
DROP TVIEW in_from;
SELECT count(*) FROM pg_class JOIN stage_of USING (oid);
-- A function that a stage calls is replaced: the stage, and what reads it, is recomputed.
CREATE FUNCTION weight(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE TVIEW weighted AS SELECT g, s FROM (SELECT g, sum(weight(n)) AS s FROM t GROUP BY g) x WHERE s > 100;
CREATE OR REPLACE FUNCTION weight(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1';
SELECT * FROM oracle('weighted');
-- OR REPLACE with another query: other stages
CREATE OR REPLACE TVIEW weighted AS SELECT g, s FROM (SELECT g, count(*) AS s FROM t GROUP BY g) x WHERE s > 40;
SELECT * FROM oracle('weighted');
CREATE OR REPLACE TVIEW weighted AS SELECT g, 1::bigint AS s FROM t WHERE id < 10;
SELECT internal_stages FROM tviews.tviews WHERE name = 'weighted';
UPDATE t SET g = 1 WHERE id = 2;
SELECT * FROM oracle('weighted');
-- WITH is read from everywhere in a query
CREATE TVIEW with_in_from AS WITH x AS (SELECT count(*)::int AS c FROM name) SELECT name.g, i FROM name, generate_series(1, (SELECT c FROM x) / 25) i, (VALUES ((SELECT c FROM x)), (7)) v;
CREATE TVIEW with_in_limit AS WITH x AS (SELECT g, count(*) AS c FROM name GROUP BY g) SELECT g FROM name ORDER BY g LIMIT (SELECT sum(c) / 10 FROM x);
CREATE TVIEW with_in_window AS WITH x AS (SELECT count(*) / 25 AS c FROM name)
  SELECT g, count(*) OVER (ORDER BY g ROWS BETWEEN (SELECT c FROM x) PRECEDING AND CURRENT ROW) AS c FROM name;
CREATE TVIEW with_in_group AS WITH x AS (SELECT max(g) AS m FROM name) SELECT (SELECT m FROM x) AS m, n, count(*) AS c FROM t WHERE (SELECT m FROM x) IN (SELECT g FROM name) GROUP BY 1, 2;
CREATE TVIEW group_of_query AS SELECT (SELECT max(g) FROM name) + count(*) AS m, (SELECT max(g) FROM name) AS k, count(DISTINCT n) AS c FROM t GROUP BY (SELECT max(g) FROM name);
INSERT INTO name SELECT i, 'more' FROM generate_series(60, 85) i;
SELECT * FROM oracle();
DELETE FROM name WHERE g >= 70;
SELECT * FROM oracle();
-- an error in a stage names the TVIEW and the stage
CREATE TVIEW quotients AS SELECT g, s FROM (SELECT g, sum(100 / (v - 77)) AS s FROM t WHERE id < 20 GROUP BY g) x WHERE s > 0;
\set SHOW_CONTEXT never
UPDATE t SET v = 77 WHERE id = 3;
\set SHOW_CONTEXT errors
DO $$
DECLARE context text;
BEGIN
    UPDATE t SET v = 77 WHERE id = 3;
    PERFORM FROM quotients;
EXCEPTION WHEN division_by_zero THEN
    GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
    RAISE INFO '%', regexp_replace(context, '"\d+_', '"N_');
END $$;
SELECT * FROM cost('none');

DROP OWNED BY regress_stages;
DROP ROLE regress_stages;
DROP SCHEMA stages CASCADE;
SELECT count(*) FROM pg_class WHERE relnamespace = 'pg_toast_tviews'::regnamespace AND relkind = 'm';

-- whole rows of a sub-query keep the names of its columns: no stage
CREATE SCHEMA stages_whole;
SET search_path = stages_whole, public;
CREATE TABLE t (id int PRIMARY KEY, g int, n int);
CREATE TABLE u (id int PRIMARY KEY, t int, g int);
INSERT INTO t SELECT i, i % 3, i FROM generate_series(1, 9) i;
INSERT INTO u SELECT i, i, i % 3 FROM generate_series(1, 9) i;
CREATE TVIEW of_group AS SELECT x.g, row_to_json(x) AS r FROM (SELECT g, count(*) AS n FROM t GROUP BY g) x;
CREATE TVIEW of_partner AS SELECT t.id, row_to_json(x) AS r FROM t LEFT JOIN (SELECT * FROM u WHERE EXISTS (SELECT FROM t y WHERE y.g = u.g)) x ON x.t = t.id;
CREATE TVIEW of_table AS SELECT t.id, row_to_json(u) AS r FROM t LEFT JOIN u ON u.t = t.id AND EXISTS (SELECT FROM t y WHERE y.g = u.g);
INSERT INTO t VALUES (33, 1, 1);
DELETE FROM u WHERE id = 3;
SELECT * FROM of_group ORDER BY g;
SELECT * FROM oracle();
DROP SCHEMA stages_whole CASCADE;
