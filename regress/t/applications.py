"""examples/django, sqlalchemy, tokio_postgres and node, for real: installed as their pages say, run against a server, and what they print.

Arguments: a directory that keeps what was installed between runs. Not part of `make check`: it installs packages of pip, npm and cargo. Called by
`make clients`; which parts: CLIENTS="django node".
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

from cluster import Cluster, Report

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
INSTALLED = Path(sys.argv[1])

SQLALCHEMY = """\
in the transaction: Ada 2 20.00
after more writes: Ada Lovelace 1 7.50
not committed: 1007.50
rolled back: 7.50
verified: True
"""
RUST = """\
before: {"amount":1,"customer":"Grace"}
in the transaction: {"amount":1,"customer":"Grace Hopper"}
for others: {"amount":1,"customer":"Grace"}
for others, committed: {"amount":1,"customer":"Grace Hopper"}
heard: "update" of 5 rows of "public.order_page"
"""
NODE = """\
first: {"amount":1,"customer":"Grace"} after 1 reads
again: {"amount":1,"customer":"Grace"} after 1 reads
another: {"amount":2,"customer":"Ada"} after 2 reads
renamed: {"amount":1,"customer":"Grace Hopper"} after 3 reads
not concerned: {"amount":2,"customer":"Ada"} after 3 reads
in the transaction: {"amount":1000,"customer":"Ada"}
rolled back: {"amount":2,"customer":"Ada"} after 3 reads
deleted while nobody listened: undefined after 4 reads
"""


def run(*command, **options):
    """What a command prints; raises when it fails, with what it said."""
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}:\n{done.stdout[-4000:]}")
    return done.stdout


class Examples:
    def __init__(self, cluster, report):
        self.cluster, self.report = cluster, report

    def database(self, name):
        """An empty one, and the environment in which clients find it."""
        self.cluster.sql(f"CREATE DATABASE {name}")
        return {**os.environ, **self.cluster.env, "PGDATABASE": name, "DATABASE_URL": self.cluster.dsn(name), "PYTHONDONTWRITEBYTECODE": "1"}

    def python(self, example):
        """The Python of a virtual environment with what the example requires."""
        home = INSTALLED / example
        requirements = EXAMPLES / example / "requirements.txt"
        installed = home / "requirements.txt"
        if not installed.exists() or installed.read_text() != requirements.read_text():
            venv.create(home, clear=True, with_pip=True)
            run(home / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "-r", requirements)
            run(home / "bin/python", "-m", "pip", "check", "--disable-pip-version-check")
            installed.write_text(requirements.read_text())
        return home / "bin/python"

    def verified(self, name):
        return self.cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()", name) == "t"

    def django(self):
        python, env, where = self.python("django"), self.database("django"), EXAMPLES / "django"

        def manage(*words):
            return run(python, "manage.py", *words, env=env, cwd=where)

        def state():
            return self.cluster.sql("SELECT pg_get_viewdef('customer_total'::regclass), (SELECT numeric_precision FROM information_schema.columns "
                                    "WHERE table_name = 'shop_line' AND column_name = 'price')", "django")

        self.report.attempt("django: migrations", lambda: "OK" in manage("migrate", "-v", "1"))
        latest = state()
        self.report.attempt("django: models and migrations agree", lambda: "No changes" in manage("makemigrations", "--check", "--dry-run"))
        self.report.attempt("django: its tests", lambda: "\nOK" in manage("test", "--noinput"))
        self.report.attempt("django: back to before the TVIEW", lambda: "OK" in manage("migrate", "shop", "0001"))
        gone = self.cluster.sql("SELECT to_regclass('customer_total') IS NULL", "django")
        self.report.ok(gone == "t", "django: the TVIEW is gone")
        self.report.attempt("django: and forward again", lambda: "OK" in manage("migrate") and state() == latest)

    def sqlalchemy(self):
        python, env, where = self.python("sqlalchemy"), self.database("sqlalchemy"), EXAMPLES / "sqlalchemy"
        env["DATABASE_URL"] = f"postgresql+psycopg://postgres@/sqlalchemy?host={self.cluster.directory}&port=5432"

        def alembic(*words):
            return run(python, "-m", "alembic", *words, env=env, cwd=where)

        self.report.attempt("sqlalchemy: revisions", lambda: alembic("upgrade", "head") is not None)
        self.report.attempt("sqlalchemy: alembic finds no difference", lambda: "No new upgrade operations" in alembic("check"))
        self.same("sqlalchemy: what the program sees", run(python, "use.py", env=env, cwd=where), SQLALCHEMY)
        self.report.attempt("sqlalchemy: a revision back and forward", lambda: alembic("downgrade", "-1") + alembic("upgrade", "head") is not None)
        self.report.ok(self.verified("sqlalchemy"), "sqlalchemy: the TVIEW equals its query")
        self.report.attempt("sqlalchemy: back to nothing", lambda: alembic("downgrade", "base") is not None)

    def tokio_postgres(self):
        env = {**self.database("tokio_postgres"), "CARGO_TARGET_DIR": str(INSTALLED / "tokio_postgres")}
        printed = run("cargo", "run", "-q", "--locked", cwd=EXAMPLES / "tokio_postgres", env=env)
        self.same("tokio_postgres: what the program sees", printed, RUST)
        self.report.ok(self.verified("tokio_postgres"), "tokio_postgres: the TVIEW equals its query")

    def node(self):
        where, env = INSTALLED / "node", self.database("node")
        where.mkdir(parents=True, exist_ok=True)
        for path in (EXAMPLES / "node").iterdir():
            if path.is_file():
                (where / path.name).write_bytes(path.read_bytes())
        run("npm", "ci", "--no-audit", "--no-fund", cwd=where, env=os.environ)
        self.cluster.sql((where / "schema.sql").read_text(), "node")
        self.same("node: what the program sees", run("node", "use.mjs", cwd=where, env=env), NODE)
        self.report.ok(self.verified("node"), "node: the TVIEW equals its query")

    def same(self, name, found, wanted):
        self.report.ok(found == wanted, name, found)


def main():
    report = Report()
    with Cluster() as cluster:
        examples = Examples(cluster, report)
        for name in os.environ.get("CLIENTS", "django sqlalchemy tokio_postgres node").split():
            try:
                getattr(examples, name)()
            except (RuntimeError, OSError) as error:
                report.ok(False, f"{name} runs", error)
    report.done()


if __name__ == "__main__":
    main()
