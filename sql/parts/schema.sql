-- Schema and stored facts. Everything else about a TVIEW is in the server's own catalogs.
\echo Use "CREATE EXTENSION pg_tviews" to load this file. \quit

-- The schema of CREATE EXTENSION, where anybody may have put functions, is not searched while objects are made.
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE SCHEMA tviews;
GRANT USAGE ON SCHEMA tviews TO PUBLIC;

-- The tables of the extension are materialized views that nobody refreshes, stored by heap: publications FOR ALL TABLES and for schemas leave
-- these out, statements of users cannot write to them, and rows of another server cannot arrive in them. The library writes them.

-- Which relations each TVIEW reads; columns are attribute numbers, 0 is the whole row; `written`: the SQL that follows changes of the relation
-- was read as the query it was made from.
CREATE MATERIALIZED VIEW tviews.source (tview, source, columns, written) USING heap
    AS SELECT NULL::oid, NULL::oid, NULL::int2[], NULL::boolean WHERE false;
CREATE UNIQUE INDEX source_key ON tviews.source (tview, source);

-- Internal TVIEWs that a TVIEW is computed from, in order. They live in a schema that tools take for one of the server's. `joined` is the
-- key by which a stage is joined to its sister stages, when it is one of several for windows; otherwise empty.
SET LOCAL allow_system_table_mods = on;
CREATE SCHEMA pg_toast_tviews;
SET LOCAL allow_system_table_mods = off;
GRANT USAGE ON SCHEMA pg_toast_tviews TO PUBLIC;
CREATE MATERIALIZED VIEW tviews.stage (tview, number, stage, joined) USING heap
    AS SELECT NULL::oid, NULL::int2, NULL::oid, NULL::text WHERE false;
CREATE UNIQUE INDEX stage_key ON tviews.stage (tview, number);
CREATE UNIQUE INDEX stage_stage ON tviews.stage (stage);

-- Of TVIEWs that follow later than at commit: for which snapshot the contents are exact, and how much of its own transaction came with it.
CREATE MATERIALIZED VIEW tviews.frontier (tview, snapshot, own, part, at) USING heap
    AS SELECT NULL::oid, NULL::pg_snapshot, NULL::xid8, NULL::int4, NULL::timestamptz WHERE false;
CREATE UNIQUE INDEX frontier_key ON tviews.frontier (tview);

-- Deferred TVIEWs that are paused, or whose last refresh failed.
CREATE MATERIALIZED VIEW tviews.job (tview, paused, errors, error, failed_at) USING heap
    AS SELECT NULL::oid, NULL::boolean, NULL::int4, NULL::text, NULL::timestamptz WHERE false;
CREATE UNIQUE INDEX job_key ON tviews.job (tview);

-- What refreshes have done, those that had nothing to do left out.
CREATE MATERIALIZED VIEW tviews.history (tview, started, finished, initiator, action, changed_rows, rows_inserted, rows_updated, rows_deleted, lag,
                                         snapshot, error, reason) USING heap
    AS SELECT NULL::oid, NULL::timestamptz, NULL::timestamptz, NULL::text, NULL::text, NULL::int8, NULL::int8, NULL::int8, NULL::int8,
              NULL::interval, NULL::text, NULL::text, NULL::text WHERE false;
CREATE INDEX history_key ON tviews.history (tview, started);

-- The logs of relations that such TVIEWs read; `writes` is the one that is written, 1 or 2.
CREATE MATERIALIZED VIEW tviews.log (source, first, second, writes) USING heap
    AS SELECT NULL::oid, NULL::oid, NULL::oid, NULL::int2 WHERE false;
CREATE UNIQUE INDEX log_key ON tviews.log (source);

-- Relations whose changes are taken from WAL from `begins` on; with `ends` they are captured by triggers again from there, and the row goes when WAL
-- has been read so far.
CREATE MATERIALIZED VIEW tviews.wal (source, begins, ends) USING heap
    AS SELECT NULL::oid, NULL::pg_lsn, NULL::pg_lsn WHERE false;
CREATE UNIQUE INDEX wal_key ON tviews.wal (source);

-- Up to where WAL has been read into the logs. A copy of this database has the row of the database that it is a copy of.
CREATE MATERIALIZED VIEW tviews.slot (database, confirmed) USING heap
    AS SELECT NULL::oid, NULL::pg_lsn WHERE false;
CREATE UNIQUE INDEX slot_key ON tviews.slot (database);

-- What was done to TVIEWs as objects.
CREATE MATERIALIZED VIEW tviews.audit (at, operation, tview, schema, name, role, definition) USING heap
    AS SELECT NULL::timestamptz, NULL::text, NULL::oid, NULL::text, NULL::text, NULL::text, NULL::text WHERE false;

-- Unlogged on purpose: a crash empties it together with the unlogged TVIEWs.
CREATE UNLOGGED TABLE tviews.sentinel (
    tview oid PRIMARY KEY
) USING heap;
