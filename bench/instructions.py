"""What maintaining a view adds to a single-row write, in instructions: `instructions.py [PG] [WRITE …]`.

A backend that runs alone (`postgres --single`) under Valgrind's callgrind, so that a figure is the same each time, whatever else the machine is doing: what
`make bench` cannot give on a busy machine. Instructions of the server and of what it calls, not of the kernel; neither waits nor misses of caches are in it.
Invariant: pages are in memory before counting begins, and each variant starts from a copy of the same data. Called by hand; needs Debian's package valgrind.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pgbench  # first: finds the others
import build
import scenario
import valgrind
from cluster import Cluster

WARM, COUNTED = 60, 200
ROW = "(($1 % 40) * 7919)"  # few enough rows to have been seen before counting begins
WRITES = {
    "post: update the title": f"UPDATE posts SET title = 'title ' || $1 WHERE id = 1 + {ROW} % 100000",
    "user: rename (10 posts)": f"UPDATE users SET name = 'user ' || $1 || 'x' WHERE id = 1 + {ROW} % 10000",
    "post: insert": f"INSERT INTO posts (user_id, title, content) VALUES (1 + {ROW} % 10000, 'a new title', repeat('words of a post ', 12))",
    "order: change the amount": f"UPDATE orders SET amount = amount + 0.01 WHERE id = 1 + {ROW} % 100000",
    "order: insert": f"INSERT INTO orders (customer, region, amount) VALUES (1 + {ROW} % 1000, ($1 * 31) % 100, 12.34)",
    "order: delete": "DELETE FROM orders WHERE id = 5000 + $1",
    "customer: move (100 orders)": f"UPDATE customers SET country = (country + 1) % 50 WHERE id = 1 + {ROW} % 1000 AND $1 > 0",
}
MARK = "SELECT pg_backend_pid()"  # where counting begins and ends: callgrind writes its counts, and starts anew


def instructions(cluster, data, variant, write):
    """Instructions of one transaction."""
    copy, out = data.with_name("counted"), data.with_name("callgrind")
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run(["cp", "-a", data, copy], check=True)
    calls = [f"EXECUTE w({number})" for number in range(1, WARM + COUNTED)]
    script = "\n".join([f"PREPARE w(int) AS {WRITES[write]}", *calls[:WARM - 1], MARK, *calls[WARM - 1:], MARK, ""])
    server = [str(cluster.bindir / "postgres"), "--single", "-D", str(copy), variant]
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--dump-before=pg_backend_pid", *server]
    done = subprocess.run(command, input=script, capture_output=True, text=True, cwd=data.parent, env=cluster.env, **cluster.as_server())
    if done.returncode or "ERROR" in done.stdout + done.stderr:
        sys.exit(f"error: {write}, {variant}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    counts = re.findall(r"^(?:summary|totals): (\d+)", Path(f"{out}.2").read_text(errors="replace"), re.M)
    for part in data.parent.glob("callgrind*"):
        part.unlink()
    return int(counts[-1]) / COUNTED


def main():
    pg, *chosen = sys.argv[1:] or ["18"]
    config = build.install(pg, "release")
    print(f"{build.version()}, {valgrind.version()}")
    with Cluster(config, **scenario.SETTINGS) as cluster:
        scenario.setup(cluster, scenario.VARIANTS)
        cluster.stop()
        print("| write | no view | + triggers by hand | + TVIEW | TVIEW : hand |\n|---|--:|--:|--:|--:|")
        for write in chosen or WRITES:
            none, hand, tview = (instructions(cluster, cluster.data, variant, write) for variant in scenario.VARIANTS)
            print(f"| {write} | {none:,.0f} | +{hand - none:,.0f} | +{tview - none:,.0f} | {(tview - none) / (hand - none):.2f} |", flush=True)


if __name__ == "__main__":
    main()
