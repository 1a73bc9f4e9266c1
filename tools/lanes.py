"""Stages at the same time: each lane is a check.py of its own, whose lines are shown with the lane's name as they come.

Invariant: stages of different lanes share no server (its library is installed by one of them only), and what they make once for all is made by one of
them while the other waits (cache.py). A lane that ends without its sum has failed. Called by check.py.
"""

import os
import re
import signal
import subprocess
import sys
import threading

from shell import ROOT
from total import AGAIN, TOOK, total, verdict

BESIDE = "beside"
STAGES = "CHECK_STAGES"  # tells a lane what all of them run
SUM = re.compile(r"^(\d+) passed, (\d+) failed$")


def split(words):
    """The lanes: the words between those that say `beside`."""
    lanes = [[]]
    for word in words:
        lanes.append([]) if word == BESIDE else lanes[-1].append(word)
    return [lane for lane in lanes if lane]


def everything(words):
    """The words of this run in all lanes."""
    return os.environ.get(STAGES, "").split() or words


def show(lane, name):
    """Shows what a lane prints, and adds its sum, which is its last line but for those of a Python that dies."""
    result = None
    for line in lane.stdout:
        print(f"{name} | {line}", end="", flush=True)
        result = SUM.match(line) or result
        if line.startswith(AGAIN):
            total.tell(f"{name}: {line.removeprefix(AGAIN)}")
        if line.startswith(TOOK):
            total.told.append(f"{TOOK}{name}: {line.removeprefix(TOOK).rstrip()}")
    status = lane.wait()
    if result is None or (status and result[2] == "0"):
        verdict(True, f"{name} ended with status {status}")
    if result:
        total.add(int(result[1]), int(result[2]))


def run(lanes, options):
    env = dict(os.environ, **{STAGES: " ".join(word for lane in lanes for word in lane)})
    running, shown = [], []
    try:
        for number, words in enumerate(lanes, 1):
            command = [sys.executable, ROOT / "tools/check.py", *options, *words]
            running.append(subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                            text=True, errors="replace", env=env))
            shown.append(threading.Thread(target=show, args=(running[-1], f"lane {number}")))
            shown[-1].start()
        for thread in shown:
            thread.join()
    finally:
        for lane in running:
            if lane.poll() is None:
                lane.send_signal(signal.SIGTERM)
        for thread in shown:
            thread.join()
