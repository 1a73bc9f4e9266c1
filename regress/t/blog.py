"""examples/blog, for real: its server answers over HTTP from a cache that the change feed keeps right, while an ORM writes.

Argument: a directory with the packages that the example requires. Which documents a write affects is asked of the tables, not of the feed.
"""

import json
import re
import subprocess
import sys
import threading
import urllib.request
import uuid
from pathlib import Path

from cluster import Cluster, Report

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/blog"
sys.path[:0] = [str(EXAMPLE), sys.argv[1]]
import psycopg  # noqa: E402
import server  # noqa: E402
import writes  # noqa: E402
from sqlalchemy import create_engine, update  # noqa: E402
from sqlalchemy.orm import Session  # noqa: E402

USER = "id identifier name"
COMMENT = f"id content author {{ {USER} }}"
POST = f"id identifier title author {{ {USER} }} comments {{ {COMMENT} }}"
FIELDS = {"user": USER, "comment": COMMENT, "post": POST}
# Of the seed: user 8 wrote some of these posts and comments, and comments of other posts.
WATCHED = {"user": range(1, 31), "post": [*range(1, 31), 107, 207], "comment": [*range(1, 31), 104, 201]}


def seeded(entity, n, cluster):
    return cluster.sql(f"SELECT md5('{entity} {n}')::uuid")


class Server:
    """server.py as a process of its own."""

    def __init__(self, cluster):
        command = [sys.executable, str(EXAMPLE / "server.py"), f"{cluster.dsn()} application_name=blog", "0"]
        self.program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=open(cluster.directory / "http.log", "w"), text=True,
                                        env={**cluster.env, "PYTHONPATH": sys.argv[1]})
        self.address = self.program.stdout.readline().strip()

    def ask(self, query, **variables):
        """What a client gets, and the documents that were read from the database for it."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(self.address, body, {"Content-Type": "application/json"}), timeout=60) as response:
            answer = json.load(response)
        read = answer.pop("extensions")["read"]
        return answer, read


class Example:
    def __init__(self, cluster, report):
        self.cluster, self.report, self.server = cluster, report, Server(cluster)
        self.engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(cluster.dsn()))
        self.watched = {(entity, seeded(entity, n, cluster)) for entity, numbers in WATCHED.items() for n in numbers}
        self.listen()

    def listen(self):
        self.listener = psycopg.connect(self.cluster.dsn(), autocommit=True)
        self.listener.execute("LISTEN tviews")

    def everything(self):
        """One query for all watched documents, by id."""
        fields = (f'{entity}_{id.replace("-", "")}: {entity}(id: "{id}") {{ {FIELDS[entity]} }}' for entity, id in sorted(self.watched))
        return "{ %s }" % " ".join(fields)

    def heard(self):
        """Messages of what is committed."""
        self.listener.execute("SELECT 1")
        return [message.payload for message in self.listener.notifies(timeout=0)]

    def showing(self, user=None, comment=None):
        """Documents in which a user's name, or a comment, is, by the tables."""
        condition = f"identifier = '{user}'" if user else "false"
        rows = self.cluster.sql(f"""
            WITH who AS (SELECT pk_user FROM tb_user WHERE {condition}),
                 what AS (SELECT * FROM tb_comment WHERE fk_user IN (TABLE who) OR id::text = '{comment or ""}')
            SELECT 'user', id FROM tb_user WHERE pk_user IN (TABLE who)
            UNION ALL SELECT 'comment', id FROM what
            UNION ALL SELECT 'post', id FROM tb_post WHERE fk_user IN (TABLE who) OR pk_post IN (SELECT fk_post FROM what)""")
        return {tuple(row.split("|")) for row in rows.splitlines()}

    def write(self, what, action, affected, commit=True):
        """Exactly the watched ones of `affected` are read again, once, and then what the cache has equals what is there."""
        self.heard()
        with Session(self.engine) as session:
            result = action(session)
            session.flush()
            session.commit() if commit else session.rollback()
        affected = affected(result) if callable(affected) else affected
        wanted = sorted(f"public.tv_{entity} {id}" for entity, id in affected & self.watched)
        messages = self.heard()
        self.report.ok(bool(messages) == bool(affected), f"{what}: {'it is' if affected else 'nothing is'} announced", messages)
        query = self.everything()
        answer, read = self.server.ask(query)
        self.report.ok(sorted(read) == wanted and bool(wanted) == bool(affected), f"{what}: what is affected is read again ({len(wanted)})",
                       f"read {read}\nwanted {wanted}")
        again, read = self.server.ask(query)
        fresh = server.Blog(self.cluster.dsn()).answer(query)
        self.report.ok(answer == again and not read and answer["data"] == fresh["data"] and len(fresh["extensions"]["read"]) > 90,
                       f"{what}: answers are those without a cache", read)
        return result


def reads(example):
    report, ask = example.report, example.server.ask
    query = "query($slug: String!) { post(identifier: $slug) { title author { name } comments { content author { name } } } }"
    wanted = {"data": {"post": {"title": "Post 7", "author": {"name": "User 8"}, "comments": [
        {"content": f"Comment {n}", "author": {"name": f"User {n % 97 + 1}"}} for n in (6, 1006, 2006)]}}}
    post = seeded("post", 7, example.cluster)
    answer, read = ask(query, slug="post-7")
    report.ok(answer == wanted and read == [f"public.tv_post {post}"], "a post comes with its author and comments, by one read", (answer, read))
    answer, read = ask(query, slug="post-7")
    report.ok(answer == wanted and read == [], "the second time it comes from the cache", (answer, read))
    answer, read = ask(f'{{ post(id: "{post.upper()}") {{ title }} }}')
    report.ok(answer == {"data": {"post": {"title": "Post 7"}}} and read == [], "by id, too, however that is written", (answer, read))
    answer, read = ask(f'{{ user(id: "{uuid.UUID(int=0)}") {{ name }} post(identifier: "nothing") {{ title }} }}')
    report.ok(answer == {"data": {"user": None, "post": None}} and read == [], "what is not there is null", (answer, read))
    answer, _ = ask('{ user { name } comment(id: "x") { content } }')
    report.ok(len(answer["errors"]) == 2, "errors are told", answer)
    for name, where in (("BY_ID", ("tv_user", "tv_comment", "tv_post")), ("BY_IDENTIFIER", ("tv_user", "tv_post"))):
        for tview in where:
            with psycopg.connect(example.cluster.dsn()) as connection:
                key = post if name == "BY_ID" else "post-7"
                plan = "\n".join(row[0] for row in connection.execute("EXPLAIN " + getattr(server, name).format(tview), [key]))
            report.ok("Index Scan" in plan and "Seq Scan" not in plan, f"{name} of {tview} uses an index", plan)


def changes(example):
    showing, write = example.showing, example.write
    answer, read = example.server.ask(example.everything())
    # the post of `reads` is there already
    example.report.ok(len(read) == len(example.watched) - 1 and all(answer["data"].values()), "all documents are read once", read)
    write("rename a user", lambda s: writes.rename_user(s, "user-8", "Ada"), showing(user="user-8"))
    write("rolled back", lambda s: writes.rename_user(s, "user-8", "Nobody"), set(), commit=False)
    write("the same name", lambda s: s.execute(update(writes.User).values(name=writes.User.name)), set())
    comment = write("add a comment", lambda s: writes.add_comment(s, "post-7", "user-1", "Well said."),
                    lambda new: showing(comment=new) - {("comment", new)})
    example.watched.add(("comment", comment))
    answer, read = example.server.ask(f'{{ comment(id: "{comment}") {{ content author {{ name }} }} }}')
    wanted = {"data": {"comment": {"content": "Well said.", "author": {"name": "User 1"}}}}
    example.report.ok(answer == wanted and len(read) == 1, "the new one is there", answer)
    write("edit a comment", lambda s: writes.edit_comment(s, comment, "Very well said."), showing(comment=comment))
    write("edit and back", lambda s: (writes.edit_comment(s, comment, "Oh."), s.flush(), writes.edit_comment(s, comment, "Very well said.")), set())
    shown = showing(comment=comment)
    example.watched.remove(("comment", comment))
    write("delete a comment", lambda s: writes.delete_comment(s, comment), shown)
    answer, read = example.server.ask(f'{{ comment(id: "{comment}") {{ content }} }}')
    example.report.ok(answer == {"data": {"comment": None}} and read == [], "a comment that is deleted is gone", (answer, read))
    write("all comments", lambda s: s.execute(update(writes.Comment).values(content=writes.Comment.content + "!")),
          {place for place in example.watched if place[0] != "user"})


def beside(example):
    """An answer has what was committed before it was asked for, while a writer goes on."""
    committed, ended, failed = [0], threading.Event(), []

    def writer():
        try:
            for n in range(1, 301):
                with Session(example.engine) as session, session.begin():
                    writes.rename_user(session, "user-5", str(n))
                committed[0] = n
        except Exception as error:
            failed.append(error)
        finally:
            ended.set()

    thread, asked, late = threading.Thread(target=writer), 0, []
    query = '{ user(identifier: "user-5") { name } post(identifier: "post-4") { author { name } } }'
    with Session(example.engine) as session, session.begin():
        writes.rename_user(session, "user-5", "0")
    thread.start()
    while True:
        last, before = ended.is_set(), committed[0]
        answer = example.server.ask(query)[0]["data"]
        seen = [int(answer["user"]["name"]), int(answer["post"]["author"]["name"])]
        asked += 1
        if min(seen) < before:
            late.append((before, seen))
        if last:
            break
    thread.join()
    example.report.ok(not failed and not late and asked > 20 and before == 300, "beside a writer no answer is old", (failed, late[:5], asked, before))


def names(example):
    """An identifier that goes to another user."""
    ask, query = example.server.ask, '{ a: user(identifier: "user-8") { name } b: user(identifier: "user-9") { name } }'
    ask(query)
    with Session(example.engine) as session, session.begin():
        eight, nine = (writes.one(session, writes.User, identifier=f"user-{n}") for n in (8, 9))
        eight.identifier = "user-0"
        session.flush()
        nine.identifier = "user-8"
    answer, read = ask(query)
    example.report.ok(answer == {"data": {"a": {"name": "User 9"}, "b": None}}, "an identifier that goes to another user is followed", (answer, read))


def shown(example):
    """What the documentation shows of the server is in it, line by line."""
    def code(text):
        return [line.partition("  # ")[0].strip() for line in text.splitlines()]

    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/operate/change-feed.md").read_text(), re.M | re.S)
    source, lines = set(code((EXAMPLE / "server.py").read_text())), code("\n".join(blocks))
    other = [line for line in lines if line not in source]
    example.report.ok(len(lines) > 10 and not other, "the documentation shows the server as it is", other)


def broken(example):
    """Messages are lost while nobody listens."""
    done = example.cluster.sql("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'blog'")
    example.report.ok(done == "t", "the server of the example has one connection", done)
    example.write("a lost connection", lambda s: writes.rename_user(s, "user-3", "Grace"), set(example.watched))
    example.cluster.restart()
    example.engine.dispose()
    example.listen()
    example.write("a restarted server", lambda s: writes.rename_user(s, "user-3", "Edith"), set(example.watched))


def main():
    report = Report()
    with Cluster() as cluster:
        for name in ("schema.sql", "seed.sql"):
            cluster.sql((EXAMPLE / name).read_text())
        example = Example(cluster, report)
        try:
            for part in (reads, changes, beside, names, shown, broken):
                part(example)
        finally:
            example.server.program.kill()
            example.server.program.wait()
        report.ok(cluster.sql("SELECT bool_and(ok) FROM tviews.verify_all()") == "t", "TVIEWs equal their queries")
    report.done()


if __name__ == "__main__":
    main()
