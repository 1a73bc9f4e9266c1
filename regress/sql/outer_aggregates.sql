-- Sub-queries that look at aggregates of the query around them: the groups become a stage, and the sub-query looks at its columns.
CREATE SCHEMA outer_aggregates;
SET search_path = outer_aggregates, public;
SET client_min_messages = warning;
SET jit = off;
CREATE TABLE t (id int PRIMARY KEY, v int, w int);
CREATE TABLE a (id int PRIMARY KEY, k int, n int);
CREATE TABLE b (id int PRIMARY KEY, k int, n int);
CREATE TABLE c (id int PRIMARY KEY, k int, n int);
CREATE TVIEW list AS SELECT a.k, sum(a.n) AS s, (SELECT max(b.id) FROM b WHERE b.n <= sum(a.n)) AS m FROM a GROUP BY a.k;
CREATE TVIEW first_ AS SELECT a.k, (SELECT b.id FROM b WHERE b.n <= max(a.n) ORDER BY b.n DESC, b.id LIMIT 1) AS m FROM a GROUP BY a.k;
CREATE TVIEW exists_ AS SELECT a.k FROM a GROUP BY a.k HAVING EXISTS (SELECT FROM b WHERE b.k = a.k AND b.n < count(a.n));
CREATE TVIEW in_ AS SELECT a.k, count(*) AS n FROM a GROUP BY a.k HAVING count(a.n) IN (SELECT b.n FROM b);
CREATE TVIEW in_list AS SELECT a.k, max(a.n) NOT IN (SELECT b.n FROM b WHERE b.k = a.k) AS x FROM a GROUP BY a.k;
CREATE TVIEW total AS SELECT sum(a.n) AS s, (SELECT count(*) FROM b WHERE b.n < sum(a.n)) AS c FROM a;
CREATE TVIEW deep AS SELECT a.k, (SELECT count(*) FROM b WHERE EXISTS (SELECT FROM c WHERE c.k = b.k AND c.n < count(a.n))) AS c FROM a GROUP BY a.k;
CREATE TVIEW from_ AS SELECT a.k, (SELECT max(x.k) FROM (SELECT b.k FROM b WHERE b.n < sum(a.n)) x) AS m FROM a GROUP BY a.k;
CREATE TVIEW inside AS SELECT t.id, (SELECT max(s.m) FROM (SELECT (SELECT min(c.n) FROM c WHERE c.n < sum(b.n) AND c.id > t.v) AS m FROM b WHERE b.k = t.v GROUP BY b.n) s) AS m FROM t;
CREATE TVIEW sets AS SELECT a.k, a.n, (SELECT max(b.n) FROM b WHERE b.k = a.k OR b.n = grouping(a.k)) AS m FROM a GROUP BY ROLLUP (a.k, a.n);
CREATE TVIEW distinct_ AS SELECT DISTINCT (SELECT max(b.k) FROM b WHERE b.n < sum(a.n)) AS m FROM a GROUP BY a.k;
CREATE TVIEW window_ AS SELECT a.id, row_number() OVER (PARTITION BY a.k ORDER BY a.id) IN (SELECT b.n FROM b) AS x, a.k FROM a;
SELECT t.name, s.key AS base_table, s.value AS strategy
  FROM tviews.tviews t, jsonb_each_text(t.strategies) s WHERE schema = 'outer_aggregates' ORDER BY 1, 2;
CREATE FUNCTION rnd(n int) RETURNS int LANGUAGE sql AS $$ SELECT floor(random() * n)::int $$;
CREATE PROCEDURE step() LANGUAGE plpgsql AS $$ DECLARE x text; BEGIN
  FOR j IN 0..rnd(3) LOOP
    x := (ARRAY['t', 'a', 'b', 'c', 'a', 'b', 'c'])[1 + rnd(7)];
    CASE rnd(4)
      WHEN 0, 1 THEN EXECUTE format('INSERT INTO %I VALUES (%s, %s, %s) ON CONFLICT (id) DO NOTHING', x, rnd(9), coalesce(nullif(rnd(4), 0)::text, 'NULL'), rnd(3));
      WHEN 2 THEN EXECUTE format('DELETE FROM %I WHERE id %% 3 = %s', x, rnd(3));
      ELSE EXECUTE format('UPDATE %I SET %s = %s WHERE id %% 2 = %s', x, CASE WHEN x = 't' THEN 'v' ELSE 'k' END, coalesce(nullif(rnd(4), 0)::text, 'NULL'), rnd(2));
    END CASE;
  END LOOP;
END $$;
SELECT setseed(0.17);
DO $$ DECLARE wrong text; BEGIN
  FOR i IN 1..60 LOOP
    CALL outer_aggregates.step();
    COMMIT;
    SELECT string_agg(o::text, ' ') INTO wrong FROM oracle() o;
    IF wrong IS NOT NULL THEN RAISE EXCEPTION 'after step %: %', i, wrong; END IF;
  END LOOP;
END $$;
SELECT count(*) > 0 AS some_rows FROM list;
DROP SCHEMA outer_aggregates CASCADE;
