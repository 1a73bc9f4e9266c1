#!/usr/bin/env bash
# A row that MERGE moves to another partition is in no transition table of any trigger.
#
# Software:  PostgreSQL 19 release candidate 1, Debian 19~rc1-1 of the suite experimental (Linux, x86-64); no extension. 18.6 does the same.
# Behaviour: an UPDATE action of MERGE that changes the partition key, or meets a BEFORE trigger that does, fires the AFTER UPDATE statement triggers of the partitioned
#            table with empty transition tables. The row is put into those of DELETE and INSERT, whose statement triggers do not fire.
# Expected:  as for UPDATE, which shows the old row and the new row to its triggers.
# Seen:      UPDATE: 1 old row, 1 new row; MERGE: 0 and 0; MERGE with a BEFORE trigger that moves the row: 0 and 0.
# Matters:   to auditing, change capture and summary tables by statement triggers: they lose rows without an error.
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
seen=$(psql -v ON_ERROR_STOP=1 2>&1 <<'SQL'
CREATE TABLE p (id int, v int) PARTITION BY LIST (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
INSERT INTO p VALUES (1, 0);
CREATE TABLE log (n serial, op text, rows text);
CREATE FUNCTION changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log (op, rows) SELECT TG_OP, (SELECT count(*) FROM old) || ' ' || (SELECT count(*) FROM new);
    RETURN NULL;
END $$;
CREATE FUNCTION came() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log (op, rows) SELECT TG_OP, count(*) FROM rows; RETURN NULL; END $$;
CREATE TRIGGER u AFTER UPDATE ON p REFERENCING OLD TABLE AS old NEW TABLE AS new FOR EACH STATEMENT EXECUTE FUNCTION changed();
CREATE TRIGGER i AFTER INSERT ON p REFERENCING NEW TABLE AS rows FOR EACH STATEMENT EXECUTE FUNCTION came();
CREATE TRIGGER d AFTER DELETE ON p REFERENCING OLD TABLE AS rows FOR EACH STATEMENT EXECUTE FUNCTION came();
UPDATE p SET id = 2;
MERGE INTO p USING (VALUES (2)) s (id) ON p.id = s.id WHEN MATCHED THEN UPDATE SET id = 1;
CREATE FUNCTION moves() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := 3 - NEW.id; RETURN NEW; END $$;
CREATE TRIGGER moves BEFORE UPDATE ON p1 FOR EACH ROW EXECUTE FUNCTION moves();
MERGE INTO p USING (VALUES (1)) s (id) ON p.id = s.id WHEN MATCHED THEN UPDATE SET v = 1;
SELECT op || ': ' || rows FROM log ORDER BY n;
SELECT 'row: ' || id FROM p;
SQL
)
echo "$seen"
[ "$seen" = $'UPDATE: 1 1\nUPDATE: 0 0\nUPDATE: 0 0\nrow: 2' ]
