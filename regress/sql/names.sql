-- Functions that name helpers without a schema: refused before there is a row, or right.
CREATE SCHEMA names;
CREATE SCHEMA names_other;
SET search_path = names, public;
CREATE TABLE t (id int PRIMARY KEY, a int, x float8);
CREATE FUNCTION helper(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE TYPE pair AS (a int, b int);

-- SQL: calls, types, operators, tables; nested in others; through operators, aggregates, views, sub-queries
CREATE FUNCTION calls(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT helper($1)';
CREATE FUNCTION casts(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1::small';
CREATE FUNCTION nested(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT names.calls($1)';
CREATE FUNCTION reads(int) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT count(*) FROM t WHERE id = $1';
CREATE FUNCTION poly(a anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE AS 'SELECT CASE WHEN helper(1) > 0 THEN a END';
CREATE FUNCTION times_helper(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * helper($2)';
CREATE OPERATOR *! (FUNCTION = times_helper, LEFTARG = int, RIGHTARG = int);
CREATE FUNCTION applies(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a *! 2';
CREATE AGGREGATE helped (int) (SFUNC = times_helper, STYPE = int, INITCOND = '1');
CREATE VIEW v AS SELECT id, calls(a) AS a FROM t;
CREATE TVIEW no AS SELECT id, calls(a) AS c FROM t;
CREATE TVIEW no AS SELECT id, casts(a) AS c FROM t;
CREATE TVIEW no AS SELECT id, nested(a) AS c FROM t;
CREATE TVIEW no AS SELECT id, reads(a) AS c FROM t;
CREATE TVIEW no AS SELECT id, poly(a) AS c FROM t;
CREATE TVIEW no AS SELECT id, a *! 2 AS c FROM t;
CREATE TVIEW no AS SELECT id, applies(a) AS c FROM t;
CREATE TVIEW no AS SELECT a, helped(id) AS c FROM t GROUP BY a;
CREATE TVIEW no AS SELECT id, a FROM v;
CREATE TVIEW no AS SELECT id FROM t WHERE id IN (SELECT calls(a) FROM t);
CREATE TVIEW no AS SELECT a, n FROM (SELECT calls(a) AS a, count(*) AS n FROM t GROUP BY 1) x WHERE n > 1;
SELECT * FROM tviews.check('SELECT id, names.calls(a) AS c FROM names.t');
ALTER FUNCTION calls SET search_path = names;
CREATE MATERIALIZED VIEW m AS SELECT id, calls(a) AS c FROM t;
ALTER FUNCTION calls RESET search_path;
ALTER MATERIALIZED VIEW m SET ACCESS METHOD tview;

-- PL/pgSQL: calls, casts and declarations
CREATE FUNCTION p_calls(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  -- helper2(a) is no call, 'neither(a)' nor app.one(a)
  RETURN length('names(') + Helper (a);
END $$;
CREATE FUNCTION p_casts(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN a::small; END $$;
CREATE FUNCTION p_declares(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ DECLARE x pair; BEGIN x.a := a; RETURN x.a; END $$;
CREATE TVIEW no AS SELECT id, p_calls(a) AS c FROM t;
CREATE TVIEW no AS SELECT id, p_casts(a) AS c FROM t;
CREATE TVIEW no AS SELECT id, p_declares(a) AS c FROM t;

-- as the hint says, and what has always been right
ALTER FUNCTION names.calls(integer) SET search_path = names;
ALTER FUNCTION p_calls SET search_path = names;
CREATE FUNCTION standard(a int) RETURNS int LANGUAGE sql IMMUTABLE RETURN helper(a);
CREATE FUNCTION qualified(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT names.helper(a)';
CREATE FUNCTION catalog(a int, VARIADIC b text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT upper(a || b[1] || coalesce(b[2], '')) $$;
CREATE FUNCTION rows(a int) RETURNS SETOF int LANGUAGE sql IMMUTABLE AS 'SELECT generate_series(1, a)';
CREATE FUNCTION first_of(anyarray) RETURNS anyelement LANGUAGE sql IMMUTABLE AS 'SELECT $1[1]';
CREATE FUNCTION p_fine(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE x int[] := ARRAY[a]; r record;
BEGIN
  WITH helper (x) AS (VALUES (a)) SELECT * INTO r FROM helper;
  IF (a IN (1, 2)) THEN RETURN greatest(x[1], abs(a))::numeric(5, 0); END IF;
  RETURN names.helper(a) + r.x;
END $$;
CREATE TVIEW yes AS SELECT id, calls(a) AS c, nested(a) AS n, p_calls(a) AS p, standard(a) AS s, qualified(a) AS q, catalog(a, 'x', 'y') AS k,
  first_of(ARRAY[a, 1]) AS f, p_fine(a) AS pf, (SELECT sum(r) FROM rows(a) r) AS r FROM t;
INSERT INTO t SELECT i, i, i FROM generate_series(1, 3) i;
\c -
SET search_path = pg_temp;
UPDATE names.t SET a = a + 1;
SELECT id, c, n, p, s, q, k, f, pf, r FROM names.yes ORDER BY id;
SELECT * FROM tviews.verify('names.yes');
SET search_path = names, public;

-- a dump creates what is not populated first
CREATE TVIEW late AS SELECT id, casts(a) AS c FROM t WITH NO DATA;
REFRESH TVIEW late;
ALTER FUNCTION casts SET search_path = names;
REFRESH TVIEW late;
SELECT * FROM tviews.verify('late');

-- what is found at the first row only: the error says where names are looked for
CREATE FUNCTION executes(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ DECLARE r int; BEGIN EXECUTE 'SELECT helper($1)' INTO r USING a; RETURN r; END $$;
CREATE TVIEW executed AS SELECT id, executes(a) AS c FROM t WHERE a > 10;
DO $$
DECLARE
  hint text;
BEGIN
  UPDATE t SET a = 11 WHERE id = 1;
  PERFORM tviews.flush();
EXCEPTION WHEN undefined_function THEN
  GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
  RAISE NOTICE '% (%)', SQLERRM, hint;
END $$;
ALTER FUNCTION executes SET search_path = names;
UPDATE t SET a = 11 WHERE id = 1;
SELECT * FROM tviews.verify('executed');

-- whose rights: those of the owner, who may not see the schema of the helper
CREATE ROLE names_low;
CREATE SCHEMA names_low AUTHORIZATION names_low;
GRANT USAGE ON SCHEMA names TO names_low;
GRANT SELECT, TRIGGER ON t TO names_low;
CREATE FUNCTION names_other.far(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION goes_far(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT names_other.far($1)';
SET ROLE names_low;
CREATE TVIEW names_low.no AS SELECT id, goes_far(a) AS a FROM t;
RESET ROLE;

-- a function that a TVIEW calls loses them
CREATE FUNCTION later(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE TVIEW of_later AS SELECT id, later(a) AS c FROM t;
CREATE OR REPLACE FUNCTION later(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT helper($1)';
CREATE OR REPLACE FUNCTION later(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT names.helper($1)';
UPDATE t SET a = a + 1;
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text = 'of_later';

SET client_min_messages = warning;
DROP SCHEMA names, names_other, names_low CASCADE;
DROP ROLE names_low;
