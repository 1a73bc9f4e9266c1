-- Attempts to get rights, or to make somebody else's TVIEW wrong, with what an ordinary role may do.

-- our trigger function as a trigger of a user: rows would count twice
-- as: low owner super
-- may: fail
CREATE TRIGGER zz AFTER INSERT ON app.item REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION tviews.capture();

-- a trigger that is taken for ours, so that ours is never made
-- as: low owner
CREATE TRIGGER zz AFTER INSERT ON app.bait FOR EACH STATEMENT EXECUTE FUNCTION tviews.capture();
CREATE TRIGGER zy BEFORE UPDATE ON app.bait FOR EACH ROW WHEN (false) EXECUTE FUNCTION tviews.capture();
CREATE TVIEW low.x AS SELECT id FROM app.bait;

-- as: owner
CREATE TRIGGER zz AFTER INSERT ON app.spare FOR EACH STATEMENT EXECUTE FUNCTION tviews.capture();
CREATE TVIEW app.x AS SELECT id FROM app.spare;
INSERT INTO app.spare VALUES (1, 1);

-- each trigger: (SELECT tgname FROM pg_trigger WHERE tgrelid = 'app.item'::regclass AND tgfoid = 'tviews.capture'::regproc ORDER BY tgname LIMIT 1)
-- each change: DROP TRIGGER %I ON app.item | ALTER TABLE app.item DISABLE TRIGGER %I | ALTER TABLE app.item ENABLE REPLICA TRIGGER %I | ALTER TABLE app.item ENABLE ALWAYS TRIGGER %I | ALTER TRIGGER %I ON app.item RENAME TO zzz | ALTER TRIGGER %I ON app.item DEPENDS ON EXTENSION plpgsql | ALTER TRIGGER %I ON app.item NO DEPENDS ON EXTENSION pg_tviews | CREATE OR REPLACE TRIGGER %I AFTER INSERT ON app.item FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION tviews.capture() | CREATE OR REPLACE TRIGGER %I AFTER INSERT ON app.item FOR EACH STATEMENT EXECUTE FUNCTION suppress_redundant_updates_trigger()
-- as: owner low super
DO $$ BEGIN EXECUTE format($f${change}$f$, {trigger}); END $$;

-- switched off by name of all: documented to leave contents to their owner
-- as: owner super
-- each which: ALL | USER
-- may: stale
ALTER TABLE app.item DISABLE TRIGGER {which};

-- as: super
-- may: stale
SET session_replication_role = replica;
INSERT INTO app.item VALUES (7000, 1, 1, 'x');
RESET session_replication_role;

-- change rows of others, from a function that a flush calls
-- as: low owner super
-- modes: inflush alone
-- each of: app.secret | app.tenant | app.item | app.bait
-- each rows: changed | inserted | deleted | dirty
-- each do: INSERT INTO low.mine SELECT 7000 + row_number() OVER (), 1 FROM tviews.{rows}(NULL::{of}) r | SELECT tviews.{rows}(NULL::{of})
{do};

-- a TVIEW of somebody with few rights sees what she may see, and her function no change rows of a table that she may not read
-- as: owner
-- setup: CREATE TABLE low.loot (line text); ALTER TABLE low.loot OWNER TO hostile_low; CREATE FUNCTION low.take() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO low.loot SELECT r::text FROM tviews.changed(NULL::app.secret) r; EXCEPTION WHEN OTHERS THEN NULL; END $$; CREATE FUNCTION low.grab(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM low.take(); RETURN t; END $$; ALTER FUNCTION low.take OWNER TO hostile_low; ALTER FUNCTION low.grab OWNER TO hostile_low; SET SESSION AUTHORIZATION hostile_low; CREATE TVIEW low.lure AS SELECT id, low.grab(note) AS x FROM app.item; RESET SESSION AUTHORIZATION
-- may: fail
-- modes: begincommit
-- holds: SELECT count(*) = 0 FROM low.loot
-- flushed before COMMIT: there, a server with assertions does not stand a function that catches an error, in a deferred trigger neither
INSERT INTO app.secret VALUES (2, 'PIN-0815');
INSERT INTO app.item VALUES (7000, 1, 1, 'a');
SELECT tviews.flush();

-- as: owner
-- setup: CREATE TABLE low.loot (line text); ALTER TABLE low.loot OWNER TO hostile_low; CREATE FUNCTION low.take() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO low.loot SELECT r::text FROM tviews.changed(NULL::app.tenant) r; EXCEPTION WHEN OTHERS THEN NULL; END $$; CREATE FUNCTION low.grab(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM low.take(); RETURN t; END $$; ALTER FUNCTION low.take OWNER TO hostile_low; ALTER FUNCTION low.grab OWNER TO hostile_low; SET SESSION AUTHORIZATION hostile_low; CREATE TVIEW low.lure AS SELECT id, low.grab(note) AS x FROM app.tenant; RESET SESSION AUTHORIZATION
-- may: fail
-- holds: SELECT count(*) = 0 FROM low.loot WHERE line LIKE '%private%'
INSERT INTO app.tenant VALUES (3, 'somebody', 'private, too');

-- default privileges do not reach stages
-- as: owner super
-- may: grant
-- holds: SELECT count(*) = 0 FROM pg_class WHERE relnamespace = 'pg_toast_tviews'::regnamespace AND relkind = 'm' AND has_table_privilege('hostile_low', oid, 'SELECT')
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO hostile_low, PUBLIC;
CREATE TVIEW app.small AS SELECT pin, n FROM (SELECT pin, count(*) AS n FROM app.secret GROUP BY pin HAVING count(*) > 0) x WHERE n < 100;
DROP TABLE app.spare;

-- a stage is not read by those who may not, whatever it is named
-- as: low
-- want: 42501
DO $$ BEGIN EXECUTE format('SELECT * FROM %s', (SELECT stage::regclass FROM tviews.stage LIMIT 1)); END $$;

-- functions and operators that another role makes later, in a schema that a query names
-- as: owner
-- setup: CREATE SCHEMA ops; GRANT USAGE, CREATE ON SCHEMA ops TO hostile_low, hostile_owner; CREATE FUNCTION ops.same(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT lower($1) = lower($2)'; CREATE OPERATOR ops.=~= (LEFTARG = text, RIGHTARG = text, FUNCTION = ops.same); CREATE TABLE app.wide (id int PRIMARY KEY, x numeric, t text); ALTER TABLE app.wide OWNER TO hostile_owner; SET SESSION AUTHORIZATION hostile_owner; CREATE TVIEW app.w AS SELECT id, jsonb_build_object('id', id, 'v', v) AS d FROM app.item WHERE note OPERATOR(ops.=~=) 'z' OR id < 100; CREATE TVIEW app.u AS SELECT i.id, w.id AS wid FROM app.item i JOIN app.wide w ON w.x = i.v AND w.t OPERATOR(ops.=~=) i.note; SET SESSION AUTHORIZATION hostile_low; CREATE FUNCTION ops.eq(int4, numeric) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'function of low runs as %', current_user USING ERRCODE = 'XX001'; END $$; CREATE OPERATOR ops.= (LEFTARG = int4, RIGHTARG = numeric, FUNCTION = ops.eq); CREATE FUNCTION ops.jsonb_build_object(text, int4, text, int4) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'function of low runs as %', current_user USING ERRCODE = 'XX001'; END $$; RESET SESSION AUTHORIZATION
INSERT INTO app.item VALUES (7000, 1, 1, 'Z');
INSERT INTO app.wide VALUES (1, 1, 'z');
UPDATE app.item SET v = 2 WHERE id = 7000;

-- roles that are taken away under a TVIEW
-- as: super
-- may: fail
-- each what: REVOKE SELECT ON app.item FROM hostile_owner | REVOKE ALL ON SCHEMA app FROM hostile_owner | REVOKE SELECT, TRIGGER ON app.item FROM hostile_low | ALTER ROLE hostile_owner NOLOGIN | REVOKE USAGE ON SCHEMA tviews FROM PUBLIC | REVOKE EXECUTE ON FUNCTION tviews.capture() FROM PUBLIC | REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA tviews FROM PUBLIC | REVOKE USAGE ON SCHEMA pg_toast_tviews FROM PUBLIC | REVOKE SELECT ON tviews.source FROM PUBLIC | REVOKE CREATE ON SCHEMA app FROM hostile_owner
-- modes: alone begincommit beginrollback savepoint twice inflush writescommit
{what};
ALTER ROLE hostile_owner LOGIN;

-- as: low
SET ROLE hostile_owner;

-- as: low
GRANT ALL ON ALL TABLES IN SCHEMA tviews TO hostile_low;

-- as: low
CREATE FUNCTION low.capture() RETURNS trigger LANGUAGE c AS 'pg_tviews', 'tviews_capture';

-- as: owner super
-- may: grant
SECURITY LABEL FOR x ON ROLE hostile_low IS 'y';

-- a function of ours under another name, with other types and rights
-- as: super
-- each symbol: tviews_changed | tviews_dirty | tviews_verify | tviews_capture | tviews_am_handler | tviews_explain | tviews_flush | tviews_stat_of | tviews_strategies | tviews_rows_support
CREATE FUNCTION low.f(text) RETURNS text LANGUAGE c STRICT AS '$libdir/pg_tviews', '{symbol}';
DROP FUNCTION low.f(text);
