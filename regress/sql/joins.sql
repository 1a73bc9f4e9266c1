-- Joins: every kind, with every change of either side, stays equal to its query.
CREATE SCHEMA joins;
SET search_path = joins, public;
SET client_min_messages = warning;
CREATE TABLE a (id int PRIMARY KEY, k int, name text);
CREATE TABLE b (id int PRIMARY KEY, k int, note text);
CREATE TABLE c (k int PRIMARY KEY, word text);
INSERT INTO a VALUES (1, 1, 'one'), (2, 2, 'two'), (3, NULL, 'null'), (4, 1, 'one again');
INSERT INTO b VALUES (10, 1, 'x'), (11, 1, 'y'), (12, 3, 'z'), (13, NULL, 'n');
INSERT INTO c VALUES (1, 'uno'), (2, 'due');

CREATE TVIEW inner_fk AS SELECT a.id, a.name, c.word FROM a JOIN c ON c.k = a.k;
CREATE TVIEW inner_nm AS SELECT a.id, b.id AS bid, a.name, b.note FROM a JOIN b ON b.k = a.k;
CREATE TVIEW comma AS SELECT a.id, b.id AS bid, c.word FROM a, b, c WHERE a.k = b.k AND c.k = a.k AND b.note <> 'y';
CREATE TVIEW left_fk AS SELECT a.id, a.name, c.word FROM a LEFT JOIN c ON c.k = a.k;
CREATE TVIEW left_many AS SELECT c.k, c.word, a.id, a.name FROM c LEFT JOIN a ON a.k = c.k;
CREATE TVIEW left_condition AS SELECT a.id, c.word FROM a LEFT JOIN c ON c.k = a.k AND c.word > 'e' AND a.name <> 'two';
CREATE TVIEW left_chain AS SELECT c.k, a.id, b.id AS bid FROM c LEFT JOIN a ON a.k = c.k LEFT JOIN b ON b.k = a.k;
CREATE TVIEW left_inner AS SELECT c.k, a.id, b.id AS bid FROM c LEFT JOIN (a JOIN b ON b.k = a.k) ON a.k = c.k;
CREATE TVIEW anti AS SELECT c.k, c.word FROM c LEFT JOIN a ON a.k = c.k WHERE a.id IS NULL;
CREATE TVIEW right_many AS SELECT c.k, a.id FROM a RIGHT JOIN c ON c.k = a.k;
CREATE TVIEW full_join AS SELECT a.id, b.id AS bid, a.name, b.note FROM a FULL JOIN b ON b.k = a.k;
CREATE TVIEW full_coalesce AS SELECT coalesce(a.k, b.k) AS k, count(a.id) AS na, count(b.id) AS nb, sum(b.id) AS s FROM a FULL JOIN b ON a.k = b.k GROUP BY 1;
CREATE TVIEW cross_join AS SELECT a.id, c.k, c.word FROM a CROSS JOIN c;
CREATE TVIEW natural_join AS SELECT * FROM (SELECT id, k FROM a) x NATURAL JOIN c;
CREATE TVIEW using_join AS SELECT k, a.id, b.id AS bid FROM a LEFT JOIN b USING (k);
CREATE TVIEW self_join AS SELECT x.id, y.id AS other, x.name || ' ' || y.name AS names FROM a x JOIN a y ON x.k = y.k AND x.id < y.id;
CREATE TVIEW self_left AS SELECT x.id, y.id AS other FROM a x LEFT JOIN a y ON y.id = x.k;
CREATE TVIEW non_equi AS SELECT a.id, b.id AS bid FROM a JOIN b ON a.k < b.k;
CREATE TVIEW nulls_equal AS SELECT a.id, b.id AS bid FROM a LEFT JOIN b ON a.k IS NOT DISTINCT FROM b.k;
CREATE TVIEW no_key AS SELECT a.name, b.note FROM a JOIN b ON b.k = a.k;
CREATE TVIEW half_key AS SELECT a.id, b.note FROM a LEFT JOIN b ON b.k = a.k;
CREATE TVIEW filtered AS SELECT a.id, c.word FROM a JOIN c USING (k) WHERE a.name LIKE '%one%' OR c.word = 'due';

-- Which of them are keyed for every table they read.
SELECT t.name, s.key AS base_table, s.value AS strategy
  FROM tviews.tviews t, jsonb_each_text(t.strategies) s WHERE schema = 'joins' ORDER BY 1, 2;
SELECT * FROM oracle();
TABLE full_join ORDER BY id, bid;

-- first match, second match, match replaced, last match leaves
INSERT INTO c VALUES (3, 'tre'), (4, 'quattro');
SELECT * FROM oracle();
INSERT INTO a VALUES (5, 3, 'three');
SELECT * FROM oracle();
INSERT INTO a VALUES (6, 3, 'three again');
SELECT * FROM oracle();
UPDATE a SET k = 4 WHERE id = 5;
SELECT * FROM oracle();
DELETE FROM a WHERE id IN (5, 6);
SELECT * FROM oracle();

-- a parent renamed, its key changed, deleted
UPDATE c SET word = 'UNO' WHERE k = 1;
SELECT * FROM oracle();
UPDATE c SET k = 5 WHERE k = 1;
SELECT * FROM oracle();
DELETE FROM c WHERE k = 2;
SELECT * FROM oracle();

-- NULL to value and back
UPDATE a SET k = 1 WHERE k IS NULL;
SELECT * FROM oracle();
UPDATE a SET k = NULL WHERE id IN (1, 2);
UPDATE b SET k = NULL WHERE id = 10;
SELECT * FROM oracle();

-- both sides inserted, in one transaction
BEGIN;
INSERT INTO a VALUES (20, 20, 'twenty'), (21, 20, 'twenty');
INSERT INTO b VALUES (20, 20, 'v'), (21, 20, 'v');
INSERT INTO c VALUES (20, 'venti');
COMMIT;
SELECT * FROM oracle();
-- both sides changed, the key moved while the old partner goes
BEGIN;
UPDATE a SET k = 21 WHERE id = 20;
DELETE FROM b WHERE id = 20;
UPDATE b SET k = 21 WHERE id = 21;
UPDATE c SET k = 21 WHERE k = 20;
COMMIT;
SELECT * FROM oracle();
-- the left row renamed and its match deleted together
BEGIN;
UPDATE c SET word = 'ventuno' WHERE k = 21;
DELETE FROM a WHERE k = 21;
COMMIT;
SELECT * FROM oracle();
-- both sides deleted
BEGIN;
DELETE FROM c WHERE k = 21;
DELETE FROM b WHERE k = 21;
DELETE FROM a WHERE k = 20;
COMMIT;
SELECT * FROM oracle();

-- two keys swapped, a key deleted and inserted again
UPDATE c SET k = CASE k WHEN 3 THEN -4 ELSE -3 END WHERE k IN (3, 4);
UPDATE c SET k = -k WHERE k < 0;
SELECT * FROM oracle();
BEGIN;
DELETE FROM a WHERE id = 4;
INSERT INTO a VALUES (4, 3, 'four');
COMMIT;
SELECT * FROM oracle();

-- everything at once, then nothing at all
BEGIN;
INSERT INTO a SELECT g, g % 5, 'g' || g % 3 FROM generate_series(100, 140) g;
INSERT INTO b SELECT g, g % 7, 'h' || g % 3 FROM generate_series(100, 140) g;
INSERT INTO c SELECT g, 'w' || g FROM generate_series(0, 8) g ON CONFLICT DO NOTHING;
UPDATE a SET k = k + 1 WHERE id % 2 = 0;
UPDATE b SET k = nullif(k, 3);
DELETE FROM c WHERE k % 3 = 2;
COMMIT;
SELECT * FROM oracle();
DELETE FROM a;
SELECT * FROM oracle();
DELETE FROM b;
DELETE FROM c;
SELECT * FROM oracle();

-- NATURAL JOIN does not look at columns added later
ALTER TABLE a ADD word text DEFAULT 'added';
ALTER TABLE c ADD name text DEFAULT 'added';
INSERT INTO a VALUES (1, 1, 'one', 'w');
INSERT INTO c VALUES (1, 'uno', 'n');
SELECT * FROM oracle();
TABLE natural_join;

-- columns dropped before and after, columns added, on both sides of a join that change together
CREATE TABLE da (x int, id int PRIMARY KEY, y int, k int, z int);
CREATE TABLE db (x int, id int PRIMARY KEY, y int, k int, z int);
ALTER TABLE da DROP x, DROP y, DROP z;
ALTER TABLE db DROP x, DROP y, DROP z;
CREATE TVIEW d_left AS SELECT da.id, db.id AS bid FROM da LEFT JOIN db ON da.k = db.k;
CREATE TVIEW d_natural AS SELECT * FROM da NATURAL JOIN (SELECT k, id AS bid FROM db) x;
CREATE TVIEW d_using AS SELECT k, da.id, db.id AS bid FROM da FULL JOIN db USING (k);
INSERT INTO da VALUES (1, 1);
INSERT INTO db VALUES (1, 1);
BEGIN;
INSERT INTO da VALUES (10, 9);
INSERT INTO db VALUES (10, 9);
COMMIT;
SELECT * FROM oracle();
ALTER TABLE db ADD q int, ADD r text DEFAULT 'x';
ALTER TABLE db DROP q;
BEGIN;
INSERT INTO da VALUES (11, 9);
UPDATE db SET k = 9;
DELETE FROM da WHERE id = 10;
COMMIT;
SELECT * FROM oracle();

-- which writers meet: of inner joins by the values that equalities compare, whatever their types as long as they hash alike; otherwise as wholes
CREATE TABLE types (id bigint PRIMARY KEY, k smallint, s varchar(10), d date, n numeric, c char(5));
CREATE TABLE others (k int, s text, ts timestamp, n int, c text, id bigint PRIMARY KEY);
CREATE TVIEW several AS SELECT t.id, o.id AS oid FROM types t JOIN others o ON o.k = t.k AND o.s = t.s;
CREATE TVIEW unlike AS SELECT t.id, o.id AS oid FROM types t JOIN others o ON o.ts = t.d AND o.n = t.n AND o.c = t.c;
CREATE TVIEW deep AS SELECT t.id, x.id AS oid, c.word FROM types t, (SELECT id, y.key, s FROM (SELECT o.id, k AS key, s::varchar AS s FROM others o WHERE k > 0) y) x, c WHERE x.key = t.k AND x.s = t.s AND c.k = x.key;
CREATE TVIEW arrays AS SELECT t.id, count(*) AS n, max(u) AS u FROM types t JOIN others o ON o.k = t.k CROSS JOIN unnest(ARRAY[o.n, t.k]) u GROUP BY t.id;
SELECT v AS tview, line FROM unnest('{inner_fk, inner_nm, comma, left_fk, cross_join, natural_join, non_equi, several, unlike, deep, arrays}'::text[]) v,
    tviews.explain(v::regclass) WITH ORDINALITY AS e (line, n) WHERE line ~ 'locks:|^  [a-z]+[.][a-z]+: ' ORDER BY v, n;
DROP SCHEMA joins CASCADE;
