-- Strategy keyed: the rows whose key a change can affect are recomputed, and those that differ are written.
CREATE SCHEMA keyed;
SET search_path = keyed, public;
CREATE TABLE author (id int PRIMARY KEY, name text, city text, born int);
CREATE TABLE post (id int PRIMARY KEY, author int, title text, likes int, tags text[]);
CREATE TABLE reply (id int PRIMARY KEY, post int, author int, body text);
INSERT INTO author SELECT i, 'author ' || i, 'city ' || i % 9, 1950 + i % 50 FROM generate_series(1, 200) i;
INSERT INTO post SELECT i, 1 + i % 200, 'title ' || i, i % 100, ARRAY['t' || i % 5] FROM generate_series(1, 2000) i;
INSERT INTO reply SELECT i, 1 + i % 2000, 1 + i % 200, 'body ' || i FROM generate_series(1, 3000) i;
CREATE INDEX ON post (author);
CREATE INDEX ON reply (post);
CREATE INDEX ON reply (author);
CREATE TVIEW projection AS SELECT id, upper(title) AS title, CASE WHEN likes > 50 THEN 'many' WHEN likes > 0 THEN 'some' ELSE 'none' END AS likes,
  coalesce(tags[1], '-') AS tag, ROW(id, author) < ROW(100, 5) AS early, likes::numeric / 7 AS share FROM post;
CREATE TVIEW filtered AS SELECT id, title FROM post WHERE likes > 90 AND title LIKE '%1%';
CREATE TVIEW inner_join AS SELECT p.id, p.title, a.name FROM post p JOIN author a ON a.id = p.author;
CREATE TVIEW document AS SELECT r.id, jsonb_build_object('body', r.body, 'post', jsonb_build_object('id', p.id, 'title', p.title,
  'author', jsonb_build_object('name', a.name))) AS data FROM reply r JOIN post p ON p.id = r.post JOIN author a ON a.id = p.author;
CREATE TVIEW left_join AS SELECT p.id, p.title, r.id AS reply, r.body FROM post p LEFT JOIN reply r ON r.post = p.id;
CREATE TVIEW right_join AS SELECT p.title, r.id, r.body FROM post p RIGHT JOIN reply r ON r.post = p.id AND p.likes > 10;
CREATE TVIEW full_join AS SELECT p.id AS post, r.id AS reply, p.title, r.body FROM post p FULL JOIN reply r ON r.post = p.id;
-- r.id is not in the output: by delta
CREATE TVIEW anti_join AS SELECT p.id, p.title FROM post p LEFT JOIN reply r ON r.post = p.id WHERE r.id IS NULL;
CREATE TVIEW natural_join AS SELECT * FROM (SELECT id AS author, name FROM author) a NATURAL JOIN post;
CREATE TVIEW using_join AS SELECT id, p.title, r.body FROM post p JOIN reply r USING (id);
CREATE TVIEW cross_join AS SELECT a.id, b.id AS other, a.name || b.name AS names FROM author a CROSS JOIN author b WHERE a.born = 1950 AND b.born = 1951;
CREATE TVIEW non_equi AS SELECT a.id, b.id AS older FROM author a JOIN author b ON b.born < a.born AND b.city = a.city WHERE a.id < 20;
CREATE TVIEW self_join AS SELECT p.id, q.id AS next, q.title FROM post p JOIN post q ON q.id = p.id + 1;
CREATE TVIEW comma AS SELECT r.id, a.name, b.name AS poster FROM reply r, author a, post p, author b WHERE r.author = a.id AND r.post = p.id AND p.author = b.id;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'keyed' ORDER BY name;
SELECT * FROM cost();

INSERT INTO post VALUES (5000, 7, 'title 5001', 95, '{x}');
SELECT * FROM cost();
UPDATE post SET title = 'new', likes = 5 WHERE id = 5000;
SELECT * FROM cost();
UPDATE post SET author = 8 WHERE id = 5000;
SELECT * FROM cost();
DELETE FROM post WHERE id = 5000;
SELECT * FROM cost();

-- the side that others refer to: 10 posts, 15 replies
UPDATE author SET name = 'Ada' WHERE id = 9;
SELECT * FROM cost();
-- a column that only one of them uses, one that stays the same in the output, one that nobody uses
UPDATE post SET likes = 99 WHERE id = 98;
SELECT * FROM cost();
UPDATE author SET city = 'city x' WHERE id = 100;
SELECT * FROM cost();

-- outer joins: the last reply of a post goes, the first one comes, the post goes
DELETE FROM reply WHERE id = 1500;
SELECT * FROM cost();
INSERT INTO reply VALUES (5000, 1501, 3, 'first');
SELECT * FROM cost('left_join', 'right_join', 'full_join', 'anti_join');
DELETE FROM post WHERE id = 1501;
SELECT * FROM cost('left_join', 'right_join', 'full_join', 'anti_join');

-- several tables together; a key that changes, keys that are swapped
BEGIN;
UPDATE author SET name = 'Grace' WHERE id = 10;
UPDATE post SET author = 10, title = 'moved' WHERE id = 11;
DELETE FROM reply WHERE post = 12;
COMMIT;
SELECT * FROM cost();
UPDATE post SET id = 6000 WHERE id = 30;
SELECT * FROM cost('inner_join', 'left_join', 'full_join', 'self_join', 'document');
UPDATE post SET id = CASE id WHEN 31 THEN -32 ELSE -31 END WHERE id IN (31, 32);
UPDATE post SET id = -id WHERE id < 0;
SELECT * FROM cost('inner_join', 'left_join', 'full_join', 'self_join', 'document');
-- many rows at once
UPDATE post SET title = title || '!' WHERE id <= 100;
SELECT * FROM cost();

SET client_min_messages = warning;
DROP SCHEMA keyed CASCADE;
