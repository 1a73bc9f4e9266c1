-- Every function and relation of the interface of pg_tviews with wrong, NULL, foreign and dropped names, queries that are none, and in every company.
-- each name: NULL | '' | '.' | 'a.b.c.d' | '"' | 'app.item' | 'app.flat' | 'flat' | 'app.seen' | 'app.secrets' | 'app.staged' | 'pg_toast_tviews.nosuch' | 'nosuch.x' | 'tviews.source' | 'pg_class' | repeat('x', 100) | E'\x01' | 'tv_' | (SELECT stage::regclass::text FROM tviews.stage LIMIT 1)

-- each function: pg_tviews_refresh | pg_tviews_recover_after_crash | pg_tviews_drop | pg_tviews_convert_existing_table | pg_tviews_show_cascade_path | tviews.named | tviews.relation_named
SELECT * FROM {function}({name});

-- each query: NULL | '' | 'SELECT 1 AS a' | 'SELECT id FROM app.item' | 'SELECT 1 AS a; DROP TABLE app.item' | 'SELECT id FROM app.secret' | 'DELETE FROM app.item RETURNING *' | 'COMMIT' | 'SELECT $1 AS a' | repeat('(', 5000)
SELECT pg_tviews_create({name}, {query});

SELECT pg_tviews_infer_types({name}, '{{id,NULL,nosuch}}');

-- each function: pg_tviews_analyze_select | tviews.output
-- each query: NULL | '' | ';' | 'SELECT' | 'SELECT 1; SELECT 2' | 'DELETE FROM app.item' | 'COMMIT' | 'SELECT id FROM app.secret' | 'SELECT 1/0 AS a' | 'EXPLAIN SELECT 1' | 'SELECT id INTO x FROM app.item' | 'VALUES (1)' | 'SHOW work_mem' | repeat('(', 5000)
SELECT * FROM {function}({query});

-- each function: pg_tviews_version | pg_tviews_hook_status | pg_tviews_check_jsonb_delta | pg_tviews_refresh_all | pg_tviews_suspend_triggers | pg_tviews_resume_triggers | pg_tviews_is_suspended | pg_tviews_suspended_entities | pg_tviews_install_stmt_triggers | pg_tviews_uninstall_stmt_triggers | pg_tviews_health_check | pg_tviews_queue_stats | pg_tviews_debug_queue | pg_tviews_performance_stats | pg_tviews_recover_prepared_transactions | tviews.flush_order | tviews.last_change | tviews.caches | tviews.stat_hours | tviews.meta_updated
SELECT * FROM {function}();

-- each relation: pg_tview_meta | pg_tview_meta_audit | pg_tview_queue | pg_tviews_queue_realtime | pg_tviews_cache_stats | pg_tviews_performance_summary | tviews.part
SELECT * FROM {relation};

-- each write: UPDATE pg_tview_meta SET fk_columns = NULL | UPDATE pg_tview_meta SET entity = 'x' | DELETE FROM pg_tview_meta | INSERT INTO pg_tview_meta DEFAULT VALUES | DELETE FROM pg_tview_queue | UPDATE tviews.audit SET name = 'x' | DELETE FROM tviews.part
{write};

-- suspended, and then whatever
-- each then: SELECT count(*) FROM app.flat | DROP TABLE app.item CASCADE | TRUNCATE app.item | SELECT pg_tviews_refresh_all() | SELECT tviews.flush() | SELECT pg_tviews_resume_triggers(), pg_tviews_resume_triggers() | SELECT pg_tviews_drop('app.flat', false, true) | ALTER TABLE app.item ADD COLUMN more int | SELECT 1/0
SELECT pg_tviews_suspend_triggers();
UPDATE app.item SET v = v + 1;
{then};
SELECT pg_tviews_resume_triggers();

-- tables filled by hand, beside tables and views of all kinds
-- setup: CREATE TABLE app.tb_x (pk_x int PRIMARY KEY, a int); CREATE TABLE app.tv_x (pk_x int PRIMARY KEY, data jsonb, a int); ALTER TABLE app.tb_x OWNER TO hostile_owner; ALTER TABLE app.tv_x OWNER TO hostile_owner; INSERT INTO app.tb_x VALUES (1, 1); INSERT INTO app.tv_x VALUES (2, NULL, 3)
-- each first: SELECT 1 | CREATE VIEW app.v_x AS SELECT 1 AS pk_x, random() AS a | CREATE VIEW app.v_x AS SELECT * FROM app.tv_x | CREATE VIEW app.v_x AS SELECT 1 / (pk_x - 1) AS a FROM app.tb_x | ALTER TABLE app.tv_x ENABLE ROW LEVEL SECURITY | CREATE INDEX ON app.tv_x ((1 / (a - 1))) | CREATE TABLE app.tv_x_before (a int) | CREATE TYPE app.tv_x_before AS (a int) | DROP TABLE app.tb_x
-- each convert: pg_tviews_auto_convert('app') | pg_tviews_auto_convert_plan('app') | pg_tviews_convert_existing_table('app.x') | tviews.convert('app.tv_x') | tviews.conversion('app.tv_x')
{first};
SELECT * FROM {convert};

-- each schema: NULL | '' | 'nosuch' | 'pg_catalog' | 'tviews' | 'pg_toast_tviews' | 'low'
SELECT * FROM pg_tviews_auto_convert({schema});
SELECT * FROM pg_tviews_auto_convert_plan({schema});

-- each relation: NULL | 0 | 1 | 1259 | 'app.item'::regclass | 'app.flat'::regclass | 'app.item_pkey'::regclass
SELECT * FROM tviews.convert({relation});
SELECT * FROM tviews.conversion({relation});
SELECT tviews.belongings({relation}::oid);
SELECT * FROM tviews.cascade_path({relation});
SELECT tviews.convert_named({relation});

-- prepared transactions that are none
-- each function: pg_tviews_commit_prepared | pg_tviews_rollback_prepared
-- each gid: NULL | '' | 'nosuch' | repeat('x', 300) | E'\n'
-- modes: alone begincommit savepoint caught timeout
SELECT {function}({gid});
