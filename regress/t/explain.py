"""EXPLAIN ANALYZE of writes as programs read it: well formed in every format, beside auto_explain on either side of our hooks, and with a timeout in the
middle. YAML is read by what EXPLAIN writes of it: `key: value`, lists, indentation."""

import json
import re
import xml.etree.ElementTree as xml

from cluster import Cluster, Report, SqlError

PAGE = '"page <&> "" \\"'
VIEW = 'public."view: <&> - # \\"'
SETUP = f"""
CREATE EXTENSION pg_tviews;
CREATE TABLE author (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE {PAGE} (id int PRIMARY KEY, author int NOT NULL REFERENCES author, title text NOT NULL);
INSERT INTO author SELECT i, 'author ' || i FROM generate_series(1, 50) i;
INSERT INTO {PAGE} SELECT i, i % 50 + 1, 'page ' || i FROM generate_series(1, 2000) i;
CREATE TVIEW {VIEW} AS SELECT p.id, p.title, a.name FROM {PAGE} p JOIN author a ON a.id = p.author;
CREATE TVIEW by_author AS SELECT author, count(*) AS n FROM {PAGE} GROUP BY author;
"""
WRITE = f"UPDATE {PAGE} SET title = title || '.', author = 7 WHERE id = 4"


def yaml_flushes(text):
    """The properties of each flush."""
    flushes, inside = [], None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if line.strip() == "Flushes:":
            inside = indent
        elif inside is not None and indent > inside:
            item = re.fullmatch(r"\s*(- )?([A-Z][\w ]*): (\".*\"|[\d.]+)", line)
            if not item:
                raise ValueError(line)
            if item[1]:
                flushes.append({})
            flushes[-1][item[2]] = json.loads(item[3])
        else:
            inside = None
    return flushes


def xml_flushes(text):
    root = xml.fromstring(text)
    name = "{http://www.postgresql.org/2009/explain}"
    return [{p.tag.removeprefix(name).replace("-", " "): p.text for p in flush} for flush in root.iter(f"{name}Flush")]


READERS = {"json": lambda text: json.loads(text)[0]["Flushes"], "yaml": yaml_flushes, "xml": xml_flushes}


def formats(cluster, report):
    for timing in ("ON", "OFF"):
        for kind, read in READERS.items():
            flushes = read(cluster.sql(f"EXPLAIN (ANALYZE, VERBOSE, TIMING {timing}, FORMAT {kind}) {WRITE}"))
            name = f"{kind}, TIMING {timing}"
            report.ok([f["TVIEW"] for f in flushes] == [VIEW, "public.by_author"][: len(flushes)] and flushes, f"{name}: the TVIEWs", flushes)
            first = {key: str(value) for key, value in flushes[0].items()}
            report.ok(first["Rows Updated"] == "1" and first["Strategy"] == "keyed" and first["Way"], f"{name}: what the flush did", first)
            times = [key for key in first if key.endswith("Time")]
            report.ok(times == (["Time", "Waiting Time", "Computing Time", "Writing Time"] if timing == "ON" else []), f"{name}: its times", times)
            if timing == "ON":
                total, *parts = (float(first[key]) for key in times)
                report.ok(0 < sum(parts) <= total + 0.01 and float(first["Writing Time"]) > 0, f"{name}: parts of the time", first)


def flushes(cluster):
    return int(cluster.sql("SELECT flushes FROM tviews.stat WHERE tview = 'by_author'::regclass"))


def auto_explain(cluster, report, how, load):
    settings = f"""{load}SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on; SET auto_explain.log_nested_statements = on;
                   SET auto_explain.log_triggers = on; SET client_min_messages = error;"""
    before, since = flushes(cluster), len(cluster.log.read_text())
    cluster.sql(f"{settings} UPDATE {PAGE} SET author = 8 WHERE id = 5")
    log = cluster.log.read_text()[since:]
    report.ok("plan:" in log and "Flush of" not in log, f"{how}: a logged plan has no flush", log[-2000:])
    report.ok(flushes(cluster) == before + 1, f"{how}: its flush is at commit", flushes(cluster) - before)
    since = len(cluster.log.read_text())
    shown = cluster.sql(f"{settings} EXPLAIN ANALYZE UPDATE {PAGE} SET author = 9 WHERE id = 5")
    log = cluster.log.read_text()[since:]
    report.ok(shown.count("Flush of TVIEW public.by_author") == 1 and "Flush of" not in log, f"{how}: EXPLAIN ANALYZE shows it once", shown + log[-2000:])
    report.ok(flushes(cluster) == before + 2, f"{how}: and flushes once", flushes(cluster) - before)
    # the plan of a nested statement is logged while EXPLAIN ANALYZE runs: that is not the end of the statement
    cluster.sql(f"""CREATE OR REPLACE FUNCTION writes() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
                        UPDATE {PAGE} SET author = 10 WHERE id = 5; UPDATE {PAGE} SET author = 11 WHERE id = 6; RETURN 1; END $$""")
    shown = cluster.sql(f"{settings} EXPLAIN ANALYZE SELECT writes()")
    report.ok(shown.count("Flush of TVIEW public.by_author") == 1, f"{how}: one flush for nested statements", shown)
    report.ok(flushes(cluster) == before + 3, f"{how}: really", flushes(cluster) - before)


def timeouts(cluster, report):
    """Wherever it ends, nothing of the statement is there, and the next one works."""
    before = cluster.sql(f"SELECT sum(hashtext(p::text)) FROM {PAGE} p")
    ended = 0
    for limit in (*range(1, 30), *range(30, 120, 10)):
        try:
            cluster.sql(f"""SET statement_timeout = {limit}; BEGIN;
                            DO $$ DECLARE l text; BEGIN
                                FOR k IN 1..3 LOOP
                                    BEGIN
                                        FOR l IN EXECUTE 'EXPLAIN ANALYZE UPDATE {PAGE} SET title = title || 1' LOOP END LOOP;
                                    EXCEPTION WHEN division_by_zero THEN NULL;
                                    END;
                                END LOOP;
                            END $$; ROLLBACK""")
        except SqlError as error:
            ended += "statement timeout" in str(error)
    report.ok(ended > 0, "a timeout in the middle", ended)
    report.ok(cluster.sql(f"SELECT sum(hashtext(p::text)) FROM {PAGE} p") == before, "leaves nothing")
    report.ok("Flush of" in cluster.sql(f"EXPLAIN ANALYZE {WRITE}"), "and the next one works")


def main():
    report = Report()
    with Cluster() as cluster:
        cluster.sql(SETUP)
        formats(cluster, report)
        auto_explain(cluster, report, "auto_explain after us", "LOAD 'auto_explain';")
        cluster.stop()
        with open(cluster.data / "postgresql.auto.conf", "a") as conf:
            conf.write("shared_preload_libraries = 'auto_explain, pg_tviews'\n")
        cluster.start()
        auto_explain(cluster, report, "auto_explain before us", "")
        timeouts(cluster, report)
        report.ok(cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()") == "t", "TVIEWs equal their queries")
    report.done()


if __name__ == "__main__":
    main()
