"""Runs the tests: `check.py [--fast] STAGE… [beside STAGE…]`, a stage being a server (18, 15, 18-assert, a pg_config) or a word of the table in stages.py:
sql:SERVER (its regress and isolation suites, with assertions hostile, too), core:SERVER (PostgreSQL's own suites), format, house, lint, deny,
meta (META.json), unit, types:N, no-syntax, faults, valgrind, mine:SERVER (queries of others as those of TVIEWs). What `beside` parts runs
at the same time.

Invariant: the last line is `N passed, N failed`, the sum over everything that ran, and the exit status says the same.
$TESTS names what to run of it: tiers (those of tiers.py: regress, isolation, hostile, scripts, docs, differential, concurrent, tpch; unit, core,
no-syntax, faults) or single tests of them.
Called by `make check` and .ci/run.

    check ─► lanes                          stages at the same time
          ─► stages ─► workspace            what needs no server
                    ─► tiers ─► suites      tests by example         } choice: what the environment asks for
                             ─► clients     programs of ours         } watch: programs, shown and counted
                    ─► builds               builds of their own      } total: what has passed and failed
                    ─► memcheck ─► valgrind                          } build, toolchain: the extension, servers
"""

import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "regress/t"))
import lanes  # noqa: E402
import stages  # noqa: E402
from total import TOOK, total  # noqa: E402


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    started = time.time()
    options = [word for word in sys.argv[1:] if word.startswith("-")]
    if lanes.BESIDE in words:
        lanes.run(lanes.split(words), options)
    else:
        for word in words:
            stages.run(word, "--fast" in options, lanes.everything(words))
    if total.took():
        total.told.append(f"{TOOK}{total.took()}")
    print(*total.told, sep="\n")
    print(f"\n# {time.time() - started:.0f} s")
    print(f"{total.passed} passed, {total.failed} failed", flush=True)
    sys.exit(1 if total.failed or not total.passed else 0)


if __name__ == "__main__":
    main()
