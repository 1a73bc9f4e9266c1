-- GROUPING SETS, CUBE, ROLLUP.
CREATE SCHEMA grouping_sets;
SET search_path = grouping_sets, public;
SET client_min_messages = warning;
CREATE TABLE t (id int PRIMARY KEY, a int, b text, v numeric);
INSERT INTO t SELECT i, nullif(i % 20, 0), 'b' || i % 3, i FROM generate_series(1, 1000) i;
CREATE INDEX ON t (a);
CREATE TVIEW sets AS SELECT a, b, count(*) AS c, grouping(a, b) AS g FROM t GROUP BY GROUPING SETS ((a), (b), ());
CREATE TVIEW cube AS SELECT a, b, sum(v) AS s, grouping(a) AS ga, grouping(b) AS gb FROM t GROUP BY CUBE (a, b);
CREATE TVIEW rollup AS SELECT a, b, sum(v) AS s, count(*) AS c FROM t GROUP BY ROLLUP (a, b);
CREATE TVIEW rollup_having AS SELECT a, b, sum(v) AS s FROM t GROUP BY ROLLUP (a, b) HAVING count(*) > 40;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'grouping_sets' ORDER BY name;
SELECT * FROM cost();

INSERT INTO t VALUES (2000, 5, 'b1', 1);
SELECT * FROM cost();
UPDATE t SET a = 6, v = 2 WHERE id = 2000;
SELECT * FROM cost();
UPDATE t SET a = NULL, b = NULL WHERE id = 2000;
SELECT * FROM cost();
DELETE FROM t WHERE id = 2000;
SELECT * FROM cost();
-- a grand total over nothing
BEGIN;
DELETE FROM t;
SELECT * FROM sets;
SELECT * FROM cube;
INSERT INTO t VALUES (1, 1, 'b1', 1);
SELECT * FROM oracle();
ROLLBACK;

DROP SCHEMA grouping_sets CASCADE;
