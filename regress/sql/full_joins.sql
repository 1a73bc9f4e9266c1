-- FULL joins of joins that do not compare one value, and conditions of FULL joins with sub-queries: stages.
CREATE SCHEMA full_joins;
SET search_path = full_joins, public;
SET client_min_messages = warning;
CREATE TABLE a (id int PRIMARY KEY, k int, n int);
CREATE TABLE b (id int PRIMARY KEY, k int, x int, note json);
CREATE TABLE c (id int PRIMARY KEY, y int, z text);
CREATE TABLE d (id int PRIMARY KEY, z text, g int);
CREATE TABLE keyless (k int, y int);
INSERT INTO a SELECT i, i % 80, i FROM generate_series(1, 300) i;
INSERT INTO b SELECT i, 20 + i % 90, i % 50, to_json(i) FROM generate_series(1, 300) i;
INSERT INTO c SELECT i, i % 60, 'z' || i % 7 FROM generate_series(1, 100) i;
INSERT INTO d SELECT i, 'z' || i, i % 3 FROM generate_series(1, 12) i;
INSERT INTO keyless SELECT i % 5, i % 9 FROM generate_series(1, 30) i;
CREATE INDEX ON a (k); CREATE INDEX ON b (k); CREATE INDEX ON b (x); CREATE INDEX ON c (y); CREATE INDEX ON c (z); CREATE INDEX ON d (z);

CREATE TVIEW three WITH (mode = incremental) AS SELECT a.id, a.n, b.id AS b, b.note, c.id AS c, c.z FROM a FULL JOIN b ON a.k = b.k FULL JOIN c ON b.x = c.y;
CREATE TVIEW four WITH (mode = incremental) AS SELECT a.n, b.x, c.y, d.id FROM a FULL JOIN b ON a.k = b.k FULL JOIN c ON b.x = c.y FULL JOIN d ON d.z = c.z;
CREATE TVIEW both_sides WITH (mode = incremental) AS SELECT a.n, b.x, c.y, d.g FROM (a JOIN b ON a.k = b.k) FULL JOIN (c LEFT JOIN d ON d.z = c.z) ON b.x = c.y;
CREATE TVIEW above WITH (mode = incremental) AS SELECT a.n, b.x, c.y, d.g FROM a FULL JOIN b ON a.k = b.k FULL JOIN c ON b.x = c.y LEFT JOIN d ON d.z = c.z WHERE a.n IS DISTINCT FROM 7;
CREATE TVIEW groups WITH (mode = incremental) AS SELECT coalesce(c.z, 'none') AS z, count(*) AS n, count(a.id) AS a, sum(b.x) AS x FROM a FULL JOIN b ON a.k = b.k FULL JOIN c ON b.x = c.y GROUP BY 1;
CREATE TVIEW named AS SELECT s.k, s.n, c.z FROM (a FULL JOIN b USING (k)) AS s (k, id, n, bid) FULL JOIN c ON c.y = s.n;
CREATE TVIEW without_key WITH (mode = incremental) AS SELECT x.k, x.y, c.z, d.g FROM keyless x FULL JOIN c ON c.y = x.y FULL JOIN d ON d.g = x.k;
CREATE TVIEW self WITH (mode = incremental) AS SELECT p.id, q.id AS q, r.id AS r FROM c p FULL JOIN c q ON p.y = q.id FULL JOIN c r ON q.y = r.id;
CREATE TVIEW inside AS SELECT id, (SELECT count(*) FROM a FULL JOIN b ON a.k = b.k FULL JOIN c ON b.x = c.y WHERE c.z = d.z) AS n FROM d;
CREATE TVIEW one_value WITH (mode = incremental) AS SELECT k, a.n, b.x, x.y FROM a FULL JOIN b USING (k) FULL JOIN keyless x USING (k);
-- conditions with sub-queries, of one side; not: of both
CREATE TVIEW either_side WITH (mode = incremental) AS SELECT a.id, b.id AS b, b.x FROM a FULL JOIN b ON a.k = b.k AND b.x IN (SELECT y FROM c WHERE z > 'z2') AND EXISTS (SELECT FROM d WHERE d.g = a.n % 7);
CREATE TVIEW one_side WITH (mode = incremental) AS SELECT coalesce(a.k, b.k) AS k, count(*) AS n, count(a.id) AS a FROM a FULL JOIN b ON a.k = b.k AND b.x NOT IN (SELECT y FROM c WHERE y < 20) GROUP BY 1;
CREATE TVIEW of_both AS SELECT a.id, b.id AS b FROM a FULL JOIN b ON a.k = b.k AND EXISTS (SELECT FROM c WHERE c.y = a.n AND c.id = b.x);
SELECT name, strategies, internal_stages FROM tviews.tviews WHERE schema = 'full_joins' ORDER BY name;
-- rows as a whole have no columns of a stage
SELECT base_table, strategy, reason FROM tviews.check('SELECT to_jsonb(a) AS a, c.z FROM a FULL JOIN b ON a.k = b.k FULL JOIN c ON b.x = c.y');
-- nor have the values by which joins of one value are followed the table of a row
SELECT base_table, strategy, reason FROM tviews.check('SELECT a.id, c.tableoid FROM a LEFT JOIN b ON b.k = a.k FULL JOIN c ON c.y = coalesce(a.k, b.k)');
SELECT * FROM cost();

INSERT INTO a VALUES (1001, 25, 5);
SELECT * FROM cost();
UPDATE a SET k = 1000 WHERE id = 1001;
SELECT * FROM cost();
-- the last partner goes, the first one comes
DELETE FROM c WHERE y = 3;
SELECT * FROM cost();
UPDATE b SET x = 3 WHERE id = 5;
INSERT INTO c VALUES (1001, 3, 'z1'), (1002, NULL, NULL);
SELECT * FROM cost();
UPDATE d SET z = 'z1' WHERE id = 2;
DELETE FROM keyless WHERE ctid IN (SELECT ctid FROM keyless LIMIT 3);
UPDATE c SET id = id + 5000 WHERE id < 4;
SELECT tview, wrong, "full" FROM cost() WHERE wrong > 0 OR "full" > 0;
-- all sides together
BEGIN;
UPDATE a SET k = k + 1 WHERE id % 30 = 0;
UPDATE b SET k = k - 1, x = NULL WHERE id % 29 = 0;
SELECT count(*), count(id), count(b), count(c) FROM three;
DELETE FROM c WHERE id % 11 = 0;
INSERT INTO d VALUES (100, 'z3', 0);
COMMIT;
SELECT tview, wrong FROM cost() WHERE wrong > 0;
TRUNCATE b;
INSERT INTO b VALUES (1, 5, 5, '1');
DELETE FROM a;
SELECT tview, wrong FROM cost() WHERE wrong > 0;
SELECT name FROM tviews.tviews WHERE schema = 'full_joins' AND NOT (SELECT ok FROM tviews.verify(format('%I.%I', schema, name)::regclass));
DROP SCHEMA full_joins CASCADE;
