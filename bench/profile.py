"""Where the time of a write goes: `profile.py WRITE [DIRECTORY] [SETTING=VALUE …]`, WRITE being the end of the name of one of scenario.WRITES.

A text flame graph of the backend that pgbench keeps busy: each line a function, its share of all samples, callers above. Frames by which pgrx and
Rust guard calls are left out. Needs `perf` and the right to use it. With a directory, a file is written; settings are those of the session.
Called by hand; the graphs in bench/profiles are made by it.
"""

import datetime
import re
import subprocess
import sys
import time
from pathlib import Path

import pgbench  # first: finds the others
import build
import page
import scenario
from cluster import Cluster

SECONDS, LEAST = 3, 1.0
GUARDS = re.compile(r"closure|catch_unwind|call_once|cee_scape|run_guarded|do_call|__rust_try|LocalKey|pg_guard|shield|_inner$|\[unknown\]|^0x")


def busy(cluster, script, settings):
    """pgbench over the script, and the process of its backend."""
    env = dict(cluster.env, PGOPTIONS=" ".join(f"-c {s}" for s in settings), PGAPPNAME="profiled")
    command = [cluster.bindir / "pgbench", "-n", "-M", "prepared", "-c", "1", "-T", str(SECONDS + 4), "-f", script, "tviews"]
    client = subprocess.Popen(list(map(str, command)), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(2)
    return client, cluster.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'profiled'").strip()


def samples(pid, data):
    """Stacks, outermost function first."""
    record = ["perf", "record", "-q", "-F", "1997", "--call-graph", "dwarf,16384", "-o", str(data), "-p", pid, "--", "sleep", str(SECONDS)]
    subprocess.run(record, check=True, stderr=subprocess.DEVNULL)
    script = subprocess.run(["perf", "script", "--no-inline", "-F", "ip,sym", "-i", str(data)], capture_output=True, text=True, check=True).stdout
    for block in script.split("\n\n"):
        names = [line.split(maxsplit=1)[1] for line in block.splitlines() if len(line.split(maxsplit=1)) == 2]
        stack = [re.sub(r"<impl .*?>::|::h[0-9a-f]{16}$", "", name) for name in reversed(names) if not GUARDS.search(name)]
        if "PostgresMain" in stack:
            yield stack[stack.index("PostgresMain"):]


def tree(stacks):
    """[samples, callees by name]"""
    root = [0, {}]
    for stack in stacks:
        node = root
        node[0] += 1
        for name in stack:
            node = node[1].setdefault(name, [0, {}])
            node[0] += 1
    return root


def lines(node, total, depth=0):
    for name, below in sorted(node[1].items(), key=lambda item: -item[1][0]):
        share = 100 * below[0] / total
        if share >= LEAST:
            yield f"{share:5.1f} {'  ' * depth}{name[:110]}"
            yield from lines(below, total, depth + 1)


def main():
    wanted, *rest = sys.argv[1:]
    settings = [word for word in rest if "=" in word]
    [(write, text)] = [(name, text) for name, text in scenario.WRITES.items() if name.endswith(wanted)]
    config = build.install("18", "release")
    pgbench.use_one_core()
    with Cluster(config, **scenario.SETTINGS) as cluster:
        scenario.setup(cluster, ["tviews"])
        client, pid = busy(cluster, pgbench.script_file(cluster, "profiled", text), settings)
        root = tree(samples(pid, Path(cluster.directory) / "perf.data"))
        client.wait()
    head = f"# {write}: {root[0]} samples of {SECONDS} s{''.join(f', {s}' for s in settings)}; {page.measured(config)}, {page.processor()}"
    graph = "\n".join([head, *lines(root, root[0])]) + "\n"
    print(graph)
    for directory in [word for word in rest if "=" not in word]:
        name = "-".join(re.findall(r"\w+", " ".join([write, *settings])))
        (Path(directory) / f"{name}-{datetime.date.today().isoformat()}.txt").write_text(graph)


if __name__ == "__main__":
    sys.exit(main() if len(sys.argv) > 1 else __doc__)
