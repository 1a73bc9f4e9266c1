-- Non-deterministic collations: equal values that are spelled differently. Skipped where the server has no ICU.
SELECT NOT EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu') AS skip \gset
\if :skip
\echo skipped: this server has no ICU
\quit
\endif
CREATE SCHEMA collations;
SET search_path = collations, public;
SET client_min_messages = warning;
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE word (id int PRIMARY KEY, w text COLLATE nocase, n int);
CREATE TABLE lookup (w text COLLATE nocase PRIMARY KEY, meaning text);
CREATE TVIEW grouped AS SELECT lower(w) AS l, count(*) AS n FROM word GROUP BY lower(w);
CREATE TVIEW counted AS SELECT min(id) AS first, count(*) AS n FROM word GROUP BY w;
CREATE TVIEW joined AS SELECT word.id, word.w, meaning FROM word JOIN lookup ON lookup.w = word.w;
CREATE TVIEW left_joined AS SELECT word.id, lookup.w, meaning FROM word LEFT JOIN lookup USING (w);
CREATE TVIEW looked_up AS SELECT w, meaning FROM lookup;
INSERT INTO lookup VALUES ('One', 'eins'), ('two', 'zwei');
INSERT INTO word VALUES (1, 'one', 1), (2, 'ONE', 2), (3, 'Two', 3), (4, NULL, 4);
SELECT * FROM oracle();
UPDATE word SET w = 'One' WHERE id = 1;
SELECT * FROM oracle();
UPDATE lookup SET w = 'ONE' WHERE w = 'one';
SELECT * FROM oracle();
UPDATE lookup SET w = 'three' WHERE w = 'TWO';
SELECT * FROM oracle();
DELETE FROM word WHERE w = 'oNe';
SELECT * FROM oracle();
DROP SCHEMA collations CASCADE;
