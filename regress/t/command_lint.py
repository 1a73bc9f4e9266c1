"""`tviews lint`, the program being given as argument: what it says by the files alone is what a server says.

Each query is a view of one schema. The strategies of a view about which nothing was guessed, its refusals and its missing indexes have to be those of
`tviews.check`; of views with guesses most have to be.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from cluster import Cluster, Report

COMMAND = sys.argv[1]

SCHEMA = """
CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, region int NOT NULL, notes json);
CREATE TABLE region (id int PRIMARY KEY, name text UNIQUE NOT NULL);
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL REFERENCES customer, placed date NOT NULL, total numeric(10,2));
CREATE INDEX ON orders (customer);
CREATE TABLE line (orders bigint NOT NULL, n int NOT NULL, product int NOT NULL, quantity int NOT NULL, price numeric NOT NULL, weight float8, PRIMARY KEY (orders, n));
CREATE TABLE product (id int, name text, tags text[]);
ALTER TABLE ONLY product ADD CONSTRAINT product_pkey PRIMARY KEY (id);
CREATE TABLE event (at timestamptz NOT NULL, kind text, value float8);
CREATE TABLE part (id int, k int NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (1000);
CREATE FUNCTION net(x numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT pg_catalog.round(x / 1.19, 2)';
CREATE FUNCTION anything(x numeric) RETURNS numeric LANGUAGE sql AS 'SELECT x';
CREATE FUNCTION looks(x numeric) RETURNS numeric LANGUAGE sql STABLE AS 'SELECT x';
CREATE VIEW customer_region AS SELECT c.id, c.name, r.name AS region FROM customer c JOIN region r ON r.id = c.region;
"""

QUERIES = """
SELECT id, name FROM customer WHERE region > 1
SELECT name FROM customer
SELECT c.id, c.name, r.name AS region FROM customer c JOIN region r ON r.id = c.region
SELECT o.id, c.name FROM orders o, customer c WHERE c.id = o.customer
SELECT o.id, c.name, r.name AS region FROM orders o JOIN customer c ON c.id = o.customer JOIN region r ON r.id = c.region
SELECT c.name, o.total FROM customer c JOIN orders o ON o.customer = c.id
SELECT o.*, l.n, l.price FROM orders o JOIN line l ON l.orders = o.id
SELECT l.orders, l.n, p.name FROM line l LEFT JOIN product p ON p.id = l.product
SELECT c.id, o.id AS o FROM customer c LEFT JOIN orders o ON o.customer = c.id
SELECT c.id, c.name, o.id AS o FROM orders o RIGHT JOIN customer c ON o.customer = c.id
SELECT a.id AS a, b.id AS b FROM customer a JOIN customer b USING (region)
SELECT a.id, b.id AS b FROM customer a CROSS JOIN region b
SELECT customer, count(*) AS n, sum(total) AS total FROM orders GROUP BY customer
SELECT customer, count(*) AS n, sum(total) / count(*) AS mean FROM orders GROUP BY 1
SELECT c.region, sum(l.quantity * l.price) AS amount FROM line l JOIN orders o ON o.id = l.orders JOIN customer c ON c.id = o.customer GROUP BY c.region
SELECT placed AS day, max(total) AS largest, min(total) AS least FROM orders GROUP BY day
SELECT product, sum(weight) AS weight FROM line GROUP BY product
SELECT product, avg(weight::numeric) AS weight FROM line GROUP BY product
SELECT kind, avg(value) AS mean FROM event GROUP BY kind
SELECT customer, string_agg(total::text, ',' ORDER BY id) AS totals FROM orders GROUP BY customer
SELECT customer, array_agg(id) AS ids FROM orders GROUP BY customer
SELECT customer, count(*) FILTER (WHERE total > 5) AS n FROM orders GROUP BY customer
SELECT customer, jsonb_build_object('n', count(*), 'sum', sum(total)) AS data FROM orders GROUP BY customer
SELECT date_trunc('month', placed) AS month, sum(total) AS total FROM orders GROUP BY date_trunc('month', placed)
SELECT id, total FROM orders ORDER BY total DESC, id LIMIT 10
SELECT total FROM orders ORDER BY placed OFFSET 5
SELECT o.id, c.name FROM orders o JOIN customer c ON c.id = o.customer ORDER BY o.placed, o.id OFFSET 5 LIMIT 10
SELECT id, placed FROM orders LIMIT 3
SELECT id, lag(total) OVER (ORDER BY placed, id) AS before, placed FROM orders
SELECT id, sum(total) OVER (ORDER BY id) AS total, row_number() OVER (ORDER BY id) AS n FROM orders
SELECT orders, n, sum(quantity) OVER w AS s, count(*) OVER (w ROWS 2 PRECEDING) AS c FROM line WINDOW w AS (ORDER BY orders, n)
SELECT id, rank() OVER (ORDER BY placed DESC) AS r, placed FROM orders
SELECT id, sum(total) OVER (ORDER BY placed ROWS 1 PRECEDING) AS s FROM orders
SELECT id, sum(total) OVER (ORDER BY id) + 1 AS s FROM orders
SELECT id, ntile(4) OVER (ORDER BY id) AS q FROM orders
SELECT sum(total) AS total FROM orders GROUP BY customer
SELECT customer, sum(total) AS total FROM orders GROUP BY customer HAVING count(*) > 2
SELECT count(*) AS n, sum(total) AS total FROM orders
SELECT max(total) AS most FROM orders
SELECT string_agg(name, ',' ORDER BY id) AS names FROM customer
SELECT avg(weight) AS w FROM line
SELECT DISTINCT customer FROM orders
SELECT DISTINCT c.region, o.placed FROM orders o JOIN customer c ON c.id = o.customer
SELECT DISTINCT customer, count(*) AS n FROM orders GROUP BY customer
SELECT DISTINCT ON (customer) customer, id, total FROM orders ORDER BY customer, placed DESC, id
SELECT DISTINCT notes::text FROM customer
SELECT id, rank() OVER (PARTITION BY customer ORDER BY total) AS r, customer FROM orders
SELECT id, rank() OVER (ORDER BY total) AS r FROM orders
SELECT id, customer, sum(total) OVER w AS s, row_number() OVER w AS n FROM orders WINDOW w AS (PARTITION BY customer ORDER BY id)
SELECT customer, id FROM (SELECT customer, id, row_number() OVER (PARTITION BY customer ORDER BY placed DESC, id) AS n FROM orders) x WHERE n <= 3
SELECT id, total FROM orders ORDER BY total LIMIT 10
SELECT customer, sum(total) AS s FROM orders GROUP BY customer ORDER BY s LIMIT 3
SELECT id FROM orders OFFSET 3
SELECT id FROM customer UNION ALL SELECT id FROM region
SELECT id FROM customer UNION ALL SELECT id FROM region UNION ALL SELECT id FROM product
SELECT id FROM customer UNION SELECT id FROM region
SELECT id FROM customer INTERSECT SELECT id FROM region
SELECT id FROM customer EXCEPT SELECT id FROM region
SELECT customer, count(*) AS n FROM orders GROUP BY customer UNION ALL SELECT region, count(*) FROM customer GROUP BY region
SELECT c.id, x.n FROM customer c JOIN (SELECT customer, count(*) AS n FROM orders GROUP BY customer) x ON x.customer = c.id
WITH x AS (SELECT customer, sum(total) AS s FROM orders GROUP BY customer) SELECT c.id, c.name, x.s FROM customer c LEFT JOIN x ON x.customer = c.id
WITH x AS (SELECT id, region FROM customer WHERE name <> '') SELECT x.id, r.name FROM x JOIN region r ON r.id = x.region
SELECT id, name FROM customer c WHERE EXISTS (SELECT FROM orders o WHERE o.customer = c.id)
SELECT id, name FROM customer WHERE id IN (SELECT customer FROM orders WHERE total > 10)
SELECT name FROM customer c WHERE NOT EXISTS (SELECT FROM orders o WHERE o.customer = c.id)
SELECT id, (SELECT count(*) FROM orders o WHERE o.customer = c.id) AS n FROM customer c
SELECT region, count(*) AS n FROM customer c WHERE EXISTS (SELECT FROM orders o WHERE o.customer = c.id) GROUP BY region
SELECT id, total FROM orders WHERE total > (SELECT avg(total) FROM orders)
SELECT p.id, t.tag FROM product p, unnest(p.tags) AS t (tag)
SELECT p.id, t.tag, t.n FROM product p, unnest(p.tags) WITH ORDINALITY AS t (tag, n)
SELECT t.tag, count(*) AS n FROM product p, unnest(p.tags) AS t (tag) GROUP BY t.tag
SELECT id, unnest(tags) AS tag FROM product
SELECT c.id, x.id AS last FROM customer c, LATERAL (SELECT o.id FROM orders o WHERE o.customer = c.id ORDER BY o.placed DESC, o.id LIMIT 1) x
SELECT c.id, o.id AS o FROM customer c, LATERAL (SELECT id, total FROM orders WHERE customer = c.id) o
SELECT * FROM customer_region
SELECT region, count(*) AS n FROM customer_region GROUP BY region
SELECT id, k FROM part
SELECT k, count(*) AS n FROM part GROUP BY k
SELECT id FROM ONLY part_1
SELECT placed, customer, sum(total) AS s FROM orders GROUP BY ROLLUP (placed, customer)
SELECT customer, count(DISTINCT placed) AS days FROM orders GROUP BY customer
SELECT id, notes FROM customer
SELECT id, net(total) AS net FROM orders
SELECT name, count(*) AS n FROM customer GROUP BY name HAVING min(id) > 3
WITH RECURSIVE t AS (SELECT id, region FROM customer WHERE id = 1 UNION ALL SELECT c.id, c.region FROM customer c JOIN t ON c.region = t.id) SELECT * FROM t
SELECT c.id, o.id AS o FROM customer c FULL JOIN orders o ON o.customer = c.id
SELECT c.id, x.n, x.total FROM customer c, LATERAL (SELECT count(*) AS n, sum(total) AS total FROM orders WHERE customer = c.id) x
SELECT l.orders, l.n, p.name, o.placed, c.name AS customer FROM line l LEFT JOIN product p ON p.id = l.product LEFT JOIN orders o ON o.id = l.orders LEFT JOIN customer c ON c.id = o.customer
SELECT c.region, count(o.id) AS n FROM customer c LEFT JOIN orders o ON o.customer = c.id GROUP BY c.region
SELECT c.id, coalesce(sum(o.total), 0) AS total FROM customer c LEFT JOIN orders o ON o.customer = c.id GROUP BY c.id
SELECT c.id, c.name, array(SELECT o.id FROM orders o WHERE o.customer = c.id ORDER BY o.id) AS orders FROM customer c
SELECT o.id, CASE WHEN o.total > 100 THEN 'large' ELSE 'small' END AS size FROM orders o
SELECT CASE WHEN o.total > 100 THEN 'large' ELSE 'small' END AS size, count(*) AS n FROM orders o GROUP BY 1
SELECT id, sum(total) OVER (PARTITION BY customer) AS s, count(*) OVER (PARTITION BY placed) AS n, customer, placed FROM orders
SELECT customer, sum(total) AS s, rank() OVER (ORDER BY sum(total)) AS r FROM orders GROUP BY customer
SELECT customer, sum(DISTINCT total) AS s, string_agg(DISTINCT placed::text, ',') AS days FROM orders GROUP BY customer
SELECT customer, placed, sum(total) AS s FROM orders GROUP BY GROUPING SETS ((customer), (placed))
SELECT id FROM customer WHERE region = (SELECT max(id) FROM region)
SELECT id FROM customer WHERE EXISTS (SELECT FROM region WHERE name = 'x')
SELECT id, (SELECT name FROM region r WHERE r.id = c.region) AS region, (SELECT max(total) FROM orders) AS most FROM customer c
SELECT id FROM customer EXCEPT ALL SELECT id FROM region
SELECT x.id, y.n FROM (SELECT id, region FROM customer WHERE name > 'a') x JOIN (SELECT region, count(*) AS n FROM customer GROUP BY region) y USING (region)
SELECT o.placed, l.product, sum(l.quantity) AS q FROM orders o JOIN line l ON l.orders = o.id WHERE o.total > 0 GROUP BY o.placed, l.product
SELECT mode() WITHIN GROUP (ORDER BY placed) AS m, customer FROM orders GROUP BY customer
SELECT json_object_agg(id, total) AS j, customer FROM orders GROUP BY customer
SELECT bool_and(total > 0) AS b, customer FROM orders GROUP BY customer
SELECT stddev(total) AS b, customer FROM orders GROUP BY customer
SELECT count(*) AS n FROM customer a JOIN customer b ON a.region = b.region
SELECT a.id AS a, b.id AS b FROM customer a JOIN customer b ON a.id < b.id
SELECT name, region FROM customer NATURAL JOIN (SELECT id AS region FROM region) r
SELECT id, (SELECT r FROM region r WHERE r.id = c.region) AS whole FROM customer c
SELECT r.id FROM region r WHERE EXISTS (SELECT FROM customer c WHERE c.region = r.id AND c.name > r.name)
SELECT p.id FROM product p WHERE NOT EXISTS (SELECT FROM line l WHERE p.id = l.product)
SELECT value FROM event UNION ALL SELECT weight FROM line
SELECT DISTINCT kind FROM event LIMIT 3
SELECT g.n, c.id FROM customer c, generate_series(1, c.region) AS g (n)
VALUES (1), (2)
SELECT id, now() AS at FROM customer
SELECT id FROM orders WHERE placed > current_date - 7
SELECT id, random() AS r FROM customer
SELECT id FROM customer FOR UPDATE
SELECT id FROM customer TABLESAMPLE system (10)
SELECT id, anything(total) AS x FROM orders
SELECT id, looks(total) AS x FROM orders
SELECT oid, relname FROM pg_class
SELECT id, to_tsvector(name) AS words FROM customer
SELECT id, to_tsvector('english', name) AS words FROM customer
SELECT id, age(placed) AS old FROM orders
SELECT id, ctid FROM customer
SELECT id, current_user AS me FROM customer
""".strip().splitlines()


def lint(*arguments):
    done = subprocess.run([COMMAND, "lint", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode == 2 or done.stderr:
        raise RuntimeError(done.stderr)
    return done


def strategies(view):
    return {table["base_table"]: table["strategy"] for table in view["tables"]}


def indexes(view):
    lines = [line for table in view["tables"] for line in (table["hint"] or "").splitlines() if line.startswith("CREATE INDEX")]
    return {line.partition(")")[0] for line in lines}


def main():
    report = Report()
    with Cluster() as cluster, tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "schema.sql"
        file.write_text(SCHEMA + "".join(f"CREATE VIEW v{n} AS\n{query};\n" for n, query in enumerate(QUERIES)))
        cluster.sql("CREATE EXTENSION pg_tviews;" + SCHEMA)
        views = {query: (a, b) for query, a, b in zip(["customer_region", *QUERIES], json.loads(lint("--format", "json", file).stdout),
                                                      json.loads(lint("--format", "json", "--dsn", cluster.dsn(), file).stdout))}
        report.ok(len(views) == len(QUERIES) + 1, "each view is looked at")
        right, guesses, searched, wrong = 0, 0, 0, []
        for query, (by_files, by_server) in views.items():
            same = strategies(by_files) == strategies(by_server) and bool(by_files["refused"]) == bool(by_server["refused"])
            detail = f"{strategies(by_files)} {by_files['refused']} {by_files['doubts']}\nserver: {strategies(by_server)} {by_server['refused']}"
            if by_files["doubts"]:
                guesses, right = guesses + 1, right + same
                wrong += [] if same else [f"{query}\n{detail}"]
            else:
                report.ok(same, query, detail)
            # an index that is missing by the files is missing; the server also looks into stages
            if not by_files["doubts"] and not by_files["refused"]:
                searched += bool(indexes(by_server))
                # indexes in an order are not looked at
                in_order = " LIMIT " in query or " OVER " in query
                same = indexes(by_files) <= indexes(by_server) if in_order else indexes(by_files) == indexes(by_server)
                report.ok(same, f"indexes: {query}", f"{indexes(by_files)} {indexes(by_server)}")
        report.ok(searched > 8, "indexes are missing in some", searched)
        report.ok(guesses > 5 and right * 10 >= guesses * 7, f"{right} of {guesses} guesses are right", "\n".join(wrong))

        text = lint(file)
        report.ok(text.returncode == 1 and f"{file}:" in text.stdout and "guessed: " in text.stdout and "--dsn" in text.stdout, "text says what is guessed", text.stdout[-2000:])
        now = next(n for n, line in enumerate(file.read_text().splitlines(), 1) if "now() AS at" in line)
        report.ok(f"{file}:{now}:12: refused: function now()" in text.stdout, "a refusal has its place", text.stdout)
        sarif = json.loads(lint("--format", "sarif", file).stdout)
        results = sarif["runs"][0]["results"]
        rules = {rule["id"] for rule in sarif["runs"][0]["tool"]["driver"]["rules"]}
        report.ok(sarif["version"] == "2.1.0" and {r["ruleId"] for r in results} == rules, "SARIF has results for each of its rules", {r["ruleId"] for r in results})
        report.ok(all(r["locations"][0]["physicalLocation"]["region"]["startLine"] > 0 for r in results), "each with a line")

        (Path(directory) / "good.sql").write_text("CREATE TABLE t (id int PRIMARY KEY, a int);\nCREATE TVIEW v AS SELECT id, a FROM t;\n")
        report.ok(lint(Path(directory) / "good.sql").returncode == 0, "a schema without findings")
        (Path(directory) / "full.sql").write_text("CREATE TABLE t (id int PRIMARY KEY, a int);\nCREATE TVIEW v AS SELECT id FROM t LIMIT 1;\n")
        full = Path(directory) / "full.sql"
        report.ok((lint(full).returncode, lint("--incremental", full).returncode) == (0, 1), "--incremental minds full recomputation")
    report.done()


main()
