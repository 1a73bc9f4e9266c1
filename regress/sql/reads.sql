-- A read flushes what it reads and what that depends on; what others have to follow stays pending until they are read, or until commit.
CREATE SCHEMA reads;
SET search_path = reads, public;
SET client_min_messages = warning;
CREATE TABLE a (id int PRIMARY KEY, g int, v int);
CREATE TABLE b (id int PRIMARY KEY, a int, w int);
INSERT INTO a SELECT i, i % 3, i FROM generate_series(1, 9) i;
INSERT INTO b SELECT i, i % 9, i FROM generate_series(1, 9) i;
CREATE TVIEW a_row AS SELECT id, v FROM a;
CREATE TVIEW a_sum AS SELECT g, count(*) AS n, sum(v) AS s FROM a GROUP BY g;
CREATE TVIEW b_row AS SELECT id, w FROM b;
CREATE TVIEW ab AS SELECT a.id, a.v, b.w FROM a LEFT JOIN b ON b.a = a.id;
CREATE TVIEW ab_sum AS SELECT v % 2 AS odd, count(*) AS n, sum(w) AS s FROM ab GROUP BY v % 2;
CREATE TVIEW ab_top AS SELECT odd, n FROM ab_sum WHERE n > 1;
-- the pending changes of this transaction, and the TVIEWs that it holds locks of
CREATE VIEW pending AS SELECT string_agg(base_table::text || ' -> ' || tview::text || ' +' || inserted || ' -' || deleted, ', ' ORDER BY base_table::text, tview::text) AS pending FROM tviews.pending();
CREATE VIEW locked AS SELECT coalesce(string_agg(DISTINCT tview::text, ', ' ORDER BY tview::text), '') AS locked FROM tviews.locks WHERE lock <> 'tview' AND pid = pg_backend_pid();

BEGIN;
INSERT INTO a VALUES (10, 1, 10);
UPDATE b SET w = w + 1 WHERE id < 3;
TABLE pending;
SELECT count(*) FROM a_row;
TABLE pending;
COPY (SELECT count(*) FROM a_row) TO stdout;
COPY a TO '/dev/null';
TABLE pending;
TABLE locked;
-- what it depends on, and not what depends on it
SELECT count(*) FROM ab;
TABLE pending;
TABLE locked;
SELECT * FROM ab_top ORDER BY odd;
TABLE pending;
-- nothing more to do for these
SELECT count(*) FROM ab, a_row;
TABLE pending;
COMMIT;
SELECT * FROM oracle();

-- each TVIEW has a "before" of its own: read in turn, between writes that depend on each other
BEGIN;
DELETE FROM b WHERE a = 3;
SELECT sum(w) FROM ab;
INSERT INTO b VALUES (30, 3, 30), (31, 3, 31);
SELECT * FROM ab_sum ORDER BY odd;
UPDATE b SET a = 4 WHERE id = 30;
SELECT sum(s) FROM a_sum;
DELETE FROM b WHERE a = 4;
UPDATE a SET v = v + 1 WHERE id IN (3, 4);
SELECT sum(w) FROM ab;
DELETE FROM a WHERE id = 3;
SELECT * FROM ab_top ORDER BY odd;
SELECT sum(w) FROM b_row;
INSERT INTO a VALUES (3, 2, 33);
COMMIT;
SELECT * FROM oracle();

-- savepoints: what a flush of some TVIEWs has consumed comes back, for these and for those that wait
BEGIN;
UPDATE a SET v = v + 100 WHERE id = 1;
SAVEPOINT x;
SELECT v FROM a_row WHERE id = 1;
UPDATE b SET w = 0 WHERE a = 1;
SELECT sum(w) FROM ab;
TABLE pending;
ROLLBACK TO x;
TABLE pending;
SELECT v FROM ab WHERE id = 1;
SAVEPOINT y;
UPDATE a SET v = v + 1000 WHERE id = 1;
SELECT v FROM a_row WHERE id = 1;
RELEASE y;
TABLE pending;
SELECT v FROM ab WHERE id = 1;
ROLLBACK TO x;
SELECT v FROM a_row WHERE id = 1;
SELECT v FROM ab WHERE id = 1;
SELECT * FROM a_sum ORDER BY g;
COMMIT;
SELECT * FROM oracle();

-- a flush, a change and another flush in savepoints, rolled back one by one
BEGIN;
INSERT INTO b VALUES (40, 5, 40);
SELECT sum(w) FROM ab;
SAVEPOINT x;
DELETE FROM b WHERE a = 5;
SELECT * FROM ab_sum ORDER BY odd;
SAVEPOINT y;
INSERT INTO b VALUES (41, 5, 41);
SELECT sum(w) FROM ab;
ROLLBACK TO y;
SELECT sum(w) FROM ab;
INSERT INTO b VALUES (42, 5, 42);
SELECT * FROM ab_sum ORDER BY odd;
ROLLBACK TO x;
SELECT * FROM ab_sum ORDER BY odd;
SELECT sum(w) FROM ab;
COMMIT;
SELECT * FROM oracle();

-- TRUNCATE between: those who wait have to recompute
BEGIN;
UPDATE a SET v = v + 1;
SELECT sum(v) FROM a_row;
TRUNCATE b;
SELECT sum(w), count(*) FROM ab;
INSERT INTO b VALUES (1, 1, 1);
SELECT sum(w) FROM b_row;
TABLE pending;
SELECT * FROM ab_sum ORDER BY odd;
COMMIT;
SELECT * FROM oracle();

-- DDL between: everything is flushed before it
BEGIN;
UPDATE a SET v = v - 1;
SELECT sum(v) FROM a_row;
ALTER TABLE a ADD COLUMN more int DEFAULT 7;
TABLE pending;
UPDATE a SET v = v + 1 WHERE id = 1;
SELECT v FROM a_row WHERE id = 1;
CREATE TVIEW a_more AS SELECT id, more FROM a;
TABLE pending;
UPDATE a SET more = id;
SELECT count(*) FROM ab;
SELECT sum(more) FROM a_more;
DROP TVIEW a_more;
UPDATE a SET v = v + 1 WHERE id = 2;
COMMIT;
SELECT * FROM oracle();

-- sets on disk
SET pg_tviews.change_buffer_memory = 0;
BEGIN;
INSERT INTO a (id, g, v) SELECT i, i % 5, i FROM generate_series(1000, 3000) i;
SELECT count(*) FROM a_row;
UPDATE a SET v = v + 1 WHERE id >= 1000;
SELECT count(*), sum(s) FROM a_sum;
SAVEPOINT x;
DELETE FROM a WHERE id >= 2000;
SELECT count(*) FROM ab;
ROLLBACK TO x;
DELETE FROM a WHERE id BETWEEN 1500 AND 1999;
SELECT count(*) FROM a_row;
COMMIT;
SELECT * FROM oracle();
RESET pg_tviews.change_buffer_memory;

-- within a statement that writes
CREATE FUNCTION write_and_read(k int) RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE n bigint; BEGIN
  INSERT INTO reads.b VALUES (k, 6, k); SELECT sum(w) INTO n FROM reads.ab; RETURN n; END $$;
BEGIN;
UPDATE a SET v = v + write_and_read(100 + id) * 0 + 1 WHERE id IN (6, 7);
SELECT * FROM ab_sum ORDER BY odd;
INSERT INTO b SELECT 200 + id, 6, (SELECT sum(w) FROM ab) * 0 + write_and_read(300 + id) * 0 FROM a WHERE id IN (6, 7);
SELECT sum(w) FROM b_row;
COMMIT;
SELECT * FROM oracle();

-- a statement that writes, and is read in its midst, undone by the next one
CREATE TABLE z (id int PRIMARY KEY, v int);
INSERT INTO z VALUES (1, 1), (2, 2);
CREATE TVIEW z_row AS SELECT id, v FROM z;
CREATE TVIEW z_list AS SELECT v % 2 AS odd, array_agg(id ORDER BY id) AS ids FROM z GROUP BY v % 2;
CREATE FUNCTION peek() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM reads.z_row) + (SELECT count(*) FROM reads.z_list); END $$;
BEGIN;
UPDATE z SET v = v + 4;
UPDATE z SET v = CASE WHEN id = 2 THEN 3 + peek() * 0 ELSE 8 END;
UPDATE z SET v = CASE WHEN id = 1 THEN 5 ELSE 6 END;
SAVEPOINT s;
TABLE z_row ORDER BY id;
ROLLBACK TO s;
UPDATE z SET v = v;
COMMIT;
TABLE z_row ORDER BY id;
TABLE z_list ORDER BY odd;
SELECT * FROM oracle();

-- in REPEATABLE READ: what was flushed is flushed once more at commit, by those who were
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE a SET v = v + 1 WHERE id < 4;
SELECT sum(v) FROM a_row WHERE id < 4;
DELETE FROM b WHERE a = 6;
SELECT sum(w) FROM ab;
TABLE pending;
INSERT INTO b VALUES (500, 6, 500);
SAVEPOINT x;
SELECT * FROM ab_sum ORDER BY odd;
ROLLBACK TO x;
UPDATE a SET v = v - 1 WHERE id < 4;
COMMIT;
SELECT * FROM oracle();

-- a long transaction that reads one TVIEW after each write: the changes for the others are kept once, and summed
BEGIN;
DO $$ BEGIN FOR i IN 1..200 LOOP
  UPDATE reads.a SET v = v + 1 WHERE id = 1;
  PERFORM v FROM reads.a_row WHERE id = 1;
END LOOP; END $$;
TABLE pending;
COMMIT;
SELECT * FROM oracle();
DROP SCHEMA reads CASCADE;
