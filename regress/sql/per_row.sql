-- Sub-queries as applications write them for each row: the latest few, lists of several tables, values beside aggregates, joins by what is found.
CREATE SCHEMA per_row;
SET search_path = per_row, public;
CREATE TABLE usr (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE post (id int PRIMARY KEY, author int NOT NULL, title text);
CREATE TABLE comment (id int PRIMARY KEY, post int NOT NULL, usr int, score int, body text);
CREATE TABLE likes (id int PRIMARY KEY, post int NOT NULL, usr int);
CREATE TABLE log (usr int, msg text);
CREATE INDEX ON post (author);
CREATE INDEX ON comment (post, id);
CREATE INDEX ON comment (usr);
CREATE INDEX ON likes (post);
CREATE INDEX ON log (usr);
INSERT INTO usr SELECT i, 'user ' || i FROM generate_series(1, 100) i;
INSERT INTO post SELECT i, i % 100 + 1, 'post ' || i FROM generate_series(1, 1000) i;
INSERT INTO comment SELECT i, i % 900 + 1, nullif(i % 101, 0), i % 7, 'comment ' || i FROM generate_series(1, 4000) i;
INSERT INTO likes SELECT i, i % 800 + 1, i % 100 + 1 FROM generate_series(1, 2000) i;
INSERT INTO log SELECT nullif(i % 120, 0), 'message ' || i % 500 FROM generate_series(1, 1200) i;
ANALYZE;

-- the first rows, as one value
CREATE TVIEW latest WITH (mode = incremental) AS SELECT p.id,
    (SELECT jsonb_agg(jsonb_build_object('id', c.id, 'body', c.body) ORDER BY c.id DESC) FROM (SELECT id, body FROM comment WHERE post = p.id ORDER BY id DESC LIMIT 3) c) AS comments FROM post p;
CREATE TVIEW embedded WITH (mode = incremental) AS SELECT p.id, coalesce(c.c, '[]') AS comments
    FROM post p LEFT JOIN LATERAL (SELECT json_agg(c)::jsonb AS c FROM (SELECT id, body FROM comment WHERE post = p.id ORDER BY id DESC LIMIT 3) c) c ON true;
CREATE TVIEW average WITH (mode = incremental) AS SELECT p.id, x.m FROM post p
    LEFT JOIN LATERAL (SELECT avg(score) AS m FROM (SELECT score FROM comment WHERE post = p.id ORDER BY id DESC LIMIT 3) y) x ON true;
CREATE TVIEW first_one WITH (mode = incremental) AS SELECT p.id, (SELECT row_to_json(x)::jsonb FROM (SELECT id, body FROM comment WHERE post = p.id ORDER BY id LIMIT 1) x) AS first FROM post p;
CREATE TVIEW ranked WITH (mode = incremental) AS SELECT p.id,
    (SELECT jsonb_agg(x.r ORDER BY x.id) FROM (SELECT id, rank() OVER (ORDER BY score DESC) AS r FROM comment WHERE post = p.id) x) AS ranks FROM post p;
CREATE TVIEW scores WITH (mode = incremental) AS SELECT p.id, (SELECT count(*) FROM (SELECT DISTINCT score FROM comment WHERE post = p.id) x) AS scores FROM post p;
-- several tables
CREATE TVIEW activity WITH (mode = incremental) AS SELECT p.id,
    (SELECT count(*) FROM (SELECT id FROM comment WHERE post = p.id UNION ALL SELECT id FROM likes WHERE post = p.id) x) AS n FROM post p;
CREATE TVIEW people WITH (mode = incremental) AS SELECT p.id, ARRAY(SELECT usr FROM comment WHERE post = p.id UNION SELECT usr FROM likes WHERE post = p.id ORDER BY 1) AS people FROM post p;
CREATE TVIEW silent WITH (mode = incremental) AS SELECT p.id, ARRAY(SELECT usr FROM likes WHERE post = p.id EXCEPT SELECT usr FROM comment WHERE post = p.id ORDER BY 1) AS people FROM post p;
CREATE TVIEW stream WITH (mode = incremental) AS SELECT p.id, x.kind, x.xid
    FROM post p CROSS JOIN LATERAL (SELECT 'c' AS kind, id AS xid FROM comment WHERE post = p.id UNION ALL SELECT 'l', id FROM likes WHERE post = p.id) x;
CREATE TVIEW seen WITH (mode = incremental) AS SELECT p.id FROM post p WHERE EXISTS (SELECT FROM comment WHERE post = p.id UNION ALL SELECT FROM likes WHERE post = p.id);
-- WITH, and values beside aggregates
CREATE TVIEW summary WITH (mode = incremental) AS SELECT p.id, l.n, l.m
    FROM post p, LATERAL (WITH x AS (SELECT score FROM comment WHERE post = p.id) SELECT count(*) AS n, (SELECT max(score) FROM x) AS m FROM x) l;
CREATE TVIEW beside WITH (mode = incremental) AS SELECT p.id, l.n, l.likes
    FROM post p, LATERAL (SELECT count(*) AS n, (SELECT count(*) FROM likes WHERE post = p.id) AS likes FROM comment WHERE post = p.id) l;
-- groups and first rows of LATERAL are keys
CREATE TVIEW by_score WITH (mode = incremental) AS SELECT p.id, x.score, x.n FROM post p, LATERAL (SELECT score, count(*) AS n FROM comment WHERE post = p.id GROUP BY score) x WHERE x.score IS NOT NULL;
CREATE TVIEW by_user WITH (mode = incremental) AS SELECT p.id, x.usr, x.score
    FROM post p, LATERAL (SELECT DISTINCT ON (usr) usr, score FROM comment WHERE post = p.id ORDER BY usr, id DESC) x;
-- joins by what is found
CREATE TVIEW last_comment WITH (mode = incremental) AS SELECT p.id, x.cid, u.name
    FROM post p LEFT JOIN LATERAL (SELECT id AS cid, usr FROM comment WHERE post = p.id ORDER BY id DESC LIMIT 1) x ON true LEFT JOIN usr u ON u.id = x.usr;
CREATE TVIEW last_writer WITH (mode = incremental) AS SELECT p.id, x.cid, y.n
    FROM post p LEFT JOIN LATERAL (SELECT id AS cid, usr FROM comment WHERE post = p.id ORDER BY id DESC LIMIT 1) x ON true
    LEFT JOIN LATERAL (SELECT count(*) AS n FROM comment WHERE usr = x.usr) y ON true;
-- rows without a key
CREATE TVIEW known WITH (mode = incremental) AS SELECT usr, msg FROM log l WHERE EXISTS (SELECT FROM usr u WHERE u.id = l.usr AND u.name LIKE 'user%');
CREATE TVIEW unknown WITH (mode = incremental) AS SELECT usr, msg FROM log l WHERE NOT EXISTS (SELECT FROM usr u WHERE u.id IS NOT DISTINCT FROM l.usr);
CREATE TVIEW among WITH (mode = incremental) AS SELECT usr, msg FROM log l WHERE usr IN (SELECT id FROM usr WHERE name LIKE 'user 1%');
CREATE TVIEW named WITH (mode = incremental) AS SELECT usr, msg, (SELECT name FROM usr WHERE id = l.usr) AS name FROM log l;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'per_row' ORDER BY name;
SELECT * FROM cost();

INSERT INTO comment VALUES (9001, 17, 5, 3, 'new');
SELECT * FROM cost();
UPDATE comment SET body = 'edited', usr = 6, score = 4 WHERE id = 9001;
SELECT * FROM cost();
UPDATE comment SET post = 950 WHERE id = 9001;
SELECT * FROM cost();
DELETE FROM comment WHERE id IN (9001, 18);
SELECT * FROM cost();
INSERT INTO likes VALUES (9001, 990, 7), (9002, 17, 8);
DELETE FROM likes WHERE id = 9002;
SELECT * FROM cost();
UPDATE usr SET name = 'another' WHERE id = 9;
SELECT * FROM cost();
DELETE FROM usr WHERE id = 20;
INSERT INTO usr VALUES (110, 'user 110');
SELECT * FROM cost();
INSERT INTO log VALUES (110, 'x'), (NULL, 'y'), (110, 'x');
UPDATE log SET usr = NULL WHERE msg = 'message 7';
SELECT * FROM cost();
-- several at once
BEGIN;
INSERT INTO post VALUES (2000, 1, 'new');
INSERT INTO comment VALUES (9101, 2000, 1, 1, 'a'), (9102, 2000, 2, 1, 'b'), (9103, 2000, NULL, 2, 'c'), (9104, 2000, 110, 2, 'd');
INSERT INTO likes VALUES (9101, 2000, 1);
SELECT * FROM last_comment WHERE id = 2000;
DELETE FROM comment WHERE id = 9104;
UPDATE comment SET usr = 3 WHERE id = 9103;
UPDATE usr SET name = 'third' WHERE id = 3;
DELETE FROM post WHERE id = 3;
DELETE FROM likes WHERE post = 4;
DELETE FROM log WHERE usr = 3;
COMMIT;
SELECT * FROM cost();
SELECT * FROM stream WHERE id = 2000 ORDER BY 2, 3;
SELECT * FROM by_user WHERE id = 2000 ORDER BY 2;
SELECT l.id, l.comments, w.cid, w.n FROM latest l JOIN last_writer w USING (id) WHERE id = 2000;
DROP SCHEMA per_row CASCADE;
