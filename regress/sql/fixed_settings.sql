-- A materialized view that becomes a TVIEW in a session whose settings are others than the fixed ones: said when its contents depend on them.
CREATE SCHEMA fixed_settings;
SET search_path = fixed_settings;
SET TimeZone = 'Europe/Berlin';
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = 'postgres';
CREATE DOMAIN seen AS timestamptz;
CREATE TYPE stay AS (since seen, cost numeric);
CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL, d date, i interval, f float8, b bytea, m money, s stay, n numeric, txt text, ats timestamptz[]);
INSERT INTO t VALUES (1, '2026-03-01 00:30', '2026-03-01', '1 day 2 hours', 0.1, '\x00ff', 5, ROW('2026-03-01 00:30', 3), 1234.5, '1', ARRAY['2026-03-01 00:30'::timestamptz]);
CREATE FUNCTION becomes(query text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE NOTICE '%', query;
  EXECUTE 'CREATE MATERIALIZED VIEW m AS ' || query;
  ALTER MATERIALIZED VIEW m SET ACCESS METHOD tview;
  DROP MATERIALIZED VIEW m;
END $$;
CREATE MATERIALIZED VIEW days AS SELECT date(at) AS day, count(*) AS n FROM t GROUP BY 1;
TABLE days;
ALTER MATERIALIZED VIEW days SET ACCESS METHOD tview;
TABLE days;
SELECT * FROM tviews.verify('days');

-- through types: domains, attributes, elements, rows whose columns are not known
SELECT becomes(q) FROM unnest(ARRAY['SELECT at::date AS d FROM t', 'SELECT id FROM t WHERE at > d', 'SELECT to_jsonb(s) AS j FROM t', 'SELECT to_jsonb(ats) AS j FROM t',
  'SELECT jsonb_agg(at) AS j FROM t', 'SELECT to_jsonb(x) AS j FROM (SELECT id, at FROM t) x', 'SELECT json_build_object(''at'', at) AS j FROM t', 'SELECT at::text FROM t',
  'SELECT at + interval ''1 day'' AS next FROM t', 'SELECT row_to_json(ROW(id, at)) AS j FROM t', 'SELECT to_char(at, ''YYYY'') AS y FROM t', 'SELECT date_trunc(''month'', d) AS month FROM t']) q;
-- what does not depend on it
SELECT becomes(q) FROM unnest(ARRAY['SELECT id, at, d, i, f, b, m, s, ats FROM t', 'SELECT max(at), min(d), count(*) FROM t', 'SELECT (at AT TIME ZONE ''Europe/Berlin'')::date AS d FROM t',
  'SELECT id FROM t WHERE at > ''2026-01-01''', 'SELECT to_jsonb(n) AS j, concat(id, txt) AS c, n::text AS n FROM t', 'SELECT to_json(ROW(id, d)) AS j, d::text AS d, i::text AS i, f::text AS f, b::text AS b FROM t',
  'SELECT to_char(d, ''YYYY-MM'') AS y, date_trunc(''month'', d::timestamp) AS month FROM t']) q;
-- the other settings
RESET TimeZone;
SET TimeZone = 'Etc/UTC';
SET DateStyle = 'German';
SET IntervalStyle = 'iso_8601';
SET extra_float_digits = 0;
SET bytea_output = 'escape';
SELECT becomes(q) FROM unnest(ARRAY['SELECT d::text FROM t', 'SELECT d FROM t', 'SELECT at::date AS d FROM t', 'SELECT i::text FROM t', 'SELECT concat(i, id) AS c FROM t', 'SELECT i + i AS i FROM t',
  'SELECT f::text FROM t', 'SELECT f * 2 AS f FROM t', 'SELECT to_jsonb(f) AS j FROM t', 'SELECT format(''%s'', b) AS b FROM t', 'SELECT b || b AS b FROM t']) q;
SET DateStyle = 'ISO, DMY';
SELECT becomes(q) FROM unnest(ARRAY['SELECT d::text FROM t', 'SELECT txt::interval AS i FROM t', 'SELECT (''0'' || txt || ''/02/2026'')::text::date AS d FROM t']) q;
SET DateStyle = 'ISO, DMY';
SET IntervalStyle = 'postgres';
RESET extra_float_digits;
RESET bytea_output;
SET lc_monetary = 'C';
SET lc_numeric = 'C';
SET TimeZone = 'UTC';
SELECT becomes(q) FROM unnest(ARRAY['SELECT at::text AS a, d::text AS d, i::text AS i, f::text AS f, b::text AS b, to_char(n, ''9G999D9'') AS n FROM t']) q;
-- not populated: nothing changes
SET TimeZone = 'Europe/Berlin';
CREATE MATERIALIZED VIEW none AS SELECT at::date AS d FROM t WITH NO DATA;
ALTER MATERIALIZED VIEW none SET ACCESS METHOD tview;
RESET TimeZone;

SET client_min_messages = warning;
DROP SCHEMA fixed_settings CASCADE;
