-- Queries whose text, as the server prints it, is another query or none: what is maintained is the query. Each is compared with a
-- plain materialized view of it, which the server computes from the query as it was parsed.
CREATE SCHEMA text_;
CREATE SCHEMA text_plain;
SET search_path = text_, public;
SET client_min_messages = warning;
SET jit = off;
CREATE TABLE t (id int PRIMARY KEY, g int, n int);
CREATE TABLE c1 (b text COLLATE "C");
CREATE TABLE c2 (b text COLLATE "POSIX");
CREATE TABLE d1 (b text);
CREATE TABLE edge (a int, b int);
CREATE PROCEDURE both_(name text, query text) LANGUAGE plpgsql AS $$ BEGIN
  EXECUTE format('CREATE TVIEW text_.%I AS %s', name, query);
  EXECUTE format('CREATE MATERIALIZED VIEW text_plain.%I AS %s', name, query);
END $$;
-- set-returning functions in ORDER BY make rows
CALL both_('order_sets', 'SELECT id FROM t ORDER BY id, generate_series(1, n)');
CALL both_('order_sets_group', 'SELECT g, count(*) AS c FROM t GROUP BY g ORDER BY generate_series(1, max(n))');
CALL both_('order_sets_below', 'SELECT x.id FROM (SELECT id FROM t ORDER BY generate_series(1, n), id) x WHERE x.id > 1');
CALL both_('order_sets_limit', 'SELECT id FROM t ORDER BY generate_series(1, n), id LIMIT 5');
CALL both_('order_sets_exists', 'SELECT id FROM t WHERE EXISTS (SELECT FROM t o WHERE o.id = t.id + 1 ORDER BY generate_series(1, o.n))');
-- a grouping expression that occurs twice
CALL both_('rollup', 'SELECT g AS a1, g AS a2, count(*) AS n FROM t GROUP BY a1, ROLLUP (a2)');
CALL both_('rollup_first', 'SELECT g AS a1, g AS a2, count(*) AS n FROM t GROUP BY ROLLUP (a1), a2 HAVING count(*) > 1');
CALL both_('cube', 'SELECT g AS a1, g AS a2, g AS a3, sum(n) AS s, grouping(g) AS p FROM t GROUP BY CUBE (a1, a2), a3');
CALL both_('rollup_expression', 'SELECT g + 1 AS a1, g + 1 AS a2, count(*) AS n FROM t GROUP BY ROLLUP (a1), a2');
CALL both_('rollup_window', 'SELECT g AS a1, g AS a2, sum(sum(n)) OVER (PARTITION BY g) AS s FROM t GROUP BY a1, ROLLUP (a2)');
CALL both_('rollup_limit', 'SELECT g AS a1, g AS a2, count(*) AS n FROM t GROUP BY a1, ROLLUP (a2) ORDER BY 1, 2, 3 LIMIT 4');
-- direct arguments of ordered-set aggregates are those of the group
CALL both_('ordered_set', 'SELECT g, rank(g) WITHIN GROUP (ORDER BY n) AS r FROM t GROUP BY ROLLUP (g)');
CALL both_('ordered_set_sets', 'SELECT g, n, percentile_disc(g::float8 / 10) WITHIN GROUP (ORDER BY id) AS p FROM t GROUP BY GROUPING SETS ((g, n), (n)) HAVING rank(n) WITHIN GROUP (ORDER BY id) > 0');
CALL both_('ordered_set_window', 'SELECT g, rank(g) WITHIN GROUP (ORDER BY n) AS r, count(*) OVER () AS c FROM t GROUP BY ROLLUP (g)');
-- collations that one branch of a set operation says
CALL both_('union_', 'SELECT b COLLATE "C" AS b FROM c1 UNION SELECT b FROM c2');
CALL both_('union_all', 'SELECT b COLLATE "C" AS b FROM c1 UNION ALL SELECT b FROM c2');
CALL both_('union_default', 'SELECT b COLLATE "C" AS b FROM d1 UNION SELECT b COLLATE "C" FROM c2');
CALL both_('union_three', 'SELECT b FROM d1 UNION (SELECT b COLLATE "POSIX" FROM c1 UNION ALL SELECT b FROM c2)');
CALL both_('except_', 'SELECT b COLLATE "C" AS b FROM c1 EXCEPT SELECT b FROM c2');
CALL both_('intersect_', 'SELECT b COLLATE "C" AS b FROM c1 INTERSECT ALL SELECT b FROM c2');
CALL both_('distinct_', 'SELECT DISTINCT b FROM (SELECT b COLLATE "C" AS b FROM c1 UNION ALL SELECT b FROM c2) x');
-- the order of a set operation below
CALL both_('union_order', 'SELECT id, ARRAY(SELECT n FROM t a WHERE a.g = t.g UNION SELECT id FROM t b WHERE b.g = t.g ORDER BY 1 DESC) AS people FROM t');
CALL both_('union_order_limit', 'SELECT id, x.n FROM t, LATERAL (SELECT n FROM t a WHERE a.g = t.g EXCEPT SELECT id FROM t b ORDER BY n LIMIT 2) x');
CALL both_('union_order_from', 'SELECT x.b FROM (SELECT b FROM d1 UNION ALL SELECT b COLLATE "C" FROM c1 ORDER BY b OFFSET 1) x');
-- SEARCH and CYCLE
CALL both_('cycle_', 'WITH RECURSIVE r(a, b) AS (SELECT a, b FROM edge UNION ALL SELECT e.a, e.b FROM edge e, r WHERE e.a = r.b) CYCLE a, b SET c USING p SELECT a, b, c, p::text FROM r');
CALL both_('cycle_values', 'WITH RECURSIVE r(a, b) AS (SELECT a, b FROM edge UNION SELECT e.a, e.b FROM edge e, r WHERE e.a = r.b) CYCLE b SET c TO ''yes'' DEFAULT ''no'' USING p SELECT a, b, c FROM r');
CALL both_('depth', 'SELECT * FROM (WITH RECURSIVE r(a, b) AS (SELECT a, b FROM edge WHERE a = 1 UNION ALL SELECT e.a, e.b FROM edge e, r WHERE e.a = r.b AND e.b > e.a) SEARCH DEPTH FIRST BY a, b SET o SELECT a, b, o::text FROM r) x');
CALL both_('breadth', 'WITH RECURSIVE r(a, b) AS (SELECT a, b FROM edge WHERE a = 1 UNION ALL SELECT e.a, e.b FROM edge e, r WHERE e.a = r.b AND e.b > e.a) SEARCH BREADTH FIRST BY b SET o SELECT a, b, o::text FROM r');
CREATE VIEW walks AS WITH RECURSIVE r(a, b) AS (SELECT a, b FROM edge UNION ALL SELECT e.a, e.b FROM edge e, r WHERE e.a = r.b) CYCLE a, b SET c USING p SELECT a, b, c FROM r;
CREATE TVIEW cycle_below AS SELECT a FROM walks;
SELECT t.name, s.key AS base_table, s.value AS strategy
  FROM tviews.tviews t, jsonb_each_text(t.strategies) s WHERE schema = 'text_' ORDER BY 1, 2;
CREATE FUNCTION differ() RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE name text; r text; BEGIN
  FOR name IN SELECT matviewname FROM pg_matviews WHERE schemaname = 'text_plain' ORDER BY 1 LOOP
    EXECUTE format('REFRESH MATERIALIZED VIEW text_plain.%I', name);
    FOR r IN EXECUTE format('(SELECT ''extra '' || x::text FROM text_.%1$I x EXCEPT ALL SELECT ''extra '' || x::text FROM text_plain.%1$I x)
        UNION ALL (SELECT ''missing '' || x::text FROM text_plain.%1$I x EXCEPT ALL SELECT ''missing '' || x::text FROM text_.%1$I x)', name) LOOP
      RETURN NEXT name || ': ' || r;
    END LOOP;
  END LOOP;
END $$;
SELECT differ();
INSERT INTO t SELECT i, i % 4, i % 3 FROM generate_series(1, 12) i;
INSERT INTO c1 VALUES ('a'), ('B'), ('c'), ('a');
INSERT INTO c2 VALUES ('a'), ('b'), ('a');
INSERT INTO d1 VALUES ('a'), ('d');
INSERT INTO edge VALUES (1, 2), (2, 3), (3, 1), (1, 3);
SELECT differ();
SELECT sum(n) FROM rollup;
UPDATE t SET g = nullif(g, 3), n = n + 1 WHERE id % 2 = 0;
DELETE FROM c2 WHERE b = 'a';
UPDATE c1 SET b = lower(b);
DELETE FROM d1 WHERE b = 'a';
DELETE FROM edge WHERE a = 3;
SELECT differ();
DELETE FROM t WHERE g = 1;
INSERT INTO edge VALUES (3, 4), (4, 2);
SELECT differ();
DELETE FROM t;
SELECT differ();
-- tviews.verify compares with the same
INSERT INTO t SELECT i, i % 4, i % 3 FROM generate_series(1, 12) i;
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text ~ '^text_' AND NOT ok;
DROP SCHEMA text_ CASCADE;
DROP SCHEMA text_plain CASCADE;
