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

-- Unlogged on purpose: a crash empties it together with the unlogged TVIEWs.
CREATE UNLOGGED TABLE tviews.sentinel (
    tview oid NOT NULL
);

GRANT SELECT ON tviews.source, tviews.sentinel TO PUBLIC;
