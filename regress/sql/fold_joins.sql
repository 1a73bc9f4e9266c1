-- Strategy fold over joins: the weighted rows by which the join changes go into the groups, whatever side they come from.
CREATE SCHEMA fold_joins;
SET search_path = fold_joins, public;
CREATE TABLE region (id int PRIMARY KEY, name text, note text);
CREATE TABLE customer (id int PRIMARY KEY, region int, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer int, boss int, amount numeric);
INSERT INTO region SELECT i, 'region ' || i FROM generate_series(1, 10) i;
INSERT INTO customer SELECT i, 1 + i % 10, 'customer ' || i FROM generate_series(1, 200) i;
INSERT INTO orders SELECT i, 1 + i % 200, i / 10, i FROM generate_series(1, 3000) i;
CREATE INDEX ON customer (region);
CREATE INDEX ON orders (customer);
CREATE INDEX ON orders (boss);

CREATE TVIEW inner_join AS SELECT r.name, count(*) AS n, sum(o.amount) AS s
  FROM orders o JOIN customer c ON c.id = o.customer JOIN region r ON r.id = c.region GROUP BY r.name;
CREATE TVIEW left_join AS SELECT c.id, c.name, count(o.id) AS n, sum(o.amount) AS s, max(o.amount) AS hi
  FROM customer c LEFT JOIN orders o ON o.customer = c.id GROUP BY c.id;
CREATE TVIEW left_all AS SELECT c.region, count(*) AS rows, count(o.id) AS n FROM customer c LEFT JOIN orders o ON o.customer = c.id GROUP BY c.region;
CREATE TVIEW right_join AS SELECT c.region, count(*) AS rows, count(o.id) AS n FROM orders o RIGHT JOIN customer c ON c.id = o.customer AND o.amount > 0
  GROUP BY c.region;
CREATE TVIEW full_join AS SELECT coalesce(c.id, o.customer) AS k, count(c.id) AS cs, count(o.id) AS os, sum(o.amount) AS s
  FROM customer c FULL JOIN orders o ON o.customer = c.id GROUP BY 1;
CREATE TVIEW self_join AS SELECT b.customer, count(*) AS n, sum(o.amount) AS s FROM orders o JOIN orders b ON b.id = o.boss GROUP BY b.customer;
CREATE TVIEW non_equi AS SELECT r.id, count(*) AS n FROM region r JOIN customer c ON c.region < r.id AND c.id > 150 GROUP BY r.id;
CREATE TVIEW distinct_join AS SELECT DISTINCT r.name, o.amount > 100 AS large FROM region r JOIN customer c ON c.region = r.id JOIN orders o ON o.customer = c.id;
CREATE TVIEW over_all AS SELECT count(*) AS n, sum(o.amount) AS s FROM orders o JOIN customer c ON c.id = o.customer;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'fold_joins' ORDER BY name;
SELECT * FROM cost();

-- the many side
INSERT INTO orders VALUES (5000, 7, 10, 5);
SELECT * FROM cost();
UPDATE orders SET amount = 6 WHERE id = 5000;
SELECT * FROM cost();
UPDATE orders SET customer = 8 WHERE id = 5000;
SELECT * FROM cost();
DELETE FROM orders WHERE id = 5000;
SELECT * FROM cost();
-- the one side: a name, and a customer with its 15 orders who moves
UPDATE region SET name = 'north' WHERE id = 3;
SELECT * FROM cost();
UPDATE customer SET region = 4 WHERE id = 12;
SELECT * FROM cost();
UPDATE region SET note = 'unused';
SELECT * FROM cost();

-- outer joins: a customer without orders; the first order comes, is moved away, goes; the customer goes before its order
INSERT INTO customer VALUES (1000, 5, 'new');
SELECT * FROM cost('left_join', 'left_all', 'right_join', 'full_join');
INSERT INTO orders VALUES (5001, 1000, 1, 9);
SELECT * FROM left_join WHERE id = 1000;
SELECT * FROM cost('left_join', 'left_all', 'right_join', 'full_join');
UPDATE orders SET customer = 1001 WHERE id = 5001;
SELECT * FROM left_join WHERE id = 1000;
SELECT * FROM full_join WHERE k >= 1000 ORDER BY k;
SELECT * FROM cost('left_join', 'left_all', 'right_join', 'full_join');
INSERT INTO customer VALUES (1001, 5, 'found');
SELECT * FROM full_join WHERE k >= 1000 ORDER BY k;
SELECT * FROM cost('left_join', 'left_all', 'right_join', 'full_join');
DELETE FROM customer WHERE id = 1001;
SELECT * FROM cost('left_join', 'left_all', 'right_join', 'full_join');
DELETE FROM orders WHERE id = 5001;
SELECT * FROM cost('left_join', 'left_all', 'right_join', 'full_join');
-- a sum over nothing but a null-extended row is NULL
SELECT * FROM left_join WHERE id = 1000;

-- several tables in one transaction: both sides come, both sides go, the key changes and its partner goes
BEGIN;
INSERT INTO region VALUES (20, 'far');
INSERT INTO customer VALUES (1002, 20, 'both');
INSERT INTO orders VALUES (5002, 1002, 1002, 1), (5003, 1002, 5002, 2);
COMMIT;
SELECT * FROM cost();
BEGIN;
UPDATE region SET name = 'farther' WHERE id = 20;
UPDATE customer SET name = 'renamed', region = 5 WHERE id = 1002;
DELETE FROM orders WHERE id = 5002;
COMMIT;
SELECT * FROM cost();
BEGIN;
DELETE FROM orders WHERE id = 5003;
DELETE FROM customer WHERE id = 1002;
DELETE FROM region WHERE id = 20;
COMMIT;
SELECT * FROM cost();
-- undone in another order: nothing
BEGIN;
DELETE FROM customer WHERE id = 12;
DELETE FROM orders WHERE customer = 13;
INSERT INTO orders SELECT i, 1 + i % 200, i / 10, i FROM generate_series(1, 3000) i WHERE 1 + i % 200 = 13;
INSERT INTO customer VALUES (12, 4, 'customer 12');
COMMIT;
SELECT * FROM cost();
-- with a read in the middle, which flushes the first half
BEGIN;
UPDATE customer SET region = 6 WHERE id = 14;
SELECT FROM tviews.flush();
SELECT n FROM inner_join WHERE name = 'region 6';
UPDATE orders SET amount = amount + 1 WHERE customer = 14;
SAVEPOINT s;
DELETE FROM orders WHERE customer = 14;
SELECT FROM tviews.flush();
SELECT n FROM inner_join WHERE name = 'region 6';
ROLLBACK TO s;
SELECT n FROM inner_join WHERE name = 'region 6';
COMMIT;
SELECT * FROM cost();

-- a new group shows a key that one of its rows has: not the first one of the delta, which another one cancels
CREATE TABLE parent (id int PRIMARY KEY, k int);
CREATE TABLE child (k int, value real NOT NULL);
CREATE TVIEW zeros AS SELECT p.id, c.value, count(*) AS n FROM child c LEFT JOIN parent p ON p.k = c.k GROUP BY p.id, c.value;
INSERT INTO parent VALUES (1, 3), (2, 3), (3, 0), (4, 0);
INSERT INTO child VALUES (0, '0'), (3, '1'), (0, '-0');
BEGIN;
DELETE FROM child WHERE value::text = '-0';
UPDATE parent SET k = 3;
COMMIT;
SELECT * FROM zeros ORDER BY id, value;
SELECT * FROM oracle();

-- many rows of one statement: rows that come and rows that go are joined together, those that come first
CREATE TABLE kind (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE thing (id int PRIMARY KEY, kind int NOT NULL, "tviews mark" int NOT NULL);
INSERT INTO kind SELECT i, 'kind ' || i FROM generate_series(1, 40) i;
INSERT INTO thing SELECT i, 1 + i % 40, i FROM generate_series(1, 4000) i;
ANALYZE kind, thing;
CREATE TVIEW by_kind AS SELECT k.name, count(*) AS n, sum(t."tviews mark") AS total FROM thing t, kind k WHERE k.id = t.kind GROUP BY k.name;
CREATE TVIEW pairs AS SELECT t."tviews mark", k.name FROM thing t, kind k WHERE k.id = t.kind AND t.id % 3 = 0;
CREATE TVIEW rows_of AS SELECT k.name, count(*) AS n, bool_or(t IS NULL) AS none FROM thing t, kind k WHERE k.id = t.kind GROUP BY k.name;
UPDATE thing SET kind = 1 + kind % 40, "tviews mark" = -id WHERE id % 2 = 0;
DELETE FROM thing WHERE kind < 5;
INSERT INTO thing SELECT i, 1 + i % 45, i FROM generate_series(5001, 7000) i;
UPDATE kind SET name = upper(name);
SELECT * FROM oracle();

SET client_min_messages = warning;
DROP SCHEMA fold_joins CASCADE;
