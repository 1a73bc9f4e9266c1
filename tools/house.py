"""Promises of the source that a search can keep: `house.py`, called by the stage house.

Invariant: one `ok` or `not ok` line for each promise, and for each place that breaks one what is wrong.
"""

import re
import sys
from pathlib import Path

import arrows
import figures
import links
import versions

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {path.relative_to(ROOT): path.read_text() for path in sorted((ROOT / "src").rglob("*.rs"))}
STATIC = re.compile(r"^\s*(?:pub(?:\([a-z]+\))? )?static (?:mut )?([A-Z_]+)\s*:", re.M)
# a call of a function that the bindings wrap in a guard of their own
GUARDED = re.compile(r"\bpg_sys::(?!ffi\b)[a-z]\w*\(")


def places(pattern, allowed=()):
    """Where a pattern occurs outside of the files that may have it."""
    for path, text in SOURCES.items():
        if str(path) not in allowed:
            for match in re.finditer(pattern, text):
                yield f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match.group().strip().splitlines()[0]}"


def inside(text, start):
    """The text up to the parenthesis that closes the one before `start`."""
    depth = 1
    for end in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if not depth:
            return text[start:end]
    return text[start:]


def double_guards():
    """pgrx turns an error into a panic at a guard, and a panic must not pass another one."""
    for path, text in SOURCES.items():
        for match in re.finditer(r"\b(?:guard|pg_guard_ffi_boundary)\((?=\|\|)", text):
            if GUARDED.search(inside(text, match.end())):
                yield f"{path}:{text.count(chr(10), 0, match.start()) + 1}"


def duties():
    """Every unsafe function that Rust calls says what its caller promises; functions of a trait or of an allocator say it there."""
    for path, text in SOURCES.items():
        lines = text.splitlines()
        for number, line in enumerate(lines):
            if not re.match(r"\s*(pub(\([^)]*\))? )?(const )?unsafe fn \w+", line) or str(path) in ("src/pg/allocator.rs", "src/pg/tree/fields/mod.rs"):
                continue
            signature = "\n".join(lines[number:number + 12]).split("{")[0]
            above = number
            while re.match(r"\s*(///|#\[)", lines[above - 1]):
                above -= 1
            if ";" not in signature and not any("# Safety" in doc for doc in lines[above:number]):
                yield f"{path}:{number + 1}: {line.strip()}"


def promises_of_nobody():
    """Only unsafe functions have a section of what their callers promise."""
    for path, text in SOURCES.items():
        for match in re.finditer(r"/// # Safety\n(?:\s*(?:///|#\[).*\n)*(.*)", text):
            if "unsafe" not in match[1]:
                yield f"{path}:{text.count(chr(10), 0, match.start(1)) + 1}: {match[1].strip()}"


def statics():
    """Every static is in the list of who resets it."""
    table = SOURCES[Path("src/xact.rs")]
    for path, text in SOURCES.items():
        for name in STATIC.findall(text):
            if f"`{name}`" not in table and not (name.startswith("NEXT") or str(path) == "src/pg/guc.rs"):
                yield f"{path}: {name} is not in the table of src/xact.rs"


PROMISES = {
    "unsafe functions say what their callers promise": duties,
    "no other function says so": promises_of_nobody,
    "statics are listed with who resets them": statics,
    "only src/xact.rs hears of ends of transactions": lambda: places(r"Register(?:Sub)?XactCallback", ["src/xact.rs"]),
    "only src/pg/pinned.rs changes the user": lambda: places(r"SetUserId\w*", ["src/pg/pinned.rs", "src/pg/silent.rs"]),
    "nobody becomes the bootstrap superuser": lambda: places(r"BOOTSTRAP_SUPERUSERID"),
    "no guard is around a guard": double_guards,
    "links of Markdown files lead somewhere": links.broken,
    "the book has each page once": links.missing,
    "plots show the figures of the benchmarks": figures.stale,
    "nothing of a query is evaluated by analysis": lambda: places(r"eval_const_expressions|estimate_expression_value|evaluate_expr"),
}


def main():
    failed = False
    kept = {promise: list(broken()) for promise, broken in PROMISES.items()} | arrows.promises() | versions.promises()
    for promise, found in kept.items():
        failed |= bool(found)
        print(f"{'not ok' if found else 'ok'} - {promise}", *(f"#   {line}" for line in found), sep="\n", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
