-- WITH RECURSIVE: the rows that a change can reach are computed anew, the others stay
CREATE SCHEMA recursive;
SET search_path = recursive, public;
SET client_min_messages = warning;
CREATE TABLE node (id int PRIMARY KEY, parent int, name text NOT NULL);
CREATE INDEX ON node (parent);
INSERT INTO node SELECT i, NULLIF(i / 8, 0), 'n' || i FROM generate_series(1, 5000) i;
CREATE TABLE member (who int NOT NULL, grp int NOT NULL, PRIMARY KEY (who, grp));
CREATE INDEX ON member (grp);
INSERT INTO member SELECT i, 1000 + i % 100 FROM generate_series(1, 500) i;
INSERT INTO member SELECT 1000 + i, 1000 + i + 20 FROM generate_series(0, 79) i;
-- a tree with depth and path; ancestors; the members of nested groups, circles among them; the number of ways
CREATE TVIEW tree AS WITH RECURSIVE r AS (
    SELECT id, 0 AS depth, name AS path FROM node WHERE parent IS NULL
    UNION ALL SELECT n.id, r.depth + 1, r.path || '/' || n.name FROM r JOIN node n ON n.parent = r.id) SELECT * FROM r;
CREATE TVIEW above AS WITH RECURSIVE r (id, above) AS (
    SELECT id, parent FROM node WHERE parent IS NOT NULL
    UNION SELECT r.id, n.parent FROM r JOIN node n ON n.id = r.above WHERE n.parent IS NOT NULL) SELECT id, above FROM r;
CREATE TVIEW reached AS WITH RECURSIVE r (who, grp) AS (
    SELECT who, grp FROM member UNION SELECT r.who, m.grp FROM r JOIN member m ON m.who = r.grp) SELECT * FROM r;
CREATE TVIEW ways AS WITH RECURSIVE r (who, grp) AS (
    SELECT who, grp FROM member WHERE who < 1000 UNION ALL SELECT r.who, m.grp FROM r, member m WHERE m.who = r.grp AND m.who < m.grp) SELECT * FROM r;
-- more is done with the rows: they are a stage
CREATE TVIEW size AS WITH RECURSIVE r (id, above) AS (
    SELECT id, id FROM node UNION SELECT r.id, n.parent FROM r JOIN node n ON n.id = r.above WHERE n.parent IS NOT NULL)
    SELECT above AS id, count(*) AS below FROM r GROUP BY above;
CREATE TVIEW named AS WITH RECURSIVE few AS (SELECT id FROM node WHERE id < 4), r (id) AS (
    SELECT id FROM few UNION ALL SELECT n.id FROM r JOIN node n ON n.parent = r.id)
    SELECT n.id, n.name FROM r JOIN node n USING (id);
SELECT name, strategies FROM tviews.tviews WHERE schema = 'recursive' ORDER BY name;
SELECT reason FROM tviews.strategies('tree');
SELECT * FROM locks('tree');
SELECT * FROM cost();

-- a leaf comes, moves, changes, goes
INSERT INTO node VALUES (9000, 700, 'leaf');
SELECT * FROM cost();
UPDATE node SET parent = 9 WHERE id = 9000;
SELECT * FROM cost();
UPDATE node SET name = 'named' WHERE id = 9000;
SELECT * FROM cost();
DELETE FROM node WHERE id = 9000;
SELECT * FROM cost();
-- a subtree moves, and is cut off
UPDATE node SET parent = 5 WHERE id = 100;
SELECT * FROM cost();
UPDATE node SET parent = -1 WHERE id = 100;
SELECT * FROM cost();
-- parent and child change places in one transaction: the tree before and the tree after have no circle, both together have one
BEGIN;
UPDATE node SET parent = 100 WHERE id = 13;
UPDATE node SET parent = 13 WHERE id = 5;
UPDATE node SET parent = 1 WHERE id = 100;
UPDATE node SET parent = 5 WHERE id = 100;
UPDATE node SET parent = NULL WHERE id = 13;
COMMIT;
SELECT * FROM cost();

-- a second way to rows that have one, which goes then; a circle, and what it held
INSERT INTO member VALUES (1, 1050);
SELECT * FROM cost();
DELETE FROM member WHERE (who, grp) = (1, 1001);
SELECT * FROM cost();
INSERT INTO member VALUES (1095, 1015);
SELECT * FROM cost();
DELETE FROM member WHERE grp = 1035;
SELECT * FROM cost();
DELETE FROM member WHERE (who, grp) = (1095, 1015);
SELECT * FROM cost();

-- several statements, savepoints, reads in between
BEGIN;
INSERT INTO node VALUES (9001, 3, 'a'), (9002, 9001, 'b'), (9003, 9002, 'c');
SELECT depth, path FROM tree WHERE id = 9003;
SAVEPOINT s;
UPDATE node SET parent = 9003 WHERE id = 9;
SELECT count(*) FROM tree WHERE path LIKE 'n3/a/b/c/%';
SELECT * FROM oracle();
ROLLBACK TO s;
SELECT count(*) FROM tree WHERE path LIKE '%/a/b/c/%';
DELETE FROM node WHERE id = 9002;
SELECT * FROM oracle();
COMMIT;
SELECT * FROM cost();
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO node VALUES (9010, 9003, 'd');
UPDATE node SET parent = 3 WHERE id = 9003;
SELECT path FROM tree WHERE id = 9010;
UPDATE node SET parent = 9001 WHERE id = 9003;
COMMIT;
SELECT * FROM oracle();
DO $$ BEGIN
    UPDATE node SET parent = 2 WHERE id = 40;
    RAISE EXCEPTION 'no';
EXCEPTION WHEN raise_exception THEN UPDATE node SET parent = 2 WHERE id = 41; END $$;
SELECT * FROM oracle();

-- NULL in what is looked at, rows that are equal, TRUNCATE
CREATE TABLE edge (a int, b int, w numeric);
INSERT INTO edge VALUES (1, 2, 1), (1, 2, 1), (2, NULL, 2), (NULL, 3, 3), (3, 4, NULL), (2, 3, 1);
CREATE TVIEW walks AS WITH RECURSIVE r AS (SELECT a, b, w FROM edge UNION ALL SELECT r.a, e.b, r.w + e.w FROM r JOIN edge e ON e.a IS NOT DISTINCT FROM r.b) SELECT * FROM r;
CREATE TVIEW ends AS WITH RECURSIVE r AS (SELECT a, b FROM edge UNION SELECT r.a, e.b FROM r LEFT JOIN edge e ON e.a = r.b) SELECT * FROM r;
DELETE FROM edge WHERE a IS NULL;
SELECT * FROM oracle();
INSERT INTO edge VALUES (4, NULL, 7), (0, 1, NULL);
DELETE FROM edge WHERE ctid = (SELECT min(ctid) FROM edge WHERE a = 1);
SELECT * FROM oracle();
UPDATE edge SET b = 5 WHERE b IS NULL;
SELECT * FROM oracle();
TRUNCATE edge;
SELECT * FROM oracle();
INSERT INTO edge SELECT i, i + 1, i FROM generate_series(1, 30) i;
SELECT count(*) FROM walks;
SELECT * FROM oracle();

-- sub-queries and outer joins in base and step; several tables, changed together; a recursion over another; a view with one
CREATE TABLE closed (id int PRIMARY KEY);
CREATE TABLE fee (id int PRIMARY KEY, amount int);
CREATE TVIEW open_walks AS WITH RECURSIVE r (id, fee) AS (
    SELECT min(a), 0 FROM edge WHERE NOT EXISTS (SELECT FROM closed c WHERE c.id = edge.a)
    UNION SELECT e.b, COALESCE(f.amount, 0) FROM r JOIN edge e ON e.a = r.id LEFT JOIN fee f ON f.id = e.b
     WHERE NOT EXISTS (SELECT FROM closed c WHERE c.id = e.b)) SELECT * FROM r;
CREATE VIEW from_one AS WITH RECURSIVE r (id) AS (SELECT 1 UNION SELECT b FROM r JOIN edge ON a = id) SELECT id FROM r;
CREATE TVIEW of_view AS SELECT v.id, f.amount FROM from_one v LEFT JOIN fee f ON f.id = v.id;
CREATE TVIEW twice AS WITH RECURSIVE r (id) AS (SELECT 1 UNION SELECT b FROM r JOIN edge ON a = id),
    s (id) AS (SELECT id FROM r WHERE id % 10 = 0 UNION SELECT c.id FROM s JOIN closed c ON c.id = s.id + 1) SELECT s.id FROM s;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'recursive' AND name IN ('open_walks', 'of_view', 'twice') ORDER BY name;
SELECT * FROM oracle();
INSERT INTO closed VALUES (20), (21), (31);
SELECT * FROM oracle();
BEGIN;
DELETE FROM closed WHERE id = 20;
INSERT INTO fee VALUES (10, 1), (20, 2), (21, 3);
UPDATE edge SET b = 25 WHERE a = 20;
COMMIT;
SELECT * FROM oracle();
DELETE FROM fee;
DELETE FROM edge WHERE a = 1;
SELECT * FROM oracle();

-- what is not followed
CREATE TVIEW equal_not_same AS WITH RECURSIVE r (a, w) AS (SELECT a, w::numeric FROM edge UNION SELECT e.b, r.w FROM r JOIN edge e ON e.a = r.a) SELECT * FROM r;
CREATE TVIEW searched AS WITH RECURSIVE r (id) AS (SELECT 1 UNION SELECT b FROM r JOIN edge ON a = id) CYCLE id SET c USING p SELECT id, c FROM r;
CREATE TVIEW numbers AS WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT r.n, e.b FROM r JOIN edge e ON e.a = r.n;
SELECT t.name, s.strategy, s.reason FROM tviews.tviews t, tviews.strategies(format('%I.%I', t.schema, t.name)::regclass) s
 WHERE t.schema = 'recursive' AND t.name IN ('equal_not_same', 'searched', 'numbers') ORDER BY 1;
UPDATE edge SET b = b + 1 WHERE a = 7;
SELECT * FROM oracle();
SELECT name, (tviews.verify(format('%I.%I', schema, name)::regclass)).ok FROM tviews.tviews WHERE schema = 'recursive' ORDER BY name;
-- SEARCH whose column nobody looks at but ORDER BY, and CYCLE whose path nobody looks at
CREATE TABLE link (a int, b int, note text);
CREATE INDEX ON link (a);
INSERT INTO link SELECT i, i + 1, 'n' || i FROM generate_series(1, 2000) i WHERE i % 10 <> 0;
INSERT INTO link SELECT i + 9, i + 4, NULL FROM generate_series(1, 1900, 10) i;
CREATE TVIEW in_depth WITH (mode = incremental) AS WITH RECURSIVE r AS (
    SELECT id, 0 AS depth FROM node WHERE parent IS NULL UNION ALL SELECT n.id, r.depth + 1 FROM r JOIN node n ON n.parent = r.id)
    SEARCH DEPTH FIRST BY id SET o SELECT id, depth FROM r ORDER BY o;
CREATE TVIEW in_breadth WITH (mode = incremental) AS WITH RECURSIVE r AS (
    SELECT id, name FROM node WHERE parent IS NULL UNION ALL SELECT n.id, r.name || n.name FROM r JOIN node n ON n.parent = r.id)
    SEARCH BREADTH FIRST BY name, id SET o SELECT count(*) AS n, max(name) AS last FROM r;
CREATE TVIEW circles WITH (mode = incremental) AS WITH RECURSIVE r (start, id) AS (
    SELECT a, b FROM link WHERE a % 10 = 1 UNION ALL SELECT r.start, l.b FROM r JOIN link l ON l.a = r.id) CYCLE id SET is_circle USING path
    SELECT start, id, is_circle FROM r;
CREATE TVIEW marked WITH (mode = incremental) AS WITH RECURSIVE r (id, note) AS (
    SELECT b, note FROM link WHERE a % 10 = 1 UNION ALL SELECT l.b, l.note FROM r JOIN link l ON l.a = r.id)
    SEARCH DEPTH FIRST BY id SET o CYCLE id, note SET mark TO 1 DEFAULT 0 USING path SELECT id, mark, count(*) AS ways FROM r GROUP BY id, mark;
CREATE TVIEW several WITH (mode = incremental) AS SELECT x.id, (WITH RECURSIVE r (id) AS (SELECT 1) SELECT max(id) FROM r) AS one, c.n FROM node x JOIN (
    WITH RECURSIVE r (id) AS (SELECT b FROM link WHERE a = 1 UNION ALL SELECT l.b FROM r JOIN link l ON l.a = r.id) CYCLE id SET c USING p SELECT id, count(*) AS n FROM r WHERE NOT c GROUP BY id) c ON c.id = x.id;
-- not: who looks at the columns, UNION, a base that groups, values whose texts differ when they are equal
SELECT v.q, c.strategy FROM (VALUES ('WITH RECURSIVE r (id) AS (SELECT 1 UNION ALL SELECT b FROM r JOIN link ON a = id) CYCLE id SET c USING p SELECT id, c, cardinality(p) FROM r'),
  ('WITH RECURSIVE r (id) AS (SELECT 1 UNION SELECT b FROM r JOIN link ON a = id) CYCLE id SET c USING p SELECT id, c FROM r'),
  ('WITH RECURSIVE r (id) AS (SELECT max(b) FROM link UNION ALL SELECT b FROM r JOIN link ON a = id) CYCLE id SET c USING p SELECT id, c FROM r'),
  ('WITH RECURSIVE r (id, w) AS (SELECT 1, 1::numeric UNION ALL SELECT b, b::numeric FROM r JOIN link ON a = id) CYCLE id, w SET c USING p SELECT id, c FROM r'),
  ('WITH RECURSIVE r (id) AS (SELECT 1 UNION ALL SELECT b FROM r JOIN link ON a = id WHERE b < 100) SEARCH DEPTH FIRST BY id SET o SELECT id FROM r ORDER BY o LIMIT 3'),
  ('WITH RECURSIVE r (id) AS (SELECT 1 UNION ALL SELECT b FROM r JOIN link ON a = id WHERE b < 100) SEARCH DEPTH FIRST BY id SET o SELECT id, o::text FROM r')) v(q), tviews.check(v.q) c;
SELECT name, strategies, internal_stages FROM tviews.tviews WHERE schema = 'recursive' AND name IN ('in_depth', 'in_breadth', 'circles', 'marked', 'several') ORDER BY name;
SELECT * FROM oracle();
SELECT count(*) AS flushed FROM cost();
INSERT INTO link VALUES (15, 12, 'a circle');
SELECT * FROM cost('circles', 'marked', 'several');
UPDATE link SET b = 3 WHERE a = 8;
SELECT * FROM cost('circles', 'marked', 'several');
DELETE FROM link WHERE a = 15;
SELECT * FROM cost('circles', 'marked', 'several');
UPDATE link SET note = NULL WHERE a BETWEEN 20 AND 29;
INSERT INTO link VALUES (31, 31, NULL), (NULL, 5, NULL), (5, NULL, 'x');
SELECT * FROM cost('circles', 'marked', 'several');
UPDATE node SET parent = 7 WHERE id = 4999;
DELETE FROM node WHERE id = 4998;
SELECT * FROM cost('in_depth', 'in_breadth');
BEGIN;
DELETE FROM link WHERE a % 100 < 5;
INSERT INTO link SELECT i, i - 3, 'back' FROM generate_series(6, 1000, 50) i;
COMMIT;
SELECT * FROM oracle();
-- marks that are texts: the server's text of this query cannot be read
CREATE TVIEW text_marks WITH (mode = incremental) AS WITH RECURSIVE r (id) AS (SELECT b FROM link WHERE a = 1 UNION ALL SELECT l.b FROM r JOIN link l ON l.a = r.id)
    CYCLE id SET mark TO 'circle' DEFAULT 'way' USING path SELECT id, mark FROM r;
INSERT INTO link VALUES (4, 2, NULL), (1, 4, NULL);
SELECT mark, count(*) FROM text_marks GROUP BY mark ORDER BY mark;
SELECT ok FROM tviews.verify('text_marks');
DROP TVIEW text_marks;
-- followed later
CREATE TVIEW later WITH (refresh = manual) AS WITH RECURSIVE r (id, above) AS (
    SELECT id, parent FROM node UNION SELECT r.id, n.parent FROM r JOIN node n ON n.id = r.above) SELECT * FROM r;
UPDATE node SET parent = 8 WHERE id IN (16, 17);
DELETE FROM node WHERE id IN (64, 512);
UPDATE node SET parent = 2 WHERE parent = 64;
REFRESH MATERIALIZED VIEW later;
SELECT * FROM oracle('later');
SELECT full_recomputes FROM tviews.stat WHERE tview = 'later'::regclass;
DROP SCHEMA recursive CASCADE;
