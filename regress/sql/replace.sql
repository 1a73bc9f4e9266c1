-- CREATE OR REPLACE TVIEW: further columns come last, as with a view; what is there stays.
CREATE SCHEMA replace;
SET search_path = replace, public;
CREATE TABLE t (id int PRIMARY KEY, g int, v int, w text COLLATE "C", big text);
INSERT INTO t SELECT i, i % 3, i, 'w' || i, repeat('x', 5000) || i FROM generate_series(1, 30) i;
CREATE TVIEW a AS SELECT id, v FROM t;
CREATE INDEX a_v ON a (v);
GRANT SELECT ON a TO PUBLIC;
CREATE VIEW over_a AS SELECT * FROM a;
CREATE TVIEW of_a AS SELECT count(*) AS n, sum(v) AS s FROM a;
CREATE TVIEW row_of_a AS SELECT a.id, to_jsonb(a) AS j FROM a WHERE id < 3;
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE OR REPLACE TVIEW a AS SELECT id, v, w, big, 'sad'::mood AS m, v::numeric(5, 1) AS n FROM t;
SELECT attname, attnum, format_type(atttypid, atttypmod) AS type, attcollation::regcollation AS collation FROM pg_attribute WHERE attrelid = 'a'::regclass AND attnum > 0 ORDER BY attnum;
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'a'::regclass ORDER BY 1;
SELECT id, v, w, length(big), m, n FROM a WHERE id = 2;
TABLE of_a;
SELECT id, (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(j) k) AS keys FROM row_of_a ORDER BY id;
SELECT * FROM over_a WHERE id = 2;
UPDATE t SET v = v + 1, w = upper(w) WHERE id < 5;
INSERT INTO t VALUES (31, 1, 31, 'new', NULL);
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('a', 'of_a', 'row_of_a');
SELECT has_table_privilege('public', 'a', 'SELECT') AS kept;
DROP TYPE mood;
-- groups, with their hidden state in between
CREATE TVIEW g AS SELECT g, count(*) AS n FROM t GROUP BY g;
CREATE OR REPLACE TVIEW g AS SELECT g, count(*) AS n, sum(v) AS s, max(w) AS w FROM t GROUP BY g;
CREATE OR REPLACE TVIEW g AS SELECT g, count(*) AS n, sum(v) AS s, max(w) AS w, avg(v) AS avg FROM t GROUP BY g;
INSERT INTO t VALUES (32, 1, 32, 'newer', NULL);
DELETE FROM t WHERE id < 3;
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('g');
CREATE OR REPLACE TVIEW a (id, v, w, big, m, n, other) AS SELECT id, v, w, big, 'glad'::mood, v::numeric(5, 1), g FROM t WITH NO DATA;
CREATE OR REPLACE TVIEW g (g, n, s, w, avg, least) AS SELECT g, count(*), sum(v), max(w), avg(v), min(v) FROM t GROUP BY g WITH NO DATA;
REFRESH TVIEW g;
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('g');
SELECT count(*) FROM pg_attribute WHERE attrelid = 'g'::regclass AND attnum > 0 AND NOT attisdropped;
-- within a transaction
BEGIN;
CREATE OR REPLACE TVIEW g AS SELECT g, count(*) AS n, sum(v) AS s, max(w) AS w, avg(v) AS avg, min(v) AS least, count(DISTINCT w) AS c FROM t GROUP BY g;
INSERT INTO t VALUES (33, 1, 33, 'newest', NULL);
SELECT n, c FROM g WHERE g = 1;
ROLLBACK;
SELECT attname FROM pg_attribute WHERE attrelid = 'g'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
INSERT INTO t VALUES (33, 1, 33, 'newest', NULL);
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('g');

-- options are those of the statement, as with a view
CREATE TVIEW tv_o WITH (notify, refresh = manual, logged, fillfactor = 70, autovacuum_enabled = off, toast.autovacuum_enabled = off) AS SELECT id, big FROM t;
CREATE VIEW options AS SELECT c.reloptions, (SELECT x.reloptions FROM pg_class x WHERE x.oid = c.reltoastrelid) AS toast, c.relpersistence FROM pg_class c WHERE c.oid = 'tv_o'::regclass;
TABLE options;
CREATE OR REPLACE TVIEW tv_o WITH (notify, fillfactor = 60, toast.vacuum_truncate = off) AS SELECT id, big FROM t;
TABLE options;
CREATE OR REPLACE TVIEW tv_o WITH (notify, fillfactor = 5) AS SELECT id, big FROM t;
CREATE OR REPLACE TVIEW tv_o WITH (notify, nonsense = 5) AS SELECT id, big FROM t;
CREATE OR REPLACE TVIEW tv_o WITH (toast.nonsense = 5) AS SELECT id, big FROM t;
CREATE OR REPLACE TVIEW tv_o WITH (other.fillfactor = 50) AS SELECT id, big FROM t;
TABLE options;
SELECT pg_tviews_create('replace.tv_o', 'SELECT id, big FROM replace.t WHERE id > 0');
TABLE options;
CREATE OR REPLACE TVIEW tv_o AS SELECT id, big FROM t;
TABLE options;
INSERT INTO t VALUES (34, 1, 34, 'options', 'x');
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text = 'tv_o';
DROP VIEW options;
DROP TVIEW tv_o;

-- refused as for a view
CREATE OR REPLACE TVIEW g AS SELECT g, count(*) AS n FROM t GROUP BY g;
CREATE OR REPLACE TVIEW g AS SELECT g, sum(v) AS s, count(*) AS n, max(w) AS w, avg(v) AS avg, min(v) AS least FROM t GROUP BY g;
CREATE OR REPLACE TVIEW g AS SELECT g, count(*)::int AS n, sum(v) AS s, max(w) AS w, avg(v) AS avg, min(v) AS least FROM t GROUP BY g;
CREATE OR REPLACE TVIEW g AS SELECT g, count(*) AS n, sum(v) AS s, max(w COLLATE "POSIX") AS w, avg(v) AS avg, min(v) AS least FROM t GROUP BY g;
CREATE OR REPLACE TVIEW g AS SELECT g, count(*) AS n, sum(v) AS s, max(w) AS w, avg(v) AS avg, min(v) AS least, max(v) AS g FROM t GROUP BY g;
CREATE OR REPLACE TVIEW g AS SELECT g, count(*) AS n, sum(v) AS s, max(w) AS w, avg(v) AS avg, min(v) AS least, ROW(1, 2) AS r FROM t GROUP BY g;
CREATE OR REPLACE TVIEW g AS SELECT g, count(*) AS n, sum(v) AS s, max(w) AS w, avg(v) AS avg, min(v) AS least, max(v) AS ctid FROM t GROUP BY g;

-- what is stored and joins it knows its columns still, when new ones take the numbers of its state
CREATE TVIEW base AS SELECT g, count(*) AS n, sum(v) AS s FROM t GROUP BY g;
CREATE VIEW joined AS SELECT b.g, b.s, t.w FROM base b JOIN t ON t.g = b.g;
CREATE TVIEW joined_too AS SELECT b.g, b.s, t.id FROM base b JOIN t USING (g);
CREATE FUNCTION joined() RETURNS numeric STABLE BEGIN ATOMIC SELECT sum(b.s) FROM base b LEFT JOIN t ON t.g = b.g; END;
CREATE TABLE guarded (g int);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_groups ON guarded USING (EXISTS (SELECT FROM base b CROSS JOIN t WHERE b.g = guarded.g AND t.g = b.g));
CREATE OR REPLACE TVIEW base AS SELECT g, count(*) AS n, sum(v) AS s, max(v) AS most, min(v) AS least FROM t GROUP BY g;
SELECT pg_get_viewdef('joined'::regclass);
SELECT pg_get_viewdef('joined_too'::regclass);
SELECT prosrc = '' AS no_text, pg_get_function_sqlbody(oid) FROM pg_proc WHERE proname = 'joined';
SELECT qual FROM pg_policies WHERE policyname = 'of_groups';
UPDATE t SET v = v + 1;
SELECT tview, ok FROM tviews.verify_all() WHERE tview::text IN ('base', 'joined_too');
SELECT (SELECT count(*) FROM joined) = (SELECT count(*) FROM joined_too) AS joined, joined() IS NOT NULL AS summed;

SET client_min_messages = warning;
DROP SCHEMA replace CASCADE;
