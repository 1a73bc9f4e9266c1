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

CREATE PROCEDURE tviews.rebuild_concurrently(tview regclass)
    LANGUAGE c AS 'MODULE_PATHNAME', 'tviews_rebuild_concurrently';
COMMENT ON PROCEDURE tviews.rebuild_concurrently(regclass) IS 'computes a TVIEW anew beside it while writers of its tables go on, and then replaces its contents';

CREATE PROCEDURE tviews.convert_concurrently(matview regclass)
    LANGUAGE c AS 'MODULE_PATHNAME', 'tviews_convert_concurrently';
COMMENT ON PROCEDURE tviews.convert_concurrently(regclass) IS 'makes a materialized view a TVIEW while writers of its tables go on';

CREATE PROCEDURE tviews.set_logged_concurrently(tview regclass, logged boolean)
    LANGUAGE c AS 'MODULE_PATHNAME', 'tviews_set_logged_concurrently';
COMMENT ON PROCEDURE tviews.set_logged_concurrently(regclass, boolean) IS 'ALTER TVIEW … SET LOGGED or UNLOGGED while writers of its tables go on';

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

CREATE FUNCTION tviews.populations()
    RETURNS TABLE (pid int, datid oid, relid oid, phase text, rows_written bigint, started_at timestamptz)
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_populations';
COMMENT ON FUNCTION tviews.populations() IS 'sessions that populate TVIEWs while writers go on, for tviews.progress_concurrently';

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

CREATE FUNCTION tviews.lock_of(relation oid) RETURNS bigint[]
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'tviews_lock_of';
COMMENT ON FUNCTION tviews.lock_of(oid) IS 'the TVIEW, number and kind of lock that a relation number in pg_locks and in messages stands for';

-- Strategies of one TVIEW, for the view tviews.tviews.
CREATE FUNCTION tviews.strategies(tview regclass)
    RETURNS TABLE (base_table regclass, strategy text, reason text)
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_strategies';
COMMENT ON FUNCTION tviews.strategies(regclass) IS 'strategy of a TVIEW for each relation it reads';

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
