"""`make demo`: real flights, three TVIEWs on them, ordinary writes, and what each of these changed and cost: `run.py [PG]`.

Three databases of one throw-away cluster get the same writes: `tviews` keeps the views of tviews.sql, `matviews` has them as plain
materialized views to time REFRESH, `alone` has the tables only. All but the last day is loaded; that day is one of the writes.
Invariant: every number on the screen was measured in this run. The loaded tables are kept in target/cache for the next one.
"""

import csv
import hashlib
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tools"), str(HERE.parent / "regress/t")]
import build  # noqa: E402
import toolchain  # noqa: E402
from cluster import Cluster  # noqa: E402

VIEWS = ["tv_flight", "tv_carrier", "tv_airport"]
LAST_DAY = ("12", "31")
SETTINGS = {"fsync": "on", "full_page_writes": "on", "wal_level": "replica", "shared_buffers": "256MB", "autovacuum": "off"}


def flights():
    """Directory of the CSV files, with the flights of the last day in day.csv and the others in before.csv."""
    directory = toolchain.flights()
    if not (directory / "day.csv").exists():
        with open(directory / "flights.csv", newline="") as source, open(directory / "before.csv", "w") as before, open(directory / "day.csv.new", "w") as day:
            rows = csv.reader(source)
            next(rows)
            outputs = csv.writer(before), csv.writer(day)
            for row in rows:
                outputs[(row[1], row[2]) == LAST_DAY].writerow(row)
        (directory / "day.csv.new").rename(directory / "day.csv")
    return directory


def psql(cluster, script, database, cwd="/"):
    """Runs a script and returns all that psql prints."""
    done = subprocess.run(cluster.psql("-A", "-t", "-f", "-", database=database), input=script, text=True, env=cluster.env, cwd=cwd,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"error in database {database}:\n{done.stdout[-3000:]}")
    return done.stdout


def milliseconds(output):
    """Sum of what psql's \\timing reports."""
    return sum(float(ms) for ms in re.findall(r"^Time: ([\d.]+) ms", output, re.M))


def load(config, directory):
    """A saved cluster with the loaded tables in database `alone`, and with plain materialized views in `matviews`."""
    scripts = "".join((HERE / f"{name}.sql").read_text() for name in ("schema", "indexes", "tviews"))
    saved = toolchain.CACHE / f"flights-{toolchain.major(config)}-{hashlib.sha1(scripts.encode()).hexdigest()[:8]}"
    if saved.exists():
        return saved
    toolchain.say("loading 336,000 flights, 26,115 hours of weather, 3,322 planes, 1,458 airports, 16 airlines (first run only)")
    columns = "year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay carrier flight tailnum origin dest air_time distance hour minute time_hour"
    copies = "".join(f"\\copy {t} FROM '{t}.csv' (FORMAT csv, HEADER, NULL 'NA')\n" for t in ("airlines", "airports", "planes", "weather"))
    copies += f"\\copy flights ({columns.replace(' ', ', ')}) FROM 'before.csv' (FORMAT csv, NULL 'NA')\n"
    cluster = Cluster(config, **{**SETTINGS, "fsync": "off", "shared_preload_libraries": ""})
    try:
        cluster.create()
        cluster.start()
        psql(cluster, "CREATE DATABASE alone", "postgres")
        psql(cluster, (HERE / "schema.sql").read_text() + copies + (HERE / "indexes.sql").read_text(), "alone", directory)
        toolchain.say("building the same views as plain materialized views, to compare (first run only)")
        psql(cluster, "CREATE DATABASE matviews TEMPLATE alone STRATEGY file_copy", "postgres")
        psql(cluster, plain(views()), "matviews")
        cluster.stop()
        cluster.save(saved)
    finally:
        cluster.discard()
    return saved


def views():
    return (HERE / "tviews.sql").read_text()


def plain(sql):
    return sql.replace("CREATE TVIEW", "CREATE MATERIALIZED VIEW")


def writes():
    """(title, script, label, query) of each write in writes.sql."""
    pattern = r"^-- write: (.*)\n((?s:.*?))^-- shows: (.*)\n((?s:.*?;\n))"
    return re.findall(pattern, (HERE / "writes.sql").read_text(), re.M)


def perform(cluster, database, directory, show):
    """All writes in one session; returns (milliseconds, value before, value after) of each."""
    script = "\\pset null -\n"
    for _, write, _, query in writes():
        look = query if show else ""
        script += f"\\echo @\n{look}\\echo @\n\\timing on\n{write}\\timing off\n\\echo @\n{look}"
    parts = [part.strip() for part in psql(cluster, script, database, directory).split("@\n")[1:]]
    return [(milliseconds(parts[i + 1]), parts[i], parts[i + 2]) for i in range(0, len(parts), 3)]


def took(ms):
    return f"{ms:,.1f} ms" if ms < 1000 else f"{ms / 1000:,.2f} s"


def main():
    began = time.time()
    pg = sys.argv[1] if len(sys.argv) > 1 else "18"
    toolchain.say("building the extension (release)")
    config = build.install(pg, "release")
    directory = flights()
    saved = load(config, directory)
    toolchain.say("starting a throw-away cluster")
    with Cluster(config, template=saved, **SETTINGS) as cluster:
        psql(cluster, "CREATE DATABASE tviews TEMPLATE alone STRATEGY file_copy; CHECKPOINT", "postgres")
        toolchain.say("creating the TVIEWs")
        created = psql(cluster, "CREATE EXTENSION pg_tviews;\n\\timing on\n" + views(), "tviews")
        create = [float(ms) for ms in re.findall(r"^Time: ([\d.]+)", created, re.M)]
        toolchain.say("refreshing the plain materialized views")
        refresh = [milliseconds(psql(cluster, f"\\timing on\nREFRESH MATERIALIZED VIEW {view};", "matviews")) for view in VIEWS]
        toolchain.say("writing")
        psql(cluster, "CHECKPOINT; SELECT count(*) FROM flights; SELECT count(*) FROM airlines;", "alone")
        with_tviews = perform(cluster, "tviews", directory, True)
        without = perform(cluster, "alone", directory, False)
        toolchain.say("verifying")
        verified = psql(cluster, "SELECT tview, missing, extra, ok FROM tviews.verify_all() ORDER BY 1::text", "tviews").split()
        document = psql(cluster, "SELECT data FROM tv_flight WHERE id = 1000", "tviews").strip()
        rows = [psql(cluster, f"SELECT count(*) FROM {view}", "tviews").strip() for view in VIEWS]
        server = psql(cluster, "SHOW server_version", "tviews").split()[0]

    print(f"\npg_tviews {build.version()} on PostgreSQL {server}, flights from New York in 2013\n")
    print(f"{'TVIEW':<34}{'rows':>12}{'CREATE TVIEW':>18}{'REFRESH of a matview':>24}")
    for view, count, ms, again in zip(VIEWS, rows, create, refresh):
        print(f"{view:<34}{int(count):>12,}{took(ms):>18}{took(again):>24}")
    print("\none document of tv_flight:")
    print(textwrap.fill(document, 96, initial_indent="  ", subsequent_indent="  "))
    print(f"\n{'write, and what it changed':<46}{'without':>14}{'with TVIEWs':>14}{'REFRESH of all':>18}")
    for (title, _, label, _), (ms, before, after), (base, _, _) in zip(writes(), with_tviews, without):
        print(f"{title:<46}{took(base):>14}{took(ms):>14}{took(sum(refresh)):>18}")
        print(f"    {label}: {before} → {after}" if before != after else f"    {label}: {before}, unchanged")
    print("(REFRESH was measured once: it does the same work after every write)\n")
    for line in verified:
        tview, missing, extra, ok = line.split("|")
        print(f"tviews.verify {tview:<20} {missing} missing, {extra} extra: {'exact' if ok == 't' else 'WRONG'}")
    print(f"\n{time.time() - began:.0f} s in all")
    sys.exit(0 if verified and all(line.endswith("|t") for line in verified) else 1)


if __name__ == "__main__":
    main()
