-- DDL on TVIEWs, on what they read, and on what they are made of.

DROP MATERIALIZED VIEW flat;

DROP TVIEW sums;

DROP TVIEW sums CASCADE;
