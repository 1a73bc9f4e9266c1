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
    WITH edge AS (
        SELECT s.base_table::text AS source, (pg_catalog.format('%I.%I', t.schema, t.name))::regclass::text AS tview, s.strategy
          FROM tviews.tviews t, tviews.strategies(pg_catalog.format('%I.%I', t.schema, t.name)::regclass) s
    ), node AS (
        SELECT pg_catalog.format('%I.%I', t.schema, t.name)::regclass::text AS name, 'tview' AS kind FROM tviews.tviews t
        UNION
        SELECT e.source, 'table' FROM edge e
         WHERE e.source NOT IN (SELECT pg_catalog.format('%I.%I', t.schema, t.name)::regclass::text FROM tviews.tviews t)
    ), numbered AS (
        SELECT row_number() OVER (ORDER BY n.kind, n.name COLLATE "C") AS number, n.name, n.kind FROM node n
    )
    SELECT (SELECT jsonb_agg(jsonb_build_object('number', n.number, 'name', n.name, 'kind', n.kind) ORDER BY n.number) FROM numbered n),
           (SELECT jsonb_agg(jsonb_build_object('from', a.number, 'to', b.number, 'source', e.source, 'tview', e.tview, 'strategy', e.strategy)
                             ORDER BY b.number, a.number)
              FROM edge e JOIN numbered a ON a.name = e.source JOIN numbered b ON b.name = e.tview)
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
                        replace(replace(n ->> 'name', '\', '\\'), '"', '\"'), CASE n ->> 'kind' WHEN 'table' THEN 'box' ELSE 'ellipse' END), E'\n')
               FROM jsonb_array_elements(nodes) n),
            (SELECT string_agg(pg_catalog.format('    n%s -> n%s [label="%s"];', e ->> 'from', e ->> 'to', e ->> 'strategy'), E'\n')
               FROM jsonb_array_elements(edges) e), '}')
        ELSE concat_ws(E'\n', 'graph LR',
            (SELECT string_agg(pg_catalog.format(CASE n ->> 'kind' WHEN 'table' THEN '    n%s["%s"]' ELSE '    n%s(["%s"])' END, n ->> 'number',
                        replace(replace(n ->> 'name', '#', '#35;'), '"', '#quot;')), E'\n')
               FROM jsonb_array_elements(nodes) n),
            (SELECT string_agg(pg_catalog.format('    n%s -->|%s| n%s', e ->> 'from', e ->> 'strategy', e ->> 'to'), E'\n')
               FROM jsonb_array_elements(edges) e))
    END;
END $$;
COMMENT ON FUNCTION tviews.graph(text) IS 'which TVIEWs are computed from which relations, as mermaid, dot or json';
