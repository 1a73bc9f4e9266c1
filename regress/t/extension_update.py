"""ALTER EXTENSION pg_tviews UPDATE from every released version, with TVIEWs that are written meanwhile.

Invariant tested: an updated schema is, object by object, the one that CREATE EXTENSION makes; before the update the library works with the old schema;
writers go on during the update, without an error, and TVIEWs equal their queries before and after it. A change of sql/parts without one of the update
scripts fails here. Called by `make check`; alone: PG_CONFIG=… regress/t/extension_update.py
"""

import difflib
import re
import subprocess
import threading
import time
from pathlib import Path

from cluster import Cluster, Report

ROOT = Path(__file__).resolve().parents[2]
CURRENT = re.search(r"default_version = '([^']+)'", (ROOT / "pg_tviews.control").read_text()).group(1)
RELEASED = sorted(m[1] for path in (ROOT / "sql").glob("pg_tviews--*.sql") if (m := re.fullmatch(r"pg_tviews--([\d.]+)\.sql", path.name)))
WRITERS = 3

SCHEMA = """
CREATE TABLE shop (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE sale (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, shop int NOT NULL REFERENCES shop, amount numeric NOT NULL);
CREATE INDEX ON sale (shop);
INSERT INTO shop SELECT i, 'shop ' || i FROM generate_series(1, 20) i;
INSERT INTO sale (shop, amount) SELECT 1 + i % 20, i FROM generate_series(1, 1000) i;
CREATE TVIEW total AS SELECT shop, count(*) AS n, sum(amount) AS amount FROM sale GROUP BY shop;
CREATE TVIEW page AS SELECT s.id, s.amount, o.name FROM sale s JOIN shop o ON o.id = s.shop;
CREATE TVIEW large AS SELECT name, count(*) AS n FROM page WHERE amount > 500 GROUP BY name HAVING count(*) > 3;
CREATE TVIEW pairs AS SELECT shop, amount FROM sale WHERE amount % 2 = 0;
CREATE TVIEW later WITH (refresh = manual) AS SELECT shop, max(amount) AS most FROM sale GROUP BY shop;
"""
TVIEWS = ["total", "page", "large", "pairs"]

# Members of the extension and what belongs to it besides: what a dump does not say.
MEMBERS = """
SELECT o.type, o.identity FROM pg_depend d, pg_identify_object(d.classid, d.objid, d.objsubid) o
 WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_tviews') AND d.deptype = 'e'
 ORDER BY o.type COLLATE "C", o.identity COLLATE "C";
SELECT o.type, o.identity, i.privtype, i.initprivs FROM pg_init_privs i, pg_identify_object(i.classoid, i.objoid, i.objsubid) o
 WHERE o.identity LIKE '%tview%' ORDER BY o.type COLLATE "C", o.identity COLLATE "C";
SELECT extversion, extnamespace::regnamespace, extowner::regrole, extrelocatable, extcondition,
       (SELECT array_agg(c::regclass::text ORDER BY c::regclass::text COLLATE "C") FROM unnest(extconfig) c) FROM pg_extension WHERE extname = 'pg_tviews';
"""


def schema(cluster, database):
    """Everything that the extension has, as pg_upgrade would dump it, member by member, without numbers that differ between any two databases."""
    dump = cluster.tool("pg_dump", "--schema-only", "--binary-upgrade", database)
    dump = re.sub(r"^\\(un)?restrict .*\n|^SELECT pg_catalog\.binary_upgrade_.*\n|^-- For binary upgrade.*\n|\b(relfrozenxid|relminmxid|oid) = '\d+'", "", dump, flags=re.M)
    return dump + cluster.sql(MEMBERS, database)


HEALTH = "SELECT status FROM tviews.health() WHERE \"check\" = 'version'"


class Writers:
    """Sessions that write one small transaction after the other until they are told to stop."""

    def __init__(self, cluster, database):
        self.stopping, self.done = False, [0] * WRITERS
        self.sessions = [subprocess.Popen(cluster.psql("-A", "-t", "-f", "-", database=database), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                          text=True, bufsize=1, env=cluster.env) for _ in range(WRITERS)]
        self.threads = [threading.Thread(target=self.write, args=[n, session]) for n, session in enumerate(self.sessions)]
        for thread in self.threads:
            thread.start()

    def write(self, number, session):
        shops = range(1 + number, 21, WRITERS)  # disjoint: they could wait for each other otherwise, but never fail
        while not self.stopping and session.poll() is None:
            shop = shops[self.done[number] % len(shops)]
            session.stdin.write(f"""BEGIN; INSERT INTO sale (shop, amount) VALUES ({shop}, {self.done[number] % 900});
                UPDATE sale SET amount = amount + 1 WHERE id = (SELECT max(id) FROM sale WHERE shop = {shop});
                UPDATE shop SET name = 'shop ' || id || '.' || {self.done[number] % 7} WHERE id = {shop};
                DELETE FROM sale WHERE id = (SELECT min(id) FROM sale WHERE shop = {shop}); COMMIT; SELECT 'done';\n""")
            session.stdin.flush()
            if session.stdout.readline() != "done\n":
                return
            self.done[number] += 1

    def wait_for(self, more, seconds=30):
        """Each of them has committed so many transactions more."""
        goal, deadline = [n + more for n in self.done], time.time() + seconds
        while any(n < g for n, g in zip(self.done, goal)) and time.time() < deadline:
            time.sleep(0.02)
        return all(n >= g for n, g in zip(self.done, goal))

    def stop(self):
        """Their complaints."""
        self.stopping = True
        for thread in self.threads:
            thread.join()
        return "".join(session.communicate()[1] for session in self.sessions)


def exact(cluster, database):
    different = [t for t in TVIEWS if cluster.difference(t, database)]
    unequal = cluster.sql("SELECT string_agg(tview::text, ' ') FROM tviews.verify_all() WHERE NOT ok AND tview::text <> 'later'", database)
    return not different and not unequal


def same_schema(cluster, report, version):
    database = f"from_{version.replace('.', '_')}"
    cluster.sql(f"CREATE DATABASE {database}")
    cluster.sql(f"CREATE EXTENSION pg_tviews VERSION '{version}'", database)
    before = schema(cluster, database)
    cluster.sql("ALTER EXTENSION pg_tviews UPDATE", database)
    after, fresh = schema(cluster, database), schema(cluster, "fresh")
    report.ok(before != fresh, f"{version}: its schema is another one")
    difference = "\n".join(difflib.unified_diff(fresh.splitlines(), after.splitlines(), "fresh", "updated", lineterm="", n=1))
    report.ok(after == fresh, f"{version}: the updated schema is the fresh one", difference[:4000])


def live(cluster, report, version):
    database = f"live_{version.replace('.', '_')}"
    cluster.sql(f"CREATE DATABASE {database}")
    cluster.sql(f"CREATE EXTENSION pg_tviews VERSION '{version}'; {SCHEMA}", database)
    report.ok(exact(cluster, database), f"{version}: TVIEWs under the old schema")
    hint = cluster.sql("SELECT status, hint FROM tviews.health() WHERE \"check\" = 'version'", database)
    report.ok(hint == "warning|Run ALTER EXTENSION pg_tviews UPDATE in this database.", f"{version}: health() says that there is an update", hint)
    writers = Writers(cluster, database)
    try:
        report.ok(writers.wait_for(10), f"{version}: writers write under the old schema")
        started = time.time()
        report.attempt(f"{version}: ALTER EXTENSION … UPDATE while they write", lambda: cluster.sql("ALTER EXTENSION pg_tviews UPDATE", database) == "")
        report.ok(time.time() - started < 5, f"{version}: it does not wait for them to end")
        report.ok(writers.wait_for(10), f"{version}: they go on")
    finally:
        complaints = writers.stop()
    report.ok(not complaints, f"{version}: without an error", complaints)
    report.attempt(f"{version}: TVIEWs are exact", lambda: exact(cluster, database))
    found = cluster.sql("SELECT extversion FROM pg_extension WHERE extname = 'pg_tviews'", database)
    report.ok(found == CURRENT == cluster.sql("SELECT pg_tviews_version()", database), f"{version}: it is {CURRENT} now", found)
    report.ok(cluster.sql(HEALTH, database) == "ok", f"{version}: and health() says so")
    report.attempt(f"{version}: TVIEWs are made and dropped", lambda: cluster.sql(
        "REFRESH TVIEW later; CREATE TVIEW newer AS SELECT count(*) AS n FROM sale; DROP TVIEW newer; DROP TVIEW large", database) == "")


def main():
    report = Report()
    with Cluster(ram=True) as cluster:
        cluster.sql("CREATE DATABASE fresh")
        cluster.sql("CREATE EXTENSION pg_tviews", "fresh")
        report.ok(CURRENT not in RELEASED or len(RELEASED) > 1, "there is a version to come from", RELEASED)
        for version in RELEASED:
            if version != CURRENT:
                same_schema(cluster, report, version)
                live(cluster, report, version)
    report.done()


if __name__ == "__main__":
    main()
