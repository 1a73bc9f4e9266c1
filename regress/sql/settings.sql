-- Settings of those who write never reach a TVIEW: each is fixed for maintenance, or what depends on it is refused.
CREATE SCHEMA settings;
SET search_path = settings, public;
CREATE TABLE t (id int PRIMARY KEY, a text, b bytea, f float8, i interval, at timestamptz, d date, x xml, m money);
CREATE TABLE doc (id int PRIMARY KEY, tags int[]);
CREATE TABLE topic (id int PRIMARY KEY, tag int);
INSERT INTO doc SELECT i, ARRAY[1, i % 10 + 2] FROM generate_series(1, 5000) i;
CREATE INDEX ON doc USING gin (tags);
ANALYZE doc;
CREATE VIEW view_of_t AS SELECT id, a FROM t;
CREATE TVIEW arrays AS SELECT id, a::text[] AS a FROM t WHERE a LIKE '{%';
CREATE TVIEW texts AS SELECT id, b::text AS b, f::text AS f, i::text AS i, at::text AS at, d::text AS d FROM t;
CREATE TVIEW documents AS SELECT id, to_jsonb(q) AS data FROM (SELECT id, a, b, f, i, at, d FROM t) q;
CREATE TVIEW times AS SELECT id, (a || ' EST')::timestamptz AS at FROM t WHERE a LIKE '20%';
CREATE TVIEW over_view AS SELECT id, upper(a) AS a FROM view_of_t;
CREATE TVIEW tagged AS SELECT p.id, count(*) AS n FROM topic p JOIN doc d ON d.tags @> ARRAY[p.tag] GROUP BY p.id;
CREATE TVIEW amounts AS SELECT m, sum(m) AS total, count(*) AS n FROM t GROUP BY m;
-- every setting with another value
CREATE FUNCTION odd() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s record;
BEGIN
    FOR s IN VALUES ('array_nulls', 'off'), ('bytea_output', 'escape'), ('extra_float_digits', '-5'), ('IntervalStyle', 'iso_8601'), ('TimeZone', 'Asia/Tokyo'),
        ('timezone_abbreviations', 'Australia'), ('DateStyle', 'German, DMY'), ('xmloption', 'document'), ('xmlbinary', 'hex'), ('quote_all_identifiers', 'on'),
        ('gin_fuzzy_search_limit', '5'), ('restrict_nonsystem_relation_kind', 'view'), ('transform_null_equals', 'on'), ('standard_conforming_strings', 'off'),
        ('backslash_quote', 'on'), ('row_security', 'off'), ('default_text_search_config', 'simple'), ('enable_seqscan', 'off'), ('search_path', 'pg_catalog'),
        ('default_table_access_method', 'tview'), ('default_toast_compression', 'pglz'), ('check_function_bodies', 'off'), ('session_replication_role', 'origin')
    LOOP
        -- 19 has one kind of strings
        IF s.column1 = 'standard_conforming_strings' AND current_setting('server_version_num')::int >= 190000 THEN
            CONTINUE;
        END IF;
        IF EXISTS (SELECT FROM pg_settings WHERE lower(name) = lower(s.column1)) THEN
            PERFORM set_config(s.column1, s.column2, false);
        END IF;
    END LOOP;
END $$;
SELECT odd();
INSERT INTO settings.t VALUES (1, '{x,NULL,1}', decode('00ff', 'hex'), 1.1::float8 / 3, '1 day 2 hours', '2024-02-01 12:00 UTC', '01.02.2024'), (2, '2024-07-01 10:00', NULL, 1e10, NULL, NULL, NULL);
INSERT INTO settings.topic VALUES (1, 3), (2, 1);
UPDATE settings.t SET f = f * 2 WHERE id = 1;
RESET ALL;
SET search_path = settings, public;
SELECT id, n FROM tagged ORDER BY id;
SELECT * FROM arrays;
SELECT * FROM times;
SELECT t.name, v.* FROM tviews.tviews t, LATERAL tviews.verify(t.name::regclass) v WHERE t.schema = 'settings' ORDER BY t.name;
SELECT odd();
DELETE FROM settings.topic WHERE id = 1;
DELETE FROM settings.t WHERE id = 2;
RESET ALL;
SET search_path = settings, public;
SELECT t.name, v.* FROM tviews.tviews t, LATERAL tviews.verify(t.name::regclass) v WHERE t.schema = 'settings' AND NOT v.ok ORDER BY t.name;
-- refused: the configuration is that of who writes
CREATE TVIEW x AS SELECT id FROM t WHERE a @@ 'cat';
CREATE TVIEW x AS SELECT id FROM t WHERE a @@ 'cat'::tsquery;
CREATE TVIEW x AS SELECT id, ts_headline(a, 'cat'::tsquery) AS h FROM t;
CREATE TVIEW x AS SELECT id, ts_headline(to_jsonb(a), 'cat'::tsquery, 'MaxWords=5') AS h FROM t;
CREATE TVIEW x AS SELECT id, jsonb_to_tsvector(to_jsonb(a), '"all"') AS v FROM t;
CREATE TVIEW x AS SELECT id, get_current_ts_config() AS c FROM t;
CREATE TVIEW named AS SELECT id, ts_headline('simple', a, 'cat'::tsquery) AS h FROM t WHERE to_tsvector('english', a) @@ to_tsquery('english', 'cats | x');
SELECT * FROM named;
-- refused: lc_monetary decides what an amount is worth, the catalogs the text of a name
CREATE TVIEW x AS SELECT id, f::numeric::money AS m FROM t;
CREATE TVIEW x AS SELECT id, m::numeric AS m FROM t;
CREATE TVIEW x AS SELECT id, to_jsonb(t) AS m FROM t;
CREATE TYPE named_row AS (id int, tables regclass[]);
CREATE DOMAIN named_type AS regtype;
CREATE TABLE log (id int PRIMARY KEY, tab regclass, tabs regclass[], who regrole, c named_row, cs named_row[], d named_type);
CREATE TVIEW x AS SELECT id, tab::text AS t FROM log;
CREATE TVIEW x AS SELECT id, concat(tab) AS t FROM log;
CREATE TVIEW x AS SELECT id, jsonb_build_object('table', tab) AS t FROM log;
CREATE TVIEW x AS SELECT id, array_to_string(tabs, ',') AS t FROM log;
CREATE TVIEW x AS SELECT id, format('%s', tab) AS t FROM log;
CREATE TVIEW x AS SELECT id, tabs::text AS t FROM log;
CREATE TVIEW x AS SELECT id, c::text AS t FROM log;
CREATE TVIEW x AS SELECT to_jsonb(ROW(id, cs)) AS t FROM log;
CREATE TVIEW x AS SELECT jsonb_agg(who) AS t FROM log;
CREATE TVIEW x AS SELECT string_agg(who::text, '') AS t FROM log;
CREATE TVIEW x AS SELECT id, json_agg(who) OVER () AS t FROM log;
CREATE TVIEW x AS SELECT id, d || 'x' AS t FROM log;
CREATE TVIEW numbers AS SELECT id, tab, tabs, c, cs, d, tab = 'settings.t'::regclass AS is_t, who::oid AS who FROM log;
INSERT INTO log VALUES (1, 't', '{t}', NULL, ROW(1, '{t}'), NULL, 'int');
ALTER TABLE t RENAME TO t2;
SELECT * FROM tviews.verify('numbers');
ALTER TABLE t2 RENAME TO t;
-- also when it comes later
CREATE TABLE few (id int PRIMARY KEY);
CREATE TYPE small AS (id int);
CREATE TABLE smalls (id int PRIMARY KEY, s small);
CREATE TVIEW wholes AS SELECT to_jsonb(f) AS data FROM few f;
CREATE TVIEW of_type AS SELECT id, to_jsonb(s) AS data FROM smalls;
ALTER TABLE few ADD COLUMN price money;
ALTER TABLE few ADD COLUMN price numeric;
ALTER TYPE small ADD ATTRIBUTE tab regclass;
ALTER TYPE small ADD ATTRIBUTE tab text;
INSERT INTO few VALUES (1, 2.5);
INSERT INTO smalls VALUES (1, ROW(1, 'x'));
TABLE wholes;
TABLE of_type;
-- refused: the clock
CREATE TVIEW x AS SELECT id, '12:00+00'::timetz AT TIME ZONE a AS at FROM t;
CREATE TYPE label AS ENUM ('a', 'b');
CREATE TVIEW x AS SELECT id, enum_range(NULL::label) AS labels FROM t;
CREATE TVIEW x AS SELECT id, enum_last(NULL::label) AS last FROM t;
CREATE TVIEW x AS SELECT id FROM t WHERE at > 'today'::text::timestamptz;
CREATE TVIEW x AS SELECT id FROM t WHERE d > ('Now'::varchar)::date;
SET client_min_messages = warning;
DROP SCHEMA settings CASCADE;
