CREATE VIEW tviews.tviews AS
SELECT n.nspname AS schema,
       c.relname AS name,
       pg_catalog.pg_get_userbyid(c.relowner) AS owner,
       c.reloptions AS options,
       'commit'::text AS refresh,
       (SELECT pg_catalog.jsonb_object_agg(s.base_table::text, s.strategy ORDER BY s.base_table::text)
          FROM tviews.strategies(c.oid) s) AS strategies,
       ARRAY(SELECT s.source::regclass FROM tviews.source s WHERE s.tview = c.oid ORDER BY s.source::regclass::text)
           AS base_tables,
       c.relispopulated AS populated,
       c.relpersistence = 'p' AS logged,
       pg_catalog.pg_total_relation_size(c.oid) AS size,
       0 AS internal_stages
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_am a ON a.oid = c.relam
 WHERE a.amname = 'tview' AND c.relkind = 'm';

GRANT SELECT ON tviews.tviews TO PUBLIC;

CREATE VIEW tviews.stat AS
SELECT c.oid::regclass AS tview, s.*
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_am a ON a.oid = c.relam
 CROSS JOIN LATERAL tviews.stat_of(c.oid) s
 WHERE a.amname = 'tview' AND c.relkind = 'm';

GRANT SELECT ON tviews.stat TO PUBLIC;
