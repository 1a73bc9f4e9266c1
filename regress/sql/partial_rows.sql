-- Only what a change can concern is computed: columns, values in documents, elements of arrays. The rest stays as it is stored.
CREATE SCHEMA partial_rows;
SET search_path = partial_rows, public;
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, email text);
CREATE TABLE posts (id int PRIMARY KEY, author int NOT NULL REFERENCES users, title text, price numeric);
CREATE TABLE comments (id int PRIMARY KEY, post int NOT NULL REFERENCES posts, body text, score numeric, rank int);
CREATE INDEX ON posts (author);
CREATE INDEX ON comments (post);
INSERT INTO users SELECT i, 'user ' || i, NULL FROM generate_series(1, 5) i;
INSERT INTO posts SELECT i, 1 + i % 5, 'title ' || i, (i || '.500')::numeric FROM generate_series(1, 40) i;
INSERT INTO comments SELECT i, 1 + i % 30, repeat('words ' || i || ' ', i % 50), (i || '.10')::numeric, i % 3 FROM generate_series(1, 900) i;
INSERT INTO comments SELECT 10000 + i, 31, (SELECT string_agg(substr(md5((i * 50 + j)::text), 1, j % 7), ' ') FROM generate_series(1, 50) j), i, i % 5 FROM generate_series(1, 2000) i;
-- sub-queries, an aggregate beside the row, a filter, documents in documents
CREATE TVIEW nested AS
    SELECT p.id, p.author, jsonb_build_object('id', p.id, 'title', p.title, 'price', p.price, 'author', jsonb_build_object('id', u.id, 'name', u.name, 'email', u.email),
               'comments', (SELECT jsonb_agg(jsonb_build_object('id', c.id, 'body', c.body, 'score', c.score) ORDER BY c.rank DESC, c.id) FROM comments c WHERE c.post = p.id)) AS data
      FROM posts p JOIN users u ON u.id = p.author;
CREATE TVIEW beside AS
    SELECT p.id, jsonb_build_object('title', p.title, 'author', u.name, 'comments', COALESCE(c.all, '[]'), 'n', c.n) AS data
      FROM posts p JOIN users u ON u.id = p.author
           LEFT JOIN LATERAL (SELECT jsonb_agg(jsonb_build_object('id', c.id, 'body', c.body) ORDER BY c.id) AS all, count(*) AS n FROM comments c WHERE c.post = p.id) c ON true;
CREATE TVIEW filtered AS
    SELECT p.id, p.title, jsonb_build_object('title', p.title, 'comments', COALESCE((SELECT jsonb_agg(c.body ORDER BY c.id) FILTER (WHERE c.rank > 0) FROM comments c WHERE c.post = p.id), '[]')) AS data
      FROM posts p;
CREATE TVIEW feed AS
    SELECT u.id, jsonb_build_object('name', u.name, 'posts', (SELECT jsonb_agg(n.data ORDER BY n.id) FROM nested n WHERE n.author = u.id)) AS data FROM users u;
CREATE TVIEW twice AS SELECT p.id, jsonb_build_object('a', u.name, 'b', p.title, 'a', p.title) AS data, u.name FROM posts p JOIN users u ON u.id = p.author;
CREATE TVIEW unordered AS
    SELECT p.id, (SELECT jsonb_agg(c.body ORDER BY c.body) FROM comments c WHERE c.post = p.id) AS bodies, u.email FROM posts p JOIN users u ON u.id = p.author;
CREATE TVIEW of_email AS SELECT p.id, jsonb_build_object('name', u.name, 'title', p.title) AS data FROM posts p JOIN users u ON u.id = p.author AND u.email IS NULL;

-- each change is followed in both ways; bytes are compared
CREATE FUNCTION wrong() RETURNS TABLE (tview text, rows bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR tview IN SELECT relname FROM pg_class WHERE relkind = 'm' AND relnamespace = 'partial_rows'::regnamespace ORDER BY 1 LOOP
        EXECUTE format('SELECT count(*) FROM %1$I t FULL JOIN (%2$s) q USING (id) WHERE (t.* *= q.*) IS NOT TRUE', tview, rtrim(pg_get_viewdef(format('%I', tview)::regclass), ';')) INTO rows;
        IF rows > 0 THEN RETURN NEXT; END IF;
    END LOOP;
END $$;
CREATE FUNCTION follow(change text) RETURNS TABLE (partial text, tview text, rows bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOREACH partial IN ARRAY '{on,off}'::text[] LOOP
        BEGIN
            PERFORM set_config('pg_tviews.partial_rows', partial, true);
            EXECUTE change;
            PERFORM tviews.flush();
            RETURN QUERY SELECT partial, w.* FROM wrong() w;
            IF partial = 'on' THEN RAISE EXCEPTION USING errcode = 'P0099'; END IF;
        EXCEPTION WHEN sqlstate 'P0099' THEN NULL;
        END;
    END LOOP;
END $$;
SELECT * FROM follow($$ UPDATE users SET name = 'Renamed' WHERE id = 1 $$);
SELECT * FROM follow($$ UPDATE users SET name = 'x', email = 'y' WHERE id IN (2, 3) $$);
SELECT * FROM follow($$ UPDATE users SET email = NULL WHERE id = 2 $$);
SELECT * FROM follow($$ UPDATE posts SET title = 'new', price = 1.000 WHERE id = 7 $$);
SELECT * FROM follow($$ UPDATE posts SET price = 1.0 WHERE id = 7 $$);
SELECT * FROM follow($$ UPDATE posts SET author = 2 WHERE id < 9 $$);
SELECT * FROM follow($$ UPDATE posts SET title = NULL, author = 4 WHERE id > 30 $$);
SELECT * FROM follow($$ UPDATE comments SET body = 'edited' WHERE id % 7 = 0 $$);
SELECT * FROM follow($$ UPDATE comments SET score = 7.00 WHERE id = 10500 $$);
SELECT * FROM follow($$ UPDATE comments SET rank = rank + 1 WHERE id % 5 = 0 $$);
SELECT * FROM follow($$ UPDATE comments SET rank = 9 WHERE id = 11000 $$);
SELECT * FROM follow($$ UPDATE comments SET post = 3 WHERE id BETWEEN 10 AND 20 $$);
SELECT * FROM follow($$ INSERT INTO comments SELECT i, 1 + i % 35, 'late ' || i, 1.0, 1 FROM generate_series(1000, 1100) i $$);
SELECT * FROM follow($$ DELETE FROM comments WHERE post IN (4, 5) $$);
SELECT * FROM follow($$ DELETE FROM comments WHERE id % 11 = 0 $$);
SELECT * FROM follow($$ UPDATE comments SET id = -id WHERE id % 13 = 0 $$);
SELECT * FROM follow($$ UPDATE comments SET score = NULL, body = NULL WHERE id < 100 $$);
SELECT * FROM follow($$ UPDATE comments SET body = repeat(md5(id::text), 2000) WHERE id IN (10001, 10002) $$);
SELECT * FROM follow($$ WITH u AS (UPDATE users SET name = 'both') UPDATE comments SET body = 'both' WHERE id = 200 $$);
SELECT * FROM follow($$ INSERT INTO posts VALUES (100, 1, 'new', 0.00); INSERT INTO comments VALUES (-5, 100, 'first', 1, 1) $$);
SELECT * FROM follow($$ DELETE FROM comments WHERE post = 6; INSERT INTO comments VALUES (-6, 6, 'only', 1.50, 1) $$);
SELECT * FROM follow($$ DELETE FROM comments; INSERT INTO comments VALUES (1, 1, 'one', 1, 1) $$);
SELECT * FROM follow($$ UPDATE comments SET body = 'changed', rank = 0 $$);

-- with reads between, savepoints, levels
BEGIN;
UPDATE comments SET body = 'q';
SAVEPOINT a;
UPDATE users SET name = 'rolled back';
SELECT count(*) FROM nested;
ROLLBACK TO a;
UPDATE users SET name = 'zz' WHERE id = 2;
COMMIT;
SELECT * FROM wrong();
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE comments SET body = 'r';
SELECT count(*) FROM nested;
UPDATE comments SET body = 'rr';
UPDATE users SET name = 'yy' WHERE id = 2;
COMMIT;
SELECT * FROM wrong();
-- after ADD and DROP COLUMN in a table
ALTER TABLE comments ADD COLUMN extra int;
UPDATE comments SET body = 'after', extra = 1;
ALTER TABLE users ADD COLUMN extra int;
ALTER TABLE users DROP COLUMN extra;
UPDATE users SET name = 'dropped';
ALTER TABLE comments DROP COLUMN extra;
UPDATE comments SET body = 'dropped';
SELECT * FROM wrong();

-- beside a sub-query over another table
CREATE TABLE a (id int PRIMARY KEY, x text, y int);
CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a, z text);
INSERT INTO a VALUES (1, 'x', 1);
INSERT INTO b VALUES (1, 1, 'z'), (2, 1, 'z');
CREATE TABLE c (id int PRIMARY KEY, n int);
INSERT INTO c VALUES (1, 1);
CREATE TVIEW counted AS
    SELECT b.id, jsonb_build_object('x', a.x, 'z', b.z, 'y', a.y, 'n', (SELECT sum(c.n) FROM c WHERE c.id <= a.id)) AS data FROM b JOIN a ON a.id = b.a;
UPDATE a SET x = 'xx' WHERE id = 1;
UPDATE c SET n = 5;
SELECT * FROM counted ORDER BY id;
DROP SCHEMA partial_rows CASCADE;
