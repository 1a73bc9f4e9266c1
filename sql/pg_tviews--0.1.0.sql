\echo Use "CREATE EXTENSION pg_tviews" to load this file. \quit

-- schema.sql
-- Schema and stored facts. Everything else about a TVIEW is in the server's own catalogs.
\echo Use "CREATE EXTENSION pg_tviews" to load this file. \quit

-- The schema of CREATE EXTENSION, where anybody may have put functions, is not searched while objects are made.
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE SCHEMA tviews;
GRANT USAGE ON SCHEMA tviews TO PUBLIC;

-- The tables of the extension are materialized views that nobody refreshes, stored by heap: publications FOR ALL TABLES and for schemas leave
-- these out, statements of users cannot write to them, and rows of another server cannot arrive in them. The library writes them.

-- Which relations each TVIEW reads; columns are attribute numbers, 0 is the whole row; `written`: the SQL that follows changes of the relation
-- was read as the query it was made from.
CREATE MATERIALIZED VIEW tviews.source (tview, source, columns, written) USING heap
    AS SELECT NULL::oid, NULL::oid, NULL::int2[], NULL::boolean WHERE false;
CREATE UNIQUE INDEX source_key ON tviews.source (tview, source);

-- Internal TVIEWs that a TVIEW is computed from, in order. They live in a schema that tools take for one of the server's. `joined` is the
-- key by which a stage is joined to its sister stages, when it is one of several for windows; otherwise empty.
SET LOCAL allow_system_table_mods = on;
CREATE SCHEMA pg_toast_tviews;
SET LOCAL allow_system_table_mods = off;
GRANT USAGE ON SCHEMA pg_toast_tviews TO PUBLIC;
CREATE MATERIALIZED VIEW tviews.stage (tview, number, stage, joined) USING heap
    AS SELECT NULL::oid, NULL::int2, NULL::oid, NULL::text WHERE false;
CREATE UNIQUE INDEX stage_key ON tviews.stage (tview, number);
CREATE UNIQUE INDEX stage_stage ON tviews.stage (stage);

-- Of TVIEWs that follow later than at commit: for which snapshot the contents are exact, and how much of its own transaction came with it.
CREATE MATERIALIZED VIEW tviews.frontier (tview, snapshot, own, part, at) USING heap
    AS SELECT NULL::oid, NULL::pg_snapshot, NULL::xid8, NULL::int4, NULL::timestamptz WHERE false;
CREATE UNIQUE INDEX frontier_key ON tviews.frontier (tview);

-- Deferred TVIEWs that are paused, or whose last refresh failed.
CREATE MATERIALIZED VIEW tviews.job (tview, paused, errors, error, failed_at) USING heap
    AS SELECT NULL::oid, NULL::boolean, NULL::int4, NULL::text, NULL::timestamptz WHERE false;
CREATE UNIQUE INDEX job_key ON tviews.job (tview);

-- What refreshes have done, those that had nothing to do left out.
CREATE MATERIALIZED VIEW tviews.history (tview, started, finished, initiator, action, changed_rows, rows_inserted, rows_updated, rows_deleted, lag,
                                         snapshot, error, reason) USING heap
    AS SELECT NULL::oid, NULL::timestamptz, NULL::timestamptz, NULL::text, NULL::text, NULL::int8, NULL::int8, NULL::int8, NULL::int8,
              NULL::interval, NULL::text, NULL::text, NULL::text WHERE false;
CREATE INDEX history_key ON tviews.history (tview, started);

-- The logs of relations that such TVIEWs read; `writes` is the one that is written, 1 or 2.
CREATE MATERIALIZED VIEW tviews.log (source, first, second, writes) USING heap
    AS SELECT NULL::oid, NULL::oid, NULL::oid, NULL::int2 WHERE false;
CREATE UNIQUE INDEX log_key ON tviews.log (source);

-- What was done to TVIEWs as objects.
CREATE MATERIALIZED VIEW tviews.audit (at, operation, tview, schema, name, role, definition) USING heap
    AS SELECT NULL::timestamptz, NULL::text, NULL::oid, NULL::text, NULL::text, NULL::text, NULL::text WHERE false;

-- Unlogged on purpose: a crash empties it together with the unlogged TVIEWs.
CREATE UNLOGGED TABLE tviews.sentinel (
    tview oid PRIMARY KEY
) USING heap;

-- access_method.sql
CREATE FUNCTION tviews.am_handler(internal) RETURNS table_am_handler
    LANGUAGE c AS 'MODULE_PATHNAME', 'tviews_am_handler';

CREATE ACCESS METHOD tview TYPE TABLE HANDLER tviews.am_handler;
COMMENT ON ACCESS METHOD tview IS 'storage of incremental materialized views';

-- capture.sql
CREATE FUNCTION tviews.capture() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'tviews_capture';
REVOKE ALL ON FUNCTION tviews.capture() FROM PUBLIC;
COMMENT ON FUNCTION tviews.capture() IS 'captures the rows that a statement changed';

-- Tells the planner how many rows the functions below have.
CREATE FUNCTION tviews.rows_support(internal) RETURNS internal
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_rows_support';

-- Read by the SQL of a flush; they answer to nobody else.
CREATE FUNCTION tviews.changed(anyelement) RETURNS SETOF anyelement
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 SUPPORT tviews.rows_support AS 'MODULE_PATHNAME', 'tviews_changed';
CREATE FUNCTION tviews.inserted(anyelement) RETURNS SETOF anyelement
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 SUPPORT tviews.rows_support AS 'MODULE_PATHNAME', 'tviews_inserted';
CREATE FUNCTION tviews.deleted(anyelement) RETURNS SETOF anyelement
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 SUPPORT tviews.rows_support AS 'MODULE_PATHNAME', 'tviews_deleted';
CREATE FUNCTION tviews.dirty(anyelement) RETURNS SETOF anyelement
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 SUPPORT tviews.rows_support AS 'MODULE_PATHNAME', 'tviews_dirty';

-- states.sql
-- Aggregates whose result is the transition value of an aggregate of the server: what a TVIEW keeps in its hidden state
-- attributes. state_f is for aggregates with f as transition function of their moving-aggregate mode.
CREATE AGGREGATE tviews.state_int2_avg_accum(int2) (
    SFUNC = int2_avg_accum, STYPE = int8[], INITCOND = '{0,0}', COMBINEFUNC = int4_avg_combine, PARALLEL = SAFE);
CREATE AGGREGATE tviews.state_int4_avg_accum(int4) (
    SFUNC = int4_avg_accum, STYPE = int8[], INITCOND = '{0,0}', COMBINEFUNC = int4_avg_combine, PARALLEL = SAFE);
CREATE AGGREGATE tviews.state_int8_avg_accum(int8) (
    SFUNC = int8_avg_accum, STYPE = internal, FINALFUNC = int8_avg_serialize, COMBINEFUNC = int8_avg_combine,
    SERIALFUNC = int8_avg_serialize, DESERIALFUNC = int8_avg_deserialize, PARALLEL = SAFE);
CREATE AGGREGATE tviews.state_numeric_avg_accum(numeric) (
    SFUNC = numeric_avg_accum, STYPE = internal, FINALFUNC = numeric_avg_serialize, COMBINEFUNC = numeric_avg_combine,
    SERIALFUNC = numeric_avg_serialize, DESERIALFUNC = numeric_avg_deserialize, PARALLEL = SAFE);
CREATE AGGREGATE tviews.state_int2_accum(int2) (
    SFUNC = int2_accum, STYPE = internal, FINALFUNC = numeric_poly_serialize, COMBINEFUNC = numeric_poly_combine,
    SERIALFUNC = numeric_poly_serialize, DESERIALFUNC = numeric_poly_deserialize, PARALLEL = SAFE);
CREATE AGGREGATE tviews.state_int4_accum(int4) (
    SFUNC = int4_accum, STYPE = internal, FINALFUNC = numeric_poly_serialize, COMBINEFUNC = numeric_poly_combine,
    SERIALFUNC = numeric_poly_serialize, DESERIALFUNC = numeric_poly_deserialize, PARALLEL = SAFE);
CREATE AGGREGATE tviews.state_int8_accum(int8) (
    SFUNC = int8_accum, STYPE = internal, FINALFUNC = numeric_serialize, COMBINEFUNC = numeric_combine,
    SERIALFUNC = numeric_serialize, DESERIALFUNC = numeric_deserialize, PARALLEL = SAFE);
CREATE AGGREGATE tviews.state_numeric_accum(numeric) (
    SFUNC = numeric_accum, STYPE = internal, FINALFUNC = numeric_serialize, COMBINEFUNC = numeric_combine,
    SERIALFUNC = numeric_serialize, DESERIALFUNC = numeric_deserialize, PARALLEL = SAFE);

-- Intervals: an array up to 16, internal from 17 on.
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 170000 THEN
        CREATE AGGREGATE tviews.state_interval_avg_accum(interval) (
            SFUNC = interval_avg_accum, STYPE = internal, FINALFUNC = interval_avg_serialize,
            COMBINEFUNC = interval_avg_combine, SERIALFUNC = interval_avg_serialize,
            DESERIALFUNC = interval_avg_deserialize, PARALLEL = SAFE);
    ELSE
        CREATE AGGREGATE tviews.state_interval_accum(interval) (
            SFUNC = interval_accum, STYPE = interval[], INITCOND = '{0 second,0 second}',
            COMBINEFUNC = interval_combine, PARALLEL = SAFE);
    END IF;
END $$;

-- Many states of a group as one value.
CREATE FUNCTION tviews.packed(record) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_packed';

-- functions.sql
CREATE FUNCTION tviews.verify(relation regclass)
    RETURNS TABLE (tview regclass, missing bigint, extra bigint, ok boolean)
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_verify';
COMMENT ON FUNCTION tviews.verify(regclass) IS 'compares a TVIEW with its defining query';

CREATE FUNCTION tviews.verify_all()
    RETURNS TABLE (tview regclass, missing bigint, extra bigint, ok boolean, message text)
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_verify_all';
COMMENT ON FUNCTION tviews.verify_all() IS 'compares every populated TVIEW with its defining query';

CREATE FUNCTION tviews.rebuild(tview regclass) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_rebuild';
COMMENT ON FUNCTION tviews.rebuild(regclass) IS 'recomputes a TVIEW and writes the difference';

CREATE FUNCTION tviews.explain(tview regclass, "analyze" boolean DEFAULT false) RETURNS SETOF text
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_explain';
COMMENT ON FUNCTION tviews.explain(regclass, boolean) IS 'how a TVIEW is maintained, and the SQL that does it; with analyze, what a flush of its pending changes does';

CREATE FUNCTION tviews.check(query text)
    RETURNS TABLE (base_table regclass, strategy text, reason text, hint text)
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_check';
COMMENT ON FUNCTION tviews.check(text) IS 'what CREATE TVIEW would say about a query';

CREATE FUNCTION tviews.flush() RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_flush';
COMMENT ON FUNCTION tviews.flush() IS 'applies the pending changes of this transaction now';

CREATE FUNCTION tviews.pending()
    RETURNS TABLE (base_table regclass, tview regclass, inserted bigint, deleted bigint)
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_pending';
COMMENT ON FUNCTION tviews.pending() IS 'changes of this transaction that are not applied yet';

CREATE FUNCTION tviews.changes()
    RETURNS TABLE (tview regclass, op text, key jsonb)
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_changes';
COMMENT ON FUNCTION tviews.changes() IS 'rows that this transaction has changed in TVIEWs with the option notify';

CREATE FUNCTION tviews.recovery()
    RETURNS TABLE (pid int, datid oid, relid oid, tviews_total bigint, tviews_done bigint, tviews_failed bigint, started_at timestamptz)
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_recovery';
COMMENT ON FUNCTION tviews.recovery() IS 'the recovery that computes lost TVIEWs anew, for tviews.progress';

CREATE FUNCTION tviews.health()
    RETURNS TABLE ("check" text, status text, detail text, hint text)
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_health';
COMMENT ON FUNCTION tviews.health() IS 'whether everything that TVIEWs need is in place';

CREATE FUNCTION tviews.stat_reset() RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_stat_reset';
REVOKE ALL ON FUNCTION tviews.stat_reset() FROM PUBLIC;
COMMENT ON FUNCTION tviews.stat_reset() IS 'sets the counters of tviews.stat to zero, for this database';

CREATE FUNCTION tviews.refresh_all() RETURNS bigint
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_refresh_all';
COMMENT ON FUNCTION tviews.refresh_all() IS 'refreshes the deferred TVIEWs that the caller may maintain';

CREATE FUNCTION tviews.pause(tview regclass) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_pause';
COMMENT ON FUNCTION tviews.pause(regclass) IS 'a TVIEW with a schedule is not refreshed by itself until it is resumed';

CREATE FUNCTION tviews.resume(tview regclass) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_resume';
COMMENT ON FUNCTION tviews.resume(regclass) IS 'ends a pause, and forgets errors';

-- For the view tviews.staleness.
CREATE FUNCTION tviews.behind()
    RETURNS TABLE (tview regclass, refreshed_at timestamptz, snapshot text, rows_behind bigint, transactions_behind bigint, since timestamptz,
                   bound double precision, paused boolean, errors int, last_error text)
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_behind';
COMMENT ON FUNCTION tviews.behind() IS 'how far deferred TVIEWs are behind';

-- Counters of one TVIEW, for the view tviews.stat.
CREATE FUNCTION tviews.stat_of(tview oid)
    RETURNS TABLE (flushes bigint, rows_inserted bigint, rows_updated bigint, rows_deleted bigint, rows_unchanged bigint,
                   changed_rows bigint, dirty_keys bigint, full_recomputes bigint, flush_time double precision,
                   lock_wait_time double precision, failures bigint, last_error text, stats_reset timestamptz)
    LANGUAGE c STRICT ROWS 1 AS 'MODULE_PATHNAME', 'tviews_stat_of';
COMMENT ON FUNCTION tviews.stat_of(oid) IS 'counters of one TVIEW';

-- What a process that waits for a lock of a flush waits for, for the view tviews.locks.
CREATE FUNCTION tviews.lock_value(pid int) RETURNS text
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_lock_value';
COMMENT ON FUNCTION tviews.lock_value(int) IS 'values that a waiting session wants to lock';

CREATE FUNCTION tviews.lock_side(tview oid, side bigint) RETURNS regclass
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_lock_side';
COMMENT ON FUNCTION tviews.lock_side(oid, bigint) IS 'the table that a lock on one side of a join is about';

-- Strategies of one TVIEW, for the view tviews.tviews.
CREATE FUNCTION tviews.strategies(tview regclass)
    RETURNS TABLE (base_table regclass, strategy text, reason text)
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_strategies';
COMMENT ON FUNCTION tviews.strategies(regclass) IS 'strategy of a TVIEW for each relation it reads';

-- jsonb.sql
-- Changes of a part of a document. See docs/reference/functions.md.

CREATE FUNCTION tviews.jsonb_set_path(target jsonb, path text[], value jsonb, create_if_missing boolean DEFAULT true) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_jsonb_set_path';
COMMENT ON FUNCTION tviews.jsonb_set_path(jsonb, text[], jsonb, boolean) IS 'the document with a value at a path, as jsonb_set';

CREATE FUNCTION tviews.jsonb_array_insert(target jsonb, path text[], element jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_jsonb_array_insert';
COMMENT ON FUNCTION tviews.jsonb_array_insert(jsonb, text[], jsonb) IS 'the document with an element at the end of the array at a path';

CREATE FUNCTION tviews.jsonb_array_insert(target jsonb, path text[], element jsonb, key text, descending boolean DEFAULT false) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_jsonb_array_insert';
COMMENT ON FUNCTION tviews.jsonb_array_insert(jsonb, text[], jsonb, text, boolean) IS 'the document with an element at its place in the array at a path, which is ordered by a key';

CREATE FUNCTION tviews.jsonb_array_update(target jsonb, path text[], key text, key_value jsonb, element jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_jsonb_array_update';
COMMENT ON FUNCTION tviews.jsonb_array_update(jsonb, text[], text, jsonb, jsonb) IS 'the document with an element in the place of those that have a value under a key';

CREATE FUNCTION tviews.jsonb_array_delete(target jsonb, path text[], key text, key_value jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_jsonb_array_delete';
COMMENT ON FUNCTION tviews.jsonb_array_delete(jsonb, text[], text, jsonb) IS 'the document without the elements that have a value under a key';

-- views.sql
CREATE VIEW tviews.tviews AS
SELECT n.nspname AS schema,
       c.relname AS name,
       pg_catalog.pg_get_userbyid(c.relowner) AS owner,
       c.reloptions AS options,
       CASE WHEN 'catching_up=true' = ANY (c.reloptions) THEN 'catching up' ELSE coalesce((SELECT o.option_value FROM pg_catalog.pg_options_to_table(c.reloptions) o WHERE o.option_name = 'refresh'), 'commit') END AS refresh,
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

CREATE VIEW tviews.staleness AS
SELECT b.tview, b.refreshed_at, b.snapshot::pg_snapshot AS snapshot, b.rows_behind, b.transactions_behind,
       CASE WHEN b.rows_behind = 0 THEN 0 ELSE extract(epoch FROM pg_catalog.clock_timestamp() - b.since)::double precision END AS seconds_behind,
       b.bound,
       CASE WHEN b.bound IS NOT NULL
            THEN b.rows_behind = 0 OR extract(epoch FROM pg_catalog.clock_timestamp() - b.since) <= b.bound END AS met,
       b.paused, b.errors, b.last_error
  FROM tviews.behind() b;

GRANT SELECT ON tviews.staleness TO PUBLIC;

-- Messages of errors can contain data of the tables.
CREATE VIEW tviews.refresh_history AS
SELECT h.tview::regclass AS tview, h.started, h.finished, h.finished - h.started AS duration, h.initiator, h.action, h.reason,
       CASE WHEN h.error IS NULL THEN 'ok' ELSE 'failed' END AS status,
       h.changed_rows, h.rows_inserted, h.rows_updated, h.rows_deleted, h.lag, h.snapshot::pg_snapshot AS snapshot,
       CASE WHEN pg_catalog.pg_has_role(c.relowner, 'USAGE') OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') THEN h.error END AS error
  FROM tviews.history h JOIN pg_catalog.pg_class c ON c.oid = h.tview;

GRANT SELECT ON tviews.refresh_history TO PUBLIC;

CREATE VIEW tviews.progress AS
SELECT r.pid, d.datname, r.relid,
       CASE WHEN d.datname = pg_catalog.current_database() THEN r.relid::regclass END AS tview,
       r.tviews_total, r.tviews_done, r.tviews_failed, r.started_at
  FROM tviews.recovery() r LEFT JOIN pg_catalog.pg_database d ON d.oid = r.datid;

GRANT SELECT ON tviews.progress TO PUBLIC;

-- Who holds and who waits for locks of flushes. The numbers are those of src/refresh/follow/locks.rs.
CREATE VIEW tviews.locks AS
WITH lock AS (
    SELECT l.pid, l.classid AS relation, l.objid, l.objsubid, l.mode, l.granted, l.waitstart
      FROM pg_catalog.pg_locks l
      JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
     WHERE l.locktype = 'advisory' AND l.objsubid BETWEEN 29697 AND 29703
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

-- graph.sql
-- Which TVIEWs are computed from which relations. Internal stages belong to the TVIEW that they serve.
CREATE FUNCTION tviews.graph(format text DEFAULT 'mermaid') RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    nodes jsonb;
    edges jsonb;
BEGIN
    IF format NOT IN ('mermaid', 'dot', 'json') THEN
        RAISE EXCEPTION 'unrecognized graph format "%"', format
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Valid formats are "mermaid", "dot" and "json".';
    END IF;
    WITH tview AS (
        SELECT c.oid FROM pg_class c JOIN pg_am a ON a.oid = c.relam
         WHERE a.amname = 'tview' AND c.relkind = 'm' AND c.relnamespace <> (SELECT n.oid FROM pg_namespace n WHERE n.nspname = 'pg_toast_tviews')
    ), edge AS MATERIALIZED (
        SELECT s.base_table::oid AS source, t.oid AS tview, s.strategy FROM tview t, tviews.strategies(t.oid) s
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
COMMENT ON FUNCTION tviews.graph(text) IS 'which TVIEWs are computed from which relations, as mermaid, dot or json';

-- compat.sql
-- What the interface of pg_tviews in the extension's schema is made of, beside the functions above.

CREATE FUNCTION tviews.named(name text) RETURNS regclass
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'tviews_named';
COMMENT ON FUNCTION tviews.named(text) IS 'the TVIEW that post, tv_post or schema.tv_post means';

CREATE FUNCTION tviews.relation_named(name text) RETURNS regclass
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'tviews_relation_named';
COMMENT ON FUNCTION tviews.relation_named(text) IS 'the relation that post, tv_post or schema.tv_post means';

CREATE FUNCTION tviews.output(query text) RETURNS TABLE (number int, name text, type text)
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_output';
COMMENT ON FUNCTION tviews.output(text) IS 'the columns of a query that is not run';

CREATE FUNCTION tviews.flush_order() RETURNS TABLE (tview regclass, number int)
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_flush_order';
COMMENT ON FUNCTION tviews.flush_order() IS 'TVIEWs, each behind those that it reads';

CREATE FUNCTION tviews.last_change() RETURNS timestamptz
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_last_change';
COMMENT ON FUNCTION tviews.last_change() IS 'start of the statement that made the last pending change';

CREATE FUNCTION tviews.caches() RETURNS TABLE (cache text, entries bigint, bytes bigint)
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_caches';
COMMENT ON FUNCTION tviews.caches() IS 'what this session keeps in memory about TVIEWs';

CREATE FUNCTION tviews.stat_hours()
    RETURNS TABLE (hour timestamptz, flushes bigint, rows_inserted bigint, rows_updated bigint, rows_deleted bigint, rows_unchanged bigint,
                   changed_rows bigint, dirty_keys bigint, full_recomputes bigint, flush_time double precision,
                   lock_wait_time double precision)
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_stat_hours';
COMMENT ON FUNCTION tviews.stat_hours() IS 'counters of all TVIEWs of this database, by hour';

-- The entity that a TVIEW is about: tv_post is the TVIEW of post.
CREATE FUNCTION tviews.entity(name name) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN starts_with(name::text, 'tv_') AND name <> 'tv_' THEN substr(name::text, 4) ELSE name::text END;

-- TVIEWs, each with itself and its stages.
CREATE VIEW tviews.part AS
WITH RECURSIVE part (tview, relation) AS (
    SELECT c.oid, c.oid
      FROM pg_class c JOIN pg_am a ON a.oid = c.relam
     WHERE a.amname = 'tview' AND c.relkind = 'm' AND c.relnamespace <> 'pg_toast_tviews'::regnamespace
    UNION ALL
    SELECT p.tview, s.stage FROM part p JOIN tviews.stage s ON s.tview = p.relation)
SELECT p.tview, p.relation FROM part p;
GRANT SELECT ON tviews.part TO PUBLIC;

-- Statements that give a relation of the same name, a TVIEW, what this one has beside its rows.
CREATE FUNCTION tviews.belongings(relation oid) RETURNS SETOF text
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    WITH own AS (SELECT c.oid, c.relowner, c.relacl, format('%I.%I', n.nspname, c.relname) AS name
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation),
    col AS (SELECT a.attnum, a.attname, a.attacl FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped),
    -- Not those that were made for a TVIEW without being asked for.
    index AS (SELECT i.indexrelid AS oid, format('%I.%I', n.nspname, c.relname) AS name
                FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE i.indrelid = relation
                 AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
                                    AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'x')),
    granted AS (SELECT NULL::name AS attname, a.* FROM own, aclexplode(own.relacl) a WHERE a.grantee <> own.relowner
                UNION ALL
                SELECT col.attname, a.* FROM own, col, aclexplode(col.attacl) a WHERE a.grantee <> own.relowner),
    option AS (SELECT o.option_name, o.option_value FROM pg_class c, pg_options_to_table(c.reloptions) o
                WHERE c.oid = relation AND o.option_name NOT IN ('incremental', 'logged')),
    statement (step, at, text) AS (
        -- First of all, so that expressions of indexes are computed with the owner's rights.
        SELECT 1, 0, format('ALTER MATERIALIZED VIEW %s OWNER TO %I', own.name, pg_get_userbyid(own.relowner))
          FROM own WHERE own.relowner <> (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user)
        UNION ALL
        SELECT 1, 1, format('ALTER MATERIALIZED VIEW %s SET (%s)', own.name, o.list)
          FROM own, (SELECT string_agg(format('%I = %L', option.option_name, option.option_value), ', ') AS list FROM option) o WHERE o.list IS NOT NULL
        UNION ALL
        SELECT 2, index.oid::bigint, pg_get_indexdef(index.oid) FROM index
        UNION ALL
        SELECT 3, index.oid::bigint, format('COMMENT ON INDEX %s IS %L', index.name, obj_description(index.oid, 'pg_class'))
          FROM index WHERE obj_description(index.oid, 'pg_class') IS NOT NULL
        UNION ALL
        SELECT 4, 0, format('COMMENT ON MATERIALIZED VIEW %s IS %L', own.name, obj_description(own.oid, 'pg_class'))
          FROM own WHERE obj_description(own.oid, 'pg_class') IS NOT NULL
        UNION ALL
        SELECT 5, col.attnum, format('COMMENT ON COLUMN %s.%I IS %L', own.name, col.attname, col_description(own.oid, col.attnum))
          FROM own, col WHERE col_description(own.oid, col.attnum) IS NOT NULL
        UNION ALL
        SELECT 6, 0, format('GRANT %s%s ON %s TO %s%s', g.privilege_type, '(' || quote_ident(g.attname) || ')', own.name,
                            CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
                            CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
          FROM own, granted g)
    SELECT s.text FROM statement s ORDER BY s.step, s.at, s.text $$;

-- compat_relations.sql
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

-- compat_functions.sql
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
        SELECT m.entity, c.oid, c.oid::regclass AS tview, s.flushes, s.rows_inserted + s.rows_updated + s.rows_deleted AS changed, s.flush_time,
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
            EXECUTE format('SELECT count(*) FROM %s', one.tview) INTO row_count;
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

-- compat_convert.sql
-- Tables that were filled by hand, tv_post beside tb_post and perhaps a view v_post, become TVIEWs.
-- Invariant: rows that the TVIEW does not have are never lost: the table that has them stays, under another name. Whatever fails, nothing of the
-- attempt is left. All SQL that users wrote (views, expressions of indexes) is run by the server as the owner of the TVIEW.

-- What a conversion would do. `code` and `obstacle`: why it would not. Nothing is changed.
CREATE FUNCTION tviews.conversion(tbl regclass)
    RETURNS TABLE (entity text, base_table text, backing_view text, select_sql text, kept text[], left_out text[], code text, obstacle text)
    LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    own record;
    base oid;
    view oid;
    source oid;
    document text;
    expressions text;
    dependent text;
BEGIN
    SELECT c.oid, c.relname, c.relkind, c.relnamespace, n.nspname, c.relowner, c.relrowsecurity, c.relispartition, c.relpersistence INTO STRICT own
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = tbl;
    entity := tviews.entity(own.relname);
    base := (SELECT c.oid FROM pg_class c WHERE c.relnamespace = own.relnamespace AND c.relname = 'tb_' || entity AND c.relkind IN ('r', 'p'));
    view := (SELECT c.oid FROM pg_class c WHERE c.relnamespace = own.relnamespace AND c.relname = 'v_' || entity AND c.relkind = 'v');
    source := COALESCE(view, base);
    base_table := CASE WHEN base IS NOT NULL THEN format('%I.%I', own.nspname, 'tb_' || entity) END;
    backing_view := CASE WHEN view IS NOT NULL THEN format('%I.%I', own.nspname, 'v_' || entity) END;

    IF source IS NOT NULL THEN
        -- A function has a hundred arguments at most.
        SELECT string_agg(format('jsonb_build_object(%s)', p.pairs), ' || ' ORDER BY p.part) INTO document
          FROM (SELECT a.part, string_agg(format('%L, s.%I', a.attname, a.attname), ', ' ORDER BY a.attnum) AS pairs
                  FROM (SELECT attname, attnum, (row_number() OVER (ORDER BY attnum) - 1) / 50 AS part
                          FROM pg_attribute WHERE attrelid = source AND attnum > 0 AND NOT attisdropped) a
                 GROUP BY a.part) p;
        SELECT string_agg(x.expression, ', ' ORDER BY x.attnum), array_agg(x.attname ORDER BY x.attnum) FILTER (WHERE x.expression IS NOT NULL),
               COALESCE(array_agg(x.attname ORDER BY x.attnum) FILTER (WHERE x.expression IS NULL), '{}')
          INTO expressions, kept, left_out
          FROM (SELECT a.attnum, a.attname::text,
                       CASE WHEN EXISTS (SELECT FROM pg_attribute b WHERE b.attrelid = source AND b.attname = a.attname AND b.attnum > 0 AND NOT b.attisdropped)
                            THEN format('s.%I', a.attname)
                            WHEN a.attname = 'data' AND a.atttypid = 'jsonb'::regtype THEN document || ' AS data'
                            WHEN a.attname = 'data' AND a.atttypid = 'json'::regtype THEN '(' || document || ')::json AS data'
                       END AS expression
                  FROM pg_attribute a WHERE a.attrelid = tbl AND a.attnum > 0 AND NOT a.attisdropped) x;
        select_sql := format('SELECT %s FROM %s s', expressions, COALESCE(backing_view, base_table));
    END IF;

    dependent := (SELECT string_agg(pg_describe_object(d.classid, d.objid, d.objsubid), ', ' ORDER BY d.classid, d.objid)
                    FROM (SELECT DISTINCT classid, objid, CASE WHEN classid = 'pg_class'::regclass THEN objsubid ELSE 0 END AS objsubid
                            FROM pg_depend WHERE refclassid = 'pg_class'::regclass AND refobjid = tbl AND deptype = 'n') d
                   WHERE NOT (d.classid = 'pg_constraint'::regclass AND (SELECT k.conrelid FROM pg_constraint k WHERE k.oid = d.objid) = tbl)
                     AND NOT (d.classid = 'pg_rewrite'::regclass AND (SELECT r.ev_class FROM pg_rewrite r WHERE r.oid = d.objid) = tbl)
                     AND NOT (d.classid = 'pg_trigger'::regclass AND (SELECT t.tgrelid FROM pg_trigger t WHERE t.oid = d.objid) = tbl));
    SELECT o.code, o.obstacle INTO code, obstacle
      FROM (VALUES
            (own.relkind <> 'r' OR own.relpersistence = 't', '42809', format('%I.%I is not an ordinary table', own.nspname, own.relname)),
            (source IS NULL, '42P01', format('neither table %1$I.%2$I nor view %1$I.%3$I exists', own.nspname, 'tb_' || entity, 'v_' || entity)),
            (NOT pg_has_role(own.relowner, 'USAGE'), '42501', format('must be owner of table %I.%I', own.nspname, own.relname)),
            (own.relispartition OR EXISTS (SELECT FROM pg_inherits i WHERE tbl IN (i.inhrelid, i.inhparent)), '42809',
             format('table %I.%I is part of an inheritance tree', own.nspname, own.relname)),
            (own.relrowsecurity, '0A000', format('table %I.%I has row security, which a TVIEW cannot have', own.nspname, own.relname)),
            (dependent IS NOT NULL, '2BP01', format('other objects depend on table %I.%I: %s', own.nspname, own.relname, dependent)),
            (expressions IS NULL, '42703',
             format('no column of table %I.%I is a column of %s', own.nspname, own.relname, COALESCE(backing_view, base_table)))
           ) o (is_so, code, obstacle)
     WHERE o.is_so LIMIT 1;
    RETURN NEXT;
END $$;

-- A name for what a relation was, that no other relation or type of the schema has.
CREATE FUNCTION tviews.name_aside(schema oid, name text) RETURNS text
    LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    suffix text := '_before';
    n int := 1;
    candidate text;
BEGIN
    LOOP
        candidate := name || suffix;
        WHILE octet_length(candidate) > 63 LOOP
            name := left(name, -1);
            candidate := name || suffix;
        END LOOP;
        EXIT WHEN NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = schema AND c.relname = candidate)
              AND NOT EXISTS (SELECT FROM pg_type t WHERE t.typnamespace = schema AND t.typname = candidate);
        n := n + 1;
        suffix := '_before_' || n;
    END LOOP;
    RETURN candidate;
END $$;

-- Converts a table for which there is no obstacle; says what was done.
CREATE FUNCTION tviews.convert(tbl regclass) RETURNS text
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own record;
    plan record;
    title text;
    aside text;
    is_locked boolean;
    belongings text[];
    sql text;
    lost text[] := '{}';
    columns text;
    is_filled boolean;
    differs boolean;
    index record;
    message text;
BEGIN
    -- Who may not convert the table does not lock it; what counts is what is found under the lock.
    FOR is_locked IN SELECT unnest(ARRAY[false, true]) LOOP
        SELECT * INTO STRICT plan FROM tviews.conversion(tbl);
        IF plan.obstacle IS NOT NULL THEN
            RAISE EXCEPTION '%', plan.obstacle
                USING ERRCODE = plan.code,
                      HINT = CASE plan.code
                             WHEN '42P01' THEN 'The query of tv_x is read from a view v_x, or made from the columns of a table tb_x, in the same schema.'
                             WHEN '2BP01' THEN 'Drop them, convert the table, and create them again on the TVIEW.'
                             ELSE 'pg_tviews_create() or CREATE TVIEW creates a TVIEW of another name beside the table.' END;
        ELSIF NOT is_locked THEN
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', tbl);
        END IF;
    END LOOP;
    SELECT c.oid, c.relname, c.relnamespace, n.nspname, c.relpersistence INTO STRICT own
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = tbl;
    title := format('%I.%I', own.nspname, own.relname);
    belongings := ARRAY(SELECT tviews.belongings(tbl));
    aside := tviews.name_aside(own.relnamespace, own.relname);
    FOR index IN SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = tbl LOOP
        EXECUTE format('ALTER INDEX %I.%I RENAME TO %I', own.nspname, index.relname, tviews.name_aside(own.relnamespace, index.relname));
    END LOOP;
    EXECUTE format('ALTER TABLE %s RENAME TO %I', title, aside);
    aside := format('%I.%I', own.nspname, aside);

    -- Empty until its indexes are there: the first contents bring an index only when there is none that fits.
    EXECUTE format('CREATE MATERIALIZED VIEW %s WITH (incremental, logged = %s) AS %s WITH NO DATA', title, (own.relpersistence = 'p')::text, plan.select_sql);
    FOREACH sql IN ARRAY belongings LOOP
        IF sql LIKE 'ALTER MATERIALIZED VIEW % OWNER TO %' THEN
            EXECUTE sql;
            CONTINUE;
        END IF;
        BEGIN
            EXECUTE sql;
        EXCEPTION WHEN OTHERS THEN
            lost := lost || format('%s (%s)', sql, SQLERRM);
        END;
    END LOOP;
    EXECUTE format('REFRESH MATERIALIZED VIEW %s', title);

    -- Stored rows are compared with stored rows.
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', aside) INTO is_filled;
    differs := is_filled;
    IF is_filled AND plan.left_out <> '{}' THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE num_nonnulls(%s) > 0)', aside, (SELECT string_agg(quote_ident(c), ', ') FROM unnest(plan.left_out) c))
           INTO differs;
    ELSIF is_filled THEN
        differs := false;
    END IF;
    IF is_filled AND NOT differs THEN
        columns := (SELECT string_agg(CASE a.atttypid WHEN 'json'::regtype THEN format('%I::jsonb', a.attname) ELSE quote_ident(a.attname) END, ', ' ORDER BY a.attnum)
                      FROM pg_attribute a WHERE a.attrelid = tbl AND a.attname = ANY (plan.kept));
        BEGIN
            EXECUTE format('SELECT EXISTS ((SELECT %1$s FROM %2$s EXCEPT ALL SELECT %1$s FROM %3$s) UNION ALL (SELECT %1$s FROM %3$s EXCEPT ALL SELECT %1$s FROM %2$s))',
                           columns, aside, title) INTO differs;
        EXCEPTION WHEN OTHERS THEN
            -- Types that cannot be compared with each other.
            differs := true;
        END;
    END IF;
    message := format('%s is a TVIEW now', title);
    IF plan.left_out <> '{}' THEN
        message := message || format('; left out, as %s has no such columns: %s', COALESCE(plan.backing_view, plan.base_table), array_to_string(plan.left_out, ', '));
    END IF;
    IF differs THEN
        message := message || format('; the table, which has other rows, is kept as %s', aside);
    ELSE
        EXECUTE format('DROP TABLE %s', aside);
    END IF;
    IF lost <> '{}' THEN
        message := message || format('; not carried over: %s', array_to_string(lost, '; '));
    END IF;
    RETURN message;
END $$;

CREATE FUNCTION @extschema@.pg_tviews_auto_convert_plan(schema text DEFAULT 'public')
    RETURNS TABLE (entity text, base_table text, backing_view text, select_sql text)
    LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = schema) THEN
        RAISE EXCEPTION 'schema "%" does not exist', schema USING ERRCODE = 'invalid_schema_name';
    END IF;
    RETURN QUERY
        SELECT p.entity, p.base_table, p.backing_view, p.select_sql
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL tviews.conversion(c.oid) p
         WHERE n.nspname = schema AND c.relkind = 'r' AND c.relname LIKE 'tv\_%' AND p.select_sql IS NOT NULL
         ORDER BY c.relname;
END $$;
COMMENT ON FUNCTION @extschema@.pg_tviews_auto_convert_plan(text) IS 'what pg_tviews_auto_convert would do';

CREATE FUNCTION @extschema@.pg_tviews_auto_convert(schema text DEFAULT 'public') RETURNS TABLE (entity text, status text, message text)
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own record;
    found record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = schema) THEN
        RAISE EXCEPTION 'schema "%" does not exist', schema USING ERRCODE = 'invalid_schema_name';
    END IF;
    FOR own IN
        SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS title, a.amname = 'tview' AS is_tview
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am a ON a.oid = c.relam
         WHERE n.nspname = schema AND c.relname LIKE 'tv\_%' AND (c.relkind IN ('r', 'p') OR c.relkind = 'm' AND a.amname = 'tview')
         ORDER BY c.relname
    LOOP
        IF own.is_tview THEN
            SELECT tviews.entity(c.relname) INTO entity FROM pg_class c WHERE c.oid = own.oid;
            status := 'SKIP';
            message := format('%s is a TVIEW already', own.title);
            RETURN NEXT;
            CONTINUE;
        END IF;
        SELECT * INTO found FROM tviews.conversion(own.oid);
        entity := found.entity;
        IF found.code = '42P01' THEN
            status := 'SKIP';
            message := found.obstacle;
        ELSE
            BEGIN
                message := tviews.convert(own.oid);
                status := 'SUCCESS';
            EXCEPTION WHEN OTHERS THEN
                message := SQLERRM;
                status := 'ERROR';
            END;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION @extschema@.pg_tviews_auto_convert(text) IS 'makes TVIEWs of the tables tv_… of a schema that were filled by hand';

CREATE FUNCTION tviews.convert_named(relation regclass) RETURNS text
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.oid = relation AND c.relkind = 'm' AND a.amname = 'tview') THEN
        RETURN format('%s is a TVIEW already', relation);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = relation AND c.relkind = 'r') THEN
        RAISE EXCEPTION '"%" is not a table', (SELECT relname FROM pg_class WHERE oid = relation)
            USING ERRCODE = 'wrong_object_type', HINT = 'CREATE TVIEW creates a TVIEW.';
    END IF;
    RETURN tviews.convert(relation);
END $$;

CREATE FUNCTION @extschema@.pg_tviews_convert_existing_table(name text) RETURNS text
    LANGUAGE sql
    RETURN tviews.convert_named(tviews.relation_named(name));
COMMENT ON FUNCTION @extschema@.pg_tviews_convert_existing_table(text) IS 'makes a TVIEW of a table that was filled by hand';

-- pgstream.sql
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
      FROM pgstream.pgs_stream_tables p JOIN pg_class c ON c.oid = p.pgs_relid CROSS JOIN LATERAL tviews.strategies(c.oid) s;

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

    -- Changes are captured by triggers: there are no slots.
    CREATE FUNCTION pgstream.check_cdc_health()
        RETURNS TABLE (source_relid bigint, source_table text, cdc_mode text, slot_name text, lag_bytes bigint, confirmed_lsn text, alert text)
        LANGUAGE sql STABLE AS $$
        SELECT DISTINCT d.source_relid::oid::bigint, d.source_relid::text, 'TRIGGER', NULL::text, NULL::bigint, NULL::text, NULL::text
          FROM pgstream.pgs_dependencies d WHERE d.source_type = 'TABLE' ORDER BY 2 $$;

    CREATE FUNCTION pgstream.slot_health()
        RETURNS TABLE (slot_name text, source_relid bigint, active boolean, retained_wal_bytes bigint, wal_status text) LANGUAGE sql STABLE AS $$
        SELECT h.slot_name, h.source_relid, NULL::boolean, h.lag_bytes, NULL::text FROM pgstream.check_cdc_health() h WHERE h.slot_name IS NOT NULL $$;

    CREATE FUNCTION pgstream.explain_st(name text) RETURNS TABLE (property text, value text) LANGUAGE sql STABLE AS $$
        SELECT 'Defining Query', t.defining_query FROM pgstream.pgs_stream_tables t WHERE t.pgs_relid = pgstream.relation(explain_st.name)
        UNION ALL SELECT 'Refresh Mode', t.refresh_mode FROM pgstream.pgs_stream_tables t WHERE t.pgs_relid = pgstream.relation(explain_st.name)
        UNION ALL SELECT 'Changes of ' || s.base_table::text, s.strategy || ': ' || s.reason FROM tviews.strategies(pgstream.relation(explain_st.name)) s $$;

    GRANT USAGE ON SCHEMA pgstream TO PUBLIC;
    GRANT SELECT ON ALL TABLES IN SCHEMA pgstream TO PUBLIC;
END $install$;
REVOKE ALL ON FUNCTION tviews.install_pgstream() FROM PUBLIC;
COMMENT ON FUNCTION tviews.install_pgstream() IS 'makes the schema pgstream with the interface of pg_stream';
