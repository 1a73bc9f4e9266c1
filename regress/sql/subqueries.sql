-- Sub-queries in WHERE and in the select list, LATERAL items: changes of the tables inside find the rows that look at them.
CREATE SCHEMA subqueries;
SET search_path = subqueries, public;
SET client_min_messages = warning;
CREATE TABLE t (id int PRIMARY KEY, k int, n int);
CREATE TABLE u (id int PRIMARY KEY, t int, k int, n int);
INSERT INTO t SELECT i, i % 100, i % 7 FROM generate_series(1, 1000) i;
INSERT INTO u SELECT i, 1 + i % 500, i % 40, i % 9 FROM generate_series(1, 2000) i;
CREATE INDEX ON u (t);
CREATE INDEX ON u (k);
CREATE INDEX ON t (k);
CREATE TVIEW exists_ AS SELECT id, n FROM t WHERE EXISTS (SELECT FROM u WHERE u.t = t.id AND u.n > 3);
CREATE TVIEW not_exists AS SELECT id, n FROM t WHERE NOT EXISTS (SELECT FROM u WHERE u.t = t.id AND u.n = t.n);
CREATE TVIEW exists_having AS SELECT id FROM t WHERE EXISTS (SELECT FROM u WHERE u.t = t.id GROUP BY u.t HAVING sum(u.n) > 20);
CREATE TVIEW in_ AS SELECT id FROM t WHERE k IN (SELECT k FROM u WHERE n > 7);
CREATE TVIEW in_correlated AS SELECT id FROM t WHERE n IN (SELECT n FROM u WHERE u.t = t.id);
CREATE TVIEW not_in AS SELECT id FROM t WHERE k NOT IN (SELECT k FROM u WHERE n = 8);
CREATE TVIEW not_in_pair AS SELECT id FROM t WHERE (id, n) NOT IN (SELECT t, n FROM u);
CREATE TVIEW any_ AS SELECT id FROM t WHERE n > ANY (SELECT n FROM u WHERE u.t = t.id);
CREATE TVIEW all_ AS SELECT id FROM t WHERE n >= ALL (SELECT n FROM u WHERE u.t = t.id);
CREATE TVIEW not_or AS SELECT id FROM t WHERE n = 3 OR NOT (n <> 5 AND EXISTS (SELECT FROM u WHERE u.t = t.id));
CREATE TVIEW scalar_list AS SELECT id, (SELECT count(*) FROM u WHERE u.t = t.id) AS c, (SELECT max(u.n) FROM u WHERE u.t = t.id) AS hi FROM t;
CREATE TVIEW scalar_where AS SELECT id FROM t WHERE n < (SELECT avg(u.n) FROM u WHERE u.t = t.id);
CREATE TVIEW scalar_case AS SELECT id, CASE WHEN EXISTS (SELECT FROM u WHERE u.id = t.id) THEN 'u' ELSE 't' END AS c,
  ARRAY(SELECT u.id FROM u WHERE u.t = t.id ORDER BY 1) AS a FROM t;
CREATE TVIEW same_table AS SELECT id, n FROM t WHERE n = (SELECT max(o.n) FROM t o WHERE o.k = t.k);
CREATE TVIEW nested AS SELECT id FROM t WHERE EXISTS (SELECT FROM u WHERE u.t = t.id AND NOT EXISTS (SELECT FROM u v WHERE v.k = u.k AND v.n > u.n));
CREATE TVIEW lateral_first AS SELECT t.id, x.id AS uid, x.n FROM t LEFT JOIN LATERAL (SELECT u.id, u.n FROM u WHERE u.t = t.id ORDER BY u.n DESC, u.id LIMIT 1) x ON true;
CREATE TVIEW lateral_limit AS SELECT t.id, x.id AS uid, x.n FROM t LEFT JOIN LATERAL (SELECT u.id, u.n FROM u WHERE u.t = t.id ORDER BY u.n DESC, u.id LIMIT 2) x ON true;
CREATE TVIEW lateral_aggregate AS SELECT t.id, x.c, x.s FROM t, LATERAL (SELECT count(*) AS c, sum(u.n) AS s FROM u WHERE u.t = t.id) x;
CREATE TVIEW documents AS SELECT id, jsonb_build_object('n', n, 'us', (SELECT jsonb_agg(jsonb_build_object('id', u.id, 'n', u.n) ORDER BY u.id) FROM u WHERE u.t = t.id)) AS data FROM t;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'subqueries' ORDER BY name;
SELECT * FROM cost();

-- outside
INSERT INTO t VALUES (5000, 200, 3);
UPDATE t SET k = 3, n = 6 WHERE id = 5000;
SELECT * FROM cost();
DELETE FROM t WHERE id = 5000;
SELECT * FROM cost();
-- inside: the first row comes, changes, the last one goes
INSERT INTO u VALUES (5000, 600, 7, 4);
SELECT * FROM cost();
UPDATE u SET n = 5 WHERE id = 5000;
SELECT * FROM cost();
UPDATE u SET t = 601 WHERE id = 5000;
SELECT * FROM cost();
DELETE FROM u WHERE id = 5000;
SELECT * FROM cost();
-- NULLs make NOT IN empty, and back: that concerns many rows, but is no full recomputation
UPDATE u SET k = NULL WHERE id = 8;
SELECT count(*) FROM not_in;
SELECT * FROM cost('not_in', 'in_');
UPDATE u SET k = 8 WHERE id = 8;
SELECT * FROM cost('not_in', 'in_');
UPDATE u SET n = NULL WHERE id = 20;
UPDATE t SET n = NULL WHERE id = 21;
SELECT * FROM cost('not_in_pair', 'all_', 'any_', 'in_correlated');
-- both sides in one transaction, come and go
BEGIN;
INSERT INTO t VALUES (5001, 8, 8);
INSERT INTO u VALUES (5001, 5001, 8, 8), (5002, 5001, 8, 9);
UPDATE u SET t = 5001 WHERE id = 40;
COMMIT;
SELECT * FROM cost();
BEGIN;
DELETE FROM u WHERE t = 5001;
DELETE FROM t WHERE id = 5001;
COMMIT;
SELECT * FROM cost();

-- Not correlated: the value is kept, and what depends on it follows (see one_value).
CREATE TVIEW uncorrelated AS SELECT id, n - (SELECT avg(n) FROM u) AS deviation FROM t WHERE id <= 10;
SELECT strategies FROM tviews.tviews WHERE name = 'uncorrelated';
UPDATE t SET n = 4 WHERE id = 4;
SELECT * FROM cost('uncorrelated');
UPDATE u SET n = n + 1 WHERE id = 4;
SELECT * FROM cost('uncorrelated');
-- The key by which changes are followed need not be an output of a sub-query in FROM.
CREATE TVIEW hidden_key AS SELECT kind, count(*) AS n, sum(s.n) AS total FROM (SELECT t.n, t.n % 3 AS kind FROM t
  WHERE NOT EXISTS (SELECT FROM u WHERE u.t = t.id)) s GROUP BY kind;
SELECT strategies FROM tviews.tviews WHERE name = 'hidden_key';
DELETE FROM u WHERE t = 7;
INSERT INTO u VALUES (7001, 7, 1, 1), (7002, 8, 1, 1);
SELECT * FROM cost('hidden_key');
-- Two rows of a scalar sub-query fail the statement, as they would fail the query.
CREATE TVIEW one_row AS SELECT id, (SELECT u.n FROM u WHERE u.t = -t.id) AS n FROM t;
INSERT INTO u VALUES (6000, -1, 5, 5);
INSERT INTO u VALUES (6001, -1, 5, 6);
SELECT * FROM cost('one_row');

-- a sub-query in the select list of another one, or in its aggregates: a change inside concerns the rows that have a row around it
DROP SCHEMA subqueries CASCADE;
CREATE SCHEMA subqueries;
SET pg_tviews.full_refresh_threshold = 1;
CREATE TABLE o (id int PRIMARY KEY, k int, d int);
CREATE TABLE s (id int PRIMARY KEY, k int, u int);
CREATE TABLE u (id int PRIMARY KEY, k int, v int);
INSERT INTO o SELECT i, i % 1000, i FROM generate_series(1, 2000) i;
INSERT INTO s SELECT i, i % 1000, i % 700 FROM generate_series(1, 3000) i;
INSERT INTO u SELECT i, i % 700, i FROM generate_series(1, 1000) i;
CREATE INDEX ON o (k);
CREATE INDEX ON s (k);
CREATE INDEX ON s (u);
CREATE INDEX ON u (k);
CREATE TVIEW in_aggregate WITH (mode = incremental) AS SELECT id, (SELECT max((SELECT count(*) FROM u WHERE u.k = s.u)) FROM s WHERE s.k = o.k) AS m FROM o;
CREATE TVIEW in_list WITH (mode = incremental) AS SELECT id, ARRAY(SELECT (SELECT sum(v) FROM u WHERE u.k = s.u) FROM s WHERE s.k = o.k ORDER BY 1) AS m FROM o;
CREATE TVIEW in_filter WITH (mode = incremental) AS SELECT id, (SELECT count(*) FILTER (WHERE EXISTS (SELECT FROM u WHERE u.k = s.u AND v > 500)) FROM s WHERE s.k = o.k) AS m FROM o;
CREATE TVIEW in_order WITH (mode = incremental) AS SELECT id, (SELECT s.id FROM s WHERE s.k = o.k ORDER BY (SELECT max(v) FROM u WHERE u.k = s.u) DESC, s.id LIMIT 1) AS m FROM o;
CREATE TVIEW in_groups WITH (mode = incremental) AS SELECT id, ARRAY(SELECT s.u * (SELECT count(*) FROM u WHERE u.k = s.u) + count(*) FROM s WHERE s.k = o.k GROUP BY s.u ORDER BY s.u) AS m FROM o;
CREATE TVIEW in_window WITH (mode = incremental) AS SELECT id, ARRAY(SELECT sum((SELECT count(*) FROM u WHERE u.k = s.u)) OVER (ORDER BY s.id) FROM s WHERE s.k = o.k ORDER BY 1) AS m FROM o;
CREATE TVIEW in_lateral WITH (mode = incremental) AS SELECT id, x.n FROM o, LATERAL (SELECT sum((SELECT max(v) FROM u WHERE u.k = s.u)) AS n FROM s WHERE s.k = o.k) x;
CREATE TVIEW compared WITH (mode = incremental) AS SELECT id, k IN (SELECT max((SELECT max(v) FROM u WHERE u.k = s.u)) FROM s WHERE s.k = o.k) AS m FROM o;
CREATE TVIEW three_levels WITH (mode = incremental) AS SELECT id, (SELECT max((SELECT max((SELECT max(x.d) FROM o x WHERE x.k = u.id)) FROM u WHERE u.k = s.u)) FROM s WHERE s.k = o.k) AS m FROM o;
CREATE TVIEW without_key WITH (mode = incremental) AS SELECT d % 10 AS d, (SELECT string_agg((SELECT count(*) FROM u WHERE u.k = s.u)::text, ',' ORDER BY s.id) FROM s WHERE s.k = o.k) AS m FROM o;
CREATE TVIEW of_groups WITH (mode = incremental) AS SELECT k, sum((SELECT count((SELECT max(v) FROM u WHERE u.k = s.u)) FROM s WHERE s.k = o.k)) AS m FROM o GROUP BY k;
-- the whole query: without rows around it there is a group, too; it depends on an aggregate; it is a condition on groups
CREATE TVIEW beside AS SELECT id, (SELECT count(*) + (SELECT count(*) FROM u WHERE u.k = o.k) FROM s WHERE s.k = o.k) AS m FROM o;
CREATE TVIEW of_aggregate AS SELECT id, (SELECT (SELECT count(*) FROM u WHERE u.k < max(s.u)) FROM s WHERE s.k = o.k) AS m FROM o WHERE id < 50;
CREATE TVIEW in_having AS SELECT id, ARRAY(SELECT s.u FROM s WHERE s.k = o.k GROUP BY s.u HAVING count(*) < (SELECT max(v) FROM u WHERE u.k = s.u) ORDER BY s.u) AS m FROM o;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'subqueries' ORDER BY name;
SELECT * FROM cost();
INSERT INTO u VALUES (5000, 5, 5000), (5001, 6, 1);
SELECT * FROM cost();
UPDATE u SET k = 50, v = v + 1 WHERE id = 5000;
SELECT * FROM cost();
-- both levels, and a read between
BEGIN;
UPDATE s SET k = 51, u = 6 WHERE id = 5;
SELECT FROM tviews.flush();
SELECT count(*) FROM in_list;
DELETE FROM u WHERE id = 5001;
UPDATE s SET u = 7 WHERE id = 6;
COMMIT;
SELECT * FROM cost();
BEGIN;
UPDATE s SET u = u + 1;
UPDATE u SET k = k + 1;
DELETE FROM o WHERE id % 7 = 0;
SELECT * FROM oracle();
DELETE FROM s;
UPDATE u SET k = k % 40;
SELECT * FROM oracle();
ROLLBACK;
SELECT * FROM oracle();

DROP SCHEMA subqueries CASCADE;

-- correlation over more levels than one writes by hand
CREATE SCHEMA subqueries;
CREATE TABLE t (id int PRIMARY KEY, n int);
CREATE TABLE u (id int PRIMARY KEY, n int);
INSERT INTO t SELECT i, i % 7 FROM generate_series(1, 300) i;
INSERT INTO u SELECT i, i % 5 FROM generate_series(1, 300) i;
SELECT format('CREATE TVIEW levels_%s WITH (mode = incremental) AS SELECT id FROM t t0 WHERE %s t%s.n >= t0.n%s', n,
  string_agg(format('EXISTS (SELECT FROM t t%s WHERE t%1$s.id = t0.id AND', i), ' ' ORDER BY i), n, repeat(')', n))
  FROM (VALUES (8), (9), (12)) l(n), generate_series(1, n) i GROUP BY n ORDER BY n \gexec
SELECT format('CREATE TVIEW nots WITH (mode = incremental) AS SELECT id FROM t t0 WHERE %s t0.n > 1%s',
  string_agg(format('NOT EXISTS (SELECT FROM u u%s WHERE u%1$s.id = t0.id AND u%1$s.n > %1$s %% 5 AND', i), ' ' ORDER BY i), repeat(')', 10))
  FROM generate_series(1, 10) i \gexec
SELECT format('CREATE TVIEW grouped WITH (mode = incremental) AS SELECT id, %s0%s AS x FROM t t0',
  string_agg(format('(SELECT sum(u%s.n +', i), ' ' ORDER BY i), string_agg(format(') FROM u u%s WHERE u%1$s.id = t0.id)', i), '' ORDER BY i DESC))
  FROM generate_series(1, 10) i \gexec
SELECT name, strategies FROM tviews.tviews WHERE schema = 'subqueries' ORDER BY name;
SELECT * FROM cost();
UPDATE t SET n = n + 1 WHERE id = 5;
UPDATE u SET n = n + 3 WHERE id = 6;
SELECT * FROM cost();
DELETE FROM t WHERE id = 7;
INSERT INTO t VALUES (1000, 3);
INSERT INTO u VALUES (1000, 4);
SELECT * FROM cost();
-- a row of NULLs as a value to correlate by is not NULL, though IS NULL is true of it
CREATE TYPE pair AS (a int, b text);
CREATE TABLE pairs (id int PRIMARY KEY, g int, q pair, v int);
CREATE TVIEW per_pair AS SELECT p.q, sum(p.v) AS s, (SELECT min(x.v) FROM pairs x WHERE x.q = p.q) AS least FROM pairs p GROUP BY p.q, p.g;
INSERT INTO pairs VALUES (1, 0, '(,)', 3);
INSERT INTO pairs VALUES (2, 0, NULL, 4), (3, 0, '(1,)', 5), (4, 1, '(,)', 1);
UPDATE pairs SET v = v - 1 WHERE q IS NULL;
UPDATE pairs SET q = CASE WHEN q IS NOT DISTINCT FROM NULL THEN '(,)'::pair END WHERE id <> 3;
DELETE FROM pairs WHERE id = 4;
SELECT * FROM per_pair ORDER BY 1, 2;
SELECT * FROM oracle();

DROP SCHEMA subqueries CASCADE;
