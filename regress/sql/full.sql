-- What is recomputed in full: every other construct of a query that is accepted. CREATE says so, writes keep it equal.
CREATE SCHEMA full_;
SET search_path = full_, public;
CREATE TABLE t (id int PRIMARY KEY, p int, n int, txt text, arr int[], doc jsonb);
CREATE TABLE u (id int PRIMARY KEY, t_id int, n int);
INSERT INTO t SELECT g, g % 3, g % 4, 't' || g, ARRAY[g, g % 2], jsonb_build_object('k', g, 'l', ARRAY[g, 1]) FROM generate_series(1, 12) g;
INSERT INTO u SELECT g, g % 6, g % 3 FROM generate_series(1, 10) g;

-- the notice, and what mode = incremental makes of it
CREATE TVIEW top AS SELECT id, ntile(3) OVER (ORDER BY n DESC, id) AS third FROM t;
CREATE TVIEW refused WITH (mode = incremental) AS SELECT id, ntile(3) OVER (ORDER BY n DESC, id) AS third FROM t;
CREATE TVIEW forced WITH (mode = full) AS SELECT id, n FROM t;
SET client_min_messages = warning;

CREATE TVIEW w_rank AS SELECT id, rank() OVER (PARTITION BY p ORDER BY n) AS r, sum(n) OVER (PARTITION BY p) AS s FROM t;
CREATE TVIEW w_frame AS SELECT id, avg(n) OVER w AS a, first_value(id) OVER v AS f, lag(id, 1) OVER v AS l FROM t
  WINDOW w AS (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING), v AS (PARTITION BY n ORDER BY id DESC);
CREATE TVIEW w_first AS SELECT * FROM (SELECT id, p, row_number() OVER (PARTITION BY p ORDER BY n DESC, id) AS r FROM t) x WHERE r = 1;
CREATE TVIEW s_union AS SELECT n FROM t UNION SELECT n FROM u;
CREATE TVIEW s_union_all AS SELECT id, n FROM t UNION ALL SELECT id, n FROM u UNION ALL SELECT 0, 0;
CREATE TVIEW s_intersect AS SELECT n, p FROM t INTERSECT ALL SELECT n, t_id FROM u;
CREATE TVIEW s_except AS SELECT n FROM t EXCEPT ALL SELECT n FROM u;
CREATE TVIEW s_except_distinct AS SELECT p FROM t EXCEPT SELECT t_id FROM u;
CREATE TVIEW cte_once AS WITH x AS (SELECT id, n FROM t WHERE n > 1) SELECT x.id, u.id AS uid FROM x JOIN u ON u.t_id = x.id;
CREATE TVIEW cte_twice AS WITH x AS MATERIALIZED (SELECT p, sum(n) AS s FROM t GROUP BY p) SELECT a.p, a.s, b.s AS other FROM x a JOIN x b ON b.p = a.p + 1;
CREATE TVIEW recursive AS WITH RECURSIVE r(id, depth) AS (SELECT id, 0 FROM u WHERE t_id = 0 UNION ALL SELECT DISTINCT u.id, depth + 1 FROM u JOIN r ON u.t_id = r.id WHERE depth < 5)
  SELECT * FROM r;
CREATE TVIEW d_on AS SELECT DISTINCT ON (p) p, id, n FROM t ORDER BY p, n DESC, id;
CREATE TVIEW g_sets AS SELECT p, n, count(*) AS c, grouping(p, n) AS g FROM t GROUP BY GROUPING SETS ((p), (n), ());
CREATE TVIEW g_cube AS SELECT p, n, sum(id) AS s FROM t GROUP BY CUBE (p, n);
CREATE TVIEW g_rollup AS SELECT p, n, sum(id) AS s FROM t GROUP BY ROLLUP (p, n) HAVING sum(id) > 3;
CREATE TVIEW srf_from AS SELECT t.id, e FROM t, unnest(t.arr) AS e;
CREATE TVIEW srf_list AS SELECT id, unnest(arr) AS e, generate_series(1, n) AS s FROM t;
CREATE TVIEW srf_json AS SELECT t.id, j.value FROM t CROSS JOIN LATERAL jsonb_array_elements(t.doc -> 'l') AS j;
CREATE TVIEW srf_ordinality AS SELECT t.id, e, o FROM t LEFT JOIN LATERAL unnest(arr) WITH ORDINALITY AS x(e, o) ON e > 1;
CREATE TVIEW sub_from AS SELECT s.p, s.c, t.id FROM (SELECT p, count(*) AS c FROM t GROUP BY p) s JOIN t ON t.id = s.p;
CREATE TVIEW sub_limit AS SELECT n, x.id, u.id AS uid FROM (SELECT id, n FROM t ORDER BY n, id LIMIT 4) x JOIN u USING (n);
CREATE TVIEW sub_lateral AS SELECT t.id, x.id AS uid FROM t LEFT JOIN LATERAL (SELECT u.id FROM u WHERE u.t_id = t.id ORDER BY u.n DESC, u.id LIMIT 1) x ON true;
CREATE TVIEW l_exists AS SELECT id FROM t WHERE EXISTS (SELECT FROM u WHERE u.t_id = t.id);
CREATE TVIEW l_not_exists AS SELECT id FROM t WHERE NOT EXISTS (SELECT FROM u WHERE u.t_id = t.id AND u.n = t.n);
CREATE TVIEW l_exists_having AS SELECT id FROM t WHERE EXISTS (SELECT FROM u WHERE u.t_id = t.id GROUP BY u.t_id HAVING count(*) > 1);
CREATE TVIEW l_in AS SELECT id FROM t WHERE n IN (SELECT n FROM u WHERE u.id > 4) OR p = 0;
CREATE TVIEW l_not_in AS SELECT id FROM t WHERE (id, n) NOT IN (SELECT t_id, n FROM u);
CREATE TVIEW l_all AS SELECT id FROM t WHERE n <> ALL (SELECT n FROM u WHERE t_id = t.p) AND n >= ANY (SELECT n FROM u);
CREATE TVIEW scalar_list AS SELECT id, (SELECT count(*) FROM u WHERE u.t_id = t.id) AS c, (SELECT max(n) FROM u) AS m FROM t;
CREATE TVIEW scalar_where AS SELECT id FROM t WHERE n = (SELECT min(n) FROM u WHERE u.t_id = t.id);
CREATE TVIEW scalar_case AS SELECT id, CASE WHEN EXISTS (SELECT FROM u WHERE u.id = t.id) THEN 'u' ELSE txt END AS c, ARRAY(SELECT u.id FROM u WHERE t_id = t.id ORDER BY 1) AS a FROM t;
CREATE TVIEW totals AS SELECT count(*) AS c, sum(n) AS s, min(txt) AS lo FROM t;
CREATE TVIEW totals_having AS SELECT sum(n) AS s FROM t HAVING count(*) > 10;
CREATE TVIEW duplicates AS SELECT p, n FROM t;
CREATE TVIEW duplicates_join AS SELECT t.p, u.n FROM t JOIN u ON u.t_id = t.id;
CREATE TVIEW distinct_group AS SELECT DISTINCT count(*) AS c FROM t GROUP BY p;
CREATE TVIEW constant AS SELECT 1 AS one;
CREATE TVIEW no_columns AS SELECT FROM t;
CREATE TVIEW values_only AS VALUES (1, 'a'), (2, 'b');
SELECT t.name, s.key AS base_table, s.value AS strategy
  FROM tviews.tviews t, jsonb_each_text(t.strategies) s WHERE schema = 'full_' ORDER BY 1, 2;
SELECT * FROM oracle();

INSERT INTO t VALUES (20, 0, 9, 'new', '{7,7,7}', '{"l": []}'), (21, NULL, NULL, NULL, NULL, NULL);
SELECT * FROM oracle();
INSERT INTO u VALUES (20, 20, 9), (21, NULL, NULL);
SELECT * FROM oracle();
UPDATE t SET n = n + 1 WHERE id % 3 = 0;
SELECT * FROM oracle();
UPDATE u SET t_id = t_id + 1, n = 2 WHERE id < 5;
SELECT * FROM oracle();
BEGIN;
DELETE FROM t WHERE id IN (1, 2, 20);
INSERT INTO t VALUES (2, 2, 2, 'again', '{}', NULL);
DELETE FROM u WHERE id = 21;
INSERT INTO u VALUES (22, 2, 2);
COMMIT;
SELECT * FROM oracle();
UPDATE t SET id = id + 100 WHERE id > 8;
SELECT * FROM oracle();
DELETE FROM u;
SELECT * FROM oracle();
DELETE FROM t;
SELECT * FROM oracle();
TABLE totals;
INSERT INTO t SELECT g, g % 3, g % 4, 't' || g FROM generate_series(1, 12) g;
INSERT INTO u SELECT g, g % 6, g % 3 FROM generate_series(1, 10) g;
SELECT * FROM oracle();
TABLE top ORDER BY id;

-- only rows that differ are written
SELECT ctid AS place, xmin AS writer, id INTO TEMP was FROM w_rank;
UPDATE t SET txt = 'x';
UPDATE t SET n = n + 1 WHERE id = 12;
SELECT count(*) AS rewritten FROM w_rank JOIN was USING (id) WHERE w_rank.ctid <> place OR w_rank.xmin <> writer;
SELECT * FROM oracle();

-- a scalar sub-query with two rows fails the writer, and nothing is left half done
CREATE TVIEW one_row AS SELECT id, (SELECT u.n FROM u WHERE u.t_id = -t.id) AS n FROM t;
INSERT INTO u VALUES (101, -1, 5);
INSERT INTO u VALUES (102, -1, 6);
SELECT count(*) FROM u WHERE id > 100;
SELECT * FROM oracle();

DROP SCHEMA full_ CASCADE;
