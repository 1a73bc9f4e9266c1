"""A backend that gets no more memory: every statement ends with ERROR 53200 or succeeds, and the session goes on.

Invariant tested: with the address space of the backend limited at some point, from no room at all to enough for all, no process ends by a signal, what
the statement has not done is undone, and the TVIEWs are exact. The limit is that of the operating system (RLIMIT_AS), as with vm.overcommit_memory = 2.
Called by `make check`; alone: PG_CONFIG=… regress/t/out_of_memory.py
"""

import resource
import subprocess
import time

from cluster import Cluster, Report

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE TABLE customer (id int PRIMARY KEY, region int NOT NULL, name text NOT NULL);
CREATE TABLE sale (id int PRIMARY KEY, customer int NOT NULL, amount int NOT NULL, note text);
CREATE INDEX ON sale (customer);
INSERT INTO customer SELECT i, i % 20, 'customer ' || i FROM generate_series(1, 500) i;
INSERT INTO sale SELECT i, 1 + i % 500, i % 97, 'note ' || i FROM generate_series(1, 5000) i;
CREATE TVIEW totals AS SELECT c.region, count(*) AS n, sum(s.amount) AS amount, max(s.note) AS last FROM sale s JOIN customer c ON c.id = s.customer GROUP BY c.region;
CREATE TVIEW documents AS SELECT s.id, jsonb_build_object('amount', s.amount, 'note', s.note, 'name', c.name) AS data FROM sale s LEFT JOIN customer c ON c.id = s.customer;
CREATE TVIEW lines AS SELECT c.name, s.note FROM sale s JOIN customer c ON c.id = s.customer;
CREATE TVIEW large AS SELECT c.id, t.n FROM customer c JOIN (SELECT customer, count(*) AS n FROM sale GROUP BY customer HAVING sum(amount) > 400) t ON t.customer = c.id;
CREATE TVIEW ranks AS SELECT id, region, rank() OVER (PARTITION BY region ORDER BY name) AS r FROM customer;
"""

TVIEWS = ["totals", "documents", "lines", "large", "ranks"]

STATEMENTS = {
    "thousands of rows change": "UPDATE sale SET amount = amount + 1, note = note || '.'",
    "one row that is joined to others": "UPDATE customer SET name = name || '.', region = region + 1 WHERE id = 3",
    "rows are read back": "BEGIN; DELETE FROM sale WHERE id % 3 = 0; SELECT count(*) FROM documents; SAVEPOINT s; DELETE FROM customer WHERE id < 50; SELECT count(*) FROM totals; ROLLBACK",
    "a TVIEW is made": "BEGIN; CREATE TVIEW made AS SELECT customer, count(DISTINCT note) AS n, avg(amount) AS a FROM sale GROUP BY customer; UPDATE sale SET amount = 0 WHERE id < 100; ROLLBACK",
    "a TVIEW is computed again": "SELECT tviews.rebuild('documents')",
}

STEPS = [0, 64, 256, 600, 1000, 1300, 1700, 2200, 3000, 6000, 14000]  # kB


# Setting the time zone for a flush: the server's check says that the value is wrong when there is no memory to read the zone.
ALLOWED = {"53200", "25P02", "22023"}


class Session:
    """psql with a backend whose limit can be set."""

    def __init__(self, cluster):
        self.process = subprocess.Popen(cluster.psql("-A", "-t", "-v", "VERBOSITY=sqlstate", "-v", "ON_ERROR_STOP=0"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, env=cluster.env)
        self.user = cluster.as_server()
        self.backend = int(self.run("SELECT pg_backend_pid()").split()[-1])

    def run(self, sql):
        """What psql prints for some statements; raises when the session has ended."""
        self.process.stdin.write(f"{sql};\n\\echo done\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line.strip() == "done":
                return "\n".join(lines)
            lines.append(line.strip())
        raise RuntimeError("the session has ended: " + " ".join(lines))

    def size(self):
        with open(f"/proc/{self.backend}/statm") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()

    def limit(self, room=None):
        """Bytes of address space that the backend may still take; None for no limit."""
        soft = "unlimited" if room is None else self.size() + room
        # as the server's user: another one may not, not even root in a container
        subprocess.run(["prlimit", f"--pid={self.backend}", f"--as={soft}:unlimited"], check=True, cwd="/", **self.user)


def starved(cluster, sql, room, warm):
    """The SQLSTATEs of the errors that a session gives which has this much room."""
    session = Session(cluster)
    if warm:
        session.run("BEGIN; UPDATE sale SET amount = amount + 1 WHERE id < 10; UPDATE customer SET name = name || '!' WHERE id = 7; SELECT count(*) FROM large; ROLLBACK")
    session.limit(room)
    printed = session.run(sql)
    session.limit()
    session.run("ROLLBACK")
    states = {line.split()[-1] for line in printed.splitlines() if line.startswith(("ERROR:", "FATAL:"))}
    if session.run("SELECT 'alive', pg_backend_pid()") != f"alive|{session.backend}":
        raise RuntimeError("another session answers")
    session.process.stdin.close()
    session.process.wait()
    return states


def main():
    report = Report()
    with Cluster() as cluster:
        cluster.sql(SCHEMA)
        failed = 0
        for name, sql in STATEMENTS.items():
            for warm in (True, False):
                seen, trouble = set(), []
                for room in STEPS:
                    try:
                        states = starved(cluster, sql, room * 1024, warm)
                    except (RuntimeError, BrokenPipeError) as error:
                        # The server ends a session that has no memory to begin a sub-transaction (xact.c, BeginInternalSubTransaction).
                        if "FATAL:  53200" in str(error):
                            seen.add("FATAL")
                        else:
                            trouble.append(f"{room} kB: {error}")
                            time.sleep(2)
                        continue
                    seen |= states
                    failed += bool(states)
                    if not states <= ALLOWED:
                        trouble.append(f"{room} kB: {states}")
                    if wrong := [t for t in TVIEWS if cluster.difference(t)]:
                        trouble.append(f"{room} kB: {wrong} are wrong")
                report.ok(not trouble, f"{name}, {'an old' if warm else 'a new'} session: {' '.join(sorted(seen)) or 'no error'}", "\n".join(trouble))
        report.ok(failed >= 20, "memory was short often enough", failed)
        log = cluster.log.read_text(errors="replace")
        report.ok("signal" not in log and "PANIC" not in log, "no process ended by a signal", cluster.log_tail(40))
    report.done()


if __name__ == "__main__":
    main()
