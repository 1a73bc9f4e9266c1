-- From 0.1.0 to 0.2.0: what sql/parts has that sql/pg_tviews--0.1.0.sql has not. regress/t/extension_update.py compares.
\echo Use "ALTER EXTENSION pg_tviews UPDATE TO '0.2.0'" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

-- For pg_upgrade, which cannot take the extension along: the statements that make TVIEWs ordinary materialized views, and TVIEWs again with their
-- options. `number` is an order in which a TVIEW comes after those that it reads: run `after` by it, `before` against it.
CREATE FUNCTION tviews.upgrade_statements() RETURNS TABLE (number bigint, tview regclass, before text, after text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE tview AS (
        SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, c.relpersistence, c.reloptions
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am a ON a.oid = c.relam JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE a.amname = 'tview' AND c.relkind = 'm' AND n.nspname <> 'pg_toast_tviews'
    ), reads AS MATERIALIZED (
        SELECT t.oid AS reader, s.base_table::oid AS source FROM tview t, tviews.strategies(t.oid) s WHERE s.base_table IN (SELECT x.oid FROM tview x)
    ), path AS (
        SELECT t.oid, 0 AS depth FROM tview t
        UNION
        SELECT r.reader, p.depth + 1 FROM path p JOIN reads r ON r.source = p.oid
    ), deepest AS (
        SELECT p.oid, max(p.depth) AS depth FROM path p GROUP BY p.oid
    )
    SELECT pg_catalog.row_number() OVER (ORDER BY d.depth, t.name COLLATE "C"), t.oid::regclass,
           pg_catalog.format('ALTER MATERIALIZED VIEW %s SET ACCESS METHOD heap', t.name),
           pg_catalog.concat_ws(E';\n',
               pg_catalog.format('ALTER MATERIALIZED VIEW %s SET ACCESS METHOD tview', t.name),
               pg_catalog.format('ALTER TVIEW %s SET %s', t.name, CASE t.relpersistence WHEN 'p' THEN 'LOGGED' ELSE 'UNLOGGED' END),
               (SELECT pg_catalog.format('ALTER TVIEW %s SET (%s)', t.name, pg_catalog.string_agg(pg_catalog.format('%I = %L', o.option_name, o.option_value), ', '))
                  FROM pg_catalog.pg_options_to_table(t.reloptions) o WHERE o.option_name NOT IN ('incremental', 'logged', 'catching_up')
                HAVING count(*) > 0)) || ';'
      FROM tview t JOIN deepest d ON d.oid = t.oid
     ORDER BY 1
$$;
COMMENT ON FUNCTION tviews.upgrade_statements() IS 'statements that make TVIEWs ordinary materialized views before pg_upgrade, and TVIEWs again after it';

-- Relations whose changes are taken from WAL from `begins` on; with `ends` they are captured by triggers again from there, and the row goes when WAL
-- has been read so far.
CREATE MATERIALIZED VIEW tviews.wal (source, begins, ends) USING heap
    AS SELECT NULL::oid, NULL::pg_lsn, NULL::pg_lsn WHERE false;
CREATE UNIQUE INDEX wal_key ON tviews.wal (source);

-- Up to where WAL has been read into the logs. A copy of this database has the row of the database that it is a copy of.
CREATE MATERIALIZED VIEW tviews.slot (database, confirmed) USING heap
    AS SELECT NULL::oid, NULL::pg_lsn WHERE false;
CREATE UNIQUE INDEX slot_key ON tviews.slot (database);

-- Strategies of one TVIEW, for views about all of them: none of one that is gone, or locked by another session.
CREATE FUNCTION tviews.strategies_of(tview oid)
    RETURNS TABLE (base_table regclass, strategy text)
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_strategies_of';
COMMENT ON FUNCTION tviews.strategies_of(oid) IS 'strategy of a TVIEW for each relation it reads, without waiting';

-- Sizes for views about all TVIEWs: locks of other sessions are not waited for.
CREATE FUNCTION tviews.file_size(relation oid) RETURNS bigint
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_file_size';
COMMENT ON FUNCTION tviews.file_size(oid) IS 'bytes of the files of a relation, without waiting';

CREATE FUNCTION tviews.size_of(relation oid) RETURNS bigint
    LANGUAGE sql STABLE STRICT
    RETURN (SELECT sum(tviews.file_size(r.oid))::bigint
              FROM pg_catalog.pg_class c
             CROSS JOIN LATERAL (SELECT c.oid
                                  UNION ALL SELECT c.reltoastrelid
                                  UNION ALL SELECT i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid IN (c.oid, c.reltoastrelid)) r
             WHERE c.oid = size_of.relation AND r.oid <> 0);
COMMENT ON FUNCTION tviews.size_of(oid) IS 'bytes of a relation with its indexes and TOAST, without waiting';

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

CREATE OR REPLACE FUNCTION tviews.install_pgstream() RETURNS void LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $install$
BEGIN
    CREATE SCHEMA pgstream;

    -- The relation that a name of theirs stands for: without a schema, in public.
    CREATE FUNCTION pgstream.relation(name text) RETURNS regclass LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        part text[] := parse_ident(name);
        found regclass := to_regclass(CASE cardinality(part) WHEN 1 THEN format('public.%I', part[1]) ELSE format('%I.%I', part[1], part[2]) END);
    BEGIN
        IF found IS NULL OR NOT EXISTS (SELECT FROM tviews.tviews t WHERE format('%I.%I', t.schema, t.name)::regclass = found) THEN
            RAISE undefined_table USING MESSAGE = format('stream table "%s" does not exist', name);
        END IF;
        RETURN found;
    END $$;

    -- The options that stand for a schedule and a mode of theirs.
    CREATE FUNCTION pgstream.options(schedule text, refresh_mode text) RETURNS text LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        mode text := CASE upper(refresh_mode) WHEN 'DIFFERENTIAL' THEN 'auto' WHEN 'AUTO' THEN 'auto' WHEN 'FULL' THEN 'full' WHEN 'IMMEDIATE' THEN 'commit' END;
    BEGIN
        IF mode IS NULL THEN
            RAISE invalid_parameter_value USING MESSAGE = format('invalid refresh mode: "%s"', refresh_mode),
                HINT = 'Valid values are "DIFFERENTIAL", "FULL", "AUTO", "IMMEDIATE".';
        END IF;
        RETURN CASE WHEN mode = 'commit' THEN 'refresh = commit'
                    WHEN schedule IS NULL THEN format('refresh = manual, mode = %s', mode)
                    ELSE format('refresh = deferred, schedule = %L, mode = %s', schedule, mode) END;
    END $$;

    -- Under the caller's search_path, which the query is written for.
    CREATE FUNCTION pgstream.create_stream_table(name text, query text, schedule text DEFAULT '1m', refresh_mode text DEFAULT 'DIFFERENTIAL',
                                                 initialize boolean DEFAULT true) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        part text[] := pg_catalog.parse_ident(name);
    BEGIN
        EXECUTE pg_catalog.format('CREATE MATERIALIZED VIEW %I.%I WITH (incremental, %s) AS %s WITH %s DATA',
            CASE pg_catalog.cardinality(part) WHEN 1 THEN 'public' ELSE part[1] END, part[pg_catalog.cardinality(part)],
            pgstream.options(schedule, refresh_mode), pg_catalog.rtrim(query, E'; \n\t'), CASE WHEN initialize THEN '' ELSE 'NO' END);
    END $$;

    -- NULL leaves what it is about as it is.
    CREATE FUNCTION pgstream.alter_stream_table(name text, schedule text DEFAULT NULL, refresh_mode text DEFAULT NULL, status text DEFAULT NULL,
                                                query text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        found pg_catalog.regclass := pgstream.relation(name);
        now record;
    BEGIN
        SELECT t.schedule, t.refresh_mode INTO now FROM pgstream.pgs_stream_tables t WHERE t.pgs_relid = found;
        IF query IS NOT NULL THEN
            EXECUTE pg_catalog.format('DROP MATERIALIZED VIEW %s', found);
            PERFORM pgstream.create_stream_table(name, query, coalesce(schedule, now.schedule), coalesce(refresh_mode, now.refresh_mode));
            found := pgstream.relation(name);
        ELSIF schedule IS NOT NULL OR refresh_mode IS NOT NULL THEN
            EXECUTE pg_catalog.format('ALTER MATERIALIZED VIEW %s SET (%s)', found,
                pgstream.options(coalesce(schedule, now.schedule), coalesce(refresh_mode, now.refresh_mode)));
        END IF;
        IF status IS NOT NULL THEN
            CASE pg_catalog.upper(status)
                WHEN 'ACTIVE' THEN PERFORM tviews.resume(found);
                WHEN 'PAUSED', 'SUSPENDED' THEN PERFORM tviews.pause(found);
                ELSE RAISE invalid_parameter_value USING MESSAGE = pg_catalog.format('invalid status: "%s"', status),
                    HINT = 'Valid values are "ACTIVE", "PAUSED", "SUSPENDED".';
            END CASE;
        END IF;
    END $$;

    CREATE FUNCTION pgstream.drop_stream_table(name text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE pg_catalog.format('DROP MATERIALIZED VIEW %s CASCADE', pgstream.relation(name));
    END $$;

    CREATE FUNCTION pgstream.refresh_stream_table(name text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE pg_catalog.format('REFRESH MATERIALIZED VIEW %s', pgstream.relation(name));
    END $$;

    CREATE FUNCTION pgstream.resume_stream_table(name text) RETURNS void LANGUAGE sql AS 'SELECT tviews.resume(pgstream.relation(name))';

    CREATE VIEW pgstream.pgs_stream_tables AS
    SELECT c.oid::bigint AS pgs_id, c.oid AS pgs_relid, c.relname::text AS pgs_name, n.nspname::text AS pgs_schema,
           pg_get_viewdef(c.oid) AS defining_query,
           CASE t.refresh WHEN 'deferred' THEN coalesce(s.value, '1m') END AS schedule,
           CASE WHEN t.refresh = 'commit' THEN 'IMMEDIATE' WHEN m.value = 'full' THEN 'FULL' ELSE 'DIFFERENTIAL' END AS refresh_mode,
           CASE WHEN NOT c.relispopulated THEN 'INITIALIZING' WHEN b.paused THEN 'SUSPENDED' WHEN b.errors > 0 THEN 'ERROR' ELSE 'ACTIVE' END AS status,
           c.relispopulated AS is_populated,
           CASE WHEN t.refresh = 'commit' AND c.relispopulated OR b.refreshed_at IS NOT NULL AND b.rows_behind = 0 THEN now() ELSE b.refreshed_at END AS data_timestamp,
           coalesce(b.errors, 0) AS consecutive_errors, b.refreshed_at AS last_refresh_at, b.snapshot AS frontier, b.seconds_behind, b.met
      FROM tviews.tviews t
      JOIN pg_namespace n ON n.nspname = t.schema
      JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.name
      LEFT JOIN tviews.staleness b ON b.tview = c.oid
      LEFT JOIN LATERAL (SELECT o.option_value AS value FROM pg_options_to_table(c.reloptions) o WHERE o.option_name = 'schedule') s ON true
      LEFT JOIN LATERAL (SELECT o.option_value AS value FROM pg_options_to_table(c.reloptions) o WHERE o.option_name = 'mode') m ON true;

    CREATE VIEW pgstream.pgs_dependencies AS
    SELECT c.oid::bigint AS pgs_id, s.base_table AS source_relid,
           CASE WHEN EXISTS (SELECT FROM pgstream.pgs_stream_tables t WHERE t.pgs_relid = s.base_table) THEN 'STREAM_TABLE' ELSE 'TABLE' END AS source_type
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN tviews.tviews v ON v.schema = n.nspname AND v.name = c.relname CROSS JOIN LATERAL unnest(v.base_tables) AS s (base_table);

    CREATE VIEW pgstream.stream_tables_info AS
    SELECT t.*, now() - t.data_timestamp AS staleness, NOT t.met AS stale FROM pgstream.pgs_stream_tables t;

    CREATE VIEW pgstream.pgs_refresh_history AS
    SELECT row_number() OVER (ORDER BY h.started) AS refresh_id, h.tview::oid::bigint AS pgs_id, h.started AS data_timestamp, h.started AS start_time, h.finished AS end_time,
           CASE WHEN h.action = 'incremental' THEN 'DIFFERENTIAL' WHEN h.action = 'full' THEN 'FULL' ELSE 'NO_DATA' END AS action,
           CASE h.status WHEN 'ok' THEN 'COMPLETED' ELSE 'FAILED' END AS status, h.rows_inserted + h.rows_updated AS rows_inserted,
           h.rows_deleted + h.rows_updated AS rows_deleted, extract(epoch FROM h.duration)::float8 * 1000 AS duration_ms, h.error AS error_message,
           CASE h.initiator WHEN 'schedule' THEN 'SCHEDULER' ELSE 'MANUAL' END AS initiated_by
      FROM tviews.refresh_history h;

    CREATE VIEW pgstream.pg_stat_stream_tables AS
    SELECT t.pgs_id, t.pgs_schema, t.pgs_name, t.status, t.refresh_mode, t.is_populated, t.data_timestamp, now() - t.data_timestamp AS staleness, t.schedule,
           NOT t.met AS stale, t.last_refresh_at, h.total_refreshes, h.successful_refreshes, h.failed_refreshes, h.total_rows_inserted, h.total_rows_deleted,
           h.avg_duration_ms, l.action AS last_action, l.status AS last_status, l.initiated_by AS last_initiated_by, l.duration_ms AS last_duration_ms,
           t.consecutive_errors, e.error_message AS last_error
      FROM pgstream.pgs_stream_tables t
     CROSS JOIN LATERAL (
           SELECT count(*) AS total_refreshes, count(*) FILTER (WHERE h.status = 'COMPLETED') AS successful_refreshes,
                  count(*) FILTER (WHERE h.status = 'FAILED') AS failed_refreshes, coalesce(sum(h.rows_inserted), 0)::bigint AS total_rows_inserted,
                  coalesce(sum(h.rows_deleted), 0)::bigint AS total_rows_deleted, avg(h.duration_ms) AS avg_duration_ms
             FROM pgstream.pgs_refresh_history h WHERE h.pgs_id = t.pgs_id) h
      LEFT JOIN LATERAL (SELECT * FROM pgstream.pgs_refresh_history h WHERE h.pgs_id = t.pgs_id ORDER BY h.start_time DESC LIMIT 1) l ON true
      LEFT JOIN LATERAL (SELECT h.error_message FROM pgstream.pgs_refresh_history h WHERE h.pgs_id = t.pgs_id AND h.status = 'FAILED'
                          ORDER BY h.start_time DESC LIMIT 1) e ON true;

    CREATE FUNCTION pgstream.pgs_status()
        RETURNS TABLE (name text, status text, refresh_mode text, is_populated boolean, consecutive_errors int, schedule text, data_timestamp timestamptz,
                       staleness interval) LANGUAGE sql STABLE AS $$
        SELECT pg_catalog.format('%I.%I', t.pgs_schema, t.pgs_name), t.status, t.refresh_mode, t.is_populated, t.consecutive_errors, t.schedule, t.data_timestamp,
               pg_catalog.now() - t.data_timestamp
          FROM pgstream.pgs_stream_tables t ORDER BY 1 $$;

    CREATE FUNCTION pgstream.st_refresh_stats()
        RETURNS TABLE (pgs_name text, pgs_schema text, status text, refresh_mode text, is_populated boolean, total_refreshes bigint,
                       successful_refreshes bigint, failed_refreshes bigint, total_rows_inserted bigint, total_rows_deleted bigint, avg_duration_ms float8,
                       last_refresh_action text, last_refresh_status text, last_refresh_at timestamptz, staleness_secs float8, stale boolean)
        LANGUAGE sql STABLE AS $$
        SELECT s.pgs_name, s.pgs_schema, s.status, s.refresh_mode, s.is_populated, s.total_refreshes, s.successful_refreshes, s.failed_refreshes,
               s.total_rows_inserted, s.total_rows_deleted, s.avg_duration_ms, s.last_action, s.last_status, s.last_refresh_at,
               extract(epoch FROM s.staleness)::float8, s.stale
          FROM pgstream.pg_stat_stream_tables s ORDER BY 2, 1 $$;

    CREATE FUNCTION pgstream.get_refresh_history(name text, max_rows int DEFAULT 20)
        RETURNS TABLE (refresh_id bigint, data_timestamp timestamptz, start_time timestamptz, end_time timestamptz, action text, status text,
                       rows_inserted bigint, rows_deleted bigint, duration_ms float8, error_message text) LANGUAGE sql STABLE AS $$
        SELECT h.refresh_id, h.data_timestamp, h.start_time, h.end_time, h.action, h.status, h.rows_inserted, h.rows_deleted, h.duration_ms, h.error_message
          FROM pgstream.pgs_refresh_history h
         WHERE h.pgs_id = pgstream.relation(get_refresh_history.name)::oid::bigint ORDER BY h.start_time DESC LIMIT max_rows $$;

    CREATE FUNCTION pgstream.get_staleness(name text) RETURNS float8 LANGUAGE sql STABLE AS $$
        SELECT extract(epoch FROM pg_catalog.now() - t.data_timestamp)::float8 FROM pgstream.pgs_stream_tables t
         WHERE t.pgs_relid = pgstream.relation(get_staleness.name) $$;

    -- Tables that only streams read may be captured from WAL: one slot for all of them.
    CREATE FUNCTION pgstream.check_cdc_health()
        RETURNS TABLE (source_relid bigint, source_table text, cdc_mode text, slot_name text, lag_bytes bigint, confirmed_lsn text, alert text)
        LANGUAGE sql STABLE AS $$
        SELECT DISTINCT d.source_relid::oid::bigint, d.source_relid::text, CASE WHEN c.captured_by = 'wal' THEN 'WAL' WHEN c.captured_by = 'trigger, wal' THEN 'TRANSITIONING' ELSE 'TRIGGER' END,
               c.slot_name::text, c.lag_bytes, c.confirmed_flush_lsn::text, h.detail
          FROM pgstream.pgs_dependencies d LEFT JOIN tviews.capture c ON c.base_table = d.source_relid
          LEFT JOIN tviews.health() h ON h."check" = 'capture from WAL' AND h.status <> 'ok' AND c.captured_by IN ('wal', 'trigger, wal')
         WHERE d.source_type = 'TABLE' ORDER BY 2 $$;

    CREATE FUNCTION pgstream.slot_health()
        RETURNS TABLE (slot_name text, source_relid bigint, active boolean, retained_wal_bytes bigint, wal_status text) LANGUAGE sql STABLE AS $$
        SELECT c.slot_name::text, c.base_table::oid::bigint, c.active, c.retained_bytes, c.wal_status FROM tviews.capture c WHERE c.slot_name IS NOT NULL ORDER BY 2 $$;

    CREATE FUNCTION pgstream.explain_st(name text) RETURNS TABLE (property text, value text) LANGUAGE sql STABLE AS $$
        SELECT 'Defining Query', t.defining_query FROM pgstream.pgs_stream_tables t WHERE t.pgs_relid = pgstream.relation(explain_st.name)
        UNION ALL SELECT 'Refresh Mode', t.refresh_mode FROM pgstream.pgs_stream_tables t WHERE t.pgs_relid = pgstream.relation(explain_st.name)
        UNION ALL SELECT 'Changes of ' || s.base_table::text, s.strategy || ': ' || s.reason FROM tviews.strategies(pgstream.relation(explain_st.name)) s $$;

    GRANT USAGE ON SCHEMA pgstream TO PUBLIC;
    GRANT SELECT ON ALL TABLES IN SCHEMA pgstream TO PUBLIC;
END $install$;

COMMENT ON VIEW tviews.tviews IS 'TVIEWs of this database, with their options, strategies and sizes';
COMMENT ON VIEW tviews.stat IS 'what keeping each TVIEW exact has done and cost';
COMMENT ON VIEW tviews.staleness IS 'how far each deferred TVIEW is behind';
COMMENT ON VIEW tviews.refresh_history IS 'refreshes of deferred TVIEWs, each with what it did, how long it took, and its error';
COMMENT ON VIEW tviews.progress IS 'the recovery that computes TVIEWs anew after a crash, while it runs';
COMMENT ON VIEW tviews.locks IS 'locks of flushes: who holds them, who waits for whom, and for which values';

-- Convert, rebuild and SET LOGGED while writers go on.
CREATE PROCEDURE tviews.rebuild_concurrently(tview regclass)
    LANGUAGE c AS 'MODULE_PATHNAME', 'tviews_rebuild_concurrently';
COMMENT ON PROCEDURE tviews.rebuild_concurrently(regclass) IS 'computes a TVIEW anew beside it while writers of its tables go on, and then replaces its contents';

CREATE PROCEDURE tviews.convert_concurrently(matview regclass)
    LANGUAGE c AS 'MODULE_PATHNAME', 'tviews_convert_concurrently';
COMMENT ON PROCEDURE tviews.convert_concurrently(regclass) IS 'makes a materialized view a TVIEW while writers of its tables go on';

CREATE PROCEDURE tviews.set_logged_concurrently(tview regclass, logged boolean)
    LANGUAGE c AS 'MODULE_PATHNAME', 'tviews_set_logged_concurrently';
COMMENT ON PROCEDURE tviews.set_logged_concurrently(regclass, boolean) IS 'ALTER TVIEW … SET LOGGED or UNLOGGED while writers of its tables go on';

CREATE FUNCTION tviews.populations()
    RETURNS TABLE (pid int, datid oid, relid oid, phase text, rows_written bigint, started_at timestamptz)
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_populations';
COMMENT ON FUNCTION tviews.populations() IS 'sessions that populate TVIEWs while writers go on, for tviews.progress_concurrently';

CREATE VIEW tviews.progress_concurrently AS
SELECT p.pid, d.datname, p.relid,
       CASE WHEN d.datname = pg_catalog.current_database() THEN p.relid::regclass END AS tview,
       p.phase, p.rows_written, p.started_at
  FROM tviews.populations() p LEFT JOIN pg_catalog.pg_database d ON d.oid = p.datid;

GRANT SELECT ON tviews.progress_concurrently TO PUBLIC;
COMMENT ON VIEW tviews.progress_concurrently IS 'REFRESH … CONCURRENTLY that populates, and the procedures that end with _concurrently, while they run';

-- Locks that nearly all writers take side by side are on numbers of relations that do not exist.
CREATE FUNCTION tviews.lock_of(relation oid) RETURNS bigint[]
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'tviews_lock_of';
COMMENT ON FUNCTION tviews.lock_of(oid) IS 'the TVIEW, number and kind of lock that a relation number in pg_locks and in messages stands for';

CREATE OR REPLACE VIEW tviews.locks AS
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

-- The size of the states, as the server's own aggregates have it: without it the planner takes a hash table of groups for too large.
CREATE OR REPLACE AGGREGATE tviews.state_int8_avg_accum(int8) (
    SFUNC = int8_avg_accum, STYPE = internal, SSPACE = 48, FINALFUNC = int8_avg_serialize, COMBINEFUNC = int8_avg_combine,
    SERIALFUNC = int8_avg_serialize, DESERIALFUNC = int8_avg_deserialize, PARALLEL = SAFE);
CREATE OR REPLACE AGGREGATE tviews.state_numeric_avg_accum(numeric) (
    SFUNC = numeric_avg_accum, STYPE = internal, SSPACE = 128, FINALFUNC = numeric_avg_serialize, COMBINEFUNC = numeric_avg_combine,
    SERIALFUNC = numeric_avg_serialize, DESERIALFUNC = numeric_avg_deserialize, PARALLEL = SAFE);
CREATE OR REPLACE AGGREGATE tviews.state_int2_accum(int2) (
    SFUNC = int2_accum, STYPE = internal, SSPACE = 48, FINALFUNC = numeric_poly_serialize, COMBINEFUNC = numeric_poly_combine,
    SERIALFUNC = numeric_poly_serialize, DESERIALFUNC = numeric_poly_deserialize, PARALLEL = SAFE);
CREATE OR REPLACE AGGREGATE tviews.state_int4_accum(int4) (
    SFUNC = int4_accum, STYPE = internal, SSPACE = 48, FINALFUNC = numeric_poly_serialize, COMBINEFUNC = numeric_poly_combine,
    SERIALFUNC = numeric_poly_serialize, DESERIALFUNC = numeric_poly_deserialize, PARALLEL = SAFE);
CREATE OR REPLACE AGGREGATE tviews.state_int8_accum(int8) (
    SFUNC = int8_accum, STYPE = internal, SSPACE = 128, FINALFUNC = numeric_serialize, COMBINEFUNC = numeric_combine,
    SERIALFUNC = numeric_serialize, DESERIALFUNC = numeric_deserialize, PARALLEL = SAFE);
CREATE OR REPLACE AGGREGATE tviews.state_numeric_accum(numeric) (
    SFUNC = numeric_accum, STYPE = internal, SSPACE = 128, FINALFUNC = numeric_serialize, COMBINEFUNC = numeric_combine,
    SERIALFUNC = numeric_serialize, DESERIALFUNC = numeric_deserialize, PARALLEL = SAFE);
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 170000 THEN
        CREATE OR REPLACE AGGREGATE tviews.state_interval_avg_accum(interval) (
            SFUNC = interval_avg_accum, STYPE = internal, SSPACE = 40, FINALFUNC = interval_avg_serialize,
            COMBINEFUNC = interval_avg_combine, SERIALFUNC = interval_avg_serialize,
            DESERIALFUNC = interval_avg_deserialize, PARALLEL = SAFE);
    END IF;
END $$;

-- The best values of a group and how often each is there: what min and max are when the extremum goes.
CREATE FUNCTION tviews.take_greatest(internal, anyelement) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_take_greatest';
CREATE FUNCTION tviews.take_least(internal, anyelement) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_take_least';
CREATE FUNCTION tviews.top(internal) RETURNS bytea
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_top';
CREATE FUNCTION tviews.top_combine(internal, internal) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_top_combine';
CREATE FUNCTION tviews.top_serialize(internal) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_top_serialize';
CREATE FUNCTION tviews.top_deserialize(bytea, internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_top_deserialize';
CREATE AGGREGATE tviews.state_greatest(anyelement) (
    SFUNC = tviews.take_greatest, STYPE = internal, SSPACE = 128, FINALFUNC = tviews.top, COMBINEFUNC = tviews.top_combine,
    SERIALFUNC = tviews.top_serialize, DESERIALFUNC = tviews.top_deserialize, PARALLEL = SAFE);
CREATE AGGREGATE tviews.state_least(anyelement) (
    SFUNC = tviews.take_least, STYPE = internal, SSPACE = 128, FINALFUNC = tviews.top, COMBINEFUNC = tviews.top_combine,
    SERIALFUNC = tviews.top_serialize, DESERIALFUNC = tviews.top_deserialize, PARALLEL = SAFE);

-- Views about all TVIEWs wait for no lock of another session.
CREATE OR REPLACE VIEW tviews.tviews AS
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

CREATE OR REPLACE FUNCTION tviews.graph(format text DEFAULT 'mermaid') RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    nodes jsonb;
    edges jsonb;
BEGIN
    IF format NOT IN ('mermaid', 'dot', 'json') THEN
        RAISE EXCEPTION 'unrecognized graph format "%"', format
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Valid formats are "mermaid", "dot" and "json".';
    END IF;
    WITH tview AS MATERIALIZED (
        SELECT c.oid, t.base_tables, t.strategies
          FROM tviews.tviews t JOIN pg_namespace n ON n.nspname = t.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.name
    ), edge AS (
        -- A TVIEW that another session has locked says which relations it reads, and not how.
        SELECT b::oid AS source, t.oid AS tview, coalesce(t.strategies ->> b::text, 'locked') AS strategy FROM tview t, unnest(t.base_tables) b
    ), node AS (
        SELECT x.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, CASE WHEN x.oid IN (SELECT t.oid FROM tview t) THEN 'tview' ELSE 'table' END AS kind
          FROM (SELECT t.oid FROM tview t UNION SELECT e.source FROM edge e) x
          JOIN pg_class c ON c.oid = x.oid JOIN pg_namespace n ON n.oid = c.relnamespace
    ), numbered AS (
        SELECT row_number() OVER (ORDER BY n.kind, n.name COLLATE "C") AS number, n.oid, n.name, n.kind FROM node n
    )
    SELECT (SELECT jsonb_agg(jsonb_build_object('number', n.number, 'name', n.name, 'kind', n.kind) ORDER BY n.number) FROM numbered n),
           (SELECT jsonb_agg(jsonb_build_object('from', a.number, 'to', b.number, 'source', a.name, 'tview', b.name, 'strategy', e.strategy)
                             ORDER BY b.number, a.number)
              FROM edge e JOIN numbered a ON a.oid = e.source JOIN numbered b ON b.oid = e.tview)
      INTO nodes, edges;
    nodes := coalesce(nodes, '[]');
    edges := coalesce(edges, '[]');
    RETURN CASE format
        WHEN 'json' THEN jsonb_pretty(jsonb_build_object(
            'nodes', (SELECT coalesce(jsonb_agg(n - 'number'), '[]') FROM jsonb_array_elements(nodes) n),
            'edges', (SELECT coalesce(jsonb_agg(jsonb_build_object('from', e -> 'source', 'to', e -> 'tview', 'strategy', e -> 'strategy')), '[]')
                        FROM jsonb_array_elements(edges) e)))
        WHEN 'dot' THEN concat_ws(E'\n', 'digraph tviews {', '    rankdir = LR;',
            (SELECT string_agg(pg_catalog.format('    n%s [label="%s", shape=%s];', n ->> 'number',
                        translate(replace(replace(n ->> 'name', '\', '\\'), '"', '\"'), E'\n\r', '  '),
                        CASE n ->> 'kind' WHEN 'table' THEN 'box' ELSE 'ellipse' END), E'\n')
               FROM jsonb_array_elements(nodes) n),
            (SELECT string_agg(pg_catalog.format('    n%s -> n%s [label="%s"];', e ->> 'from', e ->> 'to', e ->> 'strategy'), E'\n')
               FROM jsonb_array_elements(edges) e), '}')
        ELSE concat_ws(E'\n', 'graph LR',
            (SELECT string_agg(pg_catalog.format(CASE n ->> 'kind' WHEN 'table' THEN '    n%s["%s"]' ELSE '    n%s(["%s"])' END, n ->> 'number',
                        translate(replace(replace(n ->> 'name', '#', '#35;'), '"', '#quot;'), E'\n\r', '  ')), E'\n')
               FROM jsonb_array_elements(nodes) n),
            (SELECT string_agg(pg_catalog.format('    n%s -->|%s| n%s', e ->> 'from', e ->> 'strategy', e ->> 'to'), E'\n')
               FROM jsonb_array_elements(edges) e))
    END;
END $$;

CREATE OR REPLACE FUNCTION @extschema@.pg_tviews_performance_stats()
    RETURNS TABLE (entity text, table_size text, total_size text, row_count bigint, index_count int, refreshes bigint,
                   rows_changed bigint, avg_refresh_ms double precision)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT m.entity, c.oid, format('%I.%I', m.schema_name, c.relname) AS tview, s.flushes, s.rows_inserted + s.rows_updated + s.rows_deleted AS changed, s.flush_time,
               c.relispopulated AND has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(c.relnamespace, 'USAGE')
                   AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery()) AS may_count
          FROM @extschema@.pg_tview_meta m JOIN pg_class c ON c.oid = m.tview_oid JOIN tviews.stat s ON s.tview = c.oid
         ORDER BY m.entity, c.oid
    LOOP
        entity := one.entity;
        table_size := pg_size_pretty(pg_table_size(one.oid));
        total_size := pg_size_pretty(pg_total_relation_size(one.oid));
        index_count := (SELECT count(*) FROM pg_index i WHERE i.indrelid = one.oid);
        row_count := NULL;
        IF one.may_count THEN
            BEGIN
                EXECUTE format('SELECT count(*) FROM %s', one.tview) INTO row_count;
            EXCEPTION WHEN undefined_table OR invalid_schema_name OR object_not_in_prerequisite_state THEN
                -- Dropped or emptied meanwhile.
                row_count := NULL;
            END;
        END IF;
        refreshes := one.flushes;
        rows_changed := one.changed;
        avg_refresh_ms := one.flush_time / NULLIF(one.flushes, 0);
        RETURN NEXT;
    END LOOP;
END $$;
