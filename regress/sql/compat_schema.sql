-- The interface of pg_tviews: in which schema it is, and names that are taken. Runs last: the extension goes and comes.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS pg_tviews CASCADE;
RESET client_min_messages;
\set SHOW_CONTEXT never

-- Another schema, whatever its name, and a search_path without it.
CREATE SCHEMA "Other schema";
CREATE EXTENSION pg_tviews SCHEMA "Other schema";
SELECT n.nspname, count(*) FILTER (WHERE p.proname !~ '^pg_tviews_') AS others, count(*) > 20 AS many
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
       JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_tviews'
 WHERE n.nspname <> 'tviews' GROUP BY 1;
SELECT n.nspname, array_agg(c.relname ORDER BY c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname LIKE 'pg\_tview%' AND c.relkind = 'v' GROUP BY 1;
CREATE SCHEMA compat_schema;
CREATE TABLE compat_schema.tb_item (pk_item int PRIMARY KEY, name text);
CREATE TABLE compat_schema.tv_item (pk_item int, data jsonb);
SET search_path = '';
SELECT "Other schema".pg_tviews_create('compat_schema.item_name', 'SELECT pk_item, name FROM compat_schema.tb_item');
SELECT entity, status FROM "Other schema".pg_tviews_auto_convert('compat_schema');
BEGIN;
SELECT "Other schema".pg_tviews_suspend_triggers();
INSERT INTO compat_schema.tb_item VALUES (1, 'apple');
SELECT "Other schema".pg_tviews_suspended_entities(), q -> 'queue_size' AS queue_size FROM "Other schema".pg_tviews_queue_stats() q;
SELECT r - 'duration_ms' FROM "Other schema".pg_tviews_refresh_all() r;
COMMIT;
SELECT entity, row_count FROM "Other schema".pg_tviews_performance_stats();
SELECT * FROM "Other schema".pg_tviews_show_cascade_path('compat_schema.tv_item');
SELECT "Other schema".pg_tviews_infer_types('compat_schema.tv_item', '{data}');
SELECT "Other schema".pg_tviews_analyze_select('SELECT 1 AS pk_x') -> 'entity_name' AS entity;
SELECT count(*) FROM "Other schema".pg_tviews_health_check() WHERE status = 'OK' AND component = 'extension';
SELECT count(*) FROM "Other schema".pg_tviews_recover_prepared_transactions();
SELECT "Other schema".pg_tviews_uninstall_stmt_triggers();
UPDATE "Other schema".pg_tview_meta SET uuid_fk_columns = '{}' WHERE entity = 'item';
SELECT "Other schema".pg_tviews_drop('compat_schema.item');
SELECT "Other schema".pg_tviews_refresh('item_name'); \echo :SQLSTATE

-- It stays there, and goes with the extension. The schema takes the extension with it.
ALTER EXTENSION pg_tviews SET SCHEMA public; \echo :SQLSTATE
ALTER FUNCTION tviews.belongings(oid) RENAME TO other; \echo :SQLSTATE
DROP SCHEMA "Other schema"; \echo :SQLSTATE
SET client_min_messages = warning;
DROP SCHEMA "Other schema" CASCADE;
RESET client_min_messages;
SELECT to_regclass('compat_schema.tv_item_name'), to_regnamespace('tviews');
RESET search_path;

-- Names that are taken, and schemas that cannot be: nothing is left of the attempt.
CREATE TABLE pg_tview_queue (a int);
CREATE EXTENSION pg_tviews; \echo :SQLSTATE
DROP TABLE pg_tview_queue;
CREATE FUNCTION pg_tviews_version() RETURNS text LANGUAGE sql AS $$ SELECT 'mine' $$;
CREATE EXTENSION pg_tviews; \echo :SQLSTATE
DROP FUNCTION pg_tviews_version();
CREATE SCHEMA "it's";
CREATE EXTENSION pg_tviews SCHEMA "it's"; \echo :SQLSTATE
DROP SCHEMA "it's";
CREATE EXTENSION pg_tviews SCHEMA nosuch; \echo :SQLSTATE
CREATE EXTENSION pg_tviews SCHEMA pg_catalog; \echo :SQLSTATE
CREATE SCHEMA tviews;
CREATE EXTENSION pg_tviews SCHEMA tviews; \echo :SQLSTATE
DROP SCHEMA tviews;

-- Functions that wait in the schema of the extension are not found by its script, nor by its functions, nor are those of the caller's search_path.
CREATE SCHEMA trap;
CREATE FUNCTION trap.bite() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'bitten'; END $$;
CREATE FUNCTION trap.starts_with(name, text) RETURNS boolean LANGUAGE sql AS $$ SELECT trap.bite(); SELECT true $$;
CREATE FUNCTION trap.format(text, text, text) RETURNS text LANGUAGE sql AS $$ SELECT trap.bite(); SELECT '' $$;
CREATE FUNCTION trap.array_agg(text) RETURNS text[] LANGUAGE sql AS $$ SELECT trap.bite(); SELECT '{}'::text[] $$;
CREATE FUNCTION trap.equal(text, name) RETURNS boolean LANGUAGE sql AS $$ SELECT trap.bite(); SELECT true $$;
CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = name, FUNCTION = trap.equal);
CREATE OPERATOR trap.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_catalog.textcat);
CREATE EXTENSION pg_tviews SCHEMA trap;
SET search_path = trap, pg_catalog;
SELECT pg_tviews_create('compat_schema.tv_trap', 'SELECT pk_item AS pk_trap, name FROM compat_schema.tb_item');
SELECT entity, fk_columns FROM pg_tview_meta;
SELECT pg_tviews_analyze_select('SELECT pk_item FROM compat_schema.tb_item') -> 'pk_column' AS pk;
SELECT * FROM pg_tviews_show_cascade_path('compat_schema.trap');
SELECT pg_tviews_infer_types('compat_schema.tv_trap', '{name}');
CREATE TABLE compat_schema.tv_item (pk_item int, data jsonb, more int);
SELECT pg_tviews_convert_existing_table('compat_schema.item');
SELECT pg_tviews_drop('compat_schema.trap');
RESET search_path;
SELECT count(*) FROM pg_depend d JOIN pg_proc p ON p.oid = d.refobjid AND d.refclassid = 'pg_proc'::regclass
 WHERE p.pronamespace = 'trap'::regnamespace AND p.proname !~ '^pg_tviews' AND d.classid = 'pg_rewrite'::regclass;

SET client_min_messages = warning;
DROP EXTENSION pg_tviews CASCADE;
DROP SCHEMA trap, compat_schema CASCADE;
CREATE EXTENSION pg_tviews;
