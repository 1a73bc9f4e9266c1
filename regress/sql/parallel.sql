-- The first rows of totals are computed by parallel workers, as those of a materialized view are, where no order of adding changes them.
CREATE SCHEMA parallel;
SET search_path = parallel, public;
SET client_min_messages = warning;
CREATE TABLE item (id int PRIMARY KEY, grp int, n int, small smallint, big bigint, price numeric, span interval, x float8, flag bool, word text) WITH (parallel_workers = 2);
INSERT INTO item SELECT i, i % 7, nullif(i % 13, 0), i % 5, i * 1000000007::bigint, i % 90 / 4.00, make_interval(secs => i), i / 3.0, i % 3 = 0, repeat('w', i % 40) || i % 11
  FROM generate_series(1, 3000) i;
INSERT INTO item (id, grp) SELECT i, 7 FROM generate_series(3001, 3010) i;
ANALYZE item;
-- says once in what process the row 1 has been seen
CREATE FUNCTION seen(int) RETURNS int IMMUTABLE PARALLEL SAFE LANGUAGE plpgsql AS $$
BEGIN
  IF $1 = 1 THEN RAISE WARNING 'row 1, in a worker: %', (SELECT leader_pid IS NOT NULL FROM pg_stat_get_activity(pg_backend_pid())); END IF;
  RETURN $1;
END $$;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET parallel_leader_participation = off;
SET max_parallel_workers_per_gather = 2;
CREATE TVIEW counted AS SELECT grp, count(seen(id)) AS c FROM item GROUP BY grp;
SELECT tviews.rebuild('counted');
-- at commit, too, when DDL asks for all rows
BEGIN;
INSERT INTO item (id, grp) VALUES (4001, 1);
ALTER FUNCTION seen(int) COST 200;
SAVEPOINT a;
DELETE FROM item WHERE id = 4001;
ROLLBACK TO a;
COMMIT;
SELECT sum(c) FROM counted;
DELETE FROM item WHERE id = 4001;
-- the rows of these are computed one after the other: floating-point sums, and what is not a total
CREATE TVIEW drifting WITH (approximate = on) AS SELECT grp, sum(x) AS s, count(seen(id)) AS c FROM item GROUP BY grp;
CREATE TVIEW listed AS SELECT grp, array_agg(seen(id)) AS all FROM item GROUP BY grp;
DROP TVIEW listed, drifting, counted;

CREATE TVIEW sums AS SELECT grp, count(*) AS c, count(n) AS cn, sum(small) AS s2, sum(n) AS s4, sum(big) AS s8, sum(price) AS sn, sum(span) AS si FROM item GROUP BY grp;
CREATE TVIEW averages AS SELECT grp, avg(small) AS a2, avg(n) AS a4, avg(big) AS a8, avg(price) AS an, avg(span) AS ai FROM item GROUP BY grp;
CREATE TVIEW variances AS SELECT grp, variance(n) AS v, stddev(small) AS d, var_pop(price) AS vp, stddev_samp(big) AS ds FROM item GROUP BY grp;
CREATE TVIEW extrema AS SELECT grp, min(word) AS w, max(n) AS n, min(price) AS p, max(big) AS b, bool_or(flag) AS o FROM item GROUP BY grp;
CREATE TVIEW filtered AS SELECT grp, sum(price) FILTER (WHERE flag) AS f, avg(big) FILTER (WHERE n > 5) AS a, sum(price) - avg(price) AS e FROM item GROUP BY grp;
CREATE TVIEW distinct_words AS SELECT DISTINCT word FROM item;
SELECT tview, ok FROM tviews.verify_all() ORDER BY tview::text;
-- what is added to these states, and taken from them, meets what workers have made
UPDATE item SET price = price + 1, n = n + 1, span = span * 2 WHERE id % 10 = 3;
DELETE FROM item WHERE id % 11 = 4;
DELETE FROM item WHERE word = (SELECT max(word) FROM item);
UPDATE item SET price = 1, big = 1, n = 1 WHERE id > 3005;
SELECT tview, ok FROM tviews.verify_all() ORDER BY tview::text;
SELECT tview, full_recomputes FROM tviews.stat ORDER BY tview::text;
-- what a rebuild makes is what another one would make: there is nothing to write
SELECT tviews.rebuild('sums'), tviews.rebuild('averages'), tviews.rebuild('variances'), tviews.rebuild('extrema'), tviews.rebuild('filtered');
CREATE TEMPORARY TABLE places AS SELECT grp, ctid AS place FROM extrema;
SELECT tviews.rebuild('extrema');
SELECT count(*) FROM extrema e JOIN places p USING (grp) WHERE e.ctid <> p.place;
SELECT tview, ok FROM tviews.verify_all() ORDER BY tview::text;
DELETE FROM item WHERE n = 8;
SELECT tview, ok FROM tviews.verify_all() ORDER BY tview::text;
DROP SCHEMA parallel CASCADE;
