#!/bin/sh
# Starts the server of a container: makes its cluster at the first start, with the extension preloaded and in template1, so that each new database has it.
# Invariant: nobody gets in from outside without a password, and a start that fails half way leaves no cluster behind that the next one would take.
# Called by docker/Dockerfile with further arguments for postgres; $PGDATA, $POSTGRES_PASSWORD (at the first start), $SOCKETS.
set -eu
: "${PGDATA:?is to name the directory of the cluster}"
sockets=${SOCKETS:-/var/run/postgresql}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ -z "${POSTGRES_PASSWORD:-}" ]; then
        echo 'POSTGRES_PASSWORD is to have the password of the user postgres' >&2
        exit 1
    fi
    if [ -n "$(ls -A "$PGDATA" 2>/dev/null)" ]; then
        echo "$PGDATA is neither empty nor the directory of a cluster" >&2
        exit 1
    fi
    trap 'find "$PGDATA" -mindepth 1 -delete' EXIT
    password=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" >"$password"
    initdb -D "$PGDATA" -U postgres -E UTF8 --locale=C.UTF-8 --data-checksums --auth-local=peer --auth-host=scram-sha-256 --pwfile="$password" --no-instructions
    rm -f "$password"
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    cat >>"$PGDATA/postgresql.conf" <<SETTINGS
listen_addresses = '*'
shared_preload_libraries = 'pg_tviews'
SETTINGS
    for database in template1 postgres; do
        printf 'CREATE EXTENSION IF NOT EXISTS pg_tviews;\n' | postgres --single -D "$PGDATA" -c exit_on_error=on "$database" >/dev/null
    done
    trap - EXIT
fi
exec postgres -D "$PGDATA" -c unix_socket_directories="$sockets" "$@"
