-- Every function of schema tviews with wrong, NULL, foreign and dropped arguments.
-- each relation: NULL | 0 | 1 | 4294967295 | 1259 | 'app.item' | 'app.plain' | 'app.seen' | 'app.numbers' | 'app.item_pkey' | 'app.secrets' | 'app.staged' | (SELECT stage FROM tviews.stage LIMIT 1) | 'pg_toast_tviews.nosuch' | (SELECT oid FROM pg_class WHERE relkind = 't' LIMIT 1)

-- each function: verify | rebuild | explain | strategies
SELECT * FROM tviews.{function}({relation}::regclass);

SELECT * FROM tviews.explain({relation}::regclass, true);

SELECT count(*) FROM tviews.explain({relation}::regclass, analyze => NULL);

SELECT * FROM tviews.stat_of({relation}::regclass::oid);

SELECT * FROM tviews.strategies_of({relation}::regclass::oid);

SELECT tviews.file_size({relation}::regclass::oid), tviews.size_of({relation}::regclass::oid);

SELECT count(tviews.strategies_of(oid)), sum(tviews.size_of(oid)) FROM pg_class;

SELECT tviews.verify(tview), tviews.rebuild(tview) FROM tviews.verify_all();

SELECT count(*) FROM tviews.verify_all();

SELECT count(*) FROM tviews.health();

SELECT count(before), count(after) FROM tviews.upgrade_statements();

SELECT count(*) FROM tviews.pending();

SELECT count(*), count(key) FROM tviews.changes();

-- each format: NULL | 'mermaid' | 'dot' | 'json' | 'svg' | ''
SELECT length(tviews.graph({format}));

SELECT count(*), count(strategies), sum(size) FROM tviews.tviews;

SELECT count(*) FROM tviews.stat;

SELECT count(*), count(value), count(waits_for) FROM tviews.locks;

SELECT tviews.lock_value(pid) FROM pg_stat_activity;

SELECT tviews.lock_value(NULL), tviews.lock_value(0), tviews.lock_value(-1), tviews.lock_value(2147483647);

-- each side: NULL | 0 | 1 | -1 | 9223372036854775807
SELECT tviews.lock_side({relation}::regclass::oid, {side});

-- each number: NULL | 0 | 1259 | 2147483647 | 2147483648 | 4294967295
SELECT tviews.lock_of({number}::oid);

SELECT tviews.lock_of(l.relation) FROM pg_locks l;

SELECT tviews.flush();

SELECT tviews.stat_reset();

SELECT tviews.capture();

SELECT tviews.am_handler(NULL);

SELECT tviews.rows_support(NULL);

-- each rows: changed | inserted | deleted | dirty
-- each what: app.item | app.flat | app.secret | app.part | int | record | void | tviews.source
SELECT * FROM tviews.{rows}(NULL::{what});

SELECT tviews.{rows}(NULL::app.item), tviews.{rows}(NULL::app.item);

SELECT * FROM tviews.{rows}((SELECT i FROM app.item i LIMIT 1));

SELECT * FROM app.item i, LATERAL tviews.{rows}(i) x;

CREATE TVIEW low.x AS SELECT * FROM tviews.{rows}(NULL::app.item);

-- a query for check, of every kind that is none
-- each query: NULL | '' | ';' | 'SELECT' | 'SELECT 1; SELECT 2' | 'DELETE FROM app.item' | 'COMMIT' | 'CREATE TABLE low.x (a int)' | 'SELECT $1' | 'TABLE app.item' | 'VALUES (1)' | 'SELECT row(id, 1) FROM app.item' | 'SELECT id, id FROM app.item' | 'SELECT id AS "tviews" FROM app.item INTO x' | 'EXPLAIN SELECT 1' | 'COPY app.item TO STDOUT' | repeat('(', 5000) | 'SELECT ''' | 'WITH RECURSIVE r AS (SELECT 1 AS a UNION SELECT a + 1 FROM r WHERE a < 5) SELECT * FROM r' | 'SELECT * FROM app.secret' | 'SELECT grouping((SELECT a.v)) AS g, count(*) FROM (VALUES (1)) a(v) GROUP BY (SELECT a.v)' | 'SELECT pg_sleep(0.01)' | 'SELECT id FROM app.item ORDER BY id FETCH FIRST 2 ROWS WITH TIES' | E'SELECT ''\\x00''::bytea' | 'SELECT 1 AS a; ' | 'CREATE TVIEW low.x AS SELECT 1' | 'SELECT count(*) FROM pg_class' | 'SELECT 1/0 FROM app.item'
SELECT * FROM tviews.check({query});

-- a query that takes long to analyse, so that a timeout meets the analysis
-- modes: timeout alone
SELECT count(*) FROM tviews.check((SELECT 'SELECT g.id, ' || string_agg(format('(SELECT count(*) FROM (SELECT v, count(*) c FROM app.item x GROUP BY v HAVING count(*) > %s) y WHERE y.c > g.id)', i), ',') || ' FROM app.grp g' FROM generate_series(1, 12) i));

-- the settings of the session are as they were when an error came from check
-- holds: SELECT true
DO $$ BEGIN PERFORM tviews.check('SELECT row(id, 1) AS r FROM app.item'); EXCEPTION WHEN OTHERS THEN NULL; END $$;
DO $$ BEGIN IF current_setting('search_path') NOT LIKE 'app%' THEN RAISE EXCEPTION 'search_path is %', current_setting('search_path') USING ERRCODE = 'XX001'; END IF; END $$;

-- called where no function of ours is expected
-- as: super owner
-- setup: CREATE FUNCTION app.f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM tviews.flush(); RETURN $1; END $$
CREATE TVIEW app.x AS SELECT id, app.f(v) AS v FROM app.item;
UPDATE app.item SET v = v + 1;

-- a function that calls what calls it is its owner's mistake, and an error at the worst
-- as: super owner
-- may: fail
-- setup: CREATE FUNCTION app.f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM tviews.{call}; RETURN $1; END $$
-- each call: verify_all() | rebuild('app.flat') | rebuild('app.x') | explain('app.x') | check('SELECT id FROM app.item') | pending() | changes() | graph() | health() | changed(NULL::app.item) | inserted(NULL::app.grp) | deleted(NULL::app.item) | dirty(NULL::app.flat) | strategies(0) | verify(0)
CREATE TVIEW app.x AS SELECT id, app.f(v) AS v FROM app.item;
UPDATE app.item SET v = v + 1;

-- a cursor over our functions, and over a TVIEW, while it changes
-- as: owner super
-- modes: begincommit beginrollback savepoint writescommit
-- each of: app.flat | tviews.verify_all() | tviews.explain('app.flat') | tviews.pending() | tviews.changes() | tviews.graph() | tviews.tviews
DECLARE c CURSOR FOR SELECT * FROM {of};
FETCH 1 FROM c;
UPDATE app.item SET v = v + 1;
FETCH ALL FROM c;
DROP MATERIALIZED VIEW app.flat;
FETCH ALL FROM c;

-- the states of a group as one value: any row will do
-- each row: NULL | ROW() | ROW(1, NULL) | ROW(NULL::int) | (SELECT i FROM app.item i LIMIT 1) | ROW(repeat('x', 100000), ARRAY[1]) | ROW(ROW(ROW(1)))
SELECT length(tviews.packed({row}));

-- parts of documents
-- each document: NULL | '{}' | '[]' | '1' | 'null' | '{"a": [{"id": 1}, 2, null]}' | '[[[]]]' | format('%s%s', repeat('[', 500), repeat(']', 500))
-- each path: NULL | '{}' | '{a}' | '{a,0}' | '{NULL}' | '{{a},{b}}' | '{-2147483648}' | '{99999999999}'
SELECT length(tviews.jsonb_set_path(({document})::jsonb, {path}::text[], '{"x": 1.50}')::text), length(tviews.jsonb_set_path('{"a": []}', {path}::text[], ({document})::jsonb)::text);
SELECT tviews.jsonb_array_insert(({document})::jsonb, {path}::text[], '{"id": 2}', 'id'), tviews.jsonb_array_insert(({document})::jsonb, {path}::text[], ({document})::jsonb);
SELECT tviews.jsonb_array_update(({document})::jsonb, {path}::text[], 'id', ({document})::jsonb, '1'), tviews.jsonb_array_delete(({document})::jsonb, {path}::text[], 'id', '1');

-- what min and max keep, of values of every kind
-- each value: 1 | NULL::int | 'x'::text | '{1,NULL}'::int[] | repeat('y', 100000) | 'NaN'::float8 | row(1) | NULL::record | '{}'::json | point(1, 2) | '1'::xid | now() | B'101' | '{"a": 1}'::jsonb | 'a'::"char" | 'n'::name | '1 day'::interval | interval_in('1 day', 0, -1)
-- each aggregate: state_greatest | state_least
SELECT length(tviews.{aggregate}({value})) FROM app.item;

-- each call: take_greatest(NULL, 1) | take_least(NULL, NULL) | top(NULL) | top_combine(NULL, NULL) | top_serialize(NULL) | top_deserialize('\x00', NULL)
SELECT tviews.{call};
