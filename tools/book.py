"""Builds the book, docs/ as HTML below target/book, and follows its links: `book.py`.

Invariant: what is there has no link of its own that leads nowhere, headings included. Called by `make book`.
"""

import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import links
import toolchain
from shell import ROOT, TARGET, fail, say

BOOK = TARGET / "book"


class Page(HTMLParser):
    """The names that a page has, and what it links to."""

    def __init__(self, text):
        super().__init__()
        self.names, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("id", "name") and value:
                self.names.add(value)
            elif name in ("href", "src") and value and tag != "base":
                self.links.append(value)


def broken():
    pages = {path: Page(path.read_text()) for path in BOOK.rglob("*.html") if path.name != "toc.html"}
    for path, page in pages.items():
        for link in page.links:
            if links.OUTSIDE.match(link) or path.name == "404.html":
                continue
            where, _, fragment = unquote(link).partition("#")
            to = (path.parent / where).resolve() if where else path
            if not to.exists() or not to.is_relative_to(BOOK):
                yield f"{path.relative_to(BOOK)}: {link} is not in the book"
            elif fragment and to in pages and fragment not in pages[to].names:
                yield f"{path.relative_to(BOOK)}: {link}: no such heading"


def main():
    mdbook = toolchain.mdbook()
    started = time.time()
    if subprocess.run([mdbook, "build", ROOT / "docs"]).returncode:
        fail("the book could not be built")
    found = [*links.missing(), *links.broken(), *broken()]
    print(*found, sep="\n", end="\n" if found else "")
    if found:
        fail(f"{len(found)} links lead nowhere")
    say(f"built in {time.time() - started:.1f} s: {BOOK.relative_to(ROOT)}/index.html, all links lead somewhere")


if __name__ == "__main__":
    main()
