-- The tables of the shop: the same on the writer and on each subscriber.
CREATE TABLE shop (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE sale (id bigint PRIMARY KEY, shop int NOT NULL, day date NOT NULL, amount numeric(12,2) NOT NULL);
CREATE INDEX ON sale (shop);
