-- Virtual generated columns, which 18 has: followed by the columns that they are computed from. Before 18 the columns are stored.
CREATE SCHEMA virtual_columns;
SET search_path = virtual_columns, public;
SELECT CASE WHEN current_setting('server_version_num')::int >= 180000 THEN 'VIRTUAL' ELSE 'STORED' END AS kind \gset
\set ECHO none
CREATE TABLE item (id int PRIMARY KEY, grp int, price numeric, number int, name text, unused int,
    total numeric(10, 2) GENERATED ALWAYS AS (price * number) :kind,
    shown text GENERATED ALWAYS AS (coalesce(name, '-') || '!') :kind,
    short varchar(8) GENERATED ALWAYS AS (name || '.') :kind,
    wide bigint GENERATED ALWAYS AS (number) :kind);
CREATE TABLE parted (id int, v int, twice int GENERATED ALWAYS AS (v * 2) :kind) PARTITION BY RANGE (id);
\set ECHO all
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (1000);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (1000) TO (10000);
CREATE TABLE grp (id int PRIMARY KEY, total numeric, name text);
CREATE INDEX ON item (grp);
INSERT INTO grp SELECT i, i, 'grp ' || i FROM generate_series(1, 100) i;
INSERT INTO item SELECT i, nullif(i % 90 + 1, 7), i % 13, i % 5, nullif('n' || i % 9, 'n3') FROM generate_series(1, 2000) i;
INSERT INTO parted SELECT i, i % 7 FROM generate_series(1, 2000) i;
ANALYZE;

CREATE TVIEW rows WITH (mode = incremental) AS SELECT id, total, shown, short, wide FROM item WHERE wide < 4;
CREATE TVIEW bag WITH (mode = incremental) AS SELECT total, shown FROM item;
CREATE TVIEW sums WITH (mode = incremental) AS SELECT grp, sum(total) AS total, max(shown) AS shown FROM item GROUP BY grp;
CREATE TVIEW by_it WITH (mode = incremental) AS SELECT total, count(*) AS n FROM item GROUP BY total HAVING count(*) > 20;
-- NULL where there is no item, whatever the expression makes of NULLs
CREATE TVIEW outer_rows WITH (mode = incremental) AS SELECT g.id, i.id AS item, i.total, i.wide, i.shown FROM grp g LEFT JOIN item i ON i.grp = g.id AND i.total > 10;
CREATE TVIEW outer_sums WITH (mode = incremental) AS SELECT g.id, sum(i.total) AS total, count(i.shown) AS shown FROM grp g LEFT JOIN item i ON i.grp = g.id GROUP BY g.id;
CREATE TVIEW inside WITH (mode = incremental) AS SELECT g.id, (SELECT sum(i.total) FROM item i WHERE i.grp = g.id) AS total,
    EXISTS (SELECT FROM item i WHERE i.grp = g.id AND i.shown = '-!' AND i.total = g.total) AS has FROM grp g;
CREATE TVIEW documents WITH (mode = incremental) AS SELECT id, to_jsonb(item) AS doc FROM item;
CREATE TVIEW tree WITH (mode = incremental) AS SELECT id, twice FROM parted WHERE twice > 3;
SELECT name, strategies, internal_stages FROM tviews.tviews WHERE schema = 'virtual_columns' ORDER BY name;
SELECT * FROM oracle();
SELECT * FROM cost();

UPDATE item SET number = 3, name = NULL WHERE id = 10;
SELECT * FROM cost();
UPDATE item SET unused = 1;
SELECT * FROM cost();
INSERT INTO item VALUES (5000, 100, 5, 3, 'new'), (5001, 7, 5, NULL, NULL);
SELECT * FROM cost();
-- the last item of a group
DELETE FROM item WHERE id = 5000;
SELECT * FROM cost();
CREATE TVIEW merged WITH (mode = incremental) AS SELECT total, g.id, i.id AS item FROM grp g FULL JOIN item i USING (total);
UPDATE item SET price = 4, grp = 100 WHERE id IN (20, 21);
UPDATE grp SET total = 12 WHERE id IN (100, 99);
SELECT * FROM oracle();
SELECT count(*) FROM cost();
UPDATE parted SET v = 3 WHERE id IN (10, 1500);
UPDATE parted_low SET v = 6, id = 999 WHERE id = 999;
SELECT * FROM cost();
BEGIN;
UPDATE item SET number = number + 1 WHERE id = 30;
UPDATE grp SET total = total + 1 WHERE id = 31;
SELECT * FROM oracle();
ROLLBACK;
-- a value that the column does not take
DO $$ BEGIN
    UPDATE item SET name = 'much too long' WHERE id = 11;
    PERFORM FROM rows;
EXCEPTION WHEN string_data_right_truncation THEN RAISE INFO 'too long';
END $$;
SELECT * FROM oracle();

-- the whole row of a table that an outer join null-extends
SET client_min_messages = warning;
CREATE TVIEW outer_documents AS SELECT g.id, i.id AS item, to_jsonb(i) AS doc FROM grp g LEFT JOIN item i ON i.grp = g.id;
-- another expression, over other columns: with stages, and through a tree
DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        EXECUTE 'ALTER TABLE item ALTER total SET EXPRESSION AS (number + id), ALTER wide SET EXPRESSION AS (grp)';
        EXECUTE 'ALTER TABLE parted ALTER twice SET EXPRESSION AS (id * 2)';
    END IF;
END $$;
SELECT * FROM oracle();
UPDATE item SET id = 6000 WHERE id = 12;
UPDATE item SET grp = 2 WHERE id = 13;
UPDATE parted SET id = 998 WHERE id = 5;
SELECT * FROM oracle();
-- a sub-query looks at the groups of one: these are not groups of what it is computed from
CREATE TVIEW wides AS SELECT i.wide, count(*) AS n, ARRAY(SELECT p.id FROM parted p WHERE p.twice = i.wide ORDER BY p.id) AS ids FROM item i GROUP BY i.wide;
CREATE TVIEW wides_with AS SELECT i.wide, i.short, sum(i.grp) AS sum FROM item i GROUP BY i.wide, i.short HAVING EXISTS (SELECT FROM parted p WHERE p.twice = i.wide);
SELECT max(n) AS most FROM (SELECT count(*) AS n FROM wides GROUP BY wide) x;
SELECT * FROM oracle();
UPDATE item SET number = number + 1, grp = grp + 1 WHERE id % 3 = 0;
DELETE FROM parted WHERE id % 2 = 0;
SELECT max(n) AS most FROM (SELECT count(*) AS n FROM wides GROUP BY wide) x;
SELECT * FROM oracle();
SELECT count(*) AS differing FROM tviews.verify_all() WHERE NOT ok;
SET client_min_messages = warning;
DROP SCHEMA virtual_columns CASCADE;
