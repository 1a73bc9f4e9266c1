-- EXPLAIN ANALYZE of a statement that writes shows its flush.
CREATE SCHEMA explain_analyze;
SET search_path = explain_analyze, public;
CREATE TABLE author (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE page (id int PRIMARY KEY, author int NOT NULL REFERENCES author ON DELETE CASCADE, title text NOT NULL);
CREATE INDEX ON page (author);
INSERT INTO author SELECT i, 'author ' || i FROM generate_series(1, 50) i;
INSERT INTO page SELECT i, i % 50 + 1, 'page ' || i FROM generate_series(1, 500) i;
CREATE TVIEW with_author AS SELECT p.id, p.title, a.name FROM page p JOIN author a ON a.id = p.author;
CREATE TVIEW by_author AS SELECT author, count(*) AS n FROM page GROUP BY author;
CREATE TVIEW by_count AS SELECT n, count(*) AS authors FROM by_author GROUP BY n;
CREATE TABLE other (id int PRIMARY KEY);
-- lines about the flush and about triggers of ours, and how many others there are
CREATE FUNCTION explained(statement text, options text DEFAULT '') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    others int := 0;
BEGIN
    FOR line IN EXECUTE format('EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF %s) %s', options, statement) LOOP
        IF line ~ 'Flush|Strategy:|Changes:|Rows:|tviews' THEN
            RETURN NEXT regexp_replace(line, '\$tviews_(\w+)_\d+', '$tviews_\1_N');
        ELSE
            others := others + 1;
        END IF;
    END LOOP;
    IF others = 0 THEN RAISE 'no plan'; END IF;
END $$;

-- as applications see it
BEGIN;
SELECT * FROM explained('UPDATE page SET title = ''new'' WHERE id = -1');
EXPLAIN (COSTS OFF) UPDATE page SET title = 'new' WHERE title = 'page 1';
EXPLAIN (COSTS OFF, VERBOSE) UPDATE page SET title = 'new' WHERE title = 'page 1';
SELECT * FROM explained('UPDATE page SET title = ''new'' WHERE id = 1');
-- it has been flushed, really
SELECT * FROM tviews.pending();
SELECT title FROM with_author WHERE id = 1;
ROLLBACK;
SELECT title FROM with_author WHERE id = 1;

-- statements of all kinds
BEGIN;
SELECT * FROM explained('INSERT INTO page VALUES (1001, 1, ''a''), (1002, 2, ''b'')');
SELECT * FROM explained('DELETE FROM page WHERE id > 1000');
SELECT * FROM explained('MERGE INTO page USING (VALUES (1, ''m''), (1003, ''n'')) v(id, title) ON page.id = v.id '
    'WHEN MATCHED THEN UPDATE SET title = v.title WHEN NOT MATCHED THEN INSERT VALUES (v.id, 3, v.title)');
SELECT * FROM explained('WITH moved AS (DELETE FROM page WHERE id = 1003 RETURNING *) INSERT INTO page SELECT id + 1, author, title FROM moved');
SELECT * FROM explained('WITH x AS (INSERT INTO page VALUES (1005, 4, ''x'') RETURNING id) SELECT * FROM x');
SELECT * FROM explained('DELETE FROM author WHERE id = 50');
SELECT * FROM explained('UPDATE page SET title = title || ''.'' WHERE id < 200');
SELECT * FROM explained('INSERT INTO page VALUES (1, 1, ''conflict'') ON CONFLICT (id) DO UPDATE SET title = excluded.title');
-- nothing to follow
SELECT * FROM explained('UPDATE page SET title = title WHERE id = 2');
SELECT * FROM explained('INSERT INTO other VALUES (1)');
SELECT * FROM explained('SELECT * FROM page WHERE id = 2');
SELECT bool_and(ok) FROM tviews.verify_all();
ROLLBACK;

-- a function that writes, and one that reads what it has written
CREATE FUNCTION write(int, text) RETURNS int LANGUAGE sql AS 'UPDATE page SET title = $2 WHERE id = $1 RETURNING id';
CREATE FUNCTION write_and_read(int, text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    UPDATE page SET title = $2 WHERE id = $1;
    RETURN (SELECT title FROM with_author WHERE id = $1);
END $$;
BEGIN;
SELECT * FROM explained('SELECT write(5, ''by a function'')');
SELECT * FROM explained('SELECT write_and_read(5, ''twice'')');
SELECT * FROM explained('SELECT write(id, ''each'') FROM generate_series(1, 3) id');
SELECT title FROM with_author WHERE id IN (1, 5) ORDER BY id;
-- EXPLAIN inside of a statement that is explained
SELECT * FROM explained('SELECT count(*) FROM explain_analyze.explained(''UPDATE page SET title = 3 WHERE id = 4'')');
ROLLBACK;

-- what was pending before is not shown
BEGIN;
UPDATE author SET name = 'renamed' WHERE id = 1;
SELECT * FROM explained('UPDATE page SET title = ''alone'' WHERE id = 6');
SELECT name FROM with_author WHERE id = 50;
UPDATE author SET name = 'again' WHERE id = 1;
SELECT * FROM explained('SELECT name FROM with_author WHERE id = 50');
ROLLBACK;
-- while TVIEWs are suspended nothing is flushed
BEGIN;
SELECT pg_tviews_suspend_triggers();
SELECT * FROM explained('UPDATE page SET title = ''later'' WHERE id = 6');
SELECT count(*) FROM tviews.pending();
COMMIT;
SELECT title FROM with_author WHERE id = 6;

-- formats
CREATE FUNCTION output(format text, statement text, timing text DEFAULT 'OFF') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    whole text := '';
BEGIN
    FOR line IN EXECUTE format('EXPLAIN (ANALYZE, COSTS OFF, SUMMARY OFF, BUFFERS OFF, TIMING %s, FORMAT %s) %s', timing, format, statement) LOOP
        whole := whole || line || E'\n';
    END LOOP;
    RETURN whole;
END $$;
BEGIN;
SELECT jsonb_pretty(output('json', 'UPDATE page SET author = 2 WHERE id = 9')::jsonb #> '{0,Flushes}');
SELECT jsonb_path_query_array(output('json', 'UPDATE page SET author = 3 WHERE id = 9', 'ON')::jsonb, '$[0].Flushes[0].keyvalue().key');
SELECT output('json', 'UPDATE page SET author = 4 WHERE id = -9')::jsonb -> 0 ? 'Flushes' AS any;
SELECT substring(output('xml', 'UPDATE page SET author = 4 WHERE id = 9') FROM '<Flushes>.*</Flush>');
SELECT substr(y, strpos(y, 'Flushes:')) FROM output('yaml', 'UPDATE page SET author = 5 WHERE id = 9') y;
SELECT regexp_replace(line, '=\d+\.\d{3}', '=…', 'g')
  FROM string_to_table(output('text', 'UPDATE page SET author = 6 WHERE id = 9', 'ON'), E'\n') line WHERE line ~ '^(Flush|  [A-Z][a-z]+: )';
ROLLBACK;

-- names that have to be quoted, in all formats
CREATE TABLE "Tab <&> """ (id int PRIMARY KEY);
CREATE TVIEW "View <&> "": " AS SELECT id FROM "Tab <&> """;
SELECT * FROM explained('INSERT INTO "Tab <&> """ VALUES (1)');
SELECT output('json', 'INSERT INTO "Tab <&> """ VALUES (2)')::jsonb #> '{0,Flushes,0,TVIEW}';
SELECT substring(output('xml', 'INSERT INTO "Tab <&> """ VALUES (3)') FROM '<TVIEW>.*</TVIEW>');
DROP MATERIALIZED VIEW "View <&> "": ";

-- savepoints, exceptions, other transactions
BEGIN;
SAVEPOINT s;
SELECT * FROM explained('UPDATE page SET title = ''s'' WHERE id = 10');
ROLLBACK TO s;
SELECT title FROM with_author WHERE id = 10;
DO $$ BEGIN
    PERFORM explain_analyze.explained('UPDATE page SET title = ''e'' WHERE id = 10');
    RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN NULL;
END $$;
SELECT title FROM with_author WHERE id = 10;
SELECT * FROM explained('UPDATE page SET title = ''t'' WHERE id = 10');
COMMIT;
SELECT title FROM with_author WHERE id = 10;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM explained('UPDATE page SET title = ''rr'' WHERE id = 11');
SELECT * FROM explained('UPDATE page SET title = ''rr2'' WHERE id = 11');
COMMIT;
BEGIN READ ONLY;
SELECT * FROM explained('SELECT * FROM with_author WHERE id = 11');
SELECT * FROM explained('UPDATE page SET title = ''ro'' WHERE id = 11');
ROLLBACK;
BEGIN;
UPDATE page SET title = 'before' WHERE id = 11;
SET TRANSACTION READ ONLY;
SELECT * FROM explained('SELECT * FROM with_author WHERE id = 11');
COMMIT;

-- errors of the flush are errors of EXPLAIN
CREATE TABLE divisor (id int PRIMARY KEY, d int NOT NULL);
CREATE TVIEW quotient AS SELECT id, 1 / d AS q FROM divisor;
EXPLAIN ANALYZE INSERT INTO divisor VALUES (1, 0);
DO $$ BEGIN
    EXECUTE 'EXPLAIN ANALYZE INSERT INTO divisor VALUES (1, 0)';
EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught: %', sqlerrm;
END $$;
SELECT * FROM explained('INSERT INTO divisor VALUES (1, 1)');
-- in the middle: an EXPLAIN that ended in an error leaves nothing
CREATE FUNCTION caught() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    BEGIN
        PERFORM explain_analyze.explained('INSERT INTO explain_analyze.divisor VALUES (2, 0)');
    EXCEPTION WHEN division_by_zero THEN NULL;
    END;
    INSERT INTO explain_analyze.divisor VALUES (3, 3);
END $$;
SELECT * FROM explained('SELECT explain_analyze.caught()');
SELECT * FROM quotient ORDER BY id;

-- rules: each statement that they make has its own flush
CREATE TABLE log (id int);
CREATE TVIEW logged AS SELECT id, count(*) AS n FROM log GROUP BY id;
CREATE RULE r AS ON INSERT TO divisor DO ALSO INSERT INTO log VALUES (new.id);
SELECT * FROM explained('INSERT INTO divisor VALUES (7, 7)');
-- a statement that makes a table is not one that writes to others: its flush is at commit
SELECT * FROM explained('CREATE TABLE made AS SELECT write(12, ''made'')');
SELECT title FROM with_author WHERE id = 12;

-- rights: a writer who may not read the TVIEW learns the time
CREATE ROLE explain_analyze_writer;
GRANT USAGE ON SCHEMA explain_analyze TO explain_analyze_writer;
GRANT SELECT, UPDATE ON page TO explain_analyze_writer;
GRANT SELECT ON by_count TO explain_analyze_writer;
SET ROLE explain_analyze_writer;
BEGIN;
SELECT * FROM explained('UPDATE page SET author = 9 WHERE id = 13');
SELECT jsonb_path_query_array(output('json', 'UPDATE page SET author = 10 WHERE id = 13', 'ON')::jsonb, '$[0].Flushes[*].keyvalue().key');
ROLLBACK;
RESET ROLE;

SELECT bool_and(ok) FROM tviews.verify_all();
SET client_min_messages = warning;
DROP SCHEMA explain_analyze CASCADE;
DROP ROLE explain_analyze_writer;
