-- TVIEWs that follow later: the log, REFRESH, what they read and who reads them. Schedules are in regress/t/schedule.py.
CREATE SCHEMA deferred;
SET search_path = deferred, public;
CREATE TABLE author (id int PRIMARY KEY, name text NOT NULL, note text);
CREATE TABLE post (id int PRIMARY KEY, author int, title text, score numeric, body text);
CREATE INDEX ON post (author);
INSERT INTO author SELECT i, 'author ' || i FROM generate_series(1, 5) i;
INSERT INTO post SELECT i, i % 5 + 1, 'post ' || i, i FROM generate_series(1, 20) i;

-- options
CREATE TVIEW x WITH (refresh = later) AS SELECT id FROM post;
CREATE TVIEW x WITH (schedule = '5m') AS SELECT id FROM post;
CREATE TVIEW x WITH (refresh = manual, schedule = '5m') AS SELECT id FROM post;
CREATE TVIEW x WITH (refresh = deferred, schedule = '5 parsecs') AS SELECT id FROM post;
CREATE TVIEW x WITH (refresh = deferred, schedule = '10ms') AS SELECT id FROM post;
CREATE TVIEW x WITH (refresh = deferred, schedule = '61 * * * *') AS SELECT id FROM post;
CREATE TVIEW x WITH (refresh = deferred, schedule = 'CRON_TZ=Nowhere/Land 0 3 * * *') AS SELECT id FROM post;

CREATE TVIEW page WITH (refresh = manual) AS SELECT p.id, p.title, a.name FROM post p LEFT JOIN author a ON a.id = p.author;
CREATE TVIEW total WITH (refresh = manual) AS SELECT a.name, count(*) AS posts, sum(p.score) AS score, max(p.id) AS last FROM post p JOIN author a ON a.id = p.author GROUP BY a.name;
CREATE MATERIALIZED VIEW titles WITH (incremental, refresh = manual) AS SELECT a.name, p.title FROM post p JOIN author a ON a.id = p.author;
CREATE TVIEW busy WITH (refresh = manual) AS SELECT author, n FROM (SELECT author, count(*) AS n FROM post GROUP BY author) x WHERE n > 4;
-- one that follows at commit, over one that does not, and the other way round
CREATE TVIEW names AS SELECT name, count(*) AS pages FROM page GROUP BY name;
CREATE TVIEW many WITH (refresh = manual) AS SELECT pages, count(*) AS names FROM names GROUP BY pages;
CREATE TVIEW both_ways WITH (refresh = manual) AS SELECT t.name, t.posts, p.id FROM total t JOIN page p ON p.name = t.name;
SELECT name, refresh, options FROM tviews.tviews WHERE schema = 'deferred' ORDER BY name;
SELECT source::regclass, writes FROM tviews.log ORDER BY source::regclass::text;
SELECT tview, rows_behind, transactions_behind, seconds_behind, bound, met, paused, errors, last_error FROM tviews.staleness ORDER BY tview::text;

-- nothing changes before a refresh, and then all that had been committed
UPDATE author SET name = 'renamed' WHERE id = 1;
UPDATE post SET author = 2, title = 'moved' WHERE id = 3;
DELETE FROM post WHERE id = 5;
INSERT INTO post VALUES (21, NULL, 'no author', 1);
UPDATE author SET note = 'not used';
UPDATE post SET score = score + 1 WHERE id < 4;
UPDATE post SET score = score - 1 WHERE id < 4;
SELECT * FROM page WHERE id IN (3, 5, 21) OR name = 'renamed' ORDER BY id;
SELECT tview, rows_behind > 0 AS behind, transactions_behind FROM tviews.staleness ORDER BY tview::text;
REFRESH TVIEW page;
SELECT * FROM page WHERE id IN (3, 5, 21) OR name = 'renamed' ORDER BY id;
SELECT * FROM names ORDER BY name;
REFRESH MATERIALIZED VIEW total;
REFRESH MATERIALIZED VIEW CONCURRENTLY titles;
REFRESH TVIEW busy;
REFRESH TVIEW many;
REFRESH TVIEW both_ways;
SELECT * FROM total ORDER BY name;
SELECT tview, missing, extra FROM tviews.verify_all() WHERE tview::text IN (SELECT tview::text FROM tviews.staleness UNION SELECT 'names') ORDER BY tview::text;
SELECT tview, initiator, action, reason, status, changed_rows, rows_inserted, rows_updated, rows_deleted, lag > '0' AS lag, snapshot IS NOT NULL AS snapshot, error
  FROM tviews.refresh_history ORDER BY started;
-- again: nothing to do, and no history of that
REFRESH TVIEW both_ways;
SELECT count(*) FROM tviews.refresh_history;

-- in a transaction: its own changes, once each, whatever is rolled back
BEGIN;
INSERT INTO post VALUES (30, 1, 'own', 100);
REFRESH TVIEW total;
SELECT posts, score FROM total WHERE name = 'renamed';
INSERT INTO post VALUES (31, 1, 'own', 100);
SAVEPOINT a;
INSERT INTO post VALUES (32, 1, 'own', 100);
REFRESH TVIEW total;
SELECT posts, score FROM total WHERE name = 'renamed';
ROLLBACK TO a;
SELECT posts, score FROM total WHERE name = 'renamed';
UPDATE post SET score = 200 WHERE id = 30;
RELEASE a;
REFRESH TVIEW total;
SELECT posts, score FROM total WHERE name = 'renamed';
UPDATE post SET score = 300 WHERE id = 31;
COMMIT;
SELECT posts, score FROM total WHERE name = 'renamed';
REFRESH TVIEW total;
SELECT posts, score FROM total WHERE name = 'renamed';
BEGIN;
DELETE FROM post WHERE id = 30;
REFRESH TVIEW total;
ROLLBACK;
REFRESH TVIEW total;
SELECT posts, score FROM total WHERE name = 'renamed';
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM post;
DELETE FROM post WHERE id = 30;
REFRESH TVIEW total;
SELECT posts, score FROM total WHERE name = 'renamed';
COMMIT;
SELECT * FROM oracle('total');
BEGIN;
INSERT INTO post VALUES (33, 1, 'prepared', 1);
PREPARE TRANSACTION 'deferred';
REFRESH TVIEW total;
SELECT last FROM total WHERE name = 'renamed';
COMMIT PREPARED 'deferred';
REFRESH TVIEW total;
SELECT last FROM total WHERE name = 'renamed';
DO $$ BEGIN
    BEGIN
        INSERT INTO post VALUES (34, 1, 'undone', 1);
        REFRESH TVIEW total;
        RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN NULL; END;
    INSERT INTO post VALUES (35, 1, 'kept', 1);
    REFRESH TVIEW total;
END $$;
SELECT last FROM total WHERE name = 'renamed';
SELECT * FROM oracle('total');

-- not inside of a statement that writes, whose rows are logged when it ends
CREATE FUNCTION refresh_now() RETURNS int LANGUAGE plpgsql AS $$ BEGIN REFRESH TVIEW total; RETURN 1; END $$;
INSERT INTO post SELECT 40, 1, 'x', refresh_now(); \echo :SQLSTATE
SELECT refresh_now();
-- nor where nothing may be written
BEGIN READ ONLY;
REFRESH TVIEW total; \echo :SQLSTATE
ROLLBACK;

-- changes without rows, long values, trees
TRUNCATE post;
REFRESH TVIEW both_ways;
SELECT count(*) FROM total;
SELECT * FROM names;
INSERT INTO post SELECT i, i % 5 + 1, 'post ' || i, i, repeat(md5(i::text), 400) FROM generate_series(1, 10) i;
CREATE TVIEW bodies WITH (refresh = manual) AS SELECT id, body FROM post;
UPDATE post SET body = body || 'more' WHERE id < 4;
UPDATE post SET title = 'same body' WHERE id = 5;
DELETE FROM post WHERE id = 6;
VACUUM post;
REFRESH TVIEW bodies;
SELECT * FROM oracle('bodies');
CREATE TABLE event (id int, day date, v int) PARTITION BY RANGE (day);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE event_2 (v int, day date, id int);
ALTER TABLE event ATTACH PARTITION event_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TVIEW days WITH (refresh = manual) AS SELECT day, count(*), sum(v) FROM event GROUP BY day;
CREATE TVIEW parts WITH (refresh = manual) AS SELECT tableoid = 'event_1'::regclass AS first, count(*) FROM event GROUP BY 1;
INSERT INTO event VALUES (1, '2026-01-05', 1), (2, '2026-02-05', 2);
INSERT INTO event_2 VALUES (3, '2026-02-05', 3);
UPDATE event SET day = '2026-02-06' WHERE id = 1;
SELECT tviews.refresh_all() > 0 AS refreshed;
SELECT * FROM days ORDER BY 1;
SELECT * FROM parts ORDER BY 1;
ALTER TABLE event DETACH PARTITION event_2;
SELECT tviews.refresh_all() > 0 AS refreshed;
SELECT * FROM days ORDER BY 1;

SET TimeZone = 'UTC';
-- the clock: of the transaction that refreshes; rows that enter and leave a window are those between its old and new bounds
CREATE TABLE reading (id int PRIMARY KEY, at timestamptz NOT NULL, sensor int);
INSERT INTO reading SELECT i, now() - i * interval '1 minute', i % 3 FROM generate_series(0, 600) i;
CREATE INDEX ON reading (at);
CREATE TVIEW lately AS SELECT id, sensor FROM reading WHERE at > now() - interval '1 hour'; \echo :SQLSTATE
CREATE TVIEW lately WITH (refresh = manual) AS SELECT id, sensor FROM reading WHERE at > now() - interval '1 hour';
CREATE TVIEW per_sensor WITH (refresh = manual) AS SELECT sensor, count(*) FROM reading WHERE at > statement_timestamp() - interval '1 hour' GROUP BY sensor;
CREATE TVIEW today WITH (refresh = manual) AS SELECT id, CURRENT_DATE - at::date AS days, date_trunc('day', now()) AS day FROM reading WHERE id < 3;
CREATE TVIEW ages WITH (refresh = manual) AS SELECT id, age(at) > '1 hour' AS old FROM reading WHERE id < 100;
CREATE TVIEW moment WITH (refresh = manual) AS SELECT now() AS moment;
CREATE TVIEW random WITH (refresh = manual) AS SELECT id FROM reading WHERE at > clock_timestamp(); \echo :SQLSTATE
CREATE TVIEW whose WITH (refresh = manual) AS SELECT id FROM reading WHERE sensor::text = current_user; \echo :SQLSTATE
SELECT count(*) FROM tviews.explain('lately') AS line WHERE line ~ 'now\(\)';
DELETE FROM reading WHERE id = 3;
UPDATE reading SET at = at - interval '30 minutes';
INSERT INTO reading VALUES (1000, now(), 1);
BEGIN;
REFRESH TVIEW lately;
REFRESH TVIEW per_sensor;
REFRESH TVIEW today;
REFRESH TVIEW ages;
REFRESH TVIEW moment;
SELECT t.* FROM unnest(ARRAY['lately', 'per_sensor', 'today', 'ages']) AS name, oracle(name::regclass) t;
SELECT moment = now() AS now FROM moment;
COMMIT;
BEGIN;
SELECT pg_sleep(0.01);
REFRESH TVIEW moment;
SELECT moment = now() AS now FROM moment;
COMMIT;
ALTER TVIEW lately SET (refresh = commit); \echo :SQLSTATE
CREATE OR REPLACE TVIEW lately AS SELECT id, sensor FROM reading WHERE at > now() - interval '2 hours'; \echo :SQLSTATE
CREATE OR REPLACE TVIEW lately WITH (refresh = manual) AS SELECT id, sensor FROM reading WHERE at > now() - interval '2 hours';
SELECT count(*) FROM oracle('lately');
RESET TimeZone;

-- what cannot be captured is compared at each refresh
CREATE MATERIALIZED VIEW plain AS SELECT id, title FROM post;
CREATE TVIEW over_plain AS SELECT count(*) AS n, max(title) AS last FROM plain; \echo :SQLSTATE
CREATE TVIEW over_plain WITH (refresh = manual) AS SELECT count(*) AS n, max(title) AS last FROM plain;
CREATE TVIEW beside_plain WITH (refresh = manual) AS SELECT a.name, p.title FROM author a JOIN plain p ON p.id = a.id;
INSERT INTO post VALUES (70, 1, 'seventy', 1);
REFRESH MATERIALIZED VIEW plain;
UPDATE author SET name = 'second' WHERE id = 2;
REFRESH TVIEW over_plain;
REFRESH TVIEW beside_plain;
SELECT * FROM over_plain;
SELECT count(*) FROM oracle('beside_plain');
ALTER TVIEW over_plain SET (refresh = commit); \echo :SQLSTATE
DELETE FROM post WHERE id = 70;
DROP MATERIALIZED VIEW plain CASCADE;
UPDATE author SET name = 'author 2' WHERE id = 2;

-- from one way to the other and back, without a change that is lost
ALTER TVIEW total SET (refresh = commit);
INSERT INTO post VALUES (50, 1, 'seen at once', 7);
SELECT posts, score FROM total WHERE name = 'renamed';
BEGIN;
INSERT INTO post VALUES (51, 1, 'before', 7);
ALTER TVIEW total SET (refresh = manual);
INSERT INTO post VALUES (52, 1, 'after', 7);
SELECT posts, score FROM total WHERE name = 'renamed';
ALTER TVIEW total RESET (refresh);
SELECT posts, score FROM total WHERE name = 'renamed';
INSERT INTO post VALUES (53, 1, 'and again', 7);
SELECT posts, score FROM total WHERE name = 'renamed';
COMMIT;
SELECT * FROM oracle('total');
ALTER TVIEW total SET (refresh = deferred, schedule = '@yearly');
ALTER TVIEW total SET (refresh = manual);
ALTER TVIEW total SET (schedule = '1h');
SELECT options FROM tviews.tviews WHERE name = 'total';
INSERT INTO post VALUES (54, 1, 'for another query', 7);
CREATE OR REPLACE TVIEW total WITH (refresh = manual) AS SELECT a.name, count(*) AS posts, sum(p.score) AS score, max(p.id) AS last, min(p.title) AS first FROM post p JOIN author a ON a.id = p.author GROUP BY a.name;
INSERT INTO post VALUES (55, 1, 'a first one', 7);
REFRESH TVIEW total;
SELECT posts, first FROM total WHERE name = 'renamed';
-- storage
ALTER TVIEW total SET LOGGED;
SELECT relname ~ '^log_' AS log, relpersistence FROM pg_class WHERE oid IN (SELECT unnest(ARRAY[first, second]) FROM tviews.log WHERE source = 'post'::regclass);
UPDATE post SET score = 8 WHERE id = 55;
REFRESH TVIEW bodies;
REFRESH TVIEW total;
SELECT * FROM oracle('total');
-- readers of one that is computed anew
INSERT INTO post VALUES (57, 2, 'before it is computed anew', 7);
ALTER TVIEW page SET LOGGED;
SELECT count(*) FROM oracle('names');
REFRESH TVIEW both_ways;
SELECT count(*) FROM oracle('both_ways');
-- one that is also read through a TVIEW that follows at commit
CREATE TVIEW twice WITH (refresh = manual) AS SELECT p.id, n.pages FROM page p JOIN names n ON n.name = p.name;
INSERT INTO post VALUES (58, 3, 'seen twice', 7);
REFRESH TVIEW twice;
SELECT count(*) FROM oracle('twice');
REFRESH TVIEW page;
REFRESH TVIEW twice;
SELECT count(*) FROM oracle('twice');
-- without contents
REFRESH TVIEW titles WITH NO DATA;
INSERT INTO post VALUES (56, 1, 'meanwhile', 7);
SELECT tview, rows_behind, refreshed_at FROM tviews.staleness WHERE tview = 'titles'::regclass;
REFRESH TVIEW titles;
SELECT count(*) FROM titles WHERE title = 'meanwhile';
SELECT tviews.rebuild('titles');
-- definitions
ALTER TABLE post RENAME COLUMN score TO points;
ALTER TABLE post ADD COLUMN extra int DEFAULT 3;
UPDATE post SET points = 9 WHERE id = 55;
\set VERBOSITY terse
ALTER TABLE post ALTER COLUMN points TYPE float8;
\set VERBOSITY default
ALTER TABLE author DROP COLUMN name; \echo :SQLSTATE
ALTER TABLE author DROP COLUMN note;
CREATE TVIEW extras WITH (refresh = manual) AS SELECT extra, count(*), sum(points) FROM post GROUP BY extra;
UPDATE post SET extra = 4 WHERE id < 4;
SELECT tviews.refresh_all() > 0 AS refreshed;
SELECT bool_and(ok) FROM tviews.verify_all() WHERE tview IN (SELECT tview FROM tviews.staleness);

-- rights
SET client_min_messages = warning;
CREATE ROLE regress_deferred_owner;
CREATE ROLE regress_deferred_writer;
GRANT USAGE, CREATE ON SCHEMA deferred TO regress_deferred_owner;
GRANT USAGE ON SCHEMA deferred TO regress_deferred_writer;
GRANT SELECT, TRIGGER ON post TO regress_deferred_owner;
GRANT SELECT, INSERT, UPDATE, DELETE ON post TO regress_deferred_writer;
SET ROLE regress_deferred_owner;
CREATE TVIEW own WITH (refresh = deferred, schedule = '@yearly') AS SELECT author, count(*) AS n FROM post GROUP BY author;
SET ROLE regress_deferred_writer;
INSERT INTO post (id, author, title) VALUES (60, 1, 'by a writer');
REFRESH TVIEW own; \echo :SQLSTATE
SELECT tviews.pause('own'); \echo :SQLSTATE
SELECT tviews.refresh_all();
SELECT count(*) FROM tviews.history; \echo :SQLSTATE
SELECT tview, rows_behind, bound, paused FROM tviews.staleness WHERE tview = 'own'::regclass;
RESET ROLE;
SET ROLE regress_deferred_owner;
REFRESH TVIEW own;
SELECT tviews.pause('own');
SELECT tviews.pause('own');
SELECT paused FROM tviews.staleness WHERE tview = 'own'::regclass;
SELECT tviews.resume('own');
SELECT paused FROM tviews.staleness WHERE tview = 'own'::regclass;
SELECT tviews.pause('total'); \echo :SQLSTATE
RESET ROLE;
SELECT tviews.pause('total'); \echo :SQLSTATE
SELECT tviews.pause('post'); \echo :SQLSTATE
SELECT n FROM own WHERE author = 1;

-- why all of one was computed anew
CREATE TABLE counted (id int PRIMARY KEY, n int);
INSERT INTO counted SELECT i, i FROM generate_series(1, 1000) i;
CREATE TVIEW counted_total WITH (refresh = manual) AS SELECT n % 10 AS digit, count(*) FROM counted GROUP BY 1;
CREATE TVIEW counted_rows WITH (refresh = manual, mode = full) AS SELECT id, n FROM counted;
INSERT INTO counted VALUES (2000, 7);
REFRESH TVIEW counted_total;
REFRESH TVIEW counted_rows;
TRUNCATE counted;
REFRESH TVIEW counted_total;
REFRESH TVIEW counted_rows;
SELECT tview, action, reason FROM tviews.refresh_history WHERE tview::text LIKE 'counted%' ORDER BY started;
DROP TABLE counted CASCADE;

-- nothing is left
DROP TVIEW own;
DROP TABLE event CASCADE;
DROP SCHEMA deferred CASCADE;
SELECT (SELECT count(*) FROM tviews.log) AS logs, (SELECT count(*) FROM tviews.frontier) AS frontiers, (SELECT count(*) FROM tviews.history) AS history,
       (SELECT count(*) FROM tviews.job) AS jobs, (SELECT count(*) FROM pg_class WHERE relname ~ '^log_' AND relnamespace = 'pg_toast_tviews'::regnamespace) AS relations;
DROP ROLE regress_deferred_owner, regress_deferred_writer;
