"""The stage valgrind: the regress suite with every process of the server under Valgrind's memcheck.

Invariant: each distinct error, and each fault made on purpose that is not noticed, is one failure. Logs are left in
target/results/pg18-valgrind/valgrind. Called by stages.py.
"""

import build
import suites
import tiers
import toolchain
import valgrind
import valgrind_logs
from choice import profile, wanted
from toolchain import TARGET
from total import guarded, headline, total

PG = "18-valgrind"
MINUTES = 360


def memcheck():
    if not wanted("regress", suites.scheduled("schedule")):
        return
    where = toolchain.label(PG)
    logs = TARGET / "results" / where / "valgrind"
    headline(f"building for {where}")
    found = None
    with guarded(where):
        print(f"# {valgrind.version()}")
        config = build.install(PG, profile())
        with valgrind.UnderValgrind(config, logs, ram=True) as cluster:
            tiers.prepare(cluster)
            cluster.provoke()
            suites.regress(tiers.Server(where, config, cluster), MINUTES)
        found = valgrind_logs.found(logs)
    if found:
        report(where, logs, *found)


def report(where, logs, errors, missed):
    headline(f"valgrind, {where}")
    for name in missed:
        print(f"not ok - valgrind does not notice {name}")
    for number, error in enumerate(errors, 1):
        print(f"not ok - error {number}, seen {error.times} times\n{error.text}")
        for statement in dict.fromkeys(error.statements[:3]):
            print(f"# during: {statement}")
    if not missed and not errors:
        print(f"ok - valgrind, {len(list(logs.iterdir()))} processes")
    total.add(not missed and not errors, len(missed) + len(errors))
