-- Values for which folding is not the obvious thing: extrema that go, NaN and infinities, numeric scale, equal keys that are not the same.
CREATE SCHEMA fold_values;
SET search_path = fold_values, public;
CREATE TABLE item (id int PRIMARY KEY, grp int, n int, price numeric, span interval, amount money);
INSERT INTO item SELECT i, i % 20, i % 50, i * 0.25, make_interval(mins => i), i::money FROM generate_series(1, 2000) i;
CREATE INDEX ON item (grp);
CREATE TVIEW extrema AS SELECT grp, min(n) AS lo, max(n) AS hi FROM item GROUP BY grp;
CREATE TVIEW of_all AS SELECT min(n) AS lo, max(n) AS hi FROM item;
CREATE TVIEW prices AS SELECT grp, sum(price) AS s, avg(price) AS a, min(price) AS lo, count(price) AS c FROM item GROUP BY grp;
CREATE TVIEW spans AS SELECT grp, sum(span) AS s, avg(span) AS a, max(span) AS hi, sum(amount) AS m FROM item GROUP BY grp;
CREATE TVIEW by_price AS SELECT price, count(*) AS c FROM item GROUP BY price;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'fold_values' ORDER BY name;
SELECT * FROM cost();

-- An extremum is passed: folded. It goes, alone or as one of two: the group is recomputed, and without GROUP BY the whole query.
UPDATE item SET n = 60 WHERE id = 7;
SELECT * FROM cost('extrema', 'of_all');
UPDATE item SET n = 61 WHERE id IN (27, 47);
SELECT * FROM cost('extrema', 'of_all');
DELETE FROM item WHERE id = 27;
SELECT * FROM extrema WHERE grp = 7;
SELECT * FROM cost('extrema', 'of_all');
DELETE FROM item WHERE id = 47;
SELECT * FROM extrema WHERE grp = 7;
SELECT * FROM cost('extrema', 'of_all');
-- deleted and inserted again, swapped with another one, all of its group, in one transaction
BEGIN;
DELETE FROM item WHERE id = 7;
INSERT INTO item VALUES (7, 7, 60, 1.75);
UPDATE item SET n = 109 - n WHERE id IN (49, 60);
COMMIT;
SELECT * FROM cost('extrema', 'of_all');
BEGIN;
DELETE FROM item WHERE grp = 8;
INSERT INTO item VALUES (3000, 8, 5, 1), (3001, 8, NULL, 1);
COMMIT;
SELECT * FROM extrema WHERE grp = 8;
SELECT * FROM cost('extrema');
UPDATE item SET n = NULL WHERE grp = 8;
SELECT * FROM extrema WHERE grp = 8;
SELECT * FROM cost('extrema');

-- NaN and infinities come and go
UPDATE item SET price = 'NaN' WHERE id = 9;
UPDATE item SET price = CASE id WHEN 10 THEN 'Infinity' ELSE '-Infinity' END::numeric WHERE id IN (10, 30, 11);
SELECT grp, s, a FROM prices WHERE grp IN (9, 10, 11) ORDER BY grp;
SELECT * FROM cost('prices');
UPDATE item SET price = 1.5 WHERE id IN (9, 10, 11, 30);
SELECT grp, s, a FROM prices WHERE grp IN (9, 10, 11) ORDER BY grp;
SELECT * FROM cost('prices');

-- the scale of a sum is that of its widest value: when that goes, the group is recomputed
INSERT INTO item (id, grp, price) VALUES (4000, 12, 1.00000), (4001, 12, 0.000);
SELECT s FROM prices WHERE grp = 12;
DELETE FROM item WHERE id = 4000;
SELECT s FROM prices WHERE grp = 12;
UPDATE item SET price = price * 1.0 WHERE id = 4001;
SELECT s FROM prices WHERE grp = 12;
SELECT * FROM cost('prices');

-- intervals, money, and NULLs between them
UPDATE item SET span = span + interval '1 month', amount = NULL WHERE id IN (13, 33);
UPDATE item SET span = NULL WHERE id = 53;
SELECT * FROM cost('spans');
DELETE FROM item WHERE grp = 13 AND id > 60;
SELECT grp, s, a, hi FROM spans WHERE grp = 13;
SELECT * FROM cost('spans');

-- 1.5 and 1.50 are one group, which shows one that is there
INSERT INTO item (id, grp, price) VALUES (5000, 14, 7000.5);
INSERT INTO item (id, grp, price) VALUES (5001, 14, 7000.50);
SELECT * FROM by_price WHERE price = 7000.5;
SELECT * FROM cost('by_price');
DELETE FROM item WHERE id = 5000;
SELECT * FROM by_price WHERE price = 7000.5;
SELECT * FROM cost('by_price');
INSERT INTO item (id, grp, price) VALUES (5002, 14, 7000.500);
DELETE FROM item WHERE id = 5001;
SELECT * FROM by_price WHERE price = 7000.5;
SELECT * FROM cost('by_price');

SET client_min_messages = warning;
DROP SCHEMA fold_values CASCADE;
