-- 1,000 users, of whom 100 write; 1,000 posts, 3,000 comments. Always the same.

INSERT INTO tb_user (id, identifier, name)
    SELECT md5('user ' || n)::uuid, 'user-' || n, 'User ' || n FROM generate_series(1, 1000) n;
INSERT INTO tb_post (id, identifier, fk_user, title)
    SELECT md5('post ' || n)::uuid, 'post-' || n, n % 100 + 1, 'Post ' || n FROM generate_series(1, 1000) n;
INSERT INTO tb_comment (id, fk_post, fk_user, content)
    SELECT md5('comment ' || n)::uuid, n % 1000 + 1, n % 97 + 1, 'Comment ' || n FROM generate_series(1, 3000) n;

ANALYZE tb_user, tb_post, tb_comment, tv_user, tv_post, tv_comment;
