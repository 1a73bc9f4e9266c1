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
    WITH tview AS MATERIALIZED (
        SELECT c.oid, t.base_tables, t.strategies
          FROM tviews.tviews t JOIN pg_namespace n ON n.nspname = t.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.name
    ), edge AS (
        -- A TVIEW that another session has locked says which relations it reads, and not how.
        SELECT b::oid AS source, t.oid AS tview, coalesce(t.strategies ->> b::text, 'locked') AS strategy FROM tview t, unnest(t.base_tables) b
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
