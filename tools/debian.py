"""Packages of Debian that are fetched, not installed: headers and sources of servers, programs for tests.

Invariant: apt's own configuration is not touched: lists and downloads are below a directory that is thrown away. Called by servers.py and toolchain.py.
"""

import re
import shutil
from pathlib import Path

from shell import as_root, fail, run, say

# Debian's suites that have the source.
SOURCES = {"17": "trixie", "18": "sid"}
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


def apt_get(work, suite, kind):
    """apt-get with one suite, and with lists and downloads of its own below `work`."""
    (work / "lists/partial").mkdir(parents=True)
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    signed = f"[signed-by={keyring}] " if keyring.exists() else ""
    (work / "sources.list").write_text(f"{kind} {signed}{mirror()} {suite} main\n")
    apt = ["apt-get", "-q", "-o", f"Dir::Etc::sourcelist={work}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null",
           "-o", f"Dir::State::lists={work}/lists", "-o", f"Dir::Cache={work}", "-o", "APT::Sandbox::User="]
    run(*apt, "update")
    return apt


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
    shutil.rmtree(work)
