-- Posts with comments, for documents.py: tables; the query of the documents; triggers by which a table of documents is kept.
SELECT setseed(0.5);
CREATE TABLE vocabulary AS SELECT i, substr(md5(i::text), 1, 2 + i % 9) AS word FROM generate_series(1, 2000) i;
CREATE FUNCTION words(n int) RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT string_agg(v.word, ' ') FROM (SELECT 1 + floor(2000 * random() ^ 3)::int AS i FROM generate_series(1, n)) r JOIN vocabulary v USING (i) $$;
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, email text NOT NULL);
CREATE TABLE posts (id int PRIMARY KEY, author int NOT NULL REFERENCES users, title text NOT NULL);
CREATE TABLE comments (id int PRIMARY KEY, post int NOT NULL REFERENCES posts, author text NOT NULL, body text NOT NULL, score numeric(6,2) NOT NULL);
INSERT INTO users SELECT i, 'user ' || i, 'user' || i || '@example.org' FROM generate_series(1, 20) i;
INSERT INTO posts SELECT i, 1 + i % 2, 'title ' || i FROM generate_series(1, 2000) i;
INSERT INTO comments SELECT i, 1 + i % 2000, 'author ' || i % 17, (SELECT words(60 + i % 2)), i % 100 / 10.0 FROM generate_series(1, 100000) i;
INSERT INTO posts SELECT i, 3, 'long ' || i FROM generate_series(2001, 2010) i;
INSERT INTO comments SELECT 100000 + i, 2001 + i % 10, 'author ' || i % 17, (SELECT words(60 + i % 2)), i % 100 / 10.0 FROM generate_series(1, 10000) i;
CREATE INDEX ON posts (author);
CREATE INDEX ON comments (post);
-- next
SELECT p.id, p.author, jsonb_build_object('id', p.id, 'title', p.title,
   'author', jsonb_build_object('id', u.id, 'name', u.name, 'email', u.email),
   'comments', (SELECT jsonb_agg(jsonb_build_object('id', c.id, 'author', c.author, 'body', c.body, 'score', c.score) ORDER BY c.id) FROM comments c WHERE c.post = p.id)) AS data
 FROM posts p JOIN users u ON u.id = p.author;
-- next
ALTER TABLE post_document ADD PRIMARY KEY (id);
CREATE INDEX ON post_document (author);
CREATE FUNCTION user_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE post_document SET data = jsonb_set(data, '{author}', jsonb_build_object('id', new.id, 'name', new.name, 'email', new.email)) WHERE author = new.id;
    RETURN NULL;
END $$;
CREATE TRIGGER changed AFTER UPDATE ON users FOR EACH ROW WHEN (old IS DISTINCT FROM new) EXECUTE FUNCTION user_changed();
CREATE FUNCTION comment_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE post_document d SET data = jsonb_set(data, ARRAY['comments', (SELECT count(*)::text FROM comments c WHERE c.post = new.post AND c.id < new.id)],
       jsonb_build_object('id', new.id, 'author', new.author, 'body', new.body, 'score', new.score)) WHERE d.id = new.post;
    RETURN NULL;
END $$;
CREATE TRIGGER changed AFTER UPDATE ON comments FOR EACH ROW WHEN (old.id = new.id AND old.post = new.post AND old IS DISTINCT FROM new) EXECUTE FUNCTION comment_changed();
