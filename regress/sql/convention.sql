-- CREATE TABLE tv_x AS: a TVIEW, said so; what cannot be one is the ordinary table that was asked for.
CREATE SCHEMA convention;
SET search_path = convention;
CREATE TABLE shows (id int PRIMARY KEY, title text, seen timestamptz);
INSERT INTO shows VALUES (1, 'Dallas', '2000-01-01'), (2, 'Dynasty', '2000-01-02');
CREATE VIEW kinds AS
  SELECT c.relname::text AS name, c.relkind AS kind, a.amname AS method, c.relpersistence AS p, relispopulated AS populated
  FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.relname LIKE 'tv\_%' AND c.relkind IN ('r', 'm') AND c.relnamespace::regnamespace::text ~ '^convention|^pg_temp';

CREATE TABLE tv_shows AS SELECT id, title FROM shows;
CREATE UNLOGGED TABLE tv_none AS SELECT id FROM shows WITH NO DATA;
CREATE TABLE IF NOT EXISTS tv_two (a, b) AS SELECT id, title FROM shows;
SELECT id, title INTO tv_into FROM shows;
SELECT count(*) AS n INTO UNLOGGED tv_into_count FROM shows;
DO $$ DECLARE n int; BEGIN SELECT id INTO n FROM shows WHERE id = 1; END $$;
TABLE kinds ORDER BY 1;
-- what the server says of names that exist, and nothing else
CREATE TABLE IF NOT EXISTS tv_two AS SELECT now() AS at;
CREATE TABLE tv_two AS SELECT now() AS at;
DELETE FROM shows WHERE id = 2;
SELECT count(*) FROM tv_shows;
SELECT count(*) FROM tv_into;
INSERT INTO shows VALUES (2, 'Dynasty', '2000-01-02');
DROP TABLE tv_shows, tv_none, tv_two, tv_into, tv_into_count;

-- ordinary tables, with what was asked for
CREATE TEMP TABLE source AS SELECT 1 AS a;
CREATE TABLE tv_source AS SELECT * FROM source;
CREATE TABLE tv_log AS SELECT now() IS NOT NULL AS at, * FROM shows;
CREATE TEMP TABLE tv_temp ON COMMIT DROP AS SELECT * FROM shows;
CREATE TEMP TABLE tv_temporary AS SELECT * FROM shows;
SELECT * INTO TEMP tv_into_temp FROM shows;
SELECT now() IS NOT NULL AS at, id INTO tv_into_log FROM shows;
CREATE UNLOGGED TABLE tv_rows (a, b) WITH (fillfactor = 50) AS SELECT id, random() < 2 FROM shows;
CREATE TABLE IF NOT EXISTS tv_locked AS SELECT id FROM shows FOR UPDATE;
CREATE TABLE tv_catalog AS SELECT count(*) > 0 AS some FROM pg_class WITH NO DATA;
PREPARE titles (int) AS SELECT title FROM shows WHERE id = $1;
CREATE TABLE tv_executed AS EXECUTE titles(1);
CREATE TABLE IF NOT EXISTS tv_executed AS EXECUTE titles(1);
CREATE TABLE tv_written AS WITH new AS (INSERT INTO shows VALUES (3, 'Denver', '2000-01-03') RETURNING id) SELECT id FROM new;
TABLE kinds ORDER BY 1;
TABLE tv_source;
TABLE tv_written;
TABLE tv_executed;
SELECT count(*), bool_and(at) FROM tv_log;
SELECT count(*) FROM tv_catalog;
INSERT INTO tv_rows VALUES (4, true);
SELECT reloptions FROM pg_class WHERE oid = 'tv_rows'::regclass;
-- nothing is left of an attempt that failed late: no stages, triggers, sources
CREATE FUNCTION fails(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN helper($1); END $$;
CREATE FUNCTION helper(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE TABLE tv_late AS SELECT f, count(*) AS c FROM (SELECT count(*) AS n, fails(id) AS f FROM shows GROUP BY id) x GROUP BY f;
TABLE tv_late ORDER BY 1;
SELECT relkind FROM pg_class WHERE oid = 'tv_late'::regclass;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'shows'::regclass;
DROP TABLE tv_source, tv_log, tv_temporary, tv_into_temp, tv_into_log, tv_rows, tv_locked, tv_catalog, tv_executed, tv_written, tv_late;

-- errors of the statement itself are its own
CREATE TABLE tv_x AS SELECT nosuch FROM shows;
CREATE TABLE tv_x AS SELECT 1 / (id - 1) AS a FROM shows;
CREATE TABLE tv_x AS SELECT id, id FROM shows;
CREATE TABLE nowhere.tv_x AS SELECT id FROM shows;
CREATE TABLE tv_x WITH (nosuch = 1) AS SELECT id FROM shows;
CREATE TABLE tv_x WITH (key = 'id') AS SELECT now() AS at, id FROM shows;
CREATE TABLE tv_x WITH (incremental) AS SELECT now() AS at, id FROM shows;
CREATE ROLE convention_low;
CREATE SCHEMA convention_low AUTHORIZATION convention_low;
GRANT USAGE ON SCHEMA convention TO convention_low;
SET ROLE convention_low;
CREATE TABLE convention_low.tv_x AS SELECT id FROM shows;
CREATE TABLE tv_x AS SELECT 1 AS a;
RESET ROLE;
GRANT SELECT ON shows TO convention_low;
SET ROLE convention_low;
CREATE TABLE convention_low.tv_x AS SELECT id FROM shows;
RESET ROLE;
TABLE kinds;
DROP TABLE convention_low.tv_x;

-- in transactions, savepoints, functions, cursors around it
BEGIN;
SAVEPOINT a;
CREATE TABLE tv_a AS SELECT id FROM shows;
SAVEPOINT b;
CREATE TABLE tv_b AS SELECT id, now() AS at FROM shows;
CREATE TABLE tv_c AS SELECT count(*) AS n FROM tv_a;
INSERT INTO shows VALUES (10, 'Ten', NULL);
TABLE tv_c;
ROLLBACK TO b;
CREATE TABLE tv_d AS SELECT count(*) AS n FROM tv_a;
RELEASE a;
INSERT INTO shows VALUES (11, 'Eleven', NULL);
COMMIT;
SELECT name, kind FROM kinds ORDER BY 1;
TABLE tv_d;
SELECT * FROM tviews.verify('tv_d');
DROP TABLE tv_a CASCADE;
DO $$
BEGIN
  CREATE TABLE tv_a AS SELECT id FROM shows;
  BEGIN
    CREATE TABLE tv_b AS SELECT id, clock_timestamp() AS at FROM shows;
    RAISE EXCEPTION 'undone';
  EXCEPTION WHEN raise_exception THEN NULL;
  END;
  CREATE TABLE tv_c AS SELECT id, clock_timestamp() AS at FROM shows;
  UPDATE tv_c SET at = NULL;
END $$;
SELECT name, kind FROM kinds ORDER BY 1;
DROP TABLE tv_c;
DROP TABLE tv_a;

-- in a function with parameters
CREATE FUNCTION copy_of(int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
  CREATE TABLE tv_copy AS SELECT id FROM shows WHERE id = $1;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;
SELECT copy_of(1);
TABLE tv_copy;
DROP TABLE tv_copy;

-- EXPLAIN
DO $$ BEGIN EXECUTE 'EXPLAIN ANALYZE CREATE TABLE tv_explained AS SELECT 1 AS a'; END $$;
EXPLAIN (COSTS OFF) CREATE TABLE tv_more AS SELECT 1 AS a;
SET default_table_access_method = tview;
DO $$ BEGIN EXECUTE 'EXPLAIN ANALYZE CREATE TABLE ordinary AS SELECT 1 AS a'; END $$;
CREATE TABLE tv_at AS SELECT now() AS at;
RESET default_table_access_method;
SELECT name, kind, method FROM kinds ORDER BY 1;
DROP TABLE tv_explained, tv_at, ordinary;

-- others' names, and other ways
CREATE TABLE tv_heap USING heap AS SELECT id FROM shows;
CREATE TABLE tv_declared (id int);
CREATE TABLE television AS SELECT id FROM shows;
SET pg_tviews.ctas_prefix = '';
CREATE TABLE tv_off AS SELECT id FROM shows;
RESET pg_tviews.ctas_prefix;
SELECT name, kind FROM kinds ORDER BY 1;
-- an event trigger sees what was made
CREATE FUNCTION told() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '% %', tg_event, tg_tag; END $$;
CREATE EVENT TRIGGER convention_start ON ddl_command_start WHEN TAG IN ('CREATE TABLE AS', 'CREATE MATERIALIZED VIEW') EXECUTE FUNCTION told();
CREATE EVENT TRIGGER convention_end ON ddl_command_end WHEN TAG IN ('CREATE TABLE AS', 'CREATE MATERIALIZED VIEW') EXECUTE FUNCTION told();
CREATE TABLE tv_made AS SELECT id FROM shows;
CREATE TABLE tv_not AS SELECT id, now() AS at FROM shows;
DROP EVENT TRIGGER convention_start;
DROP EVENT TRIGGER convention_end;
SELECT * FROM tviews.verify('tv_made');

SET client_min_messages = warning;
DROP SCHEMA convention, convention_low CASCADE;
DROP ROLE convention_low;
