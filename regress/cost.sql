-- What the changes since the last call have cost: one row for each TVIEW of the current schema that was flushed (or only for those named),
-- its stages included, and how many of its rows are wrong (regress/oracle.sql). A test changes a few rows of tables of thousands, and wants
-- to see numbers of that size. TVIEWs with wrong rows are always shown.
CREATE FUNCTION cost(VARIADIC named name[] DEFAULT '{}')
    RETURNS TABLE (tview name, inserted bigint, updated bigint, deleted bigint, unchanged bigint, changed bigint, keys bigint, "full" bigint, wrong bigint)
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tviews.flush();
    RETURN QUERY
        SELECT c.relname, s.rows_inserted, s.rows_updated, s.rows_deleted, s.rows_unchanged, s.changed_rows, s.dirty_keys, s.full_recomputes, o.n
          FROM pg_class c JOIN tviews.stat s ON s.tview = c.oid, LATERAL (SELECT count(*) AS n FROM oracle(c.oid::regclass)) o
         WHERE c.relnamespace = current_schema()::regnamespace AND (o.n > 0 OR s.flushes > 0 AND (named = '{}' OR c.relname = ANY (named)))
         ORDER BY c.relname COLLATE "C";
    PERFORM tviews.stat_reset();
END $$;
