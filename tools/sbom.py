"""What is linked into the library, as software bills of materials, and the licences of all of it: `sbom.py DIRECTORY [PG]`.

Invariant: a crate is listed exactly when cargo compiles it into the library for this server, with the features that we build with; the same
Cargo.lock and date give the same bytes. CycloneDX 1.5 and SPDX 2.3, JSON. Called by tools/release.sh and deb.py; tested by regress/t/release.py.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import build  # noqa: E402
from toolchain import ROOT  # noqa: E402

LICENCES = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|COPYRIGHT)", re.I)
NAME = "pg_tviews"


def cargo(*arguments):
    done = subprocess.run(["cargo", *arguments], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"cargo {arguments[0]} failed:\n{done.stderr}")
    return done.stdout


def linked(major):
    """Packages of cargo's metadata that are part of the library, and which of these each needs; procedural macros and build scripts run elsewhere."""
    features = build.features(major)
    metadata = json.loads(cargo("metadata", "--format-version=1", "--locked", "--filter-platform", host(), *features))
    packages = {p["id"]: p for p in metadata["packages"]}
    tree = cargo("tree", "--locked", "--package", NAME, "--edges=normal,no-proc-macro", "--prefix=none", "--format={p}", "--target", host(), *features)
    names = {tuple(line.split()[:2]) for line in tree.splitlines() if line.strip()}
    chosen = {i: p for i, p in packages.items() if (p["name"], f"v{p['version']}") in names}
    needs = {node["id"]: sorted(dep["pkg"] for dep in node["deps"] if dep["pkg"] in chosen and any(k["kind"] is None for k in dep["dep_kinds"]))
             for node in metadata["resolve"]["nodes"] if node["id"] in chosen}
    return dict(sorted(chosen.items(), key=lambda item: (item[1]["name"], item[1]["version"]))), needs


def host():
    return re.search(r"^host: (.*)$", subprocess.check_output(["rustc", "-vV"], text=True), re.M).group(1)


def checksums():
    """SHA-256 of what the registry served, by name and version."""
    lock = (ROOT / "Cargo.lock").read_text()
    return {(m[1], m[2]): m[3] for m in re.finditer(r'name = "(.*)"\nversion = "(.*)"\nsource = ".*"\nchecksum = "(.*)"', lock)}


def date():
    """Of the release, not of the build: $SOURCE_DATE_EPOCH, or the one of debian/changelog."""
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        seconds = int(epoch)
    else:
        from email.utils import parsedate_to_datetime
        seconds = int(parsedate_to_datetime(re.search(r"^ -- .*?>  (.*)$", (ROOT / "debian/changelog").read_text(), re.M).group(1)).timestamp())
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def licence(package):
    """As SPDX writes it: older crates have a slash for OR."""
    return (package["license"] or "").replace("/", " OR ").replace("  ", " ") or "NOASSERTION"


def cyclonedx(packages, needs, hashes):
    def component(package):
        found = {"type": "library", "bom-ref": purl(package), "name": package["name"], "version": package["version"], "purl": purl(package),
                 "licenses": [{"expression": licence(package)}]}
        if package["description"]:
            found["description"] = " ".join(package["description"].split())
        if checksum := hashes.get((package["name"], package["version"])):
            found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        return found

    everything = {i: component(p) for i, p in packages.items()}
    main = next(i for i, p in packages.items() if p["name"] == NAME)
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "serialNumber": f"urn:uuid:{identity(packages)}",
            "metadata": {"timestamp": date(), "component": everything[main]},
            "components": [c for i, c in everything.items() if i != main],
            "dependencies": [{"ref": purl(packages[i]), "dependsOn": [purl(packages[n]) for n in needs[i]]} for i in packages]}


def spdx(packages, needs, hashes):
    def identifier(package):
        return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", f"{package['name']}-{package['version']}")

    def entry(package):
        checksum = hashes.get((package["name"], package["version"]))
        return {"SPDXID": identifier(package), "name": package["name"], "versionInfo": package["version"], "filesAnalyzed": False,
                "downloadLocation": "NOASSERTION",
                "licenseConcluded": "NOASSERTION", "licenseDeclared": licence(package), "copyrightText": "NOASSERTION",
                **({"checksums": [{"algorithm": "SHA256", "checksumValue": checksum}]} if checksum else {}),
                "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl(package)}]}

    main = next(p for p in packages.values() if p["name"] == NAME)
    relations = [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": identifier(main)}]
    relations += [{"spdxElementId": identifier(packages[i]), "relationshipType": "DEPENDS_ON", "relatedSpdxElement": identifier(packages[n])}
                  for i in packages for n in needs[i]]
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"{NAME}-{main['version']}",
            "documentNamespace": f"urn:uuid:{identity(packages)}", "creationInfo": {"created": date(), "creators": [f"Organization: {NAME}"]},
            "packages": [entry(p) for p in packages.values()], "relationships": relations}


def identity(packages):
    """The same for the same packages."""
    text = " ".join(purl(p) for p in packages.values())
    return uuid.UUID(hashlib.sha256(text.encode()).hexdigest()[:32], version=5)


def licences(packages, texts):
    """The texts of the licences, each once, with the packages that come with it: what a package of the library has to have inside."""
    found = {}
    for package in packages.values():
        directory = Path(package["manifest_path"]).parent
        directory = ROOT if directory.is_relative_to(ROOT) else directory
        for path in sorted(p for p in directory.iterdir() if LICENCES.match(p.name) and p.is_file()):
            text = path.read_text(errors="replace").replace("\r\n", "\n").strip()
            found.setdefault(text, []).append(f"{package['name']} {package['version']} ({licence(package)})")
    silent = [f"{p['name']} {p['version']} ({licence(p)})" for p in packages.values()
              if not any(f"{p['name']} {p['version']} (" in name for names in found.values() for name in names)]
    parts = ["\n".join(dict.fromkeys(names)) + f"\n\n{text}\n" for text, names in found.items()]
    if silent:
        parts.append("Without a text of their own:\n" + "\n".join(silent) + "\n")
    texts.write_text(("\n" + "-" * 80 + "\n\n").join(parts))


def write(directory, major):
    packages, needs = linked(major)
    hashes = checksums()
    for name, bill in {"cdx": cyclonedx, "spdx": spdx}.items():
        (directory / f"{NAME}.{name}.json").write_text(json.dumps(bill(packages, needs, hashes), indent=1, sort_keys=True) + "\n")
    licences(packages, directory / "LICENSES.txt")
    return len(packages)


def main():
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    print(f"{write(directory, (sys.argv[2:3] or ['18'])[0])} crates")


if __name__ == "__main__":
    main()
