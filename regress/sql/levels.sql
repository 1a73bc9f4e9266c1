-- Columns of the query around a sub-query, wherever they stand in it: what is moved to another level finds them there.
CREATE SCHEMA levels;
SET search_path = levels, public;
SET client_min_messages = warning;
SET jit = off;
-- the first columns of all tables have one type: a column that is looked up in the wrong table is not an error but a wrong row
CREATE TABLE t (id int PRIMARY KEY, v int, w int);
CREATE TABLE a (id int PRIMARY KEY, k int, n int);
CREATE TABLE b (id int PRIMARY KEY, k int, n int);
CREATE TABLE c (id int PRIMARY KEY, k int, n int);
CREATE TABLE bag (k int, n int);
-- ON of the outer join itself, and of a join below it
CREATE TVIEW right_ AS SELECT t.w, l.* FROM t, LATERAL (SELECT a.n, b.k FROM a RIGHT JOIN b ON b.k = t.v) l;
CREATE TVIEW left_ AS SELECT t.w, l.* FROM t, LATERAL (SELECT a.n, b.k FROM a LEFT JOIN b ON b.k = t.v AND b.n = a.n) l;
CREATE TVIEW full_ AS SELECT t.w, l.* FROM t, LATERAL (SELECT a.n, b.k FROM a FULL JOIN b ON a.k = b.k AND a.n = t.v) l;
CREATE TVIEW below AS SELECT t.w, l.* FROM t, LATERAL (SELECT a.k, b.n, c.k AS ck FROM a LEFT JOIN (b JOIN c ON c.k = t.v) ON b.k = a.k) l;
CREATE TVIEW below_any AS SELECT t.w, l.* FROM t, LATERAL (SELECT a.k, b.n, c.k AS ck FROM a LEFT JOIN (b JOIN c ON c.k = t.v) ON true) l;
CREATE TVIEW below_twice AS SELECT t.v, l.* FROM t, LATERAL (SELECT a.k, b.n, c.k AS ck FROM a LEFT JOIN (b LEFT JOIN c ON c.k = t.v) ON a.k = b.n) l;
CREATE TVIEW with_keys AS SELECT t.id, l.* FROM t, LATERAL (SELECT a.id AS aid, b.id AS bid, c.id AS cid FROM a LEFT JOIN (b JOIN c ON c.k = t.v) ON b.k = a.k) l;
CREATE TVIEW without_keys AS SELECT t.w, l.* FROM t, LATERAL (SELECT a.k, bag.n FROM a LEFT JOIN bag ON bag.k = t.v) l;
CREATE TVIEW grouped AS SELECT t.w, count(*) AS n, sum(l.n) AS s FROM t, LATERAL (SELECT a.k, b.n FROM a LEFT JOIN (b JOIN c ON c.k = t.v) ON b.k = a.k) l GROUP BY t.w;
-- two queries further up
CREATE TVIEW deep AS SELECT t.w, l.* FROM t, LATERAL (SELECT a.k, m.* FROM a, LATERAL (SELECT b.n, c.k AS ck FROM b LEFT JOIN c ON c.k = t.v AND c.n = a.n) m) l;
-- a sub-query on the nullable side that looks at it
CREATE TVIEW nested AS SELECT t.w, l.* FROM t, LATERAL (SELECT a.n, s.x FROM a LEFT JOIN (SELECT b.k, t.v AS x FROM b WHERE b.n > t.w) s ON s.k = a.k) l;
CREATE TVIEW linked AS SELECT l.* FROM t, LATERAL (SELECT s.m, a.k FROM a LEFT JOIN (SELECT (SELECT max(c.k) FROM c) AS m, t.v FROM b) s ON s.m = a.k) l;
-- a LATERAL item behind an outer join inside of another one
CREATE TVIEW beside AS SELECT s.id, s.bid, l.id AS cid FROM (SELECT a.id, b.id AS bid, b.n FROM a LEFT JOIN b ON b.k = a.k) s, LATERAL (SELECT c.id FROM c WHERE c.k IS NOT DISTINCT FROM s.n) l;
SELECT t.name, s.key AS base_table, s.value AS strategy
  FROM tviews.tviews t, jsonb_each_text(t.strategies) s WHERE schema = 'levels' ORDER BY 1, 2;
CREATE FUNCTION rnd(n int) RETURNS int LANGUAGE sql AS $$ SELECT floor(random() * n)::int $$;
CREATE PROCEDURE step() LANGUAGE plpgsql AS $$ DECLARE x text; BEGIN
  FOR j IN 0..rnd(3) LOOP
    x := (ARRAY['t', 'a', 'b', 'c', 'a', 'b', 'c'])[1 + rnd(7)];
    CASE rnd(5)
      WHEN 0, 1 THEN EXECUTE format('INSERT INTO %I VALUES (%s, %s, %s) ON CONFLICT (id) DO NOTHING', x, rnd(9), coalesce(nullif(rnd(4), 0)::text, 'NULL'), rnd(3));
      WHEN 2 THEN EXECUTE format('DELETE FROM %I WHERE id %% 3 = %s', x, rnd(3));
      WHEN 3 THEN EXECUTE format('UPDATE %I SET %s = %s WHERE id %% 2 = %s', x, CASE WHEN x = 't' THEN 'v' ELSE 'k' END, coalesce(nullif(rnd(4), 0)::text, 'NULL'), rnd(2));
      ELSE IF rnd(2) = 0 THEN INSERT INTO bag VALUES (rnd(4), rnd(3)); ELSE DELETE FROM bag WHERE k = rnd(4); END IF;
    END CASE;
  END LOOP;
END $$;
SELECT setseed(0.17);
DO $$ DECLARE wrong text; BEGIN
  FOR i IN 1..60 LOOP
    CALL levels.step();
    COMMIT;
    SELECT string_agg(o::text, ' ') INTO wrong FROM oracle() o;
    IF wrong IS NOT NULL THEN RAISE EXCEPTION 'after step %: %', i, wrong; END IF;
  END LOOP;
END $$;
SELECT count(*) > 0 AS some_rows FROM below;
DROP SCHEMA levels CASCADE;
