-- Transactions: reads in the middle, savepoints, exceptions, errors at commit, two phases, isolation levels.
CREATE SCHEMA transactions;
SET search_path = transactions, public;
SET client_min_messages = warning;
CREATE TABLE t (id int PRIMARY KEY, g int, v text);
CREATE TVIEW vk AS SELECT id, v FROM t;
CREATE TVIEW vg AS SELECT g, count(*) AS n FROM t GROUP BY g;
CREATE TVIEW vf AS SELECT id, rank() OVER (ORDER BY g) AS r FROM t;
INSERT INTO t VALUES (1, 1, 'one'), (2, 2, 'two');
SELECT * FROM oracle();

-- reads in the middle: simple query, cached plans, cursors, functions, COPY, EXECUTE, DO
PREPARE read AS SELECT * FROM vk ORDER BY id;
EXECUTE read;
CREATE FUNCTION f_sql() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM transactions.vk $$;
CREATE FUNCTION f_stable() RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT count(*) FROM transactions.vk $$;
CREATE FUNCTION f_plpgsql() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM transactions.vk); END $$;
CREATE FUNCTION f_write(k int) RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE n bigint; BEGIN
  INSERT INTO transactions.t VALUES (k, k, 'f'); SELECT count(*) INTO n FROM transactions.vk; RETURN n; END $$;
BEGIN;
INSERT INTO t VALUES (3, 1, 'three');
EXECUTE read;
INSERT INTO t VALUES (4, 1, 'four');
TABLE vg ORDER BY g;
INSERT INTO t VALUES (5, 3, 'five');
DECLARE c CURSOR FOR SELECT id, v FROM vk ORDER BY id;
FETCH ALL c;
UPDATE t SET v = 'changed' WHERE id = 5;
FETCH BACKWARD 1 c;
CLOSE c;
SELECT f_sql(), f_stable(), f_plpgsql();
DELETE FROM t WHERE id = 5;
SELECT f_sql(), f_stable(), f_plpgsql();
SELECT f_write(6), f_write(7);
INSERT INTO t VALUES (8, 8, 'eight');
COPY (SELECT * FROM vk WHERE id > 5 ORDER BY id) TO stdout;
UPDATE t SET v = 'EIGHT' WHERE id = 8;
DO $$ BEGIN EXECUTE 'UPDATE transactions.t SET v = v || ''!'' WHERE id = 8'; RAISE WARNING '%', (SELECT v FROM transactions.vk WHERE id = 8); END $$;
INSERT INTO t VALUES (9, 9, (SELECT v FROM vk WHERE id = 8));
WITH w AS (UPDATE t SET v = 'cte' WHERE id = 9 RETURNING id) SELECT w.id, vk.v FROM w JOIN vk USING (id);
SELECT v FROM vk WHERE id = 9;
CREATE TEMP TABLE copied AS SELECT * FROM vk;
SELECT count(*) FROM copied;
UPDATE t SET v = 'analyze' WHERE id = 9;
DO $$ DECLARE plan text; BEGIN EXECUTE 'EXPLAIN ANALYZE SELECT FROM transactions.vk' INTO plan; END $$;
SELECT * FROM oracle();
COMMIT;
SELECT * FROM oracle();

-- cursors that outlive the transaction, or read on while the table changes
BEGIN;
INSERT INTO t VALUES (10, 1, 'ten');
DECLARE h CURSOR WITH HOLD FOR SELECT id FROM vk WHERE id > 7 ORDER BY id;
INSERT INTO t VALUES (11, 1, 'eleven');
COMMIT;
FETCH ALL h;
CLOSE h;
BEGIN;
DECLARE c CURSOR FOR SELECT t.id, (SELECT vk.v FROM vk WHERE vk.id = t.id) FROM t WHERE id > 7 ORDER BY id;
FETCH 2 c;
UPDATE t SET v = v || '.';
FETCH 1 c;
SELECT v FROM vk WHERE id > 9 ORDER BY id;
FETCH 1 c;
COMMIT;
SELECT * FROM oracle();
INSERT INTO t SELECT id + 100, 1, v FROM vk;
UPDATE t SET v = vk.v || vk.id FROM vk WHERE vk.id = t.id;
DELETE FROM t WHERE id > 100;
DELETE FROM t WHERE id IN (SELECT id FROM vk WHERE id IN (10, 11));
SELECT * FROM oracle();

-- savepoints: released, rolled back, rolled back after a flush inside, nested
BEGIN;
INSERT INTO t VALUES (20, 1, 'kept');
SAVEPOINT a;
INSERT INTO t VALUES (21, 1, 'released');
RELEASE a;
SAVEPOINT b;
INSERT INTO t VALUES (22, 1, 'lost');
SELECT count(*) FROM vk WHERE id BETWEEN 20 AND 29;
SELECT * FROM oracle();
SAVEPOINT c;
DELETE FROM t WHERE id = 20;
SELECT count(*) FROM vk WHERE id BETWEEN 20 AND 29;
ROLLBACK TO c;
SELECT count(*) FROM vk WHERE id BETWEEN 20 AND 29;
ROLLBACK TO b;
SELECT * FROM oracle();
UPDATE t SET v = 'last' WHERE id = 21;
COMMIT;
SELECT * FROM oracle();
SELECT * FROM vk WHERE id BETWEEN 20 AND 29 ORDER BY id;
BEGIN;
SAVEPOINT a;
UPDATE t SET g = g + 100;
TABLE vf ORDER BY id;
ROLLBACK TO a;
ROLLBACK TO a;
RELEASE a;
SELECT * FROM oracle();
UPDATE t SET g = g + 1;
ROLLBACK;
SELECT * FROM oracle();

-- PL/pgSQL blocks with exceptions
DO $$ BEGIN
  INSERT INTO t VALUES (30, 3, 'outer');
  BEGIN
    INSERT INTO t VALUES (31, 3, 'inner');
    PERFORM * FROM vg;
    PERFORM 1 / 0;
  EXCEPTION WHEN division_by_zero THEN
    INSERT INTO t VALUES (32, 3, 'handler');
  END;
  IF (SELECT count(*) FROM vk WHERE id BETWEEN 30 AND 39) <> 2 THEN RAISE 'wrong'; END IF;
END $$;
SELECT * FROM oracle();
CREATE PROCEDURE step(n int) LANGUAGE plpgsql AS $$ BEGIN
  FOR i IN 1..n LOOP INSERT INTO transactions.t VALUES (40 + i, i, 'step'); IF i % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF; END LOOP; END $$;
CALL step(4);
SELECT * FROM oracle();
SELECT id FROM vk WHERE id BETWEEN 40 AND 49 ORDER BY id;

-- deferred constraints: triggers that write at commit, errors at commit
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF new.id < 0 THEN RAISE 'refused at commit'; END IF;
  INSERT INTO t VALUES (new.id + 1000, 0, 'late') ON CONFLICT DO NOTHING; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.id < 1000) EXECUTE FUNCTION late();
BEGIN;
INSERT INTO t VALUES (50, 5, 'deferred');
SELECT count(*) FROM vk WHERE id IN (50, 1050);
COMMIT;
SELECT count(*) FROM vk WHERE id IN (50, 1050);
SELECT * FROM oracle();
BEGIN;
INSERT INTO t VALUES (-1, 5, 'never');
SELECT count(*) FROM vk WHERE id = -1;
COMMIT;
SELECT * FROM oracle();
DROP TRIGGER late ON t;

-- two phases
BEGIN;
INSERT INTO t VALUES (60, 6, 'prepared');
DELETE FROM t WHERE id = 1;
PREPARE TRANSACTION 'tviews_a';
SELECT id FROM vk WHERE id IN (1, 60);
COMMIT PREPARED 'tviews_a';
SELECT id FROM vk WHERE id IN (1, 60);
SELECT * FROM oracle();
BEGIN;
SAVEPOINT a;
INSERT INTO t VALUES (61, 6, 'prepared');
TABLE vg ORDER BY g DESC LIMIT 1;
RELEASE a;
PREPARE TRANSACTION 'tviews_b';
ROLLBACK PREPARED 'tviews_b';
SELECT * FROM oracle();
INSERT INTO t VALUES (61, 6, 'after');
SELECT * FROM oracle();

-- isolation levels that keep their snapshot
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM vk;
INSERT INTO t VALUES (70, 7, 'rr');
SELECT v FROM vk WHERE id = 70;
SELECT * FROM oracle();
UPDATE t SET v = 'RR' WHERE id = 70;
SELECT v FROM vk WHERE id = 70;
DELETE FROM t WHERE id = 2;
SELECT * FROM oracle();
COMMIT;
SELECT * FROM oracle();
BEGIN ISOLATION LEVEL SERIALIZABLE;
UPDATE t SET g = 7;
SELECT * FROM oracle();
SAVEPOINT a;
DELETE FROM t WHERE id > 20;
SELECT count(*) FROM vk;
ROLLBACK TO a;
SELECT * FROM oracle();
COMMIT;
SELECT * FROM oracle();
BEGIN READ ONLY;
TABLE vg ORDER BY g;
COMMIT;

-- temporary tables beside; created, written and dropped in one transaction
BEGIN;
CREATE TEMP TABLE beside (id int) ON COMMIT DROP;
INSERT INTO beside SELECT id FROM vk;
INSERT INTO t SELECT id + 500, 1, 'beside' FROM beside WHERE id < 10;
SELECT count(*) FROM vk WHERE v = 'beside';
COMMIT;
SELECT * FROM oracle();
BEGIN;
CREATE TABLE fresh (id int PRIMARY KEY);
CREATE TVIEW vfresh AS SELECT id FROM fresh;
INSERT INTO fresh VALUES (1);
CREATE TVIEW vt AS SELECT v, count(*) FROM t GROUP BY v;
INSERT INTO t VALUES (80, 8, 'new');
TABLE vfresh;
SELECT * FROM oracle();
INSERT INTO fresh VALUES (2);
DROP TVIEW vt;
INSERT INTO t VALUES (81, 8, 'new');
COMMIT;
SELECT * FROM oracle();
BEGIN;
INSERT INTO t VALUES (90, 9, 'x');
DROP TVIEW vk;
CREATE TVIEW vk AS SELECT id, g FROM t;
INSERT INTO t VALUES (91, 9, 'x');
SELECT count(*) FROM vk WHERE g = 9;
TRUNCATE fresh;
ROLLBACK;
SELECT * FROM oracle();
TABLE vfresh;
BEGIN;
INSERT INTO fresh VALUES (3);
DROP TABLE fresh CASCADE;
COMMIT;
SELECT * FROM oracle();
SELECT name FROM tviews.tviews WHERE schema = 'transactions' ORDER BY 1;

-- what is written before a read in the middle is recomputed at commit: a key that is no more, beside one whose row is all NULL
CREATE TABLE n (id int PRIMARY KEY, g int);
CREATE TVIEW of_null AS SELECT g, CASE WHEN count(*) > 1 THEN string_agg(id::text, ',' ORDER BY id) END AS ids FROM n GROUP BY g;
INSERT INTO n VALUES (1, 5), (2, 6);
BEGIN ISOLATION LEVEL SERIALIZABLE;
UPDATE n SET g = NULL WHERE id = 1;
SELECT * FROM of_null ORDER BY g;
COMMIT;
SELECT * FROM oracle();

-- statement_timeout covers the flush at the end: COMMIT, a statement of its own, PREPARE TRANSACTION, a read
CREATE TABLE timed (id int PRIMARY KEY, seconds float8);
CREATE FUNCTION slow(float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_sleep($1); RETURN $1; END';
CREATE TVIEW timed_slow AS SELECT id, slow(seconds) AS seconds FROM timed;
SET statement_timeout = '300ms';
INSERT INTO timed VALUES (1, 20);
BEGIN;
INSERT INTO timed VALUES (1, 20);
COMMIT;
BEGIN;
INSERT INTO timed VALUES (1, 20);
SELECT * FROM timed_slow;
ROLLBACK;
BEGIN;
INSERT INTO timed VALUES (1, 20);
PREPARE TRANSACTION 'late';
RESET statement_timeout;
INSERT INTO timed VALUES (1, 0.01);
SELECT * FROM timed_slow;

DROP SCHEMA transactions CASCADE;
