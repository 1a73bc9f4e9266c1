-- The functions that this file used to define are part of the extension: scripts that load it go on to work. An error says that they are missing.
SELECT 'pg_tviews_auto_convert(text)'::regprocedure, 'pg_tviews_auto_convert_plan(text)'::regprocedure;
