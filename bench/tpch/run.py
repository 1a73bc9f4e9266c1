"""`make bench-tpch`: measures the 22 queries of TPC-H as TVIEWs on a throw-away cluster: `run.py [PG]`.

The crate beside it loads, measures and writes docs/reference/tpch.md. $SCALE: scale factors, with commas; $ROUNDS: measurements of each kind;
$ONLY: numbers of queries, with commas; then, and with other scales, the page goes to the screen only. $REFRESH: measures refreshes of manual TVIEWs
instead, at scale factor 0.1, for docs/reference/tpch-refresh.md.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "regress/t")]
import build  # noqa: E402
import toolchain  # noqa: E402
from cluster import Cluster  # noqa: E402

SCALES = "0.1,1"
# As for a small server of its own; without autovacuum, which would disturb some measurements and not others.
SETTINGS = {"shared_buffers": "1GB", "effective_cache_size": "3GB", "work_mem": "64MB", "maintenance_work_mem": "512MB", "max_wal_size": "8GB",
            "autovacuum": "off", "wal_level": "replica", "fsync": "on", "full_page_writes": "on", "synchronous_commit": "off"}


def main():
    pg = (sys.argv[1:] or ["18"])[0]
    config = build.install(pg, "release")
    usual, what, file = ("0.1", "refresh", "tpch-refresh") if os.environ.get("REFRESH") else (SCALES, "bench", "tpch")
    scales, only = os.environ.get("SCALE") or usual, os.environ.get("ONLY") or ""
    arguments = ["--scale", scales, "--rounds", os.environ.get("ROUNDS") or "5"]
    if only:
        arguments += ["--only", only]
    elif scales == usual:
        arguments += ["--out", str(ROOT / f"docs/reference/{file}.md")]
    with Cluster(config, **SETTINGS) as cluster:
        cluster.sql("CREATE DATABASE tpch")
        env = dict(os.environ, CARGO_TARGET_DIR=str(toolchain.TARGET / "host"), RUST_BACKTRACE="0")
        command = ["cargo", "run", "--release", "-q", "-p", "tviews_tpch", "--", what, "--dsn", cluster.dsn("tpch"), *arguments]
        sys.exit(subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL).returncode)


if __name__ == "__main__":
    main()
