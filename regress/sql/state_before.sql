-- Refreshes that follow what was there before: anti-joins, sub-queries, outer joins of TVIEWs that follow later.
CREATE SCHEMA state_before;
SET search_path = state_before, public;
SET pg_tviews.full_refresh_threshold = 1;
CREATE TABLE customer (id int PRIMARY KEY, country int NOT NULL, kind text);
CREATE TABLE sale (id int PRIMARY KEY, customer int, part int, amount int);
CREATE TABLE bad (customer int, note text);
CREATE INDEX ON sale (customer);
CREATE INDEX ON bad (customer);
INSERT INTO customer SELECT i, i % 3, 'kind ' || i % 2 FROM generate_series(1, 300) i;
INSERT INTO sale SELECT i, 1 + i * 7 % 290, i % 5, i % 10 FROM generate_series(1, 900) i;
INSERT INTO bad SELECT i, 'bad' FROM generate_series(1, 300, 10) i;
ANALYZE;

CREATE TVIEW buyers WITH (refresh = manual) AS
    SELECT country, count(*) AS n FROM customer c WHERE EXISTS (SELECT FROM sale s WHERE s.customer = c.id AND s.amount > 7) GROUP BY country;
CREATE TVIEW idle WITH (refresh = manual) AS
    SELECT country, kind, count(*) AS n FROM customer c WHERE NOT EXISTS (SELECT FROM sale s WHERE s.customer = c.id) GROUP BY country, kind;
CREATE TVIEW good WITH (refresh = manual) AS
    SELECT country, count(*) AS n FROM customer c WHERE c.id NOT IN (SELECT customer FROM sale WHERE amount = 3 AND customer IS NOT NULL) GROUP BY country;
CREATE TVIEW by_number WITH (refresh = manual) AS
    SELECT n, count(*) AS customers FROM (SELECT c.id, count(s.id) AS n FROM customer c LEFT JOIN sale s ON s.customer = c.id AND s.amount <> 5 GROUP BY c.id) x GROUP BY n;
CREATE TVIEW outer_groups WITH (refresh = manual) AS
    SELECT c.country, count(*) AS rows, count(s.id) AS sales, sum(s.amount) AS amount FROM customer c LEFT JOIN sale s ON s.customer = c.id GROUP BY c.country;
CREATE TVIEW largest WITH (refresh = manual) AS
    SELECT c.country, sum(s.amount) AS amount FROM customer c JOIN sale s ON s.customer = c.id
     WHERE s.amount = (SELECT max(o.amount) FROM sale o WHERE o.customer = c.id) GROUP BY c.country;
CREATE TVIEW waiting WITH (refresh = manual) AS
    SELECT c.country, count(*) AS n FROM customer c JOIN sale s ON s.customer = c.id
     WHERE EXISTS (SELECT FROM sale o WHERE o.part = s.part AND o.customer <> s.customer AND o.amount > s.amount)
       AND NOT EXISTS (SELECT FROM sale o WHERE o.customer = s.customer AND o.id <> s.id AND o.amount > 8) GROUP BY c.country;
-- rows without a key
CREATE TVIEW countries WITH (refresh = manual) AS SELECT country, kind FROM customer c WHERE NOT EXISTS (SELECT FROM sale s WHERE s.customer = c.id AND s.part = 2);
-- a table without a key: the state before cannot be told from what is there
CREATE TVIEW not_bad WITH (refresh = manual) AS SELECT country, count(*) AS n FROM customer c WHERE NOT EXISTS (SELECT FROM bad b WHERE b.customer = c.id) GROUP BY country;

-- the state before is written into the query
SELECT regexp_replace(line, '.* (\(SELECT s.customer.*tviews.deleted.*) b.*', '\1') FROM tviews.explain('idle') line WHERE line LIKE '%before:%' AND line LIKE '%sale%';

-- rows come and go on one side, on both, first and last partners, moved, and back
INSERT INTO sale VALUES (1001, 295, 1, 9), (1002, 300, 2, 3), (1003, NULL, 2, 3);
DELETE FROM sale WHERE id IN (7, 14, 21, 28);
UPDATE sale SET customer = customer + 1 WHERE id BETWEEN 40 AND 44;
UPDATE sale SET amount = 10 - amount WHERE id BETWEEN 50 AND 56;
INSERT INTO bad VALUES (2, 'bad'), (2, 'bad');
DELETE FROM bad WHERE customer = 11;
SELECT tviews.refresh_all();
SELECT tview, missing, extra FROM tviews.verify_all() WHERE tview::text !~ '\.' ORDER BY tview::text;
SELECT tview, action, reason FROM tviews.refresh_history WHERE tview::text !~ '\.' ORDER BY tview::text, started;
INSERT INTO customer VALUES (301, 1, 'kind 1'), (302, 2, NULL);
INSERT INTO sale VALUES (1004, 301, 2, 8), (1005, 301, 2, 3);
DELETE FROM customer WHERE id IN (5, 9);
DELETE FROM sale WHERE customer IN (5, 12);
UPDATE customer SET country = 0 WHERE id IN (13, 14);
UPDATE customer SET id = 400 WHERE id = 20;
UPDATE sale SET customer = 400 WHERE customer = 20;
UPDATE sale SET id = id + 5000 WHERE id BETWEEN 60 AND 63;
UPDATE sale SET customer = 15 WHERE id = 70;
UPDATE sale SET customer = (70 * 7) % 290 + 1 WHERE id = 70;
DELETE FROM sale WHERE id = 71;
INSERT INTO sale VALUES (71, 17, 2, 9);
SELECT tviews.refresh_all();
SELECT tview, missing, extra FROM tviews.verify_all() WHERE tview::text !~ '\.' ORDER BY tview::text;
SELECT tview, action, count(*) FROM tviews.refresh_history WHERE tview::text !~ '\.' GROUP BY tview, action ORDER BY tview::text;

-- inside of a transaction, whose own changes are seen
BEGIN;
DELETE FROM sale WHERE id % 50 = 1;
REFRESH TVIEW idle;
SAVEPOINT a;
INSERT INTO sale SELECT 2000 + i, i, 2, 3 FROM generate_series(290, 299) i;
REFRESH TVIEW idle;
REFRESH TVIEW good;
ROLLBACK TO a;
INSERT INTO sale VALUES (2000, 296, 2, 3);
REFRESH TVIEW good;
COMMIT;
REFRESH TVIEW idle;
SELECT tview, missing, extra FROM tviews.verify_all() WHERE tview::text IN ('idle', 'good') ORDER BY tview::text;

-- one that becomes deferred needs keys in its changes that it did not need at commit
CREATE TVIEW later AS SELECT country, count(*) AS n FROM customer c WHERE EXISTS (SELECT FROM sale s WHERE s.customer = c.id AND s.part = 3) GROUP BY country;
ALTER TVIEW later SET (refresh = manual);
DELETE FROM sale WHERE id IN (3, 8, 13, 18);
REFRESH TVIEW later;
ALTER TVIEW later SET (refresh = commit);
DELETE FROM sale WHERE id IN (23, 28);
ALTER TVIEW later SET (refresh = manual);
INSERT INTO sale VALUES (3000, 299, 3, 1);
REFRESH TVIEW later;
SELECT tview, missing, extra FROM tviews.verify('later');
SELECT action, reason FROM tviews.refresh_history WHERE tview = 'later'::regclass;

-- dropped and added columns, names like ours, a table that is read twice, partitions
ALTER TABLE sale ADD COLUMN "tviews mark" bool, ADD COLUMN b int, ADD COLUMN gone int;
ALTER TABLE sale DROP COLUMN gone;
CREATE TABLE part (id int, region int, n int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_0 PARTITION OF part FOR VALUES IN (0);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
INSERT INTO part SELECT i, i % 2, i % 7 FROM generate_series(1, 50) i;
CREATE TVIEW odd WITH (refresh = manual) AS
    SELECT "tviews mark" AS mark, count(*) AS n FROM sale s WHERE NOT EXISTS (SELECT FROM sale o WHERE o.customer = s.customer AND o.b > s.id) GROUP BY "tviews mark";
CREATE TVIEW in_parts WITH (refresh = manual) AS
    SELECT region, count(*) AS n FROM part p WHERE NOT EXISTS (SELECT FROM sale s WHERE s.part = p.n) GROUP BY region;
UPDATE sale SET "tviews mark" = id % 3 = 0, b = id + 100 WHERE id % 9 = 0;
UPDATE part SET region = 1 - region WHERE id < 5;
DELETE FROM sale WHERE part = 4 AND id > 300;
UPDATE sale SET part = 3 WHERE part = 4;
REFRESH TVIEW odd;
REFRESH TVIEW in_parts;
SELECT tview, missing, extra FROM tviews.verify_all() WHERE tview::text IN ('odd', 'in_parts') ORDER BY tview::text;
SELECT tview, action, reason FROM tviews.refresh_history WHERE tview::text IN ('odd', 'in_parts') ORDER BY tview::text;

CREATE TVIEW marked AS SELECT c.id, (SELECT jsonb_agg(s."tviews mark" ORDER BY s.id) FROM sale s WHERE s.customer = c.id) AS marks FROM customer c;
CREATE TVIEW numbered AS SELECT id, "tviews mark", row_number() OVER (ORDER BY id) AS n FROM sale;
CREATE TVIEW numbered_later WITH (refresh = manual) AS SELECT id, "tviews mark", sum(amount) OVER (PARTITION BY customer ORDER BY id) AS n FROM sale;
DELETE FROM sale WHERE id = 45;
UPDATE sale SET "tviews mark" = NOT "tviews mark" WHERE id = 54;
REFRESH TVIEW numbered_later;
SELECT tview, missing, extra FROM tviews.verify_all() WHERE tview::text ~ '^(marked|numbered)' ORDER BY tview::text;

-- over another TVIEW that follows later
CREATE TVIEW chain WITH (refresh = manual) AS SELECT country, count(*) AS n FROM customer c WHERE NOT EXISTS (SELECT FROM by_number b WHERE b.n = c.id % 10) GROUP BY country;
DELETE FROM sale WHERE id % 4 = 0;
REFRESH TVIEW chain;
SELECT tview, missing, extra FROM tviews.verify_all() WHERE tview::text IN ('chain', 'by_number') ORDER BY tview::text;
SELECT tview, action, reason FROM tviews.refresh_history WHERE tview = 'chain'::regclass;
SELECT tviews.refresh_all() > 0;
SELECT tview, missing, extra FROM tviews.verify_all() WHERE tview::text !~ '\.' ORDER BY tview::text;

-- rows that a policy hides have never been there: what has gone is in no table that it would apply to
CREATE ROLE state_before_owner;
GRANT USAGE, CREATE ON SCHEMA state_before TO state_before_owner;
CREATE TABLE account (id int PRIMARY KEY, o int, c int);
INSERT INTO account VALUES (1, 4, 1), (2, 2, 2), (3, 0, NULL), (4, 1, NULL);
ALTER TABLE account ENABLE ROW LEVEL SECURITY;
CREATE POLICY visible ON account USING (o IS DISTINCT FROM 1);
GRANT ALL ON account, customer TO state_before_owner;
SET ROLE state_before_owner;
CREATE TVIEW of_account WITH (refresh = manual) AS SELECT a.id, a.o, sum(r.n) AS n
    FROM account a LEFT JOIN (SELECT id % 3 AS k, count(*) AS n FROM customer GROUP BY id % 3 HAVING count(*) > 1) r ON a.c = r.k GROUP BY a.id, a.o;
RESET ROLE;
UPDATE account SET c = 1 WHERE c IS NULL;
SET ROLE state_before_owner;
REFRESH TVIEW of_account;
SELECT missing, extra FROM tviews.verify('of_account');
SELECT id, o FROM of_account ORDER BY id;
RESET ROLE;
DROP TVIEW of_account;
DROP OWNED BY state_before_owner;
DROP ROLE state_before_owner;
DROP SCHEMA state_before CASCADE;
