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
-- no aggregate: the grand total is one row, whatever the rows are
CREATE TVIEW bare_grouping AS SELECT a, grouping(a) AS g FROM t GROUP BY ROLLUP (a);
CREATE TVIEW bare AS SELECT a FROM t GROUP BY GROUPING SETS ((a), ());
CREATE TVIEW bare_having AS SELECT a, b, 7 AS seven FROM t GROUP BY CUBE (a, b) HAVING coalesce(a, 3) < 10;
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
SELECT * FROM oracle();

-- more is done to the groups than HAVING: they become a stage, which is a sum of groupings
DROP SCHEMA grouping_sets CASCADE;
CREATE SCHEMA grouping_sets;
CREATE TABLE t (id int PRIMARY KEY, a int, b text, v numeric);
INSERT INTO t SELECT i, nullif(i % 500, 0), 'b' || i % 3, i FROM generate_series(1, 20000) i;
CREATE INDEX ON t (a);
CREATE INDEX ON t (b);
CREATE TABLE label (a int PRIMARY KEY, label text);
INSERT INTO label SELECT i, 'label ' || i FROM generate_series(1, 500) i;
SET pg_tviews.full_refresh_threshold = 1;
CREATE TVIEW share AS SELECT a, b, sum(v) AS s, sum(v) / sum(sum(v)) OVER (PARTITION BY a, grouping(b)) AS share FROM t GROUP BY GROUPING SETS ((a), (a, b)) HAVING count(*) > 3;
CREATE TVIEW ranks AS SELECT a, b, grouping(a, b) AS g, sum(v) AS s, rank() OVER (PARTITION BY a, grouping(a, b) ORDER BY sum(v)) AS r FROM t GROUP BY CUBE (a, b);
CREATE TVIEW counts AS SELECT DISTINCT b, count(*) AS c FROM t GROUP BY ROLLUP (b, a);
CREATE TVIEW largest AS SELECT DISTINCT ON (b) b, a, sum(v) AS s FROM t GROUP BY GROUPING SETS ((a, b), (a)) ORDER BY b, sum(v) DESC, a;
CREATE TVIEW dependent AS SELECT l.a, l.label || '!' AS label, t.b, sum(t.v) AS s, count(*) OVER (PARTITION BY l.a) AS n FROM label l JOIN t ON t.a = l.a GROUP BY GROUPING SETS ((l.a, t.b), (l.a));
CREATE TVIEW beside AS SELECT a, sum(v) AS s, (SELECT count(*) FROM label) AS labels FROM t GROUP BY ROLLUP (a) HAVING sum(v) > (SELECT min(a) FROM label);
CREATE TVIEW most AS SELECT a, b, sum(v) AS s FROM t GROUP BY ROLLUP (a, b) ORDER BY sum(v) DESC, a, b LIMIT 3;
CREATE TVIEW over_all AS SELECT a, sum(v) AS s, rank() OVER (ORDER BY sum(v)) AS r FROM t GROUP BY ROLLUP (a);
-- not told apart: two grouping expressions that are the same, and one that is a constant
CREATE TVIEW of_constant AS SELECT 1 AS x, a + 1 AS y, rank() OVER (PARTITION BY a) AS r FROM t WHERE id < 50 GROUP BY ROLLUP (x, a);
SELECT name, strategies, internal_stages FROM tviews.tviews WHERE schema = 'grouping_sets' ORDER BY name;
SELECT * FROM cost();
INSERT INTO t VALUES (30000, 5, 'b1', 1);
SELECT * FROM cost();
UPDATE t SET a = 6, v = 200000 WHERE id = 30000;
SELECT * FROM cost();
UPDATE t SET a = NULL, b = NULL WHERE id = 30000;
SELECT * FROM cost();
DELETE FROM t WHERE a = 7;
SELECT * FROM cost();
-- the sub-query beside the groups
UPDATE label SET a = 0, label = 'other' WHERE a = 8;
SELECT * FROM cost();
BEGIN;
DELETE FROM t;
SELECT * FROM oracle();
TABLE beside;
TABLE ranks;
INSERT INTO t VALUES (1, 1, 'b1', 1), (2, NULL, 'b1', 1);
SELECT * FROM oracle();
COMMIT;
SELECT * FROM oracle();

-- how many
CREATE TABLE wide (id int PRIMARY KEY, a int, b int, c int, d int, e int, f int, n int);
INSERT INTO wide SELECT i, i % 2, i % 3, i % 4, i % 5, i % 2, i % 3, i FROM generate_series(1, 40) i;
CREATE TVIEW sets WITH (mode = incremental) AS SELECT a, b, c, d, e, f, count(*) AS n, sum(n) AS s FROM wide GROUP BY GROUPING SETS (CUBE (a, b, c, d, e), (f));
SELECT strategies, internal_stages FROM tviews.tviews WHERE name = 'sets';
UPDATE wide SET n = n + 1 WHERE id = 7;
INSERT INTO wide VALUES (50, NULL, 1, NULL, 1, 1, 1, NULL);
SELECT * FROM cost('sets');
SELECT base_table, strategy, reason FROM tviews.check('SELECT a, b, c, d, e, f, count(*) FROM wide GROUP BY GROUPING SETS (CUBE (a, b, c, d, e, f), (id))');
DROP TVIEW sets;
DROP SCHEMA grouping_sets CASCADE;
