"""Debian's package of the extension: installed, used, upgraded, and removed, by dpkg in a root directory of its own; and what the Dockerfile starts.

Arguments: the packages (.deb) as tools/deb.py makes them. The root has a copy of the server of $PG_CONFIG where Debian has it, and this machine's list of
installed packages, so that dependencies are looked at; nothing outside of it is written. The package that is upgraded is the same one with the
version and the scripts of the released version before it: there is no package of that one, nor can there be its library.
Invariant tested: what dpkg lists is what a server needs, a server that runs during the upgrade keeps its library, and nothing is left after removal.
Called by `make check` on 15; alone: PG_CONFIG=… regress/t/package.py FILE…
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cluster import Cluster, Report

ROOT = Path(__file__).resolve().parents[2]
OLD = "0.1.0"

SCHEMA = """
CREATE EXTENSION pg_tviews;
CREATE TABLE t (id int PRIMARY KEY, g int, a int);
INSERT INTO t SELECT i, i % 5, i FROM generate_series(1, 100) i;
CREATE TVIEW total AS SELECT g, count(*) AS n, sum(a) AS a FROM t GROUP BY g;
CREATE TVIEW copy AS SELECT id, a FROM t WHERE g > 1;
"""


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}:\n{done.stdout[-3000:]}")
    return done.stdout


class Root:
    """A directory with a server where Debian has it, and a dpkg of its own."""

    def __init__(self, directory, config):
        self.directory = directory
        self.major = re.search(r"\d+", run(config, "--version")).group()
        source = Path(run(config, "--bindir").strip()).parents[3]  # …/lib/postgresql/15/bin
        ours, parts = shutil.ignore_patterns("pg_tviews*"), [f"{kind}/postgresql/{self.major}" for kind in ("lib", "share")]
        if not all((source / part).is_dir() for part in parts):
            sys.exit(f"{config} is not of a server that is laid out as Debian's: take 15, 17-debian or 18-debian")
        if source.name == "usr":  # unpacked with the libraries that it needs
            shutil.copytree(source.parent, directory, symlinks=True, ignore=ours)
        else:
            for part in parts:
                shutil.copytree(source / part, directory / "usr" / part, symlinks=True, ignore=ours)
        admin = directory / "var/lib/dpkg"
        for name in ("info", "updates", "triggers"):
            (admin / name).mkdir(parents=True)
        (admin / "status").write_text(self.installed(run(config, "--version")))
        self.config = directory / f"usr/lib/postgresql/{self.major}/bin/pg_config"
        for path in [directory, *directory.rglob("*")]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))

    def installed(self, version):
        """What dpkg takes for installed: the packages of this machine, and the server that is here."""
        stanzas = Path("/var/lib/dpkg/status").read_text().split("\n\n")
        name, number = f"postgresql-{self.major}", re.search(r"\(Debian (\S+)\)", version)
        others = [stanza for stanza in stanzas if stanza.strip() and not stanza.startswith(f"Package: {name}\n")]
        here = f"Package: {name}\nStatus: install ok installed\nMaintainer: -\nArchitecture: {run('dpkg', '--print-architecture').strip()}\nVersion: {number[1]}\nDescription: -\n"
        return "\n\n".join([*others, here])

    def dpkg(self, *words):
        # without the list of files of each package of the machine, which is not here
        said = run("dpkg", "--force-not-root", "--force-bad-path", f"--root={self.directory}", "--log=/dev/null", *words, env={**os.environ, "LC_ALL": "C"})
        return "".join(line + "\n" for line in said.splitlines() if "files list file for package" not in line)

    def ours(self):
        """Files of the extension, below the root."""
        return sorted(str(p.relative_to(self.directory)) for p in (self.directory / "usr").rglob("*") if "tviews" in p.name and not p.is_dir())


def older(package, directory):
    """The package as one of OLD: its version, its control file, and no script that OLD did not have."""
    tree = directory / "older"
    run("dpkg-deb", "--raw-extract", package, tree)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", f"Version: {OLD}", control.read_text(), flags=re.M))
    extension = next(tree.glob("usr/share/postgresql/*/extension"))
    for script in extension.glob("pg_tviews--*.sql"):
        if script.name != f"pg_tviews--{OLD}.sql":
            script.unlink()
    described = extension / "pg_tviews.control"
    described.write_text(re.sub(r"default_version = '.*'", f"default_version = '{OLD}'", described.read_text()))
    (tree / "DEBIAN/md5sums").unlink()
    run("dpkg-deb", "--root-owner-group", "--build", "-Znone", tree, directory / "older.deb")
    return directory / "older.deb"


def field(package, name):
    return run("dpkg-deb", "--field", package, name).strip()


def looks_right(report, package, symbols):
    name = field(package, "Package")
    files = run("dpkg-deb", "--contents", package)
    report.ok(re.search(r"root/root .* \./usr/lib/postgresql/\d+/lib/pg_tviews\.so$", files, re.M), "the library is root's", files)
    report.ok("/share/doc/" in files and "pg_tviews.cdx.json" in files and "LICENSES" in files, "licences and bills of materials are in it", files)
    report.ok(f"postgresql-{re.search('[0-9]+', name).group()}" in field(package, "Depends") and "libc6" in field(package, "Depends"), "dependencies", field(package, "Depends"))
    with tempfile.TemporaryDirectory() as directory:
        run("dpkg-deb", "-x", package, directory)
        library = next(Path(directory).rglob("pg_tviews.so"))
        sections = run("readelf", "--sections", "--wide", library)
        report.ok(".debug_" not in sections and ".symtab" not in sections, "the library is stripped", sections)
        identity = re.search(r"Build ID: ([0-9a-f]+)", run("readelf", "--notes", library))
        link = f"/usr/lib/debug/.build-id/{identity[1][:2]}/{identity[1][2:]}.debug" if identity else "no build ID"
        report.ok(field(symbols, "Package") == f"{name}-dbgsym" and link in run("dpkg-deb", "--contents", symbols), "its symbols are in a package of their own", link)
        print(f"# {package.stat().st_size >> 10} kB, library {library.stat().st_size >> 10} kB; symbols {symbols.stat().st_size >> 10} kB", flush=True)


def life(report, root, package, directory):
    before = root.ours()
    report.ok(not before, "nothing of the extension is there", before)
    root.dpkg("--install", older(package, directory))
    name = field(package, "Package")
    report.ok(f"lib/postgresql/{root.major}/lib/pg_tviews.so" in root.dpkg("--listfiles", name), "it is installed")
    with Cluster(root.config) as cluster:
        cluster.sql(SCHEMA)
        version = "SELECT extversion FROM pg_extension WHERE extname = 'pg_tviews'"
        report.ok(cluster.sql(version) == OLD and cluster.difference("total") == 0, f"TVIEWs under {OLD}")
        root.dpkg("--install", package)
        cluster.sql("INSERT INTO t VALUES (1000, 1, 1); UPDATE t SET a = a + 1 WHERE id < 10")
        report.ok(cluster.difference("total") == 0 and cluster.difference("copy") == 0, "the running server goes on while the package is upgraded")
        cluster.restart()
        cluster.sql("DELETE FROM t WHERE id = 1000")
        report.ok(cluster.difference("total") == 0, "the new library works with the old schema")
        cluster.sql("ALTER EXTENSION pg_tviews UPDATE")
        cluster.sql("UPDATE t SET g = g + 1 WHERE id % 3 = 0")
        current = field(package, "Version")
        report.ok(cluster.sql(version) == current and cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()") == "t", f"TVIEWs under {current}")
    container(report, root, directory)
    root.dpkg("--remove", name)
    report.ok(not root.ours(), "after removal nothing of it is there", root.ours())


class Container:
    """What docker/entrypoint.sh starts, without a container: as the user of a server, on a free port of this machine."""

    def __init__(self, root, directory):
        self.cluster = Cluster(root.config)  # for its user and its directory: its own server is never started
        self.data, self.bindir = self.cluster.directory / "volume", self.cluster.bindir
        self.make(self.data)
        self.script = self.cluster.directory / "entrypoint.sh"
        shutil.copy(ROOT / "docker/entrypoint.sh", self.script)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = open(directory / "container.log", "w+")

    def make(self, directory):
        directory.mkdir(mode=0o700)
        if self.cluster.owner:
            os.chown(directory, self.cluster.owner.pw_uid, self.cluster.owner.pw_gid)

    def start(self, data=None, **env):
        """The process."""
        env = {**self.cluster.env, "PATH": f"{self.bindir}:{os.environ['PATH']}", "PGDATA": str(data or self.data), "SOCKETS": str(self.cluster.directory), **env}
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}", "-c", "fsync=off"]
        return subprocess.Popen([self.script, *options], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=env, cwd="/", **self.cluster.as_server())

    def sql(self, text, database="postgres", password="secret"):
        env = {**self.cluster.env, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGPASSWORD": password}
        return run(self.bindir / "psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-c", text, env=env).strip()

    def up(self, process, seconds=60):
        deadline = time.time() + seconds
        while process.poll() is None and time.time() < deadline:
            with contextlib.suppress(RuntimeError):
                return self.sql("SELECT 1") == "1"
            time.sleep(0.1)
        self.log.seek(0)
        raise RuntimeError(self.log.read()[-3000:])

    def stop(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        return process.wait(60)


def container(report, root, directory):
    here = Container(root, directory)
    try:
        report.ok(here.start().wait(60) == 1 and not any(here.data.iterdir()), "the entrypoint makes no cluster without a password")
        foreign = here.cluster.directory / "foreign"
        here.make(foreign)
        (foreign / "keep").write_text("somebody's")
        report.ok(here.start(foreign, POSTGRES_PASSWORD="secret").wait(60) == 1 and (foreign / "keep").exists(), "nor in a directory with other files, which stay")
        first = here.start(POSTGRES_PASSWORD="secret")
        report.attempt("with one, a server starts", lambda: here.up(first))
        here.sql("CREATE DATABASE shop")
        made = "CREATE TABLE t (id int PRIMARY KEY, a int); CREATE TVIEW v AS SELECT id, a FROM t; INSERT INTO t VALUES (1, 2)"
        report.attempt("a new database has the extension", lambda: here.sql(made, "shop") == "" and here.sql("SELECT a FROM v", "shop") == "2")
        wrong = subprocess.run([here.bindir / "psql", "-w", "-h", "127.0.0.1", "-p", str(here.port), "-U", "postgres", "-c", "SELECT 1"],
                               env={**here.cluster.env, "PGPASSWORD": "wrong"}, capture_output=True, text=True)
        report.ok("password authentication failed" in wrong.stderr, "nobody gets in with another password", wrong.stderr)
        report.ok(here.stop(first) == 0, "it stops")
        second = here.start()
        report.attempt("it starts again, with what was there", lambda: here.up(second) and here.sql("SELECT a FROM v", "shop") == "2")
        report.ok(here.stop(second) == 0, "and stops")
    finally:
        here.cluster.discard()


def main():
    report = Report()
    packages = {field(file, "Package").endswith("-dbgsym"): Path(file) for file in sys.argv[1:]}
    looks_right(report, packages[False], packages[True])
    with tempfile.TemporaryDirectory(prefix="tviews-root-") as directory:
        os.chmod(directory, 0o755)
        root = Root(Path(directory) / "root", os.environ["PG_CONFIG"])
        life(report, root, packages[False], Path(directory))
    report.done()


if __name__ == "__main__":
    main()
