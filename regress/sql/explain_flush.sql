-- tviews.explain(…, analyze => true): the flush of what is pending, really.
CREATE SCHEMA explain_flush;
SET search_path = explain_flush, public;
CREATE TABLE author (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE page (id int PRIMARY KEY, author int NOT NULL REFERENCES author, title text NOT NULL, score int NOT NULL DEFAULT 0);
CREATE INDEX ON page (author);
INSERT INTO author SELECT i, 'author ' || i FROM generate_series(1, 50) i;
INSERT INTO page SELECT i, i % 50 + 1, 'page ' || i FROM generate_series(1, 500) i;
CREATE TVIEW with_author AS SELECT p.id, p.title, a.name FROM page p JOIN author a ON a.id = p.author;
CREATE TVIEW by_author AS SELECT author, count(*) AS n, sum(score) AS score FROM page GROUP BY author;
CREATE TVIEW by_count AS SELECT n, count(*) AS authors FROM by_author GROUP BY n;
CREATE TVIEW staged AS SELECT s, count(*) AS authors FROM (SELECT author, max(score) AS s FROM page GROUP BY author) q GROUP BY s;
CREATE TVIEW whole WITH (mode = full) AS SELECT id, title FROM page WHERE id < 10;
CREATE FUNCTION shown(line text) RETURNS text LANGUAGE sql AS
    $$ SELECT regexp_replace(regexp_replace(line, '(time|waiting|computing|writing)=\d+\.\d{3}', '\1=…', 'g'), '"\d+_\d+"', '"N"', 'g') $$;

-- nothing is pending
SELECT line FROM tviews.explain('with_author', analyze => true) line WHERE line LIKE 'Flush%';
SELECT count(*) FROM (SELECT tviews.explain('with_author') EXCEPT SELECT tviews.explain('with_author', false)) x;
SELECT count(*) FROM (SELECT tviews.explain('with_author', "analyze" => true) EXCEPT SELECT tviews.explain(tview => 'with_author', "analyze" => false)) x;

-- few rows, many rows, everything
BEGIN;
UPDATE page SET title = 'new' WHERE id IN (1, 2);
SELECT shown(line) FROM tviews.explain('with_author', analyze => true) WITH ORDINALITY e (line, n) WHERE line ~ '^(TVIEW|Flush|  [A-Z])' ORDER BY n;
SELECT shown(line) FROM tviews.explain('with_author', analyze => true) line WHERE line LIKE 'Flush%';
SELECT tview FROM tviews.pending() WHERE tview = 'with_author'::regclass;
SELECT * FROM tviews.verify('with_author');
ROLLBACK;
CREATE FUNCTION flushed(tview regclass) RETURNS SETOF text LANGUAGE sql AS
    $$ SELECT shown(line) FROM (SELECT line, n, bool_or(line LIKE 'Flush%') OVER (ORDER BY n) AS behind FROM tviews.explain(tview, true) WITH ORDINALITY e (line, n)) x
        WHERE behind ORDER BY n $$;
BEGIN;
UPDATE page SET title = title || '.' WHERE id <= 100;
SELECT flushed('with_author');
UPDATE author SET name = 'same' WHERE id IN (3, 4);
SELECT flushed('with_author');
UPDATE page SET score = 1 WHERE id = 7;
SELECT flushed('by_author');
UPDATE page SET title = 'whole' WHERE id = 8;
SELECT flushed('whole');
TRUNCATE page;
SELECT flushed('with_author');
ROLLBACK;
-- by SQL
BEGIN;
SET LOCAL pg_tviews.nested_loops = off;
DELETE FROM page WHERE id = 9;
SELECT flushed('with_author');
ROLLBACK;

-- what it depends on comes first; stages are parts of it
BEGIN;
UPDATE page SET author = 2, score = 5 WHERE id = 7;
SELECT flushed('by_count');
SELECT flushed('staged');
SELECT flushed('by_author');
COMMIT;
SELECT bool_and(ok) FROM tviews.verify_all();

-- undone with the transaction
BEGIN;
SAVEPOINT s;
DELETE FROM page WHERE id = 10;
SELECT flushed('with_author');
ROLLBACK TO s;
SELECT flushed('with_author');
SELECT count(*) FROM with_author WHERE id = 10;
COMMIT;

-- an error of the flush is the error of the function, and nothing is left of the question
CREATE TABLE divisor (id int PRIMARY KEY, d int NOT NULL);
CREATE TVIEW quotient AS SELECT id, 1 / d AS q FROM divisor;
DO $$ BEGIN
    INSERT INTO divisor VALUES (1, 0);
    PERFORM tviews.explain('quotient', true);
EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught: %', sqlerrm;
END $$;
INSERT INTO divisor VALUES (1, 1);
BEGIN READ ONLY;
SELECT flushed('quotient');
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE divisor SET d = 2;
SELECT flushed('quotient');
COMMIT;
SELECT * FROM quotient;

-- rights: SELECT on it; of others that take part only what their writers know
CREATE ROLE explain_flush_reader;
GRANT USAGE ON SCHEMA explain_flush TO explain_flush_reader;
GRANT SELECT ON by_count TO explain_flush_reader;
GRANT SELECT, UPDATE, INSERT ON page TO explain_flush_reader;
SET ROLE explain_flush_reader;
BEGIN;
UPDATE page SET author = 3 WHERE id = 8;
SELECT flushed('by_author');
ROLLBACK;
BEGIN;
UPDATE page SET author = 3 WHERE id = 8;
SELECT flushed('by_count');
ROLLBACK;
RESET ROLE;

-- arguments
SELECT tviews.explain('page', analyze => true);
SELECT tviews.explain(NULL, analyze => true);
SELECT tviews.explain('by_count', analyze => NULL);
SELECT tviews.explain(analyze => true, tview => 'by_count');
SELECT analyze => true;

SELECT bool_and(ok) FROM tviews.verify_all();
DROP SCHEMA explain_flush CASCADE;
DROP ROLE explain_flush_reader;
