"""Links of Markdown files: what they point at exists, headings included; and the book has each page once. Called by house.py and book.py.

Rule of anchors: GitHub's and mdBook's, which agree on what our headings have: lower case, blanks as hyphens, letters, digits, `-` and `_` kept.
"""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^( *)(```+|~~~+).*?^\1\2\s*$", re.M | re.S)
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(([^()\s]+)(?:\s+\"[^\"]*\")?\)")
CODE = re.compile(r"(`+)(?:(?!\1).)+?\1", re.S)
OUTSIDE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//)")


def blank(match):
    """As many lines, with nothing in them: places stay what they are."""
    return re.sub(r"[^\n]", " ", match[0])


def links(text):
    """Targets, with their line."""
    text = CODE.sub(blank, FENCE.sub(blank, text))
    for match in LINK.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match[1]


def anchor(heading):
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def anchors(text):
    seen, found = {}, set()
    for heading in re.findall(r"^#{1,6} +(.*?)(?: #*)?$", FENCE.sub(blank, text), re.M):
        name = anchor(heading)
        number = seen.get(name, 0)
        seen[name] = number + 1
        found.add(f"{name}-{number}" if number else name)
    return found | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))


def pages():
    """Markdown that git knows or would."""
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in sorted(set(names.stdout.split("\n"))) if name and (ROOT / name).exists()]


def broken():
    texts = {path: path.read_text() for path in pages()}
    headings = {path: anchors(text) for path, text in texts.items()}
    for path, text in texts.items():
        for line, target in links(text):
            if OUTSIDE.match(target):
                continue
            where, _, fragment = target.partition("#")
            to = (path.parent / where).resolve() if where else path
            if not to.exists():
                yield f"{path.relative_to(ROOT)}:{line}: {target} does not exist"
            elif fragment and to.suffix == ".md" and fragment not in headings.get(to, ()):
                yield f"{path.relative_to(ROOT)}:{line}: {target}: no such heading"


def missing():
    """Pages that the book leaves out, has twice, or has not."""
    docs = ROOT / "docs"
    summary = docs / "SUMMARY.md"
    named = [(docs / target).resolve() for _, target in links(summary.read_text())]
    there = {path for path in pages() if path.is_relative_to(docs)} - {summary}
    yield from (f"docs/SUMMARY.md: {path.relative_to(docs)} is not there" for path in sorted(there - set(named)))
    yield from (f"docs/SUMMARY.md: {path.relative_to(docs)} is there twice" for path in sorted({p for p in named if named.count(p) > 1}))
