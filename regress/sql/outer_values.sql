-- Outer joins that compare with a value of a LATERAL item, with the rows of IN and EXISTS, inside of views and sub-queries of FROM.
CREATE SCHEMA outer_values;
SET search_path = outer_values, public;
CREATE TABLE parent (id int PRIMARY KEY, g int, n int);
CREATE TABLE child (id int PRIMARY KEY, parent int, usr int, score int);
CREATE TABLE usr (id int PRIMARY KEY, name text, lim int);
CREATE TABLE mark (child int, lim int, PRIMARY KEY (child, lim));
CREATE INDEX ON child (parent, id);
CREATE INDEX ON child (usr);
CREATE INDEX ON parent (g);
CREATE INDEX ON usr (lim);
CREATE INDEX ON mark (lim);
INSERT INTO parent SELECT i, i % 100, i % 7 FROM generate_series(1, 100) i;
INSERT INTO child SELECT i, 1 + i % 95, nullif(i % 90, 0), i % 7 FROM generate_series(1, 300) i;
INSERT INTO usr SELECT i, 'user ' || i, i % 100 FROM generate_series(1, 89) i;
INSERT INTO mark SELECT i, i % 100 FROM generate_series(1, 300, 3) i;
ANALYZE;

CREATE TVIEW latest WITH (mode = incremental) AS SELECT p.id, c.score FROM parent p
    LEFT JOIN LATERAL (SELECT max(id) AS m FROM child WHERE child.parent = p.id) x ON true LEFT JOIN child c ON c.id = x.m;
CREATE TVIEW with_number WITH (mode = incremental) AS SELECT p.id, x.m, x.n, c.score, u.name FROM parent p
    CROSS JOIN LATERAL (SELECT max(id) AS m, count(*) AS n FROM child WHERE child.parent = p.id) x LEFT JOIN child c ON c.id = x.m LEFT JOIN usr u ON u.id = c.usr;
CREATE TVIEW best WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM parent p
    LEFT JOIN LATERAL (SELECT max(score) AS m FROM child WHERE child.parent = p.id) x ON true LEFT JOIN child c ON c.parent = p.id AND c.score = x.m WHERE p.g < 50;
CREATE TVIEW in_groups WITH (mode = incremental) AS SELECT p.g, count(c.id) AS n, sum(c.score) AS s FROM parent p
    LEFT JOIN LATERAL (SELECT min(id) AS m FROM child WHERE child.parent = p.id) x ON true LEFT JOIN child c ON c.id = x.m GROUP BY p.g;
-- a column without an aggregate: as many rows as the item would have without the others
CREATE TVIEW beside AS SELECT p.id, c.id AS child FROM parent p
    LEFT JOIN LATERAL (SELECT count(*) AS n, (SELECT max(u.lim) FROM usr u WHERE u.lim < p.g) AS m FROM child WHERE child.parent = p.id) x ON true LEFT JOIN child c ON c.id = x.m WHERE x.n > 1;
CREATE TVIEW of_pairs WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM parent p
    LEFT JOIN child c ON EXISTS (SELECT FROM mark m WHERE m.child = c.id AND m.lim = p.g);
CREATE TVIEW marked WITH (mode = incremental) AS SELECT p.id, c.id AS child, c.usr FROM parent p LEFT JOIN child c ON c.id IN (SELECT m.child FROM mark m WHERE m.lim = p.g);
CREATE TVIEW as_row WITH (mode = incremental) AS SELECT p.id, c.id AS child FROM child c
    RIGHT JOIN parent p ON (c.id, c.usr) = ANY (SELECT m.child, u.id FROM mark m JOIN usr u ON u.lim = m.lim WHERE u.lim = p.g) WHERE p.id < 30;
CREATE VIEW last_child AS SELECT p.id, p.g, c.id AS child, c.usr FROM parent p LEFT JOIN child c ON c.id = (SELECT max(id) FROM child x WHERE x.parent = p.id);
CREATE TVIEW of_view WITH (mode = incremental) AS SELECT * FROM last_child;
CREATE TVIEW of_view_joined WITH (mode = incremental) AS SELECT l.id, l.child, u.name FROM last_child l LEFT JOIN usr u ON u.id = l.usr WHERE l.g < 60;
CREATE TVIEW of_view_between WITH (mode = incremental) AS SELECT u.id AS usr, l.id, l.child FROM usr u JOIN last_child l ON l.g = u.lim JOIN mark m ON m.child = l.child;
CREATE TVIEW of_view_grouped WITH (mode = incremental) AS SELECT x.g, count(x.child) AS n FROM (SELECT g, child FROM last_child WHERE id > 5) x GROUP BY x.g;
CREATE TVIEW of_view_inside WITH (mode = incremental) AS SELECT l.id, (SELECT count(*) FROM mark m WHERE m.child = l.child) AS marks FROM last_child l
    WHERE EXISTS (SELECT FROM usr u WHERE u.lim = l.g);
-- not: a FULL join. A view that an outer join null-extends is a stage
SELECT base_table, strategy, reason FROM tviews.check('SELECT p.id, c.id AS child FROM parent p FULL JOIN child c ON c.id = (SELECT max(id) FROM child x WHERE x.parent = p.id)');
SELECT base_table, strategy, reason FROM tviews.check('SELECT u.id, l.id AS parent, l.child FROM usr u LEFT JOIN last_child l ON l.g = u.lim');
SELECT name, strategies, internal_stages FROM tviews.tviews WHERE schema = 'outer_values' ORDER BY name;
SELECT * FROM oracle();
SELECT * FROM cost();

-- a new latest one, one that moves, the first and the last one of a parent
INSERT INTO child VALUES (9001, 17, 5, 3);
SELECT * FROM cost();
UPDATE child SET parent = 18, score = 9 WHERE id = 9001;
SELECT * FROM cost();
DELETE FROM child WHERE id = 9001;
INSERT INTO child VALUES (9002, 98, NULL, 1);
DELETE FROM child WHERE parent = 20;
SELECT * FROM cost();
-- what IN and EXISTS read
INSERT INTO mark VALUES (9002, 60), (30, 61);
SELECT * FROM cost();
UPDATE mark SET lim = lim + 1 WHERE child = 151;
SELECT * FROM cost();
DELETE FROM mark WHERE child IN (151, 154);
UPDATE usr SET lim = 3 WHERE id = 7;
SELECT * FROM cost();
UPDATE parent SET g = 55 WHERE id = 77;
DELETE FROM parent WHERE id = 78;
INSERT INTO parent VALUES (2000, 61, 1);
SELECT * FROM cost();
-- together
BEGIN;
INSERT INTO parent VALUES (9001, 1, 1);
INSERT INTO child VALUES (9003, 9001, 3, 3), (9004, 9001, 4, 3), (9005, 17, 4, 8);
UPDATE usr SET lim = 1 WHERE id IN (3, 4);
INSERT INTO mark VALUES (9003, 1), (9005, 17);
DELETE FROM child WHERE id % 17 = 0;
SELECT * FROM oracle();
UPDATE child SET id = 20000 + id WHERE parent BETWEEN 30 AND 40;
UPDATE mark SET child = 20000 + child WHERE child IN (SELECT id - 20000 FROM child);
DELETE FROM parent WHERE id % 13 = 0;
COMMIT;
SELECT * FROM oracle();
UPDATE child SET parent = nullif(parent, 50), id = -id WHERE parent IN (50, 51);
DELETE FROM mark;
SELECT * FROM oracle();
SELECT count(*) AS differing FROM tviews.verify_all() WHERE NOT ok;
SET client_min_messages = warning;
DROP SCHEMA outer_values CASCADE;
