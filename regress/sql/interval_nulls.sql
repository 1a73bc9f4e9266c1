-- Windows in an interval of their order, where columns of the order can be NULL: NULLs are at one end.
CREATE SCHEMA interval_nulls;
SET search_path = interval_nulls, public;
SET client_min_messages = warning;
CREATE TABLE t (id int PRIMARY KEY, g int, at int, n int, x numeric, note text);
INSERT INTO t SELECT i, i % 3, CASE WHEN i % 5 > 0 THEN i / 4 END, i % 7, CASE WHEN i % 4 > 0 THEN i / 10.0 END, 'n' || i FROM generate_series(1, 300) i;
CREATE INDEX ON t (at, id);
CREATE INDEX ON t (g, at DESC NULLS LAST, id);

CREATE TVIEW frames WITH (mode = incremental) AS SELECT id, at, sum(n) OVER w AS s, string_agg(note, ',') OVER w AS notes, lag(id, 2) OVER w AS l, lead(id) OVER w AS e
  FROM t WINDOW w AS (ORDER BY at, id ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING);
CREATE TVIEW first_nulls WITH (mode = incremental) AS SELECT id, at, lag(note) OVER w AS b, lead(n, 2, 0) OVER w AS e
  FROM t WHERE n <> 3 WINDOW w AS (ORDER BY at NULLS FIRST, id);
CREATE TVIEW down WITH (mode = incremental) AS SELECT id, at, row_number() OVER w AS r, sum(n) OVER w AS s, lag(id) OVER w AS l FROM t WINDOW w AS (ORDER BY at DESC, id DESC);
CREATE TVIEW down_last WITH (mode = incremental) AS SELECT id, g, at, row_number() OVER w AS r, count(n) OVER w AS c, min(n) OVER w AS m
  FROM t WINDOW w AS (PARTITION BY g ORDER BY at DESC NULLS LAST, id);
CREATE TVIEW ranks WITH (mode = incremental) AS SELECT at, n, rank() OVER w AS r, dense_rank() OVER w AS d, sum(n) OVER w AS s FROM t WINDOW w AS (ORDER BY at);
CREATE TVIEW ranks_first WITH (mode = incremental) AS SELECT at, x, rank() OVER w AS r, dense_rank() OVER w AS d FROM t WINDOW w AS (ORDER BY x DESC, at NULLS FIRST);
CREATE TVIEW two WITH (mode = incremental) AS SELECT id, n, at, x, lag(id) OVER w AS l, lead(id, 2) OVER w AS e FROM t WINDOW w AS (ORDER BY x NULLS FIRST, at DESC, id);
CREATE TVIEW three WITH (mode = incremental) AS SELECT id, g, at, x, rank() OVER w AS r, sum(n) OVER w AS s FROM t WINDOW w AS (ORDER BY g NULLS FIRST, x DESC NULLS LAST, at, id);
CREATE TVIEW by_expression WITH (mode = incremental) AS SELECT id, at / 10 AS tens, lag(n) OVER w AS l, row_number() OVER w AS r FROM t WINDOW w AS (ORDER BY at / 10, id);
-- several orders; over groups, whose sums can be NULL; over joins
CREATE TVIEW orders WITH (mode = incremental) AS SELECT id, rank() OVER (ORDER BY at) AS a, rank() OVER (ORDER BY x DESC NULLS LAST) AS x FROM t;
CREATE TVIEW best WITH (mode = incremental) AS SELECT at, sum(x) AS total, rank() OVER (ORDER BY sum(x) DESC NULLS LAST) AS place FROM t GROUP BY at;
CREATE TVIEW pairs WITH (mode = incremental) AS SELECT a.id, b.id AS other, lag(b.note) OVER (ORDER BY a.at, a.id, b.id) AS before FROM t a JOIN t b ON b.id = a.at;
SELECT name, strategies, internal_stages FROM tviews.tviews WHERE schema = 'interval_nulls' ORDER BY name;
-- a NOT NULL does not hold for those that inherit
CREATE TABLE parent (n int, at int);
CREATE TABLE child () INHERITS (parent);
DO $$ BEGIN
    EXECUTE 'ALTER TABLE ONLY parent ADD NOT NULL at NO INHERIT';
EXCEPTION WHEN syntax_error THEN  -- before 18
    ALTER TABLE ONLY parent ALTER at SET NOT NULL;
END $$;
INSERT INTO parent SELECT i, i FROM generate_series(1, 9) i;
CREATE TVIEW heirs WITH (mode = incremental) AS SELECT n, at, rank() OVER (ORDER BY at) AS r FROM parent;
SELECT tview, wrong FROM cost() WHERE wrong > 0;

-- among values, among NULLs, from one to the other, first and last
INSERT INTO t VALUES (1001, 1, 30, 5, 0.001, 'new');
SELECT * FROM cost();
INSERT INTO t VALUES (1002, 1, NULL, 5, 1.00, 'null'), (0, 2, NULL, 5, NULL, 'null');
SELECT * FROM cost();
UPDATE t SET at = NULL, x = NULL WHERE id = 1001;
SELECT * FROM cost();
UPDATE t SET at = 40 WHERE id = 1001;
SELECT * FROM cost();
UPDATE t SET n = 6 WHERE id IN (299, 300);
SELECT * FROM cost();
UPDATE t SET n = 6 WHERE id IN (1, 5);
DELETE FROM t WHERE at IS NULL AND id > 290;
DELETE FROM t WHERE id IN (2, 3, 4, 5, 10);
UPDATE t SET at = NULL WHERE id BETWEEN 120 AND 123;
UPDATE t SET g = NULL WHERE id IN (200, 201);
UPDATE t SET x = NULL WHERE g IS NULL;
SELECT tview, wrong FROM cost() WHERE wrong > 0;
UPDATE t SET at = 1 - at, n = n + 1 WHERE id % 20 = 0;
UPDATE t SET at = NULL WHERE id % 3 = 0;
UPDATE t SET at = id WHERE at IS NULL;
SELECT tview, wrong FROM cost() WHERE wrong > 0;
UPDATE t SET at = NULL;
INSERT INTO t VALUES (2001, 1, 1, 1, 1, 'one');
INSERT INTO t VALUES (2002, 1, NULL, 1, 1, 'two');
DELETE FROM t WHERE id = 2001;
SELECT tview, wrong FROM cost() WHERE wrong > 0;
INSERT INTO child VALUES (NULL, NULL), (1, 4);
INSERT INTO parent VALUES (3, 10);
UPDATE parent SET n = 4 WHERE at IS NULL;
SELECT tview, wrong FROM cost() WHERE wrong > 0;
BEGIN;
INSERT INTO t VALUES (3001, 1, 2500, 1), (3002, 1, NULL, 2);
SELECT count(*), sum(s), sum(r) FROM down;
SAVEPOINT a;
UPDATE t SET at = 7 WHERE id IN (3002, 100, 101);
SELECT count(*), sum(s), sum(r) FROM down;
ROLLBACK TO a;
COMMIT;
DELETE FROM t WHERE id <> 100;
UPDATE t SET at = 7;
DELETE FROM t;
SELECT tview, wrong FROM cost() WHERE wrong > 0;
SELECT name FROM tviews.tviews WHERE schema = 'interval_nulls' AND NOT (SELECT ok FROM tviews.verify(format('%I.%I', schema, name)::regclass));
DROP SCHEMA interval_nulls CASCADE;
