-- The change feed: tviews.changes() inside the transaction. What listeners get is in regress/t/feed.py.
CREATE SCHEMA feed;
SET search_path = feed, public;
CREATE TABLE tb_user (pk_user int PRIMARY KEY, id uuid NOT NULL UNIQUE, name text NOT NULL);
CREATE TABLE tb_post (pk_post int PRIMARY KEY, id uuid NOT NULL UNIQUE, fk_user int NOT NULL REFERENCES tb_user, title text, score numeric);
INSERT INTO tb_user SELECT i, format('00000000-0000-0000-0000-%s', lpad(i::text, 12, '0'))::uuid, 'user ' || i FROM generate_series(1, 3) i;
INSERT INTO tb_post SELECT i, format('00000000-0000-0000-0001-%s', lpad(i::text, 12, '0'))::uuid, i % 3 + 1, 'post ' || i, i FROM generate_series(1, 6) i;
CREATE TVIEW tv_post WITH (notify) AS
    SELECT p.pk_post, p.id, jsonb_build_object('title', p.title, 'author', u.name) AS data FROM tb_post p JOIN tb_user u ON u.pk_user = p.fk_user;
CREATE TVIEW totals WITH (notify = on) AS SELECT fk_user, count(*) AS n, sum(score) > 100 AS big FROM tb_post GROUP BY fk_user;
CREATE TVIEW titles WITH (notify = true) AS SELECT title, fk_user FROM tb_post;
CREATE TVIEW silent AS SELECT pk_post, title FROM tb_post;
SELECT c.relname, c.reloptions FROM pg_class c WHERE relnamespace = 'feed'::regnamespace AND relkind = 'm' ORDER BY 1;

-- what has changed, with pending changes
BEGIN;
UPDATE tb_user SET name = 'renamed' WHERE pk_user = 1;
DELETE FROM tb_post WHERE pk_post = 1;
INSERT INTO tb_post VALUES (7, '00000000-0000-0000-0001-000000000007', 3, 'seventh', 7);
SELECT * FROM tviews.changes();
COMMIT;
-- nothing of another transaction
SELECT * FROM tviews.changes();
-- a value that no TVIEW shows, a group whose hidden state alone changes, a row written with its old contents
BEGIN;
UPDATE tb_post SET score = score + 1 WHERE pk_post = 2;
UPDATE tb_post SET title = title;
SELECT * FROM tviews.changes();
ROLLBACK;
-- there and back, over a flush
BEGIN;
UPDATE tb_post SET title = 'x' WHERE pk_post = 2;
SELECT op, key FROM tviews.changes() WHERE tview = 'tv_post'::regclass;
UPDATE tb_post SET title = 'post 2' WHERE pk_post = 2;
INSERT INTO tb_post VALUES (8, '00000000-0000-0000-0001-000000000008', 3, 'eighth', 8);
SELECT op, key FROM tviews.changes() WHERE tview = 'tv_post'::regclass;
DELETE FROM tb_post WHERE pk_post = 8;
SELECT op, key FROM tviews.changes() WHERE tview = 'tv_post'::regclass;
ROLLBACK;
-- savepoints and exception blocks
BEGIN;
UPDATE tb_post SET title = 'kept' WHERE pk_post = 3;
SAVEPOINT a;
UPDATE tb_post SET title = 'not kept' WHERE pk_post IN (3, 4);
SELECT op, key FROM tviews.changes() WHERE tview = 'tv_post'::regclass;
ROLLBACK TO a;
SELECT op, key FROM tviews.changes() WHERE tview = 'tv_post'::regclass;
SAVEPOINT b;
DELETE FROM tb_post WHERE pk_post = 5;
SELECT count(*) FROM tv_post;
RELEASE b;
SELECT op, key FROM tviews.changes() WHERE tview = 'tv_post'::regclass;
COMMIT;
-- more rows than are named; everything
SET pg_tviews.notify_keys = 2;
BEGIN;
UPDATE tb_post SET title = upper(title);
SELECT * FROM tviews.changes();
ROLLBACK;
RESET pg_tviews.notify_keys;
BEGIN;
TRUNCATE tb_post;
SELECT tview, op, count(key) FROM tviews.changes() GROUP BY 1, 2 ORDER BY 1, 2;
ROLLBACK;
-- what a user may not read is not shown
CREATE ROLE regress_feed;
GRANT USAGE ON SCHEMA feed TO regress_feed;
GRANT SELECT ON totals, tb_post TO regress_feed;
GRANT UPDATE ON tb_post TO regress_feed;
SET ROLE regress_feed;
BEGIN;
UPDATE tb_post SET fk_user = 2 WHERE pk_post = 3;
SELECT * FROM tviews.changes();
ROLLBACK;
RESET ROLE;
-- a prepared transaction cannot announce anything
BEGIN;
UPDATE tb_post SET title = 'prepared' WHERE pk_post = 3;
PREPARE TRANSACTION 'feed';
-- a row with another id: it goes by the old name, and comes by the new one
BEGIN;
UPDATE tb_post SET id = '00000000-0000-0000-0009-000000000003' WHERE pk_post = 3;
UPDATE tb_post SET id = '00000000-0000-0000-0009-000000000004' WHERE pk_post = 4;
SELECT op, key FROM tviews.changes() WHERE tview = 'tv_post'::regclass;
DELETE FROM tb_post WHERE pk_post = 4;
SELECT op, key FROM tviews.changes() WHERE tview = 'tv_post'::regclass;
ROLLBACK;
-- values of json that jsonb cannot have: messages have them, keys of this function do not
CREATE TABLE notes (pk int PRIMARY KEY, id json, n int);
CREATE TVIEW noted WITH (notify) AS SELECT pk, id, n FROM notes;
CREATE TVIEW counted WITH (notify) AS SELECT n, count(*) AS c FROM notes GROUP BY n;
BEGIN;
INSERT INTO notes VALUES (1, '"a"', 1), (2, '{"b": [1e4]}', 2);
SELECT tview, op, key FROM tviews.changes() ORDER BY tview::text, op, key;
ROLLBACK;
BEGIN;
INSERT INTO notes VALUES (1, '"a"', 1), (2, '"\u0000"', 2);
SELECT tview, op, key FROM tviews.changes() ORDER BY tview::text, op, key;
SAVEPOINT s;
DELETE FROM notes WHERE pk = 2;
SELECT tview, op, key FROM tviews.changes() ORDER BY tview::text, op, key;
ROLLBACK TO s;
INSERT INTO notes VALUES (3, '"c"', 1e5::int), (4, ('"' || repeat('9', 20) || '"')::json, 4), (5, ('1e' || repeat('9', 9))::json, 5);
SELECT tview, op, key FROM tviews.changes() ORDER BY tview::text, op, key;
COMMIT;
DROP TABLE notes CASCADE;
-- switched off
ALTER TVIEW titles SET (notify = off);
ALTER TVIEW totals RESET (notify);
ALTER TVIEW tv_post SET (notify = maybe);
BEGIN;
UPDATE tb_post SET title = 'x', fk_user = 1 WHERE pk_post = 3;
SELECT tview, op FROM tviews.changes();
ROLLBACK;

-- which TVIEWs are computed from which relations
CREATE TVIEW "odd ""#name" AS SELECT t.n, count(*) FROM totals t GROUP BY t.n;
SELECT line FROM regexp_split_to_table(tviews.graph(), E'\n') line WHERE line ~ 'feed|graph';
SELECT line FROM regexp_split_to_table(tviews.graph('dot'), E'\n') line WHERE line ~ 'feed|graph|rank|}';
SELECT e FROM jsonb_array_elements(tviews.graph('json')::jsonb -> 'edges') e WHERE e ->> 'to' LIKE 'feed.%' ORDER BY e ->> 'to', e ->> 'from';
SELECT tviews.graph('svg');

DROP OWNED BY regress_feed;
DROP ROLE regress_feed;
DROP SCHEMA feed CASCADE;
