-- The counters of tviews.stat.
CREATE SCHEMA stat;
SET search_path = stat, public;
CREATE TABLE t (id int PRIMARY KEY, g int, v int);
INSERT INTO t SELECT i, i % 3, i FROM generate_series(1, 9) i;
CREATE TVIEW keyed AS SELECT id, v FROM t WHERE v > 0;
CREATE TVIEW grouped AS SELECT g, count(*) AS n, max(v / (v - 50)) AS m FROM t GROUP BY g;
CREATE TVIEW whole WITH (mode = full) AS SELECT id, v FROM t;
CREATE TVIEW unread AS SELECT 1 AS one FROM (VALUES (1)) x;
CREATE VIEW counted AS
    SELECT tview, flushes, rows_inserted AS ins, rows_updated AS upd, rows_deleted AS del, rows_unchanged AS same, changed_rows AS changed,
           dirty_keys AS keys, full_recomputes AS "full", last_error
      FROM tviews.stat WHERE tview::text IN ('keyed', 'grouped', 'whole', 'unread') ORDER BY tview::text;
SELECT tviews.stat_reset();
\d tviews.stat
SELECT * FROM counted;

UPDATE t SET v = v + 100 WHERE id IN (1, 2);
SELECT * FROM counted WHERE tview = 'keyed'::regclass;
SELECT * FROM counted WHERE tview = 'whole'::regclass;
INSERT INTO t VALUES (10, 0, 10), (11, 0, 10);
DELETE FROM t WHERE id IN (10, 3);
-- undone, so nothing is left to do
BEGIN;
UPDATE t SET v = v + 1;
UPDATE t SET v = v - 1;
COMMIT;
SELECT * FROM counted;
SELECT tview, flush_time > 0 AS took_time, lock_wait_time AS waited, stats_reset > now() - interval '1 hour' AS just_reset
  FROM tviews.stat WHERE tview = 'keyed'::regclass;

-- the last error of a flush is kept although its transaction is gone, and is not changed on its way
UPDATE t SET v = 50 WHERE id = 4;
SELECT c.tview, s.failures, c.last_error FROM counted c JOIN tviews.stat s USING (tview) ORDER BY c.tview::text;
DO $$ BEGIN
    UPDATE t SET v = 50 WHERE id = 4;
    PERFORM tviews.flush();
EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught';
END $$;
SELECT * FROM oracle();

-- an error's text is for the owner and for those who monitor; so is resetting
CREATE ROLE regress_stat;
GRANT USAGE ON SCHEMA stat TO regress_stat;
GRANT SELECT ON counted TO regress_stat;
SET ROLE regress_stat;
SELECT tview, last_error, flushes > 0 AS flushed FROM tviews.stat WHERE tview = 'grouped'::regclass;
SELECT tviews.stat_reset();
RESET ROLE;
GRANT pg_read_all_stats TO regress_stat;
GRANT EXECUTE ON FUNCTION tviews.stat_reset() TO regress_stat;
SET ROLE regress_stat;
SELECT tview, last_error FROM tviews.stat WHERE tview = 'grouped'::regclass;
SELECT tviews.stat_reset();
RESET ROLE;
SELECT * FROM counted;

-- the counters of another session, and what a rebuild counts
\c
SET search_path = stat, public;
UPDATE t SET v = v + 1 WHERE id = 5;
SELECT tviews.rebuild('whole');
\c
SET search_path = stat, public;
SELECT * FROM counted WHERE tview <> 'grouped'::regclass;

DROP TVIEW keyed;
SELECT count(*) FROM counted;
SELECT "check", status FROM tviews.health() WHERE "check" = 'statistics';
REVOKE EXECUTE ON FUNCTION tviews.stat_reset() FROM regress_stat;
DROP SCHEMA stat CASCADE;
DROP ROLE regress_stat;
