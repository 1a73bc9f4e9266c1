"""A cluster all processes of which run under Valgrind's memcheck.

Invariant: nothing that is found is lost: each process writes a log of its own, in which each error stands between two markers, and an error
is let pass only by a suppression, of PostgreSQL's source or of regress/valgrind.supp.
Called by memcheck.py, with a server that was built for it (18-valgrind).
"""

import itertools
import shutil
import subprocess
import threading

import toolchain
from cluster import Cluster
from toolchain import ROOT

BEGIN, END = "VALGRINDERROR-BEGIN", "VALGRINDERROR-END"
CONTROL = ("control_freed", "control_unset", "control_beyond")
OPTIONS = ["--quiet", "--leak-check=no", "--gen-suppressions=all", "--num-callers=30", "--time-stamp=yes", "--trace-children=yes",
           f"--error-markers={BEGIN},{END}"]


def version():
    """Also asks for it where it is not installed."""
    if not shutil.which("valgrind"):
        toolchain.apt_install("valgrind")
    return subprocess.check_output(["valgrind", "--version"], text=True).strip()


class UnderValgrind(Cluster):
    """`keep`: the directory that gets the logs, however the cluster ends."""

    def __init__(self, pg_config, keep, **options):
        super().__init__(pg_config, **options)
        self.keep, self.logs, self.over = keep, self.directory / "valgrind", threading.Event()

    def create(self):
        super().create()
        self.logs.mkdir()
        self._give(self.logs)
        # where the server's user may read them
        shutil.copyfile(ROOT / "regress/valgrind.supp", self.directory / "ours.supp")
        shutil.copyfile(self.pg_config.parents[1] / toolchain.SUPPRESSIONS, self.directory / "server.supp")
        threading.Thread(target=self._set_aside, daemon=True).start()

    def command(self):
        suppressions = [f"--suppressions={self.directory}/{name}.supp" for name in ("server", "ours")]
        return ["valgrind", *OPTIONS, *suppressions, f"--log-file={self.logs}/%p.log", *super().command()]

    def _set_aside(self):
        """Numbers of processes come again in a run of an hour, and a log of the same name would be written anew."""
        numbers = itertools.count(1)
        while not self.over.wait(5):
            for log in self.logs.glob("*.log"):
                log.rename(f"{log}.{next(numbers)}")  # who writes it has it open

    def start(self, seconds=600):
        super().start(seconds)

    def discard(self):
        self.stop(seconds=600)
        self.over.set()
        if self.logs.exists():
            shutil.rmtree(self.keep, ignore_errors=True)
            shutil.copytree(self.logs, self.keep)
        super().discard()

    def provoke(self):
        """Calls the functions of regress/valgrind.c."""
        include = toolchain.ask(self.pg_config, "includedir-server")[0]
        library = self.directory / "control.so"
        toolchain.run("gcc", "-g", "-O0", "-shared", "-fPIC", f"-I{include}", ROOT / "regress/valgrind.c", "-o", library)
        for name in CONTROL:
            self.sql(f"CREATE FUNCTION pg_temp.{name}() RETURNS int LANGUAGE c AS '{library}', '{name}'; SELECT pg_temp.{name}()")
