-- UNION, INTERSECT, EXCEPT, with and without ALL.
CREATE SCHEMA set_operations;
SET search_path = set_operations, public;
SET client_min_messages = warning;
CREATE TABLE a (id int PRIMARY KEY, x int, y text);
CREATE TABLE b (id int PRIMARY KEY, x int, y text);
INSERT INTO a SELECT i, i % 100, 'y' || i % 3 FROM generate_series(1, 1000) i;
INSERT INTO b SELECT i, i % 150 + 50, 'y' || i % 3 FROM generate_series(501, 1500) i;
CREATE INDEX ON a (x);
CREATE INDEX ON b (x);
CREATE TVIEW union_all AS SELECT id, x FROM a UNION ALL SELECT id, x FROM b;
CREATE TVIEW union_all_tagged AS SELECT 'a' AS source, id, x FROM a UNION ALL SELECT 'b', id, x FROM b;
CREATE TVIEW union_ AS SELECT x, y FROM a UNION SELECT x, y FROM b;
CREATE TVIEW union_three AS SELECT x FROM a UNION SELECT x FROM b UNION SELECT id FROM b WHERE id > 1490;
CREATE TVIEW union_mixed AS (SELECT x FROM a UNION SELECT x FROM b) UNION ALL SELECT id FROM b WHERE id > 1490;
CREATE TVIEW intersect_ AS SELECT x, y FROM a INTERSECT SELECT x, y FROM b;
CREATE TVIEW intersect_all AS SELECT x, y FROM a INTERSECT ALL SELECT x, y FROM b;
CREATE TVIEW except_ AS SELECT x FROM a EXCEPT SELECT x FROM b;
CREATE TVIEW except_all AS SELECT x FROM a EXCEPT ALL SELECT x FROM b;
CREATE TVIEW nested AS SELECT x FROM a EXCEPT (SELECT x FROM b INTERSECT SELECT id FROM a);
CREATE TVIEW aggregates AS SELECT x, count(*) AS c FROM (SELECT x FROM a UNION ALL SELECT x FROM b) u GROUP BY x;
CREATE TVIEW joined AS SELECT a.id, u.y FROM a JOIN (SELECT id, y FROM a UNION SELECT id, y FROM b) u ON u.id = a.id WHERE a.x < 10;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'set_operations' ORDER BY name;
SELECT * FROM cost();

-- a row that only one branch has, one that both have, one that another row of the same branch has
INSERT INTO a VALUES (2000, 1000, 'new');
SELECT * FROM cost();
INSERT INTO b VALUES (2000, 1000, 'new');
SELECT * FROM cost();
INSERT INTO b VALUES (2001, 1000, 'new');
SELECT * FROM cost();
DELETE FROM a WHERE id = 2000;
SELECT * FROM cost();
DELETE FROM b WHERE id IN (2000, 2001);
SELECT * FROM cost();
UPDATE a SET x = 120 WHERE id = 20;
SELECT * FROM cost();
-- NULLs are equal here; both branches in one transaction
BEGIN;
INSERT INTO a VALUES (2002, NULL, NULL), (2003, NULL, NULL);
INSERT INTO b VALUES (2002, NULL, NULL);
COMMIT;
SELECT * FROM cost();
BEGIN;
DELETE FROM a WHERE id = 2002;
SELECT FROM tviews.flush();
SELECT count(*) FROM except_all WHERE x IS NULL;
DELETE FROM b WHERE id = 2002;
INSERT INTO b VALUES (2004, NULL, NULL);
COMMIT;
SELECT * FROM cost();
TRUNCATE b;
SELECT * FROM oracle();

-- types that have another name without a length
CREATE TABLE code (id int PRIMARY KEY, c char(3), b bit(3));
CREATE TVIEW codes AS SELECT c, b FROM code UNION SELECT 'abc'::char(3), b'101' FROM code WHERE id > 1;
CREATE TVIEW no_codes AS SELECT c, b FROM code EXCEPT ALL SELECT 'abc'::char(3), b'101' FROM code WHERE id > 1;
INSERT INTO code VALUES (1, 'xyz', b'110'), (2, 'abc', b'101'), (3, 'abc', b'101');
SELECT c, b, pg_typeof(c) FROM codes ORDER BY c;
SELECT * FROM oracle('codes');
SELECT * FROM oracle('no_codes');

-- a key that only tells rows of before from those of now changes together with what they are joined to
CREATE TABLE anchor (id int PRIMARY KEY, d int);
CREATE TABLE near (id int PRIMARY KEY, v int, d int);
CREATE TABLE far (id int PRIMARY KEY, d int);
INSERT INTO anchor VALUES (4, 0);
INSERT INTO near VALUES (10, 2, NULL), (12, 2, 0), (14, 3, 1);
CREATE TVIEW anchored AS SELECT a.d FROM anchor a WHERE a.d IS NOT NULL UNION ALL
  SELECT a.d FROM anchor a LEFT JOIN LATERAL (SELECT n.v, f.id FROM near n LEFT JOIN far f ON n.d = f.d AND a.d = f.id) x ON true;
BEGIN;
UPDATE anchor SET id = 3;
INSERT INTO far VALUES (9, 4);
UPDATE near SET v = 4 WHERE v = 3;
COMMIT;
SELECT tview, ok FROM tviews.verify('anchored');

DROP SCHEMA set_operations CASCADE;
