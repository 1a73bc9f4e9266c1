"""One version everywhere: `versions.py`. What tells a version says the same, and the scripts lead from each released one to it.

Invariant: a version that is set in one place and forgotten in another is told. Called by house.py and tools/release.sh.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def found(path, pattern):
    match = re.search(pattern, (ROOT / path).read_text(), re.M)
    return match.group(1) if match else "none"


def told():
    """Where a version is told, and which."""
    meta = json.loads((ROOT / "META.json").read_text())
    return {"pg_tviews.control": found("pg_tviews.control", r"^default_version = '(.*)'"),
            "Cargo.toml": found("Cargo.toml", r'^version = "(.*)"'),
            "debian/changelog": found("debian/changelog", r"^pg-tviews \((.*?)\)"),
            "META.json": meta["version"], "META.json, provides": meta["provides"]["pg_tviews"]["version"]}


def lost():
    """Released versions from which no scripts of sql/ lead to the current one."""
    names = [path.name for path in (ROOT / "sql").glob("pg_tviews--*.sql")]
    steps = [m.groups() for name in names if (m := re.fullmatch(r"pg_tviews--([\d.]+)--([\d.]+)\.sql", name))]
    reached, current = set(), {told()["pg_tviews.control"]}
    while current - reached:
        reached |= current
        current = {before for before, after in steps if after in reached}
    return sorted(m[1] for name in names if (m := re.fullmatch(r"pg_tviews--([\d.]+)\.sql", name)) and m[1] not in reached)


def promises():
    """For house.py: what is promised, and what breaks it."""
    versions = told()
    wanted = versions["pg_tviews.control"]
    return {"one version everywhere": [f"{place}: {version}, not {wanted}" for place, version in versions.items() if version != wanted],
            "update scripts lead from every released version": [f"none from {version} to {wanted}" for version in lost()]}


if __name__ == "__main__":
    wrong = [line for broken in promises().values() for line in broken]
    sys.exit("\n".join(f"error: {line}" for line in wrong) if wrong else 0)
