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
