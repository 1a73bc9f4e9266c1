"""Packages of Debian that are fetched, not installed: headers and sources of servers, programs for tests.

Invariant: apt's own configuration is not touched: lists and downloads are below a directory that is thrown away. Called by servers.py and toolchain.py.
"""

import re
import shutil
from pathlib import Path

from shell import as_root, fail, run, say

# Debian's suites that have the source.
SOURCES = {"17": "trixie", "18": "sid"}
# Suites with packages of servers that this machine need not be able to install: the server's own first, then that of its libraries.
UNPACKED = {"17-debian": ("trixie",), "18-debian": ("sid",), "19": ("experimental", "sid")}
# What programs of such a server are linked with comes from these packages; what else they depend on is for machines where they are installed.
LIBRARIES = re.compile(r"(lib[^ ]*|zlib1g)$")
# The oldest suite that runs here: its programs run on the newer ones, too.
OLDEST = "bookworm"


def mirror():
    """The machine's own Debian mirror, from its apt configuration."""
    def ask():
        out = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(CODENAME)", "Created-By: Packages")
        return [line.split()[0] for line in out.splitlines() if re.search(r" Debian [a-z]+$", line)]

    found = ask()
    if not found and as_root():
        run("apt-get", "-q", "update")
        found = ask()
    return found[0] if found else fail("no Debian mirror in the apt configuration")


def apt(work, suites, kind):
    """The options by which apt's programs know these suites only, and have lists and downloads of their own below `work`."""
    (work / "lists/partial").mkdir(parents=True)
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    signed, archive = f"[signed-by={keyring}] " if keyring.exists() else "", mirror()
    (work / "sources.list").write_text("".join(f"{kind} {signed}{archive} {suite} main\n" for suite in suites))
    options = ["-q", "-o", f"Dir::Etc::sourcelist={work}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null",
               "-o", f"Dir::State::lists={work}/lists", "-o", f"Dir::Cache={work}", "-o", "APT::Sandbox::User="]
    run("apt-get", *options, "update")
    return options


def apt_get(work, suite, kind):
    """apt-get with one suite, and with lists and downloads of its own below `work`."""
    return ["apt-get", *apt(work, [suite], kind)]


def headers(major, directory):
    """For a wheel without headers: Debian's, of the same major version, for the options that the server in the wheel was built with."""
    work, server = directory / "headers", next(directory.glob("*/pginstall"))
    say(f"fetching the headers of PostgreSQL {major}")
    run(*apt_get(work, SOURCES[major], "deb"), "download", f"postgresql-server-dev-{major}", cwd=work)
    run("dpkg-deb", "-x", next(work.glob("*.deb")), work / "out")
    (server / "include").mkdir()
    (work / f"out/usr/include/postgresql/{major}/server").rename(server / "include/server")
    if "--without-icu" in run(server / "bin/pg_config", "--configure"):
        config = server / "include/server/pg_config.h"
        config.write_text(config.read_text().replace("#define USE_ICU 1", "/* #undef USE_ICU */"))
    # Of a later minor version than the server, they declare a check that the server may not have, and pgrx calls it where its name is found.
    if b"heap_datum_check" not in (server / "bin/postgres").read_bytes():
        tuples = server / "include/server/access/htup_details.h"
        tuples.write_text(tuples.read_text().replace("HeapTupleHeaderIsVersionedDatum", "HeapTupleHeaderHasVersion"))
    shutil.rmtree(work)


def with_libraries(names, options):
    """These packages, and all packages of libraries that they need; of alternatives the first."""
    found, new = [], list(names)
    while new:
        found += new
        out = run("apt-cache", *options, "depends", "--important", *new)
        needed = re.findall(r"^ [ |]Depends: <?([^ <>\n]+)", out, re.M)
        new = sorted({name for name in needed if LIBRARIES.match(name) and not name.endswith("-perl")} - set(found))
    return found


def unpacked(pg, directory):
    """The server, its headers, and the libraries that it is linked with, unpacked below `directory` as they lie below / elsewhere."""
    work, major = directory / "download", pg.partition("-")[0]
    options = apt(work, UNPACKED[pg], "deb")
    say(f"fetching PostgreSQL {major} from Debian's suite {UNPACKED[pg][0]}")
    client, server, headers = f"postgresql-client-{major}", f"postgresql-{major}", f"postgresql-server-dev-{major}"
    names = with_libraries([server, client], options) + [headers]
    run("apt-get", *options, "download", *names, cwd=work)
    for package in work.glob("*.deb"):
        run("dpkg-deb", "-x", package, directory)
    shutil.rmtree(work)
