-- Every catalog of ours written to, and those of the server about our objects, by those who may and who may not.

-- each catalog: tviews.source | tviews.stage | tviews.sentinel | tviews.tviews | tviews.stat
DELETE FROM {catalog};

UPDATE {catalog} SET tview = 0;

-- each table: tviews.source | tviews.stage | tviews.sentinel
TRUNCATE {table};

INSERT INTO {table} SELECT * FROM {table};

-- a row for a TVIEW that is not here, as replication brings it
INSERT INTO tviews.source VALUES (999999, 'app.item'::regclass, '{2}');

INSERT INTO tviews.source VALUES ('app.item'::regclass, 'app.item'::regclass, '{2}');

INSERT INTO tviews.source VALUES ('app.flat'::regclass, 999999, '{2}');

INSERT INTO tviews.source VALUES ('app.flat'::regclass, 'app.flat'::regclass, '{1}');

INSERT INTO tviews.source VALUES ('app.sums'::regclass, 'app.chained'::regclass, '{1}'), ('app.flat'::regclass, 'app.item'::regclass, '{-1,99,NULL,0}');

INSERT INTO tviews.source VALUES ('app.plain'::regclass, 'app.item'::regclass, '{2}');

UPDATE tviews.source SET columns = NULL;

UPDATE tviews.source SET columns = '{}';

UPDATE tviews.source SET columns = '{{1,2},{3,4}}';

UPDATE tviews.source SET source = tview;

UPDATE tviews.stage SET stage = tview;

UPDATE tviews.stage SET stage = 999999;

UPDATE tviews.stage SET stage = 'app.item'::regclass;

UPDATE tviews.stage SET number = -number;

UPDATE tviews.stage SET joined = 'nonsense';

INSERT INTO tviews.stage VALUES ('app.flat'::regclass, 1, 'app.sums'::regclass, '');

INSERT INTO tviews.stage VALUES ('app.staged'::regclass, 30000, 'app.staged'::regclass, '');

INSERT INTO tviews.sentinel VALUES (0), (1), ('app.flat'::regclass);

DROP TABLE {table};

DROP TABLE {table} CASCADE;

ALTER TABLE {table} RENAME TO renamed;

ALTER TABLE {table} SET SCHEMA app;

ALTER TABLE {table} ADD COLUMN more int;

ALTER TABLE {table} DROP COLUMN tview;

ALTER TABLE {table} ALTER COLUMN tview TYPE bigint;

ALTER TABLE {table} SET LOGGED;

ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;

LOCK TABLE {table} IN SHARE MODE;

CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();

CREATE RULE r AS ON INSERT TO {table} DO INSTEAD NOTHING;

CREATE INDEX ON {table} (tview);

CREATE UNIQUE INDEX ON tviews.source (source);

CREATE TVIEW low.x AS SELECT tview FROM {table};

-- as: super
-- may: residue
VACUUM FULL tviews.source;

-- the server's catalogs: superusers who do that see stale contents at the worst
-- as: super
-- may: stale fail residue grant
-- allow: XX000
UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'app.item'::regclass;

-- as: super
-- may: stale fail residue
-- allow: XX000
DELETE FROM pg_trigger WHERE tgrelid = 'app.item'::regclass;

-- as: super
-- may: stale fail residue
-- allow: XX000
UPDATE pg_class SET relispopulated = false WHERE oid = 'app.flat'::regclass;

-- as: super
-- may: stale fail residue
-- allow: XX000
UPDATE pg_class SET relam = (SELECT oid FROM pg_am WHERE amname = 'heap') WHERE oid = 'app.sums'::regclass;

-- as: super
-- may: stale fail residue
-- allow: XX000
UPDATE pg_class SET relam = (SELECT oid FROM pg_am WHERE amname = 'tview') WHERE oid = 'app.plain'::regclass;

-- as: super
-- may: stale fail residue
-- allow: XX000
DELETE FROM pg_depend WHERE refobjid = 'app.item'::regclass AND deptype = 'n';

-- as: super
-- may: stale fail residue
-- allow: XX000
UPDATE pg_class SET reloptions = '{mode=nonsense,key=nosuch,logged=perhaps}' WHERE oid = 'app.flat'::regclass;
