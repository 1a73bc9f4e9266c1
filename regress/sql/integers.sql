-- Keys of different integer types that meet in joins, sub-queries, groups and set operations: the same values, whatever they are kept as.
CREATE SCHEMA integers;
SET search_path = integers, public;
SET client_min_messages = warning;
SET jit = off;
CREATE TABLE p (id int PRIMARY KEY, k smallint, v int);
CREATE TABLE c (id bigint PRIMARY KEY, p bigint, v bigint);
CREATE TABLE s (id smallint PRIMARY KEY, p bigint, v smallint);
CREATE TABLE bag (p int, v bigint);
CREATE TVIEW inner_ AS SELECT c.id, c.v, p.v AS pv FROM c JOIN p ON p.id = c.p;
CREATE TVIEW inner_bag AS SELECT p.v, bag.v AS bv FROM bag JOIN p ON p.id = bag.p JOIN c ON c.id = bag.v;
CREATE TVIEW inner_key AS SELECT p.id, s.id AS sid, p.v FROM p JOIN s ON s.id = p.k;
CREATE TVIEW left_ AS SELECT p.id, c.id AS cid, c.v FROM p LEFT JOIN c ON c.p = p.id;
CREATE TVIEW left_bag AS SELECT p.v, c.v AS cv FROM p LEFT JOIN c ON c.p = p.id;
CREATE TVIEW left_small AS SELECT c.v, s.v AS sv FROM c LEFT JOIN s ON s.id = c.p;
CREATE TVIEW full_ AS SELECT k.id, k.v, k.sv FROM (SELECT coalesce(p.id, c.p) AS id, p.v, c.v AS sv FROM p FULL JOIN c ON c.p = p.id) k;
CREATE TVIEW using_ AS SELECT id, p.v, s.v AS sv FROM p LEFT JOIN s USING (id);
CREATE TVIEW exists_ AS SELECT id FROM p WHERE EXISTS (SELECT FROM c WHERE c.p = p.id AND c.v > p.k);
CREATE TVIEW in_ AS SELECT id, v FROM p WHERE id IN (SELECT p FROM c);
CREATE TVIEW not_in AS SELECT id FROM c WHERE p NOT IN (SELECT id FROM p WHERE v > 1);
CREATE TVIEW pair_in AS SELECT id FROM c WHERE (p, v) IN (SELECT id, v FROM p);
CREATE TVIEW scalar_ AS SELECT id, (SELECT sum(v) FROM c WHERE c.p = p.id) AS s, (SELECT max(v) FROM s WHERE s.p = p.id) AS m FROM p;
CREATE TVIEW value_ AS SELECT id FROM p WHERE v < (SELECT count(*) FROM c);
CREATE TVIEW value_small AS SELECT id FROM s WHERE v >= (SELECT max(v) FROM p);
CREATE TVIEW lateral_ AS SELECT p.id, l.id AS cid FROM p LEFT JOIN LATERAL (SELECT id FROM c WHERE c.p = p.id ORDER BY v DESC NULLS LAST, id LIMIT 1) l ON true;
CREATE TVIEW groups AS SELECT c.p, count(*) AS n, sum(p.v) AS s FROM c LEFT JOIN p ON p.id = c.p GROUP BY c.p;
CREATE TVIEW groups_other AS SELECT p.id, array_agg(c.v ORDER BY c.id) AS a FROM p JOIN c ON c.p = p.id GROUP BY p.id;
CREATE TVIEW having_in AS SELECT p, count(*) AS n FROM c GROUP BY p HAVING count(*) IN (SELECT v FROM p);
CREATE TVIEW grouped_joined AS SELECT p.id, g.n FROM p JOIN (SELECT p, count(*) AS n FROM c GROUP BY p) g ON g.p = p.id;
CREATE TVIEW union_ AS SELECT id, v FROM p UNION SELECT id, v FROM c UNION SELECT id, v FROM s;
CREATE TVIEW union_all AS SELECT k, v FROM p UNION ALL SELECT p, v FROM c;
CREATE TVIEW except_ AS SELECT id FROM p EXCEPT SELECT p FROM c;
CREATE TVIEW window_ AS SELECT c.id, p.id AS pid, row_number() OVER (PARTITION BY p.id ORDER BY c.id) AS r FROM c JOIN p ON p.id = c.p;
CREATE TVIEW above AS SELECT i.id, g.n FROM inner_ i JOIN groups g ON g.p = i.pv;
CREATE TVIEW named WITH (key = 'pid') AS SELECT c.p AS pid, max(p.v) AS v FROM c JOIN p ON p.id = c.p GROUP BY c.p;
SELECT t.name, s.key AS base_table, s.value AS strategy
  FROM tviews.tviews t, jsonb_each_text(t.strategies) s WHERE schema = 'integers' ORDER BY 1, 2;
-- what writers of the nullable side lock
SELECT v AS tview, line FROM unnest('{left_bag, left_small, full_, exists_}'::text[]) v,
    tviews.explain(v::regclass) WITH ORDINALITY AS e (line, n) WHERE line ~ 'locks:|^  [a-z]+[.][a-z]+: ' ORDER BY v, n;
CREATE FUNCTION rnd(n int) RETURNS int LANGUAGE sql AS $$ SELECT floor(random() * n)::int $$;
CREATE PROCEDURE step() LANGUAGE plpgsql AS $$ DECLARE x text; BEGIN
  FOR j IN 0..rnd(4) LOOP
    x := (ARRAY['p', 'c', 's', 'c'])[1 + rnd(4)];
    CASE rnd(5)
      WHEN 0, 1 THEN EXECUTE format('INSERT INTO %I VALUES (%s, %s, %s) ON CONFLICT (id) DO NOTHING', x, rnd(9), coalesce(nullif(rnd(5), 0)::text, 'NULL'), rnd(4));
      WHEN 2 THEN EXECUTE format('DELETE FROM %I WHERE id %% 4 = %s', x, rnd(4));
      WHEN 3 THEN EXECUTE format('UPDATE %I SET %s = %s WHERE id %% 2 = %s', x, CASE WHEN rnd(2) = 0 THEN 'v' WHEN x = 'p' THEN 'k' ELSE 'p' END, coalesce(nullif(rnd(5), 0)::text, 'NULL'), rnd(2));
      ELSE IF rnd(2) = 0 THEN INSERT INTO bag VALUES (rnd(5), rnd(5)); ELSE DELETE FROM bag WHERE p = rnd(5); END IF;
    END CASE;
  END LOOP;
END $$;
SELECT setseed(0.23);
DO $$ DECLARE wrong text; BEGIN
  FOR i IN 1..60 LOOP
    CALL integers.step();
    COMMIT;
    SELECT string_agg(o::text, ' ') INTO wrong FROM oracle() o;
    IF wrong IS NOT NULL THEN RAISE EXCEPTION 'after step %: %', i, wrong; END IF;
  END LOOP;
END $$;
SELECT count(*) > 0 AS some_rows FROM groups;
DROP SCHEMA integers CASCADE;
