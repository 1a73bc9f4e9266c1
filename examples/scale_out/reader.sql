-- A subscriber with everything, and with TVIEWs of its own: psql -v name=reader_1 -v writer='host=… dbname=…' -f tables.sql -f reader.sql
CREATE EXTENSION IF NOT EXISTS pg_tviews;
CREATE UNIQUE INDEX sale_identity ON sale (id, shop);
ALTER TABLE sale REPLICA IDENTITY USING INDEX sale_identity;

CREATE TVIEW shop_total AS SELECT shop, count(*) AS sales, sum(amount) AS amount FROM sale GROUP BY shop;
CREATE TVIEW sale_page AS
    SELECT s.id, jsonb_build_object('day', s.day, 'amount', s.amount, 'shop', o.name) AS data FROM sale s JOIN shop o ON o.id = s.shop;

CREATE SUBSCRIPTION :name CONNECTION :'writer' PUBLICATION reads;
