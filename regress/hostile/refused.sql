-- What CREATE TVIEW and its relatives refuse, each with the SQLSTATE it must keep. The same as in regress/sql, in other company.
-- each head: CREATE TVIEW low.x AS | CREATE MATERIALIZED VIEW low.x USING tview AS | CREATE OR REPLACE TVIEW low.x AS | CREATE TABLE low.tv_x WITH (incremental) AS

-- setup: CREATE FUNCTION app.vol() RETURNS int LANGUAGE sql AS 'SELECT 1'
-- want: 0A000
{head} SELECT id, app.vol() FROM app.item;

-- each query: SELECT id, random() AS r FROM app.item | SELECT id FROM app.item WHERE note = current_user | SELECT id, now() AS n FROM app.item | SELECT count(*) FROM app.item HAVING count(*) > (SELECT extract(epoch FROM clock_timestamp())) | SELECT id, nextval('app.numbers') FROM app.item | SELECT id, current_setting('work_mem') FROM app.item | SELECT id, note::regclass AS c FROM app.item | SELECT id FROM app.item TABLESAMPLE SYSTEM (50) | SELECT id FROM app.item FOR UPDATE | SELECT relname FROM pg_class | SELECT table_name FROM information_schema.tables | SELECT id FROM app.plain | SELECT * FROM app.numbers | SELECT xmin::text AS m, ctid::text AS c FROM app.item | SELECT tview FROM tviews.source | SELECT current_database() AS d FROM app.item
-- want: 0A000
CREATE TVIEW low.x AS {query};

-- setup: CREATE TYPE app.level AS ENUM ('low', 'high')
-- each function: enum_range | enum_first | enum_last
-- want: 0A000
{head} SELECT id, {function}(NULL::app.level) AS l FROM app.item;

-- want: 0A000 42501 42P01 42703 42883 42P07 42601 42P16 22012
{head} SELECT i.id FROM app.item i WHERE EXISTS (SELECT FROM pg_catalog.pg_class);

-- want: 22012
{head} SELECT 1 / 0 AS x;

-- want: 42703
CREATE TVIEW low.x AS SELECT nosuch FROM app.item;

-- want: 42P01
CREATE TVIEW low.x AS SELECT * FROM nowhere;

-- want: 42P01
CREATE TVIEW low.x AS SELECT * FROM nowhere.t;

-- want: 0A000
CREATE TVIEW low.x AS SELECT * FROM otherdb.public.t;

-- as: low
-- want: 42501
CREATE TVIEW low.x AS SELECT * FROM app.secret;

-- as: low
-- setup: CREATE SCHEMA hr CREATE TABLE salary (id int PRIMARY KEY)
-- want: 42501
{head} SELECT * FROM hr.salary;

-- as: low
-- want: 42501
CREATE MATERIALIZED VIEW low.x AS SELECT * FROM app.secret /* not a tview */;

-- a view of somebody who may, over a table that one may not read
-- as: low
-- setup: CREATE VIEW low.through AS SELECT * FROM app.secret; GRANT SELECT ON low.through TO hostile_low
CREATE TVIEW low.x AS SELECT * FROM low.through;

CREATE TVIEW low.x WITH (mode = fast) AS SELECT id FROM app.item;

CREATE TVIEW low.x WITH (key = 'nosuch') AS SELECT id FROM app.item;

CREATE TVIEW low.x WITH (mode = incremental) AS SELECT id, avg(v) OVER () FROM app.item;

CREATE TVIEW low.x (a, b, c, d, e) AS SELECT id FROM app.item;

CREATE TVIEW low.x AS SELECT row(id, 1) AS r FROM app.item;

CREATE TVIEW low.x AS SELECT NULL AS r FROM app.item;

CREATE TVIEW low.x AS WITH w AS (DELETE FROM app.item RETURNING id) SELECT id FROM w;

PREPARE p AS SELECT id FROM app.item;
CREATE MATERIALIZED VIEW low.x USING tview AS EXECUTE p;
DEALLOCATE p;

DO $$ DECLARE k int := 1; BEGIN CREATE TVIEW low.x AS SELECT id FROM app.item WHERE id = k; END $$;

CREATE TVIEW low.x;

CREATE TEMP TVIEW x AS SELECT 1 AS a;

CREATE TVIEW pg_temp.x AS SELECT 1 AS a;

CREATE TVIEW tviews.x AS SELECT id FROM app.item;

CREATE TVIEW pg_toast_tviews.x AS SELECT id FROM app.item;

CREATE TVIEW pg_catalog.x AS SELECT id FROM app.item;

CREATE TVIEW low.x TABLESPACE pg_global AS SELECT id FROM app.item;

DROP TVIEW app.item;

DROP TVIEW app.plain;

DROP TVIEW nosuch;

ALTER TVIEW app.item SET (mode = full);

REFRESH TVIEW app.plain;

CREATE TVIEW app.item AS SELECT id FROM app.grp;

CREATE OR REPLACE TVIEW app.plain AS SELECT id FROM app.grp;

ALTER TABLE app.item SET ACCESS METHOD tview;

INSERT INTO app.flat VALUES (1, 1);

UPDATE app.flat SET v = 1;

DELETE FROM app.flat;

COPY app.flat TO '/nowhere/x';

MERGE INTO app.flat USING app.item ON false WHEN NOT MATCHED THEN INSERT VALUES (1, 1);

SELECT * FROM app.flat FOR UPDATE;

-- as: super owner
-- the statement is in a text that is gone when the error is made
DO $$ BEGIN EXECUTE 'CREATE TVIEW low.x AS SELECT now() AS n /*' || repeat(' ', 3000000) || '*/'; END $$;

SELECT * FROM tviews.check('SELECT now() /*' || repeat(' ', 3000000) || '*/');
