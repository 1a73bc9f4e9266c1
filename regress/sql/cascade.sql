-- TVIEWs that read TVIEWs, and views in between: one flush, in dependency order.
CREATE SCHEMA cascade_;
SET search_path = cascade_, public;
SET client_min_messages = warning;
CREATE TABLE author (id int PRIMARY KEY, name text);
CREATE TABLE book (id int PRIMARY KEY, author_id int, title text, price numeric);
INSERT INTO author VALUES (1, 'Ann'), (2, 'Bob');
INSERT INTO book VALUES (1, 1, 'A', 10), (2, 1, 'B', 20), (3, 2, 'C', 5);

CREATE TVIEW tv_book AS SELECT b.id, b.author_id, b.price, jsonb_build_object('title', b.title, 'author', a.name) AS doc FROM book b JOIN author a ON a.id = b.author_id;
CREATE VIEW cheap AS SELECT id, author_id, doc FROM tv_book WHERE price < 15;
CREATE TVIEW tv_cheap AS SELECT id, author_id, doc -> 'author' AS author FROM cheap;
CREATE TVIEW tv_author AS SELECT a.id, a.name, jsonb_agg(b.doc ORDER BY b.id) AS books, count(b.id) AS n FROM author a LEFT JOIN tv_book b ON b.author_id = a.id GROUP BY a.id;
CREATE TVIEW tv_diamond AS SELECT a.id, a.n, count(c.id) AS cheap FROM tv_author a LEFT JOIN tv_cheap c ON c.author_id = a.id GROUP BY a.id, a.n;
CREATE TVIEW tv_top AS SELECT id, n FROM tv_diamond ORDER BY n DESC, id LIMIT 1;
CREATE TVIEW tv_and_base AS SELECT b.id, b.title, v.doc FROM book b JOIN tv_book v USING (id);
CREATE TVIEW tv_totals AS SELECT sum(n) AS n, sum(cheap) AS cheap FROM tv_diamond;
SELECT name, strategies, base_tables FROM tviews.tviews WHERE schema = 'cascade_' ORDER BY 1;
SELECT * FROM oracle();

INSERT INTO book VALUES (4, 2, 'D', 12);
SELECT * FROM oracle();
UPDATE author SET name = 'Bea' WHERE id = 2;
SELECT * FROM oracle();
TABLE tv_author ORDER BY id;
UPDATE book SET price = 100 WHERE id = 1;
SELECT * FROM oracle();
BEGIN;
UPDATE book SET author_id = 3, title = 'moved' WHERE id IN (2, 3);
INSERT INTO author VALUES (3, 'Cid');
DELETE FROM author WHERE id = 1;
SELECT * FROM oracle();
UPDATE author SET id = 4 WHERE id = 3;
COMMIT;
SELECT * FROM oracle();
BEGIN;
UPDATE book SET author_id = 4;
SAVEPOINT a;
DELETE FROM book WHERE id < 3;
TABLE tv_totals;
ROLLBACK TO a;
TABLE tv_totals;
COMMIT;
SELECT * FROM oracle();
-- a change that stops half-way is not passed on
SELECT ctid AS place, xmin AS writer INTO TEMP was FROM tv_top;
UPDATE book SET title = title || '!' WHERE id = 1;
SELECT count(*) AS untouched FROM tv_top t JOIN was ON t.ctid = place AND t.xmin = writer;
SELECT * FROM oracle();
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE author SET name = 'Dan' WHERE id = 4;
INSERT INTO book VALUES (9, 4, 'I', 1);
SELECT * FROM oracle();
UPDATE book SET price = 50 WHERE id = 9;
SELECT * FROM oracle();
COMMIT;
SELECT * FROM oracle();
TRUNCATE book;
SELECT * FROM oracle();
INSERT INTO book VALUES (1, 2, 'A', 1);
SELECT * FROM oracle();

-- cycles are refused, also through a view; what replaces must not read itself
CREATE OR REPLACE TVIEW tv_book AS SELECT a.id, a.id AS author_id, 0::numeric AS price, a.books AS doc FROM tv_author a;
CREATE OR REPLACE TVIEW tv_book AS SELECT id, author_id, price, doc FROM tv_book;
CREATE OR REPLACE VIEW cheap AS SELECT id, id AS author_id, '{}'::jsonb AS doc FROM tv_top;
CREATE OR REPLACE VIEW cheap AS SELECT id, author_id, NULL::jsonb AS doc FROM tv_cheap;
\set VERBOSITY terse
SELECT * FROM oracle();
INSERT INTO book VALUES (2, 2, 'B', 2);
SELECT * FROM oracle();
-- the middle replaced: what reads it follows
CREATE OR REPLACE TVIEW tv_book AS SELECT b.id, b.author_id, b.price, '{}'::jsonb AS doc FROM book b;
SELECT * FROM oracle();
UPDATE book SET price = 30 WHERE id = 1;
SELECT * FROM oracle();
-- dropped with what reads it, or not at all
DROP TVIEW tv_book;
DROP TVIEW tv_diamond;
SET client_min_messages = notice;
DROP TVIEW tv_diamond CASCADE;
DROP TABLE book CASCADE;
SET client_min_messages = warning;
SELECT * FROM oracle();

-- fifty levels, every tenth a grouping
CREATE TABLE bottom (id int PRIMARY KEY, v int);
INSERT INTO bottom SELECT i, i % 10 FROM generate_series(1, 100) i;
DO $$ BEGIN
    FOR i IN 1..50 LOOP
        EXECUTE format(CASE WHEN i % 10 = 0 THEN 'CREATE TVIEW level_%s AS SELECT v AS id, count(*)::int AS v FROM %s GROUP BY v'
                            ELSE 'CREATE TVIEW level_%s AS SELECT id, v + 1 AS v FROM %s WHERE v < 1000' END,
                       i, CASE i WHEN 1 THEN 'bottom' ELSE 'level_' || i - 1 END);
    END LOOP;
END $$;
UPDATE bottom SET v = 3 WHERE id = 4;
DELETE FROM bottom WHERE id > 90;
SELECT * FROM oracle();
SELECT * FROM level_50;
SELECT count(*) AS levels, min(flushes) AS flushes FROM tviews.stat WHERE tview::text LIKE 'level\_%' AND flushes > 0;
DROP TABLE bottom CASCADE;

DROP SCHEMA cascade_ CASCADE;
