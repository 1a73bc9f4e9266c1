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

COMMENT ON VIEW tviews.tviews IS 'TVIEWs of this database, with their options, strategies and sizes';
COMMENT ON VIEW tviews.stat IS 'what keeping each TVIEW exact has done and cost';
COMMENT ON VIEW tviews.staleness IS 'how far each deferred TVIEW is behind';
COMMENT ON VIEW tviews.refresh_history IS 'refreshes of deferred TVIEWs, each with what it did, how long it took, and its error';
COMMENT ON VIEW tviews.progress IS 'the recovery that computes TVIEWs anew after a crash, while it runs';
COMMENT ON VIEW tviews.locks IS 'locks of flushes: who holds them, who waits for whom, and for which values';
