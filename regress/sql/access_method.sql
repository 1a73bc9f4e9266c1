-- The access method: what a TVIEW may be stored as, and that maintenance commands keep its rows and its hidden state.
CREATE SCHEMA am_test;
SET search_path = am_test, public;
CREATE TABLE b (id int PRIMARY KEY, grp int NOT NULL, t text NOT NULL);
INSERT INTO b SELECT g, g % 10, 'v' || g FROM generate_series(1, 2000) g;
INSERT INTO b SELECT 2000 + g, g, (SELECT string_agg(md5((g * i)::text), '') FROM generate_series(1, 5000) i) FROM generate_series(1, 3) g;

-- materialized views only
CREATE TABLE x (a int) USING tview;
CREATE TABLE pg_temp_1 (a int) USING tview;
CREATE TABLE x USING tview AS SELECT 1 AS a;

CREATE MATERIALIZED VIEW m USING tview AS SELECT id, grp, t FROM b;
CREATE MATERIALIZED VIEW g USING tview AS SELECT grp, count(*) AS n, sum(id) AS total FROM b GROUP BY grp;
CREATE FUNCTION differs() RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM ((TABLE m EXCEPT ALL SELECT id, grp, t FROM b) UNION ALL (SELECT id, grp, t FROM b EXCEPT ALL TABLE m)) d $$;
CREATE FUNCTION aggregates_differ() RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM ((TABLE g EXCEPT ALL SELECT grp, count(*), sum(id) FROM b GROUP BY grp)
    UNION ALL (SELECT grp, count(*), sum(id) FROM b GROUP BY grp EXCEPT ALL TABLE g)) d $$;
SELECT relname, relkind, amname FROM pg_class c JOIN pg_am a ON a.oid = relam
  WHERE c.oid IN ('m'::regclass, 'g'::regclass) ORDER BY 1;
SELECT amname AS toast FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid JOIN pg_am a ON a.oid = t.relam WHERE c.oid = 'm'::regclass;
INSERT INTO m VALUES (0, 0, '');
UPDATE m SET t = '';
DELETE FROM m;

-- hidden state is hidden
SELECT attname FROM pg_attribute WHERE attrelid = 'g'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
SELECT g FROM g WHERE grp = 1;

-- every kind of index, also concurrently
CREATE INDEX m_grp ON m (grp) WHERE grp < 5;
CREATE INDEX CONCURRENTLY m_expr ON m (upper(left(t, 20)));
CREATE INDEX m_hash ON m USING hash (grp);
CREATE INDEX m_brin ON m USING brin (id);
CREATE INDEX m_include ON m (id) INCLUDE (grp);
CREATE INDEX ON m ((1 / (id - 7)));
SELECT indexrelid::regclass AS index FROM pg_index WHERE indrelid = 'm'::regclass AND NOT indisvalid;

-- writes keep heap and indexes together
UPDATE b SET t = t || '!' WHERE id % 3 = 0;
DELETE FROM b WHERE id % 7 = 0;
INSERT INTO b VALUES (5000, 3, 'new');
SELECT differs(), aggregates_differ();
SET enable_seqscan = off;
SELECT id, grp, t FROM m WHERE upper(left(t, 20)) = 'V9!';
SELECT count(*) FROM m WHERE grp = 3;
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SELECT count(*) FROM m WHERE grp = 3 OR id = 8;
RESET enable_seqscan;
RESET enable_indexscan;
RESET enable_indexonlyscan;
SELECT id, length(t) FROM m WHERE length(t) > 1000 ORDER BY id;

-- maintenance commands; the state must survive, or the next write would go wrong
VACUUM m;
VACUUM FULL m;
VACUUM FULL g;
CLUSTER m USING m_include;
ANALYZE m;
REINDEX TABLE m;
REINDEX TABLE CONCURRENTLY m;
SELECT differs(), aggregates_differ();
INSERT INTO b VALUES (5001, 1, 'one'), (5002, 2, 'two');
DELETE FROM b WHERE id IN (1, 2, 3);
UPDATE b SET grp = 77 WHERE id = 4;
SELECT differs(), aggregates_differ();

-- scans
SELECT count(*) > 0 AS found FROM m WHERE ctid < '(1,0)';
SELECT count(*) > 0 AS found FROM m TABLESAMPLE SYSTEM (100);
SELECT count(*) = (SELECT count(*) FROM b) AS all_rows FROM m TABLESAMPLE BERNOULLI (100);
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT count(*) = (SELECT count(*) FROM b) AS all_rows FROM m;
RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- an index expression that invalidates the relation while its index is built
CREATE FUNCTION touch() RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN GRANT SELECT ON am_test.m TO public; REVOKE SELECT ON am_test.m FROM public; END $$;
CREATE FUNCTION never(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
  $$ BEGIN IF $1 % 500 = 0 THEN PERFORM am_test.touch(); END IF; RETURN false; END $$;
CREATE INDEX m_touch ON m (id) WHERE am_test.never(id);
DROP INDEX m_touch;

-- there and back
ALTER MATERIALIZED VIEW m SET ACCESS METHOD heap;
UPDATE b SET t = 'unseen' WHERE id = 10;
SELECT differs();
ALTER MATERIALIZED VIEW m SET ACCESS METHOD tview;
SELECT differs();
UPDATE b SET t = 'seen' WHERE id = 10;
SELECT differs();

-- another tablespace, and another name, schema and owner
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE am_space LOCATION '';
CREATE ROLE am_owner;
GRANT CREATE ON TABLESPACE am_space TO am_owner;
GRANT USAGE, CREATE ON SCHEMA am_test TO am_owner;
GRANT SELECT, TRIGGER ON b TO am_owner;
ALTER MATERIALIZED VIEW m SET TABLESPACE am_space;
ALTER MATERIALIZED VIEW m OWNER TO am_owner;
ALTER MATERIALIZED VIEW m RENAME TO m2;
ALTER MATERIALIZED VIEW m2 SET SCHEMA public;
UPDATE b SET t = 'moved' WHERE id = 12;
ALTER MATERIALIZED VIEW m2 SET SCHEMA am_test;
ALTER MATERIALIZED VIEW m2 RENAME TO m;
SELECT spcname FROM pg_class c JOIN pg_tablespace s ON s.oid = c.reltablespace WHERE c.oid = 'm'::regclass;
SELECT differs(), aggregates_differ();
ALTER MATERIALIZED VIEW m SET TABLESPACE pg_default;
ALTER MATERIALIZED VIEW m OWNER TO CURRENT_USER;
DROP TABLESPACE am_space;
DROP OWNED BY am_owner;
DROP ROLE am_owner;
SELECT differs();

-- savepoints
BEGIN;
SAVEPOINT s;
UPDATE b SET t = 'gone' WHERE id = 10;
SELECT t FROM m WHERE id = 10;
ROLLBACK TO s;
SELECT t FROM m WHERE id = 10;
UPDATE b SET t = 'kept' WHERE id = 11;
COMMIT;
SELECT differs();

SET client_min_messages = warning;
DROP SCHEMA am_test CASCADE;
