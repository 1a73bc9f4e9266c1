-- Extrema of groups that no index leads to: the best values of each group are kept, so that an extremum that goes does not read the table.
CREATE SCHEMA extrema;
SET search_path = extrema, public;
SET client_min_messages = warning;
SET enable_indexonlyscan = off;
CREATE TYPE mood AS ENUM ('low', 'middle', 'high');
CREATE TABLE item (id int PRIMARY KEY, grp int, n int, price numeric, x float8, word text, at timestamptz, span interval, feeling mood, list int[], long text, clock timetz, day date, small smallint);
INSERT INTO item SELECT i, i % 10, i, i / 10.0, i / 3.0, 'word ' || lpad((i * 7919 % 2000)::text, 4, '0'), timestamptz '2026-01-01 00:00Z' + i * interval '1 hour',
       i * interval '1 minute', (ARRAY['low', 'middle', 'high'])[i % 3 + 1]::mood, ARRAY[i % 13, i], repeat('long', 100) || lpad(i::text, 4, '0'),
       timetz '00:00:00Z' + i * interval '1 second', date '2026-01-01' + i, i
  FROM generate_series(1, 2000) i;
-- Rows of the table that a statement and its flush read by scanning it: none, or all 2000.
CREATE FUNCTION scanned(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before bigint := pg_stat_get_xact_tuples_returned('item'::regclass);
BEGIN
    EXECUTE statement;
    PERFORM tviews.flush();
    RETURN CASE WHEN pg_stat_get_xact_tuples_returned('item'::regclass) - before >= 1900 THEN 'all rows' ELSE 'few rows' END;
END $$;

CREATE TVIEW numbers AS SELECT grp, min(n) AS lo, max(n) AS hi, max(price) AS price, min(x) AS x, count(*) AS c FROM item GROUP BY grp;
CREATE TVIEW others AS SELECT grp, max(word) AS word, min(at) AS at, max(span) AS span, max(feeling) AS feeling, max(list) AS list, max(clock) AS clock FROM item GROUP BY grp;
CREATE TVIEW days AS SELECT grp, min(day) AS first, max(small) AS small FROM item GROUP BY grp;
CREATE TVIEW of_all AS SELECT min(n) AS lo, max(n) FILTER (WHERE n % 2 = 0) AS even FROM item;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'extrema' ORDER BY name;

-- the extremum goes, by DELETE and by UPDATE, at both ends
SELECT scanned('DELETE FROM item WHERE id IN (2000, 1995, 10, 3)');
SELECT scanned('UPDATE item SET n = n - 1000, price = 0, word = ''a'', at = ''2030-01-01Z'', span = ''0'' WHERE id IN (1990, 1985, 20)');
SELECT * FROM numbers WHERE grp IN (0, 3, 5) ORDER BY grp;
SELECT * FROM of_all;
SELECT * FROM cost();
-- raised and lowered, away and back, NULL, and all in one transaction
SELECT scanned('UPDATE item SET n = n + 5000 WHERE id = 30');
SELECT scanned('UPDATE item SET n = n - 5000 WHERE id = 30');
SELECT scanned('UPDATE item SET n = NULL, day = NULL, small = NULL WHERE id IN (1980, 40)');
SELECT scanned('WITH gone AS (DELETE FROM item WHERE id = 1970 RETURNING *) INSERT INTO item SELECT * FROM gone');
BEGIN;
DELETE FROM item WHERE id = 1960;
UPDATE item SET n = 1950 WHERE id = 1940;
INSERT INTO item VALUES (5000, 0, 1960, 196.0);
DELETE FROM item WHERE id = 1950;
COMMIT;
SELECT lo, hi, price FROM numbers WHERE grp = 0;
SELECT * FROM cost();
-- ties: two rows with the extremum, one of them goes, then the other one
INSERT INTO item (id, grp, n) VALUES (5001, 1, 9000), (5002, 1, 9000), (5003, 1, 9000);
SELECT scanned('DELETE FROM item WHERE id = 5001');
SELECT hi FROM numbers WHERE grp = 1;
SELECT scanned('DELETE FROM item WHERE id IN (5002, 5003)');
SELECT hi FROM numbers WHERE grp = 1;
-- equal and not the same: what is shown is there
INSERT INTO item (id, grp, price, x) VALUES (5010, 2, 900.0, -1e300), (5011, 2, 900.00, '-Infinity'), (5012, 2, 900.000, '-Infinity');
SELECT price, x FROM numbers WHERE grp = 2;
SELECT scanned('DELETE FROM item WHERE id = 5010');
SELECT price, x FROM numbers WHERE grp = 2;
SELECT scanned('DELETE FROM item WHERE id = 5011');
SELECT price, x FROM numbers WHERE grp = 2;
SELECT scanned('UPDATE item SET price = ''NaN'', x = ''NaN'' WHERE id = 5012');
SELECT price, x FROM numbers WHERE grp = 2;
SELECT scanned('DELETE FROM item WHERE id = 5012');
SELECT price, x FROM numbers WHERE grp = 2;
SELECT * FROM cost();
-- more of them go than are kept: the group is recomputed, and then kept again
SELECT scanned('DELETE FROM item WHERE id IN (1994, 1984, 1974, 1964)');
SELECT scanned('DELETE FROM item WHERE id IN (1954, 1944, 1934)');
SELECT scanned('DELETE FROM item WHERE id IN (1924, 1914, 1904)');
SELECT lo, hi FROM numbers WHERE grp = 4;
SELECT * FROM cost('numbers');
-- groups that appear, have a few rows, only NULLs, no rows, and come back
INSERT INTO item (id, grp, n, at) VALUES (6000, 77, 3, '2026-01-01Z'), (6001, 77, 2, NULL), (6002, 77, 2, '2026-02-01Z'), (6003, 77, NULL, '2026-03-01Z');
SELECT scanned('DELETE FROM item WHERE id IN (6000, 6001)');
SELECT lo, hi FROM numbers WHERE grp = 77;
SELECT scanned('DELETE FROM item WHERE id = 6002');
SELECT lo, hi, c FROM numbers WHERE grp = 77;
SELECT scanned('DELETE FROM item WHERE id = 6003');
SELECT scanned('INSERT INTO item (id, grp, n) VALUES (6000, 77, 5)');
SELECT lo, hi FROM numbers WHERE grp = 77;
UPDATE item SET grp = 78 WHERE grp = 77;
SELECT * FROM cost();
-- values that are too long to be kept
CREATE TVIEW words AS SELECT grp, min(long) AS long FROM item GROUP BY grp;
SELECT scanned('DELETE FROM item WHERE id = 21');
SELECT scanned('DELETE FROM item WHERE id = 1');
SELECT right(long, 4) AS long FROM words WHERE grp = 1;
SELECT * FROM cost('words');
DROP TVIEW words;

-- over joins, below HAVING, among many other aggregates
CREATE TABLE owner (id int PRIMARY KEY, name text);
INSERT INTO owner SELECT i, 'owner ' || i % 3 FROM generate_series(0, 9) i;
CREATE TVIEW of_owner AS SELECT o.name, max(i.n) AS hi FROM item i JOIN owner o ON o.id = i.grp GROUP BY o.name;
CREATE TVIEW large AS SELECT grp, max(n) AS hi FROM item GROUP BY grp HAVING max(n) > 1000;
CREATE TVIEW many AS SELECT grp, min(n) AS a, max(n) AS b, min(price) AS c, max(price) AS d, min(x) AS e, max(x) AS f, max(word) AS g, min(at) AS h, max(at) AS i, sum(n) AS j,
       avg(price) AS k FROM item GROUP BY grp;
SELECT name, strategies FROM tviews.tviews WHERE name IN ('of_owner', 'large', 'many') ORDER BY name;
SELECT scanned('DELETE FROM item WHERE id IN (1999, 1989, 13, 23)');
SELECT scanned('UPDATE item SET n = n - 100 WHERE id IN (1979, 1969)');
SELECT * FROM of_owner ORDER BY name;
SELECT hi FROM large WHERE grp = 9;
SELECT b, d, f FROM many WHERE grp = 9;
SELECT * FROM cost();
-- The same changes once more, one by one, with SQL instead of loops.
SET pg_tviews.nested_loops = off;
DELETE FROM item WHERE id IN (1998, 1988, 18, 28);
DELETE FROM item WHERE id = 1978;
UPDATE item SET n = n + 10000 WHERE id % 400 = 8;
DELETE FROM item WHERE n > 10000;
RESET pg_tviews.nested_loops;
SELECT * FROM cost();

-- Parts of an aggregate add up.
CREATE FUNCTION in_parallel(statement text) RETURNS TABLE (line text) LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL min_parallel_table_scan_size = 0;
    SET LOCAL parallel_setup_cost = 0;
    SET LOCAL parallel_tuple_cost = 0;
    SET LOCAL max_parallel_workers_per_gather = 2;
    RETURN QUERY EXECUTE statement;
END $$;
SELECT count(*) AS different FROM
    (SELECT grp, tviews.state_greatest(n) AS a, tviews.state_least(word) AS b, tviews.state_least(list) AS c FROM item GROUP BY grp) x FULL JOIN
    in_parallel('SELECT concat_ws('','', grp, tviews.state_greatest(n), tviews.state_least(word), tviews.state_least(list)) FROM item GROUP BY grp') y
    ON y.line = concat_ws(',', x.grp, x.a, x.b, x.c)
 WHERE x.grp IS NULL OR y.line IS NULL;
SELECT count(*) > 0 AS parallel FROM in_parallel('EXPLAIN SELECT grp, tviews.state_greatest(n) FROM item GROUP BY grp') WHERE line ~ 'Partial.*Aggregate';
SELECT tviews.state_greatest(n) AS a, tviews.state_least(n) AS b FROM (VALUES (3), (1), (NULL), (3)) v (n);
SELECT tviews.state_greatest(n) AS a FROM generate_series(1, 20) n;
SELECT tviews.state_greatest(NULL::int) AS a;

DROP SCHEMA extrema CASCADE;
