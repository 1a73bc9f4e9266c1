-- Refreshes of many changed rows: what is going to be computed anew is so without reading the log, and what is left in the log is followed.
CREATE SCHEMA foreseen;
SET search_path = foreseen, public;
CREATE TABLE t (id int PRIMARY KEY, g int NOT NULL, v int NOT NULL);
CREATE TABLE names (g int PRIMARY KEY, name text NOT NULL);
INSERT INTO t SELECT i, i % 50, i FROM generate_series(1, 20000) i;
INSERT INTO names SELECT i, 'name ' || i FROM generate_series(0, 49) i;
VACUUM ANALYZE t, names;
CREATE TVIEW sums WITH (refresh = manual) AS SELECT n.name, count(*) AS rows, sum(t.v) AS v FROM t JOIN names n ON n.g = t.g GROUP BY n.name;
CREATE TVIEW staged WITH (refresh = manual) AS SELECT rows, count(*) AS groups, max(v) AS most FROM (SELECT g, count(DISTINCT v) AS rows, sum(v) AS v FROM t GROUP BY g HAVING count(*) > 1) x GROUP BY rows;
CREATE TVIEW above WITH (refresh = manual) AS SELECT name, v FROM sums WHERE v % 2 = 0;
CREATE VIEW last AS SELECT DISTINCT ON (tview) tview, action, reason, changed_rows FROM tviews.refresh_history ORDER BY tview, started DESC;

-- all rows: anew
UPDATE t SET v = v + 1;
REFRESH TVIEW above;
REFRESH TVIEW staged;
SELECT tview, action, reason, changed_rows FROM last WHERE tview IN ('sums'::regclass, 'staged'::regclass, 'above'::regclass) ORDER BY tview::text;
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('sums', 'staged', 'above') ORDER BY 1;

-- few rows behind them, in both logs: followed, and the log is not longer for it
UPDATE t SET v = v + 10 WHERE id <= 3;
REFRESH TVIEW above;
REFRESH TVIEW staged;
SELECT tview, action, reason, changed_rows FROM last WHERE tview IN ('sums'::regclass, 'staged'::regclass) ORDER BY tview::text;
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('sums', 'staged', 'above') ORDER BY 1;

-- a transaction that was rolled back leaves rows in the log that nobody has to follow
BEGIN;
UPDATE t SET v = v + 1;
SAVEPOINT s;
REFRESH TVIEW sums;
SELECT sum(v) = (SELECT sum(v) FROM t) AS seen FROM sums;
ROLLBACK;
REFRESH TVIEW sums;
DELETE FROM t WHERE id % 2 = 0;
REFRESH TVIEW above;
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('sums', 'staged', 'above') ORDER BY 1;

-- never anew
SET pg_tviews.full_refresh_threshold = 1;
UPDATE t SET v = v - 1;
REFRESH TVIEW sums;
SELECT tview, action, reason, changed_rows FROM last WHERE tview IN ('sums'::regclass) ORDER BY tview::text;
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('sums', 'staged', 'above') ORDER BY 1;
RESET pg_tviews.full_refresh_threshold;

-- one of two tables has many
UPDATE t SET v = v * 2;
UPDATE names SET name = upper(name) WHERE g = 7;
REFRESH TVIEW above;
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('sums', 'staged', 'above') ORDER BY 1;

SET client_min_messages = warning;
DROP SCHEMA foreseen CASCADE;
