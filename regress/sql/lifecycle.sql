-- Life of a TVIEW: what DDL on it and on what it reads does to it, and that nothing is left behind.
CREATE SCHEMA life;
SET search_path = life, public;
SET client_min_messages = warning;
CREATE VIEW left_behind AS
  SELECT tgrelid::regclass::text AS base_table, count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid JOIN pg_namespace n ON n.oid = relnamespace
   WHERE nspname LIKE 'life%' AND tgname LIKE 'tviews%' GROUP BY 1
  UNION ALL SELECT 'source ' || source::regclass, count(*) FROM tviews.source s WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = s.tview) GROUP BY 1;
CREATE TABLE t (id int PRIMARY KEY, v int, w text);
CREATE TABLE u (id int PRIMARY KEY, t_id int);
INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b');
INSERT INTO u VALUES (1, 1);

-- DROP in every way takes the triggers off
CREATE TVIEW a AS SELECT id, v FROM t;
CREATE TVIEW b AS SELECT t.id, u.id AS uid FROM t LEFT JOIN u ON u.t_id = t.id;
SELECT base_table, count FROM left_behind ORDER BY 1;
DROP TVIEW a;
SELECT base_table, count FROM left_behind ORDER BY 1;
DROP MATERIALIZED VIEW b;
TABLE left_behind;
CREATE TVIEW a AS SELECT id, v FROM t;
CREATE TVIEW b AS SELECT a.id, u.id AS uid FROM a LEFT JOIN u ON u.t_id = a.id;
DROP TVIEW a;
DROP TABLE t;
DROP TVIEW a CASCADE;
TABLE left_behind;
CREATE SCHEMA life_other;
CREATE TVIEW life_other.a AS SELECT id FROM t;
DROP SCHEMA life_other CASCADE;
TABLE left_behind;
CREATE TABLE gone (id int PRIMARY KEY);
CREATE TVIEW a AS SELECT id FROM gone JOIN t USING (id);
DROP TABLE gone CASCADE;
TABLE left_behind;
CREATE VIEW between AS SELECT id FROM t;
CREATE TVIEW a AS SELECT id FROM between;
DROP VIEW between CASCADE;
TABLE left_behind;
CREATE TVIEW a AS SELECT w FROM t;
ALTER TABLE t DROP COLUMN w;
ALTER TABLE t DROP COLUMN w CASCADE;
TABLE left_behind;
ALTER TABLE t ADD w text DEFAULT 'w';
BEGIN;
CREATE TVIEW a AS SELECT id FROM t;
ROLLBACK;
TABLE left_behind;
BEGIN;
CREATE TVIEW a AS SELECT id FROM t;
INSERT INTO t VALUES (3, 3);
SAVEPOINT s;
DROP TVIEW a;
ROLLBACK TO s;
SELECT count(*) FROM a;
DROP TVIEW a;
ROLLBACK;
TABLE left_behind;

-- renames
CREATE TVIEW a AS SELECT id, v FROM t;
CREATE TVIEW b AS SELECT a.id, a.v, u.id AS uid FROM a LEFT JOIN u ON u.t_id = a.id;
ALTER TABLE t RENAME TO t2;
ALTER TABLE t2 RENAME v TO v2;
ALTER TABLE t2 RENAME id TO id2;
UPDATE t2 SET v2 = v2 + 1;
SELECT * FROM oracle();
ALTER TVIEW a RENAME TO a2;
ALTER TVIEW a2 RENAME v TO value;
UPDATE t2 SET v2 = v2 + 1;
SELECT * FROM oracle();
CREATE SCHEMA life_moved;
ALTER TABLE t2 SET SCHEMA life_moved;
ALTER TVIEW a2 SET SCHEMA life_moved;
ALTER SCHEMA life_moved RENAME TO life_renamed;
INSERT INTO life_renamed.t2 (id2, v2) VALUES (4, 4);
SELECT * FROM oracle();
SELECT * FROM oracle('life_renamed.a2');
TABLE life_renamed.a2 ORDER BY id;
ALTER TABLE life_renamed.t2 SET SCHEMA life;
ALTER TABLE t2 RENAME TO t;
ALTER TABLE t RENAME v2 TO v;
ALTER TABLE t RENAME id2 TO id;
DROP SCHEMA life_renamed CASCADE;
TABLE left_behind;

-- types of used columns stay; unused ones may change
CREATE TVIEW a AS SELECT id, v FROM t;
\set VERBOSITY terse
ALTER TABLE t ALTER v TYPE bigint;
\set VERBOSITY default
ALTER TABLE t ALTER w TYPE varchar(10);
ALTER TABLE t DROP w;
ALTER TABLE t ADD w text;
ALTER TABLE t DROP CONSTRAINT t_pkey CASCADE;
UPDATE t SET v = v + 1;
SELECT * FROM oracle();

-- OR REPLACE
CREATE OR REPLACE TVIEW a AS SELECT id, v * 10 AS v FROM t WHERE id > 1;
SELECT * FROM oracle();
UPDATE t SET v = 7 WHERE id = 2;
SELECT * FROM oracle();
CREATE OR REPLACE TVIEW a AS SELECT u.id, t_id AS v FROM u;
INSERT INTO u VALUES (5, 5);
SELECT * FROM oracle();
SELECT base_table, count FROM left_behind ORDER BY 1;
CREATE OR REPLACE TVIEW a AS SELECT id, v::text AS v FROM t;
CREATE OR REPLACE TVIEW brand_new AS SELECT id FROM u;
DROP TVIEW brand_new;

-- CREATE OR REPLACE VIEW below
CREATE VIEW below AS SELECT id, v FROM t;
CREATE TVIEW c AS SELECT id, v FROM below;
CREATE OR REPLACE VIEW below AS SELECT id, t_id AS v FROM u;
SELECT * FROM oracle();
INSERT INTO u VALUES (6, 6);
SELECT * FROM oracle();
CREATE VIEW below2 AS SELECT * FROM below;
CREATE TVIEW d AS SELECT id, v FROM below2;
CREATE OR REPLACE VIEW below AS SELECT id, v FROM t;
UPDATE t SET v = 8 WHERE id = 2;
SELECT * FROM oracle();
DROP VIEW below CASCADE;

-- a function body replaced
CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT $1 + 1 $$;
CREATE TVIEW c AS SELECT id, f(v) AS f FROM t;
CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT $1 * 100 $$;
SELECT * FROM oracle();
UPDATE t SET v = v + 1;
SELECT * FROM oracle();
DROP FUNCTION f CASCADE;

-- ... that is called by a view, a function, an aggregate, an operator, and by a view over a TVIEW
CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1 + 1; END $$;
CREATE FUNCTION caller(i int) RETURNS int LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT f(i); END;
CREATE FUNCTION transition(bigint, int) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN coalesce($1, 0) + $2; END $$;
CREATE AGGREGATE gathered(int) (SFUNC = transition, STYPE = bigint);
CREATE FUNCTION operated(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1 * $2; END $$;
CREATE OPERATOR *** (LEFTARG = int, RIGHTARG = int, FUNCTION = operated);
CREATE VIEW calls AS SELECT id, f(v) AS f FROM t;
CREATE VIEW calls2 AS SELECT id, f FROM calls;
CREATE TVIEW of_view AS SELECT id, f FROM calls2;
CREATE TVIEW of_function AS SELECT id, caller(v) AS f FROM t;
CREATE TVIEW of_aggregate AS SELECT id % 2 AS k, gathered(v) AS g FROM t GROUP BY id % 2;
CREATE TVIEW of_operator AS SELECT id, v *** 3 AS o FROM t;
CREATE VIEW above AS SELECT o, count(*) AS n FROM of_operator GROUP BY o;
CREATE TVIEW of_above AS SELECT o, n FROM above;
CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1 * 100; END $$;
CREATE OR REPLACE FUNCTION transition(bigint, int) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN coalesce($1, 0) - $2; END $$;
CREATE OR REPLACE FUNCTION operated(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1 - $2; END $$;
SELECT * FROM oracle();
UPDATE t SET v = v + 1;
SELECT * FROM oracle();
DROP FUNCTION f, transition, operated CASCADE;

-- access method, there and back
CREATE MATERIALIZED VIEW m AS SELECT id, v FROM t;
ALTER MATERIALIZED VIEW m SET ACCESS METHOD tview;
UPDATE t SET v = v + 1;
SELECT * FROM oracle();
ALTER MATERIALIZED VIEW m SET ACCESS METHOD heap;
UPDATE t SET v = v + 1;
SELECT count(*) AS stale FROM oracle('m');
SELECT relpersistence, reloptions FROM pg_class WHERE oid = 'm'::regclass;
REFRESH MATERIALIZED VIEW m;
SELECT * FROM oracle();
DROP MATERIALIZED VIEW m;

-- storage and options
ALTER TVIEW a SET LOGGED;
SELECT relpersistence, reloptions FROM pg_class WHERE oid = 'a'::regclass;
UPDATE u SET t_id = 9 WHERE id = 5;
SELECT * FROM oracle();
ALTER TVIEW a SET (mode = full, fillfactor = 50);
SELECT reloptions FROM pg_class WHERE oid = 'a'::regclass;
UPDATE u SET t_id = 10 WHERE id = 5;
SELECT * FROM oracle();
ALTER MATERIALIZED VIEW a RESET (mode, fillfactor);
ALTER TVIEW a SET UNLOGGED;
SELECT relpersistence, reloptions FROM pg_class WHERE oid = 'a'::regclass;
ALTER TABLE a SET LOGGED;
ALTER TABLE a SET UNLOGGED;
ALTER TABLE u SET UNLOGGED;
ALTER TABLE u SET LOGGED;
UPDATE u SET t_id = 11 WHERE id = 5;
SELECT * FROM oracle();

-- REFRESH
REFRESH MATERIALIZED VIEW a;
REFRESH MATERIALIZED VIEW CONCURRENTLY a;
REFRESH TVIEW CONCURRENTLY a;
BEGIN;
INSERT INTO u VALUES (20, 20);
REFRESH TVIEW a;
SELECT * FROM oracle();
COMMIT;
REFRESH TVIEW a WITH NO DATA;
TABLE a;
INSERT INTO u VALUES (21, 21);
REFRESH TVIEW CONCURRENTLY a;
REFRESH TVIEW a;
INSERT INTO u VALUES (22, 22);
SELECT * FROM oracle();
CREATE TVIEW late AS SELECT id FROM u WITH NO DATA;
INSERT INTO u VALUES (23, 23);
TABLE late;
REFRESH TVIEW late;
INSERT INTO u VALUES (24, 24);
SELECT * FROM oracle();
REFRESH TVIEW late WITH NO DATA;
ALTER TVIEW late SET ACCESS METHOD heap;
REFRESH MATERIALIZED VIEW late;
DROP MATERIALIZED VIEW late;

-- the tv_ convention
CREATE TABLE tv_conv AS SELECT id, v FROM t;
SELECT relkind, amname FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE c.oid = 'tv_conv'::regclass;
UPDATE t SET v = v + 1;
SELECT * FROM oracle();
ALTER TABLE tv_conv SET LOGGED;
CREATE TABLE IF NOT EXISTS tv_conv AS SELECT id FROM t;
DROP TABLE tv_conv;
SET pg_tviews.ctas_prefix = '';
CREATE TABLE tv_conv AS SELECT id, v FROM t;
SELECT relkind FROM pg_class WHERE oid = 'tv_conv'::regclass;
DROP TABLE tv_conv;
SET pg_tviews.ctas_prefix = 'mine_';
CREATE TABLE mine_conv AS SELECT id, v FROM t;
CREATE TEMP TABLE mine_temp AS SELECT id, v FROM t;
SELECT relname, relkind FROM pg_class WHERE relname LIKE 'mine\_%' AND relkind <> 'i' ORDER BY 1;
DROP TABLE mine_conv, mine_temp;
RESET pg_tviews.ctas_prefix;
SELECT id, v INTO tv_into FROM t;
SELECT relkind FROM pg_class WHERE oid = 'tv_into'::regclass;
DROP TABLE tv_into;
SET default_table_access_method = tview;
CREATE TABLE plain (id int);
CREATE TABLE plain_as AS SELECT 1 AS id;
CREATE MATERIALIZED VIEW m AS SELECT id FROM t;
CREATE TEMP TABLE plain_temp (id int);
RESET default_table_access_method;
SELECT relname, relkind, amname FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE relname IN ('plain', 'plain_as', 'm', 'plain_temp') ORDER BY 1;
CREATE TVIEW IF NOT EXISTS m AS SELECT v FROM t;
CREATE TVIEW m AS SELECT v FROM t;
SELECT * FROM oracle();
DROP MATERIALIZED VIEW m;
DROP TABLE plain, plain_temp;
DROP TABLE IF EXISTS plain_as;

-- a stage that reads another goes first, by DROP and by OR REPLACE
CREATE TVIEW windows AS SELECT a, sum(b) OVER (PARTITION BY c) AS s, row_number() OVER (PARTITION BY b ORDER BY a, b, c) AS n
  FROM (SELECT t_id AS a, min(id) AS b, (SELECT x.v FROM t AS x WHERE x.id = u.t_id AND x.v = 9) AS c FROM u GROUP BY t_id) AS sub WHERE b <> 3;
SELECT count(*) FROM tviews.stage;
SELECT tviews.rebuild('windows');
CREATE OR REPLACE TVIEW windows AS SELECT a, sum(b) OVER (PARTITION BY c) AS s, row_number() OVER (PARTITION BY b ORDER BY a, b, c) AS n
  FROM (SELECT t_id AS a, min(id) AS b, (SELECT x.v FROM t AS x WHERE x.id = u.t_id AND x.v = 9) AS c FROM u GROUP BY t_id) AS sub WHERE b <> 4;
SELECT * FROM oracle();
DROP TVIEW windows;
SELECT count(*) FROM tviews.stage;

-- another query may have no key: the UNIQUE index that was made for the old one goes, one that a user made stays
CREATE TABLE item (id int PRIMARY KEY, v int);
CREATE TABLE part (id int, n int);
INSERT INTO item VALUES (1, 1);
INSERT INTO part VALUES (1, 5), (1, 6);
CREATE VIEW seen AS SELECT id, v FROM item;
CREATE TVIEW through AS SELECT id, v FROM seen;
CREATE INDEX of_user ON through (v);
CREATE TVIEW direct AS SELECT id, v FROM item;
CREATE VIEW automatic AS SELECT indexdef FROM pg_indexes WHERE tablename IN ('through', 'direct') ORDER BY indexname;
CREATE OR REPLACE VIEW seen AS SELECT id, n AS v FROM part JOIN item USING (id);
CREATE OR REPLACE TVIEW direct AS SELECT id, n AS v FROM part JOIN item USING (id);
INSERT INTO part VALUES (1, 6);
SELECT * FROM oracle();
TABLE automatic;
CREATE OR REPLACE VIEW seen AS SELECT id, v FROM item;
CREATE OR REPLACE TVIEW direct AS SELECT id, v FROM item;
TABLE automatic;
INSERT INTO item VALUES (2, 2);
SELECT * FROM oracle();
TRUNCATE part;
CREATE UNIQUE INDEX strict ON through (v);
CREATE OR REPLACE VIEW seen AS SELECT id, n AS v FROM part JOIN item USING (id);
INSERT INTO part VALUES (1, 7), (2, 7);
DROP TVIEW direct, through;
DROP VIEW automatic, seen;

-- named columns
CREATE TVIEW named (key, "Val") AS SELECT id, v FROM t;
UPDATE t SET v = v + 1;
SELECT key, "Val" FROM named ORDER BY 1;
SELECT * FROM oracle();

SET client_min_messages = error;
DROP SCHEMA life CASCADE;
SELECT count(*) FROM tviews.source s WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = s.tview);
