-- Orders as documents, and messages when one is another one.
CREATE EXTENSION IF NOT EXISTS pg_tviews;

CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer, amount numeric NOT NULL);
CREATE INDEX ON orders (customer);
INSERT INTO customer VALUES (1, 'Ada'), (2, 'Grace');
INSERT INTO orders SELECT i, 1 + i % 2, i FROM generate_series(1, 10) i;

CREATE TVIEW order_page WITH (notify) AS
    SELECT o.id, jsonb_build_object('amount', o.amount, 'customer', c.name) AS data
      FROM orders o JOIN customer c ON c.id = o.customer;
