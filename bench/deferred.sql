-- The views, as TVIEWs that are only refreshed.
CREATE TVIEW post_document WITH (refresh = manual) AS
SELECT p.id, p.user_id,
       jsonb_build_object('id', p.id, 'title', p.title, 'content', p.content,
                          'author', jsonb_build_object('id', u.id, 'name', u.name, 'email', u.email)) AS data
  FROM posts p JOIN users u ON u.id = p.user_id;
CREATE TVIEW region_total WITH (refresh = manual) AS
SELECT region, count(*) AS orders, sum(amount) AS amount FROM orders GROUP BY region;
CREATE TVIEW country_total WITH (refresh = manual) AS
SELECT c.country, count(*) AS orders, sum(o.amount) AS amount FROM orders o JOIN customers c ON c.id = o.customer GROUP BY c.country;
