-- The oracle of the suites: the rows by which a TVIEW differs from its defining query, as a multiset and as text (json has no equality,
-- and 1.0 is not 1.000). A test wants to see no rows. It uses nothing of the extension; tools/check.py loads it into template1.
CREATE FUNCTION oracle(tview regclass) RETURNS TABLE (problem text, content text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        $q$ WITH stored AS (SELECT oracle_t::text AS r FROM %1$s oracle_t), wanted AS (SELECT oracle_q::text AS r FROM (%2$s) oracle_q)
            (SELECT 'missing', r FROM wanted EXCEPT ALL SELECT 'missing', r FROM stored)
            UNION ALL
            (SELECT 'extra', r FROM stored EXCEPT ALL SELECT 'extra', r FROM wanted)
            ORDER BY 1, 2 $q$,
        tview, rtrim(pg_get_viewdef(tview), ';'));
END $$;

-- The same for all materialized views of the current schema.
CREATE FUNCTION oracle() RETURNS TABLE (tview name, problem text, content text) LANGUAGE sql AS $$
    SELECT c.relname, o.* FROM pg_class c, oracle(c.oid::regclass) o
     WHERE c.relkind = 'm' AND c.relispopulated AND c.relnamespace = current_schema()::regnamespace
     ORDER BY 1, 2, 3 $$;
