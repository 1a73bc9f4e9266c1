-- Option approximate: floating-point sums and statistics are folded, and may differ from the query in their last digits; without it their group is recomputed.
CREATE SCHEMA approximate;
SET search_path = approximate, public;
CREATE TABLE item (id int PRIMARY KEY, grp int, x float8, y real);
INSERT INTO item SELECT i, i % 20, i * 0.5, i * 0.25 FROM generate_series(1, 2000) i;
CREATE INDEX ON item (grp);
CREATE TVIEW exact AS SELECT grp, sum(x) AS s, avg(x) AS a, sum(y) AS sy, avg(y) AS ay, count(x) AS c FROM item GROUP BY grp;
CREATE TVIEW folded WITH (approximate = on) AS SELECT grp, sum(x) AS s, avg(x) AS a, sum(y) AS sy, avg(y) AS ay, count(x) AS c FROM item GROUP BY grp;
CREATE TVIEW deviation WITH (approximate = on) AS SELECT grp, stddev(x) AS d FROM item GROUP BY grp;
CREATE TVIEW staged WITH (approximate = on) AS SELECT grp, s FROM (SELECT grp, sum(x) AS s FROM item GROUP BY grp) i WHERE s > 49000;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'approximate' ORDER BY name;
SELECT e AS explain FROM tviews.explain('exact') e WHERE e LIKE '%item: %';
SELECT e AS explain FROM tviews.explain('folded') e WHERE e LIKE '%item: %';
SELECT * FROM cost();

-- Halves and quarters have exact sums.
INSERT INTO item VALUES (3000, 3, 2.5, 0.25);
UPDATE item SET x = x + 1 WHERE id IN (4, 5);
SELECT * FROM cost();
DELETE FROM item WHERE id = 3000;
UPDATE item SET x = NULL WHERE grp = 6;
SELECT * FROM folded WHERE grp = 6;
SELECT * FROM cost();
-- NaN and infinity would never leave a sum again: the group is recomputed.
UPDATE item SET x = 'NaN', y = 'Infinity' WHERE id = 7;
SELECT s, a, sy, ay FROM folded WHERE grp = 7;
UPDATE item SET x = 3.5, y = 1.75 WHERE id = 7;
SELECT s, a, sy, ay FROM folded WHERE grp = 7;
SELECT * FROM cost();
DROP TVIEW staged;
-- A large value takes the small ones with it: this is what approximate means. rebuild brings them back.
UPDATE item SET x = 1e100 WHERE id = 8;
UPDATE item SET x = 4 WHERE id = 8;
SELECT (SELECT s FROM exact WHERE grp = 8) AS exact, (SELECT s FROM folded WHERE grp = 8) AS folded;
SELECT ok FROM tviews.verify('exact');
SELECT tview, missing, extra, ok FROM tviews.verify('folded');
SELECT tviews.rebuild('folded');
SELECT tview, missing, extra, ok FROM tviews.verify('folded');
SELECT tviews.stat_reset();

-- The option can be changed, and must be a truth value.
ALTER TVIEW folded RESET (approximate);
UPDATE item SET x = 1e100 WHERE id = 9;
UPDATE item SET x = 4 WHERE id = 9;
SELECT * FROM oracle('folded');
ALTER TVIEW folded SET (approximate = perhaps);

-- Statistics of floating-point numbers: variance, covariance, correlation, regression.
DROP TABLE item CASCADE;
CREATE TABLE pair (id int PRIMARY KEY, grp int, x float8, y real, n int);
INSERT INTO pair SELECT i, i % 20, (i * 7 % 31) * 0.5, (i * 11 % 17) * 0.25, i % 5 FROM generate_series(1, 400) i;
CREATE INDEX ON pair (grp);
CREATE VIEW v_few AS SELECT grp, stddev(x) AS d, var_pop(y) AS v, corr(x, y) AS c, count(*) AS n FROM pair GROUP BY grp;
CREATE VIEW v_all AS SELECT grp, stddev(x) AS sd, stddev_samp(y) AS ss, stddev_pop(x) AS sp, variance(y) AS va, var_samp(x) AS vs, var_pop(x) AS vp,
    corr(x, y) AS c, covar_pop(x, y) AS cp, covar_samp(x, n) AS cs, regr_avgx(y, x) AS ax, regr_avgy(y, x) AS ay, regr_count(y, x) AS rc, regr_intercept(y, x) AS ri,
    regr_r2(y, x) AS r2, regr_slope(y, x) AS rs, regr_sxx(y, x) AS sxx, regr_sxy(y, x) AS sxy, regr_syy(y, x) AS syy,
    regr_slope(n, x) FILTER (WHERE n > 1) AS sf, sum(x) AS s FROM pair GROUP BY grp;
CREATE VIEW v_total AS SELECT stddev(x) AS d, corr(y, x + 1) AS c, avg(n) AS a FROM pair WHERE id % 2 = 0;
DO $$ DECLARE v text; BEGIN
    FOREACH v IN ARRAY '{few, all, total}'::text[] LOOP
        EXECUTE format('CREATE TVIEW a_%1$s WITH (approximate) AS %2$s', v, pg_get_viewdef(('v_' || v)::regclass));
    END LOOP;
END $$;
CREATE TVIEW e_few AS SELECT grp, stddev(x) AS d, var_pop(y) AS v, corr(x, y) AS c, count(*) AS n FROM pair GROUP BY grp;
CREATE TVIEW e_count AS SELECT grp, regr_count(x, y) AS c, regr_count(y, x) FILTER (WHERE n > 1) AS f FROM pair GROUP BY grp;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'approximate' ORDER BY name;
SELECT e AS explain FROM tviews.explain('e_few') e WHERE e LIKE '%pair: %';
-- What differs from the query in more than the last digits: groups, and columns.
CREATE FUNCTION differs(what text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN
    RETURN QUERY EXECUTE format($q$
        WITH t AS (SELECT row_number() OVER (ORDER BY x) AS i, to_jsonb(x) AS j FROM a_%1$s x), v AS (SELECT row_number() OVER (ORDER BY x) AS i, to_jsonb(x) AS j FROM v_%1$s x),
        c AS (SELECT i, k, t.j ->> k AS a, v.j ->> k AS b FROM t FULL JOIN v USING (i), jsonb_object_keys(coalesce(t.j, v.j)) k)
        SELECT format('%%s %%s: %%s instead of %%s', i, k, coalesce(a, 'NULL'), coalesce(b, 'NULL')) FROM c
         WHERE a IS DISTINCT FROM b AND (a IS NULL OR b IS NULL OR abs(a::float8 - b::float8) > 1e-9 * (1 + abs(b::float8))) ORDER BY i, k$q$, what);
END $$;
CREATE FUNCTION differences() RETURNS SETOF text LANGUAGE sql AS $$ SELECT w || ': ' || d FROM unnest('{few, all, total}'::text[]) w, differs(w) d $$;
SELECT tviews.stat_reset();

INSERT INTO pair VALUES (1000, 3, 2.5, 0.25, 1);
UPDATE pair SET x = x + 1.5, y = y * 2, n = n + 1 WHERE id IN (4, 5);
SELECT * FROM differences();
SELECT tview, inserted, updated, deleted, keys, "full" FROM cost();
DELETE FROM pair WHERE id = 1000;
UPDATE pair SET x = NULL WHERE id IN (7, 8);
UPDATE pair SET y = NULL WHERE id IN (8, 9);
SELECT * FROM differences();
-- All values NULL; all rows gone; one row left; none of one column differs from the others.
UPDATE pair SET x = NULL WHERE grp = 10;
DELETE FROM pair WHERE grp = 11 OR grp = 12 AND id > 20;
UPDATE pair SET x = 2.5 WHERE grp = 13;
UPDATE pair SET y = 2.5 WHERE grp = 14;
SELECT * FROM differences();
SELECT grp, sd, c, r2, rs, rc FROM a_all WHERE grp BETWEEN 10 AND 14 ORDER BY grp;
-- NaN and the infinities come and go; so does a value beside which the others are nothing.
UPDATE pair SET x = 'NaN', y = 'Infinity' WHERE id = 15;
SELECT sd, ss, c, rc FROM a_all WHERE grp = 15;
UPDATE pair SET x = 1, y = 2 WHERE id = 15;
UPDATE pair SET x = 1e20 WHERE id = 16;
UPDATE pair SET x = 4 WHERE id = 16;
SELECT * FROM differences();
-- Too large for its square.
INSERT INTO pair VALUES (2000, 16, 1e200, 1, 1);
-- Many small steps.
DO $$ BEGIN
    FOR i IN 1..300 LOOP
        UPDATE pair SET x = (i * 37 % 101) * 0.1, y = (i * 53 % 89) * 0.01 WHERE id = 17 + 20 * (i % 19);
    END LOOP;
END $$;
SELECT * FROM differences();
SELECT tview, "full" FROM cost() ORDER BY 1;

SET client_min_messages = warning;
DROP SCHEMA approximate CASCADE;
