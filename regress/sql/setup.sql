-- What every test of the suite finds: the extension, the oracle (regress/oracle.sql), and cost() (regress/cost.sql).
CREATE EXTENSION pg_tviews;
\getenv srcdir PG_ABS_SRCDIR
\set oracle :srcdir /oracle.sql
\set cost :srcdir /cost.sql
\set ECHO none
\i :oracle
\i :cost
\set ECHO all

-- An ordinary matview agrees with its query until its table changes: the oracle sees both.
CREATE TABLE oracle_base (id int, doc json);
INSERT INTO oracle_base VALUES (1, '{"a": 1}'), (1, '{"a": 1}'), (2, NULL);
CREATE MATERIALIZED VIEW oracle_view USING heap AS SELECT * FROM oracle_base;
SELECT * FROM oracle('oracle_view');
INSERT INTO oracle_base VALUES (1, '{"a": 1}');
DELETE FROM oracle_base WHERE id = 2;
SELECT * FROM oracle('oracle_view');
DROP TABLE oracle_base CASCADE;
