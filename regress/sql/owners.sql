-- The owner of a TVIEW loses what it is maintained with: who writes is told what is missing and whose it is, and everybody else's TVIEWs are looked at.
SET client_min_messages = warning;
CREATE ROLE owners_own;
CREATE ROLE owners_group;
CREATE ROLE owners_writer;
CREATE SCHEMA owners;
CREATE SCHEMA owners_of AUTHORIZATION owners_own;
SET search_path = owners;
CREATE TABLE t (id int PRIMARY KEY, a int);
CREATE TABLE u (id int PRIMARY KEY, a int);
CREATE TABLE w (id int PRIMARY KEY, a int);
CREATE VIEW seen AS SELECT id, a FROM w;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1 * 2; END $$;
REVOKE EXECUTE ON FUNCTION twice FROM PUBLIC;
GRANT USAGE ON SCHEMA owners TO owners_own, owners_writer;
GRANT SELECT, TRIGGER ON t, u TO owners_own;
GRANT SELECT, TRIGGER ON seen, w TO owners_group;
GRANT EXECUTE ON FUNCTION twice TO owners_group;
GRANT owners_group TO owners_own;
GRANT SELECT, INSERT ON t, u, w TO owners_writer;
SET ROLE owners_own;
CREATE TVIEW owners_of.tv AS SELECT id, a FROM t;
CREATE TVIEW owners_of.tu AS SELECT a, n FROM (SELECT a, count(*) AS n FROM u GROUP BY a) x WHERE n > 0;
CREATE TVIEW owners_of.tw AS SELECT id, twice(a) AS a FROM seen;
CREATE TVIEW owners_of.ttv AS SELECT count(*) AS n FROM owners_of.tv;
RESET ROLE;
CREATE TVIEW others AS SELECT count(*) AS n FROM u;
SELECT status, regexp_replace(detail, '\d+', 'N') AS detail, hint FROM tviews.health() WHERE "check" = 'privileges';

-- a schema: also in a session that has just begun, for which names are looked up again
REVOKE USAGE ON SCHEMA owners FROM owners_own;
INSERT INTO t VALUES (1, 1);
\c -
SET search_path = owners;
SET client_min_messages = warning;
INSERT INTO t VALUES (1, 1);
GRANT USAGE ON SCHEMA owners TO owners_own;
INSERT INTO t VALUES (1, 1);

-- a table, also below a stage; a writer who may not read the TVIEW is told the same
REVOKE SELECT ON t, u FROM owners_own;
\set VERBOSITY terse
INSERT INTO u VALUES (1, 1);
\set VERBOSITY default
SET ROLE owners_writer;
INSERT INTO t VALUES (2, 2);
RESET ROLE;
GRANT SELECT ON t TO owners_own;

-- membership in a role, of which there are a view, the table under it and a function
REVOKE owners_group FROM owners_own;
INSERT INTO w VALUES (1, 1);

-- the SQLSTATE, the other TVIEWs, and what to do
DO $$
BEGIN
  INSERT INTO w VALUES (1, 1);
  PERFORM tviews.flush();
EXCEPTION WHEN insufficient_privilege THEN
  RAISE WARNING '%: %', SQLSTATE, SQLERRM;
END $$;
SELECT status, detail, hint FROM tviews.health() WHERE "check" = 'privileges';
SELECT * FROM tviews.verify_all() WHERE tview::text LIKE 'owners_of.%' OR tview = 'others'::regclass;
SELECT * FROM tviews.verify('owners_of.tu');
\set VERBOSITY terse
SELECT tviews.rebuild('owners_of.tu');
\set VERBOSITY default
REFRESH TVIEW owners_of.tu WITH NO DATA;
REFRESH TVIEW owners_of.tu;

-- as the hint says
GRANT SELECT ON u TO owners_own;
REFRESH TVIEW owners_of.tu;
INSERT INTO u VALUES (1, 1);
ALTER TVIEW owners_of.tw OWNER TO CURRENT_USER;
INSERT INTO w VALUES (1, 1);
SELECT * FROM tviews.verify_all() WHERE tview::text LIKE 'owners_of.%' OR tview = 'others'::regclass;

-- columns do; the TVIEW itself does not without SELECT on it
REVOKE SELECT ON t FROM owners_own;
GRANT SELECT (id, a) ON t TO owners_own;
INSERT INTO t VALUES (2, 2);
REVOKE SELECT (a) ON t FROM owners_own;
INSERT INTO t VALUES (3, 3);
GRANT SELECT ON t TO owners_own;
REVOKE SELECT ON owners_of.tv FROM owners_own;
INSERT INTO t VALUES (3, 3);
GRANT SELECT ON owners_of.tv TO owners_own;
INSERT INTO t VALUES (3, 3);
SELECT * FROM tviews.verify_all() WHERE tview::text LIKE 'owners_of.%' AND NOT ok;

-- a right that a function of the query lacks itself: whose rights these are
CREATE TABLE hidden (n int);
CREATE FUNCTION plus(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1 + (SELECT count(*) FROM owners.hidden); END $$;
SET ROLE owners_own;
CREATE TVIEW owners_of.tp AS SELECT id, owners.plus(a) AS a FROM owners.t WHERE a > 100;
RESET ROLE;
\set SHOW_CONTEXT never
INSERT INTO t VALUES (101, 101);
\set SHOW_CONTEXT errors
SET ROLE owners_writer;
INSERT INTO t VALUES (101, 101);
RESET ROLE;

-- an expression that has no value for a row: the others are looked at; but not when all of it is cancelled
CREATE TVIEW divided AS SELECT id, a / owners.twice(1) AS a FROM u;
CREATE OR REPLACE FUNCTION twice(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  PERFORM pg_sleep(coalesce(nullif(current_setting('owners.seconds', true), ''), '0')::float8);
  RETURN current_setting('owners.factor', true)::int;
END $$;
SET owners.factor = 0;
SELECT tview, missing, extra, ok, message FROM tviews.verify_all() WHERE tview::text IN ('divided', 'others', 'owners_of.tu');
SET owners.seconds = 100;
SET statement_timeout = 100;
\set VERBOSITY terse
SELECT tview, missing, extra, ok, message FROM tviews.verify_all() WHERE tview::text IN ('divided', 'others', 'owners_of.tu');
RESET statement_timeout;
DROP SCHEMA owners_of, owners CASCADE;
DROP ROLE owners_own, owners_group, owners_writer;
