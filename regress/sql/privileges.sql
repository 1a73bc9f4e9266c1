-- Privileges: writers need nothing of a TVIEW or its other tables; maintenance runs as the owner; row security is the owner's.
CREATE SCHEMA priv;
SET search_path = priv, public;
SET client_min_messages = warning;
CREATE ROLE priv_owner;
CREATE ROLE priv_writer;
CREATE ROLE priv_other;
GRANT CREATE, USAGE ON SCHEMA priv TO priv_owner;
GRANT USAGE ON SCHEMA priv TO priv_writer, priv_other;
CREATE TABLE t (id int PRIMARY KEY, owner name, v int);
CREATE TABLE secret (id int PRIMARY KEY, word text);
INSERT INTO t VALUES (1, 'priv_owner', 1), (2, 'priv_other', 2);
INSERT INTO secret VALUES (1, 'one'), (2, 'two');

-- CREATE needs SELECT and TRIGGER on each table
SET ROLE priv_owner;
CREATE TVIEW v AS SELECT t.id, word FROM t JOIN secret USING (id);
RESET ROLE;
GRANT SELECT ON t, secret TO priv_owner;
SET ROLE priv_owner;
CREATE TVIEW v AS SELECT t.id, word FROM t JOIN secret USING (id);
RESET ROLE;
GRANT TRIGGER ON t TO priv_owner;
SET ROLE priv_owner;
CREATE TVIEW v AS SELECT t.id, word FROM t JOIN secret USING (id);
RESET ROLE;
GRANT TRIGGER ON secret TO priv_owner;
SET ROLE priv_owner;
CREATE TVIEW v AS SELECT t.id, t.v, word FROM t JOIN secret USING (id);
CREATE TVIEW g AS SELECT owner, count(*) AS n FROM t GROUP BY owner;
RESET ROLE;

-- a writer with rights on one base table only
GRANT INSERT, UPDATE, DELETE, SELECT ON t TO priv_writer;
SET ROLE priv_writer;
SELECT * FROM v;
INSERT INTO t VALUES (3, 'priv_other', 3);
UPDATE t SET v = 10 WHERE id = 1;
SELECT * FROM secret;
DROP TVIEW v;
ALTER TVIEW v SET LOGGED;
REFRESH TVIEW v;
SELECT tviews.rebuild('v');
SELECT * FROM tviews.verify('v');
CREATE OR REPLACE TVIEW v AS SELECT id, v, 'x'::text AS word FROM t;
RESET ROLE;
SELECT * FROM oracle();
-- the writer's settings and search_path do not matter
ALTER ROLE priv_writer SET search_path = pg_temp;
CREATE FUNCTION priv.shout(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT upper($1) || '!' $$;
SET ROLE priv_owner;
CREATE TVIEW f AS SELECT id, priv.shout(owner::text) AS s, ('2000-01-01'::timestamptz + v * '1 day'::interval)::text AS d FROM t;
SET ROLE priv_writer;
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'German';
SET search_path = pg_temp;
INSERT INTO priv.t VALUES (4, 'x', 4);
RESET search_path;
RESET ROLE;
SELECT count(DISTINCT right(d, 3)) AS one_time_zone FROM priv.f;
RESET TimeZone;
RESET DateStyle;
SET search_path = priv, public;
SELECT * FROM tviews.verify('f');
DROP TVIEW f;

-- owner changes, and the old owner loses his rights; then maintenance of the new owner fails the writer
ALTER TVIEW v OWNER TO priv_other;
INSERT INTO t VALUES (5, 'y', 5);
GRANT SELECT ON t, secret TO priv_other;
INSERT INTO t VALUES (5, 'y', 5);
SELECT * FROM oracle();
REVOKE SELECT ON secret FROM priv_other;
INSERT INTO t VALUES (6, 'y', 6);
SELECT count(*) FROM t WHERE id = 6;
GRANT SELECT ON secret TO priv_other;
INSERT INTO t VALUES (6, 'y', 6);
SELECT * FROM oracle();

-- row security: what the owner may see is in the TVIEW
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON t TO priv_owner, priv_writer USING (owner IN ('priv_owner', 'x'));
SET ROLE priv_owner;
SELECT * FROM oracle('g');
TABLE g ORDER BY 1;
SET ROLE priv_writer;
INSERT INTO t VALUES (7, 'x', 7);
UPDATE t SET v = v + 1;
SET ROLE priv_owner;
SELECT * FROM oracle('g');
RESET ROLE;
INSERT INTO t VALUES (8, 'nobody', 8);
UPDATE t SET owner = 'x' WHERE id = 2;
SET ROLE priv_owner;
SELECT * FROM oracle('g');
RESET ROLE;
ALTER POLICY mine ON t USING (v > 5);
SET ROLE priv_owner;
SELECT * FROM oracle('g');
RESET ROLE;
DROP POLICY mine ON t;
SET ROLE priv_owner;
SELECT * FROM oracle('g');
RESET ROLE;
ALTER TABLE t DISABLE ROW LEVEL SECURITY;
SELECT * FROM oracle('g');

-- OWNED BY
SET client_min_messages = error;
DROP OWNED BY priv_owner CASCADE;
SELECT name FROM tviews.tviews WHERE schema = 'priv';
REASSIGN OWNED BY priv_other TO CURRENT_USER;
INSERT INTO t VALUES (20, 'x', 20);
SELECT * FROM oracle();
DROP SCHEMA priv CASCADE;
DROP OWNED BY priv_owner, priv_writer, priv_other;
DROP ROLE priv_owner, priv_writer, priv_other;
