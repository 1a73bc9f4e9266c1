"""What `tviews lint` knows of PostgreSQL's functions without a server (crates/cli/src/lint/builtin.txt): asked of a server, function by function.

The list is that of PostgreSQL 18, and has to be the same there; with --write as last argument it is written. Of other versions, functions that are in the
list have to be what it says.
"""

import sys
from collections import defaultdict
from pathlib import Path

from cluster import Cluster, Report

LIST = Path(__file__).resolve().parents[2] / "crates/cli/src/lint/builtin.txt"

ASK = """
SET client_min_messages = error;
CREATE EXTENSION pg_tviews;
CREATE TABLE t (id int PRIMARY KEY, g int NOT NULL);
CREATE FUNCTION said(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    SELECT strategy INTO answer FROM tviews.check(query);
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION example(of oid) RETURNS text LANGUAGE sql AS $$
    SELECT CASE t WHEN 'any' THEN 'int' WHEN 'anyenum' THEN 'int' WHEN 'record' THEN 't' WHEN 'anyrange' THEN 'int4range' WHEN 'anycompatiblerange' THEN 'int4range'
                  WHEN 'anymultirange' THEN 'int4multirange' WHEN 'anycompatiblemultirange' THEN 'int4multirange'
                  WHEN 'anyarray' THEN 'int[]' WHEN 'anycompatiblearray' THEN 'int[]'
                  ELSE CASE WHEN t LIKE 'any%' THEN 'int' ELSE format_type(of, NULL) END END
      FROM (SELECT typname::text AS t FROM pg_type WHERE oid = of) x $$;
CREATE TABLE f AS
    SELECT proname::text AS name, prokind AS kind, pronargs AS arguments, proretset AS set, provolatile AS volatile,
           format('pg_catalog.%I(%s)', proname, (
               SELECT string_agg(CASE WHEN provariadic NOT IN (0, '"any"'::regtype) AND i = pronargs THEN 'VARIADIC ' ELSE '' END || 'NULL::' || example(a), ', ' ORDER BY i)
                 FROM unnest(proargtypes::oid[]) WITH ORDINALITY u (a, i))) AS call,
           (SELECT string_agg(format_type(a, NULL), ',' ORDER BY i) FROM unnest(proargtypes::oid[]) WITH ORDINALITY u (a, i)) AS types
      FROM pg_proc
     WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind IN ('f', 'a', 'w')
       AND NOT proargtypes::oid[] && '{internal,cstring,trigger}'::regtype[]::oid[]
       AND prorettype <> ALL ('{internal,cstring,trigger,event_trigger,language_handler,fdw_handler,index_am_handler,table_am_handler,tsm_handler}'::regtype[]);
"""
# Functions that the list accepts are asked about together, one by one only where that is not the answer: it is the same, and takes a third of the time.
TOGETHER = """
CREATE TABLE refused (name text);
INSERT INTO refused SELECT unnest('{{{refused}}}'::text[]);
CREATE TABLE part AS
    SELECT array_agg(call) AS calls, said(format('SELECT id, %s FROM t', string_agg(format('(%s) AS x%s', call, n), ', '))) AS answer
      FROM (SELECT call, row_number() OVER () AS n FROM f WHERE kind = 'f' AND NOT set AND name NOT IN (TABLE refused)) x GROUP BY n / 25;
"""
ANSWERS = """
COPY (SELECT name, kind, arguments, set, volatile, coalesce(types, ''),
             CASE WHEN kind = 'a' THEN said(format('SELECT g, (%s) AS x FROM t GROUP BY g', CASE call WHEN 'pg_catalog.count()' THEN 'count(*)' ELSE call END))
                  WHEN set THEN said(format('SELECT id, x::text AS x FROM t, %s AS x', call))
                  WHEN kind = 'f' THEN coalesce((SELECT answer FROM part WHERE call = ANY (calls) AND answer = 'keyed'), said(format('SELECT id, (%s) AS x FROM t', call))) END
        FROM f) TO stdout
"""


def verdict(said, volatile):
    if "volatile function" in said or (said[0].isdigit() and volatile == "v"):
        return "v"
    if "cannot be maintained" in said:
        return "t" if "text_search" in said else "r"
    return "accepted"


def lines(answers):
    """The list: see builtin.rs for what a line means."""
    functions, aggregates, windows, sets = defaultdict(lambda: defaultdict(set)), defaultdict(dict), set(), set()
    for row in answers.splitlines():
        name, kind, arguments, returns_set, volatile, types, said = row.split("\t")
        if kind == "w":
            windows.add(name)
        elif kind == "a":
            aggregates[name][types] = said == "fold"
        else:
            # they take enums, of which there are none to ask with
            refused = "r" if name in ("enum_first", "enum_last", "enum_range") else verdict(said, volatile)
            functions[name][int(arguments)].add(refused)
            if returns_set == "t":
                sets.add(name)
    for name, by_number in functions.items():
        verdicts = set.union(*by_number.values())
        words = sorted(verdicts - {"accepted"})
        if len(verdicts) > 1:
            words = [("?" if len(v) > 1 else next(iter(v))) + str(n) for n, v in sorted(by_number.items()) if v != {"accepted"}]
        yield " ".join([name, *words, *(["*"] if name in sets else [])])
    for name, by_types in aggregates.items():
        folded = sorted(types for types, folds in by_types.items() if folds)
        yield f"{name} a " + ("fold" if len(folded) == len(by_types) else "fold: " + ", ".join(folded) if folded else "keyed")
    for name in windows:
        yield f"{name} w"


def main():
    report = Report()
    with Cluster(ram=True) as cluster:
        cluster.sql(ASK)
        refused = [name for name, _, rest in (line.partition(" ") for line in LIST.read_text().splitlines()) if rest and rest[0] in "vrt?"]
        cluster.sql(TOGETHER.format(refused=",".join(refused)))
        known = sorted(lines(cluster.sql(ANSWERS)))
        version = int(cluster.sql("SHOW server_version_num")) // 10000
    if "--write" in sys.argv:
        LIST.write_text("\n".join(known) + "\n")
    listed = LIST.read_text().splitlines()
    if version == 18:
        different = set(known) ^ set(listed)
        report.ok(not different, "the list is what the server says", "\n".join(sorted(different)))
    else:
        by_name = defaultdict(set)
        for line in listed:
            by_name[line.partition(" ")[0]].add(line)
        scalar = [line for line in known if " a " not in line and line.partition(" ")[0] in by_name]
        different = [line for line in scalar if line not in by_name[line.partition(" ")[0]]]
        report.ok(len(scalar) > 1000 and not different, "what is in the list is what the server says", "\n".join(different))
    report.done()


main()
