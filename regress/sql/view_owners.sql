-- Row security of tables that are read through views: as whom a view reads decides which policies apply.
CREATE SCHEMA view_owners;
SET search_path = view_owners, public;
CREATE ROLE regress_vo_reader;
CREATE ROLE regress_vo_owner;
CREATE ROLE regress_vo_third;
GRANT ALL ON SCHEMA view_owners TO PUBLIC;
CREATE TABLE t (id int PRIMARY KEY, who text, v int);
CREATE TABLE o (id int PRIMARY KEY, t int);
INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3);
INSERT INTO o VALUES (1, 1), (2, 2), (3, 3);
GRANT SELECT, TRIGGER ON t, o TO regress_vo_reader, regress_vo_owner;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON t TO regress_vo_owner USING (who IN ('b', 'c'));
CREATE POLICY q ON t TO regress_vo_reader USING (who = 'a');
CREATE VIEW definer AS SELECT * FROM t WHERE v > 0;
ALTER VIEW definer OWNER TO regress_vo_owner;
CREATE VIEW invoker WITH (security_invoker) AS SELECT * FROM t WHERE v > 0;
ALTER VIEW invoker OWNER TO regress_vo_owner;
CREATE VIEW above AS SELECT id, who FROM definer;
ALTER VIEW above OWNER TO regress_vo_reader;
CREATE VIEW open AS SELECT * FROM o;
ALTER VIEW open OWNER TO regress_vo_owner;
GRANT SELECT, TRIGGER ON definer, invoker, above, open TO PUBLIC;

-- another role than that of the view
SET ROLE regress_vo_reader;
CREATE TVIEW refused AS SELECT who, count(*) FROM definer GROUP BY who;
CREATE TVIEW refused AS SELECT id FROM o WHERE EXISTS (SELECT FROM definer d WHERE d.id = o.t);
CREATE TVIEW refused AS WITH w AS (SELECT * FROM definer) SELECT id FROM w;
CREATE TVIEW refused AS SELECT id FROM above;
SELECT * FROM tviews.check('SELECT id FROM above');
-- the same role, the invoker's, and a table without policies
CREATE TVIEW by_invoker AS SELECT who, count(*) AS n FROM invoker GROUP BY who;
CREATE TVIEW of_open AS SELECT id, t FROM open;
SET ROLE regress_vo_owner;
CREATE TVIEW by_owner AS SELECT who, count(*) AS n FROM definer GROUP BY who;
RESET ROLE;
INSERT INTO t VALUES (4, 'b', 10), (5, 'a', 10);
UPDATE t SET v = v + 1, who = 'c' WHERE who = 'b';
DELETE FROM t WHERE id = 3;
INSERT INTO o VALUES (4, 4);
TABLE by_invoker;
TABLE by_owner;
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('by_invoker', 'of_open', 'by_owner') ORDER BY 1;

-- what changes it later
ALTER VIEW invoker SET (security_invoker = false);
ALTER VIEW definer OWNER TO regress_vo_third;
ALTER TABLE o ENABLE ROW LEVEL SECURITY;
REASSIGN OWNED BY regress_vo_owner TO regress_vo_third;
ALTER TVIEW by_owner OWNER TO regress_vo_reader;
ALTER VIEW definer SET (security_invoker);
TABLE by_owner;
ALTER VIEW definer OWNER TO regress_vo_third;
ALTER VIEW definer SET (security_invoker = false);
-- another owner of the TVIEW
CREATE TABLE seen (who text);
INSERT INTO seen VALUES ('b');
GRANT SELECT, TRIGGER ON t, seen TO regress_vo_third;
CREATE POLICY r ON t TO regress_vo_third USING (who IN (SELECT s.who FROM seen s));
CREATE TVIEW mine AS SELECT id, who FROM t;
SELECT count(*) FROM mine;
ALTER TVIEW mine OWNER TO regress_vo_third;
TABLE mine;
INSERT INTO seen VALUES ('c');
SELECT tview, ok FROM tviews.verify('mine');
SELECT who, count(*) FROM mine GROUP BY who ORDER BY who;
DROP TVIEW mine;
DROP POLICY r ON t;
REVOKE SELECT ON t FROM regress_vo_third;
-- roles that no policy applies to
ALTER TABLE t DISABLE ROW LEVEL SECURITY;
ALTER VIEW definer SET (security_invoker = false);
GRANT SELECT ON t TO regress_vo_third;
TABLE by_owner;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
ALTER VIEW definer OWNER TO regress_vo_owner;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
INSERT INTO t VALUES (6, 'b', 1), (7, 'a', 1);
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('by_invoker', 'of_open', 'by_owner') ORDER BY 1;

SET client_min_messages = warning;
DROP SCHEMA view_owners CASCADE;
DROP ROLE regress_vo_reader, regress_vo_owner, regress_vo_third;
