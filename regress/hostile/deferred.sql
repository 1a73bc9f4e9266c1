-- TVIEWs that follow later, in every company.
-- each name: later | later_joined | later_staged

REFRESH MATERIALIZED VIEW app.{name};

UPDATE app.item SET v = v + 1;
REFRESH MATERIALIZED VIEW CONCURRENTLY app.{name};
DELETE FROM app.item WHERE id < 5;
UPDATE app.part SET n = n + 1;
REFRESH MATERIALIZED VIEW app.{name};

REFRESH MATERIALIZED VIEW app.{name} WITH NO DATA;
UPDATE app.part SET n = n + 1;
REFRESH MATERIALIZED VIEW CONCURRENTLY app.{name};

-- each way: refresh = commit | refresh = deferred | refresh = 'deferred', schedule = '1h' | refresh = manual, mode = full | schedule = '5m' | refresh = deferred, schedule = 'now' | refresh = NULL | catching_up | catching_up = false | logged | logged = false | notify
UPDATE app.item SET v = v + 1;
ALTER MATERIALIZED VIEW app.{name} SET ({way});
UPDATE app.item SET v = v + 1;

-- each way: refresh | schedule | refresh, schedule | catching_up | mode
ALTER MATERIALIZED VIEW app.{name} RESET ({way});

-- one that follows at commit, there and back
-- each other: flat | sums | joined | staged | chained | bag | whole | documents | parts | calls
ALTER MATERIALIZED VIEW app.{other} SET (refresh = manual);
UPDATE app.item SET v = v + 1;
UPDATE app.part SET n = n + 1;
UPDATE app.bait SET v = v + 1;
ALTER MATERIALIZED VIEW app.{other} SET (refresh = commit);

-- each other: flat | sums | staged | chained
UPDATE app.item SET v = v + 1;
ALTER MATERIALIZED VIEW app.{other} SET (refresh = manual);
SELECT count(*) FROM app.{other};
REFRESH MATERIALIZED VIEW app.{other};

-- populated while writers go on
-- each other: flat | bag | whole | later
REFRESH MATERIALIZED VIEW app.{other} WITH NO DATA;
REFRESH MATERIALIZED VIEW CONCURRENTLY app.{other};

-- each call: pause | resume
-- each relation: NULL | 0 | 1259 | 'app.item' | 'app.plain' | 'app.later' | 'app.sums' | (SELECT stage FROM tviews.stage LIMIT 1)
SELECT tviews.{call}({relation}::regclass);

SELECT tviews.refresh_all();

SELECT count(*), sum(rows_behind), sum(seconds_behind) > 0 FROM tviews.staleness;

SELECT count(*), count(error) FROM tviews.refresh_history;

SELECT count(*), count(slot_name), sum(lag_bytes) IS NULL FROM tviews.capture;

-- the output plugin in other hands
SELECT pg_create_logical_replication_slot('theirs', 'pg_tviews');

-- who may have changes read from WAL
-- each mode: wal | auto | trigger | NULL | nothing
ALTER ROLE CURRENT_USER SET pg_tviews.cdc_mode = {mode};
SET pg_tviews.cdc_mode = {mode};

-- inside of a statement that writes
CREATE FUNCTION app.refresh() RETURNS int LANGUAGE plpgsql AS $$ BEGIN REFRESH MATERIALIZED VIEW app.later; RETURN 1; END $$;
INSERT INTO app.item SELECT 1000 + app.refresh(), 1, 1, 'x';

-- may: fail
CREATE FUNCTION app.refresh_after() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN REFRESH MATERIALIZED VIEW app.later; RETURN NULL; END $$;
CREATE TRIGGER refreshes AFTER INSERT ON app.item FOR EACH STATEMENT EXECUTE FUNCTION app.refresh_after();
INSERT INTO app.item VALUES (1001, 1, 1, 'x');

-- a procedure that refreshes between its transactions
CREATE PROCEDURE app.p() LANGUAGE plpgsql AS $$ BEGIN FOR k IN 1..3 LOOP UPDATE app.item SET v = v + 1; REFRESH MATERIALIZED VIEW app.later; IF k = 2 THEN ROLLBACK; ELSE COMMIT; END IF; END LOOP; END $$;
CALL app.p();

-- the log and the catalogs of the extension
-- as: super
-- may: stale fail residue
-- each relation: (SELECT first FROM tviews.log LIMIT 1) | 'tviews.frontier' | 'tviews.log' | 'tviews.job' | 'tviews.history'
SELECT count(*) FROM pg_class WHERE oid = {relation}::regclass;
DO $$ BEGIN EXECUTE format('DROP MATERIALIZED VIEW %s', {relation}::regclass); END $$;
UPDATE app.item SET v = v + 1;

-- as: super
-- may: stale fail residue
DO $$ BEGIN EXECUTE format('REFRESH MATERIALIZED VIEW %s', (SELECT first FROM tviews.log LIMIT 1)::regclass); END $$;
UPDATE app.item SET v = v + 1;
REFRESH MATERIALIZED VIEW app.later;

-- tables that are logged
-- each ddl: TRUNCATE app.item CASCADE | ALTER TABLE app.item RENAME COLUMN v TO w | ALTER TABLE app.item ADD COLUMN extra int DEFAULT 1 | ALTER TABLE app.item ALTER COLUMN v TYPE bigint | ALTER TABLE app.item DROP COLUMN note | ALTER TABLE app.item SET UNLOGGED | ALTER TABLE app.item SET SCHEMA low | ALTER TABLE app.item RENAME TO items | DROP TABLE app.grp CASCADE | ALTER TABLE app.part DETACH PARTITION app.part_1 | ALTER TABLE app.item DISABLE TRIGGER ALL
UPDATE app.item SET v = v + 1;
{ddl};
UPDATE app.part SET n = n + 1;
SELECT tviews.refresh_all();
