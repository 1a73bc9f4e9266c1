-- Partitioned tables and inheritance trees as sources, whatever table of the tree a statement names.
CREATE SCHEMA partitions;
SET search_path = partitions, public;
SET client_min_messages = warning;
CREATE TABLE p (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 (extra_gone int, v text, k int NOT NULL, id int NOT NULL);
ALTER TABLE p2 DROP extra_gone;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2);
CREATE TABLE p3 PARTITION OF p FOR VALUES IN (3, 4) PARTITION BY RANGE (id);
CREATE TABLE p3a PARTITION OF p3 FOR VALUES FROM (0) TO (100);
CREATE TABLE p3b PARTITION OF p3 FOR VALUES FROM (100) TO (200);
INSERT INTO p SELECT g, g % 4 + 1, 'v' || g FROM generate_series(1, 20) g;

CREATE TVIEW vp AS SELECT id, k, v FROM p;
CREATE TVIEW vg AS SELECT k, count(*) AS n, max(v) AS m FROM p GROUP BY k;
CREATE TVIEW vleaf AS SELECT id, v FROM p2;
CREATE TVIEW vsub AS SELECT id, v, tableoid AS part FROM p3;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'partitions' ORDER BY 1;
SELECT * FROM oracle();

INSERT INTO p VALUES (30, 1, 'root'), (31, 2, 'root'), (132, 3, 'root');
SELECT * FROM oracle();
INSERT INTO p1 VALUES (40, 1, 'leaf');
INSERT INTO p2 (id, k, v) VALUES (41, 2, 'leaf');
INSERT INTO p3b VALUES (142, 4, 'leaf');
INSERT INTO p3 VALUES (43, 4, 'middle');
SELECT * FROM oracle();
COPY p FROM stdin;
50	1	copy
51	2	copy
152	3	copy
\.
SELECT * FROM oracle();
UPDATE p2 SET v = 'updated leaf';
UPDATE p SET v = v || '+' WHERE id < 5;
DELETE FROM p3 WHERE id % 2 = 0;
SELECT * FROM oracle();
-- rows that move
UPDATE p SET k = 2 WHERE k = 1 AND id > 10;
SELECT * FROM oracle();
UPDATE p3 SET id = id + 100 WHERE id < 10;
SELECT * FROM oracle();
UPDATE p SET k = CASE k WHEN 1 THEN 2 WHEN 2 THEN 3 ELSE 1 END;
SELECT * FROM oracle();
MERGE INTO p USING generate_series(1, 8) g ON g = p.id AND p.k < 3
  WHEN MATCHED THEN UPDATE SET k = 3 - p.k WHEN NOT MATCHED THEN INSERT VALUES (g + 60, 1, 'merged');
SELECT * FROM oracle();
-- rows that a trigger moves, of columns that MERGE does not name
CREATE FUNCTION moves() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.k := 3 - NEW.k; RETURN NEW; END $$;
CREATE TRIGGER moves BEFORE UPDATE ON p1 FOR EACH ROW EXECUTE FUNCTION moves();
UPDATE p SET v = 'moved' WHERE k = 1 AND id % 2 = 0;
SELECT * FROM oracle();
MERGE INTO p USING generate_series(1, 70) g ON g = p.id AND p.k = 1 WHEN MATCHED THEN UPDATE SET v = 'merged and moved';
SELECT * FROM oracle();
DROP TRIGGER moves ON p1;
-- partitions that come and go
CREATE TABLE p5 PARTITION OF p FOR VALUES IN (5);
INSERT INTO p VALUES (1, 5, 'new partition');
INSERT INTO p5 VALUES (2, 5, 'new leaf');
SELECT * FROM oracle();
CREATE TABLE p6 (id int NOT NULL, k int NOT NULL, v text);
INSERT INTO p6 VALUES (3, 6, 'before');
ALTER TABLE p ATTACH PARTITION p6 FOR VALUES IN (6);
SELECT * FROM oracle();
INSERT INTO p6 VALUES (4, 6, 'after');
UPDATE p SET v = 'root' WHERE k = 6;
SELECT * FROM oracle();
ALTER TABLE p DETACH PARTITION p6;
SELECT * FROM oracle();
INSERT INTO p6 VALUES (7, 6, 'alone');
SELECT count(*) AS triggers FROM pg_trigger WHERE tgrelid = 'p6'::regclass AND tgname LIKE 'tviews%';
SELECT * FROM oracle();
DROP TABLE p5;
SELECT * FROM oracle();
TRUNCATE p3a;
SELECT * FROM oracle();
TRUNCATE p1, p2;
SELECT * FROM oracle();
TRUNCATE p;
SELECT * FROM oracle();
INSERT INTO p VALUES (1, 1, 'one'), (150, 4, 'two');
SELECT * FROM oracle();
SELECT id, v, part::regclass FROM vsub;
CREATE TABLE pd PARTITION OF p DEFAULT;
INSERT INTO p VALUES (1, 99, 'default');
SELECT * FROM oracle();

-- inheritance
CREATE TABLE parent (id int, v text);
CREATE TABLE child (extra int) INHERITS (parent);
CREATE TABLE grandchild () INHERITS (child);
CREATE TABLE adult (more int, id int, v text);
CREATE TVIEW vi AS SELECT id, v FROM parent;
CREATE TVIEW vi_only AS SELECT id, v FROM ONLY parent;
CREATE TVIEW vi_child AS SELECT v, count(*) AS n, sum(extra) AS s FROM child GROUP BY v;
INSERT INTO parent VALUES (1, 'p');
INSERT INTO child VALUES (2, 'c', 20);
INSERT INTO grandchild VALUES (3, 'g', 30);
SELECT * FROM oracle();
UPDATE parent SET v = v || '!';
SELECT * FROM oracle();
UPDATE child SET extra = extra + 1;
DELETE FROM ONLY child;
SELECT * FROM oracle();
INSERT INTO adult VALUES (0, 4, 'a');
ALTER TABLE adult INHERIT parent;
SELECT * FROM oracle();
UPDATE adult SET v = 'adult';
SELECT * FROM oracle();
ALTER TABLE adult NO INHERIT parent;
SELECT * FROM oracle();
CREATE TABLE late () INHERITS (parent);
INSERT INTO late VALUES (5, 'l');
SELECT * FROM oracle();
DROP TABLE late;
SELECT * FROM oracle();
TRUNCATE ONLY parent;
SELECT * FROM oracle();
TRUNCATE parent;
SELECT * FROM oracle();

-- A TVIEW that tells the tables of a tree apart is recomputed, also when only the table of a row changes; others on the same tree are not.
CREATE TABLE tree (k int, a int) PARTITION BY LIST (k);
CREATE TABLE tree_0 PARTITION OF tree FOR VALUES IN (0);
CREATE TABLE tree_1 PARTITION OF tree DEFAULT;
CREATE TVIEW per_a AS SELECT a, count(*) AS n FROM tree GROUP BY a;
CREATE TVIEW by_table AS SELECT a, tableoid = 'tree_0'::regclass AS first FROM tree;
CREATE TVIEW in_first AS SELECT count(*) AS n FROM by_table WHERE first;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'partitions' AND name IN ('per_a', 'by_table') ORDER BY 1;
SELECT tviews.stat_reset();
INSERT INTO tree VALUES (0, 1), (1, 1);
SELECT * FROM oracle();
UPDATE tree SET k = 5 WHERE k = 0;
SELECT * FROM in_first;
TRUNCATE tree_1;
INSERT INTO tree_0 VALUES (0, 2);
SELECT * FROM oracle();
SELECT tview, s.flushes, s.full_recomputes FROM tviews.stat s WHERE tview::text IN ('per_a', 'by_table') ORDER BY 1;

DROP SCHEMA partitions CASCADE;
