-- The writer: it has tables and publications, no TVIEW. `reads` is for subscribers that have everything; `shard_0` to `shard_2` are for those that
-- have a third of the sales each. A row filter looks at columns of the replica identity only, when updates and deletes are published: the shop of a
-- sale is therefore part of it.
CREATE UNIQUE INDEX sale_identity ON sale (id, shop);
ALTER TABLE sale REPLICA IDENTITY USING INDEX sale_identity;

CREATE PUBLICATION reads FOR TABLE shop, sale;
CREATE PUBLICATION shard_0 FOR TABLE shop, sale WHERE (shop % 3 = 0);
CREATE PUBLICATION shard_1 FOR TABLE shop, sale WHERE (shop % 3 = 1);
CREATE PUBLICATION shard_2 FOR TABLE shop, sale WHERE (shop % 3 = 2);
