-- Groups with more state than fits beside their columns: many aggregates, long states of short results.
CREATE SCHEMA many_states;
SET search_path = many_states, public;
CREATE TABLE sale (id int PRIMARY KEY, shop int NOT NULL, day int NOT NULL, amount int NOT NULL, note text);
INSERT INTO sale SELECT i, i % 3, i % 7, i % 11, repeat('x', i % 5) FROM generate_series(1, 100) i;

-- A pivot: 220 sums of integers beside each other. Values in all of them do not make the row too long for its page.
DO $$
BEGIN
    EXECUTE format('CREATE TVIEW pivot AS SELECT shop, %s FROM sale GROUP BY shop', (SELECT
        string_agg(format('sum(amount) FILTER (WHERE day = %s) AS d%s', d, d), ', ' ORDER BY d) FROM generate_series(1, 220) d));
END $$;
SELECT strategies FROM tviews.tviews WHERE name = 'pivot';
INSERT INTO sale SELECT 1000 + d, 1, d, d % 13 FROM generate_series(1, 220) d;
INSERT INTO sale SELECT 2000 + d, 7, d, 2000000000 FROM generate_series(1, 220) d;
UPDATE sale SET amount = amount + 1 WHERE day % 3 = 0;
DELETE FROM sale WHERE id % 4 = 0;
SELECT * FROM oracle('pivot');
SELECT d1, d3, d219 FROM pivot WHERE shop = 7;

-- 800 aggregates of 800 columns.
DO $$
DECLARE
    c int[] := ARRAY(SELECT generate_series(1, 800));
BEGIN
    EXECUTE format('CREATE TABLE wide (id int PRIMARY KEY, g int, %s)', (SELECT string_agg(format('c%s int', i), ', ') FROM unnest(c) i));
    EXECUTE format('INSERT INTO wide SELECT i, i %% 3, %s FROM generate_series(1, 20) i', (SELECT string_agg(format('i * %s', i), ', ') FROM unnest(c) i));
    EXECUTE format('CREATE TVIEW wide_sums AS SELECT g, %s FROM wide GROUP BY g', (SELECT string_agg(format('sum(c%1$s) AS s%1$s', i), ', ') FROM unnest(c) i));
END $$;
SELECT strategies FROM tviews.tviews WHERE name = 'wide_sums';
UPDATE wide SET c1 = 5, c800 = -7 WHERE id % 2 = 0;
DELETE FROM wide WHERE id = 3;
SELECT * FROM oracle('wide_sums');
SELECT g, s1, s400, s800 FROM wide_sums ORDER BY g;

-- More than rows have columns: the groups are recomputed.
DO $$
BEGIN
    EXECUTE format('CREATE TVIEW wider AS SELECT g, %s FROM wide GROUP BY g', (SELECT
        string_agg(format('bool_and(c%1$s > 0) AS a%1$s, bool_or(c%1$s > 9 * %1$s) AS o%1$s', i), ', ') FROM generate_series(1, 799) i));
END $$;
SELECT strategies FROM tviews.tviews WHERE name = 'wider';
UPDATE wide SET c1 = c1 + 1 WHERE id < 7;
SELECT * FROM oracle('wider');

-- Averages, extrema, floats that recompute, distinct ones beside each other.
CREATE TVIEW mixed AS
    SELECT shop, count(*) AS n, count(note) AS notes, sum(amount), avg(amount), min(amount), max(amount), min(note) AS first, max(note) AS last,
           variance(amount), stddev_pop(amount), sum(amount::numeric) AS exact, avg(day::bigint) AS day, bool_and(amount > 0), bool_or(day > 6),
           sum(day) FILTER (WHERE note <> '') AS noted, avg(amount * 1.5) AS more
      FROM sale GROUP BY shop;
SELECT strategies FROM tviews.tviews WHERE name = 'mixed';
UPDATE sale SET note = NULL WHERE id % 5 = 0;
INSERT INTO sale VALUES (5000, 9, 1, 1, 'new'), (5001, 9, 2, 3, NULL);
DELETE FROM sale WHERE shop = 2;
SELECT * FROM oracle('mixed');
-- Recomputing in another session finds what folding has stored: nothing to write.
\c -
SET search_path = many_states, public;
SELECT count(*) > 0 AS reset FROM cost();
BEGIN;
CREATE TEMPORARY TABLE same AS TABLE sale;
TRUNCATE sale;
INSERT INTO sale TABLE same;
COMMIT;
SELECT * FROM cost('mixed', 'pivot');
VACUUM FULL mixed;
INSERT INTO sale VALUES (5002, 9, 5, 3, 'after');
SELECT * FROM oracle('mixed');

-- A state that is longer than a page, of which only a number is shown.
CREATE TVIEW longest AS SELECT shop, length(max(note)) AS length FROM sale GROUP BY shop;
SELECT strategies FROM tviews.tviews WHERE name = 'longest';
INSERT INTO sale SELECT 6000 + i, 1, 1, 1, (SELECT string_agg(md5((i * j)::text), '') FROM generate_series(1, 1000) j) FROM generate_series(1, 3) i;
SELECT * FROM oracle('longest');
DELETE FROM sale WHERE id = 6001;
DELETE FROM sale WHERE id = 6002;
SELECT * FROM oracle('longest');

SET client_min_messages = warning;
DROP SCHEMA many_states CASCADE;
