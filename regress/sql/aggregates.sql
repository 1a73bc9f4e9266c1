-- Every aggregate, with a change of one row of 1000: folded where the server knows an inverse, otherwise its group of 20 is recomputed.
CREATE SCHEMA aggregates;
SET search_path = aggregates, public;
SET client_min_messages = warning;
CREATE TABLE item (id int PRIMARY KEY, grp int, n int, small smallint, big bigint, price numeric, x float8, y real, flag bool, word text, bits bit(8), doc jsonb);
INSERT INTO item SELECT i, i % 50, i % 13, i % 7, i * 1000000007::bigint, i / 4.0, i / 3.0, i / 7.0, i % 3 = 0, 'w' || i % 11, (i % 256)::bit(8), jsonb_build_object('i', i)
  FROM generate_series(1, 1000) i;
CREATE INDEX ON item (grp);
CREATE FUNCTION longer(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN length($2) > length($1) THEN $2 ELSE coalesce($1, $2) END $$;
CREATE AGGREGATE longest(text) (sfunc = longer, stype = text);
CREATE FUNCTION plus(bigint, int) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT $1 + $2 $$;
CREATE FUNCTION minus(bigint, int) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT $1 - $2 $$;
CREATE AGGREGATE total(int) (sfunc = plus, stype = bigint, initcond = 0, msfunc = plus, minvfunc = minus, mstype = bigint, minitcond = 0);

-- folded
CREATE TVIEW f_count AS SELECT grp, count(*) AS c, count(n) AS cn, count(*) FILTER (WHERE flag) AS f FROM item GROUP BY grp;
CREATE TVIEW f_sum AS SELECT grp, sum(small) AS s2, sum(n) AS s4, sum(big) AS s8, sum(price) AS sn FROM item GROUP BY grp;
CREATE TVIEW f_avg AS SELECT grp, avg(small) AS a2, avg(n) AS a4, avg(big) AS a8, avg(price) AS an FROM item GROUP BY grp;
CREATE TVIEW f_bool AS SELECT grp, bool_and(flag) AS a, bool_or(flag) AS o, every(n < 100) AS e FROM item GROUP BY grp;
CREATE TVIEW f_extrema AS SELECT grp, min(word) AS w, max(x) AS x, min(y) AS y, max(small) AS s FROM item GROUP BY grp;
CREATE TVIEW f_variance AS SELECT grp, variance(n) AS v, stddev(n) AS d, var_pop(price) AS vp, stddev_samp(big) AS ds FROM item GROUP BY grp;
CREATE TVIEW f_own AS SELECT grp, total(n) AS t FROM item GROUP BY grp;
-- the group is recomputed
CREATE TVIEW k_float AS SELECT grp, sum(x) AS s, avg(y) AS a, stddev(x) AS d, var_pop(x) AS v FROM item GROUP BY grp;
CREATE TVIEW k_two AS SELECT grp, corr(x, n) AS c, covar_pop(x, y) AS p, regr_slope(x, n) AS r, regr_count(x, y) AS rc FROM item GROUP BY grp;
CREATE TVIEW k_bits AS SELECT grp, bit_and(n) AS a, bit_or(n) AS o, bit_xor(n) AS x, bit_or(bits) AS b FROM item GROUP BY grp;
CREATE TVIEW k_text AS SELECT grp, string_agg(word, ',' ORDER BY id) AS s, array_agg(n ORDER BY id) AS a FROM item GROUP BY grp;
CREATE TVIEW k_json AS SELECT grp, json_agg(doc ORDER BY id) AS j, jsonb_agg(doc ORDER BY id) AS b, json_object_agg(id, word ORDER BY id) AS o,
  jsonb_object_agg(id, word) AS ob FROM item GROUP BY grp;
CREATE TVIEW k_distinct AS SELECT grp, count(DISTINCT word) AS c, sum(DISTINCT n) AS s, array_agg(DISTINCT small) AS a FROM item GROUP BY grp;
CREATE TVIEW k_ordered_set AS SELECT grp, mode() WITHIN GROUP (ORDER BY n) AS m, percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS c,
  percentile_disc(ARRAY[0.25, 0.75]) WITHIN GROUP (ORDER BY n) AS d, rank(5) WITHIN GROUP (ORDER BY n) AS r FROM item GROUP BY grp;
CREATE TVIEW k_own AS SELECT grp, longest(word ORDER BY id) AS l FROM item GROUP BY grp;
CREATE TVIEW k_mixed AS SELECT grp, count(*) AS c, sum(n) AS s, string_agg(word, '' ORDER BY id) AS w FROM item GROUP BY grp;
-- JSON_ARRAYAGG and JSON_OBJECTAGG exist since 16
DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 160000 THEN
        EXECUTE 'CREATE TVIEW k_sql_json AS SELECT grp, JSON_ARRAYAGG(word ORDER BY id) AS a, JSON_OBJECTAGG(id: word) AS o FROM item GROUP BY grp';
    ELSE
        CREATE TVIEW k_sql_json AS SELECT grp, json_agg(word ORDER BY id) AS a FROM item GROUP BY grp;
    END IF;
END $$;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'aggregates' ORDER BY name;
SELECT * FROM cost();

INSERT INTO item VALUES (2000, 7, 5, 3, 5, 0.125, 0.1, 0.1, false, 'a long word', B'11110000', '[]');
SELECT * FROM cost();
UPDATE item SET n = 6, small = 6, big = 6, price = 6, x = 6, y = 6, flag = true, word = 'six', bits = B'00000110', doc = '6' WHERE id = 2000;
SELECT * FROM cost();
UPDATE item SET n = NULL, small = NULL, big = NULL, price = NULL, x = NULL, y = NULL, flag = NULL, word = NULL, bits = NULL, doc = NULL WHERE id = 2000;
SELECT * FROM cost();
DELETE FROM item WHERE id = 2000;
SELECT * FROM cost();
-- All values of a group NULL, then all of its rows gone.
UPDATE item SET n = NULL, small = NULL, big = NULL, price = NULL, x = NULL, y = NULL, flag = NULL, word = NULL, bits = NULL, doc = NULL WHERE grp = 8;
SELECT * FROM cost();
DELETE FROM item WHERE grp = 8;
SELECT * FROM cost();
-- Variance that cancels: a huge value comes and goes.
UPDATE item SET price = 1e30, n = 2147483647 WHERE id = 9;
UPDATE item SET price = 2.25, n = 9 WHERE id = 9;
SELECT * FROM cost('f_variance', 'f_sum', 'f_avg');
-- Overflow fails the statement, as it would fail the query.
UPDATE item SET big = 9223372036854775807 WHERE id IN (9, 59);
SELECT sum(big) > 9223372036854775807 AS fits FROM item WHERE grp = 9;
CREATE TVIEW overflows AS SELECT grp, sum(n)::int AS s FROM item GROUP BY grp;
UPDATE item SET n = 2147483647 WHERE id IN (109, 159);
SELECT * FROM cost('none');

DROP SCHEMA aggregates CASCADE;
