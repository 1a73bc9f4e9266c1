-- ORDER BY … LIMIT over one relation: changes behind the last row that is shown are only looked at.
CREATE SCHEMA first_rows;
SET search_path = first_rows, public;
SET client_min_messages = warning;
CREATE TABLE t (id int PRIMARY KEY, a int, b text, flag bool DEFAULT true, note text);
CREATE TABLE u (id int PRIMARY KEY, t int, n int);
INSERT INTO t (id, a, b) SELECT i, i, chr(97 + i % 26) || i FROM generate_series(1, 100) i;
INSERT INTO t (id, a, b) SELECT i, NULL, NULL FROM generate_series(101, 103) i;
INSERT INTO u SELECT i, i, i % 10 FROM generate_series(1, 60) i;

CREATE TVIEW top WITH (mode = incremental) AS SELECT id, a FROM t ORDER BY a DESC NULLS LAST, id LIMIT 5;
CREATE TVIEW nulls_first WITH (mode = incremental) AS SELECT id, a FROM t ORDER BY a DESC, id LIMIT 5;
CREATE TVIEW nulls_last WITH (mode = incremental) AS SELECT id, a FROM t ORDER BY a, id OFFSET 2 LIMIT 4;
CREATE TVIEW texts WITH (mode = incremental) AS SELECT id, b COLLATE "C" AS b FROM t WHERE flag ORDER BY b COLLATE "C", id LIMIT 4;
CREATE TVIEW expression WITH (mode = incremental) AS SELECT id, -a AS minus, note FROM t WHERE flag ORDER BY -a, id FETCH FIRST 3 ROWS ONLY;
CREATE TVIEW ties WITH (mode = incremental) AS SELECT id, n FROM u ORDER BY n DESC FETCH FIRST 4 ROWS WITH TIES;
CREATE TVIEW hidden WITH (mode = incremental) AS SELECT id, note FROM t ORDER BY a DESC NULLS LAST, id LIMIT 3;
CREATE TVIEW hidden_expression WITH (mode = incremental) AS SELECT note FROM t ORDER BY a % 10, b USING >, id LIMIT 3;
CREATE TVIEW joined WITH (mode = incremental) AS SELECT t.id, u.n FROM t JOIN u ON u.t = t.id ORDER BY u.n DESC, t.a DESC, t.id LIMIT 4;
CREATE TVIEW few WITH (mode = incremental) AS SELECT id, a FROM t WHERE a < 4 ORDER BY a, id LIMIT 5;
CREATE TVIEW none WITH (mode = incremental) AS SELECT id, a FROM t WHERE a < 4 ORDER BY a, id OFFSET 3 LIMIT 5;
CREATE VIEW flagged AS SELECT id AS key, a AS amount FROM t WHERE flag;
CREATE TVIEW of_view WITH (mode = incremental) AS SELECT key FROM flagged WHERE amount > 10 ORDER BY amount, key LIMIT 3;
CREATE TVIEW above WITH (mode = incremental) AS SELECT u.id, x.a FROM u JOIN (SELECT id, a FROM t ORDER BY a DESC NULLS LAST, id LIMIT 20) x ON x.id = u.t;
CREATE TVIEW of_top WITH (mode = incremental) AS SELECT a FROM top ORDER BY a LIMIT 2;
SELECT name, strategies, internal_stages FROM tviews.tviews WHERE schema = 'first_rows' ORDER BY name;
-- what stays full
CREATE TVIEW no_limit AS SELECT id, a FROM t ORDER BY a, id LIMIT NULL;
CREATE TVIEW no_rows AS SELECT id, a FROM t ORDER BY a, id LIMIT 0;
CREATE TVIEW only_offset AS SELECT id, a FROM t ORDER BY a, id OFFSET 98;
CREATE TVIEW no_order AS SELECT count(*) FROM (SELECT 1 AS one FROM t LIMIT 7) x;
CREATE TVIEW computed AS SELECT id, a FROM t ORDER BY a, id LIMIT (SELECT count(*) / 20 FROM u);
SELECT name, strategies FROM tviews.tviews WHERE schema = 'first_rows' AND strategies::text LIKE '%full%' ORDER BY name;
SELECT explain FROM tviews.explain('expression') WHERE explain ~ 'range|locks|key';
SELECT * FROM cost();

-- behind all of them, and not in any
INSERT INTO t (id, a, b, note) VALUES (1000, 50, 'z50', 'middle');
UPDATE t SET a = 51 WHERE id = 1000;
UPDATE t SET note = 'still' WHERE id = 1000;
DELETE FROM t WHERE id = 1000;
SELECT * FROM cost();
-- enters, moves inside, is tied, leaves, goes
INSERT INTO t (id, a, b) VALUES (1001, 1000, 'a');
SELECT * FROM cost();
UPDATE t SET a = 99 WHERE id = 1001;
SELECT * FROM cost();
UPDATE t SET a = 96 WHERE id = 1001;
SELECT * FROM cost();
UPDATE t SET a = 2 WHERE id = 1001;
SELECT * FROM cost();
DELETE FROM t WHERE id = 1001;
DELETE FROM t WHERE id = 100;
SELECT * FROM cost();
-- a column that rows are not ordered by; a condition that is met or not
UPDATE t SET note = 'first' WHERE id IN (99, 98, 50);
UPDATE t SET flag = false WHERE id = 99;
UPDATE t SET flag = true WHERE id = 99;
SELECT * FROM cost();
-- NULLs
UPDATE t SET a = NULL WHERE id = 97;
UPDATE t SET a = 500 WHERE id = 101;
DELETE FROM t WHERE id IN (102, 103);
SELECT * FROM cost();
-- fewer rows than the limit, and again more
DELETE FROM t WHERE a < 3;
INSERT INTO t (id, a) VALUES (-1, 0), (-2, 0), (-3, 1), (-4, 1), (-5, 2), (-6, 2);
SELECT * FROM cost();
-- ties at the limit
UPDATE u SET n = 9 WHERE id = 1;
UPDATE u SET n = 8 WHERE id IN (9, 19, 29);
UPDATE u SET n = 3 WHERE id = 2;
SELECT * FROM cost();
DELETE FROM u;
INSERT INTO u SELECT i, i, 1 FROM generate_series(1, 10) i;
SELECT * FROM cost();
TRUNCATE u;
SELECT * FROM cost();

-- in one transaction: reads between writes, savepoints, exceptions
BEGIN;
INSERT INTO t (id, a) VALUES (2001, 3000);
SELECT * FROM top;
SAVEPOINT s;
DELETE FROM t WHERE a > 97;
SELECT * FROM top;
ROLLBACK TO s;
SELECT * FROM top;
INSERT INTO t (id, a) VALUES (2002, 10);
DO $$ BEGIN INSERT INTO t (id, a) VALUES (2003, 4000); PERFORM FROM top; RAISE EXCEPTION 'no'; EXCEPTION WHEN raise_exception THEN NULL; END $$;
SELECT * FROM top;
ROLLBACK;
SELECT * FROM cost();
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO t (id, a) VALUES (2001, 3000);
SELECT count(*) FROM top;
INSERT INTO t (id, a) VALUES (2002, 10);
DELETE FROM t WHERE id = 2001;
COMMIT;
SELECT * FROM cost();
-- a function that reads what its statement writes
CREATE FUNCTION seen(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN $1 + (SELECT count(*) FROM top); END $$;
INSERT INTO t (id, a) SELECT 3000 + i, seen(900) + i FROM generate_series(1, 3) i;
UPDATE t SET a = seen(0) WHERE id > 3000;
SELECT * FROM cost();
-- whole rows, dropped columns, a partitioned table
CREATE TABLE p (id int, k int, x int, PRIMARY KEY (k, id)) PARTITION BY LIST (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 (x int, gone int, k int NOT NULL, id int NOT NULL);
ALTER TABLE p2 DROP COLUMN gone;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2);
INSERT INTO p SELECT i, 1 + i % 2, i FROM generate_series(1, 20) i;
CREATE TVIEW of_tree WITH (mode = incremental) AS SELECT id, x FROM p ORDER BY x DESC, id LIMIT 4;
CREATE TVIEW rows_of_tree AS SELECT p FROM p ORDER BY x DESC, id LIMIT 4;
SELECT * FROM cost();
INSERT INTO p2 (id, k, x) VALUES (50, 2, 0);
UPDATE p SET k = 3 - k WHERE id IN (50, 20);
UPDATE p1 SET x = 100 WHERE id = 2;
DELETE FROM p2;
SELECT * FROM cost();
-- an error in an expression that the query computes only for rows that pass its condition
CREATE TVIEW guarded WITH (mode = incremental) AS SELECT id, 100 / n AS part FROM u WHERE n <> 0 ORDER BY 100 / n, id LIMIT 2;
INSERT INTO u VALUES (1, 1, 0), (2, 2, 5), (3, 3, 20), (4, 4, 1);
UPDATE u SET n = 0 WHERE id = 3;
SELECT * FROM guarded ORDER BY part;
-- once more, in a session that knows nothing yet
\c
SET search_path = first_rows, public;
INSERT INTO t (id, a) VALUES (5000, 5000), (5001, 40);
DELETE FROM t WHERE id = 5001;
SELECT * FROM top ORDER BY a DESC, id;
SELECT * FROM cost();
SELECT name FROM tviews.tviews WHERE schema = 'first_rows' AND NOT (SELECT ok FROM tviews.verify(format('%I.%I', schema, name)::regclass));
SET client_min_messages = warning;
DROP SCHEMA first_rows CASCADE;
