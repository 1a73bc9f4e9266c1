-- Types and names: values without equality, several spellings of equal values, odd names.
CREATE SCHEMA types;
SET search_path = types, public;
SET client_min_messages = warning;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (x int, y text);

-- types without equality: no key of them, but stored and compared all the same
CREATE TABLE odd (id int PRIMARY KEY, j json, x xml, p point);
CREATE TVIEW odd_keyed AS SELECT id, j, p FROM odd;
CREATE TVIEW odd_bag AS SELECT j, p FROM odd;
CREATE TVIEW odd_agg AS SELECT id % 2 AS odd, json_agg(j ORDER BY id) AS js FROM odd GROUP BY 1;
INSERT INTO odd VALUES (1, '{"a":1}', NULL, '(1,2)'), (2, '{"a": 1}', NULL, '(1,2)'), (3, '{"a":1}', NULL, NULL), (4, NULL, NULL, '(0,0)');
SELECT * FROM oracle();
UPDATE odd SET j = '{"a":  1}' WHERE id = 1;
UPDATE odd SET p = '(3,4)' WHERE id = 3;
SELECT * FROM oracle();
DELETE FROM odd WHERE id = 2;
SELECT * FROM oracle();
TABLE odd_keyed ORDER BY id;

-- every kind of type as part of a row, and as a key
CREATE TABLE val (id int PRIMARY KEY, c char(5), m mood, d positive, pr pair, arr int[], arr2 text[], r int4range, mr int4multirange, tz timestamptz,
  i interval, b bytea, n numeric, f float8, u uuid, net inet, bits bit varying, mon money, js jsonb, vec tsvector, nm name, ch "char");
CREATE TVIEW val_all AS SELECT * FROM val;
CREATE TVIEW by_char AS SELECT c, count(*) FROM val GROUP BY c;
CREATE TVIEW by_enum AS SELECT m, max(id) FROM val GROUP BY m;
CREATE TVIEW by_domain AS SELECT d, count(*) FROM val GROUP BY d;
CREATE TVIEW by_pair AS SELECT pr, count(*) FROM val GROUP BY pr;
CREATE TVIEW by_array AS SELECT arr, arr2, count(*) FROM val GROUP BY arr, arr2;
CREATE TVIEW by_range AS SELECT r, mr, count(*) FROM val GROUP BY r, mr;
CREATE TVIEW by_time AS SELECT tz, i, count(*) FROM val GROUP BY tz, i;
CREATE TVIEW by_bytes AS SELECT b, u, net, bits, count(*) FROM val GROUP BY b, u, net, bits;
CREATE TVIEW by_number AS SELECT n, count(*), min(id) AS lo FROM val GROUP BY n;
CREATE TVIEW by_float AS SELECT f, count(*) FROM val GROUP BY f;
CREATE TVIEW by_json AS SELECT js, nm, ch, mon, count(*) FROM val GROUP BY js, nm, ch, mon;
CREATE TVIEW distinct_all AS SELECT DISTINCT c, m, d, pr, arr, r, tz, i, b, f, u, js FROM val;
INSERT INTO val
  SELECT g, 'c' || g % 3, (ARRAY['sad', 'ok', 'happy', NULL])[g % 4 + 1]::mood, g, ROW(g % 2, 'y')::pair, ARRAY[g % 3, NULL], ARRAY['a,b', '{', NULL], int4range(g % 2, 9),
         int4multirange(int4range(1, g + 2)), '2020-01-01 00:00+00'::timestamptz + g % 2 * '1 day'::interval, g % 2 * '24 hours'::interval, decode('00ff', 'hex'), g % 2 / 2.0, g % 3 / 3.0,
         ('00000000-0000-0000-0000-00000000000' || g % 3)::uuid, '10.0.0.1/8', B'101', 12.34::numeric::money, '{"b": 1, "a": null}', 'fat:1A cat', 'n' || g % 2, 'c'
    FROM generate_series(1, 8) g;
SELECT * FROM oracle();
INSERT INTO val (id) VALUES (20), (21);
INSERT INTO val (id, c, f, n) VALUES (30, 'c1', 'NaN', 'NaN'), (31, 'c1   ', '-Infinity', 'Infinity'), (32, 'c1', 0, 0);
SELECT * FROM oracle();
UPDATE val SET m = 'happy', pr = ROW(NULL, NULL)::pair, arr = '{}', r = 'empty', tz = 'infinity', i = '1 mon', b = '', js = '[]' WHERE id IN (3, 20);
SELECT * FROM oracle();
DELETE FROM val WHERE id IN (1, 30, 21);
SELECT * FROM oracle();
-- under other settings
SET TimeZone = 'Asia/Tokyo';
SET bytea_output = escape;
SET IntervalStyle = iso_8601;
SET extra_float_digits = 0;
UPDATE val SET tz = tz + '1 hour'::interval, f = f + 0.1, b = b || '\\x'::bytea;
SELECT * FROM oracle();
RESET TimeZone;
RESET bytea_output;
RESET IntervalStyle;
RESET extra_float_digits;
SELECT * FROM oracle();

-- equal but not the same: the stored spelling follows the row
CREATE TABLE same (id int PRIMARY KEY, n numeric, f float8, i interval);
CREATE TVIEW same_keyed AS SELECT id, n, f, i FROM same;
CREATE TVIEW same_key AS SELECT n, f, count(*) FROM same GROUP BY n, f;
INSERT INTO same VALUES (1, 1.0, 0.0, '24 hours');
UPDATE same SET n = 1.000;
SELECT * FROM oracle();
UPDATE same SET f = -0.0;
SELECT * FROM oracle();
UPDATE same SET i = '1 day';
SELECT * FROM oracle();
TABLE same_keyed;
BEGIN;
DELETE FROM same;
INSERT INTO same VALUES (1, 1.00, 0.0, '23:59:60');
COMMIT;
SELECT * FROM oracle();

-- names
CREATE TABLE "Base Table" ("Id" int PRIMARY KEY, "select" int, "quo""te" text, "a.b" int, k1 int, c1 int, d int, q int, s int, v int, x int, present bool, ctid_ int, c2 text,
  "a_name_of_exactly_sixty_three_bytes_which_is_the_longest_allowed" int);
CREATE TVIEW "T View" AS SELECT * FROM "Base Table";
CREATE TVIEW "TV""quoted" AS SELECT "select", count(*) AS "group", max("quo""te") AS "max" FROM "Base Table" GROUP BY "select";
CREATE TVIEW q AS SELECT k1, c1, d, q, s, v, x, present, ctid_, count(*) AS n FROM "Base Table" GROUP BY k1, c1, d, q, s, v, x, present, ctid_;
CREATE TVIEW v AS SELECT q."Id", v.k1 AS d, d."Id" AS q, s.present FROM "Base Table" q JOIN "Base Table" v ON v."Id" = q.k1 LEFT JOIN "Base Table" d ON d."Id" = v.q LEFT JOIN "Base Table" s ON s."Id" = d.x;
CREATE TVIEW a_tview_name_of_exactly_sixty_three_bytes_so_the_longest_allowed AS
  SELECT "Id" AS "täglich", a_name_of_exactly_sixty_three_bytes_which_is_the_longest_allowed AS "tab	and
newline" FROM "Base Table";
INSERT INTO "Base Table" SELECT g, g % 2, 'q"' || g, g, g % 3, g % 2, 1, g % 3, NULL, 2, g % 4, g % 2 = 0, 3, 'c', g FROM generate_series(1, 9) g;
SELECT * FROM oracle();
UPDATE "Base Table" SET k1 = k1 + 1, "select" = NULL WHERE "Id" % 2 = 0;
SELECT * FROM oracle();
DELETE FROM "Base Table" WHERE "Id" < 4;
SELECT * FROM oracle();
ALTER TABLE "Base Table" RENAME "Id" TO "order";
UPDATE "Base Table" SET "order" = "order" + 100;
SELECT * FROM oracle();

DROP SCHEMA types CASCADE;
