-- Changes of a part of a document: the functions tviews.jsonb_…
CREATE SCHEMA parts;
SET search_path = parts, public;
-- as jsonb_set, byte for byte, over documents of all forms
CREATE TABLE document (d jsonb);
INSERT INTO document VALUES ('{}'), ('[]'), ('null'), ('1.500'), ('"x"'), ('{"a": 1}'), ('{"a": {"b": [1, 2.50, {"c": null}], "cc": "é"}, "bb": true}'), ('[[1], [2, 3], {"a": 1.10}]'),
    ('{"a": 1, "a": 2.00}'), ('{"": [], "a": [], "b": {}}'), ('[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]');
INSERT INTO document SELECT jsonb_object_agg('k' || i, repeat('x', i)) FROM generate_series(1, 100) i;
INSERT INTO document SELECT jsonb_agg(jsonb_build_object('id', i, 'n', i::numeric(10,2), 'text', repeat('w', i % 7))) FROM generate_series(1, 200) i;
INSERT INTO document SELECT jsonb_build_object('a', jsonb_agg(jsonb_build_object('b', md5(i::text)))) FROM generate_series(1, 5000) i;
CREATE TABLE place (p text[]);
INSERT INTO place VALUES ('{}'), ('{a}'), ('{a,b}'), ('{a,b,1}'), ('{a,b,2,c}'), ('{a,b,-1}'), ('{a,b,9}'), ('{a,b,-9}'), ('{0}'), ('{1,1}'), ('{-1}'), ('{2,a}'), ('{99}'), ('{k7}'), ('{150,n}'), ('{a,31,b}'), ('{a,32,b}'), ('{a,4999}'), ('{""}'), ('{a,0}'), ('{zz,b}'), ('{k50,x}');
CREATE TABLE value (v jsonb);
INSERT INTO value VALUES ('1.000'), ('null'), ('"text"'), ('{"x": [1.10, {}]}'), ('[]'), ('true');
CREATE FUNCTION outcome(f text, d jsonb, p text[], v jsonb, c boolean, OUT r jsonb, OUT e text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT %s($1, $2, $3, $4)', f) INTO r USING d, p, v, c;
EXCEPTION WHEN others THEN e := sqlstate || ' ' || sqlerrm;
END $$;
SELECT count(*), count(a.r), count(a.e), count(*) FILTER (WHERE a.r <> d) AS changed, count(*) FILTER (WHERE NOT record_image_eq(ROW(a.r, a.e), ROW(b.r, b.e))) AS other
  FROM document, place, value, (VALUES (true), (false)) x(c), outcome('tviews.jsonb_set_path', d, p, v, c) a, outcome('jsonb_set', d, p, v, c) b;
SELECT outcome('tviews.jsonb_set_path', '[1]', p, '1', true) FROM (VALUES ('{x}'::text[]), ('{ 0}'), ('{0 }'), ('{+0}'), ('{99999999999}'), ('{NULL}'), ('{{a,b},{c,d}}')) x(p);
SELECT tviews.jsonb_set_path(NULL, '{a}', '1') IS NULL AND tviews.jsonb_set_path('{}', NULL, '1') IS NULL AND tviews.jsonb_set_path('{}', '{a}', NULL) IS NULL AS strict;
SELECT tviews.jsonb_set_path('{"a": 1}', '{b}', '2'), tviews.jsonb_set_path('{"a": 1}', '{b}', '2', false);

-- elements of an array by a key
SELECT tviews.jsonb_array_insert('{"c": [{"id": 1}, {"id": 3}]}', '{c}', '{"id": 2}');
SELECT tviews.jsonb_array_insert('{"c": [{"id": 1}, {"id": 3}]}', '{c}', '{"id": 2}', 'id');
SELECT tviews.jsonb_array_insert('{"c": [{"id": 3}, {"id": 1}]}', '{c}', '{"id": 2}', 'id', true);
SELECT tviews.jsonb_array_insert('[{"id": 1, "a": 1}, {"id": 2.0}, {"x": 1}]', '{}', '{"id": 2, "b": 1}', 'id');
SELECT tviews.jsonb_array_insert('[]', '{}', '1'), tviews.jsonb_array_insert('{"a": []}', '{b}', '1'), tviews.jsonb_array_insert('[[1], [2]]', '{-1}', '3');
SELECT tviews.jsonb_array_update('{"c": [{"id": 1}, {"id": 2.0}, 7, {"id": "2"}]}', '{c}', 'id', '2', '{"id": 2, "new": 1.50}');
SELECT tviews.jsonb_array_update('{"c": [{"id": 1}]}', '{c}', 'id', '9', '{}'), tviews.jsonb_array_update('{"c": 1}', '{d}', 'id', '9', '{}');
SELECT tviews.jsonb_array_delete('{"c": [{"id": {"a": 1}}, {"id": 2}]}', '{c}', 'id', '{"a": 1.0}'), tviews.jsonb_array_delete('[{"id": 2}]', '{}', 'id', '2'), tviews.jsonb_array_delete('[{"id": 2}]', '{}', 'id', '3');
SELECT tviews.jsonb_array_insert('{"a": 1}', '{a}', '1');
SELECT tviews.jsonb_array_insert('{"a": 1}', '{}', '1');
SELECT tviews.jsonb_array_update('1', '{}', 'a', '1', '1');
SELECT tviews.jsonb_array_insert('[]', '{}', '1', 'id');
SELECT tviews.jsonb_array_delete('[]', '{NULL}', 'id', '1');
-- a thousand elements, in any order, by key; and changed as a query would make them anew
CREATE TABLE element (id int PRIMARY KEY, body text, n numeric);
INSERT INTO element SELECT i, repeat(md5(i::text), i % 20), i::numeric(8,2) FROM generate_series(1, 1000) i;
CREATE VIEW whole AS SELECT jsonb_build_object('c', jsonb_agg(jsonb_build_object('id', id, 'body', body, 'n', n) ORDER BY id)) AS d FROM element;
CREATE TABLE kept AS SELECT '{"c": []}'::jsonb AS d;
DO $$ DECLARE e element; BEGIN
    FOR e IN SELECT * FROM element ORDER BY md5(id::text) LOOP
        UPDATE kept SET d = tviews.jsonb_array_insert(d, '{c}', jsonb_build_object('id', e.id, 'body', e.body, 'n', e.n), 'id');
    END LOOP;
END $$;
SELECT record_image_eq(ROW(k.d), ROW(w.d)) AS same FROM kept k, whole w;
UPDATE element SET body = 'edited', n = 1.10 WHERE id = 500;
DELETE FROM element WHERE id = 33;
UPDATE kept SET d = tviews.jsonb_array_delete(tviews.jsonb_array_update(d, '{c}', 'id', '500', '{"id": 500, "body": "edited", "n": 1.10}'), '{c}', 'id', '33');
SELECT record_image_eq(ROW(k.d), ROW(w.d)) AS same FROM kept k, whole w;
SELECT proname, proisstrict, provolatile, proparallel FROM pg_proc WHERE pronamespace = 'tviews'::regnamespace AND proname LIKE 'jsonb%' ORDER BY 1;
DROP SCHEMA parts CASCADE;
