CREATE VIEW tviews.tviews AS
SELECT n.nspname AS schema,
       c.relname AS name,
       pg_catalog.pg_get_userbyid(c.relowner) AS owner,
       c.reloptions AS options,
       'commit'::text AS refresh,
       (SELECT pg_catalog.jsonb_object_agg(s.base_table::text, s.strategy ORDER BY s.base_table::text)
          FROM tviews.strategies(c.oid) s) AS strategies,
       ARRAY(SELECT s.base_table FROM tviews.strategies(c.oid) s ORDER BY s.base_table::text) AS base_tables,
       c.relispopulated AS populated,
       c.relpersistence = 'p' AS logged,
       pg_catalog.pg_total_relation_size(c.oid) AS size,
       (WITH RECURSIVE below AS (
            SELECT s.stage FROM tviews.stage s WHERE s.tview = c.oid
            UNION ALL
            SELECT s.stage FROM below b JOIN tviews.stage s ON s.tview = b.stage)
        SELECT count(*)::int FROM below) AS internal_stages
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_am a ON a.oid = c.relam
 WHERE a.amname = 'tview' AND c.relkind = 'm' AND n.nspname <> 'pg_toast_tviews';

GRANT SELECT ON tviews.tviews TO PUBLIC;

CREATE VIEW tviews.stat AS
SELECT c.oid::regclass AS tview, s.*
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_am a ON a.oid = c.relam
 CROSS JOIN LATERAL tviews.stat_of(c.oid) s
 WHERE a.amname = 'tview' AND c.relkind = 'm'
   AND c.relnamespace <> 'pg_toast_tviews'::regnamespace;

GRANT SELECT ON tviews.stat TO PUBLIC;

CREATE VIEW tviews.progress AS
SELECT r.pid, d.datname, r.relid,
       CASE WHEN d.datname = pg_catalog.current_database() THEN r.relid::regclass END AS tview,
       r.tviews_total, r.tviews_done, r.tviews_failed, r.started_at
  FROM tviews.recovery() r LEFT JOIN pg_catalog.pg_database d ON d.oid = r.datid;

GRANT SELECT ON tviews.progress TO PUBLIC;
