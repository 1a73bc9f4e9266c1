-- citext: equal keys that are spelled differently. Skipped where the server lacks the extension.
SELECT NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citext') AS skip \gset
\if :skip
\echo skipped: this server has no citext
\quit
\endif
CREATE SCHEMA ci;
SET search_path = ci, public;
SET client_min_messages = warning;
CREATE EXTENSION citext SCHEMA ci;
CREATE TABLE word (id int PRIMARY KEY, w citext, n int);
CREATE TABLE lookup (w citext PRIMARY KEY, meaning text);
CREATE TVIEW counted AS SELECT count(*) AS n, min(id) AS first FROM word GROUP BY w;
CREATE TVIEW grouped AS SELECT lower(w::text) AS l, count(*) AS n FROM word GROUP BY 1;
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
TABLE looked_up ORDER BY w;
UPDATE lookup SET w = 'three' WHERE w = 'TWO';
SELECT * FROM oracle();
DELETE FROM word WHERE w = 'oNe';
SELECT * FROM oracle();
-- rows are compared by operators of several schemas, of which SQL can name one
CREATE TABLE pair (w citext, n int);
INSERT INTO pair VALUES ('two', 3);
CREATE TVIEW not_in AS SELECT id FROM word WHERE (w, n) NOT IN (SELECT w, n FROM pair);
CREATE TVIEW any_or_n AS SELECT id FROM word WHERE (w, n) IN (SELECT w, n FROM pair) UNION SELECT n FROM pair;
CREATE TVIEW least AS SELECT id FROM word WHERE (w, n) <= ALL (SELECT w, n FROM pair);
CREATE TVIEW smaller AS SELECT id, (word.w, id) < (pair.w, pair.n) AS less FROM word LEFT JOIN pair USING (n);
INSERT INTO word VALUES (5, 'TWO', 3), (6, 'four', 4);
INSERT INTO pair VALUES ('Four', 4), (NULL, 6);
SELECT * FROM oracle();
UPDATE pair SET w = 'ONE', n = 1 WHERE w = 'four';
UPDATE word SET n = 6 WHERE id = 4;
SELECT * FROM oracle();
DELETE FROM pair WHERE w IS NULL;
SELECT * FROM oracle();
TABLE any_or_n ORDER BY 1;
TABLE not_in ORDER BY 1;
TABLE smaller ORDER BY 1;
DROP SCHEMA ci CASCADE;
