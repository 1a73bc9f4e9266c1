"""What Valgrind has found, by the logs of all processes.

Invariant: the faults of regress/valgrind.c, which were made on purpose, are told apart, and are missed where they are not noticed.
Called by memcheck.py.
"""

import re

from valgrind import BEGIN, CONTROL, END

TOP = 8  # frames by which errors are told apart
PREFIX = re.compile(r"^(?:==|\*\*)[0-9:. ]+(?:==|\*\*) ?")
FRAME = re.compile(r"^ +(?:at|by) 0x[0-9A-F]+: (.*)$")
NUMBER = re.compile(r"0x[0-9A-Fa-f]+|\b\d[\d,]*\b")


class Error:
    """One way to go wrong: what Valgrind says of it, how often, and during which statements."""

    def __init__(self, text):
        self.text, self.times, self.statements = text, 0, []


def found(directory):
    """The distinct errors of all logs, without the errors made on purpose; and the errors made on purpose that Valgrind did not notice."""
    errors = {}
    for log in sorted(directory.iterdir()):
        current, before = None, []
        for line in log.read_text(errors="replace").splitlines():
            bare = PREFIX.sub("", line)
            if BEGIN in bare:
                current = []
            elif END in bare and current is not None:
                error = errors.setdefault(key(current), Error("\n".join(current)))
                error.times += 1
                before.append(error)
                current = None
            elif current is not None:
                current.append(bare)
            elif bare.startswith("Valgrind detected "):  # PostgreSQL names the statement afterwards (postgres.c)
                for error in before:
                    error.statements.append(bare.partition('"')[2].rstrip('"'))
                before = []
    caught = {name for top in errors for name in CONTROL if top[1:] and top[1].startswith(name)}
    others = [error for top, error in errors.items() if not top[1:] or not top[1].startswith(CONTROL)]
    return others, sorted(set(CONTROL) - caught)


def key(lines):
    """The kind of an error and its top frames, without addresses and sizes."""
    frames = [match.group(1) for line in lines if (match := FRAME.match(line))]
    return (NUMBER.sub("N", lines[0] if lines else ""), *(NUMBER.sub("N", frame) for frame in frames[:TOP]))
