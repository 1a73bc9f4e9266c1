#!/usr/bin/env bash
# A sum of float8 over a join is 1000 with the settings of a new server and 0 as it was computed before: aggregation before the join adds in another order.
#
# Software:  PostgreSQL 19 release candidate 1, Debian 19~rc1-1 of the suite experimental (Linux, x86-64); no extension.
# Behaviour: enable_eager_aggregate is on. The planner adds the rows of each join key first and joins the partial sums. 1e16, a thousand times 1 and
#            -1e16 then give 1000; added one after the other they give 0, as on 18 and with the setting off.
# Expected:  sums of floating point numbers differ in their last digits between plans, and the planner leaves alone what is not associative, or says so: the
#            description of the setting does not mention values.
# Seen:      on: 1000 and 1000; off: 0 and 0; numeric: 1000 and 1000.
# Matters:   to whoever compares a stored sum with a new one: results change by an upgrade, and with statistics that make the planner choose another way.
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
seen=$(psql -v ON_ERROR_STOP=1 <<'SQL'
CREATE TABLE t (k int, x float8);
CREATE TABLE d (k int, n int);
INSERT INTO t VALUES (1, 1e16);
INSERT INTO t SELECT 2, 1 FROM generate_series(1, 1000);
INSERT INTO t VALUES (1, -1e16);
INSERT INTO d SELECT k, n FROM generate_series(1, 2) k, generate_series(1, 2) n;
ANALYZE t, d;
SELECT 'on: ' || string_agg(s::text, ' ') FROM (SELECT sum(x) AS s FROM t JOIN d USING (k) GROUP BY n ORDER BY n) q;
SELECT 'numeric: ' || string_agg(s::text, ' ') FROM (SELECT sum(x::numeric) AS s FROM t JOIN d USING (k) GROUP BY n ORDER BY n) q;
SET enable_eager_aggregate = off;
SELECT 'off: ' || string_agg(s::text, ' ') FROM (SELECT sum(x) AS s FROM t JOIN d USING (k) GROUP BY n ORDER BY n) q;
SQL
)
echo "$seen"
[ "$seen" = $'on: 1000 1000\nnumeric: 1000 1000\noff: 0 0' ]
