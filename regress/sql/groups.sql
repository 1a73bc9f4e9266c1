-- GROUP BY with any aggregate, HAVING, DISTINCT: groups that appear, change, and go.
CREATE SCHEMA groups;
SET search_path = groups, public;
SET client_min_messages = warning;
CREATE TABLE item (id int PRIMARY KEY, grp int, kind text, n int, price numeric, x float8, flag bool, doc jsonb);
CREATE TABLE grp (id int PRIMARY KEY, title text);
INSERT INTO grp VALUES (0, 'zero'), (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO item
  SELECT g, g % 3, chr(97 + g % 4), g % 5, g * 1.5, g / 3.0, g % 2 = 0, jsonb_build_object('g', g) FROM generate_series(1, 24) g;
INSERT INTO item VALUES (100, NULL, 'a', NULL, NULL, NULL, NULL, NULL), (101, NULL, NULL, 1, 1.0, 'NaN', true, '[]');

CREATE FUNCTION concat_step(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce($1 || '+', '') || $2 $$;
CREATE AGGREGATE own(text) (sfunc = concat_step, stype = text);

CREATE TVIEW basic AS SELECT grp, count(*) AS n, count(n) AS cn, sum(n) AS s, avg(price) AS a, min(n) AS lo, max(n) AS hi FROM item GROUP BY grp;
-- the order of rows decides the last digits, and an update of a column that is not read changes that order
CREATE TVIEW floats AS SELECT grp, sum(x)::real AS s, avg(x)::real AS a, stddev(x)::real AS d, var_pop(x)::real AS v, corr(x, n)::real AS c FROM item GROUP BY grp;
CREATE TVIEW bools AS SELECT kind, bool_and(flag) AS b, bool_or(flag) AS o, every(flag) AS e, bit_or(n) AS bo, bit_and(n) AS ba FROM item GROUP BY kind;
CREATE TVIEW lists AS SELECT grp, string_agg(kind, ',' ORDER BY id) AS s, array_agg(n ORDER BY id DESC) AS a, jsonb_agg(doc ORDER BY id) AS j,
  json_agg(id ORDER BY id) AS json, jsonb_object_agg(id, kind) AS o, own(kind ORDER BY id) AS own FROM item GROUP BY grp;
CREATE TVIEW ordered AS SELECT grp, mode() WITHIN GROUP (ORDER BY n) AS m, percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS pc,
  percentile_disc(0.5) WITHIN GROUP (ORDER BY n) AS pd FROM item GROUP BY grp;
CREATE TVIEW clauses AS SELECT grp, count(*) FILTER (WHERE flag) AS f, count(DISTINCT kind) AS d, sum(DISTINCT n) AS sd,
  sum(CASE WHEN flag THEN n ELSE -n END) AS c FROM item GROUP BY grp;
CREATE TVIEW having_count AS SELECT grp, kind, count(*) AS n FROM item GROUP BY grp, kind HAVING count(*) > 2;
CREATE TVIEW having_sum AS SELECT grp, max(n) AS hi FROM item GROUP BY grp HAVING sum(n) > 10;
CREATE TVIEW expression AS SELECT n % 2 AS odd, upper(kind) AS k, count(*) AS c FROM item GROUP BY n % 2, upper(kind);
CREATE TVIEW joined AS SELECT g.id, g.title, count(i.id) AS n, sum(i.n) AS s FROM grp g LEFT JOIN item i ON i.grp = g.id GROUP BY g.id;
CREATE TVIEW by_title AS SELECT g.title, count(*) AS n FROM item i JOIN grp g ON g.id = i.grp GROUP BY g.title;
CREATE TVIEW hidden_key AS SELECT count(*) AS n FROM item GROUP BY grp;
CREATE TVIEW distinct_rows AS SELECT DISTINCT grp, kind FROM item;
CREATE TVIEW distinct_join AS SELECT DISTINCT g.title, i.flag FROM item i LEFT JOIN grp g ON g.id = i.grp;
CREATE TVIEW group_only AS SELECT kind FROM item GROUP BY kind;
CREATE TVIEW filtered AS SELECT grp, sum(price) AS s FROM item WHERE flag GROUP BY grp;
SELECT t.name, s.key AS base_table, s.value AS strategy
  FROM tviews.tviews t, jsonb_each_text(t.strategies) s WHERE schema = 'groups' ORDER BY 1, 2;
SELECT * FROM oracle();
TABLE basic ORDER BY grp;

-- a new group, a row more, the extremum leaves, one of two equal extrema leaves
INSERT INTO item (id, grp, kind, n) VALUES (200, 7, 'z', 1);
SELECT * FROM oracle();
INSERT INTO item (id, grp, kind, n, price) VALUES (201, 7, 'z', 9, 1.00), (202, 7, 'z', 9, 1.0), (203, 7, 'y', 1, 1.000);
SELECT * FROM oracle();
DELETE FROM item WHERE id = 201;
SELECT * FROM oracle();
DELETE FROM item WHERE id = 202;
SELECT * FROM oracle();
-- rows move between groups, also to and from the NULL group
UPDATE item SET grp = 1 WHERE id IN (200, 3);
UPDATE item SET grp = NULL WHERE id = 4;
UPDATE item SET grp = 2 WHERE id = 100;
SELECT * FROM oracle();
-- NULL to value, all values NULL
UPDATE item SET n = 3, x = 2 WHERE id = 100;
UPDATE item SET n = NULL, x = NULL, price = NULL WHERE grp = 2;
SELECT * FROM oracle();
-- numeric scale: equal, but not the same
UPDATE item SET price = 1.50 WHERE id = 1;
SELECT * FROM oracle();
-- HAVING crossed upwards by a row that was there before, and downwards
INSERT INTO item (id, grp, kind, n) VALUES (300, 8, 'q', 1);
INSERT INTO item (id, grp, kind, n) VALUES (301, 8, 'q', 20);
INSERT INTO item (id, grp, kind, n) VALUES (302, 8, 'q', 1);
SELECT * FROM oracle();
TABLE having_sum ORDER BY grp;
UPDATE item SET n = 1 WHERE id = 301;
DELETE FROM item WHERE id = 302;
SELECT * FROM oracle();
-- the last row of a group goes and comes back in one transaction
BEGIN;
DELETE FROM item WHERE grp = 8;
INSERT INTO item (id, grp, kind, n) VALUES (303, 8, 'q', 5);
COMMIT;
SELECT * FROM oracle();
DELETE FROM item WHERE grp = 8;
SELECT * FROM oracle();
-- the other side
UPDATE grp SET title = 'eins' WHERE id = 1;
SELECT * FROM oracle();
UPDATE grp SET title = 'zero' WHERE id = 2;
SELECT * FROM oracle();
BEGIN;
UPDATE grp SET title = 'drei' WHERE id = 3;
DELETE FROM grp WHERE id = 0;
UPDATE item SET grp = 3 WHERE id % 5 = 0;
INSERT INTO grp VALUES (7, 'seven');
COMMIT;
SELECT * FROM oracle();
-- the hidden state survives a rewrite
VACUUM FULL basic;
VACUUM FULL distinct_rows;
VACUUM FULL hidden_key;
INSERT INTO item (id, grp, kind, n) VALUES (400, 1, 'a', 1);
DELETE FROM item WHERE id = 6;
SELECT * FROM oracle();
-- no change, no write
SELECT ctid AS place, xmin AS writer INTO TEMP was FROM basic WHERE grp = 1;
UPDATE item SET n = n, price = price;
BEGIN;
UPDATE item SET n = n + 1;
UPDATE item SET n = n - 1;
COMMIT;
SELECT b.ctid = w.place AND b.xmin = w.writer AS untouched FROM basic b, was w WHERE b.grp = 1;
TRUNCATE item;
SELECT * FROM oracle();
INSERT INTO item (id, grp) VALUES (1, 1);
SELECT * FROM oracle();
TABLE joined ORDER BY id;

DROP SCHEMA groups CASCADE;

-- many rows at once: the flush has a plan of its own
CREATE SCHEMA groups_many;
SET search_path = groups_many, public;
CREATE TABLE t (id int PRIMARY KEY, g int, h text);
INSERT INTO t SELECT i, nullif(i % 50, 0), 'h' || i % 7 FROM generate_series(1, 3000) i;
CREATE TVIEW by_g AS SELECT g, h, count(*) AS n, max(id) AS last FROM t GROUP BY g, h;
CREATE TVIEW pairs AS SELECT DISTINCT g, h FROM t;
CREATE TVIEW rows AS SELECT id, g + 1 AS g1 FROM t;
UPDATE t SET g = g + 1 WHERE id % 100 = 0;
SELECT * FROM oracle();
UPDATE t SET g = NULL WHERE id % 9 = 0;
DELETE FROM t WHERE id BETWEEN 100 AND 400;
INSERT INTO t SELECT i, i % 3, NULL FROM generate_series(10000, 10200) i;
SELECT * FROM oracle();
SELECT count(*), sum(n) FROM by_g;
SET client_min_messages = warning;
DROP SCHEMA groups_many CASCADE;

-- a column that depends on the grouping columns, with and without equality
CREATE SCHEMA groups_dependent;
SET search_path = groups_dependent, public;
CREATE TABLE t (id int PRIMARY KEY, j json, w text);
INSERT INTO t SELECT i, '{}', 'w' || i FROM generate_series(1, 1000) i;
CREATE TVIEW shown AS SELECT id, j, w, count(*) AS c FROM t GROUP BY id;
CREATE TVIEW text_shown AS SELECT id, w, count(*) AS c FROM t GROUP BY id;
CREATE TVIEW above AS SELECT id, j::text || '+' AS s, count(*) AS c FROM t GROUP BY id HAVING count(*) > 0;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'groups_dependent' ORDER BY name;
SELECT * FROM cost();
UPDATE t SET j = '{"a": 1}', w = 'v' WHERE id = 3;
INSERT INTO t VALUES (2000, '[]', 'x');
DELETE FROM t WHERE id = 4;
SELECT * FROM cost();
SET client_min_messages = warning;
DROP SCHEMA groups_dependent CASCADE;

-- keys with long values and with NULLs beside other columns: found by their hash
CREATE SCHEMA groups_long;
SET search_path = groups_long, public;
SET client_min_messages = warning;
CREATE TABLE hit (id int PRIMARY KEY, site int NOT NULL, path text, code int, note text);
INSERT INTO hit SELECT i, i % 5, '/' || i % 100, nullif(i % 4, 0), 'x' FROM generate_series(1, 2000) i;
CREATE TVIEW by_path AS SELECT path, count(*) AS n FROM hit GROUP BY path;
CREATE TVIEW by_site AS SELECT site, path, count(*) AS n FROM hit GROUP BY site, path;
CREATE TVIEW by_code AS SELECT code, id % 10 AS digit, string_agg(path, ' ' ORDER BY id) AS paths FROM hit GROUP BY 1, 2;
CREATE TVIEW lone AS SELECT code, count(*) AS n FROM hit GROUP BY code;
CREATE TVIEW places AS SELECT DISTINCT path, code FROM hit;
CREATE TVIEW given WITH (key = 'path') AS SELECT path FROM hit WHERE id < 100 AND path IS NOT NULL;
SELECT regexp_replace(indexdef, ' INDEX .* ON groups_long\.', ' ') AS index FROM pg_indexes WHERE schemaname = 'groups_long' AND tablename <> 'hit' ORDER BY tablename COLLATE "C", indexname COLLATE "C";
SELECT * FROM cost();
INSERT INTO hit SELECT 3000, 1, string_agg(md5(i::text), ''), NULL FROM generate_series(1, 1000) i;
INSERT INTO hit VALUES (3001, 2, NULL, NULL), (3002, 3, NULL, 1), (3003, 3, '', 1);
SELECT * FROM cost();
UPDATE hit SET code = 7 WHERE id >= 3000;
SELECT * FROM cost();
UPDATE hit SET path = '/1' WHERE id >= 3000;
SELECT * FROM cost();
UPDATE hit SET path = NULL WHERE id % 20 = 0;
SELECT * FROM oracle();
DELETE FROM hit WHERE path IS NULL;
SELECT * FROM oracle();
DROP SCHEMA groups_long CASCADE;

-- keys of more columns than an index can have
CREATE SCHEMA groups_many_columns;
SET search_path = groups_many_columns, public;
SET client_min_messages = warning;
SELECT format('CREATE TABLE t (id int PRIMARY KEY, %s)', string_agg('c' || i || ' int', ', ' ORDER BY i)) FROM generate_series(1, 40) i \gexec
INSERT INTO t SELECT i, i % 5, i % 3 FROM generate_series(1, 200) i;
SELECT format('CREATE TVIEW by_all AS SELECT %1$s, count(DISTINCT id %% 7) AS n FROM t GROUP BY %1$s', string_agg('c' || i, ', ' ORDER BY i)) FROM generate_series(1, 40) i \gexec
CREATE TABLE u (LIKE t);
CREATE TVIEW united AS SELECT * FROM t UNION SELECT * FROM u;
SELECT * FROM cost();
UPDATE t SET c40 = 1 WHERE id = 3;
INSERT INTO u SELECT * FROM t WHERE id < 5;
DELETE FROM t WHERE id = 4;
SELECT * FROM cost();
DROP SCHEMA groups_many_columns CASCADE;
