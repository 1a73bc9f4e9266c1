-- What must hold whatever the strategy is: no change, no write; UPDATE is DELETE and INSERT; two transactions are one; savepoints; a column that
-- no TVIEW uses costs nothing. One TVIEW for each strategy.
CREATE SCHEMA invariants;
SET search_path = invariants, public;
SET client_min_messages = warning;
CREATE TABLE a (id int PRIMARY KEY, grp int, n int, txt text, unused text);
CREATE TABLE b (id int PRIMARY KEY, a int, v numeric, unused jsonb);
INSERT INTO a SELECT i, i % 50, i % 7, 'a' || i FROM generate_series(1, 1000) i;
INSERT INTO b SELECT i, 1 + i % 1000, i FROM generate_series(1, 3000) i;
CREATE INDEX ON a (grp);
CREATE INDEX ON b (a);
CREATE TVIEW folded AS SELECT a.grp, count(*) AS n, sum(b.v) AS s, min(b.v) AS lo FROM a JOIN b ON b.a = a.id GROUP BY a.grp;
CREATE TVIEW keyed AS SELECT a.id, b.id AS bid, a.txt, b.v FROM a LEFT JOIN b ON b.a = a.id;
CREATE TVIEW grouped AS SELECT a.grp, string_agg(a.txt, ',' ORDER BY a.id) AS txts FROM a GROUP BY a.grp;
CREATE TVIEW bag AS SELECT a.n, a.grp % 10 AS g FROM a JOIN b ON b.a = a.id WHERE b.v % 2 = 0;
CREATE TVIEW staged AS SELECT grp, s FROM (SELECT a.grp, sum(b.v) AS s, count(*) AS c FROM a JOIN b ON b.a = a.id GROUP BY a.grp) x WHERE c > 50;
CREATE TVIEW whole WITH (mode = full) AS SELECT id, txt FROM a WHERE id % 10 = 0;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'invariants' ORDER BY name;
SELECT * FROM cost();

-- Nothing changes: nothing is flushed.
UPDATE a SET unused = 'x';
UPDATE b SET unused = '{}' WHERE id < 100;
UPDATE a SET txt = txt, n = n + 0, grp = grp;
INSERT INTO a SELECT * FROM a ON CONFLICT (id) DO UPDATE SET unused = 'y', grp = excluded.grp;
MERGE INTO b USING (SELECT 1 AS id) x ON b.id = x.id WHEN MATCHED THEN UPDATE SET unused = 'null';
DELETE FROM b WHERE false;
BEGIN;
UPDATE a SET n = n + 1, txt = txt || 'x', grp = grp + 1;
DELETE FROM b WHERE id > 2990;
INSERT INTO b SELECT i, 1 + i % 1000, i FROM generate_series(2991, 3000) i;
UPDATE a SET n = n - 1, txt = left(txt, -1), grp = grp - 1;
COMMIT;
BEGIN;
SAVEPOINT s;
DELETE FROM b;
ROLLBACK TO s;
COMMIT;
SELECT * FROM cost();
-- A key is changed back and forth, two keys are swapped and swapped back.
BEGIN;
UPDATE a SET id = -id WHERE id = 10;
UPDATE a SET id = CASE id WHEN 11 THEN -12 WHEN 12 THEN -11 END WHERE id IN (11, 12);
UPDATE a SET id = CASE id WHEN -12 THEN 11 WHEN -11 THEN 12 ELSE -id END WHERE id < 0;
COMMIT;
SELECT * FROM cost();

-- Changes that were flushed and then undone.
BEGIN;
UPDATE a SET grp = 60, txt = 'x' WHERE id = 13;
SELECT FROM tviews.flush();
UPDATE a SET grp = 13, txt = 'a13' WHERE id = 13;
SELECT FROM tviews.flush();
COMMIT;
SELECT * FROM cost();

-- A transaction that fails at its end leaves nothing behind.
CREATE TABLE late (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);
BEGIN;
UPDATE a SET grp = 61, txt = 'y' WHERE id = 14;
SELECT count(*) FROM folded WHERE grp = 61;
INSERT INTO late VALUES (1), (1);
COMMIT;
SELECT count(*) FROM folded WHERE grp = 61;
SELECT count(*) AS wrong FROM oracle();
SELECT * FROM cost('none');

-- UPDATE, and DELETE with INSERT, of the same rows
CREATE FUNCTION contents() RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT 'folded ' || t::text FROM folded t UNION ALL SELECT 'keyed ' || t::text FROM keyed t UNION ALL SELECT 'grouped ' || t::text FROM grouped t
    UNION ALL SELECT 'bag ' || t::text FROM bag t UNION ALL SELECT 'staged ' || t::text FROM staged t UNION ALL SELECT 'whole ' || t::text FROM whole t $$;
CREATE TABLE before AS SELECT * FROM contents();
UPDATE a SET grp = 3, n = 6, txt = 'moved' WHERE id IN (20, 21);
UPDATE b SET v = 0.5 WHERE a IN (20, 21);
SELECT * FROM cost();
CREATE TABLE after AS SELECT * FROM contents();
BEGIN;
DELETE FROM a WHERE id IN (20, 21);
INSERT INTO a SELECT i, i % 50, i % 7, 'a' || i FROM generate_series(20, 21) i;
DELETE FROM b WHERE a IN (20, 21);
INSERT INTO b SELECT i, 1 + i % 1000, i FROM generate_series(1, 3000) i WHERE 1 + i % 1000 IN (20, 21);
COMMIT;
SELECT * FROM cost();
SELECT count(*) AS differing FROM ((TABLE before EXCEPT ALL SELECT * FROM contents()) UNION ALL (SELECT * FROM contents() EXCEPT ALL TABLE before)) d;

-- The two updates once more, in one transaction: the same as two
BEGIN;
UPDATE a SET grp = 3, n = 6, txt = 'moved' WHERE id IN (20, 21);
UPDATE b SET v = 0.5 WHERE a IN (20, 21);
COMMIT;
SELECT * FROM cost();
SELECT count(*) AS differing FROM ((TABLE after EXCEPT ALL SELECT * FROM contents()) UNION ALL (SELECT * FROM contents() EXCEPT ALL TABLE after)) d;

-- Savepoints: rolled back after what was written inside has been read; released; and an exception block
BEGIN;
UPDATE a SET grp = 4 WHERE id = 30;
SAVEPOINT one;
DELETE FROM b WHERE a = 30;
UPDATE a SET txt = 'deep' WHERE id = 31;
SELECT n FROM folded WHERE grp = 4;
SAVEPOINT two;
UPDATE a SET grp = 5 WHERE id = 30;
SELECT (SELECT n FROM folded WHERE grp = 4) AS four, (SELECT n FROM folded WHERE grp = 5) AS five;
ROLLBACK TO two;
SELECT (SELECT n FROM folded WHERE grp = 4) AS four, (SELECT n FROM folded WHERE grp = 5) AS five;
ROLLBACK TO one;
SELECT n FROM folded WHERE grp = 4;
SAVEPOINT three;
UPDATE a SET n = 5 WHERE id = 32;
RELEASE three;
DO $$ BEGIN
    DELETE FROM a WHERE id < 500;
    PERFORM count(*) FROM bag;
    RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN INSERT INTO b VALUES (9000, 33, 2);
END $$;
SELECT count(*) AS wrong FROM oracle();
COMMIT;
SELECT * FROM cost('none');

-- After all of this the contents are those of a fresh build.
CREATE TABLE incremental AS SELECT * FROM contents();
SELECT count(tviews.rebuild(x)) FROM unnest('{folded,keyed,grouped,bag,staged,whole}'::regclass[]) x;
SELECT count(*) AS differing FROM ((TABLE incremental EXCEPT ALL SELECT * FROM contents()) UNION ALL (SELECT * FROM contents() EXCEPT ALL TABLE incremental)) d;
SELECT * FROM cost();

DROP SCHEMA invariants CASCADE;
