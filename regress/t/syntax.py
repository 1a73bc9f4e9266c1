"""The native syntax as a whole: the memory that it takes, and that everything else works without it.

`syntax.py` tests a build that has it, switched on and off; `syntax.py absent` one without the feature `native_syntax`.
"""

import sys

from cluster import Cluster, Report, SqlError, children

# the same life of a TVIEW without a word that PostgreSQL does not know
LIFE = """
    CREATE TABLE t (id int PRIMARY KEY, v int);
    CREATE MATERIALIZED VIEW m USING tview AS SELECT id, v FROM t WHERE v > 0;
    CREATE MATERIALIZED VIEW n WITH (incremental) AS SELECT v, count(*) AS n FROM t GROUP BY v;
    INSERT INTO t SELECT g, g % 3 FROM generate_series(1, 9) g;
    ALTER MATERIALIZED VIEW m RENAME TO renamed;
    REFRESH MATERIALIZED VIEW renamed;
    COMMENT ON MATERIALIZED VIEW renamed IS 'x';
    UPDATE t SET v = v + 1;
    SELECT (SELECT count(*) FROM renamed), (SELECT string_agg(v || '=' || n, ' ' ORDER BY v) FROM n), (SELECT count(*) FROM tviews.tviews);
"""
WANTED = "9|1=3 2=3 3=3|2"


def refused(cluster):
    """Whether CREATE TVIEW is the syntax error that a server without us gives."""
    try:
        cluster.sql("CREATE TVIEW x AS SELECT 1 AS a")
    except SqlError as error:
        return 'syntax error at or near "TVIEW"' in str(error) or str(error)
    return "it was accepted"


def pages(pid):
    """The mapped regions of a process; none if it has ended, as workers do at any time."""
    try:
        with open(f"/proc/{pid}/maps") as maps:
            return list(maps)
    except OSError:
        return []


def without(report, cluster, hint):
    """A server that has no native syntax."""
    cluster.sql("CREATE EXTENSION pg_tviews")
    answer = refused(cluster)
    report.ok(answer is True, "CREATE TVIEW is a syntax error", answer)
    answer = cluster.sql(LIFE)
    report.ok(answer == WANTED, "materialized views that are TVIEWs live without it", answer)
    answer = cluster.sql("DROP MATERIALIZED VIEW renamed, n; SELECT count(*) FROM tviews.tviews")
    report.ok(answer == "0", "and end", answer)
    answer = cluster.sql("SELECT status, hint FROM tviews.health() WHERE \"check\" = 'native syntax'")
    report.ok(answer.startswith("warning|") and hint in answer, "health says so", answer)
    answer = cluster.sql("SELECT count(*) FROM tviews.health() WHERE status <> 'ok' AND \"check\" <> 'native syntax'")
    report.ok(answer == "0", "and finds nothing else", answer)


def main():
    report = Report()
    if sys.argv[1:] == ["absent"]:
        with Cluster() as cluster:
            without(report, cluster, "built without the feature native_syntax")
            report.ok("cannot provide" not in cluster.log.read_text(), "no warning at start")
        report.done()
    with Cluster() as cluster:
        report.ok(cluster.sql("CREATE EXTENSION pg_tviews; CREATE TVIEW x AS SELECT 1 AS a; TABLE x") == "1", "CREATE TVIEW is accepted")
        # a backend is what the postmaster has made it
        seen = [found for pid in (cluster.server.pid, *children(cluster.server.pid)) if (found := pages(pid))]
        found = [line for lines in seen for line in lines if "rwx" in line.split()[1]]
        report.ok(len(seen) >= 4 and not found, "no page of a server process is writable and executable", "".join(found))
    with Cluster(**{"pg_tviews.native_syntax": "off"}) as cluster:
        without(report, cluster, "Set pg_tviews.native_syntax to on")
    report.done()


if __name__ == "__main__":
    main()
