-- The interface of pg_stream, when it is asked for.
SELECT tviews.install_pgstream();
SELECT tviews.install_pgstream(); \echo :SQLSTATE
CREATE SCHEMA stream;
SET search_path = stream, public;
CREATE TABLE sale (id int PRIMARY KEY, region text NOT NULL, amount numeric NOT NULL);
INSERT INTO sale SELECT i, 'region ' || i % 3, i FROM generate_series(1, 30) i;
SELECT pgstream.create_stream_table('stream.totals', 'SELECT region, count(*) AS n, sum(amount) AS amount FROM sale GROUP BY region;', '1h', 'DIFFERENTIAL');
SELECT pgstream.create_stream_table(name => 'stream_by_hand', query => 'SELECT region, max(amount) AS most FROM stream.sale GROUP BY region', schedule => NULL);
SELECT pgstream.create_stream_table('stream.nightly', 'SELECT id, amount FROM sale WHERE amount > 20', '0 3 * * *', 'FULL', initialize => false);
SELECT pgstream.create_stream_table('stream.now', 'SELECT count(*) AS n FROM sale', refresh_mode => 'IMMEDIATE');
SELECT pgstream.create_stream_table('stream.above', 'SELECT n > 5 AS many, count(*) FROM totals GROUP BY 1', 'CALCULATED', 'AUTO');
SELECT pgstream.create_stream_table('stream.x', 'SELECT 1', '1m', 'SOMETIMES'); \echo :SQLSTATE
SELECT pgstream.create_stream_table('stream.x', 'SELECT 1', 'often'); \echo :SQLSTATE
SELECT pgstream.create_stream_table('stream.totals', 'SELECT 1 AS one'); \echo :SQLSTATE
SELECT name, options FROM tviews.tviews WHERE schema = 'stream' OR name = 'stream_by_hand' ORDER BY name;
SELECT name, status, refresh_mode, is_populated, consecutive_errors, schedule, data_timestamp IS NOT NULL AS has_data FROM pgstream.pgs_status() WHERE name ~ 'stream';
INSERT INTO sale VALUES (31, 'region 1', 100);
SELECT * FROM stream.totals WHERE region = 'region 1';
SELECT n FROM stream.now;
SELECT pgstream.refresh_stream_table('stream.above');
SELECT * FROM stream.totals WHERE region = 'region 1';
SELECT pgstream.refresh_stream_table('stream.nightly');
SELECT count(*) FROM stream.nightly;
SELECT pgstream.refresh_stream_table('stream.none'); \echo :SQLSTATE
SELECT pgstream.get_staleness('stream.totals') >= 0 AS staleness, pgstream.get_staleness('stream_by_hand') < 60 AS by_hand;
SELECT action, status, rows_inserted, rows_deleted, duration_ms > 0 AS took, error_message FROM pgstream.get_refresh_history('stream.totals', 5);
SELECT pgs_name, status, refresh_mode, total_refreshes, successful_refreshes, failed_refreshes, total_rows_inserted, last_action, last_status, last_initiated_by, stale
  FROM pgstream.pg_stat_stream_tables WHERE pgs_schema = 'stream' ORDER BY 1;
SELECT pgs_name, total_refreshes, last_refresh_action, staleness_secs >= 0 AS staleness FROM pgstream.st_refresh_stats() WHERE pgs_schema = 'stream';
SELECT pgstream.alter_stream_table('stream.totals', schedule => '5m', status => 'PAUSED');
SELECT pgstream.alter_stream_table('stream.totals', status => 'NEVER'); \echo :SQLSTATE
SELECT name, status, schedule FROM pgstream.pgs_status() WHERE name = 'stream.totals';
SELECT pgstream.resume_stream_table('stream.totals');
SELECT pgstream.alter_stream_table('stream.nightly', refresh_mode => 'DIFFERENTIAL', query => 'SELECT id, amount FROM sale WHERE amount > 25');
SELECT name, status, refresh_mode, schedule FROM pgstream.pgs_status() WHERE name IN ('stream.totals', 'stream.nightly');
SELECT source_relid::regclass, source_type FROM pgstream.pgs_dependencies d JOIN pgstream.pgs_stream_tables t USING (pgs_id) WHERE pgs_schema = 'stream' ORDER BY 1::text, 2;
SELECT source_table, cdc_mode, alert FROM pgstream.check_cdc_health() WHERE source_table = 'sale';
SELECT count(*) FROM pgstream.slot_health();
SELECT property FROM pgstream.explain_st('stream.totals');
SELECT pgs_name, stale FROM pgstream.stream_tables_info WHERE pgs_schema = 'stream' ORDER BY 1;
-- as somebody without rights on them
SET client_min_messages = warning;
CREATE ROLE regress_stream;
SET ROLE regress_stream;
SELECT count(*) > 3 AS visible FROM pgstream.pgs_status();
SELECT pgstream.refresh_stream_table('stream.totals'); \echo :SQLSTATE
SELECT pgstream.drop_stream_table('stream.totals'); \echo :SQLSTATE
SELECT tviews.install_pgstream(); \echo :SQLSTATE
RESET ROLE;
DROP ROLE regress_stream;
SELECT pgstream.drop_stream_table('stream.totals');
SELECT pgstream.drop_stream_table('stream_by_hand');
SELECT name FROM pgstream.pgs_status() WHERE name ~ 'stream';
DROP SCHEMA stream, pgstream CASCADE;
