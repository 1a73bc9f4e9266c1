-- What a TVIEW may read: views, partitioned tables, inheritance trees, tables without primary key, other TVIEWs.
CREATE SCHEMA sources;
SET search_path = sources, public;
SET client_min_messages = warning;
CREATE TABLE plain (id int PRIMARY KEY, g int, v int);
CREATE TABLE parted (id int, g int, v int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (1000);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (1000) TO (10000);
CREATE TABLE parent (id int, g int, v int);
CREATE TABLE child (more text) INHERITS (parent);
CREATE TABLE other_parent (id int, v int);
CREATE TABLE other_child () INHERITS (other_parent);
CREATE TABLE no_key (g int, v int);
CREATE VIEW filtered AS SELECT id, g, v FROM plain WHERE v > 10;
CREATE VIEW grouped AS SELECT g, sum(v) AS s FROM plain GROUP BY g;
INSERT INTO plain SELECT i, i % 30, i % 100 FROM generate_series(1, 1500) i;
INSERT INTO parted SELECT i, i % 30, i % 100 FROM generate_series(1, 1500) i;
INSERT INTO parent SELECT i, i % 30, i % 100 FROM generate_series(1, 700) i;
INSERT INTO child SELECT i, i % 30, i % 100 FROM generate_series(701, 1500) i;
INSERT INTO other_parent SELECT i, i % 100 FROM generate_series(1, 700) i;
INSERT INTO other_child SELECT i, i % 100 FROM generate_series(701, 1500) i;
INSERT INTO no_key SELECT i % 30, i % 100 FROM generate_series(1, 1500) i;

CREATE TVIEW of_view AS SELECT id, v FROM filtered;
CREATE TVIEW of_grouped_view AS SELECT p.id, x.s FROM plain p JOIN grouped x ON x.g = p.g WHERE p.v = 50;
CREATE TVIEW of_parted AS SELECT id, v FROM parted;
CREATE TVIEW of_parted_sum AS SELECT g, sum(v) AS s FROM parted GROUP BY g;
CREATE TVIEW of_leaf AS SELECT id, v FROM parted_low;
CREATE TVIEW of_parent AS SELECT id, g, v FROM parent;
CREATE TVIEW of_parent_sum AS SELECT g, sum(v) AS s FROM parent GROUP BY g;
CREATE TVIEW of_only AS SELECT id, v FROM ONLY other_parent;
CREATE TVIEW of_no_key AS SELECT g, v FROM no_key WHERE v < 50;
CREATE TVIEW of_no_key_sum AS SELECT g, count(*) AS c FROM no_key GROUP BY g;
CREATE TVIEW upper AS SELECT g, s FROM of_parted_sum WHERE s > 2400;
CREATE TVIEW top AS SELECT count(*) AS groups, sum(s) AS s FROM upper;
CREATE TVIEW diamond AS SELECT a.g, a.s AS parted, b.s AS parent FROM of_parted_sum a JOIN of_parent_sum b ON b.g = a.g;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'sources' ORDER BY name;
SELECT * FROM cost();

UPDATE plain SET v = 50 WHERE id = 7;
SELECT * FROM cost();
INSERT INTO parted VALUES (5000, 1, 99);
SELECT * FROM cost();
-- to the other partition, straight into a partition, a partition comes and goes
UPDATE parted SET id = 500 + 5000, v = 1 WHERE id = 500;
SELECT * FROM cost();
DELETE FROM parted_low WHERE id = 1;
SELECT * FROM cost();
CREATE TABLE parted_more (id int NOT NULL, g int, v int);
INSERT INTO parted_more VALUES (20000, 2, 2);
ALTER TABLE parted ATTACH PARTITION parted_more FOR VALUES FROM (20000) TO (30000);
SELECT * FROM cost('of_parted', 'upper');
ALTER TABLE parted DETACH PARTITION parted_more;
SELECT * FROM cost('of_parted', 'upper');
UPDATE parent SET v = v + 1 WHERE id IN (10, 1000);
SELECT * FROM cost();
UPDATE child SET more = 'unused', v = v + 1 WHERE id = 1000;
SELECT * FROM cost();
UPDATE child SET more = 'unused';
SELECT * FROM cost();
-- ONLY, and a partition of a table that is written: what a statement changed there cannot be told apart
UPDATE other_parent SET v = v + 1 WHERE id IN (10, 1000);
UPDATE parted SET v = v + 1 WHERE id = 20;
SELECT * FROM cost('of_only', 'of_leaf');
UPDATE no_key SET v = 1000 WHERE ctid = (SELECT min(ctid) FROM no_key WHERE v = 7);
SELECT * FROM cost();
-- both sides of the diamond
BEGIN;
UPDATE parted SET v = 1000 WHERE id = 31;
UPDATE parent SET v = 1000 WHERE id = 31;
COMMIT;
SELECT * FROM cost();

DROP SCHEMA sources CASCADE;
