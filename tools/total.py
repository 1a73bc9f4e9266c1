"""Tests passed and failed so far, and the lines that say so.

Invariant: each line `ok` or `not ok` that is printed here is in the sum, and nothing is that was not printed, by us or by what we ran.
Called by everything that runs tests.
"""

import contextlib
import time

AGAIN = "# failed: "
TOOK = "# took: "


class Total:
    passed = failed = 0

    def __init__(self):
        self.told = []
        self.parts = []

    def add(self, good, bad=0):
        self.passed += good
        self.failed += bad

    def tell(self, text):
        """Says a failure, or what belongs to it, once more at the end."""
        self.told += [AGAIN + line for line in text.rstrip().splitlines()]

    def count(self):
        return self.passed + self.failed

    def begin(self, part):
        self.parts.append((part, time.time()))

    def took(self, least=30):
        """The parts of a run in seconds, the longest first: those that took long, and scripts together."""
        ends = [start for _, start in self.parts[1:]] + [time.time()]
        parts = [(end - start, part) for (part, start), end in zip(self.parts, ends)]
        long = [(seconds, part) for seconds, part in parts if seconds >= least]
        scripts = sum(seconds for seconds, part in parts if part.startswith("script "))
        long += [(scripts, "all scripts")] if scripts else []
        return "; ".join(f"{part} {seconds:.0f}" for seconds, part in sorted(long, reverse=True))


total = Total()


def headline(text):
    print(f"\n== {text} ==", flush=True)
    total.begin(text)


def verdict(failed, name):
    print(f"{'not ok' if failed else 'ok'} - {name}")
    total.add(not failed, failed)
    if failed:
        total.tell(name)


@contextlib.contextmanager
def guarded(name):
    """What goes wrong inside fails as one, and what follows goes on; not so an interrupt."""
    try:
        yield
    except (SystemExit, Exception) as error:
        verdict(True, f"{name}: {error}")
