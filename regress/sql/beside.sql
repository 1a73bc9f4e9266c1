-- Contents computed anew beside a materialized view, while writers go on: conversion, rebuild, SET LOGGED. Writers are in regress/specs/beside_writers.spec and
-- regress/t/beside.py.
CREATE SCHEMA beside;
SET search_path = beside, public;
CREATE TABLE sale (id int PRIMARY KEY, shop int, amount numeric, note text);
INSERT INTO sale SELECT i, i % 5, i, repeat('x', i * 10) FROM generate_series(1, 100) i;

-- an ordinary materialized view, older than its table, with indexes, rights and dependents of its own
CREATE MATERIALIZED VIEW total AS SELECT shop, count(*) AS n, sum(amount) AS amount, avg(amount) AS mean FROM sale GROUP BY shop;
CREATE INDEX total_n ON total (n DESC) INCLUDE (amount) WHERE n > 1;
COMMENT ON INDEX total_n IS 'kept';
CREATE VIEW over_total AS SELECT * FROM total;
GRANT SELECT ON total TO PUBLIC;
INSERT INTO sale VALUES (200, 1, 5, 'new');
SELECT oid AS before FROM pg_class WHERE relname = 'total' AND relnamespace = 'beside'::regnamespace \gset
CALL tviews.convert_concurrently('total');
SELECT oid = :before AS same, relpersistence, obj_description('total_n'::regclass) FROM pg_class WHERE oid = 'total'::regclass;
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'total'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'total'::regclass ORDER BY indexrelid::regclass::text;
SELECT * FROM over_total ORDER BY shop;
INSERT INTO sale VALUES (201, 7, 5, 'new');
UPDATE sale SET amount = amount + 1 WHERE shop = 2;
SELECT * FROM over_total ORDER BY shop;
CALL tviews.convert_concurrently('total');

-- WAL-logged, and back; what it already is is left alone
CALL tviews.set_logged_concurrently('total', true);
SELECT relname, relpersistence FROM pg_class WHERE relname LIKE 'total%' ORDER BY relname;
SELECT name, options, refresh, populated, logged FROM tviews.tviews WHERE schema = 'beside';
DELETE FROM sale WHERE shop = 0;
SELECT relfilenode AS before FROM pg_class WHERE oid = 'total'::regclass \gset
CALL tviews.set_logged_concurrently('total', true);
SELECT relfilenode = :before AS same FROM pg_class WHERE oid = 'total'::regclass;
CALL tviews.set_logged_concurrently('total', false);
SELECT relname, relpersistence FROM pg_class WHERE relname LIKE 'total%' ORDER BY relname;
CALL tviews.rebuild_concurrently('total');
SELECT relfilenode = :before AS same FROM pg_class WHERE oid = 'total'::regclass;
UPDATE sale SET shop = shop + 1 WHERE id % 2 = 0;
SELECT * FROM oracle();

-- stages, long values, and a TVIEW that reads another one and is read by a third
CREATE MATERIALIZED VIEW staged AS
    SELECT shop, n, (SELECT max(amount) FROM sale s WHERE s.shop = q.shop) AS top, rank() OVER (ORDER BY n DESC), repeat('y', 3000) || notes AS notes
      FROM (SELECT shop, count(*) AS n, string_agg(note, ',' ORDER BY id) AS notes FROM sale GROUP BY shop HAVING count(*) > 1) q;
CREATE UNIQUE INDEX ON staged (shop);
CALL tviews.convert_concurrently('staged');
CREATE TVIEW on_total AS SELECT n, count(*) AS shops FROM total GROUP BY n;
CREATE TVIEW on_both AS SELECT s.shop, s.n, o.shops FROM staged s JOIN on_total o USING (n);
CALL tviews.rebuild_concurrently('on_total');
CALL tviews.set_logged_concurrently('on_both', true);
CALL tviews.rebuild_concurrently('staged');
INSERT INTO sale SELECT i, i % 4, i, repeat('z', i * 10) FROM generate_series(300, 340) i;
DELETE FROM sale WHERE shop = 2;
SELECT * FROM oracle();
SELECT name, populated, logged, internal_stages FROM tviews.tviews WHERE schema = 'beside' ORDER BY name;
SELECT count(*) FROM pg_class c WHERE c.relname LIKE '%ccnew%';

-- what had gone wrong is right again, above as well
CREATE TABLE config (factor int);
INSERT INTO config VALUES (2);
CREATE FUNCTION factor() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT factor FROM beside.config); END $$;
CREATE TVIEW times AS SELECT shop, sum(amount * factor()) AS amount FROM sale GROUP BY shop;
CREATE TVIEW on_times AS SELECT count(*) AS shops, sum(amount) AS amount FROM times;
UPDATE config SET factor = 3;
SELECT tview, count(*) FROM oracle() GROUP BY tview ORDER BY tview;
CALL tviews.rebuild_concurrently('times');
SELECT * FROM oracle();
INSERT INTO sale VALUES (501, 9, 1, 'seen');
DELETE FROM sale WHERE shop = 3;
SELECT * FROM oracle();

-- deferred TVIEWs: as of their frontier, which goes on
CREATE TVIEW later WITH (refresh = manual, key = 'shop') AS SELECT shop, count(*) AS n FROM sale GROUP BY shop;
INSERT INTO sale VALUES (502, 9, 1, 'later');
CALL tviews.set_logged_concurrently('later', true);
SELECT * FROM later WHERE shop = 9;
INSERT INTO sale VALUES (503, 9, 1, 'later');
SELECT tview, rows_behind FROM tviews.staleness;
REFRESH TVIEW later;
SELECT * FROM later WHERE shop = 9;
SELECT name, options, refresh, logged FROM tviews.tviews WHERE name = 'later';
SELECT * FROM oracle();

-- refused
BEGIN;
CALL tviews.rebuild_concurrently('total');
ROLLBACK;
CREATE FUNCTION inside() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL tviews.rebuild_concurrently('beside.total'); END $$;
SELECT inside();
CALL tviews.rebuild_concurrently('sale');
CALL tviews.convert_concurrently('sale');
CALL tviews.convert_concurrently('over_total');
CALL tviews.convert_concurrently(NULL);
CALL tviews.set_logged_concurrently('total', NULL);
CALL tviews.rebuild_concurrently(0);
CALL tviews.rebuild_concurrently('tviews.source');
CREATE MATERIALIZED VIEW dice AS SELECT id, random() FROM sale;
CALL tviews.convert_concurrently('dice');
DROP MATERIALIZED VIEW dice;
CREATE MATERIALIZED VIEW empty AS SELECT id FROM sale WITH NO DATA;
CALL tviews.convert_concurrently('empty');
SET default_transaction_read_only = on;
CALL tviews.rebuild_concurrently('total');
RESET default_transaction_read_only;
CREATE ROLE beside_user;
GRANT ALL ON SCHEMA beside TO beside_user;
SET ROLE beside_user;
CALL tviews.convert_concurrently('beside.empty');
CALL tviews.rebuild_concurrently('beside.total');
CALL tviews.set_logged_concurrently('beside.total', true);
RESET ROLE;
SELECT count(*) FROM pg_class c WHERE c.relname LIKE '%ccnew%';

-- from a procedure, which ends transactions, too
CREATE PROCEDURE each() LANGUAGE plpgsql AS $$
DECLARE t regclass;
BEGIN
    FOR t IN SELECT tview FROM tviews.flush_order() WHERE tview::text IN ('total', 'staged', 'on_total', 'on_both') ORDER BY number LOOP
        CALL tviews.rebuild_concurrently(t);
        COMMIT;
    END LOOP;
END $$;
CALL each();
SELECT * FROM oracle();

-- as another owner, with few rights
CREATE TABLE own (id int PRIMARY KEY, kind text);
ALTER TABLE own OWNER TO beside_user;
REVOKE CREATE ON SCHEMA beside FROM beside_user;
CREATE MATERIALIZED VIEW of_user AS SELECT kind, count(*) FROM own GROUP BY kind;
ALTER MATERIALIZED VIEW of_user OWNER TO beside_user;
SET ROLE beside_user;
CALL tviews.convert_concurrently('of_user');
INSERT INTO own VALUES (1, 'a'), (2, 'a');
SELECT * FROM of_user;
CALL tviews.rebuild_concurrently('of_user');
RESET ROLE;
SELECT name, owner FROM tviews.tviews WHERE name = 'of_user';

-- a deferred TVIEW has followed it by comparison: from here on it is logged for it, and what has become of it since is not lost
CREATE TABLE part (id int PRIMARY KEY, n int);
INSERT INTO part VALUES (1, 1), (2, 2);
CREATE MATERIALIZED VIEW by_alter AS SELECT id, n FROM part;
CREATE MATERIALIZED VIEW by_call AS SELECT id, n FROM part;
SET client_min_messages = warning;
CREATE TVIEW compared WITH (refresh = manual) AS SELECT count(*) AS n, sum(a.n) AS sum, max(c.n) AS greatest FROM by_alter a JOIN by_call c USING (id);
RESET client_min_messages;
INSERT INTO part VALUES (3, 3);
REFRESH MATERIALIZED VIEW by_alter;
ALTER MATERIALIZED VIEW by_alter SET ACCESS METHOD tview;
CALL tviews.convert_concurrently('by_call');
INSERT INTO part VALUES (4, 4);
REFRESH TVIEW compared;
TABLE compared;
INSERT INTO part VALUES (5, 5);
UPDATE part SET n = 10 WHERE id = 1;
REFRESH TVIEW compared;
TABLE compared;
SELECT action, changed_rows FROM tviews.refresh_history WHERE tview = 'compared'::regclass ORDER BY started;
SELECT * FROM tviews.verify('compared');

-- nothing is left
DROP TABLE own CASCADE;
DROP SCHEMA beside CASCADE;
DROP ROLE beside_user;
SELECT * FROM tviews.source;
SELECT * FROM tviews.stage;
SELECT * FROM tviews.frontier;
SELECT * FROM tviews.sentinel;
SELECT * FROM tviews.log;
