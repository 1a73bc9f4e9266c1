-- Window functions, DISTINCT ON, and the first rows of partitions.
CREATE SCHEMA windows;
SET search_path = windows, public;
SET client_min_messages = warning;
CREATE TABLE t (id int PRIMARY KEY, p int, q int, n int, v numeric);
CREATE TABLE name (p int PRIMARY KEY, label text);
INSERT INTO t SELECT i, i % 50, i % 7, (i * 37) % 101, i FROM generate_series(1, 1000) i;
INSERT INTO name SELECT i, 'part ' || i FROM generate_series(0, 49) i;
CREATE INDEX ON t (p);
CREATE INDEX ON t (q);
CREATE TVIEW ranks AS SELECT id, p, row_number() OVER w AS rn, rank() OVER w AS r, dense_rank() OVER w AS d, percent_rank() OVER w AS pr, ntile(4) OVER w AS quartile
  FROM t WINDOW w AS (PARTITION BY p ORDER BY n, id);
CREATE TVIEW neighbours AS SELECT id, p, lag(v) OVER w AS before, lead(v, 2, 0) OVER w AS after, first_value(id) OVER w AS f, last_value(id) OVER w AS l, nth_value(id, 2) OVER w AS n2
  FROM t WINDOW w AS (PARTITION BY p ORDER BY id);
CREATE TVIEW sums AS SELECT id, p, sum(v) OVER (PARTITION BY p) AS s, sum(v) OVER (PARTITION BY p ORDER BY id) AS running, count(*) FILTER (WHERE n > 50) OVER (PARTITION BY p) AS c FROM t;
CREATE TVIEW frames AS SELECT id, p, avg(v) OVER (PARTITION BY p ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS a,
  max(n) OVER (PARTITION BY p ORDER BY n RANGE BETWEEN 5 PRECEDING AND CURRENT ROW EXCLUDE TIES) AS m,
  sum(n) OVER (PARTITION BY p ORDER BY n GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS g FROM t;
CREATE TVIEW two_partitions AS SELECT id, p, q, rank() OVER (PARTITION BY p ORDER BY n) AS rp, rank() OVER (PARTITION BY q ORDER BY n) AS rq FROM t;
-- nothing in common: expressions over several windows, one of them named and used twice, a join, groups below
CREATE TVIEW apart AS SELECT t.id, upper(name.label) AS label, t.v - avg(t.v) OVER w AS from_average, sum(t.v) OVER w + count(*) OVER (PARTITION BY t.q % 3) AS mixed,
  lag(t.id) OVER (PARTITION BY t.q ORDER BY t.id) AS before FROM t JOIN name USING (p) WHERE t.n > 5 WINDOW w AS (PARTITION BY name.label);
CREATE TVIEW apart_keyless AS SELECT n, rank() OVER (PARTITION BY p ORDER BY n, id) AS rp, count(*) OVER (PARTITION BY q) AS cq FROM t WHERE id <= 100 OR id > 1000;
CREATE TVIEW apart_groups AS SELECT p, q, sum(v) AS s, rank() OVER (PARTITION BY p ORDER BY sum(v)) AS rp, rank() OVER (PARTITION BY q ORDER BY sum(v)) AS rq FROM t GROUP BY p, q;
CREATE TVIEW no_partition AS SELECT id, rank() OVER (ORDER BY n) AS r FROM t WHERE id <= 200;
CREATE TVIEW joined AS SELECT t.id, name.label, rank() OVER (PARTITION BY t.p ORDER BY t.n, t.id) AS r FROM t JOIN name ON name.p = t.p;
CREATE TVIEW first_of AS SELECT * FROM (SELECT id, p, n, row_number() OVER (PARTITION BY p ORDER BY n DESC, id) AS rn FROM t) x WHERE rn = 1;
CREATE TVIEW first_three AS SELECT * FROM (SELECT id, p, n, row_number() OVER (PARTITION BY p ORDER BY n DESC, id) AS rn FROM t) x WHERE rn <= 3;
CREATE TVIEW distinct_on AS SELECT DISTINCT ON (p) p, id, n FROM t ORDER BY p, n DESC, id;
CREATE TVIEW distinct_on_join AS SELECT DISTINCT ON (name.label) name.label, t.id FROM t JOIN name ON name.p = t.p ORDER BY name.label, t.v DESC;
CREATE TVIEW distinct_on_hidden AS SELECT DISTINCT ON (p, q % 2) id, n FROM t ORDER BY q % 2, p, n DESC, id;
CREATE TVIEW over_groups AS SELECT p, sum(v) AS s, rank() OVER (ORDER BY sum(v) DESC) AS r FROM t GROUP BY p;
CREATE TVIEW share AS SELECT p, q, sum(v) AS s, sum(v) / sum(sum(v)) OVER (PARTITION BY p) AS share FROM t GROUP BY p, q;
CREATE TVIEW group_of_window AS SELECT p, max(gap) AS gap FROM (SELECT p, v - lag(v) OVER (PARTITION BY p ORDER BY id) AS gap FROM t) x GROUP BY p;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'windows' ORDER BY name;
SELECT * FROM cost();

-- one row comes, changes its place in the partition, its partition, goes
INSERT INTO t VALUES (2000, 7, 3, 1000, 5);
SELECT * FROM cost();
UPDATE t SET n = -1 WHERE id = 2000;
SELECT * FROM cost();
UPDATE t SET p = 8 WHERE id = 2000;
SELECT * FROM cost();
DELETE FROM t WHERE id = 2000;
SELECT * FROM cost();
-- the winner goes; two rows are equal; a partition comes, is NULL, becomes empty
DELETE FROM t WHERE id = (SELECT id FROM first_of WHERE p = 9);
SELECT * FROM cost();
UPDATE t SET n = 7 WHERE p = 10;
SELECT * FROM cost();
INSERT INTO t VALUES (2001, NULL, NULL, 1, 1), (2002, NULL, 3, NULL, NULL);
SELECT * FROM cost();
DELETE FROM t WHERE p IS NULL;
DELETE FROM t WHERE p = 11;
SELECT * FROM cost();
UPDATE name SET label = 'other' WHERE p = 12;
SELECT * FROM cost();
-- several partitions in one transaction, with a read between
BEGIN;
UPDATE t SET p = 14 WHERE id = 63;
SELECT FROM tviews.flush();
SELECT count(*) FROM ranks WHERE p = 14;
UPDATE t SET p = 13, n = 50 WHERE id = 64;
COMMIT;
SELECT * FROM cost();

-- over a join with groups and DISTINCT
CREATE TABLE m (id int PRIMARY KEY, a int, b int);
CREATE VIEW m_groups AS SELECT a, count(*) AS n FROM m GROUP BY a;
CREATE TVIEW two_of_groups AS SELECT y.n, count(*) OVER (PARTITION BY x.b ORDER BY x.id) AS c, sum(x.b) OVER (PARTITION BY y.n) AS s FROM m_groups y JOIN m x ON x.a = y.a;
CREATE TVIEW two_of_distinct AS SELECT y.a, count(*) OVER (PARTITION BY x.b ORDER BY x.id) AS c, sum(x.b) OVER (PARTITION BY y.a) AS s FROM (SELECT DISTINCT a FROM m) y, m x WHERE x.a > y.a;
INSERT INTO m SELECT i, i % 4, i % 3 FROM generate_series(1, 20) i;
DELETE FROM m WHERE id = 7;
UPDATE m SET a = NULL WHERE id = 8;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'windows' AND name LIKE 'two\_of%' ORDER BY 1;
SELECT * FROM oracle();

-- ordered by a column whose name an output column has, too
CREATE TABLE u (q int, p int NOT NULL, c int);
CREATE TVIEW least_q AS SELECT DISTINCT ON (p) -q AS q, p, c FROM u ORDER BY p, u.q, c;
CREATE TVIEW least_q_joined AS SELECT x.q, y.c FROM (SELECT DISTINCT ON (p) -q AS q, p FROM u ORDER BY p, u.q, c) x JOIN u y ON x.p = y.p;
CREATE TVIEW document AS SELECT a.q, x.k FROM u a LEFT JOIN (SELECT DISTINCT ON (p) row_to_json(r) AS q, c AS k FROM u r ORDER BY p, r.q, c) x ON a.q = x.k ORDER BY a.q, x.k LIMIT 2;
INSERT INTO u VALUES (1, 1, 1), (2, 1, 2), (3, 1, 3), (7, 2, 2), (8, 2, 2);
TABLE least_q ORDER BY p;
-- 16.2 prints the query of least_q without the name of the table, and so another query
SELECT * FROM oracle() WHERE tview <> 'least_q';

-- nothing in common over rows without a key: a stage carries along what the windows over it need. Every row twice
DROP SCHEMA windows CASCADE;
CREATE SCHEMA windows;
CREATE TABLE t (p int, q int, r text, n int, v numeric);
INSERT INTO t SELECT nullif(i % 800, 3), i % 700, 'r' || i % 500, (i * 37) % 101, i FROM generate_series(1, 4000) i, generate_series(1, 2);
CREATE INDEX ON t (p);
CREATE INDEX ON t (q);
CREATE INDEX ON t (r);
SET pg_tviews.full_refresh_threshold = 1;
CREATE TVIEW two WITH (mode = incremental) AS SELECT n, sum(v) OVER (PARTITION BY p) AS sp, count(*) OVER (PARTITION BY q) AS cq FROM t;
CREATE TVIEW shown WITH (mode = incremental) AS SELECT t.*, sum(v) OVER (PARTITION BY p) AS sp, count(*) OVER (PARTITION BY q) AS cq FROM t;
CREATE TVIEW mixed WITH (mode = incremental) AS SELECT upper(r) AS u, v - avg(v) OVER w + count(*) OVER (PARTITION BY q % 400) AS m, rank() OVER (w ORDER BY n) AS rank,
  sum(n) FILTER (WHERE v > 5) OVER (PARTITION BY q % 400 ORDER BY v, n GROUPS 1 PRECEDING) AS s FROM t WINDOW w AS (PARTITION BY r) ORDER BY count(*) OVER w;
-- two stages for five partitionings: some have a column in common
CREATE TVIEW five WITH (mode = incremental) AS SELECT p, rank() OVER (PARTITION BY p ORDER BY n) AS a, rank() OVER (PARTITION BY q, p ORDER BY n) AS b, rank() OVER (PARTITION BY r ORDER BY n) AS c,
  rank() OVER (PARTITION BY q ORDER BY n) AS d, rank() OVER (PARTITION BY q, n ORDER BY v) AS e FROM t;
CREATE TVIEW once WITH (mode = incremental) AS SELECT DISTINCT n % 3 AS n, count(*) OVER (PARTITION BY p) AS cp, count(*) OVER (PARTITION BY q) AS cq FROM t;
CREATE TVIEW of_groups WITH (mode = incremental) AS SELECT p, q, sum(v) AS s, rank() OVER (PARTITION BY p ORDER BY sum(v)) AS rp, rank() OVER (PARTITION BY q ORDER BY sum(v)) AS rq FROM t GROUP BY p, q;
CREATE TVIEW of_join WITH (mode = incremental) AS SELECT x.v, y.n, count(*) OVER (PARTITION BY x.p) AS cp, sum(y.v) OVER (PARTITION BY y.r) AS sr FROM t x LEFT JOIN t y ON y.q = x.p AND y.n < 20;
CREATE TVIEW first AS SELECT n, v, p, sum(v) OVER (PARTITION BY p) AS sp, count(*) OVER (PARTITION BY q) AS cq FROM t ORDER BY v, n, p LIMIT 2;
-- all windows are computed together
CREATE TVIEW one_over_all AS SELECT n, sum(v) OVER (PARTITION BY p) AS sp, sum(v) OVER (PARTITION BY q) AS sq, count(*) OVER () AS c FROM t WHERE n < 3;
SELECT name, strategies, internal_stages FROM tviews.tviews WHERE schema = 'windows' ORDER BY name;
SELECT * FROM cost();
INSERT INTO t VALUES (7, 9, 'r1', 1, 4), (7, 9, 'r1', 1, 4);
SELECT * FROM cost();
UPDATE t SET q = NULL, v = 2 WHERE ctid = (SELECT ctid FROM t WHERE p = 7 AND q = 9 LIMIT 1);
SELECT * FROM cost();
DELETE FROM t WHERE ctid = (SELECT ctid FROM t WHERE p = 10 LIMIT 1);
SELECT * FROM cost();
UPDATE t SET p = q, q = p, r = 'r2' WHERE p IN (11, 12);
SELECT * FROM cost();
-- with a key that comes later, the stages stay as they are
ALTER TABLE t ADD COLUMN id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
UPDATE t SET p = NULL WHERE id = 1000;
SELECT * FROM cost();
BEGIN;
UPDATE t SET n = n % 7, q = q % 10 WHERE p < 100;
SELECT * FROM oracle();
DELETE FROM t;
INSERT INTO t VALUES (1, 1, 'x', 1, 1), (1, 1, 'x', 1, 1), (NULL, NULL, NULL, NULL, NULL);
SELECT * FROM oracle();
ROLLBACK;
SELECT * FROM oracle();
-- a row as a whole gets more columns: what is computed from it is carried, not the row
CREATE TABLE w (p int, q int) PARTITION BY LIST (p);
CREATE TABLE w_rest PARTITION OF w DEFAULT;
CREATE TABLE k (id int PRIMARY KEY, p int, q int);
CREATE TVIEW documents WITH (mode = incremental) AS SELECT to_jsonb(w) AS r, count(*) OVER (PARTITION BY p) AS cp, count(to_jsonb(w)::text) OVER (PARTITION BY q) AS cq FROM w;
CREATE TVIEW documents_by_key WITH (mode = incremental) AS SELECT to_jsonb(k) AS r, count(*) OVER (PARTITION BY p) AS cp, count(*) OVER (PARTITION BY q) AS cq FROM k;
CREATE TVIEW of_rows AS SELECT count(w) OVER (PARTITION BY p) AS cp, count(w) OVER (PARTITION BY q) AS cq FROM w;
INSERT INTO w VALUES (1, 1), (1, 1), (2, 1);
INSERT INTO k VALUES (1, 1, 1), (2, 1, 2);
ALTER TABLE w ADD COLUMN r int DEFAULT 7;
ALTER TABLE k ADD COLUMN r int DEFAULT 7;
SELECT * FROM oracle();
UPDATE w SET r = 8 WHERE p = 2;
UPDATE k SET r = 8 WHERE id = 2;
TABLE documents ORDER BY 1, 2, 3;
SELECT * FROM oracle();

DROP SCHEMA windows CASCADE;
