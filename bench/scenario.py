"""What run.py and writers.py measure: databases with the same tables and views of different kinds, and the writes.

Invariant: tables and data are the same in every database. Called by both.
"""

import pgbench  # first: finds the others
import toolchain

HERE = pgbench.ROOT / "bench"
SETTINGS = {"synchronous_commit": "off", "shared_buffers": "512MB", "autovacuum": "off", "full_page_writes": "on", "fsync": "on", "wal_level": "replica", "jit": "off"}
VARIANTS = ["none", "hand", "tviews"]
VIEWS = ["post_document", "region_total", "country_total"]
WRITES = {
    "post: update the title": "\\set id random(1, 100000)\nUPDATE posts SET title = 'title ' || random() WHERE id = :id;",
    "user: rename (10 posts)": "\\set id random(1, 10000)\nUPDATE users SET name = 'user ' || random() WHERE id = :id;",
    "post: insert": "\\set id random(1, 10000)\nINSERT INTO posts (user_id, title, content) VALUES (:id, 'a new title', repeat('words of a post ', 12));",
    "order: change the amount": "\\set id random(1, 100000)\nUPDATE orders SET amount = amount + 0.01 WHERE id = :id;",
    "order: insert": "\\set customer random(1, 1000)\n\\set region random(0, 99)\nINSERT INTO orders (customer, region, amount) VALUES (:customer, :region, 12.34);",
    "order: insert, delete": "\\set customer random(1, 1000)\n\\set region random(0, 99)\nINSERT INTO orders (customer, region, amount) VALUES (:customer, :region, 12.34) RETURNING id \\gset\nDELETE FROM orders WHERE id = :id;",
    "customer: move (100 orders)": "\\set id random(1, 1000)\n\\set country random(0, 49)\nUPDATE customers SET country = :country WHERE id = :id;",
}


def setup(cluster, variants):
    for variant in variants:
        toolchain.say(f"loading database {variant}")
        cluster.sql(f"CREATE DATABASE {variant}")
        if variant in ("tviews", "deferred"):
            cluster.sql("CREATE EXTENSION pg_tviews", variant)
        for script in ["schema", *{"hand": ["triggers"], "tviews": ["tviews"], "deferred": ["deferred"]}.get(variant, [])]:
            cluster.sql((HERE / f"{script}.sql").read_text(), variant)
        cluster.sql("VACUUM ANALYZE", variant)
    cluster.sql("CHECKPOINT")


def difference(cluster, view):
    """The difference of a TVIEW from its query in words, or None."""
    rows = cluster.difference(view, "tviews")
    return f"error: TVIEW {view} differs from its query by {rows} rows" if rows else None
