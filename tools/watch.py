"""Programs that run tests: shown while they run, counted line by line, ended when they hang.

Invariant: a program that fails without a line that says so counts as one failure, and none outlives its time. Called by all tiers and stages.
"""

import os
import re
import signal
import subprocess
import threading

from total import total, verdict

MINUTES = 40  # for one program, against tests that hang

# As TAP and pg_regress print them.
RESULT = re.compile(r"^\s*(?:test )?(?:(not ok|ok)\b\s+(?:\d+\s+)?[-+]\s+\S|(?:\S+ +)?\.\.\. (FAILED|failed|ok)\b)")


def watch(command, count=lambda line: None, minutes=MINUTES, **options):
    """Runs a program, shows its output, and lets `count(line)` judge each line. Returns the exit status."""
    process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", start_new_session=True, **options)
    timer = threading.Timer(minutes * 60, end, [process])
    timer.start()
    try:
        for line in process.stdout:
            print(line, end="", flush=True)
            count(line)
        return process.wait()
    finally:
        timer.cancel()
        end(process)


def end(process):
    """Ends what still runs of a program: first politely, for scripts have servers to stop."""
    for number, patience in ((signal.SIGINT, 30), (signal.SIGKILL, None)):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                continue


def tally(command, name, **options):
    """Counts `ok` and `not ok` lines. Returns the exit status."""
    before = total.failed

    def count(line):
        if match := RESULT.match(line):
            good = "ok" in match.groups()
            total.add(good, not good)
            if not good:
                total.tell(f"{name}: {line}")

    status = watch(command, count, **options)
    if status and total.failed == before:
        verdict(True, f"{name} ended with status {status}")
    return status


def sums(command, pattern, **options):
    """Adds the two numbers, passed and failed, of each line that has the pattern. Returns the exit status."""
    def count(line):
        if match := pattern.match(line):
            total.add(*map(int, match.groups()))
            if match[2] != "0":
                total.tell(line)

    return watch(command, count, **options)


def passes(command, name, **options):
    """A program that passes or fails as one."""
    verdict(watch(command, **options) != 0, name)
