-- A column that one TVIEW uses costs no other one anything: no flush, no keys, no locks.
CREATE SCHEMA unused_columns;
SET search_path = unused_columns, public;
SET client_min_messages = warning;
CREATE TABLE branch (id int PRIMARY KEY, balance int, name text, region int);
CREATE TABLE account (id int PRIMARY KEY, branch int, amount int, note text);
CREATE INDEX ON account (branch);
INSERT INTO branch SELECT i, 0, 'b' || i, i % 3 FROM generate_series(1, 10) i;
INSERT INTO account SELECT i, 1 + i % 10, i, 'n' FROM generate_series(1, 1000) i;
CREATE TVIEW sums AS SELECT b.id, sum(a.amount) AS s, count(*) AS n FROM account a JOIN branch b ON b.id = a.branch GROUP BY b.id;
CREATE TVIEW names AS SELECT a.id, b.name FROM account a JOIN branch b ON b.id = a.branch;
CREATE TVIEW lefts AS SELECT b.id, a.amount FROM branch b LEFT JOIN account a ON a.branch = b.id;
CREATE TVIEW counts AS SELECT count(*) AS n FROM branch;
CREATE TVIEW whole AS SELECT b.id, to_jsonb(b) AS doc FROM branch b;
CREATE TVIEW ranks AS SELECT id, rank() OVER (PARTITION BY region ORDER BY id) AS r FROM branch;
CREATE TVIEW first_names AS SELECT name FROM branch ORDER BY name LIMIT 3;
CREATE TVIEW notes AS SELECT id, note FROM account;
CREATE TVIEW over_names AS SELECT count(*) AS n, max(id) AS last FROM names;
CREATE TVIEW of_regions AS SELECT r.region, r.n FROM (SELECT region, count(*) AS n FROM branch GROUP BY region) r WHERE r.n > 1;
CREATE VIEW locked AS SELECT string_agg(DISTINCT tview::text, ', ' ORDER BY tview::text) AS locked FROM tviews.locks WHERE lock <> 'tview' AND pid = pg_backend_pid();
SELECT count(*) AS tviews FROM cost('none');

UPDATE branch SET balance = balance + 1 WHERE id = 3;
SELECT * FROM cost();
BEGIN;
UPDATE branch SET name = name || '.' WHERE id = 3;
SELECT FROM tviews.flush();
TABLE locked;
COMMIT;
SELECT * FROM cost();
UPDATE account SET note = 'x';
SELECT tview, changed, wrong FROM cost();
-- there and back: what cancels out for one TVIEW need not for another
BEGIN;
UPDATE branch SET name = 'x', balance = 7 WHERE id = 4;
UPDATE branch SET name = 'b4' WHERE id = 4;
COMMIT;
SELECT * FROM cost();
-- a row in the place of another one
BEGIN;
DELETE FROM branch WHERE id = 5;
INSERT INTO branch VALUES (5, 100, 'b5', 2);
COMMIT;
SELECT * FROM cost();
-- between the tables of a join
BEGIN;
UPDATE branch SET balance = 0;
UPDATE account SET amount = amount + 1 WHERE id = 9;
COMMIT;
SELECT * FROM cost();
-- as many rows as do not fit into memory
SET pg_tviews.change_buffer_memory = 0;
SET work_mem = 64;
SET hash_mem_multiplier = 1;
UPDATE account SET note = 'y' || id;
SELECT tview, changed, wrong FROM cost();
UPDATE account SET note = 'z' || id, amount = amount + CASE WHEN id = 700 THEN 1 ELSE 0 END;
SELECT tview, changed, wrong FROM cost();
UPDATE account SET amount = amount + 1 WHERE id > 500;
SELECT tview, wrong FROM cost();
RESET pg_tviews.change_buffer_memory;
RESET work_mem;
RESET hash_mem_multiplier;
-- in parts of a transaction
BEGIN;
UPDATE branch SET name = 'y' WHERE id = 6;
SELECT name FROM names WHERE name = 'y' LIMIT 1;
SAVEPOINT s;
UPDATE branch SET name = 'b6', region = 0 WHERE id = 6;
SELECT r FROM ranks WHERE id = 6;
ROLLBACK TO s;
UPDATE branch SET name = 'b6', balance = 1 WHERE id = 6;
COMMIT;
SELECT tview, wrong FROM cost();
TRUNCATE account;
SELECT tview, wrong FROM cost();

-- which table of a tree a row is in, and columns by which partners are found
CREATE TABLE tree (id int, a int, b int) PARTITION BY LIST (a);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES IN (1);
CREATE TABLE tree_2 PARTITION OF tree FOR VALUES IN (2);
CREATE TVIEW leaf AS SELECT id, tableoid::regclass AS at FROM tree;
CREATE TVIEW only_b AS SELECT id, b FROM tree;
CREATE TVIEW of_leaf AS SELECT id, b FROM tree_1;
INSERT INTO tree SELECT i, 1 + i % 2, i FROM generate_series(1, 10) i;
SELECT tview, wrong FROM cost();
UPDATE tree SET a = 3 - a WHERE id < 4;
SELECT tview, wrong FROM cost();
SELECT * FROM oracle();
SET client_min_messages = warning;
DROP SCHEMA unused_columns CASCADE;
