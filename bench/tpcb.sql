-- The TVIEWs of bench/many_writers.py over pgbench's tables.
CREATE TVIEW balance AS
SELECT bid, count(*) AS accounts, sum(abalance) AS balance FROM pgbench_accounts GROUP BY bid;
CREATE TVIEW teller_total AS
SELECT tid, count(*) AS transactions, sum(delta) AS delta FROM pgbench_history GROUP BY tid;
CREATE TVIEW teller AS
SELECT t.tid, t.tbalance, b.bid, b.bbalance FROM pgbench_tellers t JOIN pgbench_branches b ON b.bid = t.bid;
CREATE TVIEW branch_total AS
SELECT t.bid, count(*) AS transactions, sum(h.delta) AS delta FROM pgbench_history h JOIN pgbench_tellers t ON t.tid = h.tid GROUP BY t.bid;
