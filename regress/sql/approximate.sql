-- Option approximate: floating-point sums are folded, and may differ from the query in their last digits; without it their group is recomputed.
CREATE SCHEMA approximate;
SET search_path = approximate, public;
CREATE TABLE item (id int PRIMARY KEY, grp int, x float8, y real);
INSERT INTO item SELECT i, i % 20, i * 0.5, i * 0.25 FROM generate_series(1, 2000) i;
CREATE INDEX ON item (grp);
CREATE TVIEW exact AS SELECT grp, sum(x) AS s, avg(x) AS a, sum(y) AS sy, avg(y) AS ay, count(x) AS c FROM item GROUP BY grp;
CREATE TVIEW folded WITH (approximate = on) AS SELECT grp, sum(x) AS s, avg(x) AS a, sum(y) AS sy, avg(y) AS ay, count(x) AS c FROM item GROUP BY grp;
CREATE TVIEW deviation WITH (approximate = on) AS SELECT grp, stddev(x) AS d FROM item GROUP BY grp;
CREATE TVIEW staged WITH (approximate = on) AS SELECT grp, s FROM (SELECT grp, sum(x) AS s FROM item GROUP BY grp) i WHERE s > 49000;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'approximate' ORDER BY name;
SELECT e AS explain FROM tviews.explain('exact') e WHERE e LIKE '%item: %';
SELECT e AS explain FROM tviews.explain('folded') e WHERE e LIKE '%item: %';
SELECT * FROM cost();

-- Halves and quarters have exact sums.
INSERT INTO item VALUES (3000, 3, 2.5, 0.25);
UPDATE item SET x = x + 1 WHERE id IN (4, 5);
SELECT * FROM cost();
DELETE FROM item WHERE id = 3000;
UPDATE item SET x = NULL WHERE grp = 6;
SELECT * FROM folded WHERE grp = 6;
SELECT * FROM cost();
-- NaN and infinity would never leave a sum again: the group is recomputed.
UPDATE item SET x = 'NaN', y = 'Infinity' WHERE id = 7;
SELECT s, a, sy, ay FROM folded WHERE grp = 7;
UPDATE item SET x = 3.5, y = 1.75 WHERE id = 7;
SELECT s, a, sy, ay FROM folded WHERE grp = 7;
SELECT * FROM cost();
DROP TVIEW staged;
-- A large value takes the small ones with it: this is what approximate means. rebuild brings them back.
UPDATE item SET x = 1e100 WHERE id = 8;
UPDATE item SET x = 4 WHERE id = 8;
SELECT (SELECT s FROM exact WHERE grp = 8) AS exact, (SELECT s FROM folded WHERE grp = 8) AS folded;
SELECT ok FROM tviews.verify('exact');
SELECT tview, missing, extra, ok FROM tviews.verify('folded');
SELECT tviews.rebuild('folded');
SELECT tview, missing, extra, ok FROM tviews.verify('folded');
SELECT tviews.stat_reset();

-- The option can be changed, and must be a truth value.
ALTER TVIEW folded RESET (approximate);
UPDATE item SET x = 1e100 WHERE id = 9;
UPDATE item SET x = 4 WHERE id = 9;
SELECT * FROM oracle('folded');
ALTER TVIEW folded SET (approximate = perhaps);

SET client_min_messages = warning;
DROP SCHEMA approximate CASCADE;
