-- Less memory than a flush has rows: they go to disk in parts, and nothing else is different.
CREATE SCHEMA memory;
SET search_path = memory, public;
SET work_mem = '64kB';
SET hash_mem_multiplier = 1;
CREATE TABLE customer (id int PRIMARY KEY, region int NOT NULL, name text NOT NULL);
CREATE TABLE sale (id int PRIMARY KEY, customer int, amount int NOT NULL, note text);
CREATE INDEX ON sale (customer);
INSERT INTO customer SELECT i, i % 5, 'customer ' || i FROM generate_series(1, 50) i;
INSERT INTO sale SELECT i, CASE WHEN i % 2 = 0 THEN 1 ELSE 1 + i % 50 END, i % 97, 'note ' || i % 1000 FROM generate_series(1, 8000) i;
ANALYZE customer, sale;
CREATE TVIEW by_region AS SELECT c.region, count(*) AS n, sum(s.amount) AS amount, max(s.note) AS last FROM sale s JOIN customer c ON c.id = s.customer GROUP BY c.region;
CREATE TVIEW by_note AS SELECT s.note, c.name, count(*) AS n, avg(s.amount) AS amount FROM sale s JOIN customer c ON c.id = s.customer GROUP BY s.note, c.name;
CREATE TVIEW everything AS SELECT count(*) AS n, sum(length(c.name || s.note)) AS length FROM sale s JOIN customer c ON c.id = s.customer;
CREATE TVIEW outer_sums AS SELECT c.region, count(s.id) AS n, sum(s.amount) AS amount FROM customer c LEFT JOIN sale s ON s.customer = c.id AND s.amount > 3 GROUP BY c.region;
CREATE TVIEW without_rows AS SELECT count(*) AS n, min(c.name) AS first FROM customer c LEFT JOIN sale s ON s.customer = c.id AND s.amount > 3;
CREATE TVIEW lines AS SELECT c.name, s.note FROM sale s JOIN customer c ON c.id = s.customer;
CREATE TVIEW documents AS SELECT s.id, c.name, s.note, s.amount FROM sale s LEFT JOIN customer c ON c.id = s.customer;
CREATE TVIEW alike WITH (mode = full) AS SELECT c.region FROM sale s JOIN customer c ON c.id = s.customer;
CREATE TVIEW ranks AS SELECT id, customer, rank() OVER (PARTITION BY customer ORDER BY amount, id) AS r FROM sale;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'memory' ORDER BY name;
CREATE FUNCTION wrong() RETURNS TABLE (name text, problem text, content text) LANGUAGE sql AS $$
    SELECT t.name, o.* FROM tviews.tviews t, oracle(format('%I.%I', t.schema, t.name)::regclass) o WHERE t.schema = 'memory' $$;
-- one row that is joined to thousands
UPDATE customer SET name = 'first', region = 3 WHERE id = 1;
SELECT * FROM wrong();
BEGIN;
DELETE FROM customer WHERE id = 1;
SELECT * FROM wrong();
INSERT INTO customer VALUES (1, 4, 'again'), (1000, 1, 'nobody');
COMMIT;
SELECT * FROM wrong();
-- thousands of rows
UPDATE sale SET amount = amount + 1, note = 'other ' || id % 300 WHERE id % 3 = 0;
SELECT * FROM wrong();
INSERT INTO sale SELECT 10000 + i, i % 60, i % 7, repeat('long ', 20) || i FROM generate_series(1, 3000) i;
SELECT * FROM wrong();
DELETE FROM sale WHERE id % 5 = 0;
SELECT * FROM wrong();
-- and a savepoint
BEGIN;
UPDATE sale SET customer = 2 WHERE customer = 1;
SAVEPOINT s;
UPDATE customer SET region = region + 1;
DELETE FROM sale WHERE customer < 30;
SELECT * FROM wrong();
ROLLBACK TO s;
UPDATE customer SET name = upper(name);
COMMIT;
SELECT * FROM wrong();
-- other clauses, other limits: temporary files are refused
SET temp_file_limit = '0';
\set VERBOSITY sqlstate
UPDATE sale SET amount = 0;
\set VERBOSITY default
RESET temp_file_limit;
UPDATE sale SET amount = 0;
SELECT * FROM wrong();
SET client_min_messages = warning;
DROP SCHEMA memory CASCADE;
