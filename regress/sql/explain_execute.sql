-- EXPLAIN ANALYZE EXECUTE of a prepared write: before 18 the server has no hook there, and the flush is at commit (explain_execute_1.out).
CREATE SCHEMA explain_execute;
SET search_path = explain_execute, public;
CREATE TABLE t (id int PRIMARY KEY, v int);
INSERT INTO t SELECT i, i FROM generate_series(1, 100) i;
CREATE TVIEW v AS SELECT id, v FROM t WHERE v > 0;
CREATE FUNCTION flushes(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || statement LOOP
        IF line ~ 'Flush|Strategy:|Changes:|Rows:' THEN RETURN NEXT line; END IF;
    END LOOP;
END $$;
PREPARE p(int) AS UPDATE t SET v = v + 1 WHERE id = $1;
SELECT * FROM flushes('EXECUTE p(3)');
SET plan_cache_mode = force_generic_plan;
SELECT * FROM flushes('EXECUTE p(4)');
SELECT * FROM v WHERE id IN (3, 4) ORDER BY id;
SELECT ok FROM tviews.verify('v');
SET client_min_messages = warning;
DROP SCHEMA explain_execute CASCADE;
