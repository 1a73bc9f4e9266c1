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

-- arrays of keys in both directions, the latest of each by DISTINCT ON, references to rows of several tables, slugs that move
CREATE TABLE tb_tag (pk_tag int PRIMARY KEY, id uuid NOT NULL UNIQUE, identifier text NOT NULL UNIQUE, label text);
CREATE TABLE tb_album (pk_album int PRIMARY KEY, id uuid NOT NULL UNIQUE, identifier text NOT NULL UNIQUE, fk_tags int[] NOT NULL);
CREATE TABLE tb_attachment (pk_attachment int PRIMARY KEY, id uuid NOT NULL UNIQUE, owner_type text NOT NULL, owner_id uuid NOT NULL, url text);
CREATE INDEX ON tb_attachment (owner_id, owner_type);
CREATE INDEX ON tb_album USING gin (fk_tags);
INSERT INTO tb_tag SELECT i, uuid_of(4, i), 'tag-' || i, 'Tag ' || i FROM generate_series(1, 9) i;
INSERT INTO tb_album SELECT i, uuid_of(5, i), 'album-' || i, ARRAY[i % 9 + 1, i % 4 + 1] FROM generate_series(1, 12) i;
INSERT INTO tb_attachment SELECT i, uuid_of(6, i), (ARRAY['user', 'post', 'album', 'none'])[i % 4 + 1], uuid_of((ARRAY[1, 2, 5, 9])[i % 4 + 1], i % 5 + 1), 'u' || i FROM generate_series(1, 30) i;
CREATE TVIEW tv_album AS
    SELECT a.pk_album, a.id, a.identifier, a.fk_tags,
           ARRAY(SELECT t.id FROM tb_tag t WHERE t.pk_tag = ANY (a.fk_tags) ORDER BY t.pk_tag) AS tag_ids,
           jsonb_build_object('id', a.id, 'slug', a.identifier,
               'tags', (SELECT jsonb_agg(jsonb_build_object('id', t.id, 'label', t.label) ORDER BY t.label) FROM tb_tag t WHERE t.pk_tag = ANY (a.fk_tags))) AS data
      FROM tb_album a;
CREATE TVIEW tv_latest_comment AS
    SELECT DISTINCT ON (c.fk_post) c.fk_post, c.id, jsonb_build_object('post', p.identifier, 'latest', c.data) AS data
      FROM tv_comment c JOIN tb_post p ON p.pk_post = c.fk_post ORDER BY c.fk_post, c.pk_comment DESC;
CREATE TVIEW tv_attachment AS
    SELECT a.pk_attachment, a.id, a.owner_type, a.owner_id,
           jsonb_build_object('id', a.id, 'url', a.url, 'owner', CASE a.owner_type WHEN 'user' THEN u.data WHEN 'post' THEN p.data WHEN 'album' THEN l.data END) AS data
      FROM tb_attachment a
      LEFT JOIN tv_user u ON a.owner_type = 'user' AND u.id = a.owner_id
      LEFT JOIN tv_post p ON a.owner_type = 'post' AND p.id = a.owner_id
      LEFT JOIN tv_album l ON a.owner_type = 'album' AND l.id = a.owner_id;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'documents' AND name IN ('tv_album', 'tv_latest_comment', 'tv_attachment') ORDER BY 1;
UPDATE tb_user SET name = 'Renamed again' WHERE pk_user = 2;
UPDATE tb_tag SET label = 'Zebra' WHERE pk_tag = 2;
UPDATE tb_album SET fk_tags = fk_tags || 3, identifier = 'moved-' || identifier WHERE pk_album IN (1, 4);
DELETE FROM tb_tag WHERE pk_tag = 3;
UPDATE tb_attachment SET owner_type = 'post', owner_id = uuid_of(2, 3) WHERE pk_attachment IN (3, 4);
UPDATE tb_attachment SET owner_id = uuid_of(9, 9) WHERE pk_attachment = 5;
INSERT INTO tb_comment VALUES (200, uuid_of(3, 200), 5, 2, 'latest');
DELETE FROM tb_comment WHERE pk_comment IN (SELECT max(pk_comment) FROM tb_comment WHERE fk_post IN (6, 7) GROUP BY fk_post);
UPDATE tb_post SET id = uuid_of(2, 1003), identifier = 'slug-3' WHERE pk_post = 3;
SELECT * FROM oracle();
SELECT data FROM tv_album WHERE identifier = 'moved-album-1';
SELECT data -> 'latest' -> 'author' ->> 'name' AS author FROM tv_latest_comment WHERE fk_post = 5;
SELECT owner_type, count(*), count(data -> 'owner' -> 'id') AS found FROM tv_attachment GROUP BY 1 ORDER BY 1;
DROP SCHEMA documents CASCADE;
