-- Windows of which a changed row concerns an interval of their order only.
CREATE SCHEMA intervals;
SET search_path = intervals, public;
SET client_min_messages = warning;
CREATE TABLE t (id int PRIMARY KEY, g int, at int NOT NULL, n int, x numeric, f float8, note text, UNIQUE (at, id));
INSERT INTO t SELECT i, i % 3, i * 10, i % 7, i / 10.0, i, 'n' || i FROM generate_series(1, 300) i;
CREATE INDEX ON t (g, at, id);
CREATE TABLE s (at int NOT NULL, n int);
INSERT INTO s SELECT i / 3, i FROM generate_series(1, 90) i;

-- a few rows before and behind
CREATE TVIEW frames WITH (mode = incremental) AS SELECT id, at, sum(n) OVER w AS s, avg(x) OVER w AS a, string_agg(note, ',') OVER w AS notes, sum(f) OVER w AS f
  FROM t WINDOW w AS (ORDER BY at, id ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING);
CREATE TVIEW neighbours WITH (mode = incremental) AS SELECT id, at, lag(n) OVER w AS before, lead(note, 2, 'none') OVER w AS behind, n - lag(n, 1, 0) OVER w AS step
  FROM t WHERE n <> 3 WINDOW w AS (ORDER BY at DESC, id);
CREATE TVIEW ahead WITH (mode = incremental) AS SELECT id, max(n) OVER (ORDER BY id DESC ROWS BETWEEN 1 FOLLOWING AND 3 FOLLOWING) AS m FROM t;
CREATE TVIEW behind WITH (mode = incremental) AS SELECT id, first_value(n) OVER (ORDER BY id ROWS BETWEEN 4 PRECEDING AND 2 PRECEDING EXCLUDE CURRENT ROW) AS m FROM t;
-- what goes on from the row before
CREATE TVIEW numbers WITH (mode = incremental) AS SELECT id, at, row_number() OVER w AS r, sum(n) OVER w AS s, sum(x) OVER w AS sx, count(n) FILTER (WHERE n > 2) OVER w AS c,
  min(n) OVER w AS lo, max(at) OVER w AS hi, first_value(note) OVER w AS f, lag(id) OVER w AS l FROM t WINDOW w AS (ORDER BY at, id);
CREATE TVIEW ranks WITH (mode = incremental) AS SELECT at, n, rank() OVER w AS r, dense_rank() OVER w AS d, sum(n) OVER w AS s, count(*) OVER w AS c FROM s WINDOW w AS (ORDER BY at DESC);
-- partitions
CREATE TVIEW parts WITH (mode = incremental) AS SELECT id, g, at, row_number() OVER w AS r, sum(n) OVER w AS s, avg(n) OVER (PARTITION BY g ORDER BY at, id ROWS 1 PRECEDING) AS a
  FROM t WINDOW w AS (PARTITION BY g ORDER BY at, id);
CREATE TVIEW parted WITH (mode = incremental) AS SELECT id, g, at, lead(n) OVER w AS b, n * 2 AS twice FROM t WINDOW w AS (PARTITION BY g ORDER BY at DESC, id DESC);
-- ordered by what is not shown; over a view, groups, another TVIEW
CREATE TVIEW hidden WITH (mode = incremental) AS SELECT note, sum(n) OVER (ORDER BY at, id) AS s FROM t;
CREATE VIEW odd AS SELECT id AS key, n AS amount, at AS moment FROM t WHERE id % 2 = 1;
CREATE TVIEW of_view WITH (mode = incremental) AS SELECT key, moment, sum(amount) OVER (ORDER BY moment, key ROWS 3 PRECEDING) AS s FROM odd;
CREATE TVIEW of_tview WITH (mode = incremental) AS SELECT id, lag(m) OVER (ORDER BY id) AS l FROM ahead WHERE m > 1;
CREATE TVIEW of_numbers WITH (mode = incremental) AS SELECT id, at, r - lag(r) OVER (ORDER BY id) AS d FROM numbers;
SELECT name, strategies, internal_stages FROM tviews.tviews WHERE schema = 'intervals' ORDER BY name;
-- what looks at all rows, or has no sure order
SELECT v.q, c.strategy FROM (VALUES ('SELECT id, at, ntile(3) OVER (ORDER BY at, id) FROM t'), ('SELECT id, at, sum(n) OVER (ORDER BY at ROWS 1 PRECEDING) FROM t'),
  ('SELECT id, n, row_number() OVER (ORDER BY n, id) FROM t'), ('SELECT id, at, sum(f) OVER (ORDER BY at, id) FROM t'),
  ('SELECT id, at, sum(n) OVER (ORDER BY at RANGE 10 PRECEDING) FROM t'), ('SELECT id, at, lag(n, n) OVER (ORDER BY at, id) FROM t'), ('SELECT id, at, lag(n) OVER (ORDER BY at, id), sum(n) OVER () FROM t'),
  ('SELECT id, at, n, rank() OVER (ORDER BY at), t FROM t')) v(q), tviews.check(v.q) c;
SELECT * FROM cost();

-- in the middle, at the ends, moved, gone
INSERT INTO t VALUES (1001, 1, 1505, 5, 0.001, 1, 'new');
SELECT * FROM cost();
INSERT INTO t VALUES (1002, 1, 5000, 5, 1.00, 1, 'last'), (1003, 2, 5000, 2, NULL, 2, 'last');
SELECT * FROM cost();
INSERT INTO t VALUES (0, 1, 0, 6, 1.00, 1, 'first');
SELECT * FROM cost();
UPDATE t SET n = 6 WHERE id = 150;
SELECT * FROM cost();
UPDATE t SET at = 2996 WHERE id = 297;
SELECT * FROM cost();
UPDATE t SET at = 3 WHERE id = 1002;
DELETE FROM t WHERE id = 1002;
DELETE FROM t WHERE id IN (1, 2, 150, 151, 299, 300);
SELECT * FROM cost();
UPDATE t SET n = NULL WHERE id BETWEEN 290 AND 296;
UPDATE t SET n = 3 WHERE id IN (293, 280);
UPDATE t SET g = 7 WHERE id IN (3, 298);
UPDATE t SET g = NULL WHERE id IN (4, 200);
UPDATE t SET n = 1 WHERE g IS NULL;
UPDATE t SET note = 'other' WHERE id = 42;
SELECT * FROM cost();
-- neighbours in one transaction, many, all
UPDATE t SET n = n + 1 WHERE id IN (50, 51, 53, 57, 100, 101);
SELECT * FROM cost();
UPDATE t SET n = n + 1 WHERE id > 20 AND id < 60;
UPDATE t SET at = 6000 - at;
DELETE FROM t WHERE g = 0;
SELECT * FROM cost();
BEGIN;
INSERT INTO t VALUES (2001, 1, 2500, 1), (2002, 1, 2505, 2);
SELECT count(*), sum(s), sum(r) FROM numbers;
SAVEPOINT a;
DELETE FROM t WHERE at BETWEEN 2400 AND 2600;
SELECT count(*), sum(s), sum(r) FROM numbers;
ROLLBACK TO a;
UPDATE t SET at = 2501 WHERE id = 2002;
SELECT count(*), sum(s), sum(r) FROM numbers;
COMMIT;
SELECT * FROM cost();
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO t VALUES (2003, 1, 2510, 1);
SELECT count(*), sum(s), sum(r) FROM numbers;
DELETE FROM t WHERE id = 2001;
COMMIT;
CREATE FUNCTION seen(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN $1 + (SELECT count(*) FROM frames) + (SELECT count(*) FROM parts); END $$;
INSERT INTO t SELECT 3000 + i, 1, 4000 + i, seen(0) FROM generate_series(1, 3) i;
SELECT tview, wrong FROM cost() WHERE wrong > 0;
-- equal rows
INSERT INTO s VALUES (10, 1), (10, 1), (10, 2);
SELECT * FROM cost();
DELETE FROM s WHERE at = 10;
UPDATE s SET at = 12 WHERE at = 11;
INSERT INTO s VALUES (30, 5), (30, 6), (31, NULL);
SELECT * FROM cost();
DELETE FROM s;
INSERT INTO s VALUES (1, 1);
SELECT * FROM cost();
-- dropped columns, other names
CREATE TABLE d (gone int, "At" int NOT NULL UNIQUE, gone2 text, n int);
INSERT INTO d SELECT 1, i, 'x', i FROM generate_series(1, 20) i;
ALTER TABLE d DROP COLUMN gone, DROP COLUMN gone2;
CREATE TVIEW dropped WITH (mode = incremental) AS SELECT "At", sum(n) OVER (ORDER BY "At" ROWS 1 PRECEDING) AS "Sum" FROM d;
CREATE TABLE e ("At" int NOT NULL UNIQUE, n int);
CREATE TVIEW named WITH (mode = incremental) AS SELECT a AS "At", sum(m) OVER (ORDER BY a ROWS 1 PRECEDING) AS "Sum" FROM e AS q(a, m);
INSERT INTO e VALUES (5, 1), (3, 2);
ALTER TABLE d ADD COLUMN more int;
INSERT INTO d VALUES (50, 1, 2);
DELETE FROM d WHERE "At" = 10;
SELECT * FROM cost();
-- an owner and a writer with few rights
CREATE ROLE intervals_owner;
CREATE ROLE intervals_writer;
GRANT USAGE, CREATE ON SCHEMA intervals TO intervals_owner;
GRANT USAGE ON SCHEMA intervals TO intervals_writer;
GRANT SELECT, TRIGGER ON t TO intervals_owner;
GRANT INSERT, DELETE ON t TO intervals_writer;
GRANT SELECT (id) ON t TO intervals_writer;
SET ROLE intervals_owner;
CREATE TVIEW of_owner WITH (mode = incremental) AS SELECT id, at, lag(n) OVER (ORDER BY at, id) AS l, row_number() OVER (ORDER BY at, id) AS r FROM t;
CREATE TVIEW first_of_owner WITH (mode = incremental) AS SELECT id, at FROM t ORDER BY at, id LIMIT 3;
SET ROLE intervals_writer;
INSERT INTO t (id, at, n) VALUES (9001, 1, 1), (9002, 2000, 2);
DELETE FROM t WHERE id = 9001;
RESET ROLE;
SELECT * FROM cost() WHERE tview::text LIKE '%of_owner';
SELECT name FROM tviews.tviews WHERE schema = 'intervals' AND NOT (SELECT ok FROM tviews.verify(format('%I.%I', schema, name)::regclass));

-- over joins and over groups: the rows are a stage
CREATE TABLE account (id int PRIMARY KEY, name text NOT NULL, branch int);
CREATE TABLE entry (id int PRIMARY KEY, account int NOT NULL REFERENCES account, day date NOT NULL, amount int NOT NULL, note text);
CREATE INDEX ON entry (account);
INSERT INTO account SELECT i, 'account ' || i, i % 3 FROM generate_series(1, 50) i;
INSERT INTO entry SELECT i, 1 + i % 50, date '2026-01-01' + i / 10, i % 17, 'entry ' || i FROM generate_series(1, 1000) i;
CREATE TVIEW of_join WITH (mode = incremental) AS SELECT e.id, a.name || '!' AS name, e.day, sum(e.amount) OVER w AS balance, row_number() OVER w AS number
  FROM entry e JOIN account a ON a.id = e.account WHERE a.branch < 2 WINDOW w AS (ORDER BY e.day, e.id);
CREATE TVIEW of_join_hidden WITH (mode = incremental) AS SELECT a.name, lag(e.amount) OVER (ORDER BY e.id) AS before FROM entry e JOIN account a ON a.id = e.account;
CREATE TVIEW best WITH (mode = incremental) AS SELECT account, sum(amount) AS total, rank() OVER (ORDER BY sum(amount) DESC) AS place FROM entry GROUP BY account;
CREATE TVIEW days WITH (mode = incremental) AS SELECT day, count(*) AS n, sum(count(*)) OVER (ORDER BY day) AS so_far FROM entry GROUP BY day;
CREATE TVIEW names WITH (mode = incremental) AS SELECT a.name, max(e.day) AS last, dense_rank() OVER (ORDER BY max(e.day)) AS place FROM entry e JOIN account a ON a.id = e.account GROUP BY a.name;
SELECT name, strategies, internal_stages FROM tviews.tviews WHERE name IN ('of_join', 'of_join_hidden', 'best', 'days', 'names') ORDER BY name;
-- sums of what can be NULL, too; not: rows of which several are equal in the order
SELECT base_table, strategy, reason FROM tviews.check('SELECT note, rank() OVER (ORDER BY sum(nullif(amount, 3))) AS place FROM entry GROUP BY note');
SELECT base_table, strategy, reason FROM tviews.check('SELECT a.name, row_number() OVER (ORDER BY e.day) AS number FROM entry e JOIN account a ON a.id = e.account');
SELECT count(*) AS flushed FROM cost();
INSERT INTO entry VALUES (2000, 7, '2026-04-11', 3, 'new');
SELECT * FROM cost('of_join', 'of_join_hidden', 'best', 'days', 'names');
UPDATE entry SET amount = amount + 1 WHERE id = 995;
SELECT * FROM cost('of_join', 'of_join_hidden', 'best', 'days', 'names');
UPDATE account SET branch = 1 - branch, name = 'moved ' || name WHERE id IN (7, 8);
SELECT wrong FROM cost('of_join', 'of_join_hidden', 'best', 'days', 'names');
BEGIN;
DELETE FROM entry WHERE id % 100 = 0;
INSERT INTO entry SELECT 3000 + i, i, date '2026-02-01' + i, i, NULL FROM generate_series(1, 20) i;
SELECT * FROM best ORDER BY account LIMIT 3;
UPDATE entry SET day = day + 1 WHERE id > 990;
UPDATE account SET name = 'account 1' WHERE id = 2;
COMMIT;
SELECT * FROM oracle();
DROP SCHEMA intervals CASCADE;
DROP ROLE intervals_owner, intervals_writer;
