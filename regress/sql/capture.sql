-- Capture: every way to write a table reaches the TVIEWs that read it.
CREATE SCHEMA capture;
SET search_path = capture, public;
SET client_min_messages = warning;
CREATE TABLE t (id int PRIMARY KEY, v int, unused text);
CREATE TABLE s (id int, v int);
CREATE TVIEW vt AS SELECT id, v FROM t;
CREATE TVIEW vs AS SELECT v, count(*) AS n FROM s GROUP BY v;

-- statements
INSERT INTO t SELECT g, g % 3 FROM generate_series(1, 10) g;
UPDATE t SET v = v + 1 WHERE v > 0;
DELETE FROM t WHERE id > 8;
SELECT * FROM oracle();
COPY t (id, v) FROM stdin;
20	1
21	2
\.
SELECT * FROM oracle();
INSERT INTO t VALUES (20, 9), (30, 9) ON CONFLICT (id) DO UPDATE SET v = excluded.v;
INSERT INTO t VALUES (20, 10) ON CONFLICT DO NOTHING;
SELECT * FROM oracle();
INSERT INTO s SELECT g, g FROM generate_series(1, 25) g;
MERGE INTO t USING s ON s.id = t.id
  WHEN MATCHED AND s.id < 5 THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v);
SELECT * FROM oracle();
WITH gone AS (DELETE FROM t WHERE id % 2 = 0 RETURNING *), more AS (INSERT INTO s SELECT id, v FROM gone RETURNING *) UPDATE t SET v = 77 WHERE id = 5;
SELECT * FROM oracle();
UPDATE t SET v = s.v FROM s WHERE s.id = t.id;
DELETE FROM t USING s WHERE s.id = t.id AND s.v = 7;
SELECT * FROM oracle();
CREATE RULE divert AS ON INSERT TO s WHERE new.v < 0 DO INSTEAD INSERT INTO t VALUES (new.id, new.v);
INSERT INTO s VALUES (501, -1);
CREATE VIEW writable AS SELECT id, v FROM t;
INSERT INTO writable VALUES (502, 1);
UPDATE writable SET v = 2 WHERE id = 502;
SELECT * FROM oracle();
TABLE vt ORDER BY id DESC LIMIT 3;

-- TRUNCATE, alone, followed by writes, of a referenced table
BEGIN;
INSERT INTO t VALUES (1000, 1) ON CONFLICT DO NOTHING;
TRUNCATE t;
INSERT INTO t VALUES (1, 1), (2, 2);
COMMIT;
SELECT * FROM oracle();
BEGIN;
TRUNCATE t, s;
ROLLBACK;
SELECT * FROM oracle();
CREATE TABLE child (id int PRIMARY KEY, t_id int REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE, note text);
CREATE TVIEW vc AS SELECT c.id, c.t_id, t.v, c.note FROM child c LEFT JOIN t ON t.id = c.t_id;
INSERT INTO child VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c');
UPDATE t SET id = 11 WHERE id = 1;
SELECT * FROM oracle();
DELETE FROM t WHERE id = 2;
SELECT * FROM oracle();
TRUNCATE t CASCADE;
SELECT * FROM oracle();

-- foreign keys that set NULL or a default
CREATE TABLE child2 (id int PRIMARY KEY, t_id int DEFAULT 1 REFERENCES t ON DELETE SET DEFAULT, u_id int REFERENCES t ON DELETE SET NULL);
CREATE TVIEW vc2 AS SELECT * FROM child2;
INSERT INTO t VALUES (1, 1), (2, 2);
INSERT INTO child2 VALUES (1, 2, 2);
DELETE FROM t WHERE id = 2;
SELECT * FROM oracle();
TABLE vc2;

-- triggers on base tables that write base tables, or change the row
CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO s VALUES (new.id, new.v); RETURN new; END $$;
CREATE TRIGGER follow AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION follow();
CREATE FUNCTION double() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.v := new.v * 2; RETURN new; END $$;
CREATE TRIGGER double BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION double();
INSERT INTO t SELECT g, g FROM generate_series(40, 50) g;
SELECT * FROM oracle();
DROP TRIGGER follow ON t;
DROP TRIGGER double ON t;

-- columns that no TVIEW uses
UPDATE t SET v = v;
SELECT ctid AS place, xmin AS writer, id INTO TEMP was FROM vt;
UPDATE t SET unused = 'x';
UPDATE t SET v = v;
BEGIN;
UPDATE t SET v = v + 1;
UPDATE t SET v = v - 1;
DELETE FROM t WHERE id = 45;
INSERT INTO t VALUES (45, 45 * 2);
COMMIT;
SELECT count(*) AS rows, count(*) FILTER (WHERE vt.ctid = place AND vt.xmin = writer) AS untouched FROM vt JOIN was USING (id);

-- a table without key that holds duplicates
CREATE TABLE bag (v int, w text);
CREATE TVIEW vbag AS SELECT v, w FROM bag;
CREATE TVIEW vbag_distinct AS SELECT DISTINCT v, w FROM bag;
INSERT INTO bag VALUES (1, 'a'), (1, 'a'), (1, 'a'), (2, NULL), (2, NULL), (NULL, NULL);
DELETE FROM bag WHERE ctid = '(0,1)';
SELECT * FROM oracle();
UPDATE bag SET v = 3 WHERE ctid = '(0,2)';
SELECT * FROM oracle();
BEGIN;
DELETE FROM bag WHERE v = 2;
INSERT INTO bag VALUES (2, NULL), (2, NULL), (2, NULL);
COMMIT;
SELECT * FROM oracle();
TABLE vbag ORDER BY v, w;

-- generated, identity, dropped, added and renamed columns
CREATE TABLE gen (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, gone text, a int, b int GENERATED ALWAYS AS (a * 2) STORED);
ALTER TABLE gen DROP gone;
CREATE TVIEW vgen AS SELECT id, a, b FROM gen;
CREATE TVIEW vwhole AS SELECT id, to_jsonb(gen) - 'id' AS whole FROM gen;
INSERT INTO gen (a) VALUES (1), (2);
SELECT * FROM oracle();
ALTER TABLE gen ADD more int DEFAULT 5;
SELECT * FROM oracle();
UPDATE gen SET a = a + more;
INSERT INTO gen (a) VALUES (10);
SELECT * FROM oracle();
ALTER TABLE gen RENAME a TO renamed;
ALTER TABLE gen DROP more;
UPDATE gen SET renamed = 0 WHERE id = 1;
SELECT * FROM oracle();
TABLE vgen ORDER BY id;
TABLE vwhole ORDER BY id;
CREATE TVIEW vrow AS SELECT id, gen AS whole FROM gen;
ALTER TABLE gen ADD more int;
UPDATE gen SET renamed = 8 WHERE id = 1;
SELECT * FROM oracle();

-- replica role: captured all the same
SET session_replication_role = replica;
INSERT INTO t VALUES (900, 1);
UPDATE t SET v = 5 WHERE id = 900;
RESET session_replication_role;
SELECT * FROM oracle();
ALTER TABLE t DISABLE TRIGGER USER;
INSERT INTO t VALUES (901, 1);
ALTER TABLE t ENABLE TRIGGER USER;
SELECT * FROM oracle();

-- changes that do not fit into memory
SET pg_tviews.change_buffer_memory = '64kB';
CREATE TABLE big (id int PRIMARY KEY, pad text);
CREATE TVIEW vbig AS SELECT id, pad FROM big;
BEGIN;
INSERT INTO big SELECT g, repeat(md5(g::text), 10) FROM generate_series(1, 2000) g;
UPDATE big SET pad = 'short' WHERE id % 2 = 0;
SAVEPOINT a;
DELETE FROM big;
ROLLBACK TO a;
DELETE FROM big WHERE id % 5 = 0;
COMMIT;
SELECT * FROM oracle();
UPDATE big SET pad = pad || '.';
SELECT * FROM oracle();
RESET pg_tviews.change_buffer_memory;

-- a row trigger that reads makes a flush within its statement, before the statement's rows are collected
CREATE TABLE chain (f int, s int, c int);
INSERT INTO chain VALUES (1, NULL, 3), (3, 5, 1);
CREATE TVIEW linked AS SELECT DISTINCT a.f AS a, b.f AS b, b.s, b.c FROM chain a FULL JOIN chain b ON a.f = b.c;
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM count(*) FROM linked; RETURN NULL; END $$;
CREATE TRIGGER look AFTER UPDATE ON chain FOR EACH ROW EXECUTE FUNCTION look();
BEGIN;
UPDATE chain SET f = 2 WHERE f = 3;
UPDATE chain SET c = 2 WHERE c = 3;
COMMIT;
TABLE linked ORDER BY 1, 2;
SELECT * FROM oracle('linked');

DROP SCHEMA capture CASCADE;
