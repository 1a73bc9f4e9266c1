"""Which way data flows between the rooms of `src`. Used by house.py.

Invariant: a file uses files of its own room and of rooms below it, never of one above; and no files of different rooms import each other in a
circle. What breaks it is told with the names that ride on the arrow.
"""

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"

# From top to bottom; rooms of one line do not know each other. `crates/core` is below all of them and knows nothing of ours.
ROOMS = """
lib
hook monitor compat recovery xact jsonb
schedule
build
refresh/flush
refresh/follow
refresh/plan
analyze/refuse analyze/rules analyze/split
analyze/describe
analyze/query
wal
log
capture counters
feed queue
catalog
tam
pg
"""

LEVEL = {room: number for number, line in enumerate(ROOMS.strip().splitlines()) for room in line.split()}


def modules():
    """Path of each module, by its name in the crate."""
    found = {}
    for path in SRC.rglob("*.rs"):
        parts = path.relative_to(SRC).with_suffix("").parts
        found[() if parts == ("lib",) else parts[:-1] if parts[-1] == "mod" else parts] = path
    return found


def room(module):
    """The room of a module: its folder, or the folder in it that is a room of its own; None for a list of rooms."""
    for length in (2, 1):
        name = "/".join(module[:length])
        if name in LEVEL:
            return name
    return "lib" if not module else None


def outside(tree):
    """Parts of a comma-separated list that are not inside of braces."""
    depth, start = 0, 0
    for at, character in enumerate(tree):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and not depth:
            yield tree[start:at]
            start = at + 1
    yield tree[start:]


def leaves(tree):
    """The paths of a `use` tree."""
    head, brace, rest = tree.strip().partition("{")
    if not brace:
        yield head.split(" as ")[0].strip()
        return
    for part in outside(rest.rstrip().removesuffix("}")):
        if part.strip():
            for leaf in leaves(part):
                yield head + leaf


def paths(text):
    """All paths from the crate's root, or from where a module is, that a text names."""
    text = re.sub(r"//.*", "", text)
    for tree in re.findall(r"\buse\s+((?:crate|super|self)\b[^;]*);", text):
        yield from leaves(re.sub(r"\s+", " ", tree))
    yield from re.findall(r"(?<![\w:$])(?:crate|super)(?:::\w+)+", re.sub(r"\buse\s+[^;]+;", "", text))


def absolute(path, here):
    parts = [part.strip() for part in path.split("::")]
    base = list(here)
    if parts[0] == "crate":
        return parts[1:]
    while parts and parts[0] in ("super", "self"):
        if parts.pop(0) == "super":
            base = base[:-1]
    return base + parts


def arrows(known):
    """(from, to) -> names."""
    found = defaultdict(set)
    for here, path in known.items():
        for named in paths(path.read_text()):
            full = absolute(named, here)
            for length in range(len(full), -1, -1):
                there = tuple(full[:length])
                if there in known:
                    if there != here:
                        found[here, there].add("::".join(full[length:]) or "self")
                    break
    return found


def running_up(found):
    """Arrows to a room that is not below."""
    for (here, there), names in sorted(found.items()):
        start, end = room(here), room(there)
        if start and end and start != end and LEVEL[start] >= LEVEL[end] and start != "lib":
            yield f"{'::'.join(here)} -> {'::'.join(there)}: {', '.join(sorted(names))}"


def circles(found):
    """Files that reach themselves through another room."""
    below = defaultdict(set)
    for here, there in found:
        if here and there:
            below[here].add(there)

    def reach(start):
        seen, todo = set(), [start]
        while todo:
            for there in below[todo.pop()] - seen:
                seen.add(there)
                todo.append(there)
        return seen

    reached = {module: reach(module) for module in list(below)}
    for here in sorted(reached):
        for there in sorted(reached[here]):
            if here < there and room(here) != room(there) and here in reached.get(there, ()):
                yield f"{'::'.join(here)} and {'::'.join(there)}"


def homeless(known):
    for module in sorted(known):
        if module and not room(module) and any(other[: len(module)] == module and other != module for other in known) is False:
            yield "::".join(module)


def named_files():
    """Files that the architecture and the folders' pages name exist."""
    for page in [ROOT / "docs/internals/architecture.md", *SRC.rglob("README.md")]:
        for name in re.findall(r"`((?:src|crates|tests|tools|sql|regress|bench)/[\w/.-]+\.\w+)`", page.read_text()):
            if not (ROOT / name).exists():
                yield f"{page.relative_to(ROOT)}: {name}"


def promises():
    known = modules()
    found = arrows(known)
    return {
        "arrows between rooms run down": list(running_up(found)),
        "no circle goes through two rooms": list(circles(found)),
        "every module has a room": list(homeless(known)),
        "files that the pages name exist": list(named_files()),
    }
