-- DROP EXTENSION leaves ordinary tables behind; the last test of the suite, for it removes the extension.
CREATE SCHEMA uninstall;
SET search_path = uninstall, public;
CREATE TABLE t (id int PRIMARY KEY, v int);
CREATE TABLE p (id int) PARTITION BY LIST (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TVIEW a AS SELECT id, v FROM t;
CREATE TVIEW b AS SELECT a.id, p.id AS pid FROM a LEFT JOIN p ON p.id = a.v;
CREATE VIEW over AS SELECT count(*) FROM b;
INSERT INTO t VALUES (1, 1);
DROP EXTENSION pg_tviews;
SET client_min_messages = warning;
DROP EXTENSION pg_tviews CASCADE;
SELECT relname FROM pg_class WHERE relnamespace = 'uninstall'::regnamespace AND relkind NOT IN ('i', 'I') ORDER BY 1;
SELECT count(*) AS triggers FROM pg_trigger WHERE NOT tgisinternal OR tgname LIKE 'tviews%';
SELECT count(*) AS schemas FROM pg_namespace WHERE nspname = 'tviews';
SELECT amname FROM pg_am WHERE amname = 'tview';
INSERT INTO t VALUES (2, 2);
INSERT INTO p VALUES (1);
UPDATE t SET v = 1;
DELETE FROM p1;
-- without the extension its words are unknown
CREATE TVIEW a AS SELECT id FROM t;
CREATE MATERIALIZED VIEW a WITH (incremental) AS SELECT id FROM t;
CREATE MATERIALIZED VIEW a USING tview AS SELECT id FROM t;
DROP TVIEW a;
CREATE TABLE tv_a AS SELECT id FROM t;
SELECT relkind FROM pg_class WHERE relname = 'tv_a';
-- and back
CREATE EXTENSION pg_tviews;
CREATE TVIEW a AS SELECT id, v FROM t;
UPDATE t SET v = 5;
SELECT * FROM oracle();
-- in one transaction, with changes pending
BEGIN;
UPDATE t SET v = 6;
DROP EXTENSION pg_tviews CASCADE;
UPDATE t SET v = 7;
ROLLBACK;
SELECT * FROM oracle();
UPDATE t SET v = 8;
SELECT * FROM oracle();
BEGIN;
UPDATE t SET v = 9;
DROP EXTENSION pg_tviews CASCADE;
COMMIT;
TABLE t ORDER BY id;
DROP SCHEMA uninstall CASCADE;
