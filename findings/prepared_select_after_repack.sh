#!/usr/bin/env bash
# In READ COMMITTED, EXECUTE of a prepared SELECT that waits for the end of REPACK (CONCURRENTLY) finds no rows in a table that is full.
#
# Software:  PostgreSQL 19 release candidate 1, Debian 19~rc1-1 of the suite experimental (Linux, x86-64); no extension.
# Behaviour: EXECUTE takes its snapshot before the locks of its plan. REPACK (CONCURRENTLY) holds the table exclusively for the moment in which the copy takes
#            its place; when EXECUTE waits for that, its snapshot is older than the copy, whose rows look as if REPACK had inserted them.
# Expected:  the documentation warns of transactions that use a snapshot from before. A READ COMMITTED statement has a snapshot of its own, and the table was never
#            empty: all rows, as the same SELECT without PREPARE gives them.
# Seen:      the prepared SELECT: 0 rows; the SELECT itself, in the same situation: 5 rows; EXECUTE a moment later: 5 rows.
# Matters:   to whoever repacks tables while clients work, which is what CONCURRENTLY is for: statements prepared by SQL see an empty table once.
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
seen=$(PSQL="$bin/psql -X -q -A -t -h $work -U postgres -d postgres" python3 - <<'PY'
import os
import subprocess
import time


class Session:
    def __init__(self):
        self.process = subprocess.Popen(os.environ["PSQL"].split(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, sql):
        self.process.stdin.write(f"{sql};\n\\echo =\n")
        self.process.stdin.flush()

    def answer(self):
        return " ".join(line.strip() for line in iter(self.process.stdout.readline, "=\n"))

    def ask(self, sql):
        self.send(sql)
        return self.answer()


watcher = Session()
watcher.ask("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5)")
for name, sql in {"SELECT": "SELECT count(*) FROM t", "EXECUTE": "EXECUTE q"}.items():
    holder, repack, reader = Session(), Session(), Session()
    waits = "SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND mode = '{}' AND NOT granted"
    reader.ask("PREPARE q AS SELECT count(*) FROM t")
    holder.ask("BEGIN; SELECT count(*) FROM t")
    repack.send("REPACK (CONCURRENTLY) t")
    while watcher.ask(waits.format("AccessExclusiveLock")) == "0":
        time.sleep(0.05)
    reader.send(sql)
    while watcher.ask(waits.format("AccessShareLock")) == "0":
        time.sleep(0.05)
    holder.ask("COMMIT")
    repack.answer()
    print(f"{name}: {reader.answer()}, a moment later: {reader.ask(sql)}")
PY
)
echo "$seen"
[ "$seen" = $'SELECT: 5, a moment later: 5\nEXECUTE: 0, a moment later: 5' ]
