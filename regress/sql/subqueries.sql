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

-- Not correlated: every row depends on it, so the query is recomputed when its result changes.
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

DROP SCHEMA subqueries CASCADE;
