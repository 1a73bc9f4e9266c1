-- Few changed rows are followed by nested loops over indexes, and by SQL where that is switched off: with the same result.
CREATE SCHEMA nested_loops;
SET search_path = nested_loops, public;
CREATE TABLE country (code text PRIMARY KEY, name text);
CREATE TABLE author (id int PRIMARY KEY, name varchar(20) NOT NULL, country text, v int);
CREATE TABLE post (id bigint PRIMARY KEY, author int, title text NOT NULL, score numeric(8, 2), kind int, tags text[]);
CREATE TABLE comment (post bigint, n int, body text, PRIMARY KEY (post, n));
CREATE INDEX ON post (author);
CREATE INDEX ON author (country);
INSERT INTO country VALUES ('de', 'Germany'), ('fr', 'France'), ('it', NULL);
INSERT INTO author SELECT i, 'author ' || i, (ARRAY['de', 'fr', 'it', 'xx', NULL])[i % 5 + 1], i FROM generate_series(1, 12) i;
INSERT INTO post SELECT i, i % 14, 'post ' || i, i / 3.0, i % 4, ARRAY[i::text] FROM generate_series(1, 60) i;
INSERT INTO comment SELECT i % 30 + 1, i, 'comment ' || i FROM generate_series(1, 90) i;
CREATE VIEW author_of AS SELECT a.id, a.name, upper(c.name) AS country FROM author a LEFT JOIN country c ON c.code = a.country;
CREATE TVIEW document AS
    SELECT p.id, jsonb_build_object('title', p.title, 'score', p.score, 'author', jsonb_build_object('id', a.id, 'name', a.name)) AS data
      FROM post p JOIN author a ON a.id = p.author;
CREATE TVIEW optional AS
    SELECT p.id, p.title, a.name, coalesce(a.v, -1) AS v FROM post p LEFT JOIN author a ON a.id = p.author AND a.v > 3 WHERE p.kind > 0;
CREATE TVIEW chain AS
    SELECT c.post, c.n, c.body || ' of ' || p.title AS text, a.name, k.name AS country
      FROM comment c JOIN post p ON p.id = c.post JOIN author a ON p.author = a.id LEFT JOIN country k ON k.code = a.country
     WHERE a.v < 11 AND (k.name IS NULL OR k.name <> 'France');
CREATE TVIEW over_view AS SELECT p.id, o.name, o.country, p.tags FROM post p, author_of o WHERE o.id = p.author AND p.score > 2;
CREATE TVIEW one AS SELECT id, title, CASE WHEN kind = 1 THEN 'one' ELSE kind::text END AS kind FROM post WHERE score IS NOT NULL;
CREATE TVIEW per_author AS SELECT author, count(*) AS n, sum(score) AS s, max(kind) AS m, count(*) FILTER (WHERE kind = 2) AS two FROM post GROUP BY author;
CREATE TVIEW per_country AS
    SELECT a.country, count(*) AS n, sum(p.score) AS s, avg(p.kind) AS k FROM post p JOIN author a ON a.id = p.author WHERE a.v <> 5 GROUP BY a.country;
CREATE TVIEW per_kind AS
    SELECT p.kind, a.v % 2 AS odd, sum(p.score + a.v) AS s, count(c.code) AS n FROM post p JOIN author a ON a.id = p.author LEFT JOIN country c ON c.code = a.country
     GROUP BY 1, 2;
CREATE TVIEW total AS SELECT count(*) AS n, sum(score) AS s FROM post;

-- where loops are run, and over which indexes
SELECT v, btrim(line) AS line FROM (VALUES ('document'), ('optional'), ('chain'), ('over_view'), ('one'), ('per_author'), ('per_country'), ('per_kind'), ('total')) x(v),
    tviews.explain(v::regclass) WITH ORDINALITY e(line, n) WHERE line ~ '^  \S+: (keyed|fold|delta|full)|few rows' ORDER BY v, n;

-- the same writes, by loops and by SQL
CREATE PROCEDURE writes(setting text) LANGUAGE plpgsql AS $$
DECLARE
    statement text;
    problems int;
BEGIN
    PERFORM set_config('pg_tviews.nested_loops', setting, false);
    FOREACH statement IN ARRAY ARRAY[
        'UPDATE post SET title = title || ''!'' WHERE id = 7',
        'UPDATE post SET author = 3 WHERE id = 8',
        'UPDATE post SET author = NULL WHERE id = 9',
        'UPDATE post SET author = 4, kind = 1 WHERE id IN (9, 10, 11)',
        'UPDATE post SET id = id + 1000 WHERE id = 12',
        'UPDATE post SET score = NULL WHERE id = 13',
        'UPDATE post SET score = 5 WHERE id = 13',
        'UPDATE post SET kind = 0 WHERE id = 14',
        'UPDATE post SET kind = 3 WHERE id = 14',
        'INSERT INTO post VALUES (100, 2, ''new'', 1.5, 2, NULL), (101, 99, ''nobody'', 2, 1, NULL)',
        'INSERT INTO author VALUES (99, ''late'', ''fr'', 4)',
        'UPDATE author SET name = ''renamed'' WHERE id = 2',
        'UPDATE author SET v = 2 WHERE id = 4',
        'UPDATE author SET v = 5 WHERE id = 6',
        'UPDATE author SET country = ''de'' WHERE id = 99',
        'UPDATE author SET id = 98 WHERE id = 99',
        'UPDATE author SET id = CASE id WHEN 1 THEN 2 ELSE 1 END WHERE id = 1',
        'DELETE FROM author WHERE id IN (7, 98)',
        'UPDATE country SET name = ''Italy'' WHERE code = ''it''',
        'UPDATE country SET code = ''yy'' WHERE code = ''it''',
        'UPDATE country SET code = ''it'' WHERE code = ''yy''',
        'DELETE FROM country WHERE code = ''de''',
        'INSERT INTO country VALUES (''de'', ''D'')',
        'INSERT INTO comment VALUES (7, 1000, ''x''), (8, 1000, NULL), (5000, 1, ''y'')',
        'UPDATE comment SET n = n + 500, post = 3 WHERE n = 17',
        'DELETE FROM comment WHERE post = 7',
        'DELETE FROM post WHERE id IN (100, 101, 1012, 20)',
        'UPDATE post SET title = ''a'' WHERE id = 21; UPDATE post SET title = ''b'', author = 5 WHERE id = 21; DELETE FROM post WHERE id = 22'
    ] LOOP
        BEGIN
            EXECUTE statement;
        EXCEPTION WHEN unique_violation THEN
            NULL;
        END;
        COMMIT;
        SELECT count(*) INTO problems FROM oracle();
        IF problems > 0 THEN
            RAISE WARNING '% rows differ after %', problems, statement;
        END IF;
    END LOOP;
END $$;
CREATE TABLE before AS SELECT 'author' AS t, to_jsonb(a) AS r FROM author a UNION ALL SELECT 'post', to_jsonb(p) FROM post p
    UNION ALL SELECT 'comment', to_jsonb(c) FROM comment c UNION ALL SELECT 'country', to_jsonb(k) FROM country k;
CALL writes('on');
TRUNCATE author, post, comment, country;
INSERT INTO author SELECT x.* FROM before, jsonb_populate_record(NULL::author, r) x WHERE t = 'author';
INSERT INTO post SELECT x.* FROM before, jsonb_populate_record(NULL::post, r) x WHERE t = 'post';
INSERT INTO comment SELECT x.* FROM before, jsonb_populate_record(NULL::comment, r) x WHERE t = 'comment';
INSERT INTO country SELECT x.* FROM before, jsonb_populate_record(NULL::country, r) x WHERE t = 'country';
CALL writes('off');
RESET pg_tviews.nested_loops;

-- savepoints, reads in the middle, REPEATABLE READ
BEGIN;
UPDATE post SET title = 'in' WHERE id = 30;
SAVEPOINT a;
UPDATE post SET title = 'out', author = 1 WHERE id = 30;
UPDATE author SET name = 'out' WHERE id = 2;
ROLLBACK TO a;
SAVEPOINT b;
UPDATE post SET title = title || '?', author = 6 WHERE id IN (30, 31);
RELEASE b;
SELECT * FROM oracle();
UPDATE post SET author = 8 WHERE id = 30;
SELECT data FROM document WHERE id = 30;
COMMIT;
SELECT * FROM oracle();
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE post SET title = 'rr', author = 1 WHERE id = 32;
SELECT data FROM document WHERE id = 32;
UPDATE author SET name = 'rr' WHERE id = 1;
COMMIT;
SELECT * FROM oracle();

-- more rows than a loop goes through
INSERT INTO post SELECT i, 11, 'many', 1, 1, NULL FROM generate_series(2000, 3999) i;
UPDATE author SET name = 'many' WHERE id = 11;
SELECT * FROM oracle();
-- errors of expressions are those of the query
CREATE TVIEW quotients AS SELECT id, 100 / (kind - 5) AS q FROM post;
UPDATE post SET kind = 5 WHERE id = 40;
SELECT * FROM oracle();
-- an index goes, a column is renamed, a function of the user's
UPDATE post SET kind = 2 WHERE id = 40;
DROP INDEX post_author_idx;
UPDATE author SET name = 'no index' WHERE id = 3;
CREATE INDEX ON post (author, kind);
ALTER TABLE post RENAME COLUMN title TO heading;
UPDATE author SET name = 'index' WHERE id = 3;
UPDATE post SET heading = 'heading' WHERE id = 41;
CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';
CREATE FUNCTION thrice(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 * 3; END';
CREATE TVIEW called AS SELECT id, twice(kind) AS two, thrice(kind) AS three FROM post;
CREATE TVIEW doubled AS SELECT id, twice(kind) AS two FROM post;
UPDATE post SET kind = 3 WHERE id = 41;
SELECT * FROM oracle();
-- the body of a function is replaced in a session that has run it
CREATE OR REPLACE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 4';
UPDATE post SET kind = 7 WHERE id = 41;
SELECT * FROM doubled WHERE id = 41;
SELECT * FROM oracle();

-- a row that comes, is followed inside of a statement that writes, and goes again
CREATE FUNCTION posts_of_one() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN (SELECT count(*) FROM one); END $$;
BEGIN;
INSERT INTO post VALUES (9001, 1, 'comes', 1, 1, NULL);
INSERT INTO post SELECT 10000 + posts_of_one(), 1, 'statement', 1, 1, NULL;
DELETE FROM post WHERE id = 9001;
SELECT * FROM one WHERE id = 9001;
COMMIT;
SELECT * FROM oracle();

-- each change once while a transaction keeps its snapshot, and once more at commit
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE post SET score = score + 1, heading = 'kept' WHERE id = 12;
SELECT * FROM oracle();
SAVEPOINT a;
INSERT INTO post VALUES (9002, 2, 'kept', 2, 2, NULL);
DELETE FROM post WHERE id IN (12, 13);
SELECT * FROM oracle();
ROLLBACK TO a;
SELECT * FROM oracle();
INSERT INTO post VALUES (9003, 3, 'kept', 3, 3, NULL);
SELECT id, kind FROM one WHERE id = 9003;
DELETE FROM post WHERE id = 9003;
SELECT id, kind FROM one WHERE id = 9003;
UPDATE author SET country = 'it', name = 'kept' WHERE id = 7;
SELECT * FROM oracle();
COMMIT;
SELECT * FROM oracle();

-- several tables in one transaction: rows that were joined to each other and are both gone, or both come
CREATE TVIEW placed AS SELECT p.id, p.kind, a.name, c.name AS country FROM post p JOIN author a ON a.id = p.author LEFT JOIN country c ON c.code = a.country;
CREATE PROCEDURE together(setting text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('pg_tviews.nested_loops', setting, true);
    DELETE FROM post WHERE id = 21;
    DELETE FROM author WHERE id = 7;
    PERFORM FROM placed;
    RAISE NOTICE 'gone: %', (SELECT count(*) FROM oracle());
    INSERT INTO author VALUES (7, 'new author', 'zz', 7);
    INSERT INTO post VALUES (21, 7, 'new post', 1, 1, NULL);
    INSERT INTO country VALUES ('zz', 'new country');
    PERFORM FROM placed;
    RAISE NOTICE 'come: %', (SELECT count(*) FROM oracle());
    UPDATE post SET author = 8, id = 9021 WHERE id = 21;
    UPDATE author SET country = 'de' WHERE id = 7;
    DELETE FROM country WHERE code = 'zz';
    PERFORM FROM placed;
    RAISE NOTICE 'moved: %, %', (SELECT count(*) FROM oracle()), (SELECT t FROM placed t WHERE id = 9021);
    UPDATE post SET id = 21, author = 7 WHERE id = 9021;
END $$;
CALL together('on');
CALL together('off');
SELECT * FROM oracle();

-- a row that comes and goes has two images: values are compressed or put elsewhere when it is stored
CREATE TABLE long (id int PRIMARY KEY, of int, d text);
CREATE TABLE of_long (id int PRIMARY KEY, long int);
CREATE INDEX ON of_long (long);
INSERT INTO of_long VALUES (1, 1), (2, 2);
CREATE TVIEW longs AS SELECT id, length(d) AS n, left(d, 5) AS d FROM long;
CREATE TVIEW of_longs AS SELECT o.id, length(l.d) AS n FROM of_long o JOIN long l ON l.id = o.long;
INSERT INTO long VALUES (2, 2, 'short');
BEGIN;
INSERT INTO long VALUES (1, 1, repeat('a', 3000)), (3, 3, (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) i));
UPDATE long SET d = repeat('b', 4000) WHERE id = 2;
DELETE FROM long WHERE id IN (1, 2, 3);
COMMIT;
SELECT * FROM longs;
SELECT * FROM of_longs;
BEGIN;
INSERT INTO long VALUES (1, 1, repeat('a', 3000));
UPDATE long SET d = repeat('c', 5000) WHERE id = 1;
SAVEPOINT a;
DELETE FROM long WHERE id = 1;
SELECT * FROM longs;
ROLLBACK TO a;
COMMIT;
SELECT * FROM longs;
SELECT * FROM oracle();

-- a condition of an outer join holds only where its optional row is there
CREATE TABLE c (id int PRIMARY KEY, tenant int, v text);
CREATE TABLE b (id int PRIMARY KEY, c int, k int, v text);
CREATE TABLE m (id int PRIMARY KEY, b int);
CREATE TABLE a (id int PRIMARY KEY, m int, b int, c int, k int, tenant int);
CREATE INDEX ON m (b);
CREATE INDEX ON a (m);
CREATE INDEX ON a (tenant);
CREATE INDEX ON a (b, k);
INSERT INTO c VALUES (1, 7, 'c');
INSERT INTO b VALUES (1, 1, 1, 'old'), (2, NULL, 2, 'old2');
INSERT INTO m VALUES (1, 1), (2, 2);
INSERT INTO a VALUES (1, 1, 1, 1, 2, 7), (2, 1, 1, 1, 1, 8), (3, 2, 2, NULL, 2, 8);
CREATE TVIEW half AS SELECT a.id, b.v AS b, c.v AS c FROM a JOIN b ON b.id = a.b LEFT JOIN c ON c.id = a.c AND b.k = a.k;
CREATE TVIEW tenants AS SELECT a.id, b.v AS b, c.v AS c FROM a JOIN m ON m.id = a.m JOIN b ON b.id = m.b LEFT JOIN c ON c.id = b.c AND c.tenant = a.tenant;
CREATE TVIEW chained AS SELECT a.id, b.v AS b, c.v AS c FROM a LEFT JOIN b ON b.id = a.b AND b.k = a.k LEFT JOIN c ON c.id = b.c;
UPDATE b SET v = 'new';
UPDATE c SET v = 'new c';
UPDATE b SET k = 3 - k;
SELECT * FROM oracle();
SELECT * FROM half ORDER BY id;
SELECT * FROM tenants ORDER BY id;
SELECT * FROM chained ORDER BY id;

-- only parts of rows: by a way that is not that of the query, with conditions on the way, with a third relation, NULLs, rows that the view does not have
CREATE TABLE maker (id int PRIMARY KEY, region int NOT NULL, name text, note text);
CREATE TABLE label (id int PRIMARY KEY, text text);
CREATE TABLE item (id int PRIMARY KEY, maker int, region int, label int, title text, price numeric, seen boolean);
CREATE INDEX ON item (region);
INSERT INTO maker VALUES (1, 7, 'm1', 'n1'), (2, 7, 'm2', NULL), (3, 8, 'm3', 'n3');
INSERT INTO label VALUES (1, 'l1'), (2, NULL);
INSERT INTO item SELECT i, i % 4 + 1, 7 + i % 2, nullif(i % 3, 0), 'i' || i, i / 2.0, i % 5 > 0 FROM generate_series(1, 20) i;
CREATE TVIEW item_document AS
    SELECT i.id, i.title, jsonb_build_object('title', i.title, 'price', i.price, 'label', l.text || '/' || m.name,
               'maker', jsonb_build_object('name', m.name, 'note', m.note, 'of', upper(m.name) || i.title)) AS data
      FROM item i JOIN maker m ON m.id = i.maker AND m.region = i.region LEFT JOIN label l ON l.id = i.label WHERE i.seen AND m.region > 6;
UPDATE maker SET name = name || '!' WHERE id = 1;
UPDATE maker SET note = CASE id WHEN 2 THEN 'n2' END;
UPDATE maker SET name = NULL WHERE id = 2;
UPDATE maker SET name = 'back', note = 'too' WHERE id = 2;
UPDATE maker SET region = 15 - region WHERE id = 3;
UPDATE label SET text = 'l2' WHERE id = 2;
UPDATE item SET title = title || '?' WHERE id < 12;
UPDATE item SET price = -price WHERE id = 6;
UPDATE item SET label = 2, title = 'both' WHERE id = 7;
UPDATE item SET seen = NOT seen, title = 'seen' WHERE id IN (9, 10);
BEGIN;
UPDATE item SET title = 'a' WHERE id = 13;
UPDATE maker SET name = 'b' WHERE id = 2;
COMMIT;
BEGIN;
UPDATE item SET title = 'c' WHERE id = 13;
SELECT title, data -> 'title' AS t, data #> '{maker,of}' AS o FROM item_document WHERE id IN (12, 13);
UPDATE maker SET name = 'd';
SELECT count(*) FROM item_document WHERE data #>> '{maker,name}' = 'd';
UPDATE maker SET name = 'e';
COMMIT;
SELECT * FROM oracle();
-- a part, and what is read for it: the maker is not looked up for a price
SELECT tviews.stat_reset();
UPDATE item SET price = 99 WHERE id = 14;
UPDATE maker SET name = 'f' WHERE id = 3;
SELECT rows_updated, rows_unchanged, dirty_keys, full_recomputes FROM tviews.stat WHERE tview = 'item_document'::regclass;
SELECT * FROM oracle();

-- settings are left alone where they do not matter; functions in an index run with the settings of maintenance
CREATE SCHEMA evil;
CREATE FUNCTION shout(x text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN upper(x) || current_setting('search_path'); END $$;
UPDATE item SET title = 'before the index' WHERE id = 14;
CREATE INDEX shouted ON item_document (shout(title));
SET search_path = evil, nested_loops, public;
UPDATE item SET title = 'under another path' WHERE id = 14;
UPDATE item SET title = 'and again' WHERE id = 16;
SET search_path = nested_loops, public;
SET enable_seqscan = off;
SELECT id FROM item_document WHERE shout(title) = 'AND AGAINevil, nested_loops, public';
SELECT id FROM item_document WHERE shout(title) = 'AND AGAINpg_catalog, pg_temp';
RESET enable_seqscan;
DROP INDEX shouted;
UPDATE item SET title = 'no index' WHERE id = 15;
SELECT * FROM oracle();

DROP SCHEMA evil;
DROP SCHEMA nested_loops CASCADE;
