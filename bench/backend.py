"""A session that stays, and what its backend takes: time of single statements, memory of its own.

Invariant: an error of a statement ends the run. Memory is what belongs to the backend alone (anonymous pages, as Linux counts them): no shared buffers, no
code. Called by many_tviews.py and sessions.py.
"""

import re
import subprocess
import sys
import threading
import time
from pathlib import Path


class Backend:
    def __init__(self, cluster, database):
        self.process = subprocess.Popen(cluster.psql("-A", "-t", "-v", "ON_ERROR_STOP=1", database=database), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, env=cluster.env)
        self.pid = int(self.run("SELECT pg_backend_pid()").split()[-1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def run(self, sql):
        """What psql prints for some statements."""
        self.process.stdin.write(f"{sql};\n\\echo =\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line == "=\n":
                return "\n".join(lines)
            lines.append(line.rstrip())
        return sys.exit("error: the session has ended: " + " ".join(lines))

    def timed(self, sql):
        """Milliseconds, the way to the server and back included."""
        before = time.perf_counter()
        self.run(sql)
        return (time.perf_counter() - before) * 1000

    def memory(self):
        """MB of the backend's own."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Anonymous:\s+(\d+) kB", text, re.M).group(1)) / 1024

    def peak(self, sql):
        """What memory grows by while statements run, looked at a hundred times a second, and what is left of it afterwards: MB."""
        before, seen, done = self.memory(), [], threading.Event()

        def watch():
            while not done.wait(0.01):
                seen.append(self.memory())

        watcher = threading.Thread(target=watch)
        watcher.start()
        self.run(sql)
        done.set()
        watcher.join()
        return max(seen, default=before) - before, self.memory() - before
