"""The files of monitoring/, for real: every query runs as a role that is a member of pg_monitor and nothing else; postgres_exporter serves what
postgres_exporter.yaml says; Prometheus scrapes it, loads the alert rules and evaluates every expression of the dashboard.

Arguments: a directory with PyYAML, a directory with prometheus, promtool and postgres_exporter. sql_exporter.yml is compared with what the other exporter
serves: it has the same queries and the same metrics.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from cluster import Cluster, Report, SqlError

sys.path.insert(0, sys.argv[1])
import yaml  # noqa: E402

PROGRAMS = Path(sys.argv[2])
ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "monitoring"
RUNBOOK = "docs/operate/monitoring.md"
# Names of PromQL and its labels here; everything else that looks like a name must be a metric.
WORDS = {"rate", "increase", "sum", "max", "count", "by", "and", "or", "vector", "absent", "datname", "tview", "check", "base_table"}

SETUP = '''
CREATE EXTENSION pg_tviews;
CREATE SCHEMA app;
CREATE TABLE app.t (id int PRIMARY KEY, d int NOT NULL);
INSERT INTO app.t SELECT i, i FROM generate_series(1, 100) i;
CREATE TVIEW app.quotient AS SELECT id, 100 / d AS q FROM app.t;
CREATE TVIEW app."Odd ""name""" AS SELECT d, count(*) AS n FROM app.t GROUP BY d;
CREATE TVIEW app.empty AS SELECT id FROM app.t WITH NO DATA;
CREATE TVIEW app.secret AS SELECT id, d FROM app.t WHERE id > 90;
CREATE TVIEW app.later WITH (refresh = manual) AS SELECT d, sum(id) AS ids FROM app.t GROUP BY d;
UPDATE app.t SET d = 7 WHERE id < 5;
CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
'''


def exporters():
    """Queries and metrics of both files: name -> (sql, labels, metric names)."""
    ours = yaml.safe_load((FILES / "postgres_exporter.yaml").read_text())
    first = {}
    for name, query in ours.items():
        columns = [next(iter(metric.items())) for metric in query["metrics"]]
        labels = [column for column, about in columns if about["usage"] == "LABEL"]
        metrics = {f"{name}_{column}": about["usage"].lower() for column, about in columns if about["usage"] != "LABEL"}
        first[name] = (query["query"].strip(), labels, metrics)
    other = yaml.safe_load((FILES / "sql_exporter.yml").read_text())
    second = {query["query_name"]: (query["query"].strip(), [], {}) for query in other["queries"]}
    for metric in other["metrics"]:
        name, (sql, labels, metrics) = metric["query_ref"], second[metric["query_ref"]]
        metrics[metric["metric_name"]] = metric["type"]
        if metric["values"] != [metric["metric_name"].removeprefix(f"{name}_")]:
            raise ValueError(metric)
        second[name] = (sql, metric["key_labels"], metrics)
    return first, second


def expressions():
    """Every expression of alerts and dashboard, with where it is; variables of the dashboard are filled in."""
    found = [(f"alert {rule['alert']}", rule["expr"]) for group in yaml.safe_load((FILES / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    board = json.loads((FILES / "grafana.json").read_text())
    for panel in board["panels"]:
        found += [(f"panel {panel['title']}", target["expr"]) for target in panel["targets"]]
    for variable in board["templating"]["list"]:
        if match := re.fullmatch(r"label_values\((.*), (\w+)\)", variable.get("definition", "")):
            found.append((f"variable {variable['name']}", match[1]))
    fill = (("$__rate_interval", "1m"), ("$datname", ".*"), ("$tview", ".*"))
    return [(where, re.sub("|".join(map(re.escape, dict(fill))), lambda m: dict(fill)[m[0]], expr)) for where, expr in found]


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


def wait_for(what, seconds=60):
    """The first true answer."""
    deadline = time.time() + seconds
    while True:
        try:
            if answer := what():
                return answer
        except (urllib.error.URLError, ConnectionError):
            pass
        if time.time() > deadline:
            return None
        time.sleep(0.2)


@contextmanager
def running(log, *command, env=None):
    with open(log, "wb") as out:
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def as_watcher(cluster, sql):
    done = subprocess.run(cluster.psql("-U", "watcher", "-A", "-f", "-"), input=sql, capture_output=True, text=True, env=cluster.env)
    if done.returncode:
        raise SqlError(done.stderr.strip())
    return done.stdout.splitlines()


def queries(cluster, report):
    first, second = exporters()
    report.ok(first == second, "both exporters have the same queries and metrics", f"{first}\n{second}")
    for name, (sql, labels, metrics) in first.items():
        try:
            header, *rows, _ = as_watcher(cluster, sql)
            wanted = {*labels, *(metric.removeprefix(f"{name}_") for metric in metrics)}
            report.ok(set(header.split("|")) == wanted and rows, f"{name}: a member of pg_monitor gets what the file names", f"{header}\n{wanted}")
        except SqlError as error:
            report.ok(False, f"{name}: a member of pg_monitor may run it", error)
    return {metric: kind for _, _, metrics in first.values() for metric, kind in metrics.items()}


def names(report, metrics):
    used = set()
    for where, expr in expressions():
        bare = re.sub(r'"[^"]*"|\[\w+\]|\{\{|\}\}', "", expr)
        here = {word for word in re.findall(r"[A-Za-z_]\w*", bare)} - WORDS
        report.ok(here and here <= set(metrics), f"{where}: its metrics exist", f"{here - set(metrics)}: {expr}")
        used |= here
    report.ok(used == set(metrics), "every metric is used", set(metrics) - used)


def headings(text):
    return {re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.splitlines() if line.startswith("#")}


def runbooks(report, rules):
    known = headings((ROOT / RUNBOOK).read_text())
    for rule in rules:
        page, _, heading = rule["annotations"]["runbook"].partition("#")
        report.ok(page == RUNBOOK and heading in known, f"{rule['alert']}: its runbook is there", rule["annotations"])
        report.ok(rule["alert"] in (ROOT / RUNBOOK).read_text(), f"{rule['alert']}: the runbook names it")


def served(text):
    """Names and types of metrics, and samples by metric and labels."""
    types = dict(re.findall(r"^# TYPE (pg_tview\w*) (\w+)$", text, re.M))
    samples = re.findall(r"^(pg_tview\w*)\{(.*)\} (\S+)$", text, re.M)
    return types, {(name, re.search(r'(?:tview|check)="((?:[^"\\]|\\.)*)"', labels)[1] if "tview=" in labels or "check=" in labels else ""): float(value)
                   for name, labels, value in samples}


def through_prometheus(cluster, report, metrics, directory):
    exporter, prometheus = port(), port()
    dsn = f"postgresql://watcher@/postgres?host={urllib.parse.quote(str(cluster.directory), safe='')}&port=5432&sslmode=disable"
    config = directory / "prometheus.yml"
    shutil.copy(FILES / "alerts.yml", directory)
    config.write_text(yaml.safe_dump({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": ["alerts.yml"],
        "scrape_configs": [{"job_name": "postgres", "static_configs": [{"targets": [f"127.0.0.1:{exporter}"]}]}]}))
    panels = {"groups": [{"name": "dashboard", "rules": [{"record": f"e{i}", "expr": expr} for i, (_, expr) in enumerate(expressions())]}]}
    (directory / "dashboard.yml").write_text(yaml.safe_dump(panels))
    for what, file in (("config", config), ("rules", directory / "alerts.yml"), ("rules", directory / "dashboard.yml")):
        done = subprocess.run([PROGRAMS / "promtool", "check", what, file], capture_output=True, text=True)
        report.ok(done.returncode == 0, f"promtool check {what} {file.name}", done.stdout + done.stderr)

    env = {**os.environ, "DATA_SOURCE_NAME": dsn}
    with running(directory / "exporter.log", PROGRAMS / "prometheus-postgres-exporter", f"--web.listen-address=127.0.0.1:{exporter}", "--disable-default-metrics",
                 "--disable-settings-metrics", f"--extend.query-path={FILES / 'postgres_exporter.yaml'}", env=env):
        text = wait_for(lambda: get(f"http://127.0.0.1:{exporter}/metrics")) or ""
        types, samples = served(text)
        log = (directory / "exporter.log").read_text()
        report.ok(types == metrics, "postgres_exporter serves each metric, with its type", f"{types}\n{metrics}\n{log[-3000:]}")
        report.ok("pg_exporter_last_scrape_error{} 0" in text or "pg_exporter_last_scrape_error 0" in text, "without errors", log[-3000:])
        report.ok(samples.get(("pg_tview_flushes_total", "app.quotient")) == float(cluster.sql("SELECT flushes FROM tviews.stat WHERE tview = 'app.quotient'::regclass")),
                  "the numbers are those of tviews.stat", samples)
        report.ok(samples.get(("pg_tview_populated", "app.empty")) == 0 and samples.get(("pg_tview_populated", "app.secret")) == 1, "populated or not", samples)
        report.ok(samples.get(("pg_tviews_health_problem", "contents")) == 1 and samples.get(("pg_tviews_health_problem", "preload")) == 0, "health", samples)

        behind = samples.get(("pg_tviews_deferred_rows_behind", "app.later"))
        report.ok(re.search(r'^pg_tviews_log_size_bytes\{base_table="app.t".*\} [1-9]', text, re.M), "the size of the log that it follows", text[-3000:])
        report.ok(behind and behind == int(cluster.sql("SELECT rows_behind FROM tviews.staleness")), "how far a TVIEW that follows later is behind", samples)

        api = f"http://127.0.0.1:{prometheus}/api/v1"

        def query(expr):
            return json.loads(get(f"{api}/query?{urllib.parse.urlencode({'query': expr})}"))["data"]["result"]

        def alerts():
            groups = json.loads(get(f"{api}/rules"))["data"]["groups"]
            return {rule["name"]: rule for group in groups for rule in group["rules"]}

        with running(directory / "prometheus.log", PROGRAMS / "prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'data'}",
                     f"--web.listen-address=127.0.0.1:{prometheus}"):
            report.ok(wait_for(lambda: query("pg_tviews_health_problem")), "Prometheus scrapes it", (directory / "prometheus.log").read_text()[-3000:])
            # a write that fails in its flush, two scrapes after another one did, so that there is an increase
            for _ in range(3):
                try:
                    cluster.sql("UPDATE app.t SET d = 0 WHERE id = 50")
                    report.ok(False, "a write that its flush cannot follow")
                except SqlError as error:
                    report.ok("division by zero" in str(error), "a write that its flush cannot follow", error)
                time.sleep(2.5)
            firing = wait_for(lambda: (rule := alerts()["TviewFlushFails"])["state"] == "firing" and rule)
            labels = [alert["labels"]["tview"] for alert in firing["alerts"]] if firing else []
            report.ok(labels == ["app.quotient"], "the alert about it fires", firing or alerts())
            pending = wait_for(lambda: (rule := alerts()["TviewNotPopulated"])["state"] == "pending" and rule)
            report.ok(pending and [alert["labels"]["tview"] for alert in pending["alerts"]] == ["app.empty"], "that about an empty TVIEW waits", alerts()["TviewNotPopulated"])
            for name, rule in alerts().items():
                report.ok(rule["health"] == "ok", f"{name} is evaluated", rule)
            for where, expr in expressions():
                if not where.startswith("alert"):
                    report.ok(query(expr), f"{where}: {expr[:60]} has values", expr)


def main():
    report = Report()
    rules = [rule for group in yaml.safe_load((FILES / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    with Cluster() as cluster, tempfile.TemporaryDirectory() as directory:
        cluster.sql(SETUP)
        metrics = queries(cluster, report)
        names(report, metrics)
        runbooks(report, rules)
        through_prometheus(cluster, report, metrics, Path(directory))
    report.done()


if __name__ == "__main__":
    main()
