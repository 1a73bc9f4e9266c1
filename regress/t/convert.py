"""sql/convert_tviews.sh: tables that were filled by hand become TVIEWs, from the shell, with the extension in a schema of its own.

Invariant tested: --plan changes nothing; a second run changes nothing; what cannot be converted is told by the exit status.
"""

import subprocess
from pathlib import Path

from cluster import Cluster, Report

SCRIPT = Path(__file__).resolve().parents[2] / "sql/convert_tviews.sh"
TVIEWS = "SELECT string_agg(tview_oid::regclass::text, ' ' ORDER BY 1) FROM interface.pg_tview_meta"


def main():
    report = Report()
    with Cluster() as cluster:

        def convert(*arguments):
            env = dict(cluster.env, PATH=f"{cluster.bindir}:{cluster.env['PATH']}")
            done = subprocess.run(["sh", SCRIPT, *arguments], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            return done.returncode, done.stdout

        status, shown = convert("-d", "postgres")
        report.ok(status == 3 and "is not installed" in shown, "without the extension it fails", shown)
        cluster.sql("""CREATE SCHEMA interface; CREATE EXTENSION pg_tviews SCHEMA interface; CREATE SCHEMA "Shop's";
                       CREATE TABLE "Shop's".tb_item (pk_item int PRIMARY KEY, name text); INSERT INTO "Shop's".tb_item VALUES (1, 'apple');
                       CREATE TABLE "Shop's".tv_item (pk_item int PRIMARY KEY, data jsonb);
                       CREATE TABLE tb_a (pk_a int PRIMARY KEY); CREATE TABLE tv_a (pk_a int); CREATE VIEW reader AS SELECT * FROM tv_a""")
        status, shown = convert("-d", "postgres", "-s", "Shop's", "--plan")
        report.ok(status == 0 and "jsonb_build_object" in shown, "--plan shows the query", shown)
        report.ok(cluster.sql(TVIEWS) == "", "and does nothing", cluster.sql(TVIEWS))
        status, shown = convert("--database", "postgres", "--schema", "Shop's")
        report.ok(status == 0 and "SUCCESS" in shown, "the tables of a schema are converted", shown)
        report.ok(cluster.sql(TVIEWS) == "\"Shop's\".tv_item", "they are TVIEWs", cluster.sql(TVIEWS))
        report.ok(cluster.sql("SELECT data ->> 'name' FROM \"Shop's\".tv_item") == "apple", "with the documents of their tables")
        before = cluster.sql("SELECT oid, relfilenode FROM pg_class WHERE relname = 'tv_item'")
        status, shown = convert("-d", "postgres", "-s", "Shop's")
        after = cluster.sql("SELECT oid, relfilenode FROM pg_class WHERE relname = 'tv_item'")
        report.ok(status == 0 and "already" in shown and before == after, "a second run changes nothing", shown)
        status, shown = convert("-d", "postgres")
        report.ok(status == 3 and "other objects depend on table public.tv_a" in shown, "what cannot be converted is an error", shown)
        status, shown = convert("-d", "postgres", "-s", "nosuch")
        report.ok(status == 3 and 'schema "nosuch" does not exist' in shown, "and so is a schema that is not there", shown)
        status, shown = convert("--nosuch")
        report.ok(status == 2 and "unknown option" in shown and "--plan" in shown, "wrong arguments show the usage", shown)
        native = cluster.sql("SELECT count(*) FROM pg_proc WHERE pronamespace = 'interface'::regnamespace AND proname !~ '^pg_tviews_'")
        report.ok(native == "0", "the extension's schema has the interface only", native)
        cluster.sql("DROP EXTENSION pg_tviews CASCADE")
        status = cluster.sql("SELECT count(*) FROM pg_proc WHERE pronamespace = 'interface'::regnamespace")
        report.ok(status == "0", "which goes with the extension", status)
    report.done()


if __name__ == "__main__":
    main()
