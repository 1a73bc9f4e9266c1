"""Builds the extension for one server and installs it there: `build.py build|install|typecheck [PG] [--dev] [--reproducible]`.

Invariant: each server has a cargo target directory of its own (target/pg18, …), so switching between servers rebuilds nothing, and an
installed file is replaced by renaming, so a running server keeps the library it has mapped. With --reproducible the library does not say in which
directories it was built.
Called by the Makefile, tools/check.py and demo/run.py.
"""

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import toolchain
from toolchain import ROOT, TARGET


def version():
    return re.search(r"default_version = '([^']+)'", (ROOT / "pg_tviews.control").read_text()).group(1)


def environment(pg, config):
    """Environment in which cargo builds against one server."""
    env = dict(os.environ, PGRX_PG_CONFIG_PATH=str(config), CARGO_TARGET_DIR=str(TARGET / toolchain.label(pg)), **toolchain.bindings())
    if pg.endswith(toolchain.VALGRIND):  # unoptimised code takes many times as long there as anywhere
        env.setdefault("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
    return env


def declared(manifest):
    """The rust-version that a Cargo.toml, or a part of it, declares."""
    return tuple(map(int, re.search(r'^rust-version = "(\d+)\.(\d+)"', manifest, re.M).groups()))


@functools.cache
def compiler_options():
    """What cargo needs to be told where rustc is older than the extension declares, but not older than what the tests have been run with."""
    workspace, extension = (ROOT / "Cargo.toml").read_text().split("\n[package]\n")
    tried, wanted = declared(workspace), declared(extension)
    found = tuple(map(int, re.search(r" (\d+)\.(\d+)", toolchain.run("rustc", "--version", cwd=ROOT)).groups()))
    shown = ["{}.{}".format(*version) for version in (found, wanted, tried)]
    if found >= wanted:
        return []
    if found < tried:
        toolchain.fail(f"rustc {shown[0]} is too old, {shown[1]} is needed ({shown[2]} works): rustup update, or a newer rustc of your system")
    toolchain.say(f"rustc {shown[0]} is older than {shown[1]}, which pgrx declares, but known to work: cargo --ignore-rust-version")
    return ["--ignore-rust-version"]


def without_paths(env):
    """The environment with directories of this machine mapped to names that are the same everywhere, in what rustc and the C compiler write."""
    home = os.environ.get("CARGO_HOME") or Path.home() / ".cargo"
    names = {ROOT: "/pg_tviews", env["CARGO_TARGET_DIR"]: "/target", home: "/cargo"}
    rust = [env["RUSTFLAGS"]] if env.get("RUSTFLAGS") else []
    flags = [f"-ffile-prefix-map={path}={name}" for path, name in names.items()]
    rust += [f"--remap-path-prefix={path}={name}" for path, name in names.items()]
    return {**env, "RUSTFLAGS": " ".join(rust), "CFLAGS": " ".join([env.get("CFLAGS", ""), *flags]).strip()}


def cargo(action, *arguments, env=None):
    sys.stdout.flush()
    command = ["cargo", action, *compiler_options(), *arguments]
    if subprocess.run(command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL).returncode:
        toolchain.fail(" ".join(command) + " failed")


USUAL = ("native_syntax",)


def features(major, chosen=USUAL):
    return ["--no-default-features", "--features", ",".join([f"pg{major}", *chosen])]


def build(pg, profile, chosen=USUAL, reproducible=False):
    """Compiles the library, with the features chosen, and returns its path."""
    config = toolchain.pg_config(pg)
    env = environment(pg, config)
    if reproducible:
        env = without_paths(env)
    cargo("build", "-p", "pg_tviews", "--lib", "--profile", profile, *features(toolchain.major(config), chosen), env=env)
    return Path(env["CARGO_TARGET_DIR"]) / ("debug" if profile == "dev" else profile) / "libpg_tviews.so"


def install_script(pg):
    """The install script for one server: the files of sql/parts one after the other, in the order of sql/parts/order."""
    parts = ROOT / "sql/parts"
    names = [name for line in (parts / "order").read_text().splitlines() if (name := line.split("#")[0].strip())]
    names = [name if name.endswith(".sql") else f"{name}.sql" for name in names]
    forgotten = {path.name for path in parts.glob("*.sql")} - set(names)
    if forgotten:
        toolchain.fail(f"not in sql/parts/order: {' '.join(sorted(forgotten))}")
    (TARGET / toolchain.label(pg)).mkdir(parents=True, exist_ok=True)
    script = TARGET / toolchain.label(pg) / f"pg_tviews--{version()}.sql"
    guard = "\\echo Use \"CREATE EXTENSION pg_tviews\" to load this file. \\quit\n"
    script.write_text(guard + "".join(f"\n-- {name}\n{(parts / name).read_text()}" for name in names))
    return script


def put(source, directory, name=None):
    """Copies a file next to its destination and renames it into place."""
    final = Path(directory) / (name or source.name)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, f"{final}.new")
        os.chmod(f"{final}.new", 0o644)
        os.replace(f"{final}.new", final)
    except PermissionError:
        toolchain.fail(f"cannot write {final}: run `make install` as a user who may")


def place(pg, library, libdir, sharedir):
    """Puts the library and what CREATE EXTENSION and ALTER EXTENSION … UPDATE read where a server looks for them."""
    put(library, libdir, "pg_tviews.so")
    for source in [ROOT / "pg_tviews.control", install_script(pg), *(ROOT / "sql").glob("pg_tviews--*.sql")]:
        put(source, f"{sharedir}/extension")


def install(pg, profile, chosen=USUAL):
    """Builds and installs; returns the pg_config of the server."""
    library = build(pg, profile, chosen)
    config = toolchain.pg_config(pg)
    place(pg, library, *toolchain.ask(config, "pkglibdir", "sharedir"))
    toolchain.say(f"installed pg_tviews {version()} ({profile}) for {toolchain.ask(config, 'version')[0]}")
    return config


def typecheck(major):
    """Type-checks against the bindings that pgrx ships, so that no server of that version is needed."""
    env = dict(os.environ, DOCS_RS="1", RUSTC_WRAPPER=str(ROOT / "tools/rustc_docsrs.sh"), CARGO_TARGET_DIR=str(TARGET / "typecheck"))
    cargo("check", "-p", "pg_tviews", "--lib", *features(major), env=env)


def main():
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    action, pg = words[0], (words[1:] or ["18"])[0]
    profile = "dev" if "--dev" in sys.argv else "release"
    {"build": lambda: build(pg, profile, reproducible="--reproducible" in sys.argv), "install": lambda: install(pg, profile), "typecheck": lambda: typecheck(pg)}[action]()


if __name__ == "__main__":
    main()
