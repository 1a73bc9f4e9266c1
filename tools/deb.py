"""Debian's package of the extension, and one of its symbols: `deb.py build [PG]`, into target/packages; `deb.py stage PG DIRECTORY`, for debian/rules.

Invariant: the same source gives the same bytes, wherever it lies: the package is made in a copy of the source, with the date of debian/changelog,
and the library does not say where that was. PG is 15, or 17 and 18 with the headers that Debian's newer suites have (17-debian, 18-debian), or an
installed server's pg_config. Called by `make deb`, tools/release.sh, and suites.py for regress/t/package.py.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import build  # noqa: E402
import sbom  # noqa: E402
import toolchain  # noqa: E402
from toolchain import ROOT, TARGET  # noqa: E402

PACKAGES = TARGET / "packages"
DEBIAN = {"17": "17-debian", "18": "18-debian"}
SKIPPED = {".git", "__pycache__", "node_modules", "target"}


def server(pg):
    """What builds for Debian's own server of a version: the wheels of 17 and 18 are built by others, with other options."""
    return DEBIAN.get(pg, pg)


def sources(directory):
    """Files of a checkout, by their path in it: all but what was built, and what git keeps."""
    found = {}
    for where, folders, files in os.walk(directory):
        folders[:] = [f for f in folders if f not in SKIPPED]
        found.update({(Path(where) / f).relative_to(directory): Path(where) / f for f in files if f not in SKIPPED})
    return found


def copy(directory):
    """The source. What has not changed since the last copy keeps its time and what has changed gets a new one, by which cargo knows what to build again;
    downloads are shared."""
    wanted = sources(ROOT)
    for path, left in sources(directory).items():
        if path not in wanted:
            left.unlink()
    for path, source in wanted.items():
        here = directory / path
        if not here.exists() or here.read_bytes() != source.read_bytes():
            here.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, here)
    (directory / "target").mkdir(exist_ok=True)
    cache = directory / "target/cache"
    if not cache.exists():
        toolchain.CACHE.mkdir(parents=True, exist_ok=True)
        cache.symlink_to(toolchain.CACHE.resolve())


def minimum(library, config):
    """The oldest server that can load the library: one that checks versions of rows is called where the headers declare that check."""
    version = re.search(r"[\d.]+", toolchain.ask(config, "version")[0]).group()
    needed = toolchain.run("nm", "--dynamic", "--undefined-only", library)
    return version if "heap_datum_check" in needed else version.partition(".")[0]


def control(directory, library, config):
    """debian/control of control.in: the name of the package has the server's version in it."""
    major = toolchain.major(config)
    text = (ROOT / "debian/control.in").read_text()
    values = {"PG": major, "MINIMUM": minimum(library, config), "BUILD_DEPENDS": f"postgresql-server-dev-{major}"}
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    (directory / "debian/control").write_text(text)


def packages(pg, work=None, library=None):
    """Makes the packages; returns their files. `work`: where the copy of the source goes. `library`: one that is built already, for tests: the packages are
    not compressed then."""
    pg = server(pg)
    if not shutil.which("dh"):
        toolchain.apt_install("debhelper")
    config = toolchain.pg_config(pg)
    work = work or TARGET / "deb" / toolchain.label(pg)
    source = work / f"pg-tviews-{build.version()}"
    copy(source)
    quick = "yes" if library else ""
    library = library or built(source, pg)
    control(source, library, config)
    for left in work.glob("*.*deb"):
        left.unlink()
    # PROFILE, MAKEFLAGS and the like are about our Makefile, not about Debian's; the date is to be that of debian/changelog
    env = {k: v for k, v in os.environ.items() if k not in ("PROFILE", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "SOURCE_DATE_EPOCH")}
    env.update(PG=toolchain.major(config), LIBRARY=str(library), QUICK=quick, DEB_BUILD_OPTIONS="nocheck", LC_ALL="C.UTF-8", TZ="UTC")
    toolchain.run("dpkg-buildpackage", "--build=binary", "--unsigned-changes", "--unsigned-buildinfo", "--no-check-builddeps", cwd=source, env=env)
    return sorted(work.glob("*.deb"))


def built(source, pg):
    """The library, built in the copy of the source."""
    command = [sys.executable, str(source / "tools/build.py"), "build", pg, "--reproducible"]
    if subprocess.run(command, cwd=source, stdin=subprocess.DEVNULL).returncode:
        toolchain.fail("the library could not be built")
    return source / "target" / toolchain.label(pg) / "release/libpg_tviews.so"


def stage(major, directory):
    """The files of the package, where they will lie below /."""
    root = Path(directory).resolve()
    papers = root / f"usr/share/doc/{root.name}"
    papers.mkdir(parents=True, exist_ok=True)
    sbom.write(papers, major)
    build.place(major, Path(os.environ["LIBRARY"]), root / f"usr/lib/postgresql/{major}/lib", root / f"usr/share/postgresql/{major}")


def main():
    if sys.argv[1] == "stage":
        return stage(*sys.argv[2:4])
    PACKAGES.mkdir(parents=True, exist_ok=True)
    for package in packages(*(sys.argv[2:3] or ["15"])):
        shutil.copy2(package, PACKAGES)
        print(PACKAGES / package.name)


if __name__ == "__main__":
    main()
