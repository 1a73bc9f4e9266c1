"""A GraphQL server over TVIEWs, with a cache of documents: `server.py DSN PORT`.

Invariant: an answer has everything whose COMMIT had returned before its request came. One thread and one connection: what is read goes into the cache before
a message about it is looked at.
"""

import json
import sys
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer

import psycopg
from graphql import build_schema, graphql_sync

SCHEMA = build_schema("""
    type User { id: ID! identifier: String! name: String! }
    type Comment { id: ID! content: String! author: User! }
    type Post { id: ID! identifier: String! title: String! author: User! comments: [Comment!]! }
    type Query {
        user(id: ID, identifier: String): User
        post(id: ID, identifier: String): Post
        comment(id: ID!): Comment
    }
""")
BY_ID = "SELECT id::text, data FROM {} WHERE id = %s::uuid"
BY_IDENTIFIER = "SELECT id::text, data FROM {} WHERE identifier = %s"


class Cache:
    """Documents by TVIEW and id, until the change feed names them. `read`: those that had to be read for the present request."""

    def __init__(self, dsn):
        self.dsn = dsn
        self.connect()

    def connect(self):
        self.connection = psycopg.connect(self.dsn, autocommit=True)
        self.connection.execute("LISTEN tviews")
        self.documents, self.ids, self.read = {}, {}, []  # what was read before LISTEN may be old

    def follow(self):
        """Forgets what has changed. Messages of all whose COMMIT has returned come before the end of a query."""
        self.read = []
        try:
            self.connection.execute("SELECT 1")
            for message in self.connection.notifies(timeout=0):
                self.forget(json.loads(message.payload))
        except psycopg.OperationalError:
            self.connect()

    def forget(self, change):
        tview = change["tview"]
        if change["op"] == "all":
            self.documents = {place: document for place, document in self.documents.items() if place[0] != tview}
        for key in change.get("keys", []):
            self.documents.pop((tview, key["id"]), None)

    def by_id(self, tview, id):
        id = str(uuid.UUID(id))  # as messages write it
        return self.documents.get((tview, id)) or self.fetch(BY_ID, tview, id)

    def by_identifier(self, tview, identifier):
        """The id that had the identifier may have another one now, but then its document is forgotten."""
        document = self.documents.get((tview, self.ids.get((tview, identifier))))
        return document if document and document["identifier"] == identifier else self.fetch(BY_IDENTIFIER, tview, identifier)

    def fetch(self, query, tview, key):
        row = self.connection.execute(query.format(tview), [key]).fetchone()
        if row is None:
            return None
        id, document = row
        self.documents[tview, id] = document
        if "identifier" in document:
            self.ids[tview, document["identifier"]] = id
        self.read.append(f"{tview} {id}")
        return document


class Reads:
    """The fields of Query. Below them everything is in the document."""

    def __init__(self, cache):
        self.cache = cache

    def one(self, tview, id=None, identifier=None):
        if (id is None) == (identifier is None):
            raise ValueError("either id or identifier is needed")
        return self.cache.by_id(tview, id) if id is not None else self.cache.by_identifier(tview, identifier)

    def user(self, info, **key):
        return self.one("public.tv_user", **key)

    def post(self, info, **key):
        return self.one("public.tv_post", **key)

    def comment(self, info, id):
        return self.one("public.tv_comment", id=id)


class Blog:
    def __init__(self, dsn):
        self.cache = Cache(dsn)

    def answer(self, query, variables=None):
        self.cache.follow()
        result = graphql_sync(SCHEMA, query, Reads(self.cache), variable_values=variables)
        return {**result.formatted, "extensions": {"read": self.cache.read}}


def main():
    blog = Blog(sys.argv[1])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps(blog.answer(request["query"], request.get("variables"))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    server = HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler)
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
