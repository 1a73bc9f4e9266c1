#!/bin/sh
# Makes TVIEWs of the tables tv_… of a schema that were filled by hand, by pg_tviews_auto_convert().
#
#   sql/convert_tviews.sh -d DATABASE [-s SCHEMA] [--plan] [-h HOST] [--port PORT] [-U USER]
#
#   -d, --database   the database; without it, the one that psql connects to
#   -s, --schema     the schema, public without it
#   -p, --plan       shows what would be done, and does nothing
#   -h, --host, --port, -U, --user   as for psql
#   -?, --help       this text
#
# The exit status is 0 when every table has become a TVIEW or had no reason to, 2 for wrong arguments or no server, and 3, as psql has it after an
# error, when a table could not be converted.

set -eu

usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; }

schema=public
plan=false
while [ $# -gt 0 ]; do
    case $1 in
        -d | --database | -s | --schema | -h | --host | --port | -U | --user)
            [ $# -gt 1 ] || { echo "$0: option $1 needs a value" >&2; exit 2; }
            case $1 in
                -d | --database) export PGDATABASE="$2" ;;
                -s | --schema) schema=$2 ;;
                -h | --host) export PGHOST="$2" ;;
                --port) export PGPORT="$2" ;;
                -U | --user) export PGUSER="$2" ;;
            esac
            shift 2 ;;
        -p | --plan) plan=true; shift ;;
        -\? | --help) usage; exit 0 ;;
        *) echo "$0: unknown option: $1" >&2; usage >&2; exit 2 ;;
    esac
done

psql -X -q -v ON_ERROR_STOP=1 -v schema="$schema" -v plan="$plan" -f - <<'SQL'
\pset footer off
\set SHOW_CONTEXT never
SELECT count(*) = 1 AS installed, min(extnamespace::regnamespace::text) AS interface FROM pg_extension WHERE extname = 'pg_tviews' \gset
\if :installed
\else
    DO $$ BEGIN RAISE 'extension "pg_tviews" is not installed in this database' USING HINT = 'Run CREATE EXTENSION pg_tviews first.'; END $$;
\endif
\if :plan
    SELECT entity, base_table, backing_view, select_sql FROM :interface.pg_tviews_auto_convert_plan(:'schema') ORDER BY entity;
\else
    CREATE TEMP TABLE converted AS SELECT * FROM :interface.pg_tviews_auto_convert(:'schema');
    SELECT entity, status, message FROM converted ORDER BY entity;
    SELECT entity_name, tview_oid::regclass AS tview FROM :interface.pg_tview_meta WHERE schema_name = :'schema' ORDER BY entity_name;
    SELECT count(*) AS failed, count(*) > 0 AS any_failed FROM converted WHERE status = 'ERROR' \gset
    \if :any_failed
        DO $$ BEGIN RAISE 'some tables could not be converted' USING DETAIL = 'The messages above say why. These tables are as they were.'; END $$;
    \endif
\endif
SQL
