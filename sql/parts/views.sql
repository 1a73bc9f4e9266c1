CREATE VIEW tviews.tviews AS
SELECT n.nspname AS schema,
       c.relname AS name,
       pg_catalog.pg_get_userbyid(c.relowner) AS owner,
       c.reloptions AS options,
       CASE WHEN 'catching_up=true' = ANY (c.reloptions) THEN 'catching up' ELSE coalesce((SELECT o.option_value FROM pg_catalog.pg_options_to_table(c.reloptions) o WHERE o.option_name = 'refresh'), 'commit') END AS refresh,
       (SELECT pg_catalog.jsonb_object_agg(s.base_table::text, s.strategy ORDER BY s.base_table::text)
          FROM tviews.strategies_of(c.oid) s) AS strategies,
       ARRAY(WITH RECURSIVE part (relation) AS (
                 SELECT c.oid
                 UNION ALL
                 SELECT s.stage FROM part p JOIN tviews.stage s ON s.tview = p.relation)
             SELECT b.base_table
               FROM (SELECT DISTINCT s.source::regclass AS base_table
                       FROM part p JOIN tviews.source s ON s.tview = p.relation
                      WHERE NOT EXISTS (SELECT FROM tviews.stage g WHERE g.stage = s.source)) b
              ORDER BY b.base_table::text) AS base_tables,
       c.relispopulated AS populated,
       c.relpersistence = 'p' AS logged,
       tviews.size_of(c.oid) AS size,
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
COMMENT ON VIEW tviews.tviews IS 'TVIEWs of this database, with their options, strategies and sizes';

CREATE VIEW tviews.stat AS
SELECT c.oid::regclass AS tview, s.*
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_am a ON a.oid = c.relam
 CROSS JOIN LATERAL tviews.stat_of(c.oid) s
 WHERE a.amname = 'tview' AND c.relkind = 'm'
   AND c.relnamespace <> 'pg_toast_tviews'::regnamespace;

GRANT SELECT ON tviews.stat TO PUBLIC;
COMMENT ON VIEW tviews.stat IS 'what keeping each TVIEW exact has done and cost';

CREATE VIEW tviews.staleness AS
SELECT b.tview, b.refreshed_at, b.snapshot::pg_snapshot AS snapshot, b.rows_behind, b.transactions_behind,
       CASE WHEN b.rows_behind = 0 THEN 0 ELSE extract(epoch FROM pg_catalog.clock_timestamp() - b.since)::double precision END AS seconds_behind,
       b.bound,
       CASE WHEN b.bound IS NOT NULL
            THEN b.rows_behind = 0 OR extract(epoch FROM pg_catalog.clock_timestamp() - b.since) <= b.bound END AS met,
       b.paused, b.errors, b.last_error
  FROM tviews.behind() b;

GRANT SELECT ON tviews.staleness TO PUBLIC;
COMMENT ON VIEW tviews.staleness IS 'how far each deferred TVIEW is behind';

CREATE VIEW tviews.capture AS
SELECT l.source::regclass AS base_table,
       CASE WHEN c.relkind = 'm' THEN 'flush' WHEN w.source IS NULL THEN 'trigger' WHEN w.ends IS NULL THEN 'wal' ELSE 'trigger, wal' END AS captured_by,
       s.slot_name, s.active, s.wal_status, s.confirmed_flush_lsn,
       CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.confirmed_flush_lsn)::bigint END AS lag_bytes,
       CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)::bigint END AS retained_bytes,
       tviews.size_of(l.first) + tviews.size_of(l.second) AS log_bytes
  FROM tviews.log l
  JOIN pg_catalog.pg_class c ON c.oid = l.source
  LEFT JOIN tviews.wal w ON w.source = l.source
  LEFT JOIN pg_catalog.pg_replication_slots s
         ON w.source IS NOT NULL AND s.slot_name = 'pg_tviews_' || (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database());

GRANT SELECT ON tviews.capture TO PUBLIC;
COMMENT ON VIEW tviews.capture IS 'how changes of each table that deferred TVIEWs read are captured, and the replication slot';

-- Messages of errors can contain data of the tables.
CREATE VIEW tviews.refresh_history AS
SELECT h.tview::regclass AS tview, h.started, h.finished, h.finished - h.started AS duration, h.initiator, h.action, h.reason,
       CASE WHEN h.error IS NULL THEN 'ok' ELSE 'failed' END AS status,
       h.changed_rows, h.rows_inserted, h.rows_updated, h.rows_deleted, h.lag, h.snapshot::pg_snapshot AS snapshot,
       CASE WHEN pg_catalog.pg_has_role(c.relowner, 'USAGE') OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') THEN h.error END AS error
  FROM tviews.history h JOIN pg_catalog.pg_class c ON c.oid = h.tview;

GRANT SELECT ON tviews.refresh_history TO PUBLIC;
COMMENT ON VIEW tviews.refresh_history IS 'refreshes of deferred TVIEWs, each with what it did, how long it took, and its error';

CREATE VIEW tviews.progress AS
SELECT r.pid, d.datname, r.relid,
       CASE WHEN d.datname = pg_catalog.current_database() THEN r.relid::regclass END AS tview,
       r.tviews_total, r.tviews_done, r.tviews_failed, r.started_at
  FROM tviews.recovery() r LEFT JOIN pg_catalog.pg_database d ON d.oid = r.datid;

GRANT SELECT ON tviews.progress TO PUBLIC;
COMMENT ON VIEW tviews.progress IS 'the recovery that computes TVIEWs anew after a crash, while it runs';

CREATE VIEW tviews.progress_concurrently AS
SELECT p.pid, d.datname, p.relid,
       CASE WHEN d.datname = pg_catalog.current_database() THEN p.relid::regclass END AS tview,
       p.phase, p.rows_written, p.started_at
  FROM tviews.populations() p LEFT JOIN pg_catalog.pg_database d ON d.oid = p.datid;

GRANT SELECT ON tviews.progress_concurrently TO PUBLIC;
COMMENT ON VIEW tviews.progress_concurrently IS 'REFRESH … CONCURRENTLY that populates, and the procedures that end with _concurrently, while they run';

-- Who holds and who waits for locks of flushes. The numbers are those of src/refresh/follow/locks.rs.
CREATE VIEW tviews.locks AS
WITH lock AS (
    SELECT l.pid, l.classid AS relation, l.objid, l.objsubid, l.mode, l.granted, l.waitstart
      FROM pg_catalog.pg_locks l
      JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
     WHERE l.locktype = 'advisory' AND l.objsubid BETWEEN 29697 AND 29703
    UNION ALL
    SELECT l.pid, g.stands_for[1]::oid, g.stands_for[2]::oid, g.stands_for[3]::int, l.mode, l.granted, l.waitstart
      FROM pg_catalog.pg_locks l
      JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
     CROSS JOIN LATERAL (SELECT tviews.lock_of(l.relation) AS stands_for OFFSET 0) g
     WHERE l.locktype = 'relation' AND l.relation::bigint >= 2147483648 AND g.stands_for IS NOT NULL
    UNION ALL
    SELECT l.pid, l.relation, NULL, 0, l.mode, l.granted, l.waitstart
      FROM pg_catalog.pg_locks l
      JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
      JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relkind = 'm'
      JOIN pg_catalog.pg_am a ON a.oid = c.relam AND a.amname = 'tview'
     WHERE l.locktype = 'relation' AND l.mode <> 'AccessShareLock')
SELECT l.pid,
       root.tview::regclass AS tview,
       CASE WHEN root.tview <> l.relation THEN l.relation::regclass END AS stage,
       CASE l.objsubid
            WHEN 0 THEN 'tview'
            WHEN 29697 THEN CASE WHEN l.objid = 0 THEN 'query' ELSE 'table' END
            WHEN 29698 THEN 'key'
            WHEN 29699 THEN 'keys'
            WHEN 29700 THEN 'value'
            WHEN 29701 THEN 'side'
            WHEN 29702 THEN 'meeting'
            WHEN 29703 THEN 'values'
       END AS lock,
       CASE l.objsubid
            WHEN 29697 THEN NULLIF(l.objid, 0)::regclass
            WHEN 29701 THEN tviews.lock_side(l.relation, l.objid::bigint)
       END AS base_table,
       CASE WHEN l.objsubid IN (29698, 29700, 29702) AND NOT l.granted THEN tviews.lock_value(l.pid) END AS value,
       CASE WHEN l.objsubid IN (29698, 29700, 29702) THEN l.objid::bigint END AS hash,
       l.mode,
       l.granted,
       CASE WHEN NOT l.granted THEN pg_catalog.pg_blocking_pids(l.pid) END AS waits_for,
       l.waitstart AS waits_since
  FROM lock l
 CROSS JOIN LATERAL (
        WITH RECURSIVE above AS (
            SELECT l.relation AS tview
            UNION ALL
            SELECT s.tview FROM above a JOIN tviews.stage s ON s.stage = a.tview)
        SELECT a.tview FROM above a WHERE NOT EXISTS (SELECT FROM tviews.stage s WHERE s.stage = a.tview)) root;

GRANT SELECT ON tviews.locks TO PUBLIC;
COMMENT ON VIEW tviews.locks IS 'locks of flushes: who holds them, who waits for whom, and for which values';
