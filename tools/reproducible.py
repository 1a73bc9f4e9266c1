"""Whether the packages of Debian are reproducible: `reproducible.py [PG]` makes them twice, in two directories, and compares bytes.

Invariant: the second build shares nothing with the first but what was downloaded. Called by `make reproducible`; takes the time of two builds.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import deb  # noqa: E402


def sums(pg, work):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in deb.packages(pg, Path(work))}


def main():
    pg = (sys.argv[1:] or ["15"])[0]
    with tempfile.TemporaryDirectory(prefix="one-") as one, tempfile.TemporaryDirectory(prefix="another-place-") as other:
        first, second = sums(pg, one), sums(pg, other)
    for name in sorted(first.keys() | second.keys()):
        print(f"{'ok' if first.get(name) == second.get(name) else 'not ok'} - {name} {first.get(name)} {second.get(name)}")
    sys.exit(first != second or not first)


if __name__ == "__main__":
    main()
