-- The meaning of a query changes after writes of the same transaction that no TVIEW has followed yet.
CREATE SCHEMA redefined;
SET search_path = redefined, public;
CREATE ROLE regress_redefined;
GRANT ALL ON SCHEMA redefined TO regress_redefined;
SET ROLE regress_redefined;
CREATE TABLE t (id int PRIMARY KEY, g int, v int);
INSERT INTO t SELECT i, i % 4, i FROM generate_series(1, 40) i;

-- with row security there are no stages, without it there are
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
ALTER TABLE t FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON t USING (v % 5 > 0) WITH CHECK (true);
CREATE TVIEW large AS
    SELECT x.g, x.n, y.m FROM (SELECT g, count(*) AS n FROM t GROUP BY g) x JOIN (SELECT g, max(v) AS m FROM t GROUP BY g) y USING (g);
CREATE TVIEW above AS
    WITH w AS MATERIALIZED (SELECT g, sum(v) AS s FROM t GROUP BY g)
    SELECT w.g, w.s, (SELECT max(l.m) FROM large l WHERE l.n <= w.s) AS m FROM w WHERE w.s > 0;
CREATE TVIEW beside AS SELECT l.g, l.n, t.v FROM large l JOIN t ON t.id = l.m;
BEGIN;
INSERT INTO t VALUES (41, 1, 41), (42, 7, 50);
UPDATE t SET g = 2 WHERE id = 3;
ALTER TABLE t DISABLE ROW LEVEL SECURITY;
SELECT * FROM oracle();
DELETE FROM t WHERE id = 42;
COMMIT;
SELECT * FROM oracle();
BEGIN;
INSERT INTO t VALUES (42, 8, 50);
UPDATE t SET v = 45 WHERE id = 4;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
INSERT INTO t VALUES (43, 9, 51);
COMMIT;
SELECT * FROM oracle();
BEGIN;
DELETE FROM t WHERE g = 8;
ALTER POLICY p ON t USING (v % 3 > 0);
SAVEPOINT a;
INSERT INTO t VALUES (44, 8, 10);
DROP POLICY p ON t;
ROLLBACK TO a;
UPDATE t SET v = v + 1 WHERE id = 7;
ALTER TABLE t DISABLE ROW LEVEL SECURITY;
COMMIT;
SELECT * FROM oracle();

-- a view is replaced
CREATE VIEW part AS SELECT g, count(*) AS n FROM t GROUP BY g;
CREATE TVIEW parts AS SELECT g, n FROM part WHERE n > 1;
CREATE TVIEW parts_above AS SELECT p.n, q.s FROM parts p LEFT JOIN (SELECT g, sum(n) AS s FROM part GROUP BY g) q USING (g);
BEGIN;
INSERT INTO t VALUES (50, 1, 1), (51, 11, 2), (52, 11, 3);
CREATE OR REPLACE VIEW part AS SELECT g, count(DISTINCT v) AS n FROM t WHERE v > 0 GROUP BY g HAVING count(*) < 100;
SELECT * FROM oracle();
DELETE FROM t WHERE id = 52;
COMMIT;
SELECT * FROM oracle();

-- the query itself is replaced
BEGIN;
INSERT INTO t VALUES (60, 1, 1), (61, 12, 2), (62, 12, 3);
CREATE OR REPLACE TVIEW parts AS SELECT x.g, x.n, y.m FROM (SELECT g, count(*) AS n FROM t GROUP BY g) x JOIN (SELECT g, min(v) AS m FROM t GROUP BY g) y USING (g);
SELECT * FROM oracle();
DELETE FROM t WHERE id = 62;
CREATE OR REPLACE TVIEW parts AS SELECT g, sum(v) AS n, count(*)::int AS m FROM t GROUP BY g HAVING sum(v) > 1;
UPDATE t SET g = 13 WHERE id = 61;
COMMIT;
SELECT * FROM oracle();

-- an ordinary materialized view becomes a TVIEW, and is one no more
SET pg_tviews.ctas_prefix = '';
CREATE MATERIALIZED VIEW plain AS SELECT x.g, x.n, y.m FROM (SELECT g, count(*) AS n FROM t GROUP BY g) x JOIN (SELECT g, min(v) AS m FROM t GROUP BY g) y USING (g);
BEGIN;
INSERT INTO t VALUES (70, 1, 1), (71, 14, 2), (72, 14, 3);
ALTER MATERIALIZED VIEW plain SET ACCESS METHOD tview;
SELECT * FROM oracle('plain');
DELETE FROM t WHERE id = 72;
COMMIT;
SELECT * FROM oracle('plain');

-- a key goes
BEGIN;
INSERT INTO t VALUES (80, 1, 1), (81, 15, 2);
ALTER TABLE t DROP CONSTRAINT t_pkey;
INSERT INTO t VALUES (81, 15, 3);
COMMIT;
SELECT * FROM oracle();

-- computed again by hand, and without contents
BEGIN;
INSERT INTO t VALUES (90, 1, 1), (91, 15, 2);
REFRESH MATERIALIZED VIEW above;
INSERT INTO t VALUES (92, 16, 3);
COMMIT;
SELECT * FROM oracle();
BEGIN;
INSERT INTO t VALUES (93, 1, 1);
REFRESH MATERIALIZED VIEW parts_above WITH NO DATA;
INSERT INTO t VALUES (94, 1, 1);
REFRESH MATERIALIZED VIEW parts_above;
INSERT INTO t VALUES (95, 17, 3);
COMMIT;
SELECT * FROM oracle();

RESET ROLE;
DROP SCHEMA redefined CASCADE;
DROP ROLE regress_redefined;
