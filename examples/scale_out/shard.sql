-- A subscriber with a third of the sales, and with totals of these: psql -v shard=0 -v writer='host=… dbname=…' -f tables.sql -f shard.sql
CREATE EXTENSION IF NOT EXISTS pg_tviews;
CREATE UNIQUE INDEX sale_identity ON sale (id, shop);
ALTER TABLE sale REPLICA IDENTITY USING INDEX sale_identity;

CREATE TVIEW day_total AS
    SELECT shop % 3 AS shard, day, count(*) AS sales, sum(amount) AS amount, max(amount) AS largest FROM sale GROUP BY shop % 3, day;

SELECT 'shard_' || :shard AS name \gset
CREATE SUBSCRIPTION :name CONNECTION :'writer' PUBLICATION :name;
