-- DDL on TVIEWs, on what they read, and on what they are made of.

DROP MATERIALIZED VIEW flat;

DROP TVIEW sums;

DROP TVIEW sums CASCADE;

DROP MATERIALIZED VIEW staged, chained, documents;

DROP TABLE app.item CASCADE;

DROP TABLE app.part CASCADE;

DROP TABLE app.part_1;

DROP TABLE app.parent CASCADE;

DROP TABLE app.child CASCADE;

DROP VIEW app.seen CASCADE;

DROP FUNCTION app.twice CASCADE;

DROP SCHEMA app CASCADE;

DROP SCHEMA low CASCADE;

DROP OWNED BY hostile_owner CASCADE;

DROP OWNED BY hostile_low;

-- may: grant
-- as: super
REASSIGN OWNED BY hostile_owner TO hostile_low;

ALTER TABLE app.item DROP COLUMN v CASCADE;

ALTER TABLE app.item DROP COLUMN note;

-- may: stale
ALTER TABLE app.item DROP CONSTRAINT item_pkey CASCADE;

ALTER TABLE app.item ALTER COLUMN v TYPE bigint;

-- as: owner super
ALTER TABLE app.item ADD COLUMN more int DEFAULT 5;
ALTER TABLE app.item DROP COLUMN more;

ALTER TABLE app.item RENAME COLUMN v TO w;

ALTER TABLE app.item RENAME TO item2;

ALTER TABLE app.item SET SCHEMA low;

-- its TVIEWs belong to a role that may not read it any more: flushes fail, and say so
-- may: grant fail
ALTER TABLE app.item OWNER TO hostile_low;

ALTER TABLE app.item SET UNLOGGED;

ALTER TABLE app.item SET ACCESS METHOD tview;

ALTER TABLE app.item INHERIT app.parent;

-- what: a child that is rolled back
CREATE TABLE app.child_2 () INHERITS (app.parent);

CREATE TABLE app.part_3 PARTITION OF app.part FOR VALUES IN (3);

CREATE TABLE app.part_d PARTITION OF app.part DEFAULT;

ALTER TABLE app.part DETACH PARTITION app.part_2;

-- may: residue
ALTER TABLE app.part DETACH PARTITION app.part_2 CONCURRENTLY;

ALTER TABLE app.child NO INHERIT app.parent;

TRUNCATE app.item;

TRUNCATE app.grp CASCADE;

TRUNCATE ONLY app.parent;

TRUNCATE app.sums;

CREATE OR REPLACE TVIEW app.flat AS SELECT id, v FROM app.item WHERE v > 1;

CREATE OR REPLACE TVIEW app.flat AS SELECT id, 1 / (v - 3) AS v FROM app.item;

CREATE OR REPLACE TVIEW app.flat AS SELECT s.g AS id, s.n::int AS v FROM app.sums s;

CREATE OR REPLACE TVIEW app.staged AS SELECT g, n FROM (SELECT g, count(DISTINCT note) AS n FROM app.item GROUP BY g HAVING count(*) > 2) x WHERE n > 1;

CREATE OR REPLACE TVIEW app.sums AS SELECT n AS g, groups AS n, groups AS s FROM app.chained;

CREATE OR REPLACE TVIEW app.flat AS SELECT g AS id, v, id AS third FROM app.item;

CREATE OR REPLACE TVIEW app.brand_new AS SELECT g, max(v) FROM app.item GROUP BY g;

CREATE OR REPLACE VIEW app.seen AS SELECT id, g, v FROM app.item WHERE v > 2;

CREATE OR REPLACE VIEW app.seen AS SELECT id, g, v FROM app.item WHERE random() > 2;

CREATE OR REPLACE VIEW app.seen AS SELECT id, g, n::int AS v FROM app.part JOIN app.item USING (id);

CREATE OR REPLACE FUNCTION app.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 4';

CREATE OR REPLACE FUNCTION app.twice(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT $1 * 2';

CREATE OR REPLACE FUNCTION app.twice(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 / ($1 - 3); END';

ALTER FUNCTION app.twice(int) VOLATILE;

ALTER MATERIALIZED VIEW app.flat SET ACCESS METHOD heap;

ALTER MATERIALIZED VIEW app.sums SET ACCESS METHOD heap;

ALTER MATERIALIZED VIEW app.staged SET ACCESS METHOD heap;

-- as: owner super
ALTER MATERIALIZED VIEW app.flat SET ACCESS METHOD heap;
ALTER MATERIALIZED VIEW app.flat SET ACCESS METHOD tview;

ALTER MATERIALIZED VIEW app.plain SET ACCESS METHOD tview;

ALTER MATERIALIZED VIEW app.staged SET LOGGED;

ALTER MATERIALIZED VIEW app.documents SET UNLOGGED;

ALTER MATERIALIZED VIEW app.staged SET (mode = full);

ALTER MATERIALIZED VIEW app.staged SET (mode = nonsense);

-- announced, and read by other columns, in the middle of writes
-- each view: flat | staged | seen
-- each option: notify | document_indexes
UPDATE app.item SET v = v + 1;
ALTER MATERIALIZED VIEW app.{view} SET ({option} = on);
UPDATE app.item SET v = v + 1;
SELECT count(*) FROM tviews.changes();
ALTER MATERIALIZED VIEW app.{view} SET ({option} = off);
ALTER MATERIALIZED VIEW app.{view} RESET ({option});
DELETE FROM app.item;
SELECT count(*) FROM tviews.changes();

ALTER TVIEW app.staged RENAME TO staged_2;

ALTER TVIEW app.sums RENAME COLUMN n TO m;

ALTER TVIEW app.staged SET SCHEMA low;

-- may: grant
ALTER MATERIALIZED VIEW app.staged OWNER TO hostile_low;

ALTER MATERIALIZED VIEW app.secrets OWNER TO hostile_low;

-- policies that are about the new owner, and read another table for that
-- setup: CREATE TABLE app.permit (note text); GRANT SELECT, TRIGGER ON app.permit TO hostile_low, hostile_owner; GRANT SELECT, TRIGGER ON app.tenant TO hostile_owner; CREATE POLICY by_permit ON app.tenant TO hostile_low USING (note IN (SELECT p.note FROM app.permit p)); SET ROLE hostile_owner; CREATE TVIEW app.of_tenants AS SELECT note, count(*) AS n FROM app.tenant GROUP BY note; RESET ROLE
-- may: grant
ALTER TVIEW app.of_tenants OWNER TO hostile_low;
INSERT INTO app.permit VALUES ('private');
INSERT INTO app.tenant VALUES (7001, 'somebody', 'private');

-- row security through a view of the old owner
-- setup: GRANT SELECT, TRIGGER ON app.tenant TO hostile_owner; CREATE VIEW app.veil AS SELECT * FROM app.tenant; ALTER VIEW app.veil OWNER TO hostile_owner; GRANT SELECT, TRIGGER ON app.veil TO hostile_low; SET ROLE hostile_owner; CREATE TVIEW app.of_view AS SELECT id, note FROM app.veil; RESET ROLE
-- want: 0A000 42501
ALTER TVIEW app.of_view OWNER TO hostile_low;

-- the convention of names
-- each schema: low | app
-- each query: SELECT id, v FROM app.item | SELECT v, count(*) AS n FROM app.item GROUP BY v | SELECT now() AS at, id FROM app.item | SELECT 1 / 0 AS x
CREATE TABLE {schema}.tv_x AS {query};
INSERT INTO app.item VALUES (7002, 1, 1, 'x');

-- each schema: low | app
-- each query: SELECT id, v FROM app.item | SELECT v, count(*) AS n FROM app.item GROUP BY v | SELECT now() AS at, id FROM app.item | SELECT 1 / 0 AS x
SELECT * INTO {schema}.tv_x FROM ({query}) q;
INSERT INTO app.item VALUES (7002, 1, 1, 'x');

REFRESH MATERIALIZED VIEW app.staged;

REFRESH MATERIALIZED VIEW CONCURRENTLY app.flat;

REFRESH MATERIALIZED VIEW app.sums WITH NO DATA;

REFRESH MATERIALIZED VIEW app.staged WITH NO DATA;

CREATE TVIEW low.more AS SELECT g, count(*) FROM app.item GROUP BY g HAVING count(*) > 1;

CREATE MATERIALIZED VIEW low.more WITH (incremental) AS SELECT i.id, j.v FROM app.item i JOIN app.item j ON j.g = i.id;

CREATE TABLE low.tv_more AS SELECT id, v FROM app.item;

CREATE TABLE low.tv_more AS SELECT * FROM app.secret;

CREATE TABLE low.tv_more AS SELECT id, now() AS at FROM app.item;

CREATE TABLE low.tv_more AS SELECT g, n FROM (SELECT g, count(DISTINCT note) AS n, max(1 / (v - 3)) AS e FROM app.item GROUP BY g) x WHERE e > 0;

CREATE OR REPLACE TVIEW app.flat AS SELECT id, v, note, g FROM app.item;

CREATE OR REPLACE TVIEW app.flat (id, v, more) AS SELECT id, v, 1 / (v - 3) FROM app.item;

CREATE TEMP TABLE tv_temp AS SELECT id FROM app.item;

CREATE INDEX ON app.flat (v);

-- may: residue
CREATE UNIQUE INDEX CONCURRENTLY ON app.flat (v);

-- may: residue
DROP INDEX CONCURRENTLY app.item_pkey;

REINDEX TABLE app.flat;

-- may: residue
REINDEX SCHEMA app;

CLUSTER app.item USING item_pkey;

-- may: residue
VACUUM FULL app.item;

-- may: residue
VACUUM FULL app.flat;

ANALYZE app.flat;

CREATE STATISTICS app.stats ON v, id FROM app.flat;

CREATE RULE r AS ON INSERT TO app.item DO ALSO DELETE FROM app.grp WHERE id = new.id;

CREATE TRIGGER t AFTER INSERT ON app.flat FOR EACH STATEMENT EXECUTE FUNCTION tviews.capture();

LOCK TABLE app.flat IN ACCESS EXCLUSIVE MODE;

COMMENT ON MATERIALIZED VIEW app.flat IS 'x';

SECURITY LABEL ON MATERIALIZED VIEW app.flat IS 'x';

-- as: super
ALTER TABLE pg_toast_tviews.nosuch RENAME TO x;

-- as: super owner
-- each stage: (SELECT stage::regclass FROM tviews.stage LIMIT 1)
-- each change: DROP MATERIALIZED VIEW %s | DROP MATERIALIZED VIEW %s CASCADE | ALTER MATERIALIZED VIEW %s SET SCHEMA app | ALTER MATERIALIZED VIEW %s RENAME TO x | ALTER MATERIALIZED VIEW %s SET ACCESS METHOD heap | REFRESH MATERIALIZED VIEW %s WITH NO DATA | REFRESH MATERIALIZED VIEW %s | ALTER MATERIALIZED VIEW %s SET LOGGED | ALTER MATERIALIZED VIEW %s RENAME n TO m | VACUUM FULL %s | CREATE UNIQUE INDEX ON %s (n) | ALTER MATERIALIZED VIEW %s OWNER TO hostile_low
-- may: residue
DO $$ BEGIN EXECUTE format('{change}', {stage}); END $$;

-- as: super owner
DO $$ DECLARE i regclass; BEGIN FOR i IN SELECT indexrelid::regclass FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE relkind = 'm' LOOP EXECUTE format('DROP INDEX %s', i); END LOOP; END $$;

-- as: super owner
DO $$ DECLARE i regclass; BEGIN FOR i IN SELECT indexrelid::regclass FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE relkind = 'm' LOOP EXECUTE format('ALTER INDEX %s RENAME TO renamed_%s', i, i::oid); END LOOP; END $$;

CREATE TYPE low.composite AS (a int, b int);
CREATE TVIEW low.whole_rows AS SELECT i FROM app.item i;

-- as: super
-- may: residue
ALTER SCHEMA tviews RENAME TO moved;

-- as: super
-- may: residue
ALTER SCHEMA pg_toast_tviews RENAME TO moved;

-- as: super
ALTER EXTENSION pg_tviews SET SCHEMA app;

-- as: super
DROP EXTENSION pg_tviews;

-- as: super
DROP EXTENSION pg_tviews CASCADE;

-- as: super
-- may: grant
DROP EXTENSION pg_tviews CASCADE;
CREATE EXTENSION pg_tviews;

DROP SCHEMA tviews CASCADE;

DROP ACCESS METHOD tview CASCADE;

ALTER ACCESS METHOD tview RENAME TO other;

-- as: super
-- each object: FUNCTION tviews.capture() | TABLE tviews.source | TABLE tviews.stage | ACCESS METHOD tview | SCHEMA tviews | FUNCTION tviews.changed(anyelement)
ALTER EXTENSION pg_tviews DROP {object};
ALTER EXTENSION pg_tviews ADD {object};

-- as: super
-- the usual reset of a test database takes the extension with it, and all TVIEWs
-- want: 00000
DROP SCHEMA public CASCADE;
CREATE SCHEMA public;

-- types whose values TVIEWs show
-- setup: CREATE TYPE app.level AS ENUM ('low', 'high'); CREATE TYPE app.spot AS (x int, y text); ALTER TYPE app.level OWNER TO hostile_owner; ALTER TYPE app.spot OWNER TO hostile_owner; ALTER TABLE app.item ADD COLUMN l app.level DEFAULT 'low', ADD COLUMN s app.spot DEFAULT ROW(1, 'a'); SET ROLE hostile_owner; CREATE TVIEW app.of_types AS SELECT to_jsonb(s) AS s, l, count(*) AS n FROM app.item GROUP BY 1, 2; CREATE TVIEW app.of_rows AS SELECT s, l::text AS l FROM app.item; RESET ROLE
-- each change: app.level RENAME VALUE 'low' TO 'lowest' | app.level ADD VALUE 'top' | app.spot RENAME ATTRIBUTE x TO z | app.spot ADD ATTRIBUTE z int | app.spot DROP ATTRIBUTE y | app.spot DROP ATTRIBUTE y CASCADE | app.level RENAME VALUE 'nosuch' TO 'x' | app.nosuch RENAME VALUE 'a' TO 'b' | app.spot RENAME ATTRIBUTE nosuch TO x
ALTER TYPE {change};
DELETE FROM app.item WHERE id % 2 = 0;

ALTER VIEW app.seen RENAME COLUMN id TO number;

-- every way of creating makes a TVIEW or fails
-- each options: | (ANALYZE) | (ANALYZE, COSTS off) | (ANALYZE off) | (ANALYZE nosuch)
-- each what: TVIEW low.x | TVIEW app.x | MATERIALIZED VIEW low.x USING tview | MATERIALIZED VIEW low.x WITH (incremental) | TABLE low.tv_x
EXPLAIN {options} CREATE {what} AS SELECT id, v FROM app.item;

CREATE TVIEW low.x USING heap AS SELECT id FROM app.item;

-- hundreds of aggregates, whose states are one value
DO $$ BEGIN EXECUTE (SELECT format('CREATE TVIEW low.x AS SELECT id %% 3 AS k, %s FROM app.item GROUP BY 1', string_agg(format('sum(v + %s) AS s%s', i, i), ', ')) FROM generate_series(1, 200) i); END $$;
INSERT INTO app.item VALUES (1001, 1, 5, 'x');
DELETE FROM app.item WHERE id < 3;
