-- Indexes that tables lack: what check(), CREATE and health() say, and what a flush does with and without them.
CREATE SCHEMA advice;
SET search_path = advice, public;
CREATE TABLE customer (id int PRIMARY KEY, name text, region int);
CREATE TABLE sale (id int PRIMARY KEY, customer int, amount int, note text);
CREATE TABLE region (id int PRIMARY KEY, title varchar);
CREATE FUNCTION advised(query text) RETURNS TABLE (base_table regclass, strategy text, hint text) LANGUAGE sql AS $$
  SELECT c.base_table, c.strategy, c.hint FROM tviews.check(query) c ORDER BY 1
$$;
-- joins, chains of them, through views, outer, with casts and expressions
SELECT * FROM advised('SELECT s.id, c.name FROM sale s JOIN customer c ON c.id = s.customer');
SELECT * FROM advised('SELECT s.id, c.name FROM sale s LEFT JOIN customer c ON c.id = s.customer');
SELECT * FROM advised('SELECT s.id, r.title FROM sale s, customer c, region r WHERE c.id = s.customer AND r.id = c.region');
SELECT * FROM advised('SELECT s.id, c.name FROM sale s JOIN customer c ON c.name = s.note || c.id');
SELECT * FROM advised('SELECT s.id, c.id AS cid FROM sale s JOIN customer c ON c.name = s.note');
SELECT * FROM advised('SELECT s.id, r.id AS rid FROM sale s JOIN region r ON r.title = s.note AND r.id = s.amount');
SELECT * FROM advised('SELECT a.id, b.id AS other FROM sale a JOIN sale b ON a.customer = b.customer');
SELECT * FROM advised('SELECT x.id, c.name FROM (SELECT id, customer AS who FROM sale WHERE amount > 0) x JOIN customer c ON c.id = x.who');
-- groups: folded ones are found by the index of the TVIEW, others are computed from their rows
SELECT * FROM advised('SELECT customer, sum(amount) AS n FROM sale GROUP BY customer');
SELECT * FROM advised('SELECT customer, jsonb_agg(note) AS notes FROM sale GROUP BY customer');
SELECT * FROM advised('SELECT c.id, t.n FROM customer c JOIN (SELECT customer, count(*) AS n FROM sale GROUP BY customer) t ON t.customer = c.id');
SELECT * FROM advised('SELECT id, row_number() OVER (PARTITION BY customer ORDER BY id) AS n FROM sale');
-- sub-queries
SELECT * FROM advised('SELECT id FROM customer c WHERE EXISTS (SELECT FROM sale s WHERE s.customer = c.id)');
SELECT * FROM advised('SELECT id FROM customer WHERE id IN (SELECT customer FROM sale)');
SELECT * FROM advised('SELECT id, (SELECT jsonb_agg(note ORDER BY id) FROM sale s WHERE s.customer = c.id) AS notes FROM customer c');
-- nothing to say
SELECT * FROM advised('SELECT id, amount FROM sale WHERE customer = 3');
SELECT * FROM advised('SELECT s.id, c.id AS cid FROM sale s JOIN customer c ON c.id > s.customer');
CREATE INDEX ON sale (customer, id);
SELECT * FROM advised('SELECT s.id, c.name FROM sale s JOIN customer c ON c.id = s.customer');
DROP INDEX sale_customer_id_idx;
-- an index on some rows, or on something else, is none
CREATE INDEX ON sale (customer) WHERE amount > 0;
CREATE INDEX ON sale ((customer + 1));
CREATE INDEX ON sale (id, customer);
SELECT * FROM advised('SELECT s.id, c.name FROM sale s JOIN customer c ON c.id = s.customer');

-- what recomputes everything, and that the hint helps
CREATE TABLE r (i int PRIMARY KEY);
CREATE TABLE s (i int PRIMARY KEY, j int);
CREATE TABLE u (j int PRIMARY KEY);
SELECT base_table, strategy, reason, hint FROM tviews.check('SELECT r.i, s.i AS si, s AS row, u.j AS uj FROM r FULL JOIN s ON r.i = s.i FULL JOIN u ON s.j = u.j') ORDER BY 1;
CREATE TVIEW rs AS SELECT r.i, s.i AS si, s.j FROM r FULL JOIN s ON r.i = s.i;
SELECT * FROM advised('SELECT rs.i, rs.si, rs.j, u.j AS uj FROM rs FULL JOIN u ON rs.j = u.j');
SELECT base_table, strategy, reason, hint FROM tviews.check('SELECT c.id, x.note, x.total FROM customer c, LATERAL (SELECT note, sum(amount) AS total FROM sale s WHERE s.customer = c.id GROUP BY note) x') ORDER BY 1;
CREATE TVIEW per_note AS SELECT customer, note, sum(amount) AS total FROM sale GROUP BY customer, note;
SELECT * FROM advised('SELECT c.id, x.note, x.total FROM customer c JOIN per_note x ON x.customer = c.id');
SELECT * FROM advised('SELECT id FROM sale ORDER BY amount LIMIT 3');
SELECT * FROM advised('SELECT amount FROM sale ORDER BY amount LIMIT 3');
SELECT * FROM advised('SELECT id, percent_rank() OVER (ORDER BY id) AS n FROM sale');
SELECT * FROM advised('SELECT string_agg(note, '','') AS notes FROM sale');
SELECT * FROM tviews.check('WITH RECURSIVE x AS (SELECT id, customer FROM sale UNION SELECT DISTINCT s.id, s.customer FROM sale s JOIN x ON x.id = s.customer) SELECT * FROM x');
DROP TVIEW rs, per_note;

-- large already: CREATE and health() say so, until the index is there
INSERT INTO customer SELECT i, 'name ' || i, i % 3 FROM generate_series(1, 100) i;
INSERT INTO sale SELECT i, 1 + i % 100, i, repeat('x', 1000) FROM generate_series(1, 2000) i;
CREATE TVIEW page AS SELECT s.id, c.name FROM sale s JOIN customer c ON c.id = s.customer;
SELECT status, detail, hint FROM tviews.health() WHERE "check" = 'missing indexes';
CREATE INDEX ON advice.sale (customer);
SELECT status, detail, hint FROM tviews.health() WHERE "check" = 'missing indexes';
DROP TVIEW page;
CREATE TVIEW page AS SELECT s.id, c.name FROM sale s JOIN customer c ON c.id = s.customer;
-- first rows in an order
SELECT * FROM advised('SELECT id, amount FROM sale ORDER BY amount DESC, note NULLS FIRST, id LIMIT 3');
CREATE TVIEW largest AS SELECT id, amount FROM sale ORDER BY amount DESC NULLS LAST, id LIMIT 3;
SELECT status, detail, hint FROM tviews.health() WHERE "check" = 'missing indexes';
CREATE INDEX ON advice.sale (amount DESC NULLS LAST, id);
SELECT status, detail, hint FROM tviews.health() WHERE "check" = 'missing indexes';
-- partitions, inheritance
CREATE TABLE event (id int, customer int, note text) PARTITION BY RANGE (id);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (1000);
CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (1000) TO (10000);
INSERT INTO event SELECT i, 1 + i % 100, repeat('x', 1000) FROM generate_series(1, 2000) i;
CREATE TVIEW events AS SELECT e.id, c.name FROM event e JOIN customer c ON c.id = e.customer;
CREATE INDEX ON advice.event (customer);
SELECT status, detail, hint FROM tviews.health() WHERE "check" = 'missing indexes';

SET client_min_messages = warning;
DROP SCHEMA advice CASCADE;
