-- ORDER BY … OFFSET without LIMIT: a row in front moves the edge.
CREATE SCHEMA "offset";
SET search_path = "offset", public;
SET client_min_messages = warning;
CREATE TABLE t (id int PRIMARY KEY, a int, b text, note json);
INSERT INTO t SELECT i, nullif(i % 40, 7), 'b' || i % 5, to_json(i) FROM generate_series(1, 400) i;
CREATE INDEX ON t (a, id);
CREATE INDEX ON t (a DESC, id);
CREATE TABLE sale (id int PRIMARY KEY, t int NOT NULL REFERENCES t, amount numeric);
INSERT INTO sale SELECT i, 1 + i % 390, i / 10.0 FROM generate_series(1, 1000) i;
CREATE INDEX ON sale (t);
CREATE TABLE bag (n int);
INSERT INTO bag SELECT i % 10 FROM generate_series(1, 50) i;

CREATE TVIEW shown WITH (mode = incremental) AS SELECT id, a, note FROM t ORDER BY a, id OFFSET 3;
CREATE TVIEW nulls_first WITH (mode = incremental) AS SELECT id, a, b FROM t WHERE b <> 'b3' ORDER BY a DESC, id OFFSET 12;
CREATE TVIEW nulls_last WITH (mode = incremental) AS SELECT id, a FROM t ORDER BY a DESC NULLS LAST, id DESC OFFSET 2;
CREATE TVIEW most WITH (mode = incremental) AS SELECT id, a FROM t ORDER BY a NULLS FIRST, id LIMIT ALL OFFSET 398;
CREATE TVIEW none WITH (mode = incremental) AS SELECT id, a FROM t ORDER BY id OFFSET 1000;
CREATE VIEW few AS SELECT id AS key, a AS what FROM t WHERE a < 5;
CREATE TVIEW of_view WITH (mode = incremental) AS SELECT key, what FROM few ORDER BY what, key OFFSET 1 + 1;
-- by what is not shown
CREATE TVIEW hidden WITH (mode = incremental) AS SELECT b, note FROM t ORDER BY a DESC, id OFFSET 5;
-- over joins, groups, windows, sets
CREATE TVIEW of_both WITH (mode = incremental) AS SELECT s.id, t.a, s.amount FROM sale s JOIN t ON t.id = s.t ORDER BY s.amount DESC, s.id OFFSET 10;
CREATE TVIEW of_groups WITH (mode = incremental) AS SELECT t, sum(amount) AS total FROM sale GROUP BY t ORDER BY sum(amount) DESC, t OFFSET 4;
CREATE TVIEW of_windows WITH (mode = incremental) AS SELECT id, t, row_number() OVER (PARTITION BY t ORDER BY id) AS n FROM sale ORDER BY t, id OFFSET 4;
CREATE TVIEW of_sets WITH (mode = incremental) AS SELECT a FROM t UNION SELECT t FROM sale ORDER BY 1 OFFSET 6;
CREATE TVIEW below WITH (mode = incremental) AS SELECT x.a, count(*) FROM (SELECT id, a FROM t ORDER BY a, id OFFSET 20) x GROUP BY x.a;
CREATE TVIEW below_first WITH (mode = incremental) AS SELECT id, a FROM shown ORDER BY a, id LIMIT 2;
SELECT name, strategies, internal_stages FROM tviews.tviews WHERE schema = 'offset' ORDER BY name;
-- without a key, nothing says which of equal rows is the first
SELECT base_table, strategy, reason FROM tviews.check('SELECT n FROM bag ORDER BY n OFFSET 3');
SELECT base_table, strategy, reason FROM tviews.check('SELECT id FROM t OFFSET 3');
SELECT explain FROM tviews.explain('shown') WHERE explain ~ 'range|locks|key';
SELECT * FROM cost();

-- behind the edge
UPDATE t SET note = '0' WHERE id = 200;
SELECT * FROM cost();
INSERT INTO t VALUES (1001, 20, 'new', '1');
SELECT * FROM cost();
-- in front of it, and at it; NULLs at either end
INSERT INTO t VALUES (-1, -1, 'b1', '1'), (-2, NULL, 'b1', '2');
SELECT * FROM cost();
UPDATE t SET a = 39 WHERE id = -1;
SELECT * FROM cost();
DELETE FROM t WHERE id IN (-1, -2);
SELECT * FROM cost();
UPDATE t SET a = NULL WHERE id IN (395, 5);
UPDATE t SET a = 0 WHERE a IS NULL AND id % 2 = 0 AND id > 391;
UPDATE sale SET amount = amount + 1000 WHERE id = 1;
SELECT * FROM cost();
UPDATE sale SET amount = NULL WHERE id IN (1, 2, 3);
UPDATE t SET a = -5, b = 'b3' WHERE id IN (30, 31, 32);
SELECT tview, wrong FROM cost() WHERE wrong > 0;
BEGIN;
DELETE FROM t WHERE id > 390 AND a < 3;
INSERT INTO t VALUES (3000, -100, 'x', '1'), (3001, -99, 'x', '1'), (3002, -98, 'x', '1'), (3003, 3, 'x', '1');
SELECT count(*), sum(a) FROM shown;
SAVEPOINT a;
DELETE FROM t WHERE id >= 3000;
SELECT count(*), sum(a) FROM shown;
ROLLBACK TO a;
UPDATE t SET a = 100 WHERE id = 3001;
COMMIT;
SELECT tview, wrong FROM cost() WHERE wrong > 0;
-- fewer rows than are left out, and more again
DELETE FROM sale;
SELECT tview, wrong FROM cost() WHERE wrong > 0;
DELETE FROM t WHERE id > 3;
SELECT count(*) FROM shown;
INSERT INTO t VALUES (10, 1, 'b1', '1'), (11, NULL, 'b1', '1');
SELECT tview, wrong FROM cost() WHERE wrong > 0;
INSERT INTO t SELECT i, i, 'b2', '1' FROM generate_series(20, 50) i;
SELECT tview, wrong FROM cost() WHERE wrong > 0;
DELETE FROM t;
INSERT INTO t SELECT i, i, 'b2', '1' FROM generate_series(1, 2000) i;
SELECT tview, wrong FROM cost() WHERE wrong > 0;
-- ties: the key decides
CREATE SCHEMA offset_ties;
SET search_path = offset_ties, public;
CREATE TABLE k (id int PRIMARY KEY, a int, b int);
INSERT INTO k SELECT i, i % 3, i FROM generate_series(1, 30) i;
CREATE TVIEW ties WITH (mode = incremental) AS SELECT b, a FROM k ORDER BY a OFFSET 5;
CREATE FUNCTION is_one_result() RETURNS TABLE (first int, ok boolean) LANGUAGE sql AS $$
    SELECT (SELECT min(b) FROM ties WHERE a = 0),
           NOT EXISTS (SELECT a FROM ties EXCEPT ALL (SELECT a FROM k ORDER BY a OFFSET 5)) AND NOT EXISTS ((SELECT a FROM k ORDER BY a OFFSET 5) EXCEPT ALL SELECT a FROM ties)
           AND NOT EXISTS (SELECT b, a FROM ties EXCEPT ALL SELECT b, a FROM k) $$;
SELECT * FROM is_one_result();
INSERT INTO k VALUES (0, 0, 0), (31, 0, 31);
SELECT * FROM is_one_result();
DELETE FROM k WHERE id IN (6, 9, 21);
SELECT * FROM is_one_result();
SELECT strategies, internal_stages, (SELECT full_recomputes FROM tviews.stat WHERE tview = 'ties'::regclass) FROM tviews.tviews WHERE name = 'ties';
-- the key goes
DROP TVIEW ties;
CREATE TVIEW keyed AS SELECT id, a FROM k ORDER BY a, id OFFSET 5;
CREATE TVIEW by_stage AS SELECT b FROM k ORDER BY a, id OFFSET 5;
ALTER TABLE k DROP CONSTRAINT k_pkey;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'offset_ties' ORDER BY name;
INSERT INTO k VALUES (-1, 0, 5);
DELETE FROM k WHERE id IN (12, 30);
SELECT tview, wrong FROM cost();
DROP SCHEMA "offset", offset_ties CASCADE;
