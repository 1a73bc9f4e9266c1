CREATE FUNCTION tviews.am_handler(internal) RETURNS table_am_handler
    LANGUAGE c AS 'MODULE_PATHNAME', 'tviews_am_handler';

CREATE ACCESS METHOD tview TYPE TABLE HANDLER tviews.am_handler;
COMMENT ON ACCESS METHOD tview IS 'storage of incremental materialized views';
