-- Indexes on what flights refer to: a renamed airline finds its flights. Run by demo/run.py after the load.
CREATE INDEX ON flights (carrier);
CREATE INDEX ON flights (tailnum);
CREATE INDEX ON flights (origin);
CREATE INDEX ON flights (dest);
VACUUM ANALYZE;
