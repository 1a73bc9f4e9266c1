"""What a page of docs/ is in the book: a preprocessor of mdBook, `book_pages.py` with the book on standard input.

Pages are read in the repository as well. In the book, a link to a file that is no page of it becomes the file's name, and the kinds of blocks that
docs_test.py knows become classes, for book.css. Invariant: nothing else is changed. Called by mdbook, see docs/book.toml.
"""

import json
import posixpath
import re
import sys

import links

BLOCK = re.compile(r"^( *```)(sql (?:fails|ignore)|output|error)\b[^\n]*$", re.M)


def to_class(match):
    name = match[2].removeprefix("sql ")
    return f"{match[1]}{'sql' if match[2].startswith('sql') else 'text'},{name}"


def is_outside(target, page):
    """Where a link leads in the repository, when that is no page of the book."""
    where = target.partition("#")[0]
    if not where or links.OUTSIDE.match(where):
        return None
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), where))
    return None if path.startswith("docs/") and path.endswith((".md", ".svg", ".png")) else path


def rewritten(text, page):
    """A page, with links to files outside of the book as names. What stands in blocks and in code stays."""
    hidden = links.CODE.sub(links.blank, links.FENCE.sub(links.blank, text))
    parts, last = [], 0
    for match in re.finditer(r"(?<!!)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)", text):
        # of a link with code as its label, the target is not hidden
        shown = hidden[match.end() - 2] == text[match.end() - 2]
        path = is_outside(match[2], page) if shown else None
        if shown and not path and not links.OUTSIDE.match(match[2]) and "README.md" in match[2]:
            # mdBook writes a README as index.html
            parts += [text[last:match.start(2)], match[2].replace("README.md", "index.md")]
            last = match.end(2)
        elif path:
            name = f"`{path}`"
            label = match[1]
            parts += [text[last:match.start()], name if label.strip("`") in (path, posixpath.basename(path)) else f"{label} ({name})"]
            last = match.end()
    return BLOCK.sub(to_class, "".join(parts) + text[last:])


def chapters(items):
    for item in items:
        if isinstance(item, dict) and "Chapter" in item:
            yield item["Chapter"]
            yield from chapters(item["Chapter"]["sub_items"])


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "supports":
        return
    _, book = json.load(sys.stdin)
    for chapter in chapters(book["items"]):
        chapter["content"] = rewritten(chapter["content"], chapter["source_path"] or "")
    json.dump(book, sys.stdout)


if __name__ == "__main__":
    main()
