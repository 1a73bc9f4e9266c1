-- TABLESPACE of a TVIEW, and of its stages.
CREATE SCHEMA tablespaces;
SET search_path = tablespaces, public;
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE tviews_a LOCATION '';
CREATE TABLESPACE tviews_b LOCATION '';
CREATE TABLE t (id int PRIMARY KEY, g int, v int);
INSERT INTO t SELECT i, i % 3, i FROM generate_series(1, 30) i;
CREATE TVIEW staged TABLESPACE tviews_a AS SELECT n, count(*) AS c FROM (SELECT g, count(DISTINCT v) AS n FROM t GROUP BY g HAVING count(*) > 1) x GROUP BY n;
CREATE TVIEW plain TABLESPACE tviews_a AS SELECT id, v FROM t;
CREATE VIEW places AS
  WITH RECURSIVE below AS (SELECT 'staged'::regclass::oid AS oid UNION SELECT s.stage FROM tviews.stage s JOIN below b ON s.tview = b.oid)
  SELECT CASE WHEN c.relname ~ '^\d' THEN 'stage' ELSE c.relname END AS name, coalesce(s.spcname, 'default') AS place
  FROM pg_class c LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
  WHERE c.relkind = 'm' AND (c.relnamespace = 'tablespaces'::regnamespace OR c.oid IN (SELECT oid FROM below)) ORDER BY 1, 2;
TABLE places;
INSERT INTO t VALUES (31, 1, 31);
ALTER TVIEW staged SET TABLESPACE tviews_b;
ALTER TVIEW plain SET TABLESPACE pg_default;
TABLE places;
INSERT INTO t VALUES (32, 1, 32);
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('staged', 'plain');
SELECT tviews.rebuild('staged');
REFRESH TVIEW staged WITH NO DATA;
REFRESH TVIEW staged;
CREATE OR REPLACE TVIEW staged AS SELECT n, count(*) AS c FROM (SELECT g, count(DISTINCT v) AS n FROM t GROUP BY g HAVING count(*) > 2) x GROUP BY n;
INSERT INTO t VALUES (33, 1, 33);
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('staged', 'plain');
TABLE places;
SET default_tablespace = tviews_a;
CREATE TVIEW by_default AS SELECT id FROM t;
RESET default_tablespace;
ALTER MATERIALIZED VIEW ALL IN TABLESPACE tviews_b SET TABLESPACE tviews_a;
TABLE places;
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('staged', 'plain', 'by_default');

-- CREATE OR REPLACE: the tablespace that it names, or the one that there was
CREATE OR REPLACE TVIEW staged TABLESPACE tviews_b AS SELECT n, count(*) AS c FROM (SELECT g, count(DISTINCT v) AS n FROM t GROUP BY g HAVING count(*) > 1) x GROUP BY n;
CREATE OR REPLACE TVIEW plain TABLESPACE tviews_a AS SELECT id, v FROM t WHERE id > 2;
CREATE OR REPLACE LOGGED TVIEW by_default TABLESPACE pg_default AS SELECT id FROM t;
TABLE places;
CREATE OR REPLACE TVIEW plain AS SELECT id, v FROM t WHERE id > 1;
CREATE OR REPLACE TVIEW by_default TABLESPACE tviews_b AS SELECT id FROM t WHERE id > 3 WITH NO DATA;
CREATE OR REPLACE TVIEW plain TABLESPACE tviews_nowhere AS SELECT id, v FROM t;
CREATE ROLE tablespaces_guest;
GRANT USAGE, CREATE ON SCHEMA tablespaces TO tablespaces_guest;
GRANT ALL ON t TO tablespaces_guest;
SET ROLE tablespaces_guest;
CREATE TVIEW of_guest AS SELECT id FROM t;
CREATE OR REPLACE TVIEW of_guest TABLESPACE tviews_b AS SELECT id FROM t;
RESET ROLE;
INSERT INTO t VALUES (34, 1, 34);
TABLE places;
REFRESH TVIEW by_default;
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('staged', 'plain', 'by_default', 'of_guest');

SET client_min_messages = warning;
DROP SCHEMA tablespaces CASCADE;
DROP TABLESPACE tviews_a;
DROP TABLESPACE tviews_b;
DROP ROLE tablespaces_guest;
