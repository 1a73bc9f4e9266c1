"""`tviews graph` and `tviews top`, the program being given as argument: what they show is what the server says, live and for one interval."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from xml.etree import ElementTree

from cluster import Cluster, Report

COMMAND = sys.argv[1]

SETUP = """
CREATE EXTENSION pg_tviews;
CREATE SCHEMA "a<b>";
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL, amount numeric NOT NULL);
CREATE TABLE "a<b>".customer (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO orders SELECT n, 1 + n % 10, n FROM generate_series(1, 1000) n;
CREATE TVIEW by_customer AS SELECT customer, count(*) AS n, sum(amount) AS amount FROM orders GROUP BY customer;
CREATE TVIEW page AS SELECT c.id, c.name, b.amount FROM "a<b>".customer c JOIN by_customer b ON b.customer = c.id;
CREATE TVIEW late WITH (refresh = manual) AS SELECT max(amount) AS most FROM orders;
REFRESH TVIEW late;
"""


class Load:
    """A session that writes until the end."""

    def __init__(self, cluster):
        self.writes, self.ended, self.cluster = 0, False, cluster
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.session = subprocess.Popen(self.cluster.psql(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=self.cluster.env)
        self.thread.start()
        return self

    def run(self):
        while not self.ended:
            self.session.stdin.write("UPDATE orders SET amount = amount + 1 WHERE id = 7;\n")
            self.session.stdin.flush()
            self.writes += 1
            time.sleep(0.01)

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()
        self.session.stdin.close()
        self.session.wait()


class Screen:
    """What a terminal shows: letters at their places; colours are left out."""

    SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b[()=>78].?|([^\x1b])")

    def __init__(self):
        self.cells, self.row, self.column, self.all = {}, 1, 1, ""

    def take(self, text):
        self.all += text
        for numbers, letter, plain in self.SEQUENCE.findall(text):
            if letter == "H":
                row, _, column = numbers.partition(";")
                self.row, self.column = int(row or 1), int(column or 1)
            elif letter == "J":
                self.cells.clear()
            elif plain and plain not in "\r\n":
                self.cells[self.row, self.column] = plain
                self.column += 1

    def text(self):
        return "\n".join("".join(self.cells.get((row, column), " ") for column in range(1, 121)).rstrip() for row in range(1, 25))


def screen(arguments, keys, seconds=20):
    """Runs the command in a terminal, types each key when its text is shown, and returns the exit status, the last screen and all that was sent."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    program = subprocess.Popen([COMMAND, *arguments], stdin=slave, stdout=slave, stderr=slave, env=dict(os.environ, TERM="xterm"))
    os.close(slave)
    shown, kept, deadline = Screen(), "", time.time() + seconds
    while time.time() < deadline:
        if select.select([master], [], [], 0.1)[0]:
            try:
                shown.take(os.read(master, 65536).decode(errors="replace"))
            except OSError:
                break
            kept = shown.text() if shown.cells else kept
        if keys and re.search(keys[0][0], kept):
            os.write(master, keys.pop(0)[1].encode())
    else:
        program.kill()
    status = program.wait()
    os.close(master)
    return status, kept, shown.all


def main():
    report = Report()
    with Cluster() as cluster:
        cluster.sql(SETUP)
        dsn = cluster.dsn()

        def graph(*options):
            return subprocess.run([COMMAND, "graph", "--dsn", dsn, *options], capture_output=True, text=True, check=True).stdout

        text = graph()
        report.ok(text.splitlines()[:2] == ["public.by_customer", "└─ public.orders  fold"] and '├─ "a<b>".customer   ' in text, "the graph as text", text)
        report.ok(text.index("public.by_customer\n") < text.index("public.page\n"), "a TVIEW comes behind those that it reads", text)
        for option, word in [("--mermaid", "mermaid"), ("--dot", "dot"), ("--json", "json")]:
            report.ok(graph(option).strip() == cluster.sql(f"SELECT tviews.graph('{word}')"), f"graph {option} is the server's", graph(option))
        tree = ElementTree.fromstring(graph("--svg"))
        labels = [node.text for node in tree.iter("{http://www.w3.org/2000/svg}text")]
        edges = [node for node in tree.iter("{http://www.w3.org/2000/svg}path") if node.get("fill") == "none"]
        known = json.loads(graph("--json"))
        report.ok(all(node["name"] in labels for node in known["nodes"]) and len(edges) == len(known["edges"]) == 4, "the picture has every node and edge", labels)
        both = subprocess.run([COMMAND, "graph", "--dsn", dsn, "--svg", "--dot"], capture_output=True, text=True)
        report.ok(both.returncode == 2 and "cannot be used with" in both.stderr, "one form at a time", both.stderr)

        with Load(cluster) as load:
            time.sleep(0.5)
            before, started = load.writes, time.time()
            done = subprocess.run([COMMAND, "top", "--dsn", dsn, "--once", "--interval", "2"], capture_output=True, text=True)
            written = (load.writes - before) / (time.time() - started)
            rows = {line.split()[0]: line.split() for line in done.stdout.splitlines()}
            rate = float(rows["by_customer"][1])
            report.ok(done.returncode == 0 and written / 2 < rate < written * 2, "flushes a second are what was written", f"{written}\n{done.stdout}{done.stderr}")
            report.ok(0 < float(rows["by_customer"][2]) < 1000 and float(rows["page"][3]) == 0, "with the time of one, and the rows that it wrote", done.stdout)
            report.ok(re.search(r"late .* \d+ rows, \d+ s", done.stdout), "and what a deferred TVIEW has not followed", done.stdout)

            status, shown, sent = screen(["top", "--dsn", dsn, "--interval", "0.5"],
                                         [(r"by_customer +[1-9]", "s"), (r"orders by name", "s"), (r"orders by time", "p"), (", paused", "q")])
            report.ok(status == 0 and re.search(r"^postgres  3 TVIEWs, \d+\.\d flushes/s, paused$", shown, re.M), "the live view shows them, and keys are heard", shown)
            report.ok([line.split()[0] for line in shown.splitlines()[2:5]] == ["by_customer", "late", "page"], "in the order that was chosen", shown)
            report.ok("\x1b[?1049h" in sent and sent.rindex("\x1b[?1049l") > sent.rindex("\x1b[?1049h"), "the terminal is given back", sent[-200:])

            session = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tviews'"
            threading.Timer(2, lambda: cluster.sql(session)).start()
            status, shown, _ = screen(["top", "--dsn", dsn, "--interval", "0.5"], [(r"flushes/s, \w+", " "), (r"flushes/s\n", "q")])
            report.ok(status == 0, "a connection that ends is told, and taken up again", shown)
        nonsense = subprocess.run([COMMAND, "top", "--dsn", dsn, "--interval", "0"], capture_output=True, text=True)
        report.ok(nonsense.returncode == 2 and "number of seconds from 0.1" in nonsense.stderr, "an interval that is none", nonsense.stderr)
    report.done()


main()
