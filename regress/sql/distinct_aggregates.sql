-- DISTINCT inside aggregates: a stage has each value of a group once, and what is counted or summed above it follows the values that come
-- and go. The group here has 20,000 rows and 5,000 values.
CREATE SCHEMA distinct_aggregates;
SET pg_tviews.full_refresh_threshold = 1;
SET search_path = distinct_aggregates, public;
SET client_min_messages = warning;
CREATE TABLE visit (id int PRIMARY KEY, day date NOT NULL, visitor int, page text, n int, price numeric(10,2), big bigint, seen boolean, at timestamptz);
INSERT INTO visit SELECT i, CASE WHEN i <= 20000 THEN date '2026-01-01' ELSE date '2026-01-02' + i % 3 END, i % 5000, 'page ' || i % 7, i % 11, i / 4.0, i, i % 3 = 0,
    timestamptz '2026-01-01 00:00Z' + i * interval '1 minute' FROM generate_series(1, 20300) i;
CREATE TABLE day (day date PRIMARY KEY, label text);
INSERT INTO day SELECT date '2026-01-01' + i, 'day ' || i FROM generate_series(0, 5) i;
CREATE INDEX ON visit (day, visitor);
CREATE TVIEW visitors WITH (mode = incremental) AS SELECT day, count(DISTINCT visitor) AS visitors FROM visit GROUP BY day;
CREATE TVIEW total WITH (mode = incremental) AS SELECT count(DISTINCT visitor) AS visitors, sum(DISTINCT visitor) AS s, count(*) AS visits FROM visit;
CREATE TVIEW beside WITH (mode = incremental) AS SELECT day, count(*) AS visits, count(DISTINCT visitor) AS visitors, count(page) AS pages, sum(n) AS n, avg(n) AS an, sum(price) AS price,
    avg(price) AS ap, sum(big) AS big, avg(big) AS ab, min(at) AS first, max(at) AS last, bool_or(seen) AS any, bool_and(seen) AS all, count(*) FILTER (WHERE seen) AS seen FROM visit GROUP BY day;
CREATE TVIEW conditions WITH (mode = incremental) AS SELECT day, count(DISTINCT visitor) AS visitors, count(DISTINCT visitor) FILTER (WHERE seen) AS seen,
    sum(DISTINCT visitor) FILTER (WHERE n > 5) AS s, sum(price) FILTER (WHERE seen) AS p FROM visit GROUP BY day;
CREATE TVIEW expressions WITH (mode = incremental) AS SELECT date_trunc('hour', at, 'UTC') AS hour, count(DISTINCT n % 5 + 1) AS c, jsonb_build_object('of', count(*), 'n', count(DISTINCT n % 5 + 1)) AS j
    FROM visit WHERE id < 300 GROUP BY 1;
CREATE TVIEW large WITH (mode = incremental) AS SELECT day FROM visit GROUP BY day HAVING count(DISTINCT visitor) > 90 ORDER BY count(DISTINCT visitor);
CREATE TVIEW of_join WITH (mode = incremental) AS SELECT d.day, d.label, count(DISTINCT v.n) AS c FROM day d LEFT JOIN visit v ON v.day = d.day GROUP BY d.day;
-- without GROUP BY: a stage of one row for each list of arguments, and one for what no parts add up to
CREATE TVIEW totals WITH (mode = incremental) AS SELECT count(DISTINCT visitor) AS visitors, count(DISTINCT page) AS pages, sum(price) / nullif(sum(DISTINCT n), 0) AS p, max(at) AS last FROM visit;
CREATE TVIEW totals_of_two WITH (mode = incremental) AS SELECT jsonb_build_object('visitors', count(DISTINCT v.visitor), 'labels', count(DISTINCT d.label) FILTER (WHERE v.seen)) AS doc,
    sum(DISTINCT v.visitor) - count(DISTINCT v.visitor) AS d FROM visit v JOIN day d USING (day) HAVING count(DISTINCT v.page) > 1;
CREATE TVIEW total_deviation WITH (mode = incremental) AS SELECT count(DISTINCT visitor) AS visitors, stddev(n) AS d FROM visit;
-- the query: one of the parts would be
CREATE TVIEW totals_not_same AS SELECT count(DISTINCT visitor) AS visitors, count(DISTINCT price * 1.0) AS p FROM visit;
CREATE TVIEW totals_listed AS SELECT count(DISTINCT visitor) AS visitors, count(DISTINCT n) AS n, string_agg(page, ',' ORDER BY id) AS pages FROM visit WHERE id < 10;
-- the values of the group are read again, not its rows
CREATE TVIEW lists WITH (mode = incremental) AS SELECT day, array_agg(DISTINCT page) AS a, string_agg(DISTINCT page, ', ' ORDER BY page DESC) AS s, count(DISTINCT page) AS c FROM visit GROUP BY day;
-- the group is read again: different values, values that can be equal and not the same, aggregates that no parts add up to, arguments that can fail
CREATE TVIEW two WITH (mode = incremental) AS SELECT day, count(DISTINCT n) AS n, count(DISTINCT page) AS p FROM visit GROUP BY day;
CREATE TVIEW not_same WITH (mode = incremental) AS SELECT day, count(DISTINCT price * 1.0) AS c FROM visit GROUP BY day;
CREATE TVIEW no_parts WITH (mode = incremental) AS SELECT day, count(DISTINCT n) AS c, stddev(n) AS d FROM visit GROUP BY day;
-- 16.2 sorts for DISTINCT what FILTER leaves out, and fails over it, with or without a TVIEW
SELECT set_config(name, 'off', false) FROM pg_settings WHERE name = 'enable_presorted_aggregate' \g /dev/null
CREATE TVIEW can_fail WITH (mode = incremental) AS SELECT day, count(DISTINCT 100 / n) FILTER (WHERE n > 0) AS c FROM visit GROUP BY day;
SELECT name, strategies, internal_stages FROM tviews.tviews WHERE schema = 'distinct_aggregates' ORDER BY name;
SELECT base_table, strategy FROM tviews.check('SELECT day, count(DISTINCT visitor) FROM distinct_aggregates.visit GROUP BY day');
SELECT regexp_replace(line, '"\d+_', '"N_', 'g') AS line FROM tviews.explain('visitors') line WHERE line ~ '^ *(stage |key:|\S+: (fold|keyed))';
SELECT * FROM cost();

-- a new value, one that is there already, one less of it, the last of it; NULL is no value to count
INSERT INTO visit VALUES (30000, '2026-01-01', 6000, 'page 1', 5, 1.5, 7, true, '2026-01-01 00:00Z');
SELECT * FROM cost();
INSERT INTO visit VALUES (30001, '2026-01-01', 6000, 'page 1', 6, 2.5, 8, false, '2026-01-01 01:00Z');
SELECT * FROM cost();
UPDATE visit SET visitor = NULL, n = NULL, page = NULL, price = NULL, seen = NULL WHERE id = 30001;
SELECT * FROM cost();
DELETE FROM visit WHERE id = 30000;
SELECT * FROM cost();
UPDATE visit SET visitor = 1 WHERE id = 30001;
SELECT * FROM cost();
-- a condition of FILTER becomes true and false for a value
UPDATE visit SET seen = true WHERE id = 30001;
SELECT * FROM cost('conditions');
UPDATE visit SET seen = false WHERE id % 5000 = 2;
SELECT * FROM cost('conditions');
-- groups that come and go, and are empty of values
INSERT INTO visit (id, day) VALUES (40000, '2026-02-01'), (40001, '2026-02-01');
SELECT * FROM cost('visitors', 'beside', 'lists');
TABLE beside EXCEPT SELECT b.* FROM beside b WHERE day < '2026-02-01';
DELETE FROM visit WHERE day = '2026-02-01';
SELECT * FROM cost('visitors', 'beside', 'lists');
-- both tables, a read between, and a savepoint
BEGIN;
UPDATE visit SET day = '2026-01-05' WHERE id = 20;
SELECT FROM tviews.flush();
SELECT count(*) FROM visitors;
SAVEPOINT s;
DELETE FROM visit WHERE visitor % 2 = 0;
UPDATE day SET label = 'x';
SELECT FROM tviews.flush();
SELECT visitors FROM total;
ROLLBACK TO s;
UPDATE day SET label = 'y' WHERE day = '2026-01-05';
COMMIT;
SELECT * FROM cost();
BEGIN;
UPDATE visit SET visitor = visitor % 100;
SELECT * FROM oracle();
ROLLBACK;
SELECT * FROM oracle();
-- nothing left: one row without GROUP BY
BEGIN;
DELETE FROM visit;
SELECT FROM tviews.flush();
TABLE total;
TABLE totals;
TABLE totals_of_two;
SELECT count(*) FROM visitors;
SELECT * FROM oracle();
ROLLBACK;
SELECT * FROM oracle();
SELECT * FROM cost('none');
UPDATE visit SET visitor = visitor + 1 WHERE id <= 500;
SELECT * FROM cost('visitors', 'total', 'beside', 'conditions');

DROP SCHEMA distinct_aggregates CASCADE;
