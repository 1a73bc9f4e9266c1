-- The functions and the view of schema tviews.
CREATE SCHEMA functions;
SET search_path = functions, public;
CREATE TABLE t (id int PRIMARY KEY, g int, v int);
CREATE TABLE u (id int PRIMARY KEY, t_id int);
INSERT INTO t SELECT i, i % 3, i FROM generate_series(1, 9) i;
INSERT INTO u SELECT i, i FROM generate_series(1, 3) i;
CREATE TVIEW keyed AS SELECT t.id, t.v, u.id AS uid FROM t LEFT JOIN u ON u.t_id = t.id;
CREATE TVIEW grouped AS SELECT g, count(*) AS n, sum(v) AS s FROM t GROUP BY g;
CREATE TVIEW top WITH (logged) AS SELECT id, v FROM t ORDER BY v DESC LIMIT 2;
CREATE TVIEW empty AS SELECT id FROM t WITH NO DATA;

SELECT schema, name, options, refresh, strategies, base_tables, populated, logged, size > 0 AS has_size, internal_stages FROM tviews.tviews WHERE schema = 'functions' ORDER BY name;
SELECT * FROM tviews.verify('keyed');
SELECT * FROM tviews.verify('empty');
SELECT * FROM tviews.verify_all() WHERE tview::text IN ('keyed', 'grouped', 'top', 'empty');
SELECT * FROM tviews.verify(NULL);

-- triggers stay on whatever is switched off for users
ALTER TABLE t DISABLE TRIGGER ALL;
INSERT INTO t VALUES (100, 0, 100);
SET session_replication_role = replica;
DELETE FROM t WHERE id = 5;
RESET session_replication_role;
ALTER TABLE t ENABLE TRIGGER ALL;
SELECT tview, missing, extra, ok FROM tviews.verify_all() WHERE tview::text IN ('keyed', 'grouped', 'top');
SELECT "check", status FROM tviews.health();

-- verify sees what a function that lies about being IMMUTABLE has done, and rebuild mends it
CREATE FUNCTION factor() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN current_setting('functions.factor'); END $$;
SET functions.factor = 1;
CREATE TVIEW lied_to AS SELECT id, v * functions.factor() AS v FROM t;
SET functions.factor = 2;
SELECT * FROM tviews.verify('lied_to');
SELECT tviews.rebuild('lied_to');
SELECT * FROM tviews.verify('lied_to');
DROP TVIEW lied_to;
-- many columns are compared as one: NULLs, equal values of different bytes, types without an equality
SET functions.factor = 1;
SELECT format($$CREATE TVIEW wide AS SELECT v %% 3 AS v, NULLIF(v %% 3, 1) * functions.factor() AS f, point(1, v %% 3) AS p, NULL::json AS j,
  CASE functions.factor() WHEN 1 THEN 1.0 ELSE 1.00 END AS n, %s FROM t$$,
  string_agg(format('v + %s AS c%s', i, i), ', ')) FROM generate_series(1, 1580) i \gset wide_
\set ECHO none
:wide_format;
\set ECHO all
SELECT * FROM tviews.verify('wide');
SET functions.factor = 2;
SELECT (SELECT count(*) FROM t) AS rows, (SELECT count(*) FROM t WHERE v % 3 = 2) AS others, missing, extra, ok FROM tviews.verify('wide');
SET functions.factor = 1;
SELECT * FROM tviews.verify('wide');
DROP TVIEW wide;

-- a TVIEW that reads no table is recomputed as others are, and so is what reads it
CREATE FUNCTION raised(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN n + 1; END $$;
CREATE TVIEW constants AS SELECT n, functions.raised(n) AS raised FROM (VALUES (1), (2)) AS v (n);
CREATE TVIEW of_constants AS SELECT sum(raised) AS s FROM constants;
CREATE OR REPLACE FUNCTION raised(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN n + 10; END $$;
SELECT * FROM constants, of_constants ORDER BY n;
DROP TVIEW of_constants, constants;

-- pending and flush
BEGIN;
SELECT * FROM tviews.pending();
INSERT INTO t VALUES (10, 1, 10), (11, 1, 11);
DELETE FROM t WHERE id = 1;
UPDATE u SET t_id = 2 WHERE id = 1;
SELECT base_table, tview, inserted, deleted FROM tviews.pending() ORDER BY base_table::text, tview::text;
SELECT tviews.flush();
SELECT * FROM tviews.pending();
SELECT * FROM oracle();
UPDATE t SET v = v + 1;
UPDATE t SET v = v - 1;
SELECT base_table, tview, inserted, deleted FROM tviews.pending() ORDER BY base_table::text, tview::text;
TRUNCATE u;
SELECT base_table, tview, inserted, deleted FROM tviews.pending() ORDER BY base_table::text, tview::text;
ROLLBACK;
SELECT * FROM oracle();

-- explain and check
-- (the SQL in it differs by version)
SELECT regexp_replace(e, '(rows|keys|query): .*', '\1: SQL') AS explain FROM tviews.explain('keyed') e;
SELECT regexp_replace(e, '(rows|keys|query): .*', '\1: SQL') AS explain FROM tviews.explain('grouped') e;
SELECT regexp_replace(e, '(rows|keys|query|first changed row): .*', '\1: SQL') AS explain FROM tviews.explain('top') e;
SELECT * FROM tviews.check('SELECT id FROM t');
SELECT * FROM tviews.check('SELECT t.v, u.id FROM t JOIN u ON u.t_id = t.id WHERE EXISTS (SELECT FROM u)');
SELECT * FROM tviews.check('SELECT t.v, u.id, rank() OVER (ORDER BY u.id) FROM t JOIN u ON u.t_id = t.id');
SELECT * FROM tviews.check('SELECT random() FROM t');
SELECT * FROM tviews.check('SELECT nosuch FROM t');
SELECT * FROM tviews.check('DELETE FROM t');
SELECT * FROM tviews.check('SELECT 1; SELECT 2');
SELECT * FROM tviews.check('');

-- rebuild
SELECT ctid AS place, xmin AS writer, g INTO TEMP was FROM grouped;
SELECT tviews.rebuild('grouped');
SELECT count(*) AS untouched FROM grouped JOIN was USING (g) WHERE grouped.ctid = place AND grouped.xmin = writer;
SELECT tviews.rebuild('empty');
SELECT count(*) FROM empty;
UPDATE t SET v = 0 WHERE id = 2;
SELECT * FROM oracle();
-- also in stages and in the TVIEWs below
SET functions.factor = 1;
CREATE TVIEW below AS SELECT DISTINCT ON (v % 7) v % 7 AS g, id * factor() AS id FROM t ORDER BY v % 7, id;
CREATE TVIEW above AS SELECT count(*) AS n, max(id) AS id FROM below;
CREATE TVIEW staged AS SELECT x.g, count(*) AS n FROM (SELECT v % 5 AS g, max(id) * factor() AS m FROM t GROUP BY v % 5 HAVING count(*) > 0) x JOIN t ON t.id <= x.m GROUP BY x.g;
SELECT internal_stages > 0 AS has_stages FROM tviews.tviews WHERE name = 'staged';
SET functions.factor = 2;
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('below', 'staged') ORDER BY 1;
SELECT tviews.rebuild('above'), tviews.rebuild('staged');
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('below', 'above', 'staged') ORDER BY 1;
SELECT max(id) = (SELECT max(id) FROM above) AS follows FROM below;
DROP TVIEW above, below, staged;

-- health
SELECT "check", status FROM tviews.health();
DROP TVIEW empty;
SET client_min_messages = warning;
DROP SCHEMA functions CASCADE;
