"""The parts of the reference that are made from the source: `reference.py [PG]` writes them.

What a server with the extension says of itself (settings, functions, relations, with their comments), and what the source says (options, messages
of errors). A part stands in its page between `<!-- generated: NAME -->` and `<!-- end: NAME -->`.
Invariant: `check` prints one `ok` or `not ok` line for each part, and leaves pages as they are. Called by docs_test.py, and by `make reference`.
"""

import difflib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import messages

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs/reference"

SETTINGS = """
SELECT json_agg(json_build_array(name, boot_val, unit, vartype, min_val, max_val, context, short_desc, extra_desc, enumvals) ORDER BY name)
  FROM pg_settings WHERE name LIKE 'pg\\_tviews.%'"""
# What belongs to the extension and has a comment, by schema: functions with their result, relations with their columns.
MEMBERS = """
SELECT json_agg(json_build_array(kind, name, arguments, result, comment) ORDER BY kind, name, arguments) FROM (
    SELECT 'function' AS kind, proname::text AS name, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
           obj_description(p.oid, 'pg_proc') AS comment, pronamespace AS schema, p.oid, 'pg_proc'::regclass AS class FROM pg_proc p
    UNION ALL
    SELECT 'view', relname, '',
           (SELECT string_agg(format('%%s %%s', quote_ident(attname), format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
              FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
           obj_description(c.oid, 'pg_class'), relnamespace, c.oid, 'pg_class'::regclass FROM pg_class c WHERE relkind = 'v') o
  JOIN pg_depend d ON d.objid = o.oid AND d.classid = o.class AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
 WHERE schema = '%s'::regnamespace AND comment IS NOT NULL AND result <> 'trigger'"""

CONTEXTS = {"user": "anybody", "superuser": "superusers", "sighup": "reload", "postmaster": "server start", "backend": "connection"}
UNITS = {"kB": ((1 << 20, "GB"), (1 << 10, "MB"), (1, "kB")), "MB": ((1 << 10, "GB"), (1, "MB")), "ms": ((3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms")),
         "min": ((1440, "d"), (60, "h"), (1, "min"))}


def ask(dsn, query):
    done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-d", dsn, "-c", query], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def table(*rows):
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def amount(value, unit):
    """A number in the unit that says it shortest."""
    if unit not in UNITS or int(value) <= 0:
        return value
    size, name = next((size, name) for size, name in UNITS[unit] if int(value) % size == 0)
    return f"{int(value) // size}{name}"


def setting(name, default, unit, kind, least, most, context, short, extra, words):
    values = {"bool": "on, off", "string": "text", "enum": ", ".join(words or [])}.get(kind) or f"{amount(least, unit)} … {amount(most, unit) if int(float(most)) < 1 << 29 else ''}".strip()
    values += f" ({unit})" if unit else ""
    shown = f"`{amount(default, unit) if kind == 'integer' else default or ''}`"
    return f"`{name}`", shown, values, CONTEXTS[context], cell(" ".join(filter(None, (short, extra))))


def settings(dsn):
    return table(("setting", "default", "values", "set by", "meaning"), *(setting(*row) for row in ask(dsn, SETTINGS)))


def member(kind, name, arguments, result, comment):
    if kind == "view":
        return f"`{name}`", f"view ({cell(result)})", cell(comment)
    return f"`{name}({cell(arguments)})`", f"`{cell(result)}`", cell(comment)


def members(dsn, schema):
    return table(("object", "result", "what it is"), *(member(*row) for row in ask(dsn, MEMBERS % schema)))


def options(_):
    """The table in crates/core/src/options.rs, with the comment above each entry."""
    text = (ROOT / "crates/core/src/options.rs").read_text()
    entries = re.findall(r'((?:^    //.*\n)+)^    \("(\w+)", Kind::(\w+)(?:\(&\[([^\]]*)\]\))?\),$', text, re.M)
    kinds = {"Bool": "boolean", "True": "`true`", "Text": "text", "Schedule": "`'30s'`, `'5m'`, cron text, `'@hourly'`, `calculated`"}
    return table(("option", "values", "meaning"),
                 *((f"`{name}`", kinds.get(kind) or ", ".join(f"`{v}`" for v in re.findall(r'"(\w+)"', values)),
                    cell(" ".join(line.strip(" /") for line in meaning.splitlines()))) for meaning, name, kind, values in entries))


def errors(_):
    return table(("SQLSTATE", "message", "hint"), *((m.state, cell(m.text), cell(m.hint)) for m in messages.all_of(ROOT / "src")))


PARTS = {
    "settings": (REFERENCE / "settings.md", settings),
    "functions": (REFERENCE / "functions.md", lambda dsn: members(dsn, "tviews")),
    "interface": (REFERENCE / "pg_tviews.md", lambda dsn: members(dsn, "public")),
    "options": (REFERENCE / "options.md", options),
    "messages": (REFERENCE / "errors.md", errors),
}


def part(text, name):
    """What stands before a generated part, in it, and behind it."""
    begin, end = f"<!-- generated: {name} -->\n", f"<!-- end: {name} -->"
    before, found, rest = text.partition(begin)
    inside, closed, after = rest.partition(end)
    if not found or not closed:
        sys.exit(f"error: no part {name}")
    return before + begin, inside, end + after


def database(dsn):
    """A database with the extension in schema public, for questions."""
    name = "docs_reference"
    subprocess.run(["psql", "-X", "-q", "-d", dsn, "-c", f"DROP DATABASE IF EXISTS {name}", "-c", f"CREATE DATABASE {name}"], check=True,
                   stderr=subprocess.DEVNULL)
    own = re.sub(r"dbname=\S+", f"dbname={name}", dsn)
    subprocess.run(["psql", "-X", "-q", "-d", own, "-c", "CREATE EXTENSION pg_tviews"], check=True)
    return own


def check(dsn, write=False):
    """Compares pages with what they should have, or writes it; returns the number of parts that differ."""
    own, failures = database(dsn), 0
    for name, (page, make) in PARTS.items():
        before, inside, after = part(page.read_text(), name)
        wanted = f"\n{make(own)}\n\n"
        if write:
            page.write_text(before + wanted + after)
            continue
        print(f"{'ok' if inside == wanted else 'not ok'} - {page.relative_to(ROOT)} has what is generated: {name}", flush=True)
        if inside != wanted:
            failures += 1
            difference = difflib.unified_diff(inside.splitlines(), wanted.splitlines(), "page", "wanted", lineterm="", n=0)
            print(*(f"#   {line}" for line in [*difference][:30]), "#   make reference writes it", sep="\n", flush=True)
    subprocess.run(["psql", "-X", "-q", "-d", dsn, "-c", "DROP DATABASE docs_reference WITH (FORCE)"], check=True)
    return failures


def main():
    """Writes the pages, by a server of its own."""
    sys.path.insert(0, str(ROOT / "regress/t"))
    import build
    from cluster import Cluster

    config = build.install(sys.argv[1] if len(sys.argv) > 1 else "18", os.environ.get("PROFILE", "dev"))
    with Cluster(config, ram=True) as cluster:
        os.environ.update(cluster.env, PATH=f"{cluster.bindir}:{os.environ['PATH']}")
        check(cluster.dsn(), write=True)


if __name__ == "__main__":
    main()
