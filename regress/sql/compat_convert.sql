-- The interface of pg_tviews: tables that were filled by hand become TVIEWs. The scripts of the guides, as they are.
CREATE SCHEMA compat_convert;
SET search_path = compat_convert, public;
CREATE ROLE compat_owner;
CREATE ROLE compat_reader;

-- schema/01_base_tables.sql
CREATE TABLE tb_user (
    pk_user BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id UUID NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    email TEXT NOT NULL,
    name TEXT NOT NULL
);
CREATE TABLE tb_post (
    pk_post BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id UUID NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    fk_user BIGINT NOT NULL REFERENCES tb_user(pk_user),
    title TEXT NOT NULL,
    content TEXT NOT NULL
);
CREATE TABLE tb_comment (
    pk_comment BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id UUID NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    fk_post BIGINT NOT NULL REFERENCES tb_post(pk_post),
    fk_user BIGINT NOT NULL REFERENCES tb_user(pk_user),
    text TEXT NOT NULL
);
-- schema/02_materialized_views.sql
CREATE TABLE tv_user (pk_user BIGINT PRIMARY KEY, data JSONB NOT NULL, created_at TIMESTAMP DEFAULT NOW(), updated_at TIMESTAMP DEFAULT NOW());
CREATE TABLE tv_post (pk_post BIGINT PRIMARY KEY, data JSONB NOT NULL, created_at TIMESTAMP DEFAULT NOW(), updated_at TIMESTAMP DEFAULT NOW());
CREATE TABLE tv_comment (pk_comment BIGINT PRIMARY KEY, data JSONB NOT NULL, created_at TIMESTAMP DEFAULT NOW(), updated_at TIMESTAMP DEFAULT NOW());
CREATE TABLE tv_alone (a int);

SELECT entity, base_table, backing_view FROM pg_tviews_auto_convert_plan('compat_convert') ORDER BY entity;
SELECT select_sql FROM pg_tviews_auto_convert_plan('compat_convert') WHERE entity = 'post';
SELECT entity, status, message FROM pg_tviews_auto_convert('compat_convert') ORDER BY entity;
SELECT entity_name, tview_oid::regclass FROM pg_tview_meta WHERE schema_name = 'compat_convert' ORDER BY entity_name;
SELECT entity, status, message FROM pg_tviews_auto_convert('compat_convert') ORDER BY entity;
SELECT * FROM pg_tviews_auto_convert_plan('compat_convert');
\d tv_post
-- schema/03_tview_metadata.sql
UPDATE pg_tview_meta
SET fk_columns = '{fk_user}'::TEXT[]
WHERE entity_name = 'post';
-- schema/04_backing_views.sql
DROP VIEW IF EXISTS v_post;
CREATE VIEW v_post AS
SELECT
    pk_post,
    id,
    fk_user,
    title,
    content
FROM tb_post;
SELECT pg_tviews_create('post', $$
    SELECT
        pk_post,
        jsonb_build_object(
            'id', id,
            'title', title,
            'content', content,
            'fk_user', fk_user
        ) AS data
    FROM tb_post
$$);
-- schema/03_seed_data.sql, checks
INSERT INTO tb_user (email, name) VALUES ('alice@example.com', 'Alice');
INSERT INTO tb_post (fk_user, title, content) VALUES (1, 'On engines', 'They turn.');
INSERT INTO tb_comment (fk_post, fk_user, text) VALUES (1, 1, 'They do.');
SELECT pk_user, data - 'id' AS data FROM tv_user;
SELECT pk_post, data - 'id' AS data FROM tv_post;
SELECT pk_comment, data - 'id' AS data FROM tv_comment;
SELECT * FROM pg_tview_queue LIMIT 5;
SELECT * FROM oracle();
SELECT pg_tviews_create('post', 'SELECT pk_post, * FROM tb_post');
DROP MATERIALIZED VIEW tv_user, tv_post, tv_comment;
DROP VIEW v_post;
DROP TABLE tv_alone;

-- Rows, with and without a view; what belongs to a table; another owner.
INSERT INTO tb_user (email, name) SELECT n || '@example.com', 'user ' || n FROM generate_series(2, 4) n;
CREATE TABLE tv_user (pk_user bigint PRIMARY KEY, email text, data jsonb NOT NULL);
INSERT INTO tv_user SELECT pk_user, email, to_jsonb(u) FROM tb_user u;
CREATE INDEX tv_user_email ON tv_user (lower(email));
ALTER TABLE tv_user SET (fillfactor = 60, autovacuum_enabled = off);
CREATE VIEW v_post AS SELECT p.pk_post, u.pk_user AS fk_user, jsonb_build_object('title', p.title, 'author', u.name) AS data FROM tb_post p JOIN tb_user u ON u.pk_user = p.fk_user;
CREATE UNLOGGED TABLE tv_post (pk_post int PRIMARY KEY, data json, likes int);
INSERT INTO tv_post VALUES (1, '{"title": "On engines", "author": "Alice"}', 7), (2, '{}', NULL);
CREATE INDEX tv_post_likes ON tv_post (likes);
GRANT SELECT ON tv_user, tv_post TO compat_reader WITH GRANT OPTION;
GRANT SELECT (pk_user) ON tv_user TO PUBLIC;
COMMENT ON TABLE tv_user IS 'people';
COMMENT ON COLUMN tv_user.data IS 'document';
COMMENT ON INDEX tv_user_email IS 'by address';
GRANT ALL ON tb_user, tb_post TO compat_owner;
GRANT CREATE, USAGE ON SCHEMA compat_convert TO compat_owner, compat_reader;
ALTER TABLE tv_user OWNER TO compat_owner;
CREATE TABLE tv_post_before (a int);
SELECT * FROM pg_tviews_auto_convert_plan('compat_convert');
SELECT entity, status, message FROM pg_tviews_auto_convert('compat_convert') ORDER BY entity;
TABLE tv_post;
TABLE tv_post_before_2;
\d tv_post_before_2
\d tv_user
SELECT a.grantee::regrole, a.privilege_type, a.is_grantable FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = 'tv_user'::regclass AND a.grantee <> c.relowner;
SELECT attname, attacl, col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = 'tv_user'::regclass AND attnum > 0 ORDER BY attnum;
SELECT relname, relpersistence, relowner::regrole, reloptions, obj_description(oid) FROM pg_class WHERE relnamespace = 'compat_convert'::regnamespace AND relname ~ '^tv_' ORDER BY 1;
UPDATE tb_user SET name = upper(name), email = upper(email);
SELECT email, data ->> 'name' AS name FROM tv_user WHERE lower(email) = 'alice@example.com';
SELECT * FROM oracle();
SELECT relname FROM pg_class WHERE relnamespace = 'compat_convert'::regnamespace AND relname ~ 'before' ORDER BY 1;
DROP MATERIALIZED VIEW tv_user, tv_post;
DROP TABLE tv_post_before, tv_post_before_2;
DROP VIEW v_post;

-- Equal rows in other types; rows that differ by number only; many columns; odd names.
CREATE TABLE tv_user (pk_user int, data json);
INSERT INTO tv_user SELECT pk_user, to_jsonb(u) FROM tb_user u;
CREATE TABLE tv_post (pk_post numeric);
INSERT INTO tv_post VALUES (1), (1);
DO $$ BEGIN
    EXECUTE format('CREATE TABLE "tb_Wide one" (%s)', (SELECT string_agg(format('"c''%s" int DEFAULT %s', n, n), ', ') FROM generate_series(1, 120) n));
END $$;
ALTER TABLE "tb_Wide one" DROP COLUMN "c'3";
INSERT INTO "tb_Wide one" DEFAULT VALUES;
CREATE TABLE "tv_Wide one" (data jsonb, "c'7" int);
CREATE TABLE tb_point (pk_point int PRIMARY KEY, place point);
CREATE TABLE tv_point (pk_point int, place point);
INSERT INTO tb_point VALUES (1, '(1,2)');
INSERT INTO tv_point VALUES (1, '(1,2)');
SELECT * FROM pg_tviews_auto_convert('compat_convert');
SELECT data ->> 'c''120' AS c120, (SELECT count(*) FROM jsonb_object_keys(data)) AS keys, "c'7" FROM "tv_Wide one";
SELECT * FROM oracle();
SELECT relname FROM pg_class WHERE relnamespace = 'compat_convert'::regnamespace AND relname ~ 'before' ORDER BY 1;
DROP MATERIALIZED VIEW tv_user, tv_post, "tv_Wide one", tv_point;
DROP TABLE tv_post_before, tv_point_before;

-- Obstacles: each is reported, and nothing is changed.
CREATE TABLE tv_user (pk_user bigint PRIMARY KEY, data jsonb);
INSERT INTO tv_user VALUES (1, '{}');
CREATE VIEW reader AS SELECT * FROM tv_user;
SELECT * FROM pg_tviews_auto_convert('compat_convert');
\set SHOW_CONTEXT never
SELECT pg_tviews_convert_existing_table('user'); \echo :SQLSTATE
DROP VIEW reader;
ALTER TABLE tv_user ENABLE ROW LEVEL SECURITY;
SELECT pg_tviews_convert_existing_table('user'); \echo :SQLSTATE
ALTER TABLE tv_user DISABLE ROW LEVEL SECURITY;
CREATE TABLE child () INHERITS (tv_user);
SELECT pg_tviews_convert_existing_table('user'); \echo :SQLSTATE
DROP TABLE child;
CREATE TABLE other (u bigint REFERENCES tv_user);
SELECT pg_tviews_convert_existing_table('compat_convert.tv_user'); \echo :SQLSTATE
DROP TABLE other;
CREATE VIEW v_user AS SELECT pk_user, random() AS data FROM tb_user;
SELECT pg_tviews_convert_existing_table('tv_user'); \echo :SQLSTATE
DROP VIEW v_user;
SELECT pg_tviews_convert_existing_table('tb_user'); \echo :SQLSTATE
SELECT pg_tviews_convert_existing_table('nothing'); \echo :SQLSTATE
CREATE TABLE tv_nothing (a int);
SELECT pg_tviews_convert_existing_table('nothing'); \echo :SQLSTATE
CREATE TABLE tb_nothing (b int);
SELECT pg_tviews_convert_existing_table('nothing'); \echo :SQLSTATE
CREATE VIEW v_view AS SELECT 1 AS a;
SELECT pg_tviews_convert_existing_table('v_view'); \echo :SQLSTATE
SELECT * FROM pg_tviews_auto_convert('nosuch'); \echo :SQLSTATE
SELECT * FROM pg_tviews_auto_convert_plan('nosuch'); \echo :SQLSTATE
SET ROLE compat_reader;
SELECT pg_tviews_convert_existing_table('user'); \echo :SQLSTATE
RESET ROLE;
ALTER TABLE tv_user OWNER TO compat_reader;
SET ROLE compat_reader;
SELECT pg_tviews_convert_existing_table('user'); \echo :SQLSTATE
RESET ROLE;
-- the owner of the TVIEW would have to read the table
SELECT * FROM pg_tviews_auto_convert('compat_convert') WHERE entity = 'user';
TABLE tv_user;
GRANT SELECT, TRIGGER ON tb_user TO compat_reader;
SET ROLE compat_reader;
SELECT pg_tviews_convert_existing_table('user');
SELECT pg_tviews_convert_existing_table('user');
RESET ROLE;
SELECT tableowner, tablename FROM pg_tables WHERE tablename = 'tv_user_before';

-- Rolled back.
BEGIN;
CREATE TABLE tv_post (pk_post bigint);
SELECT pg_tviews_convert_existing_table('post');
ROLLBACK;
SELECT to_regclass('tv_post');

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA compat_convert CASCADE;
DROP ROLE compat_owner, compat_reader;
