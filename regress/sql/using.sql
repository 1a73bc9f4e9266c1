-- Joins with names of their own, USING, and rows of such joins.
CREATE SCHEMA using_;
SET search_path = using_, public;
SET client_min_messages = warning;
SET jit = off;
CREATE TABLE a (id int PRIMARY KEY, k int, n int);
CREATE TABLE b (id int PRIMARY KEY, k bigint, n int, gone int);
CREATE TABLE c (id int PRIMARY KEY, k int, m int);
ALTER TABLE b DROP gone;
CREATE TVIEW left_ AS SELECT s.k, s.x, s.y FROM (a LEFT JOIN b USING (k)) AS s (k, id, x, bid, y);
CREATE TVIEW right_ AS SELECT s.k, s.m FROM (c RIGHT JOIN b USING (k)) s;
CREATE TVIEW full_ AS SELECT s.k, a2.n FROM (a FULL JOIN b USING (k)) s LEFT JOIN a a2 ON a2.id = s.k;
CREATE TVIEW same_type AS SELECT s.k, s.m FROM (a FULL JOIN c USING (k)) s;
CREATE TVIEW natural_ AS SELECT * FROM (SELECT k, n AS an FROM a) x NATURAL FULL JOIN (SELECT k, m FROM c) y;
CREATE TVIEW three AS SELECT k, a.n, b.n AS bn, c.m FROM a LEFT JOIN b USING (k) LEFT JOIN c USING (k);
CREATE TVIEW three_full AS SELECT k, a.n, b.n AS bn, c.m FROM a FULL JOIN b USING (k) FULL JOIN c USING (k);
CREATE TVIEW hidden AS SELECT s.k, a.n, a.id FROM (a LEFT JOIN c USING (k)) s JOIN a ON a.k = s.m;
CREATE TVIEW nested AS SELECT u.k, u.m, u.n FROM ((a JOIN b USING (k)) AS s (k, id, n, bid, bn) LEFT JOIN c USING (k)) u;
CREATE TVIEW lateral_ AS SELECT s.k, l.n FROM (a FULL JOIN b USING (k)) s, LATERAL (SELECT c.m AS n FROM c WHERE c.k = s.k) l;
CREATE TVIEW exists_ AS SELECT s.k FROM (a FULL JOIN b USING (k)) s WHERE EXISTS (SELECT FROM c WHERE c.k = s.k);
CREATE TVIEW groups AS SELECT s.k, count(*) AS n, sum(s.m) AS m FROM (a LEFT JOIN c USING (k)) s GROUP BY s.k;
CREATE TVIEW groups_full AS SELECT s.k, count(*) AS n FROM (a FULL JOIN b USING (k)) s GROUP BY s.k;
CREATE TVIEW groups_unnamed AS SELECT k, (SELECT max(c.m) FROM c WHERE c.k = d.k) AS m FROM (SELECT k FROM a FULL JOIN b USING (k)) d GROUP BY k;
CREATE VIEW named AS SELECT s.k, s.m, s.id FROM (a LEFT JOIN c USING (k)) AS s (k, id, n, cid, m);
CREATE TVIEW of_view AS SELECT x.id, x.m, b.n FROM named x JOIN b ON b.k = x.k;
-- rows of joins keep the names of their columns
CREATE TVIEW row_using AS SELECT a.id, row_to_json(x) AS j FROM a JOIN c USING (k) AS x;
CREATE TVIEW row_join AS SELECT s.id, to_jsonb(s) AS j FROM (a LEFT JOIN b USING (k)) AS s (k, id, n, "B id", "null");
CREATE TVIEW by_row AS SELECT s::text AS j, string_agg(s.id::text, ',' ORDER BY s.id) AS ids FROM (a RIGHT JOIN b USING (k)) AS s (k, id, n, bid, m) GROUP BY s::text;
CREATE TVIEW row_group AS SELECT x.k, jsonb_agg(to_jsonb(x)) AS j FROM a JOIN c USING (k) AS x GROUP BY x.k;
CREATE TVIEW row_below AS SELECT x.k, (SELECT jsonb_agg(jsonb_build_array(x, c.id) ORDER BY c.id) FROM c WHERE c.k = x.k) AS j FROM a JOIN b USING (k) AS x;
SELECT t.name, s.key AS base_table, s.value AS strategy
  FROM tviews.tviews t, jsonb_each_text(t.strategies) s WHERE schema = 'using_' ORDER BY 1, 2;
CREATE FUNCTION rnd(n int) RETURNS int LANGUAGE sql AS $$ SELECT floor(random() * n)::int $$;
-- pg_get_viewdef does not keep the names of rows, so these are compared with queries
CREATE PROCEDURE compare(i int) LANGUAGE plpgsql AS $$ DECLARE wrong text; BEGIN
  SELECT string_agg(o::text, ' ') INTO wrong FROM oracle() o WHERE tview !~ '^row_';
  IF wrong IS NOT NULL THEN RAISE EXCEPTION 'after step %: %', i, wrong; END IF;
  PERFORM FROM ((SELECT id, j::text FROM row_using EXCEPT ALL SELECT a.id, row_to_json(x)::text FROM a JOIN c USING (k) AS x) UNION ALL
                (SELECT a.id, row_to_json(x)::text FROM a JOIN c USING (k) AS x EXCEPT ALL SELECT id, j::text FROM row_using)) d;
  IF FOUND THEN RAISE EXCEPTION 'after step %: row_using', i; END IF;
  PERFORM FROM ((SELECT id, j FROM row_join EXCEPT ALL SELECT s.id, to_jsonb(s) FROM (a LEFT JOIN b USING (k)) AS s (k, id, n, "B id", "null")) UNION ALL
                (SELECT s.id, to_jsonb(s) FROM (a LEFT JOIN b USING (k)) AS s (k, id, n, "B id", "null") EXCEPT ALL SELECT id, j FROM row_join)) d;
  IF FOUND THEN RAISE EXCEPTION 'after step %: row_join', i; END IF;
  PERFORM FROM ((TABLE row_group EXCEPT ALL SELECT x.k, jsonb_agg(to_jsonb(x)) AS j FROM a JOIN c USING (k) AS x GROUP BY x.k) UNION ALL
                (SELECT x.k, jsonb_agg(to_jsonb(x)) AS j FROM a JOIN c USING (k) AS x GROUP BY x.k EXCEPT ALL TABLE row_group)) d;
  IF FOUND THEN RAISE EXCEPTION 'after step %: row_group', i; END IF;
END $$;
CREATE PROCEDURE step() LANGUAGE plpgsql AS $$ DECLARE x text; BEGIN
  FOR j IN 0..rnd(3) LOOP
    x := (ARRAY['a', 'b', 'c'])[1 + rnd(3)];
    CASE rnd(4)
      WHEN 0, 1 THEN EXECUTE format('INSERT INTO %I VALUES (%s, %s, %s) ON CONFLICT (id) DO NOTHING', x, rnd(9), coalesce(nullif(rnd(4), 0)::text, 'NULL'), rnd(3));
      WHEN 2 THEN EXECUTE format('DELETE FROM %I WHERE id %% 3 = %s', x, rnd(3));
      ELSE EXECUTE format('UPDATE %I SET k = %s WHERE id %% 2 = %s', x, coalesce(nullif(rnd(4), 0)::text, 'NULL'), rnd(2));
    END CASE;
  END LOOP;
END $$;
SELECT setseed(0.31);
DO $$ BEGIN
  FOR i IN 1..60 LOOP
    CALL using_.step();
    COMMIT;
    CALL using_.compare(i);
  END LOOP;
END $$;
-- columns that come and go leave the joins as they were
ALTER TABLE c ADD d int DEFAULT 7;
ALTER TABLE b ADD m int;
ALTER TABLE b DROP m;
DO $$ BEGIN
  FOR i IN 1..40 LOOP
    CALL using_.step();
    COMMIT;
    CALL using_.compare(i);
  END LOOP;
END $$;
SELECT j FROM row_using ORDER BY id LIMIT 1;
SELECT j FROM row_join ORDER BY id LIMIT 1;
-- several FULL JOINs by one value, which may be NULL, and be there more than once
CREATE SCHEMA chains;
SET search_path = chains, public;
CREATE TABLE k1 (k int PRIMARY KEY, v int);
CREATE TABLE k2 (k int, w int);
CREATE TABLE k3 (k int, x int);
CREATE INDEX ON k2 (k);
CREATE INDEX ON k3 (k);
INSERT INTO k1 SELECT i, i FROM generate_series(1, 3000) i;
INSERT INTO k2 SELECT nullif(i % 2500, 0), i FROM generate_series(1500, 5000) i;
INSERT INTO k3 SELECT nullif(i, 4000), i FROM generate_series(2500, 5500) i;
ANALYZE;
CREATE TVIEW three WITH (mode = incremental) AS SELECT k, k1.v, k2.w, k3.x FROM k1 FULL JOIN k2 USING (k) FULL JOIN k3 USING (k);
CREATE TVIEW on_ WITH (mode = incremental) AS SELECT k1.v, k2.w, k3.x FROM k1 FULL JOIN k2 ON k1.k = k2.k AND k2.w > 1600 FULL JOIN k3 ON k3.k = coalesce(k1.k, k2.k);
CREATE TVIEW through_one WITH (mode = incremental) AS SELECT k1.v, k2.w, k3.x FROM k1 FULL JOIN k2 ON k1.k = k2.k FULL JOIN k3 ON k3.k = k2.k WHERE k1.v IS NULL OR k1.v > 10;
CREATE TVIEW grouped WITH (mode = incremental) AS SELECT k % 50 AS m, count(*) AS n, count(v) AS v, sum(x) AS x FROM k1 NATURAL FULL JOIN k2 NATURAL FULL JOIN k3 GROUP BY 1;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'chains' ORDER BY name;
SELECT * FROM locks('three');
UPDATE k1 SET v = 0 WHERE k = 2600;
SELECT * FROM cost();
UPDATE k2 SET w = 0 WHERE k = 2400;
DELETE FROM k1 WHERE k = 2400;
SELECT * FROM cost();
INSERT INTO k3 VALUES (1, 1), (NULL, 2), (1, 3), (9000, 1);
SELECT * FROM cost();
UPDATE k3 SET k = NULL WHERE k = 3000;
UPDATE k2 SET k = 9000 WHERE k IS NULL;
SELECT * FROM cost();
BEGIN;
INSERT INTO k1 VALUES (9000, 9), (9001, 9);
DELETE FROM k3 WHERE k = 9000 OR k IS NULL;
UPDATE k2 SET k = 9001 WHERE k = 9000;
COMMIT;
SELECT * FROM cost();
DROP SCHEMA chains CASCADE;
DROP SCHEMA using_ CASCADE;
