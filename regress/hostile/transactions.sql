-- What a statement that is taken back leaves behind, and statements that come between those that belong together.
-- as: owner super

-- a child that is rolled back, then a write to its parent
-- modes: alone
BEGIN;
CREATE TABLE app.child_2 () INHERITS (app.parent);
ROLLBACK;
UPDATE app.parent SET n = n + 1;

-- OR REPLACE that fails, in every place
-- modes: alone
BEGIN;
SAVEPOINT s;
CREATE OR REPLACE TVIEW app.flat AS SELECT id, 1 / (v - 3) AS v FROM app.item;
ROLLBACK TO s;
UPDATE app.item SET v = v + 1;
COMMIT;

-- each first: UPDATE app.item SET v = v + 1 | SELECT count(*) FROM app.sums
-- each ddl: DROP MATERIALIZED VIEW app.flat | DROP MATERIALIZED VIEW app.sums CASCADE | DROP MATERIALIZED VIEW app.staged | ALTER MATERIALIZED VIEW app.flat SET ACCESS METHOD heap | REFRESH MATERIALIZED VIEW app.staged WITH NO DATA | CREATE OR REPLACE TVIEW app.flat AS SELECT id, v + 1 AS v FROM app.item | ALTER TABLE app.item DROP COLUMN v CASCADE | DROP TABLE app.item CASCADE | TRUNCATE app.item | CREATE TVIEW app.late AS SELECT g, count(DISTINCT note) AS n FROM app.item GROUP BY g HAVING count(*) > 1 | ALTER TABLE app.part DETACH PARTITION app.part_1 | ALTER MATERIALIZED VIEW app.staged SET LOGGED | ALTER TABLE app.item SET SCHEMA low
-- each last: INSERT INTO app.grp VALUES (8001, 'y') | SELECT count(*) FROM app.joined
-- modes: begincommit savepoint exception caught timeout
{first};
{ddl};
{last};

-- open cursors and portals over what is dropped
-- modes: begincommit
DECLARE c CURSOR WITH HOLD FOR SELECT * FROM app.sums;
UPDATE app.item SET v = v + 1;
COMMIT;
FETCH 1 FROM c;
DROP MATERIALIZED VIEW app.sums CASCADE;
FETCH 1 FROM c;
CLOSE c;

-- procedures that end transactions between writes
CREATE PROCEDURE app.p() LANGUAGE plpgsql AS $$ BEGIN FOR k IN 1..3 LOOP UPDATE app.item SET v = v + 1; IF k = 2 THEN ROLLBACK; ELSE COMMIT; END IF; END LOOP; END $$;
CALL app.p();

-- many savepoints, each with a change and an error
DO $$ BEGIN FOR k IN 1..70 LOOP BEGIN UPDATE app.item SET v = k WHERE id = 1 + k % 5; IF k % 2 = 0 THEN RAISE division_by_zero; END IF; EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$;

-- a deferred constraint that fails at COMMIT, after the flush
-- setup: CREATE TABLE app.late (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED); ALTER TABLE app.late OWNER TO hostile_owner
UPDATE app.item SET v = v + 1;
INSERT INTO app.late VALUES (1), (1);

-- an expression that fails in a flush, at COMMIT and at a read
-- each read: SELECT * FROM app.quotient | SELECT tviews.flush() | SELECT * FROM tviews.verify('app.quotient') | SELECT tviews.rebuild('app.quotient') | SELECT 1
-- setup: SET SESSION AUTHORIZATION hostile_owner; CREATE TVIEW app.quotient AS SELECT id, 1 / (v - 100) AS q FROM app.item; RESET SESSION AUTHORIZATION
UPDATE app.item SET v = 100 WHERE id = 1;
{read};

-- temporary tables, views and types that come and go
CREATE TEMP TABLE item AS SELECT 1 AS id, 2 AS v;
UPDATE app.item SET v = v + 1;
SELECT count(*) FROM tviews.verify_all();
CREATE TVIEW app.of_temp AS SELECT id FROM pg_temp.item;
DROP TABLE pg_temp.item;

BEGIN;
BEGIN;
COMMIT;
COMMIT;

SAVEPOINT s;

RELEASE nosuch;

-- EXPLAIN ANALYZE flushes in the middle of it
-- each write: UPDATE app.item SET v = v + 1 | DELETE FROM app.item WHERE id = 3 | WITH x AS (INSERT INTO app.item VALUES (9100, 1, 3, 'e') RETURNING id) SELECT * FROM x | INSERT INTO app.part VALUES (9100, 1, 5) | TABLE app.sums
-- each format: text | json | yaml | xml
EXPLAIN (ANALYZE, FORMAT {format}) {write};
UPDATE app.item SET v = v - 1;
EXPLAIN (ANALYZE, TIMING OFF, FORMAT {format}) {write};

PREPARE explained AS UPDATE app.item SET v = v + 1 WHERE id = $1;
EXPLAIN ANALYZE EXECUTE explained(1);
DO $$ DECLARE l text; BEGIN FOR k IN 1..3 LOOP FOR l IN EXPLAIN ANALYZE UPDATE app.item SET v = v + 1 LOOP END LOOP; END LOOP; END $$;
DEALLOCATE explained;
