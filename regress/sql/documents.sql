-- Documents for applications: indexes that they are read by, documents in documents over several TVIEWs.
CREATE SCHEMA documents;
SET search_path = documents, public;
CREATE TABLE tb_user (pk_user int PRIMARY KEY, id uuid NOT NULL UNIQUE, identifier text NOT NULL, name text NOT NULL);
CREATE TABLE tb_post (pk_post int PRIMARY KEY, id uuid NOT NULL UNIQUE, identifier text, fk_user int NOT NULL REFERENCES tb_user, title text NOT NULL);
CREATE TABLE tb_comment (pk_comment int PRIMARY KEY, id uuid NOT NULL UNIQUE, fk_post int NOT NULL REFERENCES tb_post, fk_user int NOT NULL REFERENCES tb_user, body text);
CREATE INDEX ON tb_post (fk_user);
CREATE INDEX ON tb_comment (fk_post);
CREATE INDEX ON tb_comment (fk_user);
CREATE FUNCTION uuid_of(kind int, i int) RETURNS uuid IMMUTABLE LANGUAGE sql RETURN format('00000000-0000-0000-%s-%s', lpad(kind::text, 4, '0'), lpad(i::text, 12, '0'))::uuid;
INSERT INTO tb_user SELECT i, uuid_of(1, i), 'user-' || i, 'User ' || i FROM generate_series(1, 5) i;
INSERT INTO tb_post SELECT i, uuid_of(2, i), 'post-' || i, i % 5 + 1, 'Post ' || i FROM generate_series(1, 20) i;
INSERT INTO tb_comment SELECT i, uuid_of(3, i), i % 20 + 1, i % 4 + 1, 'Comment ' || i FROM generate_series(1, 60) i;
CREATE TVIEW tv_user AS SELECT pk_user, id, identifier, jsonb_build_object('id', id, 'identifier', identifier, 'name', name) AS data FROM tb_user;
CREATE TVIEW tv_comment AS
    SELECT c.pk_comment, c.id, c.fk_post, c.fk_user, jsonb_build_object('id', c.id, 'body', c.body, 'author', u.data) AS data
      FROM tb_comment c JOIN tv_user u ON u.pk_user = c.fk_user;
CREATE TVIEW tv_post AS
    SELECT p.pk_post, p.id, p.identifier, p.fk_user,
           jsonb_build_object('id', p.id, 'title', p.title, 'author', u.data, 'comments',
               COALESCE((SELECT jsonb_agg(c.data ORDER BY c.pk_comment) FROM tv_comment c WHERE c.fk_post = p.pk_post), '[]')) AS data
      FROM tb_post p JOIN tv_user u ON u.pk_user = p.fk_user;
CREATE TVIEW tv_feed AS
    SELECT u.pk_user, u.id, jsonb_build_object('user', u.data, 'posts', (SELECT jsonb_agg(p.data ORDER BY p.pk_post) FROM tv_post p WHERE p.fk_user = u.pk_user)) AS data
      FROM tv_user u;
SELECT tablename, replace(indexdef, 'documents.', '') FROM pg_indexes WHERE schemaname = 'documents' AND tablename LIKE 'tv\_%' ORDER BY 1, 2;
SELECT v, line FROM (VALUES ('tv_user'), ('tv_comment'), ('tv_post'), ('tv_feed')) x(v), tviews.explain(v::regclass) line WHERE line LIKE '  key:%' OR line LIKE '  read by:%';
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT data FROM tv_post WHERE identifier = 'post-7';
EXPLAIN (COSTS OFF) SELECT data FROM tv_post WHERE fk_user = 3;
RESET enable_seqscan;
RESET enable_bitmapscan;

-- a name at the bottom is in every document above, each of which is written once
SELECT pg_stat_force_next_flush();
CREATE TEMP TABLE before AS SELECT tview::text, rows_updated, full_recomputes FROM tviews.stat WHERE tview::text LIKE 'tv\_%';
UPDATE tb_user SET name = 'Renamed' WHERE pk_user = 2;
SELECT s.tview, s.rows_updated - b.rows_updated AS written, s.full_recomputes - b.full_recomputes AS in_full
  FROM tviews.stat s JOIN before b ON b.tview = s.tview::text ORDER BY 1;
SELECT (SELECT count(*) FROM tv_comment WHERE data @> '{"author": {"name": "Renamed"}}') AS comments,
       (SELECT count(*) FROM tv_post WHERE data::text LIKE '%Renamed%') AS posts, (SELECT count(*) FROM tv_feed WHERE data::text LIKE '%Renamed%') AS feeds;
INSERT INTO tb_comment VALUES (100, uuid_of(3, 100), 1, 2, 'late');
DELETE FROM tb_comment WHERE pk_comment IN (1, 21);
UPDATE tb_comment SET fk_post = 3 WHERE pk_comment = 2;
DELETE FROM tb_comment WHERE fk_post = 20;
DELETE FROM tb_post WHERE pk_post = 20;
SELECT data -> 'comments' FROM tv_post WHERE pk_post = 2;
SELECT * FROM oracle();

-- values of any length, and indexes that are there already
UPDATE tb_post SET identifier = repeat('x', 100000) WHERE pk_post = 4;
SELECT pk_post FROM tv_post WHERE identifier = repeat('x', 100000);
-- switched off, on, off from the beginning
ALTER TVIEW tv_post SET (document_indexes = off);
SELECT replace(indexdef, 'documents.', '') FROM pg_indexes WHERE schemaname = 'documents' AND tablename = 'tv_post' ORDER BY 1;
CREATE INDEX own ON tv_post (fk_user, pk_post);
ALTER TVIEW tv_post RESET (document_indexes);
SELECT replace(indexdef, 'documents.', '') FROM pg_indexes WHERE schemaname = 'documents' AND tablename = 'tv_post' ORDER BY 1;
CREATE TVIEW tv_few WITH (document_indexes = off) AS SELECT pk_post, id, to_jsonb(title) AS data FROM tb_post;
CREATE TVIEW no_documents AS SELECT pk_post, id, fk_user FROM tb_post;
CREATE TVIEW wanted WITH (document_indexes) AS SELECT pk_post, id, fk_user FROM tb_post;
SELECT replace(indexdef, 'documents.', '') FROM pg_indexes WHERE schemaname = 'documents' AND tablename IN ('tv_few', 'no_documents', 'wanted') ORDER BY 1;
SELECT * FROM oracle();
DROP SCHEMA documents CASCADE;
