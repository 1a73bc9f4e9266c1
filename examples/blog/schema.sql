-- A blog by the convention: tables tb_x, TVIEWs tv_x with a document for each row, which has those inside it that it shows.

CREATE EXTENSION IF NOT EXISTS pg_tviews;

CREATE TABLE tb_user (
    pk_user bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    identifier text NOT NULL UNIQUE,
    name text NOT NULL
);

CREATE TABLE tb_post (
    pk_post bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    identifier text NOT NULL UNIQUE,
    fk_user bigint NOT NULL REFERENCES tb_user,
    title text NOT NULL
);

CREATE TABLE tb_comment (
    pk_comment bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    fk_post bigint NOT NULL REFERENCES tb_post,
    fk_user bigint NOT NULL REFERENCES tb_user,
    content text NOT NULL
);

-- they lead from a changed user to posts and comments, and from a comment to its post
CREATE INDEX ON tb_post (fk_user);
CREATE INDEX ON tb_comment (fk_post);
CREATE INDEX ON tb_comment (fk_user);

CREATE TVIEW tv_user WITH (notify) AS
    SELECT pk_user, id, identifier, jsonb_build_object('id', id, 'identifier', identifier, 'name', name) AS data
      FROM tb_user;

CREATE TVIEW tv_comment WITH (notify) AS
    SELECT c.pk_comment, c.id, c.fk_post, c.fk_user, jsonb_build_object('id', c.id, 'content', c.content, 'author', u.data) AS data
      FROM tb_comment c JOIN tv_user u ON u.pk_user = c.fk_user;

CREATE TVIEW tv_post WITH (notify) AS
    SELECT p.pk_post, p.id, p.identifier, p.fk_user,
           jsonb_build_object('id', p.id, 'identifier', p.identifier, 'title', p.title, 'author', u.data, 'comments',
               (SELECT coalesce(jsonb_agg(c.data ORDER BY c.pk_comment), '[]') FROM tv_comment c WHERE c.fk_post = p.pk_post)) AS data
      FROM tb_post p JOIN tv_user u ON u.pk_user = p.fk_user;
