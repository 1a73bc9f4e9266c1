-- Refusals: what, SQLSTATE, where, and what to do; and that a failing flush leaves nothing half done.
CREATE SCHEMA errors;
SET search_path = errors, public;
CREATE TABLE t (id int PRIMARY KEY, v int, at timestamptz, txt text);
CREATE TABLE u (id int PRIMARY KEY, v int);
CREATE MATERIALIZED VIEW plain USING heap AS SELECT id FROM t;
CREATE TEMP TABLE tmp (id int);
CREATE FUNCTION vol() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION stab(int) RETURNS int LANGUAGE sql STABLE AS $$ SELECT v FROM errors.u WHERE id = $1 $$;
CREATE SEQUENCE seq;

-- constructs that cannot be maintained
CREATE TVIEW x AS SELECT id, random() AS r FROM t;
\echo :SQLSTATE
CREATE TVIEW x AS SELECT id FROM t WHERE at > now();
CREATE TVIEW x AS SELECT id, CURRENT_TIMESTAMP AS c FROM t;
CREATE TVIEW x AS SELECT id FROM t WHERE txt = current_user;
CREATE TVIEW x AS SELECT id, age(at) FROM t;
CREATE TVIEW x AS SELECT count(*) FROM t HAVING count(*) > (SELECT extract(epoch FROM clock_timestamp()));
CREATE TVIEW x AS SELECT id, vol() FROM t;
CREATE TVIEW x AS SELECT id, stab(id) FROM t;
CREATE TVIEW x AS SELECT id, nextval('seq') FROM t;
CREATE TVIEW x AS SELECT id, current_setting('work_mem') FROM t;
CREATE TVIEW x AS SELECT id, to_tsvector(txt) FROM t;
CREATE TVIEW x AS SELECT id, txt::regclass AS c FROM t;
CREATE TVIEW x AS SELECT id FROM t TABLESAMPLE SYSTEM (50);
CREATE TVIEW x AS SELECT id FROM t FOR UPDATE;
CREATE TVIEW x AS SELECT relname FROM pg_class;
\echo :SQLSTATE
CREATE TVIEW x AS SELECT t.id FROM t WHERE EXISTS (SELECT FROM pg_catalog.pg_class);
CREATE TVIEW x AS SELECT table_name FROM information_schema.tables;
-- "materialized views must not use temporary …"
\set VERBOSITY sqlstate
CREATE TVIEW x AS SELECT id FROM tmp;
\set VERBOSITY default
CREATE TVIEW x AS SELECT id FROM plain;
CREATE TVIEW x AS SELECT * FROM seq;
CREATE TVIEW x AS SELECT xmin::text AS m, ctid::text AS c FROM t;
CREATE TVIEW x AS WITH w AS (DELETE FROM t RETURNING id) SELECT id FROM w;
CREATE VIEW clock AS SELECT id FROM t WHERE at < now();
CREATE TVIEW x AS SELECT id FROM clock;
\echo :SQLSTATE
PREPARE p AS SELECT id FROM t;
CREATE MATERIALIZED VIEW x USING tview AS EXECUTE p;
CREATE TEMP TABLE tv_x AS SELECT id FROM t;
SELECT relkind FROM pg_class WHERE relname = 'tv_x';
DROP TABLE tv_x;
CREATE MATERIALIZED VIEW pg_temp.x USING tview AS SELECT id FROM t;
DO $$ DECLARE k int := 1; BEGIN CREATE TVIEW x AS SELECT id FROM t WHERE id = k; END $$;

-- options
CREATE TVIEW x WITH (mode = fast) AS SELECT id FROM t;
\echo :SQLSTATE
CREATE TVIEW x WITH (refresh = sometimes) AS SELECT id FROM t;
CREATE TVIEW x WITH (logged = perhaps) AS SELECT id FROM t;
CREATE TVIEW x WITH (incremental = false) AS SELECT id FROM t;
CREATE TVIEW x WITH (unheard_of = 1) AS SELECT id FROM t;
CREATE TVIEW x WITH (fillfactor = 1) AS SELECT id FROM t;
CREATE TVIEW x WITH (mode, mode = auto) AS SELECT id FROM t;
CREATE TVIEW x WITH (key = 'nosuch') AS SELECT id FROM t;
CREATE TVIEW x WITH (key = '') AS SELECT id FROM t;
CREATE TVIEW x WITH (mode = incremental) AS SELECT id, avg(v) OVER () FROM t;
\echo :SQLSTATE
SET pg_tviews.nosuch = 1;
SET pg_tviews.native_syntax = off;

-- names that are not TVIEWs, and names that are taken
DROP TVIEW t;
\echo :SQLSTATE
DROP TVIEW plain;
DROP TVIEW nosuch;
ALTER TVIEW t SET (mode = full);
ALTER TVIEW plain RENAME TO x;
REFRESH TVIEW plain;
SELECT * FROM tviews.verify('t');
SELECT tviews.rebuild('plain');
SELECT * FROM tviews.explain('t');
CREATE TVIEW t AS SELECT id FROM u;
\echo :SQLSTATE
CREATE OR REPLACE TVIEW t AS SELECT id FROM u;
\echo :SQLSTATE
CREATE OR REPLACE TVIEW plain AS SELECT id FROM u;
ALTER TABLE t SET ACCESS METHOD tview;
ALTER MATERIALIZED VIEW nosuch SET ACCESS METHOD tview;

-- a TVIEW has no rows of its own
CREATE TVIEW x AS SELECT id, v FROM t;
INSERT INTO x VALUES (1, 1);
\echo :SQLSTATE
UPDATE x SET v = 1;
DELETE FROM x;
TRUNCATE x;
COPY x FROM stdin;
\.
MERGE INTO x USING t ON false WHEN NOT MATCHED THEN INSERT VALUES (1, 1);
SELECT * FROM x FOR UPDATE;
CREATE TRIGGER tr AFTER INSERT ON x EXECUTE FUNCTION tviews.capture();
SELECT tviews.capture();
SELECT * FROM tviews.changed(NULL::t);
SELECT * FROM tviews.deleted(NULL::t);
SELECT * FROM tviews.dirty(NULL::x);
DROP TVIEW x;

DROP MATERIALIZED VIEW plain;

-- a failing expression aborts the writer's statement or commit, names the TVIEW, and leaves nothing half done
CREATE TVIEW ok AS SELECT id, v FROM t;
CREATE TVIEW per_row AS SELECT id, 100 / v AS q FROM t;
CREATE TVIEW per_group AS SELECT v % 10 AS g, sum(100 / (v - 5)) AS s FROM t GROUP BY v % 10;
INSERT INTO t VALUES (1, 1);
INSERT INTO t VALUES (2, 0);
\echo :SQLSTATE
BEGIN;
INSERT INTO t VALUES (3, 3);
UPDATE t SET v = 5 WHERE id = 1;
COMMIT;
BEGIN;
INSERT INTO t VALUES (3, 0);
SAVEPOINT a;
SELECT count(*) FROM per_row;
ROLLBACK TO a;
UPDATE t SET v = 3 WHERE id = 3;
SELECT count(*) FROM per_row;
COMMIT;
SELECT * FROM oracle();
TABLE ok;
DO $$ BEGIN INSERT INTO t VALUES (4, 0); PERFORM * FROM per_row; EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught %', SQLSTATE; END $$;
SELECT * FROM oracle();
CREATE TVIEW at_creation AS SELECT 1 / (id - 1) AS q FROM t;
SELECT count(*) FROM pg_class WHERE relname = 'at_creation';
CREATE FUNCTION small(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF $1 > 100 THEN RAISE 'too big' USING ERRCODE = 'P0123', HINT = 'Use less.'; END IF; RETURN $1; END $$;
CREATE TVIEW raising AS SELECT id, errors.small(v) AS s FROM t;
INSERT INTO t VALUES (5, 101);
\echo :SQLSTATE
SELECT * FROM oracle();

-- an error that a function of the query catches is not the flush's; one that comes after it is
CREATE FUNCTION ratio(a int, b int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN a / b; EXCEPTION WHEN division_by_zero THEN RETURN NULL; END $$;
CREATE TABLE r (id int PRIMARY KEY, a int, b int);
CREATE TVIEW caught AS SELECT id, errors.ratio(a, b) AS q, 1 / (a - 5) AS z FROM r;
INSERT INTO r VALUES (1, 1, 0), (2, 4, 2);
INSERT INTO r VALUES (3, 5, 0);
SELECT tview, flushes, last_error FROM tviews.stat WHERE tview = 'caught'::regclass;
SELECT * FROM oracle();

-- old rows of one table never met new rows of another: what fails for such pairs is no error, what fails for rows that are there is one
CREATE TABLE x (k int PRIMARY KEY, v int);
CREATE TABLE y (k int PRIMARY KEY, v int);
INSERT INTO x VALUES (1, 1), (2, 1);
INSERT INTO y VALUES (1, 1), (2, 1);
CREATE TVIEW pair_fold AS SELECT x.k, sum(10 / (x.v + y.v)) AS s FROM x JOIN y USING (k) GROUP BY x.k;
CREATE TVIEW pair_delta AS SELECT 10 / (x.v + y.v) AS s FROM x JOIN y USING (k);
CREATE TVIEW pair_keyed AS SELECT x.k, y.v FROM x JOIN y USING (k) WHERE 10 / (x.v + y.v) > 0;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'errors' AND name LIKE 'pair%' ORDER BY 1;
BEGIN;
UPDATE x SET v = 5;
UPDATE y SET v = -1;
COMMIT;
TABLE pair_keyed ORDER BY 1;
SELECT * FROM oracle();
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE y SET v = 1 WHERE k = 1;
UPDATE x SET v = 1 WHERE k = 1;
SELECT * FROM pair_fold ORDER BY 1;
COMMIT;
SELECT * FROM oracle();
BEGIN;
UPDATE x SET v = 2;
UPDATE y SET v = -2 WHERE k = 2;
COMMIT;
SELECT * FROM oracle();

-- read-only transactions: what the server says of materialized views, also where it is never asked
CREATE FUNCTION in_read_only(sql text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE sql;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || SQLERRM;
END $$;
BEGIN READ ONLY;
SELECT in_read_only(sql) FROM unnest(ARRAY[
    'REFRESH MATERIALIZED VIEW pair_fold', 'REFRESH TVIEW pair_fold WITH NO DATA', 'ALTER TVIEW pair_fold SET (logged)', 'ALTER TVIEW pair_fold SET UNLOGGED',
    'CREATE OR REPLACE TVIEW pair_fold AS SELECT x.k, sum(10 / (x.v + y.v)) AS s FROM x JOIN y USING (k) GROUP BY x.k',
    'SELECT tviews.rebuild(''pair_fold'')', 'SELECT * FROM tviews.verify(''pair_fold'')', 'SELECT tviews.flush()']) AS sql;
COMMIT;

SET client_min_messages = warning;
DROP SCHEMA errors CASCADE;
