-- Sub-queries in the condition of an outer join: the latest child of each parent, and conditions about both sides.
CREATE SCHEMA outer_conditions;
SET search_path = outer_conditions, public;
CREATE TABLE parent (id int PRIMARY KEY, g int, n int);
CREATE TABLE child (id int PRIMARY KEY, parent int, usr int, score int, unused int);
CREATE TABLE usr (id int PRIMARY KEY, name text, lim int);
CREATE INDEX ON child (parent, id);
CREATE INDEX ON child (usr);
INSERT INTO parent SELECT i, i % 10, i % 7 FROM generate_series(1, 2000) i;
INSERT INTO child SELECT i, 1 + i % 1900, nullif(i % 90, 0), i % 7 FROM generate_series(1, 8000) i;
INSERT INTO usr SELECT i, 'user ' || i, i % 10 FROM generate_series(1, 89) i;
ANALYZE;

CREATE TVIEW latest WITH (mode = incremental) AS SELECT p.id, c.id AS child, c.score FROM parent p LEFT JOIN child c ON c.id = (SELECT max(id) FROM child x WHERE x.parent = p.id);
CREATE TVIEW hidden WITH (mode = incremental) AS SELECT p.id, c.score FROM parent p LEFT JOIN child c ON c.id = (SELECT min(id) FROM child x WHERE x.parent = p.id);
CREATE TVIEW with_user WITH (mode = incremental) AS SELECT p.id, c.id AS child, u.name FROM parent p
    LEFT JOIN child c ON c.id = (SELECT max(id) FROM child x WHERE x.parent = p.id) LEFT JOIN usr u ON u.id = c.usr;
CREATE TVIEW best WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM parent p LEFT JOIN child c ON c.id = (SELECT x.id FROM child x WHERE x.parent = p.id ORDER BY score DESC, id LIMIT 1);
CREATE TVIEW all_best WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM child c RIGHT JOIN parent p ON c.parent = p.id AND c.score = (SELECT max(score) FROM child x WHERE x.parent = p.id);
CREATE TVIEW answers WITH (mode = incremental) AS SELECT c.id, r.id AS answer FROM child c LEFT JOIN child r ON r.id = (SELECT min(id) FROM child x WHERE x.parent = c.id AND x.id > c.id) WHERE c.score > 1;
CREATE TVIEW counts WITH (mode = incremental) AS SELECT p.g, count(c.id) AS children, sum(c.score) AS score FROM parent p LEFT JOIN child c ON c.id = (SELECT max(id) FROM child x WHERE x.parent = p.id) GROUP BY p.g;
CREATE TVIEW of_both WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM parent p LEFT JOIN child c ON c.parent = p.id AND EXISTS (SELECT FROM usr u WHERE u.id = c.usr AND u.lim = p.g);
CREATE TVIEW among WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM parent p LEFT JOIN child c ON c.parent = p.id AND c.usr NOT IN (SELECT id FROM usr u WHERE u.lim = p.n) WHERE p.g < 5;
-- also by rows of EXISTS; not: below the nullable side of another one
SELECT base_table, strategy, reason FROM tviews.check('SELECT p.id, c.id AS child FROM parent p LEFT JOIN child c ON EXISTS (SELECT FROM usr u WHERE u.id = c.usr AND u.lim = p.g)');
SELECT base_table, strategy, reason FROM tviews.check('SELECT u.id, p.id AS parent, c.id AS child FROM usr u LEFT JOIN (parent p LEFT JOIN child c ON c.id = (SELECT max(id) FROM child x WHERE x.parent = p.id)) ON p.n = u.lim');
SELECT name, strategies, internal_stages FROM tviews.tviews WHERE schema = 'outer_conditions' ORDER BY name;
SELECT * FROM oracle();
SELECT * FROM cost();

-- a new latest one, an older one, one that is not looked at
INSERT INTO child VALUES (9001, 17, 5, 3);
SELECT * FROM cost();
INSERT INTO child VALUES (0, 18, 5, 3);
SELECT * FROM cost();
UPDATE child SET unused = 1;
SELECT * FROM cost();
-- it moves, and with it the row that it is in
UPDATE child SET parent = 18, score = 9 WHERE id = 9001;
SELECT * FROM cost();
DELETE FROM child WHERE id = 9001;
SELECT * FROM cost();
-- the first and the last child of a parent
INSERT INTO child VALUES (9002, 1950, NULL, 1);
DELETE FROM child WHERE parent = 20;
SELECT * FROM cost();
UPDATE usr SET lim = lim + 1 WHERE id = 7;
SELECT * FROM cost();
DELETE FROM usr WHERE id = 8;
INSERT INTO parent VALUES (9000, 3, 3);
SELECT * FROM cost();
-- together, and the number of a child, which parents know
BEGIN;
INSERT INTO parent VALUES (9001, 1, 1);
INSERT INTO child VALUES (9003, 9001, 3, 3), (9004, 9001, 4, 3), (9005, 17, 4, 8);
UPDATE usr SET lim = 1 WHERE id IN (3, 4);
DELETE FROM child WHERE id % 7 = 0;
SELECT * FROM oracle();
UPDATE child SET id = 20000 + id WHERE parent BETWEEN 30 AND 40;
DELETE FROM parent WHERE id % 11 = 0;
COMMIT;
SELECT * FROM oracle();
UPDATE child SET parent = nullif(parent, 50), id = -id WHERE parent IN (50, 51);
SELECT * FROM oracle();
SELECT count(*) AS differing FROM tviews.verify_all() WHERE NOT ok;
SET client_min_messages = warning;
DROP SCHEMA outer_conditions CASCADE;
