#!/usr/bin/env bash
# After REPACK (CONCURRENTLY) of a referenced table, a REPEATABLE READ transaction is told that a row that references it violates the foreign key.
#
# Software:  PostgreSQL 19 release candidate 1, Debian 19~rc1-1 of the suite experimental (Linux, x86-64); no extension.
# Behaviour: the check looks for the referenced row with the snapshot of the transaction. To a snapshot from before REPACK the table is empty, so the check fails
#            with 23503. The row was there before, during and after. ALTER TABLE that rewrites the table has the same effect, on 18, too, but locks readers out.
# Expected:  40001, which says that the transaction may be tried again, or success: 23503 is an error of the data, and is not tried again.
# Seen:      23503 in REPEATABLE READ and SERIALIZABLE, success in READ COMMITTED and without REPACK.
# Matters:   to applications with retries for 40001, while a table that others reference is repacked as it is meant to be: beside them.
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
psql -c "CREATE TABLE parent (id int PRIMARY KEY)" -c "INSERT INTO parent VALUES (1)" -c "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent)" -c "CREATE TABLE other (n int)"
inserts() {
    psql -v VERBOSITY=sqlstate 2>&1 <<SQL || true
BEGIN ISOLATION LEVEL $1;
SELECT FROM other;
\! $bin/psql -X -q -h $work -U postgres -d postgres -c "$2" >/dev/null
INSERT INTO child VALUES (1, 1) RETURNING 'inserted';
ROLLBACK;
SQL
}
seen=$(for level in "READ COMMITTED" "REPEATABLE READ" SERIALIZABLE; do
    echo "$level: $(inserts "$level" "SELECT FROM other") $(inserts "$level" "REPACK (CONCURRENTLY) parent" | sed 's/.*ERROR: *//')"
done)
echo "$seen"
[ "$seen" = $'READ COMMITTED: inserted inserted\nREPEATABLE READ: inserted 23503\nSERIALIZABLE: inserted 23503' ]
