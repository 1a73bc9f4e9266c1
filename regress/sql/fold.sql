-- Strategy fold: changed rows are taken into the state of their groups. The groups here have 100 rows, and their size is irrelevant.
CREATE SCHEMA fold;
SET search_path = fold, public;
CREATE TABLE item (id int PRIMARY KEY, grp int, kind text, n int, price numeric, day date, note text);
INSERT INTO item SELECT i, i % 20, chr(97 + i % 3), i % 50, i * 0.25, date '2026-01-01' + i % 60, 'unused' FROM generate_series(1, 2000) i;

CREATE TVIEW sums AS SELECT grp, count(*) AS c, count(n) AS cn, sum(n) AS s, avg(n) AS a, sum(price) AS sp, avg(price) AS ap FROM item GROUP BY grp;
CREATE TVIEW extrema AS SELECT grp, min(n) AS lo, max(n) AS hi, bool_and(n < 50) AS small, bool_or(n > 48) AS large FROM item GROUP BY grp;
CREATE TVIEW document AS SELECT grp, jsonb_build_object('n', count(*), 'total', sum(n), 'group', grp) AS data FROM item GROUP BY grp;
CREATE TVIEW expression_key AS SELECT grp % 5 AS g5, upper(kind) AS k, date_trunc('month', day) AS m, count(*) AS c FROM item GROUP BY 1, 2, 3;
CREATE TVIEW filtered AS SELECT grp, count(*) FILTER (WHERE kind = 'a') AS a, sum(n) FILTER (WHERE n > 25) AS s, sum(CASE WHEN kind = 'b' THEN n ELSE -n END) AS f
  FROM item GROUP BY grp;
CREATE TVIEW totals AS SELECT count(*) AS c, sum(n) AS s, avg(price) AS a, max(n) AS hi FROM item;
CREATE TVIEW pairs AS SELECT DISTINCT grp, kind FROM item;
CREATE TVIEW groups AS SELECT kind FROM item WHERE n > 10 GROUP BY kind;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'fold' ORDER BY name;
SELECT * FROM cost();

-- one row comes, changes, moves to another group, goes: one group, and two when it moves
INSERT INTO item VALUES (3000, 3, 'a', 7, 1.25, '2026-01-05');
SELECT * FROM cost();
UPDATE item SET n = 8 WHERE id = 3000;
SELECT * FROM cost();
UPDATE item SET grp = 4 WHERE id = 3000;
SELECT * FROM cost();
DELETE FROM item WHERE id = 3000;
SELECT * FROM cost();

-- a new group; its last row goes and another one comes in the same transaction; the last row goes
INSERT INTO item VALUES (3000, 100, 'z', 1, 1, '2026-03-01');
SELECT * FROM cost('sums', 'extrema', 'pairs');
BEGIN;
DELETE FROM item WHERE grp = 100;
INSERT INTO item VALUES (3001, 100, 'z', 2, 2, '2026-03-02');
COMMIT;
SELECT * FROM cost('sums', 'extrema', 'pairs');
DELETE FROM item WHERE grp = 100;
SELECT * FROM cost('sums', 'extrema', 'pairs');

-- NULL is a group like others; all values of a group NULL
UPDATE item SET grp = NULL, kind = NULL WHERE id IN (20, 40);
SELECT * FROM cost('sums', 'groups', 'pairs');
UPDATE item SET n = NULL, price = NULL WHERE grp IS NULL;
SELECT * FROM sums WHERE grp IS NULL;
SELECT * FROM cost('sums', 'groups', 'pairs');
UPDATE item SET grp = 0, kind = 'a', n = id % 50, price = id * 0.25 WHERE grp IS NULL;
SELECT * FROM cost('sums', 'groups', 'pairs');

-- no GROUP BY: one row, also over nothing
BEGIN;
DELETE FROM item;
SELECT FROM tviews.flush();
SELECT * FROM totals;
SELECT count(*) FROM sums;
INSERT INTO item VALUES (1, 1, 'a', 1, 1, '2026-01-01');
SELECT FROM tviews.flush();
SELECT * FROM totals;
SELECT * FROM oracle();
ROLLBACK;
SELECT * FROM cost('none');

-- many rows at once: as many groups are written as they belong to
UPDATE item SET n = n + 1 WHERE id % 20 IN (1, 2);
SELECT * FROM cost();
INSERT INTO item SELECT i, i % 3, 'a', i, 1, '2026-01-01' FROM generate_series(5000, 5500) i;
SELECT * FROM cost();
DELETE FROM item WHERE id >= 5000;
SELECT * FROM cost();

-- an argument that only rows behind the FILTER can have
CREATE TABLE rate (id int PRIMARY KEY, grp int, n int);
CREATE TVIEW guarded AS SELECT grp, sum(100 / n) FILTER (WHERE n <> 0) AS s, count(*) AS rows FROM rate GROUP BY grp;
INSERT INTO rate VALUES (1, 1, 4), (2, 1, 0), (3, 2, 0);
TABLE guarded ORDER BY grp;
UPDATE rate SET n = CASE n WHEN 0 THEN 5 ELSE 0 END WHERE grp = 1;
TABLE guarded ORDER BY grp;
DELETE FROM rate WHERE n = 0;
SELECT * FROM oracle('guarded');

SET client_min_messages = warning;
DROP SCHEMA fold CASCADE;
