-- The oracle of the suites: the rows by which a TVIEW differs from its defining query, as a multiset and as text (json has no equality,
-- and 1.0 is not 1.000). A test wants to see no rows. It uses nothing of the extension.
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

-- What writers of each table lock that a TVIEW or one of its stages reads, as tviews.explain says; stages have other names in each database.
CREATE FUNCTION locks(tview regclass) RETURNS TABLE (relation text, locks text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    WITH line AS (SELECT regexp_replace(e.line, '"?\m\d+_(\d+)\M"?', 'stage_\1', 'g') AS text, n FROM tviews.explain(tview) WITH ORDINALITY AS e (line, n))
    SELECT split_part(trim(above.text), ':', 1), split_part(line.text, 'locks: ', 2)
      FROM line JOIN line above ON above.n = line.n - 1
     WHERE line.text LIKE '    locks: %' ORDER BY line.n;
END $$;
