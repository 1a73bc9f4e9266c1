-- Whose rights are in force, who sees what, and what of the extension stays where it is.
CREATE SCHEMA rights;
SET client_min_messages = notice;
SET search_path = rights, public;
CREATE ROLE rights_owner;
CREATE ROLE rights_low;
GRANT CREATE, USAGE ON SCHEMA rights TO rights_owner, rights_low;

-- functions of a user run as that user, wherever they stand
SET ROLE rights_low;
CREATE FUNCTION who(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    IF current_user <> 'rights_low' THEN RAISE EXCEPTION 'runs as %', current_user; END IF; RETURN $1; END $$;
CREATE TABLE low (id int PRIMARY KEY, g int, v int);
INSERT INTO low VALUES (1, 1, 1), (2, 1, 2);
SELECT strategy FROM tviews.check('SELECT v.id, l.x FROM low v, LATERAL (SELECT v.id + 1 AS x ORDER BY 1 LIMIT rights.who(1)) l');
CREATE TVIEW low_top AS SELECT t.id, count(*) AS n FROM low t, LATERAL (SELECT u.v FROM low u WHERE u.g = t.id ORDER BY u.v LIMIT rights.who(1)) l
    GROUP BY t.id HAVING count(*) > 0;
CREATE TVIEW low_who AS SELECT g, count(DISTINCT rights.who(v)) AS n FROM low GROUP BY g HAVING count(*) > 1;
CREATE INDEX ON low_who (rights.who(n));
RESET ROLE;
INSERT INTO low VALUES (3, 2, 1), (4, 2, 1);
UPDATE low SET v = 7;
SELECT tviews.rebuild('low_who');
SELECT * FROM tviews.verify_all() WHERE tview IN ('low_top'::regclass, 'low_who');
-- stages belong to the owner of their TVIEW, and to nobody else
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO rights_low;
CREATE TVIEW own_stage AS SELECT g, n FROM (SELECT g, count(*) AS n FROM low GROUP BY g) x WHERE n > 1;
ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM rights_low;
SELECT DISTINCT relowner::regrole::text, relacl FROM pg_class WHERE relnamespace = 'pg_toast_tviews'::regnamespace AND relkind = 'm' ORDER BY 1;
DROP TVIEW low_top, low_who;

-- what somebody creates later is not called
CREATE SCHEMA rights_ops;
GRANT CREATE, USAGE ON SCHEMA rights_ops TO rights_low, rights_owner;
CREATE FUNCTION rights_ops.same(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT lower($1) = lower($2)';
CREATE OPERATOR rights_ops.=~= (LEFTARG = text, RIGHTARG = text, FUNCTION = rights_ops.same);
CREATE FUNCTION rights_ops.eq(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT lower($1) = lower($2)';
CREATE OPERATOR rights_ops.= (LEFTARG = text, RIGHTARG = text, FUNCTION = rights_ops.eq);
CREATE FUNCTION rights_ops.eq(int4, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1::text = $2';
CREATE OPERATOR rights_ops.= (LEFTARG = int4, RIGHTARG = text, FUNCTION = rights_ops.eq);
SET ROLE rights_owner;
CREATE TABLE a (id int PRIMARY KEY, x int4, t text);
CREATE TABLE b (id int PRIMARY KEY, x numeric, t text);
CREATE TVIEW named AS SELECT id, jsonb_build_object('id', id, 'x', x) AS d FROM a WHERE t OPERATOR(rights_ops.=~=) 'z' OR id < 100;
CREATE TVIEW joined AS SELECT x, a.id, b.id AS bid FROM a JOIN b USING (x) WHERE a.t OPERATOR(rights_ops.=~=) b.t;
CREATE TVIEW unnamed AS SELECT id, jsonb_build_object('id', id, 'x', x) AS d, NULLIF(t OPERATOR(rights_ops.=~=) 'q', true) AS n,
    CASE WHEN t IS DISTINCT FROM 'k' THEN 1 END AS k FROM a;
SET search_path = rights_ops, pg_catalog, rights;
-- another operator would be found for the text of the query, which the detail shows
\set VERBOSITY terse
CREATE TVIEW hidden AS SELECT id, t IS DISTINCT FROM 'k' AS k FROM a;
\set VERBOSITY default
CREATE TVIEW other AS SELECT id, format('%s', x) AS d, x IS DISTINCT FROM t AS k FROM a;
SET search_path = rights, public;
INSERT INTO a VALUES (1, 1, 'K');
INSERT INTO b VALUES (1, 1, 'k');
SET ROLE rights_low;
CREATE FUNCTION rights_ops.eq(int4, numeric) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE 'operator of low'; RETURN true; END $$;
CREATE OPERATOR rights_ops.= (LEFTARG = int4, RIGHTARG = numeric, FUNCTION = rights_ops.eq);
CREATE FUNCTION rights_ops.jsonb_build_object(text, int4, text, int4) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE 'function of low'; RETURN '"other"'; END $$;
RESET ROLE;
INSERT INTO a VALUES (2, 7, 'Z');
INSERT INTO b VALUES (2, 9, 'z');
SELECT * FROM oracle();
-- where an operator has no name in SQL, its schema must be looked into: refused rather than called
SET ROLE rights_low;
CREATE FUNCTION rights_ops.format(text, int4) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE 'function of low'; RETURN 'other'; END $$;
RESET ROLE;
-- in a session that has not prepared the SQL yet
\c -
SET search_path = rights, public;
INSERT INTO a VALUES (3, 8, 'Z');
DROP FUNCTION rights_ops.format(text, int4);
INSERT INTO a VALUES (3, 8, 'Z');
SELECT * FROM oracle();

-- change rows answer to the flush only
CREATE FUNCTION grab() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM tviews.changed(NULL::rights.a)); END $$;
CREATE FUNCTION peek(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM rights.grab(); RETURN $1; END $$;
SELECT * FROM tviews.changed(NULL::a);
CREATE TABLE bait (id int PRIMARY KEY);
CREATE TVIEW baited AS SELECT id, peek(id) AS p FROM bait;
\set VERBOSITY terse
INSERT INTO bait VALUES (1);
\set VERBOSITY default
DROP TABLE bait CASCADE;

-- capture serves its own triggers only
SET ROLE rights_owner;
CREATE TRIGGER zz AFTER INSERT ON a REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION tviews.capture();
RESET ROLE;
CREATE TRIGGER zz AFTER INSERT ON a REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION tviews.capture();
INSERT INTO a VALUES (4, 4, 'd');
DROP TRIGGER zz ON a;
INSERT INTO a VALUES (4, 4, 'd');
SELECT * FROM oracle();
-- and they come back
DO $$ DECLARE t name; BEGIN
    FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'rights.a'::regclass LOOP EXECUTE format('DROP TRIGGER %I ON rights.a', t); END LOOP;
END $$;
INSERT INTO a VALUES (5, 5, 'e');
ALTER TABLE a DISABLE TRIGGER ALL;
INSERT INTO a VALUES (6, 6, 'f');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'a'::regclass;
SELECT * FROM oracle();
SELECT * FROM tviews.health() WHERE status <> 'ok';

-- who may not read a TVIEW learns nothing of its rows from an error
CREATE FUNCTION strict_value(text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RAISE EXCEPTION 'value % is not allowed', $1 USING DETAIL = 'detail of ' || $1, ERRCODE = 'ZZ123', CONSTRAINT = 'strict'; END $$;
CREATE TABLE pin (id int PRIMARY KEY, v text);
CREATE TABLE door (id int PRIMARY KEY);
INSERT INTO pin VALUES (1, '4711');
CREATE TVIEW opened AS SELECT door.id, strict_value(pin.v) AS v FROM door JOIN pin USING (id);
GRANT INSERT ON door TO rights_low;
\set SHOW_CONTEXT never
SET ROLE rights_low;
\set QUIET on
DO $$ BEGIN INSERT INTO rights.door VALUES (1); PERFORM tviews.flush(); EXCEPTION WHEN OTHERS THEN
    DECLARE m text; d text; c text; BEGIN GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, c = CONSTRAINT_NAME;
    RAISE NOTICE '% | % | % | %', SQLSTATE, m, d, c; END; END $$;
RESET ROLE;
GRANT SELECT ON opened TO rights_low;
SET ROLE rights_low;
DO $$ BEGIN INSERT INTO rights.door VALUES (1); PERFORM tviews.flush(); EXCEPTION WHEN OTHERS THEN
    DECLARE m text; d text; c text; BEGIN GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, c = CONSTRAINT_NAME;
    RAISE NOTICE '% | % | % | %', SQLSTATE, m, d, c; END; END $$;
RESET ROLE;
\set SHOW_CONTEXT errors
-- pending() shows what the caller may read
BEGIN;
CREATE FUNCTION write_a() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO rights.a VALUES (7, 7, ''g'')';
SET ROLE rights_low;
SELECT write_a();
SELECT * FROM tviews.pending();
RESET ROLE;
SELECT DISTINCT base_table FROM tviews.pending();
ROLLBACK;

-- row security that comes later
CREATE TABLE tenant (id int PRIMARY KEY, who name);
CREATE TABLE allowed (who name PRIMARY KEY);
INSERT INTO tenant VALUES (1, 'ann'), (2, 'bob');
GRANT SELECT, TRIGGER ON tenant, allowed TO rights_owner;
SET ROLE rights_owner;
CREATE TVIEW of_tenant AS SELECT id, who FROM tenant;
RESET ROLE;
ALTER TABLE tenant ENABLE ROW LEVEL SECURITY;
SELECT * FROM of_tenant;
CREATE POLICY p ON tenant USING (who IN (SELECT who FROM allowed));
SELECT * FROM of_tenant;
INSERT INTO allowed VALUES ('ann');
SELECT * FROM of_tenant;
ALTER POLICY p ON tenant USING (who = 'bob');
SELECT * FROM of_tenant;
CREATE POLICY q ON tenant USING (now() > '2000-01-01');
ALTER ROLE rights_owner BYPASSRLS;
SELECT * FROM of_tenant;
ALTER ROLE rights_owner NOBYPASSRLS;
SELECT * FROM of_tenant;
DROP POLICY p ON tenant;
SELECT * FROM of_tenant;
DROP TVIEW of_tenant;

-- with row security a query is one block: a branch of UNION ALL is followed under the names of the first one
CREATE TABLE rent (who name, paid int);
CREATE TABLE gift (donor name, given int);
GRANT SELECT, TRIGGER ON rent, gift TO rights_owner;
CREATE POLICY named ON tenant USING (who IS DISTINCT FROM 'eve');
SET ROLE rights_owner;
CREATE TVIEW of_tenant AS SELECT t.id, m.paid FROM tenant t JOIN (SELECT who, paid FROM rent UNION ALL SELECT donor, given FROM gift) m ON m.who = t.who;
RESET ROLE;
INSERT INTO tenant VALUES (3, 'eve');
INSERT INTO rent VALUES ('ann', 10), ('eve', 20);
INSERT INTO gift VALUES ('bob', 30), ('eve', 40);
UPDATE gift SET given = given + 1;
SELECT * FROM of_tenant ORDER BY id;
SELECT reason FROM tviews.strategies('of_tenant') WHERE strategy = 'full';
DROP TVIEW of_tenant;

-- event triggers of users: their own search_path and rights, and only what users make
CREATE TABLE seen (who name, tag text, object text);
GRANT INSERT ON seen TO PUBLIC;
CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN
    IF TG_EVENT = 'sql_drop' THEN
        FOR r IN SELECT * FROM pg_event_trigger_dropped_objects() WHERE object_type LIKE '%view' LOOP INSERT INTO seen VALUES (current_user, TG_TAG, r.object_identity); END LOOP;
    ELSE
        FOR r IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP INSERT INTO seen VALUES (current_user, TG_TAG, r.object_identity); END LOOP;
    END IF; END $$;
CREATE EVENT TRIGGER rights_end ON ddl_command_end EXECUTE FUNCTION note();
CREATE EVENT TRIGGER rights_drop ON sql_drop EXECUTE FUNCTION note();
SET ROLE rights_owner;
CREATE TVIEW watched AS SELECT x, n FROM (SELECT x, count(DISTINCT t) AS n FROM a GROUP BY x HAVING count(*) > 0) s WHERE n > 0;
SELECT tviews.rebuild('watched');
DROP TVIEW watched;
RESET ROLE;
DROP EVENT TRIGGER rights_end;
DROP EVENT TRIGGER rights_drop;
SELECT * FROM seen;

-- what belongs to the extension, or is a part of a TVIEW
ALTER SCHEMA tviews RENAME TO elsewhere;
ALTER SCHEMA pg_toast_tviews RENAME TO elsewhere;
ALTER FUNCTION tviews.capture() RENAME TO elsewhere;
ALTER FUNCTION tviews.verify(regclass) SET SCHEMA rights;
ALTER TABLE tviews.sentinel RENAME TO elsewhere;
ALTER EXTENSION pg_tviews DROP FUNCTION tviews.capture();
REFRESH MATERIALIZED VIEW tviews.source;
INSERT INTO tviews.source VALUES (1, 1, '{}');
DO $$ DECLARE stage regclass; BEGIN
    SELECT c.oid::regclass INTO stage FROM pg_class c JOIN pg_depend d ON d.objid = c.oid AND d.refobjid = 'rights.own_stage'::regclass AND d.deptype = 'i' AND c.relkind = 'm';
    EXECUTE format('ALTER MATERIALIZED VIEW %s SET ACCESS METHOD heap', stage);
EXCEPTION WHEN OTHERS THEN RAISE NOTICE '%: %', SQLSTATE, regexp_replace(SQLERRM, '[0-9]+_1', 'N_1'); END $$;
CREATE PUBLICATION rights_all FOR ALL TABLES;
SELECT count(*) FROM pg_publication_tables WHERE pubname = 'rights_all' AND schemaname IN ('tviews', 'pg_toast_tviews');
DROP PUBLICATION rights_all;
SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'pg_tviews';

-- numbers of relations that are not there
SELECT * FROM tviews.verify(0);
SELECT * FROM tviews.strategies(0);
SELECT * FROM tviews.explain(4294967295::oid);
SELECT tviews.rebuild(0);
SELECT flushes, last_error FROM tviews.stat_of(0);
SELECT * FROM tviews.verify(NULL);

-- check() leaves the transaction as any failed statement does
SELECT * FROM tviews.check('SELECT ROW(id, 1) AS r FROM a');
SELECT 1 AS alive;
DO $$ BEGIN PERFORM tviews.check('SELECT ROW(id, 1) AS r FROM a'); EXCEPTION WHEN OTHERS THEN RAISE NOTICE '%: %', SQLSTATE, SQLERRM; END $$;
SHOW search_path;
-- what a failed statement wanted to clean up is not cleaned up
CREATE TABLE f (a int);
INSERT INTO f VALUES (0);
CREATE TVIEW of_f AS SELECT a AS x FROM f;
BEGIN;
CREATE OR REPLACE TVIEW of_f AS SELECT 1 / a AS x FROM f;
ROLLBACK;
BEGIN;
SAVEPOINT s;
CREATE OR REPLACE TVIEW of_f AS SELECT 1 / a AS x FROM f;
ROLLBACK TO s;
INSERT INTO f VALUES (1);
COMMIT;
SELECT * FROM of_f ORDER BY x;
-- a temporary table of the same name is another relation
CREATE TEMP TABLE hidden (x int);
CREATE TVIEW rights.hidden AS SELECT a AS x FROM f;
DROP TABLE pg_temp.hidden;
SELECT * FROM hidden ORDER BY x;
-- deep and wide
DO $$ BEGIN
    EXECUTE 'CREATE TVIEW terms AS SELECT ' || repeat('a + ', 1599) || 'a AS sum FROM f';
    EXECUTE 'CREATE TVIEW levels AS ' || repeat('SELECT x FROM (', 64) || 'SELECT a AS x FROM f' || repeat(') y', 64);
EXCEPTION WHEN statement_too_complex THEN RAISE NOTICE '%', SQLERRM; END $$;
CREATE TVIEW grouping_sub AS SELECT grouping((SELECT a.x FROM a b WHERE b.id = a.id)) AS g, (SELECT a.x FROM a b WHERE b.id = a.id) AS s
    FROM a GROUP BY GROUPING SETS (x, s);
SELECT * FROM oracle();

SET client_min_messages = warning;
DROP SCHEMA rights, rights_ops CASCADE;
DROP OWNED BY rights_owner, rights_low;
DROP ROLE rights_owner, rights_low;
