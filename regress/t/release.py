"""tools/release.sh, for real, in a clone: two releases of one commit have the same bytes, and its checksums, signatures and bills of materials are right.

Argument: a directory with the validators of CycloneDX and SPDX. Without packages of Debian, which package.py is about. Keys are made for this
run. Not part of `make check`: TESTS=release. Needs git, gpg, openssl.
"""

import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from cluster import Report, clean_environment

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(sys.argv[1])


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}:\n{done.stdout[-3000:]}")
    return done.stdout


def succeeds(*command, **options):
    return subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, **options).returncode == 0


class Release:
    def __init__(self, work):
        self.source, self.work = work / "source", work
        run("git", "clone", "-q", "--no-hardlinks", ROOT, self.source)
        self.version = next(line.split("'")[1] for line in (self.source / "pg_tviews.control").read_text().splitlines() if line.startswith("default_version"))
        gpg = work / "gpg"
        gpg.mkdir(mode=0o700)
        self.env = {**clean_environment(), "GNUPGHOME": str(gpg), "PG": ""}
        run("gpg", "--batch", "--passphrase", "", "--quick-gen-key", "release@example.org", "ed25519", "sign", "never", env=self.env)
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", work / "key.pem")
        run("openssl", "pkey", "-in", work / "key.pem", "-pubout", "-out", work / "public.pem")

    def make(self, name, **env):
        out = self.work / name
        said = run(self.source / "tools/release.sh", out, env={**self.env, **env})
        return out, said.splitlines()[-1]


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def archives(report, release, out):
    name = f"pg_tviews-{release.version}"
    with tarfile.open(out / f"{name}.tar.gz") as archive:
        names = archive.getnames()
        report.ok(f"{name}/Cargo.toml" in names and all(n.startswith(name) for n in names), "the source is in one directory")
    with zipfile.ZipFile(out / f"{name}.zip") as archive:
        meta = json.loads(archive.read(f"{name}/META.json"))
        missing = [p["file"] for p in meta["provides"].values() if f"{name}/{p['file']}" not in archive.namelist()]
        report.ok(meta["version"] == release.version and not missing, "PGXN's archive has META.json and what that names", missing)


def bills(report, out):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    cyclonedx = (out / "pg_tviews.cdx.json").read_text()
    wrong = JsonStrictValidator(SchemaVersion.V1_5).validate_str(cyclonedx)
    report.ok(wrong is None, "CycloneDX's schema accepts it", wrong)
    document = parse_file(str(out / "pg_tviews.spdx.json"))
    wrong = [message.validation_message for message in validate_full_spdx_document(document)]
    report.ok(not wrong, "SPDX's validator accepts it", wrong[:5])
    listed = {(c["name"], c["version"]) for c in json.loads(cyclonedx)["components"]} | {("pg_tviews", json.loads(cyclonedx)["metadata"]["component"]["version"])}
    report.ok(listed == {(p.name, p.version) for p in document.packages}, "both list the same crates")
    names = {name for name, _ in listed}
    report.ok({"pgrx", "detour", "smallvec", "tviews_core"} <= names and not {"bindgen", "pg_query", "clap"} & names, "what is linked, and nothing else", names)


def signatures(report, release, out):
    sums, env = out / "SHA256SUMS", release.env
    report.ok(succeeds("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=out), "checksums")
    listed = {line.split()[-1] for line in sums.read_text().splitlines()}
    report.ok(listed == {p.name for p in out.iterdir()} - {"SHA256SUMS", "SHA256SUMS.asc"}, "of all files", listed)
    report.ok(succeeds("gpg", "--verify", "SHA256SUMS.asc", "SHA256SUMS", cwd=out, env=env), "the signature of gpg")
    other, said = release.make("other", SIGN=f"openssl:{release.work}/key.pem")

    def verify():
        return succeeds("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", release.work / "public.pem", "-rawin", "-in", "SHA256SUMS", "-sigfile", "SHA256SUMS.sig", cwd=other)

    report.ok(verify() and said.endswith(", signed"), "the signature of openssl", said)
    for file in (sums, other / "SHA256SUMS"):
        file.write_text(file.read_text().replace("a", "b", 1))
    report.ok(not succeeds("gpg", "--verify", "SHA256SUMS.asc", "SHA256SUMS", cwd=out, env=env) and not verify(), "no signature fits other checksums")


def main():
    report = Report()
    with tempfile.TemporaryDirectory() as directory:
        release = Release(Path(directory))
        first, said = release.make("first")
        report.ok(said.endswith(", not signed"), "without a key it says that it is not signed", said)
        second, _ = release.make("second", SIGN="gpg:release@example.org")
        same = contents(second)
        same.pop("SHA256SUMS.asc")
        report.ok(contents(first) == same, "two releases of one commit have the same bytes", sorted(n for n, b in contents(first).items() if same.get(n) != b))
        archives(report, release, second)
        bills(report, second)
        signatures(report, release, second)
        (release.source / "README.md").write_text("changed")
        report.ok(not succeeds(release.source / "tools/release.sh", Path(directory) / "dirty", env=release.env), "what is not committed is not released")
        run("git", "checkout", "-q", "README.md", cwd=release.source)
        (release.source / "META.json").write_text((release.source / "META.json").read_text().replace(release.version, "9.9.9"))
        run("git", "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qam", "x", cwd=release.source)
        report.ok(not succeeds(release.source / "tools/release.sh", Path(directory) / "versions", env=release.env), "versions that differ are not released")
        run("gpgconf", "--kill", "all", env=release.env)
    report.done()


if __name__ == "__main__":
    main()
