-- The interface of pg_stream, for who has scripts for it: made by SELECT tviews.install_pgstream(), as objects of the caller.
CREATE FUNCTION tviews.install_pgstream() RETURNS void LANGUAGE plpgsql
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
REVOKE ALL ON FUNCTION tviews.install_pgstream() FROM PUBLIC;
COMMENT ON FUNCTION tviews.install_pgstream() IS 'makes the schema pgstream with the interface of pg_stream';
