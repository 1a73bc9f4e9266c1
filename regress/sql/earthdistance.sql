-- An extension whose functions name each other without a schema. Skipped where the server lacks it.
SELECT NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'earthdistance') AS skip \gset
\if :skip
\echo skipped: this server has no earthdistance
\quit
\endif
CREATE SCHEMA earth;
SET search_path = earth, public;
CREATE TABLE t (id int PRIMARY KEY, x float8);
INSERT INTO t VALUES (1, 1), (2, 2);
-- earthdistance, as it was before its functions were written in the SQL standard's syntax
SET client_min_messages = warning;
CREATE EXTENSION cube SCHEMA earth;
CREATE EXTENSION earthdistance SCHEMA earth VERSION '1.1';
RESET client_min_messages;
CREATE TVIEW pos AS SELECT id, ll_to_earth(x, x) AS e FROM t;
CREATE TVIEW near AS SELECT a.id, b.id AS other FROM t a JOIN t b ON earth_box(ll_to_earth(a.x, a.x), 1e5) @> ll_to_earth(b.x, b.x);
ALTER FUNCTION ll_to_earth SET search_path = earth;
CREATE TVIEW pos AS SELECT id, ll_to_earth(x, x) AS e FROM t;
UPDATE t SET x = x + 1;
SELECT * FROM tviews.verify('pos');
-- it loses them
ALTER FUNCTION ll_to_earth RESET search_path;
UPDATE t SET x = x + 1;
SELECT * FROM tviews.verify('pos');
SET client_min_messages = warning;
DROP SCHEMA earth CASCADE;
