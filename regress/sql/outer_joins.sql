-- Outer joins in every nesting, with conditions that are not monotone, under pseudo-random transactions: equal after each of them.
CREATE SCHEMA outer_joins;
SET search_path = outer_joins, public;
SET client_min_messages = warning;
CREATE TABLE a (id int PRIMARY KEY, k int, name text);
CREATE TABLE b (id int PRIMARY KEY, k int, note text);
CREATE TABLE c (k int PRIMARY KEY, word text);
INSERT INTO a VALUES (1, 1, 'one'), (2, 2, 'two'), (3, NULL, 'null'), (4, 1, 'one again');
INSERT INTO b VALUES (10, 1, 'x'), (11, 1, 'y'), (12, 3, 'z'), (13, NULL, 'n');
INSERT INTO c VALUES (1, 'uno'), (2, 'due');
CREATE TVIEW anti1 AS SELECT c.k, a.id, c.word FROM c LEFT JOIN a ON a.k = c.k WHERE a.id IS NULL;
CREATE TVIEW anti2 AS SELECT c.k, a.id, c.word FROM c LEFT JOIN a ON a.k = c.k WHERE a.id IS NULL OR a.name <> 'one';
CREATE TVIEW anti3 AS SELECT c.k, a.id FROM c LEFT JOIN a ON a.k = c.k WHERE coalesce(a.name, 'none') = 'none' OR c.word = 'uno';
CREATE TVIEW full1 AS SELECT a.id, b.id AS bid, coalesce(a.k, b.k) AS k FROM a FULL JOIN b ON a.k = b.k WHERE a.id IS NULL OR b.id IS NULL;
CREATE TVIEW full2 AS SELECT a.id, b.id AS bid, c.k FROM a FULL JOIN b ON a.k = b.k FULL JOIN c ON c.k = coalesce(a.k, b.k);
CREATE TVIEW full3 AS SELECT coalesce(a.k, b.k, c.k) AS k, count(*) AS n, string_agg(a.name || coalesce(b.note, '-'), ',' ORDER BY a.id, b.id) AS s FROM a FULL JOIN b ON a.k = b.k LEFT JOIN c ON c.k = a.k GROUP BY 1;
CREATE TVIEW nested1 AS SELECT c.k, x.id, x.bid FROM c LEFT JOIN (SELECT a.k, a.id, b.id AS bid FROM a LEFT JOIN b ON b.k = a.k WHERE b.id IS NULL OR b.note > 'x') x ON x.k = c.k;
CREATE TVIEW nested2 AS SELECT c.k, x.id, x.n FROM c LEFT JOIN (SELECT a.id, a.k, 1 AS n FROM a) x ON x.k = c.k AND x.n = 1;
CREATE TVIEW nested3 AS SELECT c.k, x.n, x.id FROM c LEFT JOIN (SELECT a.id, a.k, coalesce(a.name, 'x') AS n FROM a RIGHT JOIN b ON b.k = a.k) x ON x.k = c.k;
CREATE TVIEW aggview AS SELECT c.k, c.word, s.n FROM c LEFT JOIN (SELECT k, count(*) AS n FROM a GROUP BY k) s ON s.k = c.k;
CREATE TVIEW hav AS SELECT c.k, count(a.id) AS n FROM c LEFT JOIN a ON a.k = c.k GROUP BY c.k HAVING count(a.id) = 0;
CREATE TVIEW hav2 AS SELECT c.word, min(a.name) AS m FROM c LEFT JOIN a ON a.k = c.k LEFT JOIN b ON b.k = a.k AND b.note <> a.name GROUP BY c.word HAVING count(b.id) < 2;
CREATE TVIEW dist AS SELECT DISTINCT c.word, b.note FROM c LEFT JOIN a ON a.k = c.k LEFT JOIN b ON b.k = a.k WHERE b.id IS NULL OR a.id > 1;
CREATE TVIEW three AS SELECT x.id, y.id AS yid, z.id AS zid FROM a x LEFT JOIN a y ON y.k = x.id LEFT JOIN a z ON z.k = y.id AND z.id <> x.id;
CREATE TVIEW crossleft AS SELECT a.id, c.k, b.id AS bid FROM (a CROSS JOIN c) LEFT JOIN b ON b.k = a.k AND b.k = c.k;
CREATE TVIEW onc AS SELECT a.id, b.id AS bid FROM a LEFT JOIN b ON true AND b.note = 'x';
CREATE TVIEW onf AS SELECT a.id, b.id AS bid FROM a LEFT JOIN b ON a.k > 1;
CREATE TVIEW lat AS SELECT a.id, l.bid, l.x FROM a, LATERAL (SELECT b.id AS bid, b.note || a.name AS x FROM b WHERE b.k = a.k) l;
CREATE TVIEW latl AS SELECT a.id, l.bid, l.x FROM a LEFT JOIN LATERAL (SELECT b.id AS bid, b.note || a.name AS x FROM b WHERE b.k = a.k) l ON true;
CREATE TVIEW caser AS SELECT a.id, CASE WHEN b.id IS NULL THEN 'none' ELSE b.note END AS n, b.id AS bid FROM a LEFT JOIN b USING (k);
CREATE TVIEW isd AS SELECT a.id, c.k FROM a LEFT JOIN c ON c.k IS NOT DISTINCT FROM a.k;
CREATE TVIEW valjoin AS SELECT a.id, v.l FROM a LEFT JOIN (VALUES (1, 'one'), (2, 'two')) v(k, l) ON v.k = a.k;
CREATE TVIEW exist_grp AS SELECT k, count(*) AS n FROM a WHERE EXISTS (SELECT FROM b WHERE b.k = a.k) GROUP BY k;
CREATE TVIEW sub_key AS SELECT a.id, (SELECT word FROM c WHERE c.k = a.k) AS w, b.id AS bid FROM a LEFT JOIN b ON b.k = (SELECT max(k) FROM c WHERE c.k <= a.k);
SELECT t.name, s.key AS base_table, s.value AS strategy
  FROM tviews.tviews t, jsonb_each_text(t.strategies) s WHERE schema = 'outer_joins' ORDER BY 1, 2;
SELECT * FROM oracle();
CREATE FUNCTION rnd(n int) RETURNS int LANGUAGE sql AS $$ SELECT floor(random() * n)::int $$;
CREATE PROCEDURE step() LANGUAGE plpgsql AS $$ BEGIN
  FOR j IN 0..rnd(4) LOOP
    CASE rnd(12)
      WHEN 0 THEN INSERT INTO a VALUES (rnd(12), nullif(rnd(6), 0), 'n' || rnd(3)) ON CONFLICT (id) DO UPDATE SET k = excluded.k;
      WHEN 1 THEN INSERT INTO b VALUES (rnd(12), nullif(rnd(6), 0), chr(119 + rnd(4))) ON CONFLICT (id) DO UPDATE SET k = excluded.k;
      WHEN 2 THEN INSERT INTO c VALUES (rnd(6), 'w' || rnd(3)) ON CONFLICT (k) DO UPDATE SET word = excluded.word;
      WHEN 3 THEN DELETE FROM a WHERE id = rnd(12);
      WHEN 4 THEN DELETE FROM b WHERE id = rnd(12);
      WHEN 5 THEN DELETE FROM c WHERE k = rnd(6);
      WHEN 6 THEN UPDATE a SET k = nullif(rnd(6), 0) WHERE id % 3 = rnd(3);
      WHEN 7 THEN UPDATE b SET k = nullif(rnd(6), 0), note = chr(119 + rnd(4)) WHERE id % 3 = rnd(3);
      WHEN 8 THEN UPDATE c SET word = 'w' || rnd(3) WHERE k % 2 = rnd(2);
      WHEN 9 THEN UPDATE a SET name = 'one' WHERE id % 2 = rnd(2);
      WHEN 10 THEN UPDATE a SET id = id + 20 WHERE id < 4 AND NOT EXISTS (SELECT FROM a x WHERE x.id = a.id + 20);
      ELSE IF rnd(10) = 0 THEN DELETE FROM a; DELETE FROM c; ELSE PERFORM count(*) FROM full3; END IF;
    END CASE;
  END LOOP;
END $$;
SELECT setseed(0.42);
DO $$ DECLARE wrong text; BEGIN
  FOR i IN 1..80 LOOP
    CALL outer_joins.step();
    COMMIT;
    SELECT string_agg(o::text, ' ') INTO wrong FROM oracle() o;
    IF wrong IS NOT NULL THEN RAISE EXCEPTION 'after step %: %', i, wrong; END IF;
  END LOOP;
END $$;
SELECT count(*) > 0 AS some_rows FROM full3;
-- a sub-query on the nullable side, over what changes in another place, too
CREATE TABLE x (id int PRIMARY KEY, k int);
CREATE TABLE y (id int PRIMARY KEY, k int);
CREATE TABLE z (k int PRIMARY KEY);
INSERT INTO x VALUES (1, 1);
INSERT INTO y VALUES (2, 1);
CREATE TVIEW below AS SELECT x.id, o.id AS oid, z.k FROM x LEFT JOIN (y JOIN y o ON o.id = y.id AND NOT NOT EXISTS (SELECT FROM z WHERE z.k = y.k)) ON o.k = x.k, z;
INSERT INTO z VALUES (5);
SELECT * FROM oracle();
INSERT INTO z VALUES (1);
TABLE below ORDER BY k;
SELECT * FROM oracle();
DROP SCHEMA outer_joins CASCADE;
