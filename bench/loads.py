"""`loads.py [PG]`: a million rows into two joined tables, while TVIEWs are suspended, next to the same load without TVIEWs and one CREATE afterwards.

Invariant: both ways end with the same rows, compared with the query; a difference ends the run with an error and no table.
The table goes to the screen and to docs/reference/benchmarks.md. Variables: see pgbench.py.
"""

import statistics
import sys
import time

import pgbench  # first: finds the others
import build
import page
from cluster import Cluster
from scenario import SETTINGS

HEADING = "## Loads"
TABLES = """
CREATE TABLE tb_user (pk_user bigint PRIMARY KEY, id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE, name text NOT NULL);
CREATE TABLE tb_post (pk_post bigint PRIMARY KEY, id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE, fk_user bigint NOT NULL REFERENCES tb_user, title text NOT NULL);
CREATE INDEX ON tb_post (fk_user);
"""
LOAD = """
INSERT INTO tb_user (pk_user, name) SELECT n, 'User ' || n FROM generate_series(1, 100000) n;
INSERT INTO tb_post (pk_post, fk_user, title) SELECT n, n % 100000 + 1, 'Post ' || n FROM generate_series(1, 900000) n;
"""
VIEWS = {
    "documents": """CREATE TVIEW tv_post AS SELECT p.pk_post, p.id, p.fk_user, jsonb_build_object('id', p.id, 'title', p.title, 'author', jsonb_build_object('name', u.name)) AS data
      FROM tb_post p JOIN tb_user u ON u.pk_user = p.fk_user;""",
    "totals": "CREATE TVIEW tv_posts AS SELECT u.pk_user, u.name, count(*) AS posts, max(p.pk_post) AS last FROM tb_post p JOIN tb_user u ON u.pk_user = p.fk_user GROUP BY u.pk_user;",
}
SUSPENDED = f"BEGIN; SELECT pg_tviews_suspend_triggers(); {LOAD} SELECT pg_tviews_resume_triggers(); COMMIT;"


def timed(cluster, sql):
    """Seconds."""
    before = time.perf_counter()
    cluster.sql(sql, "load")
    return time.perf_counter() - before


def once(cluster, view, is_suspended):
    cluster.sql("DROP DATABASE IF EXISTS load")
    cluster.sql("CREATE DATABASE load")
    cluster.sql(f"CREATE EXTENSION pg_tviews; {TABLES}", "load")
    cluster.sql("CHECKPOINT")
    if is_suspended:
        cluster.sql(VIEWS[view], "load")
        took = [timed(cluster, SUSPENDED)]
    else:
        took = [timed(cluster, f"BEGIN; {LOAD} COMMIT;"), timed(cluster, VIEWS[view])]
    if cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()", "load") != "t":
        sys.exit(f"error: {view} differ from their query")
    return took


def section(config, took, rounds):
    lines = ["| TVIEW | load without TVIEWs | CREATE TVIEW | suspended load | ratio |", "|---|--:|--:|--:|--:|"]
    for view in VIEWS:
        load, create = (statistics.median(values) for values in zip(*took[view, False]))
        suspended = statistics.median(values[0] for values in took[view, True])
        lines.append(f"| {view} | {load:.1f} s | {create:.1f} s | {suspended:.1f} s | {suspended / (load + create):.2f} |")
    table = "\n".join(lines)
    return f"""{HEADING}

100,000 users and 900,000 posts into empty tables by two statements of one transaction, with keys, a foreign key and its index (bench/loads.py): without a TVIEW,
which is then created; and with one, suspended from before the first row to after the last. Medians of {rounds} rounds; rows were compared with the query.

{page.picture("loads", "A load with TVIEWs and one before them")}

{table}

{page.measured(config)}, {page.processor()}.
"""


def main():
    config = build.install((sys.argv[1:] or ["18"])[0], "release")
    took, rounds = {}, 3
    with Cluster(config, **SETTINGS) as cluster:
        for _ in pgbench.rounds(rounds):
            for view in VIEWS:
                for is_suspended in (False, True):
                    took.setdefault((view, is_suspended), []).append(once(cluster, view, is_suspended))
                    print(view, is_suspended, took[view, is_suspended][-1], flush=True)
    text = section(config, took, rounds)
    print(f"\n{text}\n")
    page.write_section(HEADING, text)


if __name__ == "__main__":
    main()
