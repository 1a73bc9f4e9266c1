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
-- expressions over grouping columns and GROUPING(), sets named twice, columns of USING, a column that is grouped and aggregated
CREATE TVIEW labels AS SELECT CASE WHEN grouping(a) = 1 THEN 'all' ELSE coalesce(a::text, 'none') END AS label, b || '!' AS b, sum(a) AS s
  FROM t JOIN t AS u USING (id, a, b) GROUP BY ROLLUP (a), CUBE (b) HAVING grouping(b) = 0 OR count(*) > 0;
CREATE TVIEW twice AS SELECT a % 2 AS k, count(*) FROM t GROUP BY GROUPING SETS ((a % 2), (a % 2), ());
CREATE TVIEW once AS SELECT a % 2 AS k, count(*) FROM t GROUP BY DISTINCT ROLLUP (a % 2), ROLLUP (a % 2);
CREATE TVIEW part AS SELECT b, upper(b) AS u, upper(b) || b AS ub, grouping(b, upper(b)) AS g, count(*) FROM t GROUP BY GROUPING SETS ((b), (upper(b)), (b, upper(b)));
-- no aggregate: the grand total is a row only when it is grouped, which takes the whole query
CREATE TVIEW bare_grouping AS SELECT a, grouping(a) AS g FROM t GROUP BY ROLLUP (a);
CREATE TVIEW bare AS SELECT a FROM t GROUP BY GROUPING SETS ((a), ());
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
