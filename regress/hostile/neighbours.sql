-- Other features of the server that meet our objects: publications, event triggers, extensions' scripts, foreign tables, limits, prepared transactions.

-- each publication: FOR ALL TABLES | FOR TABLES IN SCHEMA tviews | FOR TABLE tviews.source | FOR TABLES IN SCHEMA pg_toast_tviews | FOR TABLES IN SCHEMA app | FOR TABLE app.flat
-- as: super
-- holds: SELECT count(*) = 0 FROM pg_publication_tables WHERE schemaname IN ('tviews', 'pg_toast_tviews')
CREATE PUBLICATION hostile_publication {publication};

-- event triggers that name their table without a schema: CREATE TVIEW runs them as any DDL does
-- as: owner
-- want: 00000
-- setup: CREATE TABLE public.ddl_log (who text, tag text); GRANT ALL ON public.ddl_log TO PUBLIC; CREATE FUNCTION public.note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ddl_log VALUES (current_user, tg_tag); END $$; CREATE EVENT TRIGGER hostile_note ON {event} EXECUTE FUNCTION public.note()
-- each event: ddl_command_end | ddl_command_start
-- holds: SELECT count(*) = 0 FROM public.ddl_log WHERE who <> 'hostile_owner'
-- modes: alone begincommit savepoint beginrollback exception
CREATE TVIEW app.more AS SELECT g, count(DISTINCT v) AS n FROM app.item GROUP BY g HAVING count(*) > 1;
CREATE OR REPLACE TVIEW app.more AS SELECT g, count(DISTINCT note) AS n FROM app.item GROUP BY g HAVING count(*) > 1;
REFRESH MATERIALIZED VIEW app.more;
DROP MATERIALIZED VIEW app.more;

-- event triggers that look, drop, and fail
-- as: owner
-- setup: CREATE FUNCTION public.note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$; CREATE EVENT TRIGGER hostile_note ON {moment} EXECUTE FUNCTION public.note()
-- each moment: ddl_command_end | sql_drop
-- each body: RAISE EXCEPTION 'not here' USING ERRCODE = '42501'; | DROP TABLE IF EXISTS app.spare; | PERFORM tviews.flush(); | PERFORM * FROM tviews.verify_all(); | UPDATE app.item SET v = v + 1; | PERFORM tviews.rebuild('app.sums');
CREATE TVIEW app.more AS SELECT g, count(DISTINCT v) AS n FROM app.item GROUP BY g HAVING count(*) > 1;
DROP MATERIALIZED VIEW app.more, app.staged;

-- as: owner
-- setup: CREATE FUNCTION public.note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_event_trigger_table_rewrite_oid(); END $$; CREATE EVENT TRIGGER hostile_note ON table_rewrite EXECUTE FUNCTION public.note()
ALTER MATERIALIZED VIEW app.flat SET LOGGED;
ALTER TABLE app.item ALTER COLUMN id TYPE bigint;

-- cascades that take TVIEWs: event triggers see no stage
-- setup: CREATE TABLE public.gone (object text); GRANT ALL ON public.gone TO PUBLIC; CREATE FUNCTION public.note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.gone SELECT object_identity FROM pg_event_trigger_dropped_objects(); END $$; CREATE EVENT TRIGGER hostile_note ON sql_drop EXECUTE FUNCTION public.note()
-- each what: DROP TABLE app.item CASCADE | DROP SCHEMA app CASCADE | DROP VIEW app.seen CASCADE | DROP FUNCTION app.twice CASCADE | DROP OWNED BY hostile_owner CASCADE | DROP OWNED BY hostile_low CASCADE | DROP OWNED BY nosuch CASCADE | ALTER TABLE app.item DROP COLUMN v CASCADE | ALTER TABLE app.item DROP CONSTRAINT item_pkey CASCADE | ALTER TABLE app.item DROP CONSTRAINT nosuch CASCADE | DROP TABLE app.nosuch, app.item CASCADE | DROP TYPE app.nosuch CASCADE | DROP TABLE app.item
-- holds: SELECT count(*) = 0 FROM public.gone WHERE object LIKE '%pg_toast_tviews%'
{what};

-- scripts of extensions that change what TVIEWs are made of, and TVIEWs
-- each script: drops | cascades | creates | replaces | alters | fails
-- as: super
CREATE EXTENSION hostile_script VERSION '{script}';

-- as: super
CREATE EXTENSION hostile_script VERSION 'creates';
DROP EXTENSION hostile_script CASCADE;

-- as: super
CREATE EXTENSION hostile_script VERSION 'creates';
ALTER EXTENSION hostile_script UPDATE TO 'drops';

-- the spilled change set meets the limit of temporary files: one error, once
-- as: super owner
-- modes: alone beginrollback savepoint exception begincommit
SET pg_tviews.change_buffer_memory = 64;
SET temp_file_limit = '200kB';
UPDATE app.item SET note = repeat(md5(id::text), 2000);

-- as: super
-- modes: alone
SET pg_tviews.change_buffer_memory = 64;
BEGIN;
SAVEPOINT a;
SET LOCAL temp_file_limit = '200kB';
UPDATE app.item SET note = repeat(md5(id::text), 2000);
ROLLBACK TO a;
RESET pg_tviews.change_buffer_memory;
COMMIT;

-- foreign tables that come into what a TVIEW reads, after it was made: read at PRE_COMMIT they would be a PANIC
-- each come: CREATE FOREIGN TABLE app.part_f PARTITION OF app.part FOR VALUES IN (7) SERVER hostile_loop OPTIONS (schema_name 'app', table_name 'spare') | CREATE FOREIGN TABLE app.child_f () INHERITS (app.parent) SERVER hostile_loop OPTIONS (schema_name 'app', table_name 'child') | ALTER FOREIGN TABLE app.far INHERIT app.parent | CREATE OR REPLACE VIEW app.seen AS SELECT id, g, v FROM app.item WHERE v > (SELECT count(*) FROM app.far) | CREATE POLICY far ON app.item USING (id IN (SELECT id FROM app.far)) | CREATE OR REPLACE FUNCTION app.thrice(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (SELECT count(*) + $1 FROM app.far); END $$
-- setup: CREATE EXTENSION postgres_fdw
-- setup: DO $$ BEGIN EXECUTE format('CREATE SERVER hostile_loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, dbname %L)', split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database()); END $$
-- setup: CREATE USER MAPPING FOR PUBLIC SERVER hostile_loop OPTIONS (user 'postgres', password_required 'false'); GRANT USAGE ON FOREIGN SERVER hostile_loop TO hostile_owner; CREATE FOREIGN TABLE app.far (id int, n int OPTIONS (column_name 'a')) SERVER hostile_loop OPTIONS (schema_name 'app', table_name 'spare'); ALTER TABLE app.far OWNER TO hostile_owner; SET SESSION AUTHORIZATION hostile_owner; CREATE TVIEW app.tripled AS SELECT id, app.thrice(v) AS v FROM app.item; RESET SESSION AUTHORIZATION
-- as: owner super
-- modes: alone begincommit savepoint writescommit exception
-- may: fail grant stale
{come};
INSERT INTO app.far VALUES (7500, 7);
UPDATE app.item SET v = v + 1;
UPDATE app.part SET n = n + 1;
UPDATE app.parent SET n = n + 1;

-- sessions that end in the middle
-- may: kill
-- as: super owner
-- modes: alone begincommit savepoint writescommit
UPDATE app.item SET v = v + 1;
SELECT pg_terminate_backend(pg_backend_pid());

-- as: super owner
-- modes: alone twice extended caught inflush
PREPARE TRANSACTION 'hostile';

-- as: super owner
-- modes: alone
BEGIN;
UPDATE app.item SET v = v + 1;
PREPARE TRANSACTION 'hostile';
ROLLBACK PREPARED 'hostile';

-- as: super owner
-- modes: alone
BEGIN;
UPDATE app.item SET v = v + 1;
DROP MATERIALIZED VIEW app.flat;
PREPARE TRANSACTION 'hostile';
COMMIT PREPARED 'hostile';

-- settings of ours and of the server that have no place here
-- each setting: search_path = '' | search_path = pg_temp | default_table_access_method = tview | pg_tviews.lock_escalation = 0 | pg_tviews.full_refresh_threshold = 0 | pg_tviews.ctas_prefix = '%' | row_security = off | default_transaction_read_only = on | transform_null_equals = on | DateStyle = 'German' | work_mem = '64kB' | plan_cache_mode = force_generic_plan | check_function_bodies = off | lc_monetary = 'nosuch' | default_tablespace = 'nosuch' | default_transaction_isolation = 'serializable' | session_replication_role = replica | role = hostile_low | max_parallel_workers_per_gather = 4 | event_triggers = off | allow_system_table_mods = on | log_statement_stats = on | debug_parallel_query = on | temp_tablespaces = 'nosuch'
-- may: stale fail
-- modes: alone begincommit savepoint beginrollback
SET {setting};
UPDATE app.item SET v = v + 1 WHERE id = 1;
CREATE TVIEW low.x AS SELECT g, count(DISTINCT v) AS n FROM app.item GROUP BY g HAVING count(*) > 1;
SELECT count(*) FROM tviews.verify_all();
RESET ALL;
RESET ROLE;
