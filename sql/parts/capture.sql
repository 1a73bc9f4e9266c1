CREATE FUNCTION tviews.capture() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'tviews_capture';
REVOKE ALL ON FUNCTION tviews.capture() FROM PUBLIC;
COMMENT ON FUNCTION tviews.capture() IS 'captures the rows that a statement changed';

-- Tells the planner how many rows the functions below have.
CREATE FUNCTION tviews.rows_support(internal) RETURNS internal
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tviews_rows_support';

-- Read by the SQL of a flush; they answer to nobody else.
CREATE FUNCTION tviews.changed(anyelement) RETURNS SETOF anyelement
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 SUPPORT tviews.rows_support AS 'MODULE_PATHNAME', 'tviews_changed';
CREATE FUNCTION tviews.inserted(anyelement) RETURNS SETOF anyelement
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 SUPPORT tviews.rows_support AS 'MODULE_PATHNAME', 'tviews_inserted';
CREATE FUNCTION tviews.deleted(anyelement) RETURNS SETOF anyelement
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 SUPPORT tviews.rows_support AS 'MODULE_PATHNAME', 'tviews_deleted';
CREATE FUNCTION tviews.dirty(anyelement) RETURNS SETOF anyelement
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 SUPPORT tviews.rows_support AS 'MODULE_PATHNAME', 'tviews_dirty';
