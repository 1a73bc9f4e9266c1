-- Set-returning functions, in FROM and in the select list; JSON_TABLE is in 17 and later.
CREATE SCHEMA set_returning;
SET search_path = set_returning, public;
SET client_min_messages = warning;
CREATE TABLE t (id int PRIMARY KEY, n int, arr int[], doc jsonb, words text);
INSERT INTO t SELECT i, i % 4, ARRAY[i, i % 10, 7], jsonb_build_object('list', jsonb_build_array(i, i % 5), 'map', jsonb_build_object('a', i, 'b', i % 3)), 'one two ' || i
  FROM generate_series(1, 1000) i;
CREATE TVIEW unnested AS SELECT t.id, e FROM t, unnest(t.arr) AS e;
CREATE TVIEW ordinality AS SELECT t.id, e, o FROM t LEFT JOIN LATERAL unnest(arr) WITH ORDINALITY AS x (e, o) ON e > 3;
CREATE TVIEW several AS SELECT t.id, a, b FROM t, ROWS FROM (unnest(arr), generate_series(1, n)) AS x (a, b);
CREATE TVIEW elements AS SELECT t.id, j.value FROM t CROSS JOIN LATERAL jsonb_array_elements(t.doc -> 'list') AS j;
CREATE TVIEW pairs AS SELECT t.id, p.key, p.value FROM t, jsonb_each(t.doc -> 'map') AS p;
CREATE TVIEW record AS SELECT t.id, r.a, r.b FROM t, jsonb_to_record(t.doc -> 'map') AS r (a int, b int);
CREATE TVIEW series AS SELECT t.id, g FROM t, generate_series(1, t.n) AS g;
CREATE TVIEW split AS SELECT t.id, w FROM t, regexp_split_to_table(t.words, ' ') AS w;
CREATE TVIEW counted AS SELECT e, count(*) AS c FROM t, unnest(t.arr) AS e GROUP BY e;
CREATE TVIEW in_list AS SELECT id, unnest(arr) AS e, generate_series(1, n) AS s FROM t;
CREATE TVIEW in_list_below AS SELECT e, count(*) AS c FROM (SELECT unnest(arr) + 1 AS e FROM t WHERE n > 0) x GROUP BY e;
CREATE TVIEW in_list_distinct AS SELECT DISTINCT regexp_split_to_table(words, ' ') AS word FROM t;
CREATE TVIEW in_list_nested AS SELECT id, unnest(string_to_array(regexp_split_to_table(words, ' '), 'n')) AS part FROM t;
CREATE TVIEW in_list_levels AS SELECT id, generate_series(1, generate_series(1, n)) AS a, unnest(arr) AS b FROM t WHERE id < 1500 OR id > 1900;
CREATE TVIEW of_groups WITH (mode = incremental) AS SELECT n, unnest(array_agg(id ORDER BY id)) AS id, count(*) AS c FROM t GROUP BY n;
CREATE TVIEW of_counts WITH (mode = incremental) AS SELECT n % 2 AS odd, generate_series(1, count(*) / 100) AS number, jsonb_object_keys(jsonb_object_agg(n, id)) AS key
  FROM t WHERE n IS NOT NULL GROUP BY n % 2 HAVING count(*) > 3;
CREATE TVIEW of_groups_distinct WITH (mode = incremental) AS SELECT DISTINCT unnest(array_agg(n % 2)) AS odd FROM t GROUP BY n;
CREATE TVIEW of_windows WITH (mode = incremental) AS SELECT id, unnest(arr) AS e, rank() OVER (PARTITION BY n ORDER BY id) AS r FROM t WHERE id <= 300 OR id >= 2000;
CREATE TVIEW of_windows_only WITH (mode = incremental) AS SELECT n, generate_series(1, row_number() OVER (PARTITION BY n ORDER BY id) % 3) AS s FROM t WHERE id <= 300 OR id >= 2000 ORDER BY n;
CREATE TVIEW of_windows_over_all WITH (mode = incremental) AS SELECT t.id + 1 AS next, unnest(ARRAY[lag(t.n) OVER (ORDER BY t.id), t.n]) AS n FROM t WHERE id <= 300 OR id >= 2000;
DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 170000 THEN
        EXECUTE $q$CREATE TVIEW json_table_ AS SELECT t.id, j.v FROM t, JSON_TABLE(t.doc, '$.list[*]' COLUMNS (v int PATH '$')) AS j$q$;
    ELSE
        CREATE TVIEW json_table_ AS SELECT t.id, j.v::int FROM t, jsonb_array_elements(t.doc -> 'list') AS j (v);
    END IF;
END $$;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'set_returning' ORDER BY name;
SELECT * FROM cost();

INSERT INTO t VALUES (2000, 2, '{7,7,7}', '{"list": [1], "map": {"a": 1}}', 'a b');
SELECT * FROM cost();
UPDATE t SET arr = '{7,8}', n = 3, words = 'a', doc = '{"list": [], "map": {"b": 2, "c": 3}}' WHERE id = 2000;
SELECT * FROM cost();
UPDATE t SET arr = NULL, n = NULL, doc = NULL, words = NULL WHERE id = 2000;
SELECT * FROM cost();
DELETE FROM t WHERE id = 2000;
SELECT * FROM cost();
UPDATE t SET arr = arr || 1 WHERE id IN (1, 2, 3);
SELECT * FROM cost();

DROP SCHEMA set_returning CASCADE;
