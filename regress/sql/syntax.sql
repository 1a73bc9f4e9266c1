-- Native syntax: what CREATE TVIEW and its relatives parse to, and that the word stays an ordinary identifier everywhere else.
\set VERBOSITY terse
CREATE SCHEMA syntax_test;
SET search_path = syntax_test, public;
CREATE TABLE b (id int PRIMARY KEY, grp int NOT NULL);
INSERT INTO b SELECT g, g % 3 FROM generate_series(1, 9) g;
CREATE VIEW stored AS
  SELECT c.relname, c.relkind, c.relpersistence, c.relispopulated, a.amname
  FROM pg_class c JOIN pg_am a ON a.oid = c.relam
  WHERE c.relnamespace = 'syntax_test'::regnamespace AND c.relkind = 'm' ORDER BY c.relname COLLATE "C";

-- CREATE
CREATE TVIEW a1 AS SELECT * FROM b;
CREATE TVIEW IF NOT EXISTS a1 AS SELECT * FROM b;
CREATE /* x */ TVIEW -- y
 a2 (k, s) WITH (fillfactor = 80) TABLESPACE pg_default AS SELECT grp, sum(id) FROM b GROUP BY 1 WITH NO DATA;
create tview "A 3" as select id, 'CREATE TVIEW x AS' as c, $$tview$$ as d, E'\'; drop tview a1; --' AS e, U&"tview" from (select id, 1 as tview from b) as tview;
CREATE LOGGED TVIEW a4 AS SELECT id FROM b;
CREATE UNLOGGED TVIEW a5 AS SELECT id FROM b;
CREATE UNLOGGED MATERIALIZED VIEW a6 USING tview AS SELECT id FROM b;
CREATE UNLOGGED MATERIALIZED VIEW a7 WITH (incremental) AS SELECT id FROM b;
SET default_table_access_method = tview;
CREATE UNLOGGED MATERIALIZED VIEW a8 AS SELECT id FROM b;
RESET default_table_access_method;
CREATE UNLOGGED MATERIALIZED VIEW h1 AS SELECT id FROM b;
CREATE UNLOGGED MATERIALIZED VIEW h1 USING heap AS SELECT id FROM b;
TABLE stored;
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
  WHERE attrelid = 'a2'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
TABLE a1 ORDER BY id;
SELECT id, c, d, e, tview FROM "A 3" ORDER BY id LIMIT 1;

-- OR REPLACE
CREATE OR REPLACE TVIEW a4 AS SELECT id FROM b WHERE id < 3;
CREATE OR REPLACE TVIEW a4 AS SELECT id, grp FROM b;
TABLE a4 ORDER BY id;

-- REFRESH
REFRESH TVIEW a2;
TABLE a2 ORDER BY k;
REFRESH TVIEW a2 WITH NO DATA;
SELECT relispopulated FROM stored WHERE relname = 'a2';
REFRESH TVIEW a2 WITH DATA;
REFRESH TVIEW nosuch;
REFRESH TVIEW a2 ORDER BY 1;
REFRESH TVIEW ONLY a2;

-- ALTER
ALTER TVIEW a2 RENAME TO a22;
ALTER TVIEW a22 RENAME COLUMN s TO total;
ALTER TVIEW a22 RENAME k TO kk;
ALTER TVIEW a22 SET (fillfactor = 70);
ALTER TVIEW a22 RESET (fillfactor);
ALTER TVIEW IF EXISTS nosuch SET (fillfactor = 70);
ALTER TVIEW a22 SET TABLESPACE pg_default;
ALTER TVIEW a22 ALTER COLUMN kk SET STATISTICS 10;
ALTER TVIEW a22 SET LOGGED;
ALTER TVIEW a22 SET UNLOGGED;
ALTER TVIEW a22 SET SCHEMA public;
ALTER TVIEW public.a22 SET SCHEMA syntax_test;
ALTER TVIEW a22 DEPENDS ON EXTENSION pg_tviews;
ALTER TVIEW a22 NO DEPENDS ON EXTENSION pg_tviews;
ALTER TVIEW ALL IN TABLESPACE pg_default OWNED BY CURRENT_USER SET TABLESPACE pg_default;
REFRESH TVIEW CONCURRENTLY a22;
ALTER TVIEW a22 RENAME CONSTRAINT x TO y;
ALTER TVIEW b SET (fillfactor = 70);
TABLE a22 ORDER BY kk;

-- COMMENT
COMMENT ON TVIEW a1 IS 'hello';
SELECT obj_description('a1'::regclass, 'pg_class');
COMMENT ON TVIEW b IS 'hello';

-- DROP
DROP TVIEW IF EXISTS nosuch;
DROP TVIEW b;
DROP TVIEW a22, "A 3" CASCADE;
DROP TVIEW a5, a6, a7, a8;
TABLE stored;

-- ordinary uses of the word
CREATE VIEW tview AS SELECT 1 AS tview;
SELECT tview FROM tview;
SELECT tview.tview AS tview FROM tview AS tview;
DROP VIEW tview;
CREATE TABLE tview (tview int);
ALTER TABLE tview RENAME tview TO unlogged;
DROP TABLE tview;
CREATE FUNCTION tview() RETURNS text LANGUAGE sql AS $$ SELECT 'CREATE TVIEW x AS'::text $$;
SELECT tview();
DROP FUNCTION tview;
CREATE FUNCTION atomic() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1 AS tview; SELECT 2; END;
SELECT atomic();

-- in functions and in strings of several statements
DO $$
BEGIN
  CREATE TVIEW p1 AS SELECT id FROM b;
  EXECUTE 'CREATE TVIEW p2 AS SELECT id FROM b';
  DROP TVIEW p1, p2;
END $$;
SELECT 1 \; CREATE TVIEW s1 AS SELECT id FROM b \; SELECT count(*) AS tview FROM s1 \; DROP TVIEW s1 \; SELECT 'tview' AS last;
-- strings of the old kind, which 19 does not know any more
DO $do$
BEGIN
  IF current_setting('server_version_num')::int < 190000 THEN
    PERFORM set_config('standard_conforming_strings', 'off', true), set_config('escape_string_warning', 'off', true);
    EXECUTE $text$CREATE TVIEW e1 AS SELECT id, 'a\'; DROP TVIEW b; --' AS x FROM b$text$;
  ELSE
    EXECUTE $text$CREATE TVIEW e1 AS SELECT id, E'a\'; DROP TVIEW b; --' AS x FROM b$text$;
  END IF;
END $do$;
SELECT x FROM e1 LIMIT 1;
DROP TVIEW e1;

-- positions
\set VERBOSITY default
CREATE TVIEW x AS SELECT nosuch FROM b;
CREATE OR REPLACE LOGGED TVIEW é AS SELECT 1 AS é, nosuch;
CREATE TVIEW x (a int);
CREATE TVIEW x AS EXECUTE foo;
CREATE TVIEW x ON COMMIT DROP AS SELECT 1 AS a;
CREATE TVIEW;
CREATE TEMP TVIEW x AS SELECT 1;
CREATE TVIEW x AS SELECT 1 AS a WHERE;
DROP TVIEW 1;
CREATE RULE r AS ON INSERT TO b DO (SELECT 1; CREATE TVIEW x AS SELECT 1);

-- a text with the word that cannot be scanned: the parser's own error, after those of earlier statements
DO $$ BEGIN EXECUTE 'SELECT ''tview'; END $$;
DO $$ BEGIN EXECUTE 'SELECT 1; DROP TVIEW IF EXISTS nosuch; /* '; END $$;
DO $$ BEGIN EXECUTE 'SELECT FROM WHERE; CREATE TVIEW x AS SELECT ''1'; END $$;
SELECT FROM WHERE; CREATE TVIEW x AS SELECT E'\u12';
CREATE TVIEW x AS SELECT E'\u12';
-- nothing is said twice
SELECT 'tview' AS long_identifiers_are_truncated_with_a_notice_that_is_to_be_shown_once;
-- in a failed transaction
BEGIN;
SELECT FROM;
SELECT E'\u12' AS tview;
CREATE TVIEW x AS SELECT id FROM nosuch;
SELECT 1 AS tview WHERE;
ROLLBACK;
-- in a comment or a string the word changes nothing, whatever the statement
CREATE TEMP TABLE brief (id int);
CREATE UNLOGGED MATERIALIZED VIEW x USING heap AS SELECT 1 AS a -- tview
;
-- "materialized views must not use temporary …"
\set VERBOSITY sqlstate
CREATE MATERIALIZED VIEW x USING heap AS SELECT id FROM brief;
CREATE MATERIALIZED VIEW x USING heap AS SELECT id FROM brief /* tview */;
CREATE MATERIALIZED VIEW x USING heap AS SELECT id, 'tview' FROM brief;
CREATE TVIEW x AS SELECT id FROM brief;
\set VERBOSITY default

-- every way of creating makes a maintained TVIEW, or fails
CREATE TABLE explained (id int PRIMARY KEY);
CREATE TVIEW x USING heap AS SELECT id FROM explained;
EXPLAIN (ANALYZE) CREATE TVIEW x AS SELECT id FROM explained;
EXPLAIN ANALYZE CREATE MATERIALIZED VIEW x USING tview AS SELECT id FROM explained;
EXPLAIN ANALYZE CREATE MATERIALIZED VIEW x WITH (incremental) AS SELECT id FROM explained;
EXPLAIN ANALYZE CREATE TABLE tv_x WITH (logged) AS SELECT id FROM explained;
EXPLAIN (COSTS OFF) CREATE TVIEW x AS SELECT id FROM explained WHERE id = 1;
EXPLAIN (ANALYZE off, COSTS off) CREATE TVIEW x AS SELECT id FROM explained WHERE id = 1;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA syntax_test CASCADE;
