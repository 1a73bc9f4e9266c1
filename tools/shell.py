"""Commands, packages of Debian, and messages about both.

Invariant: a command that fails ends the program, with what it printed; nothing is installed where we may not, and by one program at a time.
Called by the modules of toolchain.py and by all that builds or runs something.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "target"


def say(text):
    print(f"# {text}", file=sys.stderr, flush=True)


def fail(text):
    sys.exit(f"error: {text}")


def run(*command, **options):
    """Runs a command whose output is only of interest when it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        sys.stderr.write(done.stdout[-6000:])
        fail(f"{' '.join(map(str, command))} failed")
    return done.stdout


@contextlib.contextmanager
def alone(name):
    """Other programs of this checkout that come here with the same name wait."""
    locks = TARGET / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with open(locks / name.replace("/", "-"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def as_root():
    return os.geteuid() == 0


def apt_install(*packages):
    """Installs Debian packages, or names the missing ones when it may not."""
    if not as_root() or not shutil.which("apt-get"):
        fail(f"missing packages, install them as root: apt-get install {' '.join(packages)}")
    say(f"installing {' '.join(packages)}")
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    with alone("apt-get"):
        run("apt-get", "-q", "update", env=env)
        run("apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends", *packages, env=env)
