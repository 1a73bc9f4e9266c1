-- The interface of pg_tviews: suspension.
CREATE SCHEMA compat_suspend;
SET search_path = compat_suspend, public;
CREATE TABLE tb_user (pk_user int PRIMARY KEY, name text NOT NULL);
CREATE TABLE tb_post (pk_post int PRIMARY KEY, fk_user int NOT NULL REFERENCES tb_user, title text NOT NULL);
INSERT INTO tb_user VALUES (1, 'Ada');
INSERT INTO tb_post VALUES (1, 1, 'On engines');
CREATE TVIEW tv_user AS SELECT pk_user, jsonb_build_object('name', name) AS data FROM tb_user;
CREATE TVIEW tv_post AS SELECT p.pk_post, jsonb_build_object('title', p.title, 'author', u.data) AS data FROM tb_post p JOIN tv_user u ON u.pk_user = p.fk_user;
CREATE TVIEW tv_posts AS SELECT fk_user, count(*) AS n FROM tb_post GROUP BY fk_user;
CREATE VIEW state AS SELECT pg_tviews_is_suspended(), pg_tviews_suspended_entities(), (SELECT count(*) FROM tviews.pending()) AS pending;

-- commit while suspended applies the changes
TABLE state;
BEGIN;
SELECT pg_tviews_suspend_triggers();
UPDATE tb_user SET name = 'Ada Lovelace';
TABLE state;
INSERT INTO tb_post VALUES (2, 1, 'On notes');
TABLE state;
COMMIT;
TABLE state;
TABLE tv_post ORDER BY 1;
SELECT * FROM oracle();

-- nested: the outermost resume applies
BEGIN;
SELECT pg_tviews_suspend_triggers();
SELECT pg_tviews_suspend_triggers();
DELETE FROM tb_post WHERE pk_post = 2;
SELECT pg_tviews_resume_triggers();
TABLE state;
SELECT pg_tviews_resume_triggers();
TABLE state;
SELECT pg_tviews_resume_triggers();
COMMIT;
SELECT * FROM oracle();

-- not suspended: changes wait for commit, and are no suspended entities
BEGIN;
INSERT INTO tb_post VALUES (2, 1, 'On notes');
TABLE state;
COMMIT;

-- reading applies what is pending for what is read; the suspension goes on
BEGIN;
SELECT pg_tviews_suspend_triggers();
UPDATE tb_user SET name = 'Ada';
UPDATE tb_post SET title = lower(title);
TABLE tv_user;
TABLE state;
SELECT r - 'duration_ms' FROM pg_tviews_refresh_all() r;
TABLE state;
UPDATE tb_user SET name = 'Ada King';
TABLE state;
ROLLBACK;
TABLE state;
SELECT * FROM oracle();

-- savepoints
BEGIN;
SAVEPOINT a;
SELECT pg_tviews_suspend_triggers();
SAVEPOINT b;
SELECT pg_tviews_suspend_triggers();
UPDATE tb_user SET name = 'A';
ROLLBACK TO b;
TABLE state;
UPDATE tb_user SET name = 'B';
SAVEPOINT c;
SELECT pg_tviews_resume_triggers();
TABLE state;
ROLLBACK TO c;
TABLE state;
RELEASE c;
SELECT pg_tviews_resume_triggers();
RELEASE b;
TABLE state;
SELECT pg_tviews_suspend_triggers();
ROLLBACK TO a;
TABLE state;
UPDATE tb_user SET name = 'C';
COMMIT;
TABLE tv_post ORDER BY 1;
SELECT * FROM oracle();
BEGIN;
SELECT pg_tviews_suspend_triggers();
DO $$ BEGIN
    PERFORM pg_tviews_resume_triggers();
    RAISE NOTICE 'resumed: %', NOT pg_tviews_is_suspended();
    PERFORM 1 / 0;
EXCEPTION WHEN division_by_zero THEN
    RAISE NOTICE 'suspended again: %', pg_tviews_is_suspended();
END $$;
COMMIT;

-- a single statement, and a function
SELECT pg_tviews_suspend_triggers();
TABLE state;
DO $$ BEGIN
    PERFORM pg_tviews_suspend_triggers();
    UPDATE tb_user SET name = 'D';
    RAISE NOTICE '%', pg_tviews_suspended_entities();
END $$;
TABLE tv_user;

-- DDL and TRUNCATE meanwhile
BEGIN;
SELECT pg_tviews_suspend_triggers();
UPDATE tb_user SET name = 'E';
ALTER TABLE tb_user ADD COLUMN extra int;
TABLE state;
UPDATE tb_user SET name = 'F', extra = 1;
TRUNCATE tb_post;
TABLE state;
COMMIT;
SELECT * FROM oracle();
TABLE tv_post;

-- a prepared transaction
BEGIN;
SELECT pg_tviews_suspend_triggers();
INSERT INTO tb_post VALUES (3, 1, 'On all');
PREPARE TRANSACTION 'compat_suspend';
TABLE state;
COMMIT PREPARED 'compat_suspend';
TABLE tv_posts;
SELECT * FROM oracle();

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA compat_suspend CASCADE;
