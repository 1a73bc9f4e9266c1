"""What the environment asks for: which tests ($TESTS), for how long ($SECONDS_…), with which dice ($SEED), on which build ($PROFILE).

Invariant: without any of it `make check` says the same twice. Called by all tiers and stages.
"""

import os
import time

SELECTED = os.environ.get("TESTS", "").split()
# of tiers that last as long as one likes; 0: hostile one round, whatever it takes, differential until interrupted
SECONDS = {tier: os.environ.get(f"SECONDS_{tier.upper()}", default) for tier, default in
           {"differential": "45", "concurrent": "45", "hostile": "0", "tpch": "60"}.items()}
LONG = 300  # seconds from which an optimised build, which takes minutes to make, looks at more cases


def wanted(tier, names=None):
    """What $TESTS leaves of a tier: everything, or the tests it names. A tier without names is one test."""
    names = [tier] if names is None else list(names)
    if not SELECTED or tier in SELECTED:
        return names
    return [name for name in names if name in SELECTED]


def seed(tier=None):
    """A run with its own time or seed looks for new failures."""
    fresh = str(int(time.time())) if tier and f"SECONDS_{tier.upper()}" in os.environ else "1"
    return os.environ.get("SEED") or fresh


def profile():
    """Tests run on the dev build, which is quicker to make; long runs on the release build, which is quicker to use."""
    long = any(not int(seconds) or int(seconds) >= LONG for seconds in (SECONDS["differential"], SECONDS["concurrent"]))
    return os.environ.get("PROFILE") or ("release" if long else "dev")
