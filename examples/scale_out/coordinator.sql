-- Where the totals are united: psql -v server_0='host …, port …, dbname …' … -f coordinator.sql, as OPTIONS of postgres_fdw.
-- Partitions are foreign tables over the TVIEWs of the shards; a query that names a shard asks only that one, others ask all at the same time.
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
CREATE SERVER shard_0 FOREIGN DATA WRAPPER postgres_fdw OPTIONS (:server_0, async_capable 'true');
CREATE SERVER shard_1 FOREIGN DATA WRAPPER postgres_fdw OPTIONS (:server_1, async_capable 'true');
CREATE SERVER shard_2 FOREIGN DATA WRAPPER postgres_fdw OPTIONS (:server_2, async_capable 'true');
CREATE USER MAPPING FOR CURRENT_USER SERVER shard_0 OPTIONS (user 'postgres');
CREATE USER MAPPING FOR CURRENT_USER SERVER shard_1 OPTIONS (user 'postgres');
CREATE USER MAPPING FOR CURRENT_USER SERVER shard_2 OPTIONS (user 'postgres');

CREATE TABLE partial_total (shard int NOT NULL, day date NOT NULL, sales bigint, amount numeric, largest numeric) PARTITION BY LIST (shard);
CREATE FOREIGN TABLE partial_0 PARTITION OF partial_total FOR VALUES IN (0) SERVER shard_0 OPTIONS (schema_name 'public', table_name 'day_total');
CREATE FOREIGN TABLE partial_1 PARTITION OF partial_total FOR VALUES IN (1) SERVER shard_1 OPTIONS (schema_name 'public', table_name 'day_total');
CREATE FOREIGN TABLE partial_2 PARTITION OF partial_total FOR VALUES IN (2) SERVER shard_2 OPTIONS (schema_name 'public', table_name 'day_total');

-- Totals of totals: sums are summed, extrema are the extrema of extrema, and an average is a quotient of two sums.
CREATE VIEW day_total AS
    SELECT day, sum(sales)::bigint AS sales, sum(amount) AS amount, max(largest) AS largest, sum(amount) / sum(sales) AS average
      FROM partial_total GROUP BY day;
