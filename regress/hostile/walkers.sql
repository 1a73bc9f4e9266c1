-- Every error class inside of every walker: an expression that fails when the planner looks at it, in each clause of a query that we take apart.
-- The function raises what the setting says; it is IMMUTABLE over constants, so it runs while CREATE TVIEW, check and OR REPLACE analyse.
-- each error: hostile_raise('22012') | hostile_raise('P0001') | hostile_raise('54001') | hostile_raise('53200') | hostile_raise('57014') | hostile_raise('40001') | hostile_raise('42501') | hostile_raise('0A000') | (1 / 0) | hostile_raise('55000') | repeat('x', 1100000000)::int | ('x' || 1)::int | hostile_raise('40P01') | hostile_raise('42P17')
-- setup: CREATE FUNCTION public.hostile_raise(state text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = state; END $$
-- setup: CREATE FUNCTION public.hostile_set(state text) RETURNS SETOF int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = state; END $$

CREATE TVIEW low.x AS SELECT id, {error} AS e FROM app.item;

CREATE OR REPLACE TVIEW app.flat AS SELECT id, {error} AS v FROM app.item;

SELECT * FROM tviews.check($q$SELECT id FROM app.item WHERE v > {error}$q$);

SELECT * FROM tviews.check($q$SELECT g, count(*) FROM app.item GROUP BY g HAVING count(*) > {error}$q$);

CREATE TVIEW low.x AS SELECT i.id FROM app.item i LEFT JOIN app.grp g ON g.id = i.g AND g.id > {error};

CREATE TVIEW low.x AS SELECT id FROM app.item ORDER BY id LIMIT {error};

-- each clause: SELECT id FROM app.item ORDER BY id OFFSET hostile_raise('22012') | SELECT sum(v) OVER (ORDER BY id ROWS hostile_raise('22012') PRECEDING) FROM app.item | SELECT count(*) FILTER (WHERE v > hostile_raise('22012')) FROM app.item | SELECT DISTINCT ON (v + hostile_raise('22012')) id FROM app.item | SELECT g FROM app.item GROUP BY ROLLUP (g, hostile_raise('22012')) | SELECT id FROM app.item WHERE v IN (SELECT n + hostile_raise('22012') FROM app.parent) | SELECT id, (SELECT count(*) FROM app.grp WHERE id = hostile_raise('22012')) FROM app.item | SELECT i.id, l.x FROM app.item i, LATERAL (SELECT i.v + 1 AS x ORDER BY 1 LIMIT hostile_raise('22012')) l | WITH c AS (SELECT hostile_raise('22012') AS a) SELECT * FROM c | SELECT v FROM app.item UNION SELECT hostile_raise('22012') | SELECT v FROM app.item EXCEPT SELECT hostile_raise('22012') FROM app.grp | SELECT * FROM hostile_set('22012') s | SELECT id, hostile_set('22012') FROM app.item | SELECT string_agg(note, ',' ORDER BY hostile_raise('22012')) FROM app.item | SELECT percentile_cont(hostile_raise('22012')) WITHIN GROUP (ORDER BY v) FROM app.item | SELECT CASE WHEN v = 1 THEN hostile_raise('22012') END FROM app.item | SELECT rank() OVER (PARTITION BY hostile_raise('22012') ORDER BY v) FROM app.item | VALUES (hostile_raise('22012')) | SELECT ARRAY[hostile_raise('22012')], row(hostile_raise('22012'))::text | WITH RECURSIVE r AS (SELECT 1 AS a UNION ALL SELECT a + hostile_raise('22012') FROM r WHERE a < 3) SELECT * FROM r | SELECT x.c FROM (SELECT count(DISTINCT v + hostile_raise('22012')) AS c FROM app.item GROUP BY g HAVING count(*) > 1) x | SELECT coalesce(note, hostile_raise('22012')::text) FROM app.item
-- each how: SELECT * FROM tviews.check($q${clause}$q$) | CREATE TVIEW low.x AS {clause}
{how};

-- a query that PostgreSQL runs and we must take, or refuse with a reason
-- each odd: SELECT grouping((SELECT a.v FROM app.item b WHERE id = a.id)) AS g, (SELECT a.v FROM app.item b WHERE id = a.id) AS s FROM app.item a GROUP BY GROUPING SETS (v, s) | SELECT i.*::text FROM app.item i | SELECT id FROM app.item i WHERE i IN (SELECT j FROM app.item j) | SELECT (SELECT count(*) FROM (SELECT i.g) x WHERE x.g = i.g) FROM app.item i | SELECT count(*), (SELECT sum(i.v)) FROM app.item i | SELECT (SELECT max(i.v) FROM app.grp LIMIT 1) FROM app.item i | SELECT sum(sum(v)) OVER (ORDER BY g) FROM app.item GROUP BY g | SELECT g FROM app.item GROUP BY () | SELECT FROM app.item | SELECT id AS a, id AS "A", id AS "a b" FROM app.item | SELECT j.* FROM app.item i JOIN app.item j USING (id) FULL JOIN app.grp g ON g.id = j.g | SELECT * FROM app.item CROSS JOIN LATERAL unnest(ARRAY[g, v]) WITH ORDINALITY | SELECT * FROM ROWS FROM (generate_series(1, 3), unnest('{a,b}'::text[])) r | SELECT tableoid::regclass::text AS t, n FROM app.parent | SELECT DISTINCT (i).note FROM app.item i | SELECT id, NULLIF(v, 2) IS DISTINCT FROM 3 AS d FROM ONLY app.parent NATURAL JOIN app.item | SELECT exists(SELECT) | SELECT array(SELECT v FROM app.item WHERE g = s.id ORDER BY v) FROM app.grp s | SELECT x FROM app.item, xmltable('/a' PASSING '<a/>'::xml COLUMNS x text PATH '.') | SELECT (v, g) = ANY (SELECT id, id FROM app.grp) FROM app.item
-- each how: SELECT * FROM tviews.check($q${odd}$q$) | CREATE TVIEW low.x AS {odd}
{how};
