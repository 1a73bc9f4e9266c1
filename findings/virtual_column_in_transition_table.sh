#!/usr/bin/env bash
# A virtual generated column is NULL in transition tables and in NEW, also when it is declared NOT NULL.
#
# Software:  PostgreSQL 19 release candidate 1, Debian 19~rc1-1 of the suite experimental (Linux, x86-64); no extension. 18.6 does the same.
# Behaviour: transition tables hold rows as they are stored, and a virtual column is not. It is a column of the transition table like all others, and NULL in each row.
# Expected:  the value, as in a query of the table; or an error that says that the column is not there. A NOT NULL column with NULLs is none.
# Seen:      in the table: virtual 2, stored 2; in the transition table: virtual NULL, stored 2; in NEW of a row trigger: virtual NULL, stored 2.
# Matters:   to triggers that copy or compare rows: they work until somebody makes a generated column virtual, which is the default since 18.
# Exit status: 0 when it behaves as seen, 1 when that has changed.
set -euo pipefail

work=$(mktemp -d)
trap 'kill -INT "$(head -1 "$work/data/postmaster.pid" 2>/dev/null)" 2>/dev/null || true; sleep 1; rm -rf "$work"' EXIT
config=$(python3 "$(dirname "$0")/../tools/toolchain.py" 19)
cp -a "${config%/usr/lib/*}" "$work/pg"
bin=$work/pg/usr/lib/postgresql/19/bin
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    # the server does not run as root
    chmod 755 "$work"; chown -R nobody "$work"
    as() { su -s /bin/bash nobody -c "$(printf '%q ' "$@")"; }
fi
as "$bin/initdb" -D "$work/data" -U postgres -A trust -N >/dev/null 2>&1
as "$bin/pg_ctl" -D "$work/data" -l "$work/log" -w -o "-c listen_addresses='' -c unix_socket_directories=$work" start >/dev/null
psql() { "$bin/psql" -X -q -A -t -h "$work" -U postgres -d postgres "$@"; }
seen=$(psql -v ON_ERROR_STOP=1 2>&1 <<'SQL'
CREATE TABLE t (a int, v int NOT NULL GENERATED ALWAYS AS (a * 2), s int NOT NULL GENERATED ALWAYS AS (a * 2) STORED);
CREATE TABLE log (n serial, place text, v int, s int);
CREATE FUNCTION by_statement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log (place, v, s) SELECT 'transition table', v, s FROM rows; RETURN NULL; END $$;
CREATE FUNCTION by_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log (place, v, s) VALUES ('NEW', NEW.v, NEW.s); RETURN NULL; END $$;
CREATE TRIGGER a AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION by_row();
CREATE TRIGGER b AFTER INSERT ON t REFERENCING NEW TABLE AS rows FOR EACH STATEMENT EXECUTE FUNCTION by_statement();
INSERT INTO t VALUES (1);
SELECT concat_ws(' ', 'table', coalesce(v::text, 'NULL'), s) FROM t;
SELECT concat_ws(' ', place, coalesce(v::text, 'NULL'), s) FROM log ORDER BY n;
SQL
)
echo "$seen"
[ "$seen" = $'table 2 2\nNEW NULL 2\ntransition table NULL 2' ]
