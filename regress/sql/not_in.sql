-- NOT IN among columns that cannot be NULL is looked up by index; when they can be, it is followed as it is written. A value that many rows are compared with
-- finds by an index the rows between what it was and what it is.
CREATE SCHEMA not_in;
SET search_path = not_in, public;
SET client_min_messages = warning;
CREATE TABLE item (id int PRIMARY KEY, part int NOT NULL, supplier int NOT NULL, other int, price int NOT NULL);
CREATE TABLE blocked (supplier int NOT NULL, why text, other int);
INSERT INTO item SELECT i, i % 50, i % 20, nullif(i % 9, 0), i % 100 FROM generate_series(1, 2000) i;
INSERT INTO blocked SELECT i, CASE WHEN i % 3 = 0 THEN 'late' ELSE 'dear' END, i FROM generate_series(1, 15) i;
CREATE INDEX ON item (part); CREATE INDEX ON item (supplier); CREATE INDEX ON blocked (supplier);
CREATE FUNCTION in_plans(tview regclass, words text) RETURNS boolean LANGUAGE sql AS $$ SELECT coalesce(bool_or(line LIKE '%' || words || '%'), false) FROM tviews.explain(tview) line $$;

CREATE TVIEW wanted AS SELECT part, count(*) AS n, sum(price) AS price FROM item WHERE supplier NOT IN (SELECT supplier FROM blocked WHERE why = 'late') GROUP BY part;
CREATE TVIEW all_differ AS SELECT id FROM item i WHERE supplier <> ALL (SELECT b.supplier FROM blocked b WHERE b.other < i.part);
CREATE TVIEW nullable_inside AS SELECT id FROM item WHERE supplier NOT IN (SELECT other FROM blocked);
CREATE TVIEW nullable_outside AS SELECT id FROM item WHERE other NOT IN (SELECT supplier FROM blocked WHERE why = 'late');
CREATE TVIEW null_extended AS SELECT i.id FROM item i LEFT JOIN blocked b ON b.supplier = i.supplier WHERE b.supplier NOT IN (SELECT part FROM item WHERE price = 99) OR i.id < 5;
CREATE TVIEW extended_alone AS SELECT i.id FROM item i LEFT JOIN blocked b ON b.supplier = i.supplier WHERE b.supplier NOT IN (SELECT part FROM item WHERE price = 99);
SELECT in_plans('wanted', 'NOT IN') OR in_plans('wanted', 'ANY') AS as_written, in_plans('wanted', 'EXISTS') AS exists;
SELECT tview, ok FROM tviews.verify_all() ORDER BY tview::text;
INSERT INTO item VALUES (3000, 1, 3, 3, 5), (3001, 1, 19, NULL, 5);
INSERT INTO blocked VALUES (19, 'late', 19);
DELETE FROM blocked WHERE supplier = 3;
UPDATE item SET price = 98 WHERE price = 99 AND part < 30;
SELECT tview, ok FROM tviews.verify_all() ORDER BY tview::text;
-- NULLs may come: NOT IN is true for no row from the first one on
ALTER TABLE blocked ALTER supplier DROP NOT NULL;
INSERT INTO blocked VALUES (NULL, 'late', NULL);
SELECT count(*) FROM wanted;
SELECT tview, ok FROM tviews.verify_all() ORDER BY tview::text;
ALTER TABLE item ALTER supplier DROP NOT NULL;
INSERT INTO item VALUES (3002, 1, NULL, 3, 5);
SELECT tview, ok FROM tviews.verify_all() ORDER BY tview::text;
DELETE FROM blocked WHERE supplier IS NULL;
SELECT count(*) FROM wanted;
SELECT tview, ok FROM tviews.verify_all() ORDER BY tview::text;
-- and not any more
DELETE FROM item WHERE supplier IS NULL;
ALTER TABLE blocked ALTER supplier SET NOT NULL; ALTER TABLE item ALTER supplier SET NOT NULL;
INSERT INTO blocked VALUES (7, 'late', 1);
UPDATE item SET supplier = 7 WHERE id % 10 = 0;
SELECT tview, ok FROM tviews.verify_all() ORDER BY tview::text;
SELECT in_plans('wanted', 'NOT IN') OR in_plans('wanted', 'ANY') AS as_written, in_plans('wanted', 'EXISTS') AS exists;
SELECT tview, full_recomputes FROM tviews.stat WHERE full_recomputes > 0 ORDER BY tview::text;
SELECT tview, ok FROM tviews.verify_all() ORDER BY tview::text;
DROP TVIEW wanted, all_differ, nullable_inside, nullable_outside, null_extended, extended_alone;

CREATE TVIEW above WITH (mode = incremental) AS SELECT part, sum(price) AS price FROM item GROUP BY part HAVING sum(price) > (SELECT sum(price) / 50 FROM item);
SELECT count(*) AS indexes FROM pg_index x JOIN tviews.stage s ON s.stage = x.indrelid WHERE s.tview = 'above'::regclass;
UPDATE item SET price = price + 100 WHERE id = 7;
UPDATE item SET price = price + 3 WHERE id % 5 = 0;
DELETE FROM item WHERE part < 3;
SELECT ok, (SELECT full_recomputes FROM tviews.stat WHERE tview = 'above'::regclass) FROM tviews.verify('above');
-- a NOT NULL that those who inherit do not have
CREATE TABLE heir () INHERITS (blocked);
CREATE TVIEW inherited AS SELECT id FROM item WHERE supplier NOT IN (SELECT supplier FROM blocked);
SELECT in_plans('inherited', 'EXISTS') AS exists;
INSERT INTO heir VALUES (11, 'late', 1);
SELECT tview, ok FROM tviews.verify_all() ORDER BY tview::text;
DROP SCHEMA not_in CASCADE;
