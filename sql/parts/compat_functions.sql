-- Functions of the interface of pg_tviews. They run with the rights of their caller. Those that take names or queries read them with the
-- caller's search_path, so they set none: they are in C, or their bodies were parsed with the path of this script.

CREATE FUNCTION @extschema@.pg_tviews_version() RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pg_tviews_version';
COMMENT ON FUNCTION @extschema@.pg_tviews_version() IS 'version of the library';

CREATE FUNCTION @extschema@.pg_tviews_hook_status() RETURNS text
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'pg_tviews_hook_status';
COMMENT ON FUNCTION @extschema@.pg_tviews_hook_status() IS 'who has loaded the library, and whether the parser is extended';

CREATE FUNCTION @extschema@.pg_tviews_check_jsonb_delta() RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'jsonb_delta') $$;
COMMENT ON FUNCTION @extschema@.pg_tviews_check_jsonb_delta() IS 'whether extension jsonb_delta is installed, which TVIEWs do not need';

CREATE FUNCTION @extschema@.pg_tviews_create(name text, query text) RETURNS text
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'pg_tviews_create';
COMMENT ON FUNCTION @extschema@.pg_tviews_create(text, text) IS 'creates a TVIEW, or gives it another query';

CREATE FUNCTION @extschema@.pg_tviews_drop(name text, if_exists boolean DEFAULT false, "cascade" boolean DEFAULT false) RETURNS text
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'pg_tviews_drop';
COMMENT ON FUNCTION @extschema@.pg_tviews_drop(text, boolean, boolean) IS 'drops a TVIEW';

CREATE FUNCTION @extschema@.pg_tviews_refresh(name text) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'pg_tviews_refresh';
COMMENT ON FUNCTION @extschema@.pg_tviews_refresh(text) IS 'REFRESH MATERIALIZED VIEW of a TVIEW';

CREATE FUNCTION @extschema@.pg_tviews_refresh_all() RETURNS jsonb
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    entities text[] := ARRAY(SELECT tviews.entity(c.relname)
                               FROM tviews.flush_order() o JOIN pg_class c ON c.oid = o.tview
                              WHERE o.tview IN (SELECT q.tview_oid FROM @extschema@.pg_tview_queue q)
                              ORDER BY o.number);
    started timestamptz := clock_timestamp();
BEGIN
    PERFORM tviews.flush();
    RETURN jsonb_build_object('refreshed_count', cardinality(entities), 'order', entities,
                              'duration_ms', extract(epoch FROM clock_timestamp() - started) * 1000);
END $$;
COMMENT ON FUNCTION @extschema@.pg_tviews_refresh_all() IS 'applies the pending changes of this transaction to all TVIEWs';

CREATE FUNCTION @extschema@.pg_tviews_recover_after_crash(name text) RETURNS boolean
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'pg_tviews_recover_after_crash';
COMMENT ON FUNCTION @extschema@.pg_tviews_recover_after_crash(text) IS 'computes a TVIEW anew if a crash has emptied it, and says whether it had to';

-- Suspension: src/queue/suspension.rs.
CREATE FUNCTION @extschema@.pg_tviews_suspend_triggers() RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'pg_tviews_suspend_triggers';
COMMENT ON FUNCTION @extschema@.pg_tviews_suspend_triggers() IS 'lets changes of this transaction wait until the matching resume, or commit';

CREATE FUNCTION @extschema@.pg_tviews_resume_triggers() RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'pg_tviews_resume_triggers';
COMMENT ON FUNCTION @extschema@.pg_tviews_resume_triggers() IS 'ends a suspension; the last one applies what is pending';

CREATE FUNCTION @extschema@.pg_tviews_is_suspended() RETURNS boolean
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'pg_tviews_is_suspended';
COMMENT ON FUNCTION @extschema@.pg_tviews_is_suspended() IS 'whether this transaction has suspended its TVIEWs';

CREATE FUNCTION @extschema@.pg_tviews_suspended_entities() RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT ARRAY(SELECT tviews.entity(c.relname)
                   FROM tviews.flush_order() o JOIN pg_class c ON c.oid = o.tview
                  WHERE @extschema@.pg_tviews_is_suspended() AND o.tview IN (SELECT q.tview_oid FROM @extschema@.pg_tview_queue q)
                  ORDER BY o.number) $$;
COMMENT ON FUNCTION @extschema@.pg_tviews_suspended_entities() IS 'TVIEWs with changes that wait for the end of the suspension';

-- Statement triggers are there while a TVIEW reads the table, and nowhere else.
CREATE FUNCTION @extschema@.pg_tviews_install_stmt_triggers() RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('statement triggers cover %s', CASE count(DISTINCT t.tgrelid) WHEN 1 THEN '1 table' ELSE count(DISTINCT t.tgrelid) || ' tables' END)
      FROM pg_trigger t WHERE t.tgfoid = 'tviews.capture'::regproc $$;
COMMENT ON FUNCTION @extschema@.pg_tviews_install_stmt_triggers() IS 'how many tables statement triggers cover';

CREATE FUNCTION @extschema@.pg_tviews_uninstall_stmt_triggers() RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE NOTICE 'statement triggers stay while a TVIEW reads the table';
    RETURN @extschema@.pg_tviews_install_stmt_triggers();
END $$;
COMMENT ON FUNCTION @extschema@.pg_tviews_uninstall_stmt_triggers() IS 'how many tables statement triggers cover; none is removed';

CREATE FUNCTION @extschema@.pg_tviews_health_check() RETURNS TABLE (status text, component text, message text, severity text)
    LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'OK', 'extension', 'pg_tviews ' || @extschema@.pg_tviews_version(), 'info'
    UNION ALL
    SELECT upper(h.status), h."check", concat_ws('. ', h.detail, h.hint),
           CASE h.status WHEN 'ok' THEN 'info' ELSE h.status END
      FROM tviews.health() h $$;
COMMENT ON FUNCTION @extschema@.pg_tviews_health_check() IS 'whether everything that TVIEWs need is in place';

CREATE FUNCTION @extschema@.pg_tviews_analyze_select(sql text) RETURNS jsonb
    LANGUAGE sql BEGIN ATOMIC
    SELECT jsonb_build_object(
        'pk_column', min(o.name) FILTER (WHERE starts_with(o.name, 'pk_')),
        'id_column', min(o.name) FILTER (WHERE o.name = 'id'),
        'identifier_column', min(o.name) FILTER (WHERE o.name = 'identifier'),
        'data_column', min(o.name) FILTER (WHERE o.name = 'data'),
        'fk_columns', COALESCE(jsonb_agg(o.name ORDER BY o.number) FILTER (WHERE starts_with(o.name, 'fk_')), '[]'),
        'uuid_fk_columns', COALESCE(jsonb_agg(o.name ORDER BY o.number) FILTER (WHERE o.type = 'uuid' AND o.name LIKE '%\_id'), '[]'),
        'columns', COALESCE(jsonb_agg(jsonb_build_object('name', o.name, 'type', o.type) ORDER BY o.number), '[]'),
        'entity_name', substr(min(o.name) FILTER (WHERE starts_with(o.name, 'pk_')), 4),
        'base_tables', (SELECT COALESCE(jsonb_object_agg(c.base_table::text, c.strategy), '{}') FROM tviews.check(pg_tviews_analyze_select.sql) c))
      FROM tviews.output(pg_tviews_analyze_select.sql) o;
    END;
COMMENT ON FUNCTION @extschema@.pg_tviews_analyze_select(text) IS 'columns of a query by convention and type, and the strategy for each table';

CREATE FUNCTION tviews.column_types(relation regclass, columns text[]) RETURNS jsonb
    LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    types jsonb := (SELECT COALESCE(jsonb_object_agg(a.attname, format_type(a.atttypid, a.atttypmod)), '{}')
                      FROM pg_attribute a
                     WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attname = ANY (columns));
    missing text := (SELECT c FROM unnest(columns) c WHERE NOT types ? c LIMIT 1);
BEGIN
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'column "%" of relation "%" does not exist', missing, (SELECT relname FROM pg_class WHERE oid = relation)
            USING ERRCODE = 'undefined_column';
    END IF;
    RETURN types;
END $$;

CREATE FUNCTION @extschema@.pg_tviews_infer_types(tbl text, cols text[]) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN tviews.column_types(tbl::regclass, cols);
COMMENT ON FUNCTION @extschema@.pg_tviews_infer_types(text, text[]) IS 'types of columns of a relation';

-- An entity depends on another one if its query reads the other's TVIEW, or the other's table by the convention tb_post.
CREATE FUNCTION tviews.cascade_path(tview regclass) RETURNS TABLE (depth int, entity_name text, depends_on text)
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE known AS MATERIALIZED (
        SELECT m.tview_oid, m.entity_name, m.dependencies,
               (SELECT b.oid FROM pg_class b JOIN pg_namespace n ON n.oid = b.relnamespace
                 WHERE n.nspname = m.schema_name AND b.relname = 'tb_' || m.entity) AS base
          FROM @extschema@.pg_tview_meta m),
    stands_for (tview_oid, relation) AS (
        SELECT k.tview_oid, k.tview_oid FROM known k UNION ALL SELECT k.tview_oid, k.base FROM known k WHERE k.base IS NOT NULL),
    reads (tview_oid, relation) AS (SELECT k.tview_oid, d FROM known k, unnest(k.dependencies) d),
    edge (below, above) AS MATERIALIZED (
        SELECT DISTINCT s.tview_oid, r.tview_oid FROM stands_for s JOIN reads r USING (relation) WHERE s.tview_oid <> r.tview_oid),
    -- Two entities that read each other's tables are a circle.
    reached (depth, tview_oid) AS (
        SELECT 0, tview::oid
        UNION
        SELECT r.depth + 1, e.above FROM reached r JOIN edge e ON e.below = r.tview_oid WHERE r.depth < (SELECT count(*) FROM known)),
    nearest AS (SELECT min(r.depth) AS depth, r.tview_oid FROM reached r GROUP BY r.tview_oid)
    SELECT 0, k.entity_name, NULL FROM known k WHERE k.tview_oid = tview
    UNION ALL
    SELECT n.depth + 1, a.entity_name, b.entity_name
      FROM nearest n
      JOIN edge e ON e.below = n.tview_oid
      JOIN known a ON a.tview_oid = e.above
      JOIN known b ON b.tview_oid = e.below
     WHERE e.above <> tview
     ORDER BY 1, 2, 3 $$;

CREATE FUNCTION @extschema@.pg_tviews_show_cascade_path(name text) RETURNS TABLE (depth int, entity_name text, depends_on text)
    LANGUAGE sql STABLE BEGIN ATOMIC
    SELECT p.depth, p.entity_name, p.depends_on FROM tviews.cascade_path(tviews.named(name)) p;
    END;
COMMENT ON FUNCTION @extschema@.pg_tviews_show_cascade_path(text) IS 'entities whose TVIEWs change with an entity, and through which one';

CREATE FUNCTION @extschema@.pg_tviews_queue_stats() RETURNS jsonb
    LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object(
        'queue_size', (SELECT count(*) FROM @extschema@.pg_tview_queue),
        'pending_entities', (SELECT count(DISTINCT q.tview_oid) FROM @extschema@.pg_tview_queue q),
        'suspended', @extschema@.pg_tviews_is_suspended(),
        'total_refreshes', COALESCE(sum(s.flushes), 0),
        'rows_inserted', COALESCE(sum(s.rows_inserted), 0),
        'rows_updated', COALESCE(sum(s.rows_updated), 0),
        'rows_deleted', COALESCE(sum(s.rows_deleted), 0),
        'full_refreshes', COALESCE(sum(s.full_recomputes), 0),
        'total_timing_ms', COALESCE(sum(s.flush_time), 0),
        'lock_wait_ms', COALESCE(sum(s.lock_wait_time), 0),
        'stats_reset', max(s.stats_reset))
      FROM tviews.stat s $$;
COMMENT ON FUNCTION @extschema@.pg_tviews_queue_stats() IS 'the queue of this transaction, and sums over all TVIEWs since the counters were reset';

CREATE FUNCTION @extschema@.pg_tviews_debug_queue() RETURNS jsonb
    LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT COALESCE(jsonb_agg(to_jsonb(q) ORDER BY q.entity, q.base_table), '[]') FROM @extschema@.pg_tview_queue q $$;
COMMENT ON FUNCTION @extschema@.pg_tviews_debug_queue() IS 'the rows of pg_tview_queue';

CREATE FUNCTION @extschema@.pg_tviews_performance_stats()
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
COMMENT ON FUNCTION @extschema@.pg_tviews_performance_stats() IS 'sizes, rows and cost of each TVIEW; rows are counted where the caller may read';

-- Prepared transactions: src/compat/prepared.rs.
CREATE FUNCTION @extschema@.pg_tviews_commit_prepared(gid text) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'pg_tviews_commit_prepared';
COMMENT ON FUNCTION @extschema@.pg_tviews_commit_prepared(text) IS 'COMMIT PREPARED, by a background worker';

CREATE FUNCTION @extschema@.pg_tviews_rollback_prepared(gid text) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'pg_tviews_rollback_prepared';
COMMENT ON FUNCTION @extschema@.pg_tviews_rollback_prepared(text) IS 'ROLLBACK PREPARED, by a background worker';

-- A flush locks the TVIEWs that it writes, and a prepared transaction keeps its locks.
CREATE FUNCTION @extschema@.pg_tviews_recover_prepared_transactions()
    RETURNS TABLE (gid text, entities text[], owner name, prepared timestamptz, age interval)
    LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT x.gid, array_agg(DISTINCT tviews.entity(c.relname)), x.owner, x.prepared, clock_timestamp() - x.prepared
      FROM pg_prepared_xacts x
      JOIN pg_locks own ON own.locktype = 'transactionid' AND own.transactionid = x.transaction AND own.mode = 'ExclusiveLock' AND own.granted
      JOIN pg_locks l ON l.virtualtransaction = own.virtualtransaction AND l.locktype = 'relation' AND l.pid IS NULL
           AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
           AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      JOIN tviews.part p ON p.relation = l.relation
      JOIN pg_class c ON c.oid = p.tview
     WHERE x.database = current_database()
     GROUP BY x.gid, x.owner, x.prepared
     ORDER BY x.prepared $$;
COMMENT ON FUNCTION @extschema@.pg_tviews_recover_prepared_transactions() IS 'prepared transactions of this database that have changed TVIEWs';
