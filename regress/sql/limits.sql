-- LIMIT and OFFSET; ORDER BY without them is kept out of storage.
CREATE SCHEMA limits;
SET search_path = limits, public;
SET client_min_messages = warning;
CREATE TABLE t (id int PRIMARY KEY, g int, n int);
CREATE TABLE u (id int PRIMARY KEY, t int, n int);
INSERT INTO t SELECT i, i % 20, (i * 37) % 1009 FROM generate_series(1, 1000) i;
INSERT INTO u SELECT i, 1 + i % 1000, i FROM generate_series(1, 2000) i;
CREATE INDEX ON u (t);
CREATE TVIEW ordered AS SELECT id, n FROM t ORDER BY n DESC, id;
CREATE TVIEW top AS SELECT id, n FROM t ORDER BY n DESC, id LIMIT 10;
CREATE TVIEW page AS SELECT id, n FROM t ORDER BY n, id LIMIT 10 OFFSET 20;
CREATE TVIEW with_ties AS SELECT g FROM t ORDER BY g FETCH FIRST 3 ROWS WITH TIES;
CREATE TVIEW top_join AS SELECT t.id, u.id AS uid, u.n FROM t JOIN u ON u.t = t.id ORDER BY u.n DESC LIMIT 5;
CREATE TVIEW top_groups AS SELECT g, sum(n) AS s FROM t GROUP BY g ORDER BY sum(n) DESC LIMIT 3;
CREATE TVIEW join_of_top AS SELECT x.id, x.n, u.id AS uid FROM (SELECT id, n FROM t ORDER BY n DESC, id LIMIT 10) x JOIN u ON u.t = x.id;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'limits' ORDER BY name;
SELECT * FROM cost();

-- a row below the limit, one that enters, moves inside, leaves by its change, leaves by going
INSERT INTO t VALUES (2000, 5, 500);
SELECT * FROM cost();
UPDATE t SET n = 5000 WHERE id = 2000;
SELECT * FROM cost();
UPDATE t SET n = 1007 WHERE id = 2000;
SELECT * FROM cost();
UPDATE t SET n = 1 WHERE id = 2000;
SELECT * FROM cost();
DELETE FROM t WHERE id = 2000;
DELETE FROM t WHERE n = 1008;
SELECT * FROM cost();
INSERT INTO u VALUES (3000, 5, 1);
UPDATE u SET n = 9000 WHERE id = 3000;
SELECT * FROM cost();

DROP SCHEMA limits CASCADE;
