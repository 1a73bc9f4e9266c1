"""A throw-away PostgreSQL cluster with pg_tviews preloaded.

Invariant: the server never runs as root (root hands it to `postgres` or `nobody`), listens on a socket in its own temporary directory
only, and nothing of it is left after `with Cluster() as c`.
Used by the scripts next to it, tools/check.py, tools/docs_test.py and demo/run.py. The server is the one of $PG_CONFIG.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / "target/cache"
MEMORY = Path("/dev/shm")

SETTINGS = {
    "listen_addresses": "",
    "shared_preload_libraries": "pg_tviews",
    "fsync": "off",
    "full_page_writes": "off",
    "max_prepared_transactions": "20",
    "max_wal_senders": "8",
    "wal_level": "logical",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %q%d ",
    "log_autovacuum_min_duration": "-1",
}


def clean_environment():
    """The caller's environment without libpq's variables; backtraces would end up in error details."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PG") and name != "RUST_BACKTRACE"}
    env.update(LC_ALL="C", LANG="C", PGUSER="postgres", PGDATABASE="postgres")
    return env


def memory_to_spare():
    """Whether a cluster fits into memory: WAL, and gigabytes more than tests have data. Programs may be copied there, too."""
    try:
        files, info = os.statvfs(MEMORY), Path("/proc/meminfo").read_text()
        free = int(info.partition("MemAvailable:")[2].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        return False
    return not files.f_flag & os.ST_NOEXEC and min(files.f_bavail * files.f_frsize, free) > 6 << 30


class SqlError(Exception):
    pass


class Cluster:
    def __init__(self, pg_config=None, template=None, ram=False, initdb=(), **settings):
        """`template`: a directory made by `save`, to start from instead of initdb. `ram`: in memory, where there is enough: tests that
        create and drop thousands of tables are bound by the file system. `initdb`: more options for it. `settings`: server settings."""
        self.pg_config = Path(pg_config or os.environ.get("PG_CONFIG") or sys.exit("PG_CONFIG is not set: run me through `make check`"))
        self.settings = {**SETTINGS, **settings}
        self.initdb = initdb
        self.owner = self._server_user()
        self.directory = self._temporary_directory([MEMORY] if ram and memory_to_spare() else [])
        self.bindir = self._reachable_bindir()
        self.env = dict(clean_environment(), PGHOST=str(self.directory), PGPORT="5432")
        self.data = self.directory / "data"
        self.template = template
        self.server = None
        self.log = self.directory / "server.log"

    # Who runs the server, and where.

    def _server_user(self):
        if os.geteuid() != 0:
            return None
        for name in ("postgres", "nobody"):
            try:
                return pwd.getpwnam(name)
            except KeyError:
                continue
        sys.exit("servers do not run as root, and there is neither a user postgres nor nobody")

    def as_server(self):
        if self.owner is None:
            return {}
        return {"user": self.owner.pw_uid, "group": self.owner.pw_gid, "extra_groups": []}

    def _can(self, test, path):
        return subprocess.run(["test", test, str(path)], cwd="/", **self.as_server()).returncode == 0

    def _temporary_directory(self, preferred):
        # a socket's path must stay below 108 bytes
        for parent in (*map(str, preferred), tempfile.gettempdir(), "/tmp", "/var/tmp"):
            if len(parent) < 60 and self._can("-x", parent) and os.access(parent, os.W_OK):
                made = Path(tempfile.mkdtemp(prefix="tviews-", dir=parent))
                if self.owner:
                    os.chown(made, self.owner.pw_uid, self.owner.pw_gid)
                return made
        return sys.exit("found no temporary directory that the server may use")

    def _reachable_bindir(self):
        """The server's programs; a copy of them when the checkout is in a directory that the server's user may not enter."""
        bindir = Path(subprocess.check_output([self.pg_config, "--bindir"], text=True).strip())
        if self._can("-x", bindir / "postgres"):
            return bindir
        if not bindir.is_relative_to(CACHE):
            sys.exit(f"user {self.owner.pw_name} cannot run {bindir}/postgres")
        inside = bindir.relative_to(CACHE)
        shutil.copytree(CACHE / inside.parts[0], self.directory / inside.parts[0], symlinks=True)
        return self.directory / inside

    # Life of the server.

    def __enter__(self):
        try:
            self.create()
            self.start()
        except BaseException:
            self.discard()
            raise
        return self

    def __exit__(self, *_):
        self.discard()

    def discard(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def tool(self, name, *arguments):
        """Runs a program of the server as the user that owns the cluster."""
        command = [str(self.bindir / name), *map(str, arguments)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=self.env, cwd=self.directory, **self.as_server())
        if done.returncode:
            raise RuntimeError(f"{name} failed:\n{done.stdout}\n{self.log_tail()}")
        return done.stdout

    def create(self):
        if self.template:
            shutil.copytree(self.template, self.data)
            self._give(self.data)
        else:
            self.tool("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions", *self.initdb)
        lines = [f"{name} = '{value}'" for name, value in self.settings.items()]
        lines.append(f"unix_socket_directories = '{self.directory}'")
        with open(self.data / "postgresql.auto.conf", "w") as conf:
            conf.write("\n".join(lines) + "\n")

    def _give(self, directory):
        directory.chmod(0o700)
        if self.owner:
            for path in [directory, *directory.rglob("*")]:
                os.chown(path, self.owner.pw_uid, self.owner.pw_gid)

    def save(self, directory):
        """Copies the data of the stopped cluster, to be somebody's `template`."""
        shutil.copytree(self.data, f"{directory}.partial", dirs_exist_ok=True)
        Path(f"{directory}.partial").rename(directory)

    def command(self):
        return [self.bindir / "postgres", "-D", self.data]

    def start(self, seconds=120):
        """Starts the server as our own child, so that we can reap it after `crash`, and waits until it takes connections."""
        with open(self.log, "ab") as log:
            self.server = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                           env=self.env, cwd=self.directory, start_new_session=True, **self.as_server())
        deadline = time.time() + seconds
        while not self._ready():
            if self.server.poll() is not None or time.time() > deadline:
                raise RuntimeError(f"the server does not start:\n{self.log_tail()}")
            time.sleep(0.02)

    def _ready(self):
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
            return int(lines[0]) == self.server.pid and lines[7].strip() == "ready"
        except (OSError, IndexError, ValueError):
            return False

    def stop(self, mode=signal.SIGINT, seconds=60):
        """Stops the server: SIGINT is `fast`, SIGQUIT `immediate`."""
        if self.server is None:
            return
        self.server.send_signal(mode)
        try:
            self.server.wait(seconds)
        except subprocess.TimeoutExpired:
            self.crash()
        self.server = None

    def restart(self):
        self.stop()
        self.start()

    def crash(self):
        """kill -9 of the postmaster and of all its processes at once, as a power failure would."""
        self.server.send_signal(signal.SIGSTOP)  # no new children while we look
        family = children(self.server.pid)
        self.server.kill()
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.server.wait()
        while any(map(alive, family)):
            time.sleep(0.02)
        self.server = None

    def log_tail(self, lines=25):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    # Talking to it.

    def dsn(self, database="postgres"):
        return f"host={self.directory} port=5432 user=postgres dbname={database}"

    def psql(self, *arguments, database="postgres"):
        """Arguments of psql for subprocess, as the caller's own user."""
        return [str(self.bindir / "psql"), "-X", "-q", "-d", database, "-v", "ON_ERROR_STOP=1", *arguments]

    def sql(self, text, database="postgres"):
        """Runs a script and returns its output, unaligned; raises SqlError."""
        done = subprocess.run(self.psql("-A", "-t", "-f", "-", database=database), input=text, capture_output=True, text=True, env=self.env)
        if done.returncode:
            raise SqlError(done.stderr.strip())
        return done.stdout.strip()

    def difference(self, tview, database="postgres"):
        """Rows by which a TVIEW and its defining query differ, counted with duplicates; text, because json has no equality."""
        query = self.sql(f"SELECT pg_get_viewdef('{tview}'::regclass)", database).rstrip(";")
        stored, wanted = f"SELECT t::text FROM {tview} t", f"SELECT q::text FROM ({query}) q"
        return int(self.sql(f"SELECT (SELECT count(*) FROM ({stored} EXCEPT ALL {wanted}) x) + (SELECT count(*) FROM ({wanted} EXCEPT ALL {stored}) x)", database))


def children(parent):
    """Living child processes. Once the parent is dead they belong to init and are not found any more."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(entry.parent.name))
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Report:
    """Prints one `ok - name` or `not ok - name` line per test; `done()` ends the script."""

    def __init__(self):
        self.failed = 0

    def ok(self, passed, name, detail=""):
        print(f"{'ok' if passed else 'not ok'} - {name}", flush=True)
        if not passed:
            self.failed += 1
            for line in str(detail).splitlines():
                print(f"#   {line}", flush=True)
        return passed

    def attempt(self, name, action):
        """Passes when the action returns anything true and raises nothing."""
        try:
            result = action()
            return self.ok(result, name, f"returned {result!r}")
        except (SqlError, RuntimeError, subprocess.SubprocessError) as error:
            return self.ok(False, name, error)

    def done(self):
        sys.exit(1 if self.failed else 0)
