"""What listening clients get of TVIEWs with the option notify: psycopg, from a directory given as argument, and a program in Rust, the other argument.

Messages come at commit, from the server's own NOTIFY; each names the TVIEW, the kind of change and the keys, in less than 8,000 bytes.
"""

import json
import subprocess
import sys

from cluster import Cluster, Report, SqlError

sys.path.insert(0, sys.argv[1])
import psycopg  # noqa: E402

SETUP = """
CREATE EXTENSION pg_tviews;
CREATE TABLE tb_user (pk_user int PRIMARY KEY, id uuid NOT NULL UNIQUE, name text NOT NULL);
CREATE TABLE tb_post (pk_post int PRIMARY KEY, id uuid NOT NULL UNIQUE, fk_user int NOT NULL, title text NOT NULL);
INSERT INTO tb_user SELECT i, md5('u' || i)::uuid, 'user ' || i FROM generate_series(1, 5) i;
INSERT INTO tb_post SELECT i, md5('p' || i)::uuid, i % 5 + 1, 'post ' || i FROM generate_series(1, 2000) i;
CREATE INDEX ON tb_post (fk_user);
CREATE TVIEW tv_post WITH (notify) AS
    SELECT p.pk_post, p.id, jsonb_build_object('title', p.title, 'author', u.name) AS data FROM tb_post p JOIN tb_user u ON u.pk_user = p.fk_user;
CREATE TVIEW tv_count WITH (notify) AS SELECT fk_user, count(*) AS n FROM tb_post GROUP BY fk_user;
"""


class Listener:
    """psycopg, and beside it the program in Rust; `differ` has where they did not hear the same."""

    def __init__(self, cluster):
        self.connection = psycopg.connect(cluster.dsn(), autocommit=True)
        self.connection.execute("LISTEN tviews")
        self.program = subprocess.Popen([sys.argv[2], cluster.dsn()], stdout=subprocess.PIPE, text=True, env=cluster.env)
        self.program.stdout.readline()
        self.both, self.differ = 0, []

    def heard(self):
        """The messages since the last call. A message of our own, sent last, ends the wait."""
        self.connection.execute("NOTIFY tviews, 'end'")
        messages = []
        for message in self.connection.notifies(timeout=20):
            if message.payload == "end":
                break
            messages.append(message.payload)
        else:
            raise TimeoutError("no message of our own")
        by_program = list(iter(self.line, "end"))
        self.both += len(messages)
        if by_program != messages:
            self.differ.append((messages, by_program))
        return messages

    def line(self):
        line = self.program.stdout.readline()
        if not line:
            raise EOFError("the program in Rust has ended")
        return line.rstrip("\n")


def main():
    report = Report()
    with Cluster() as cluster:
        cluster.sql(SETUP)
        listener = Listener(cluster)
        identity = {int(pk): id for pk, id in (row.split("|") for row in cluster.sql("SELECT pk_post, id FROM tb_post").splitlines())}

        def expect(what, sql, wanted):
            cluster.sql(sql)
            heard = [json.loads(m) for m in listener.heard()]
            report.ok(heard == wanted, what, f"{heard} instead of {wanted}")

        post = {"tview": "public.tv_post"}
        expect("an update names the public id", "UPDATE tb_post SET title = 'new' WHERE pk_post = 1",
               [{**post, "op": "update", "keys": [{"id": identity[1]}]}])
        expect("an insert is announced by all TVIEWs that show it",
               "INSERT INTO tb_post VALUES (2001, '00000000-0000-0000-0000-000000000001', 1, 'x')",
               [{**post, "op": "insert", "keys": [{"id": "00000000-0000-0000-0000-000000000001"}]},
                {"tview": "public.tv_count", "op": "update", "keys": [{"fk_user": 1}]}])
        expect("what does not change is not announced", "UPDATE tb_post SET title = title; UPDATE tb_user SET name = name", [])
        expect("what is rolled back is not announced", "BEGIN; DELETE FROM tb_post WHERE pk_post = 2; SELECT count(*) FROM tv_post; ROLLBACK", [])
        expect("there and back is not announced", "BEGIN; DELETE FROM tb_post WHERE pk_post = 2001; SELECT count(*) FROM tv_post; INSERT INTO tb_post "
               "VALUES (2001, '00000000-0000-0000-0000-000000000001', 1, 'x'); COMMIT", [])
        expect("a savepoint that is rolled back is left out",
               "BEGIN; UPDATE tb_post SET title = 'a' WHERE pk_post = 3; SAVEPOINT s; UPDATE tb_post SET title = 'a' WHERE pk_post = 4; "
               "SELECT count(*) FROM tv_post; ROLLBACK TO s; COMMIT",
               [{**post, "op": "update", "keys": [{"id": identity[3]}]}])

        cluster.sql("UPDATE tb_user SET name = 'renamed' WHERE pk_user = 2")
        raw = listener.heard()
        heard = [json.loads(m) for m in raw]
        keys = sorted(key["id"] for message in heard for key in message["keys"])
        wanted = sorted(cluster.sql("SELECT id FROM tb_post WHERE fk_user = 2").splitlines())
        report.ok(keys == wanted and len(heard) > 1 and all(m["op"] == "update" for m in heard), "many keys are split, each is named once", raw[:2])
        report.ok(all(len(m.encode()) < 8000 for m in raw), "messages are shorter than the server allows", max(len(m) for m in raw))

        expect("past the limit one message says that all may have changed", "UPDATE tb_post SET title = title || '.'", [{**post, "op": "all"}])
        expect("TRUNCATE of many rows as well", "BEGIN; TRUNCATE tb_post; COMMIT",
               [{**post, "op": "all"}, {"tview": "public.tv_count", "op": "delete", "keys": [{"fk_user": i} for i in range(1, 6)]}])
        expect("REFRESH of an emptied TVIEW as well",
               "REFRESH MATERIALIZED VIEW tv_count WITH NO DATA; REFRESH MATERIALIZED VIEW tv_count", [{"tview": "public.tv_count", "op": "all"}])
        expect("a TVIEW that is dropped is not announced", "BEGIN; INSERT INTO tb_post SELECT 1, md5('p1')::uuid, 1, ''; SELECT count(*) FROM tv_count; "
               "DROP MATERIALIZED VIEW tv_count; COMMIT", [{**post, "op": "insert", "keys": [{"id": identity[1]}]}])
        try:
            cluster.sql("BEGIN; DELETE FROM tb_post; PREPARE TRANSACTION 'p'")
            report.ok(False, "a prepared transaction is refused")
        except SqlError as error:
            report.ok("cannot PREPARE" in str(error), "a prepared transaction is refused", error)
        expect("and announces nothing", "SELECT 1", [])
        report.ok(listener.both > 10 and not listener.differ, "a client in Rust hears the same", (listener.both, listener.differ[:2]))
        listener.connection.close()
        listener.program.kill()
        listener.program.wait()
        report.ok(cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()") == "t", "TVIEWs equal their queries")
    report.done()


if __name__ == "__main__":
    main()
