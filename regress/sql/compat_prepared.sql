-- The interface of pg_tviews: prepared transactions.
CREATE SCHEMA compat_prepared;
SET search_path = compat_prepared, public;
CREATE TABLE tb_user (pk_user int PRIMARY KEY, name text NOT NULL);
CREATE TABLE plain (a int);
INSERT INTO tb_user VALUES (1, 'Ada');
CREATE TVIEW tv_user AS SELECT pk_user, name FROM tb_user;
CREATE TVIEW tv_names AS SELECT n, count(*) AS times FROM (SELECT name, count(*) AS n FROM tb_user GROUP BY name) s GROUP BY n;
CREATE ROLE compat_preparer;
CREATE ROLE compat_stranger;
GRANT USAGE ON SCHEMA compat_prepared TO compat_preparer;
GRANT ALL ON tb_user TO compat_preparer;

BEGIN;
INSERT INTO tb_user VALUES (2, 'Alan');
PREPARE TRANSACTION 'compat one';
BEGIN;
INSERT INTO plain VALUES (1);
SELECT count(*) FROM tv_user;
PREPARE TRANSACTION 'compat plain';
SELECT gid, entities, owner = current_user AS mine, age > '0' AS old, prepared < clock_timestamp() AS before FROM pg_tviews_recover_prepared_transactions();
SELECT pg_tviews_commit_prepared('compat one');
TABLE tv_user ORDER BY 1;
SELECT pg_tviews_commit_prepared('compat plain');
TABLE plain;
BEGIN;
UPDATE tb_user SET name = upper(name);
PREPARE TRANSACTION 'compat two';
SELECT gid, entities FROM pg_tviews_recover_prepared_transactions();
SELECT pg_tviews_rollback_prepared('compat two');
SELECT gid, entities FROM pg_tviews_recover_prepared_transactions();
TABLE tv_user ORDER BY 1;
SELECT * FROM oracle();

-- inside of a transaction, which sees the result, and an error takes nothing back
BEGIN;
INSERT INTO tb_user VALUES (3, 'Grace');
PREPARE TRANSACTION 'compat three';
BEGIN;
SELECT pg_tviews_commit_prepared('compat three');
SELECT count(*) FROM tb_user;
ROLLBACK;
SELECT count(*) FROM tv_user;

-- errors come back as they are
\set SHOW_CONTEXT never
SELECT pg_tviews_commit_prepared('compat three'); \echo :SQLSTATE
SELECT pg_tviews_rollback_prepared(''); \echo :SQLSTATE
SELECT pg_tviews_rollback_prepared(repeat('x', 200)); \echo :SQLSTATE
SELECT pg_tviews_rollback_prepared(repeat('x', 199)); \echo :SQLSTATE
SELECT pg_tviews_commit_prepared(NULL) IS NULL AS nothing;

-- the rights of COMMIT PREPARED
SET ROLE compat_preparer;
BEGIN;
INSERT INTO tb_user VALUES (4, 'Edsger');
PREPARE TRANSACTION 'compat four';
SET ROLE compat_stranger;
SELECT gid, entities, owner FROM pg_tviews_recover_prepared_transactions();
SELECT pg_tviews_commit_prepared('compat four'); \echo :SQLSTATE
SELECT pg_tviews_rollback_prepared('compat four'); \echo :SQLSTATE
COMMIT PREPARED 'compat four'; \echo :SQLSTATE
SET ROLE compat_preparer;
SELECT pg_tviews_commit_prepared('compat four');
BEGIN;
DELETE FROM tb_user WHERE pk_user = 4;
PREPARE TRANSACTION 'compat five';
RESET ROLE;
SELECT pg_tviews_commit_prepared('compat five');
SELECT count(*) FROM tv_user;

-- another database
BEGIN;
INSERT INTO tb_user VALUES (5, 'Barbara');
PREPARE TRANSACTION 'compat six';
SELECT current_database() AS database \gset
\c postgres
CREATE EXTENSION IF NOT EXISTS pg_tviews;
SELECT gid FROM pg_tviews_recover_prepared_transactions();
SELECT pg_tviews_commit_prepared('compat six'); \echo :SQLSTATE
DROP EXTENSION pg_tviews;
\c :database
SET search_path = compat_prepared, public;
SELECT pg_tviews_commit_prepared('compat six');
SELECT * FROM oracle();
SELECT count(*) FROM pg_prepared_xacts WHERE gid LIKE 'compat%';

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA compat_prepared CASCADE;
DROP ROLE compat_preparer, compat_stranger;
