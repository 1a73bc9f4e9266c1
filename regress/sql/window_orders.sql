-- Windows over all rows in several orders, beside windows with PARTITION BY, and in expressions: a stage for each, of which a change concerns an interval only.
CREATE SCHEMA window_orders;
SET search_path = window_orders, public;
SET client_min_messages = warning;
CREATE TABLE t (id int PRIMARY KEY, g int, at int NOT NULL, score int NOT NULL, n int, UNIQUE (at, id));
INSERT INTO t SELECT i, i % 3, i * 10, (i * 37) % 1009, i % 7 FROM generate_series(1, 500) i;
CREATE INDEX ON t (score, id);
CREATE INDEX ON t (g);
CREATE TABLE owner (g int PRIMARY KEY, name text NOT NULL);
INSERT INTO owner VALUES (0, 'zero'), (1, 'one'), (2, 'two'), (3, 'three');

CREATE TVIEW two WITH (mode = incremental) AS SELECT id, row_number() OVER (ORDER BY at, id) AS r, lag(n) OVER (ORDER BY score DESC, id DESC) AS l FROM t;
CREATE TVIEW three WITH (mode = incremental) AS SELECT id, at - lag(at) OVER w AS step, sum(n) OVER w + 1 AS s, lead(id, 2) OVER (ORDER BY id DESC) AS b, rank() OVER (ORDER BY score) AS place
  FROM t WHERE n <> 3 WINDOW w AS (ORDER BY at, id);
CREATE TVIEW beside WITH (mode = incremental) AS SELECT id, g, sum(n) OVER (PARTITION BY g) AS total, lag(id) OVER (ORDER BY at, id) AS before FROM t;
CREATE TVIEW keyless WITH (mode = incremental) AS SELECT n, lag(n) OVER (ORDER BY at, id) AS before, lead(n) OVER (ORDER BY score, id) AS behind FROM t;
CREATE TVIEW of_join WITH (mode = incremental) AS SELECT t.id, o.name || '!' AS name, lag(t.id) OVER (ORDER BY o.name, t.id) AS by_name, lead(t.id) OVER (ORDER BY t.at DESC, t.id) AS by_time
  FROM t JOIN owner o USING (g);
CREATE TVIEW expression WITH (mode = incremental) AS SELECT id, 2 * row_number() OVER (ORDER BY at, id) AS r, coalesce(sum(n) OVER (ORDER BY at, id), 0) AS s FROM t;
SELECT name, strategies, internal_stages FROM tviews.tviews WHERE schema = 'window_orders' ORDER BY name;
-- not: one of the orders needs all rows; rows without a key
SELECT v.q, c.strategy FROM (VALUES ('SELECT id, lag(n) OVER (ORDER BY at, id), lag(n) OVER (ORDER BY n, id) FROM t'), ('SELECT id, lag(n) OVER (ORDER BY at, id), ntile(4) OVER (ORDER BY id) FROM t'),
  ('SELECT id, lag(n) OVER (ORDER BY at, id), sum(n) OVER () FROM t'), ('SELECT id, lag(n) OVER (ORDER BY at, id), lag(n) OVER (ORDER BY score) FROM t'),
  ('SELECT x.at, rank() OVER (ORDER BY x.at), rank() OVER (ORDER BY x.score) FROM (SELECT at, score FROM t UNION ALL SELECT 1, 1) x')) v(q), tviews.check(v.q) c ORDER BY 1;
SELECT count(*) AS flushed FROM cost();

-- at the end of the orders, in the middle
INSERT INTO t VALUES (1001, 1, 6000, 2000, 5);
SELECT * FROM cost();
INSERT INTO t VALUES (1002, 1, 5985, 1995, 5);
SELECT * FROM cost();
UPDATE t SET n = 6 WHERE id = 490;
SELECT * FROM cost();
UPDATE t SET score = 1500 WHERE id = 499;
SELECT * FROM cost();
UPDATE t SET at = 5979 WHERE id = 500;
SELECT * FROM cost();
UPDATE owner SET name = 'alone' WHERE g = 2;
SELECT tview, wrong FROM cost();
DELETE FROM t WHERE id IN (1001, 498);
SELECT * FROM cost();
UPDATE t SET id = 3000 WHERE id = 1002;
UPDATE t SET g = 3 WHERE id = 497;
SELECT * FROM cost();
BEGIN;
INSERT INTO t VALUES (2001, 1, 2500, 100, 3), (2002, 1, 2505, 101, 2);
SELECT count(*), sum(r), sum(l) FROM two;
SAVEPOINT a;
DELETE FROM t WHERE at BETWEEN 2400 AND 2600;
SELECT count(*), sum(r), sum(l) FROM two;
ROLLBACK TO a;
UPDATE t SET at = 2501, score = 99 WHERE id = 2002;
COMMIT;
SELECT * FROM oracle();
UPDATE t SET n = n + 1 WHERE id % 50 = 0;
UPDATE t SET score = 3000 - score;
SELECT * FROM oracle();
DELETE FROM t WHERE g = 0;
TRUNCATE t;
INSERT INTO t SELECT i, i % 4, i, -i, nullif(i, 3) FROM generate_series(1, 10) i;
SELECT * FROM oracle();
-- What it was made for is no longer so: it is right nevertheless.
ALTER TABLE t ALTER COLUMN score DROP NOT NULL;
INSERT INTO t VALUES (20, 1, 7, NULL, 3), (21, 2, 8, NULL, NULL);
UPDATE t SET score = NULL WHERE id = 4;
SELECT * FROM oracle();
DROP SCHEMA window_orders CASCADE;
