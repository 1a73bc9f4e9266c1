-- LIMIT and OFFSET; ORDER BY without them is kept out of storage.
CREATE SCHEMA limits;
SET search_path = limits, public;
SET client_min_messages = warning;
CREATE TABLE t (id int PRIMARY KEY, g int, n int);
CREATE TABLE u (id int PRIMARY KEY, t int, n int);
INSERT INTO t SELECT i, i % 20, (i * 37) % 1009 FROM generate_series(1, 1000) i;
INSERT INTO u SELECT i, 1 + i % 1000, i FROM generate_series(1, 2000) i;
CREATE INDEX ON u (t);
CREATE TVIEW ordered AS SELECT id, n FROM t ORDER BY n DESC, id;
CREATE TVIEW top AS SELECT id, n FROM t ORDER BY n DESC, id LIMIT 10;
CREATE TVIEW page AS SELECT id, n FROM t ORDER BY n, id LIMIT 10 OFFSET 20;
CREATE TVIEW with_ties AS SELECT g FROM t ORDER BY g FETCH FIRST 3 ROWS WITH TIES;
CREATE TVIEW top_join AS SELECT t.id, u.id AS uid, u.n FROM t JOIN u ON u.t = t.id ORDER BY u.n DESC LIMIT 5;
CREATE TVIEW top_groups AS SELECT g, sum(n) AS s FROM t GROUP BY g ORDER BY sum(n) DESC LIMIT 3;
CREATE TVIEW join_of_top AS SELECT x.id, x.n, u.id AS uid FROM (SELECT id, n FROM t ORDER BY n DESC, id LIMIT 10) x JOIN u ON u.t = x.id;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'limits' ORDER BY name;
SELECT * FROM cost();

-- a row below the limit, one that enters, moves inside, leaves by its change, leaves by going
INSERT INTO t VALUES (2000, 5, 500);
SELECT * FROM cost();
UPDATE t SET n = 5000 WHERE id = 2000;
SELECT * FROM cost();
UPDATE t SET n = 1007 WHERE id = 2000;
SELECT * FROM cost();
UPDATE t SET n = 1 WHERE id = 2000;
SELECT * FROM cost();
DELETE FROM t WHERE id = 2000;
DELETE FROM t WHERE n = 1008;
SELECT * FROM cost();
INSERT INTO u VALUES (3000, 5, 1);
UPDATE u SET n = 9000 WHERE id = 3000;
SELECT * FROM cost();

-- A stage below LIMIT has an index in the order of the query: its first rows are read, not all of them. Not on text, whose values may be too
-- long, nor on expressions.
CREATE TVIEW nulls_first AS SELECT g, max(n) AS hi, min(n) AS lo FROM t GROUP BY g ORDER BY max(n) DESC, min(n) NULLS FIRST, g LIMIT 4 OFFSET 2;
CREATE TVIEW with_text AS SELECT g, max(n) AS hi, string_agg(id::text, ',' ORDER BY id) AS ids FROM t GROUP BY g ORDER BY max(n) DESC, 3, g FETCH FIRST 2 ROWS WITH TIES;
CREATE TVIEW by_expression AS SELECT g, sum(n) AS s FROM t GROUP BY g ORDER BY sum(n) % 7, g LIMIT 3;
CREATE TVIEW above_having AS SELECT g, sum(n) AS s FROM t GROUP BY g HAVING count(*) > 3 ORDER BY s, g LIMIT 3;
CREATE TVIEW by_key AS SELECT g, count(*) AS c FROM t WHERE g > 2 GROUP BY g HAVING count(*) > 3 ORDER BY g DESC LIMIT 3;
CREATE TVIEW by_key_with_nulls AS SELECT g, count(*) AS c FROM t GROUP BY g HAVING count(*) > 3 ORDER BY g DESC NULLS LAST LIMIT 3;
CREATE FUNCTION indexes(regclass) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING', 'USING') FROM pg_index i JOIN pg_depend d ON d.objid = i.indrelid AND d.refobjid = $1 AND d.deptype = 'i'
   JOIN pg_class c ON c.oid = i.indrelid AND c.relkind = 'm'
   ORDER BY i.indkey::text COLLATE "C" $$;
SELECT c.relname, x AS of_stage FROM pg_class c, indexes(c.oid) x WHERE c.relnamespace = 'limits'::regnamespace AND c.relkind = 'm' ORDER BY c.relname, x COLLATE "C";
CREATE FUNCTION plan(tview regclass) RETURNS SETOF text LANGUAGE plpgsql SET enable_seqscan = off SET enable_sort = off SET enable_indexonlyscan = off AS $$
DECLARE line text; query text;
BEGIN
    SELECT substr(l, 9) INTO query FROM tviews.explain(tview) l WHERE l LIKE '  query:%' LIMIT 1;
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        RETURN NEXT regexp_replace(line, '"\d+_', '"N_', 'g');
    END LOOP;
END $$;
SELECT plan('top_groups');
SELECT plan('nulls_first');
UPDATE t SET n = n + 10 WHERE id % 100 = 7;
SELECT * FROM cost();
UPDATE t SET n = NULL WHERE g IN (3, 4);
DELETE FROM t WHERE g = 5;
SELECT * FROM cost();
-- they stay when the TVIEW is filled again
REFRESH MATERIALIZED VIEW top_groups;
SELECT indexes('top_groups');

-- numbers that are computed from numbers, and limits that are none
CREATE TABLE line (id int PRIMARY KEY, n int NOT NULL);
INSERT INTO line SELECT i, i * 7 % 100 FROM generate_series(1, 100) i;
CREATE TVIEW computed_number WITH (mode = incremental) AS SELECT id, n FROM line ORDER BY n, id LIMIT 2 * 3 + 1 OFFSET 5 - 2;
CREATE TVIEW no_limit WITH (mode = incremental) AS SELECT id, n FROM line ORDER BY n, id LIMIT ALL OFFSET 0;
SELECT base_table, strategy FROM tviews.check('SELECT id FROM line ORDER BY id LIMIT abs(3)');
SELECT base_table, strategy FROM tviews.check('SELECT id FROM line ORDER BY id LIMIT -(-3)');
SELECT base_table, strategy FROM tviews.check('SELECT id FROM line ORDER BY id LIMIT 2147483647 + 1');
SELECT count(*) AS before FROM cost();
UPDATE line SET n = -1 WHERE id = 50;
DELETE FROM line WHERE id = 1;
SELECT * FROM cost('computed_number', 'no_limit');
DROP SCHEMA limits CASCADE;
