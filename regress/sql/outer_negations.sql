-- Outer joins on nothing but NOT IN, NOT EXISTS, <> ALL, or an OR of sub-queries: what a row inside concerns are the pairs that it is compared with.
CREATE SCHEMA outer_negations;
SET search_path = outer_negations, public;
CREATE TABLE parent (id int PRIMARY KEY, g int);
CREATE TABLE child (id int PRIMARY KEY, parent int, score int);
CREATE TABLE mark (id int PRIMARY KEY, child int, lim int);
CREATE INDEX ON child (parent);
CREATE INDEX ON mark (child);
CREATE INDEX ON mark (lim);
CREATE INDEX ON parent (g);
INSERT INTO parent SELECT i, i % 10 FROM generate_series(1, 40) i;
INSERT INTO child SELECT i, 1 + i % 38, i % 7 FROM generate_series(1, 60) i;
INSERT INTO mark SELECT i, 1 + i * 7 % 60, i % 10 FROM generate_series(1, 50) i;
ANALYZE;
CREATE TVIEW not_in WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM parent p LEFT JOIN child c ON c.id NOT IN (SELECT m.child FROM mark m WHERE m.lim = p.g);
CREATE TVIEW not_exists WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM parent p LEFT JOIN child c ON NOT EXISTS (SELECT FROM mark m WHERE m.child = c.id AND m.lim = p.g);
CREATE TVIEW not_all WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM child c RIGHT JOIN parent p ON c.score <> ALL (SELECT m.lim FROM mark m WHERE m.child = p.id);
CREATE TVIEW not_rows WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM parent p LEFT JOIN child c ON (c.id, c.score) NOT IN (SELECT m.child, m.lim FROM mark m WHERE m.lim = p.g);
CREATE TVIEW hidden WITH (mode = incremental) AS SELECT p.id, c.score FROM parent p LEFT JOIN child c ON c.id NOT IN (SELECT m.child FROM mark m WHERE m.lim = p.g) AND c.parent = p.id;
CREATE TVIEW counted WITH (mode = incremental) AS SELECT p.g, count(c.id) AS n, sum(c.score) AS s FROM parent p LEFT JOIN child c ON NOT EXISTS (SELECT FROM mark m WHERE m.child = c.id AND m.lim = p.g) GROUP BY p.g;
CREATE TVIEW either WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM parent p LEFT JOIN child c ON c.parent = p.id OR c.id IN (SELECT m.child FROM mark m WHERE m.lim = p.g);
CREATE TVIEW of_three WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM parent p LEFT JOIN child c
    ON c.id = (SELECT max(m.child) FROM mark m WHERE m.lim = p.g) OR c.parent = p.id AND c.score > 3 OR EXISTS (SELECT FROM mark m WHERE m.child = c.id AND m.id = p.id);
CREATE TVIEW or_not WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM parent p LEFT JOIN child c ON c.parent = p.id OR c.id NOT IN (SELECT m.child FROM mark m WHERE m.lim = p.g);
-- not: a FULL join; below the nullable side of another one; one side of OR could be had by any pair
SELECT base_table, strategy, reason FROM tviews.check('SELECT p.id, c.id AS child FROM parent p FULL JOIN child c ON c.parent = p.id AND c.id NOT IN (SELECT m.child FROM mark m WHERE m.lim = p.g)');
SELECT base_table, strategy, reason FROM tviews.check('SELECT q.id AS q, p.id, c.id AS child FROM parent q LEFT JOIN (parent p LEFT JOIN child c ON c.id NOT IN (SELECT m.child FROM mark m WHERE m.lim = p.g)) ON q.id = p.g');
SELECT base_table, strategy, reason FROM tviews.check('SELECT p.id, c.id AS child FROM parent p LEFT JOIN child c ON c.parent = p.id OR (SELECT count(*) FROM mark m WHERE m.child = c.id AND m.lim = p.g) > 1');
SELECT name, strategies, internal_stages FROM tviews.tviews WHERE schema = 'outer_negations' ORDER BY name;
SELECT * FROM oracle();
SELECT * FROM cost();

-- a row inside
INSERT INTO mark VALUES (1001, 7, 3);
SELECT * FROM cost();
UPDATE mark SET child = 8 WHERE id = 1001;
SELECT * FROM cost();
-- NULL: all pairs of the parents that look at it
UPDATE mark SET child = NULL WHERE id = 1001;
SELECT * FROM cost();
DELETE FROM mark WHERE id = 1001;
SELECT * FROM cost();
-- a row of the nullable side: as many pairs as there are parents
INSERT INTO child VALUES (1001, 5, 6);
SELECT * FROM cost();
UPDATE child SET score = NULL, parent = 6 WHERE id = 1001;
SELECT * FROM cost();
DELETE FROM child WHERE id = 1001;
UPDATE child SET id = id + 2000 WHERE id = 9;
SELECT * FROM cost();
-- a row of the other side
INSERT INTO parent VALUES (1001, 4);
UPDATE parent SET g = 5 WHERE id = 3;
DELETE FROM parent WHERE id = 4;
SELECT * FROM cost();
-- the last partner goes, the first one comes
DELETE FROM mark WHERE lim = 2;
INSERT INTO mark SELECT 3000 + c.id, c.id, 2 FROM child c;
SELECT count(*) FROM not_in WHERE id % 10 = 2 AND child IS NULL;
SELECT * FROM cost();
DELETE FROM mark WHERE id > 3000 AND id % 2 = 0;
SELECT * FROM cost();
-- together
BEGIN;
INSERT INTO parent VALUES (2001, 2), (2002, NULL);
INSERT INTO child VALUES (2101, 2001, 3), (2102, NULL, NULL);
INSERT INTO mark VALUES (4001, 2101, 2), (4002, NULL, 7), (4003, 2102, NULL);
DELETE FROM child WHERE id % 11 = 0;
SELECT * FROM oracle();
UPDATE mark SET lim = lim + 1 WHERE lim < 4;
UPDATE parent SET g = g + 1 WHERE g > 6;
DELETE FROM parent WHERE id % 9 = 0;
COMMIT;
SELECT * FROM oracle();
DELETE FROM mark;
SELECT * FROM oracle();
INSERT INTO mark SELECT i, i, i % 5 FROM generate_series(1, 20) i;
TRUNCATE child;
INSERT INTO child SELECT i, i, i FROM generate_series(1, 10) i;
SELECT * FROM oracle();
SELECT count(*) AS differing FROM tviews.verify_all() WHERE NOT ok;
SET client_min_messages = warning;
DROP SCHEMA outer_negations CASCADE;
-- columns without NULLs: an index answers which pairs a row inside concerns
CREATE SCHEMA outer_negations_sure;
SET search_path = outer_negations_sure, public;
CREATE TABLE parent (id int PRIMARY KEY, g int NOT NULL);
CREATE TABLE child (id int PRIMARY KEY, parent int NOT NULL, score int NOT NULL);
CREATE TABLE mark (id int PRIMARY KEY, child int NOT NULL, lim int NOT NULL, other int);
INSERT INTO parent SELECT i, i % 10 FROM generate_series(1, 40) i;
INSERT INTO child SELECT i, 1 + i % 38, i % 7 FROM generate_series(1, 60) i;
INSERT INTO mark SELECT i, 1 + i * 7 % 60, i % 10, i FROM generate_series(1, 50) i;
CREATE TABLE third (id int PRIMARY KEY, g int NOT NULL);
INSERT INTO third SELECT i, i * 2 FROM generate_series(1, 5) i;
CREATE FUNCTION compares(tview regclass) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(DISTINCT m[1], ' ') FROM tviews.explain(tview) line, regexp_matches(line, 'IS NOT FALSE|IS NOT TRUE', 'g') m $$;
CREATE TVIEW not_in WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM parent p LEFT JOIN child c ON c.id NOT IN (SELECT m.child FROM mark m WHERE m.lim = p.g);
CREATE TVIEW not_all WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM child c RIGHT JOIN parent p ON c.score <> ALL (SELECT m.lim FROM mark m WHERE m.child = p.id);
CREATE TVIEW not_rows WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM parent p LEFT JOIN child c ON (c.id, c.score) NOT IN (SELECT m.child, m.lim FROM mark m WHERE m.lim = p.g);
CREATE TVIEW either WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM parent p LEFT JOIN child c ON c.parent = p.id OR c.id NOT IN (SELECT m.child FROM mark m WHERE m.lim = p.g);
CREATE TVIEW shown WITH (mode = incremental) AS SELECT id, score NOT IN (SELECT lim FROM mark WHERE other > 3) AS free FROM child;
-- not: a column inside or outside can be NULL, by itself or by a join
CREATE TVIEW null_inside WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM parent p LEFT JOIN child c ON c.id NOT IN (SELECT m.other FROM mark m WHERE m.lim = p.g);
CREATE TVIEW null_outside AS SELECT p.id, q.id AS other, c.id AS child FROM parent p LEFT JOIN third q ON q.id = p.g LEFT JOIN child c ON c.parent = p.id AND q.g NOT IN (SELECT m.child FROM mark m WHERE m.lim = p.g);
CREATE TVIEW null_join WITH (mode = incremental) AS SELECT p.id, c.score NOT IN (SELECT lim FROM mark WHERE other > 3) AS free FROM parent p LEFT JOIN child c ON c.id = p.g;
SELECT name, strategies, compares(format('%I.%I', schema, name)::regclass) FROM tviews.tviews WHERE schema = 'outer_negations_sure' ORDER BY name;
SELECT * FROM cost();
INSERT INTO mark VALUES (1001, 7, 3, 10);
SELECT * FROM cost();
UPDATE mark SET child = 8, lim = 2 WHERE id = 1001;
SELECT * FROM cost();
DELETE FROM mark WHERE id IN (1001, 4, 5);
INSERT INTO child VALUES (1001, 5, 6);
UPDATE parent SET g = 5 WHERE id = 3;
DELETE FROM parent WHERE id = 4;
UPDATE child SET id = id + 2000, score = 3 WHERE id = 9;
SELECT tview, wrong, "full" FROM cost() WHERE wrong > 0 OR "full" > 0;
-- a NULL that goes in the transaction that forbids them
ALTER TABLE mark ALTER child DROP NOT NULL, ALTER lim DROP NOT NULL;
INSERT INTO mark VALUES (1002, NULL, 3, 10), (1003, 5, NULL, 10), (1004, NULL, NULL, 10);
SELECT tview, wrong FROM cost() WHERE wrong > 0;
BEGIN;
UPDATE mark SET child = 6 WHERE child IS NULL;
UPDATE mark SET lim = 4 WHERE lim IS NULL;
ALTER TABLE mark ALTER child SET NOT NULL, ALTER lim SET NOT NULL;
COMMIT;
SELECT tview, wrong FROM cost() WHERE wrong > 0;
SELECT name, compares(format('%I.%I', schema, name)::regclass) FROM tviews.tviews WHERE schema = 'outer_negations_sure' ORDER BY name;
DROP SCHEMA outer_negations_sure CASCADE;
