-- Relations of the interface of pg_tviews: views over the server's catalogs and the library's state.

CREATE VIEW @extschema@.pg_tview_meta AS
SELECT tviews.entity(c.relname) AS entity,
       tviews.entity(c.relname) AS entity_name,
       c.oid AS tview_oid,
       COALESCE(v.oid, c.oid) AS view_oid,
       c.oid AS table_oid,
       n.nspname::text AS schema_name,
       pg_get_viewdef(c.oid) AS definition,
       COALESCE(d.dependencies, '{}') AS dependencies,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND starts_with(a.attname::text, 'fk_')
              ORDER BY a.attnum) AS fk_columns,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid = 'uuid'::regtype
                AND a.attname LIKE '%\_id'
              ORDER BY a.attnum) AS uuid_fk_columns,
       CASE WHEN current_setting('track_commit_timestamp') = 'on'
            THEN (SELECT max(pg_xact_commit_timestamp(s.xmin)) FROM tviews.source s WHERE s.tview = c.oid) END AS created_at
  FROM pg_class c
  JOIN pg_am am ON am.oid = c.relam AND am.amname = 'tview'
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN (SELECT p.tview, array_agg(DISTINCT s.source ORDER BY s.source) AS dependencies
               FROM tviews.part p JOIN tviews.source s ON s.tview = p.relation
              WHERE NOT EXISTS (SELECT FROM tviews.stage g WHERE g.stage = s.source)
              GROUP BY p.tview) d ON d.tview = c.oid
  -- The plain view v_post that tv_post is a query on.
  LEFT JOIN pg_class v ON v.relkind = 'v' AND v.relnamespace = c.relnamespace AND v.relname = 'v_' || tviews.entity(c.relname)
        AND EXISTS (SELECT FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                     WHERE r.ev_class = c.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = v.oid)
 WHERE c.relkind = 'm' AND c.relnamespace <> 'pg_toast_tviews'::regnamespace;
COMMENT ON VIEW @extschema@.pg_tview_meta IS 'TVIEWs of this database, and what is derived from their queries';
GRANT SELECT, UPDATE (fk_columns, uuid_fk_columns) ON @extschema@.pg_tview_meta TO PUBLIC;

CREATE FUNCTION tviews.meta_updated() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (to_jsonb(NEW) - ARRAY['fk_columns', 'uuid_fk_columns']) <> (to_jsonb(OLD) - ARRAY['fk_columns', 'uuid_fk_columns']) THEN
        RAISE EXCEPTION 'cannot update "%", which shows what is derived from the queries of TVIEWs', TG_TABLE_NAME
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'CREATE OR REPLACE TVIEW gives a TVIEW another query.';
    END IF;
    RAISE NOTICE 'foreign key columns of TVIEW "%" are derived from its query', OLD.table_oid::regclass
        USING DETAIL = 'The update changes nothing.';
    RETURN OLD;
END $$;
CREATE TRIGGER derived INSTEAD OF UPDATE ON @extschema@.pg_tview_meta
    FOR EACH ROW EXECUTE FUNCTION tviews.meta_updated();

CREATE VIEW @extschema@.pg_tview_meta_audit AS
SELECT a.at AS performed_at, a.operation, tviews.entity(a.name::name) AS entity, tviews.entity(a.name::name) AS entity_name,
       a.tview AS tview_oid, a.schema AS schema_name, a.role AS performed_by, a.definition
  FROM tviews.audit a;
COMMENT ON VIEW @extschema@.pg_tview_meta_audit IS 'which TVIEWs were defined and dropped, when, and by whom';
GRANT SELECT ON @extschema@.pg_tview_meta_audit TO PUBLIC;

CREATE VIEW @extschema@.pg_tview_queue AS
SELECT tviews.entity(c.relname) AS entity,
       c.oid AS tview_oid,
       COALESCE(b.tview, p.base_table)::oid AS table_oid,
       COALESCE(b.tview, p.base_table)::regclass::text AS base_table,
       -- A table that is read by several stages is listed once.
       max(p.inserted) AS inserted,
       max(p.deleted) AS deleted
  FROM tviews.pending() p
  JOIN tviews.part r ON r.relation = p.tview
  JOIN pg_class c ON c.oid = r.tview
  LEFT JOIN tviews.part b ON b.relation = p.base_table
 GROUP BY 1, 2, 3, 4;
COMMENT ON VIEW @extschema@.pg_tview_queue IS 'changes of this transaction that TVIEWs have not followed yet';
GRANT SELECT ON @extschema@.pg_tview_queue TO PUBLIC;

CREATE VIEW @extschema@.pg_tviews_queue_realtime AS
SELECT current_setting('application_name') AS session,
       pg_backend_pid() AS backend_pid,
       pg_current_xact_id_if_assigned() AS transaction_id,
       (SELECT count(*) FROM @extschema@.pg_tview_queue) AS queue_size,
       ARRAY(SELECT DISTINCT q.entity FROM @extschema@.pg_tview_queue q ORDER BY 1) AS entities,
       tviews.last_change() AS last_enqueued;
COMMENT ON VIEW @extschema@.pg_tviews_queue_realtime IS 'the queue of this session, as one row';
GRANT SELECT ON @extschema@.pg_tviews_queue_realtime TO PUBLIC;

CREATE VIEW @extschema@.pg_tviews_cache_stats AS
SELECT c.cache AS cache_type, c.entries, pg_size_pretty(c.bytes) AS estimated_size FROM tviews.caches() c;
COMMENT ON VIEW @extschema@.pg_tviews_cache_stats IS 'what this session keeps in memory about TVIEWs';
GRANT SELECT ON @extschema@.pg_tviews_cache_stats TO PUBLIC;

CREATE VIEW @extschema@.pg_tviews_performance_summary AS
SELECT h.hour,
       h.flushes AS total_refreshes,
       h.rows_inserted + h.rows_updated + h.rows_deleted AS rows_changed,
       h.full_recomputes AS full_refreshes,
       h.flush_time AS total_refresh_ms,
       h.flush_time / NULLIF(h.flushes, 0) AS avg_refresh_ms,
       h.lock_wait_time AS lock_wait_ms
  FROM tviews.stat_hours() h
 ORDER BY h.hour DESC;
COMMENT ON VIEW @extschema@.pg_tviews_performance_summary IS 'what keeping TVIEWs exact has done and cost, by hour';
GRANT SELECT ON @extschema@.pg_tviews_performance_summary TO PUBLIC;
