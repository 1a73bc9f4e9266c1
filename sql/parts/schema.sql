-- Schema and stored facts. Everything else about a TVIEW is in the server's own catalogs.
\echo Use "CREATE EXTENSION pg_tviews" to load this file. \quit

CREATE SCHEMA tviews;
GRANT USAGE ON SCHEMA tviews TO PUBLIC;

-- Which relations each TVIEW reads; columns are attribute numbers, 0 is the whole row.
CREATE TABLE tviews.source (
    tview   oid    NOT NULL,
    source  oid    NOT NULL,
    columns int2[] NOT NULL
);

-- Internal TVIEWs that a TVIEW is computed from, in order. They live in a schema that tools take for one of the server's.
SET LOCAL allow_system_table_mods = on;
CREATE SCHEMA pg_toast_tviews;
SET LOCAL allow_system_table_mods = off;
GRANT USAGE ON SCHEMA pg_toast_tviews TO PUBLIC;
CREATE TABLE tviews.stage (
    tview  oid  NOT NULL,
    number int2 NOT NULL,
    stage  oid  NOT NULL,
    -- The key by which it is joined to its sister stages, when it is one of several for windows; otherwise empty.
    joined text NOT NULL
);

-- Unlogged on purpose: a crash empties it together with the unlogged TVIEWs.
CREATE UNLOGGED TABLE tviews.sentinel (
    tview oid NOT NULL
);

GRANT SELECT ON tviews.source, tviews.stage, tviews.sentinel TO PUBLIC;
