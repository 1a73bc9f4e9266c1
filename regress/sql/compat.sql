-- The interface of pg_tviews: what is known about TVIEWs.
CREATE SCHEMA compat;
SET search_path = compat, public;
CREATE TABLE tb_user (pk_user int PRIMARY KEY, id uuid NOT NULL, identifier text NOT NULL, name text NOT NULL);
CREATE TABLE tb_post (pk_post int PRIMARY KEY, id uuid NOT NULL, fk_user int NOT NULL REFERENCES tb_user, title text NOT NULL);
CREATE TABLE tb_comment (pk_comment int PRIMARY KEY, fk_post int NOT NULL REFERENCES tb_post, fk_user int NOT NULL REFERENCES tb_user, text text);
INSERT INTO tb_user VALUES (1, '00000000-0000-0000-0000-000000000001', 'ada', 'Ada'), (2, '00000000-0000-0000-0000-000000000002', 'alan', 'Alan');
INSERT INTO tb_post VALUES (1, '00000000-0000-0000-0000-000000000011', 1, 'On engines');

-- Status.
SELECT pg_tviews_version() = (SELECT extversion FROM pg_extension WHERE extname = 'pg_tviews') AS is_version_of_extension;
SELECT pg_tviews_hook_status();
SELECT pg_tviews_check_jsonb_delta();
SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'pg_tviews';

-- Create.
SELECT pg_tviews_create('user', 'SELECT pk_user, id, identifier, jsonb_build_object(''name'', name) AS data FROM tb_user');
CREATE VIEW v_post AS
    SELECT p.pk_post, p.id, p.fk_user, u.id AS user_id, jsonb_build_object('title', p.title, 'author', jsonb_build_object('name', u.name)) AS data
      FROM tb_post p JOIN tb_user u ON u.pk_user = p.fk_user;
SELECT pg_tviews_create('tv_post', 'SELECT * FROM v_post;');
SELECT pg_tviews_create('compat.tv_comment', '-- of everybody
    SELECT c.pk_comment, c.fk_post, c.fk_user, c.text, p.data AS post FROM tb_comment c JOIN tv_post p ON p.pk_post = c.fk_post -- the end');
SELECT pg_tviews_create('"Odd name"', 'SELECT 1 AS one');
UPDATE tb_user SET name = 'Ada Lovelace' WHERE pk_user = 1;
SELECT data FROM tv_post;

SELECT entity, entity_name, tview_oid::regclass, view_oid::regclass, table_oid::regclass, schema_name, dependencies::regclass[], fk_columns, uuid_fk_columns, created_at
  FROM pg_tview_meta WHERE schema_name = 'compat' ORDER BY entity;
SELECT definition ~ 'FROM tb_user' AS is_query FROM pg_tview_meta WHERE entity = 'user' AND schema_name = 'compat';
UPDATE pg_tview_meta SET fk_columns = '{fk_user}'::text[] WHERE entity_name = 'comment' AND schema_name = 'compat' RETURNING fk_columns;
UPDATE pg_tview_meta SET definition = '' WHERE entity_name = 'comment' AND schema_name = 'compat';
SELECT * FROM pg_tviews_show_cascade_path('user');
SELECT * FROM pg_tviews_show_cascade_path('compat.tv_post');

-- Names and queries that are none.
\set SHOW_CONTEXT never
SELECT pg_tviews_create('missing.post', 'SELECT 1 AS a'); \echo :SQLSTATE
SELECT pg_tviews_create('a.b.c.d', 'SELECT 1 AS a'); \echo :SQLSTATE
SELECT pg_tviews_create('', 'SELECT 1 AS a'); \echo :SQLSTATE
SELECT pg_tviews_create('x', ''); \echo :SQLSTATE
SELECT pg_tviews_create('x', 'SELECT 1 AS a; DROP TABLE tb_user'); \echo :SQLSTATE
SELECT pg_tviews_create('x', 'DELETE FROM tb_comment RETURNING *'); \echo :SQLSTATE
SELECT pg_tviews_create('x', 'SELECT 1 AS a INTO y'); \echo :SQLSTATE
SELECT pg_tviews_create('x', 'SELECT nothing FROM tb_user'); \echo :SQLSTATE
SELECT pg_tviews_create('x', 'SELECT random() AS r FROM tb_user'); \echo :SQLSTATE
CREATE TABLE tv_table (a int);
SELECT pg_tviews_create('table', 'SELECT 1 AS a'); \echo :SQLSTATE
SELECT pg_tviews_refresh('table'); \echo :SQLSTATE
SELECT pg_tviews_refresh('tb_user'); \echo :SQLSTATE
SELECT pg_tviews_refresh('nothing'); \echo :SQLSTATE
SELECT * FROM pg_tviews_show_cascade_path('nothing'); \echo :SQLSTATE
SELECT pg_tviews_drop('nothing'); \echo :SQLSTATE
SELECT pg_tviews_drop('nothing', true); \echo :SQLSTATE
SELECT pg_tviews_drop('post'); \echo :SQLSTATE
SELECT pg_tviews_create(NULL, 'SELECT 1 AS a') IS NULL AS is_null;
SELECT pg_tviews_create(repeat('x', 61), 'SELECT 1 AS a');
SELECT pg_tviews_create(repeat('x', 61), 'SELECT 2 AS a');
SELECT pg_tviews_drop(repeat('x', 61));

-- Another query, with the columns that are there, and with others: owner, privileges, comments and indexes stay.
CREATE ROLE compat_reader;
GRANT SELECT ON tv_user TO compat_reader;
GRANT SELECT (pk_user) ON tv_user TO PUBLIC;
COMMENT ON MATERIALIZED VIEW tv_user IS 'people';
COMMENT ON COLUMN tv_user.data IS 'what is shown';
CREATE UNIQUE INDEX tv_user_id ON tv_user (id);
CREATE INDEX tv_user_identifier ON tv_user (identifier);
COMMENT ON INDEX tv_user_id IS 'by id';
SELECT pg_tviews_create('user', 'SELECT pk_user, id, identifier, jsonb_build_object(''shown'', name) AS data, name FROM tb_user');
SELECT pg_tviews_create('user', 'SELECT pk_user, id, jsonb_build_object(''is'', name) AS data FROM tb_user');
SELECT * FROM tv_user ORDER BY 1;
SELECT relname, replace(relacl::text, 'xtm/', 'xt/') AS relacl, obj_description(oid) FROM pg_class WHERE relname LIKE 'tv\_user%' ORDER BY 1;
SELECT attname, attacl, col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = 'tv_user'::regclass AND attnum > 0 ORDER BY attnum;
SELECT pg_tviews_create('post', 'SELECT pk_post FROM tb_post');
SELECT * FROM oracle('tv_user');

-- Options stay, too.
CREATE TVIEW tv_kept WITH (mode = full, key = 'pk_user', fillfactor = 70, logged = true) AS SELECT pk_user, name FROM tb_user;
SELECT pg_tviews_create('kept', 'SELECT pk_user, name, id FROM tb_user');
SELECT reloptions, relpersistence FROM pg_class WHERE oid = 'tv_kept'::regclass;
SELECT pg_tviews_create('kept', 'SELECT pk_user, id FROM tb_user');
SELECT reloptions, relpersistence FROM pg_class WHERE oid = 'tv_kept'::regclass;
SELECT * FROM oracle('tv_kept');
SELECT pg_tviews_drop('kept');
-- Entities that read each other's tables.
CREATE TABLE tb_left (pk_left int PRIMARY KEY);
CREATE TABLE tb_right (pk_right int PRIMARY KEY);
CREATE TVIEW tv_left AS SELECT pk_right FROM tb_right;
CREATE TVIEW tv_right AS SELECT pk_left FROM tb_left;
SELECT * FROM pg_tviews_show_cascade_path('left');
SELECT pg_tviews_drop('left'), pg_tviews_drop('right');

-- Refresh, recovery, drop.
SELECT pg_tviews_refresh('user');
SELECT pg_tviews_recover_after_crash('user');
-- as after a crash
DELETE FROM tviews.sentinel WHERE tview = 'tv_user'::regclass;
\c -
SET search_path = compat, public;
SELECT pg_tviews_recover_after_crash('user'), pg_tviews_recover_after_crash('tv_user');
CREATE TVIEW tv_empty AS SELECT pk_user FROM tb_user WITH NO DATA;
SELECT * FROM tv_empty;
SELECT pg_tviews_refresh('empty');
SELECT * FROM tv_empty ORDER BY 1;
SELECT pg_tviews_drop('empty'), pg_tviews_drop('empty', if_exists => true);
SELECT pg_tviews_drop('post', false, true);
SELECT entity FROM pg_tview_meta WHERE schema_name = 'compat' ORDER BY 1;
SELECT operation, entity, schema_name, performed_by = current_user AS by_me, performed_at = now() AS now, definition IS NOT NULL AS has_query
  FROM pg_tview_meta_audit WHERE schema_name = 'compat' AND entity IN ('post', 'comment', 'empty') ORDER BY performed_at, operation, entity;

-- Columns of queries and tables.
SELECT jsonb_pretty(pg_tviews_analyze_select('SELECT pk_post, p.id, fk_user, u.id AS user_id, identifier, title AS data FROM tb_post p JOIN tb_user u ON pk_user = fk_user'));
SELECT pg_tviews_analyze_select('INSERT INTO tb_user DEFAULT VALUES');
SELECT pg_tviews_infer_types('tb_post', '{pk_post,id,title}'), pg_tviews_infer_types('compat.tb_post', '{}');
SELECT pg_tviews_infer_types('tb_post', '{pk_post,nothing}');
SELECT pg_tviews_infer_types('nothing', '{a}');

-- Queue and counters.
SELECT pg_tviews_create('post', 'SELECT p.pk_post, p.title, u.name FROM tb_post p JOIN tb_user u ON u.pk_user = p.fk_user');
SELECT pg_tviews_install_stmt_triggers() LIKE 'statement triggers cover % tables' AS ok, pg_tviews_install_stmt_triggers() = pg_tviews_uninstall_stmt_triggers() AS same;
SELECT * FROM pg_tview_queue LIMIT 5;
SELECT queue_size, entities, transaction_id, last_enqueued, backend_pid = pg_backend_pid() AS mine FROM pg_tviews_queue_realtime;
SELECT tviews.stat_reset();
BEGIN;
UPDATE tb_user SET name = upper(name);
INSERT INTO tb_post VALUES (2, '00000000-0000-0000-0000-000000000012', 2, 'On machines');
SELECT entity, tview_oid::regclass, table_oid::regclass, base_table, inserted, deleted FROM pg_tview_queue ORDER BY 1, 3;
SELECT jsonb_agg(q - 'tview_oid' - 'table_oid') FROM jsonb_array_elements(pg_tviews_debug_queue()) q;
SELECT queue_size, entities, transaction_id = pg_current_xact_id() AS mine, last_enqueued BETWEEN now() AND clock_timestamp() AS now FROM pg_tviews_queue_realtime;
SELECT q -> 'queue_size' AS size, q -> 'pending_entities' AS entities, q -> 'total_refreshes' AS refreshes FROM pg_tviews_queue_stats() q;
SELECT r - 'duration_ms', (r -> 'duration_ms')::float > 0 AS took FROM pg_tviews_refresh_all() r;
SELECT r - 'duration_ms' FROM pg_tviews_refresh_all() r;
SELECT queue_size, entities, last_enqueued FROM pg_tviews_queue_realtime;
COMMIT;
SELECT q -> 'queue_size' AS size, q -> 'total_refreshes' AS refreshes, q -> 'rows_inserted' AS inserted, q -> 'rows_updated' AS updated,
       (q -> 'total_timing_ms')::float > 0 AS took FROM pg_tviews_queue_stats() q;
SELECT entity, row_count, index_count, refreshes, rows_changed, avg_refresh_ms > 0 AS took, table_size <> '' AS has_size
  FROM pg_tviews_performance_stats() WHERE entity IN ('user', 'post') ORDER BY 1;
SELECT date_trunc('hour', hour) = hour AS is_hour, total_refreshes, rows_changed, full_refreshes, avg_refresh_ms * total_refreshes - total_refresh_ms < 0.01 AS average
  FROM pg_tviews_performance_summary;
SELECT tviews.stat_reset();
SELECT count(*) FROM pg_tviews_performance_summary;
SELECT cache_type, entries > 0 AS used, estimated_size IS NOT NULL AS has_size FROM pg_tviews_cache_stats;
SELECT component, status, severity FROM pg_tviews_health_check() WHERE component IN ('extension', 'preload', 'triggers');

-- A role without rights gains none.
GRANT USAGE ON SCHEMA compat TO compat_reader;
SET ROLE compat_reader;
\set VERBOSITY terse
SELECT pg_tviews_create('mine', 'SELECT pk_user FROM tb_user');
SELECT pg_tviews_create('user', 'SELECT 1 AS pk_user');
SELECT pg_tviews_drop('user');
SELECT pg_tviews_refresh('user');
SELECT pg_tviews_recover_after_crash('user');
SELECT pg_tviews_analyze_select('SELECT name FROM tb_user');
SELECT entity, row_count FROM pg_tviews_performance_stats() WHERE entity IN ('user', 'post') ORDER BY 1;
SELECT count(*) > 0 FROM pg_tview_meta;
UPDATE pg_tview_meta SET fk_columns = '{a}' WHERE entity = 'user' AND schema_name = 'compat';
UPDATE pg_tview_meta SET definition = '' WHERE entity = 'user' AND schema_name = 'compat';
SELECT pg_tviews_infer_types('tb_user', '{name}');
\set VERBOSITY default
RESET ROLE;
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e' AND d.classid = 'pg_proc'::regclass
 WHERE p.prosecdef ORDER BY 1;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA compat CASCADE;
DROP ROLE compat_reader;
