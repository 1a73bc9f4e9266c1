-- Options mode and key, what CREATE says about full recomputation, and when a large change is recomputed in full.
CREATE SCHEMA modes;
SET search_path = modes, public;
CREATE TABLE t (id int PRIMARY KEY, g int, v int, doc jsonb);
CREATE TABLE r (id int PRIMARY KEY, up int);
INSERT INTO t SELECT i, i % 40, i FROM generate_series(1, 2000) i;
INSERT INTO r SELECT i, i / 2 FROM generate_series(1, 100) i;

-- Every strategy that is not full is incremental, also through stages.
CREATE TVIEW keyed WITH (mode = incremental) AS SELECT id, v FROM t;
CREATE TVIEW folded WITH (mode = incremental) AS SELECT g, sum(v) AS s FROM t GROUP BY g;
CREATE TVIEW bag WITH (mode = incremental) AS SELECT g, v % 2 AS odd FROM t;
CREATE TVIEW staged WITH (mode = incremental) AS SELECT g, s FROM (SELECT g, sum(v) AS s FROM t GROUP BY g) x WHERE s > 49000;
-- Not maintained otherwise: a NOTICE, or a refusal
CREATE TVIEW descent AS WITH RECURSIVE d AS (SELECT id, up FROM r WHERE up = 0 UNION ALL SELECT DISTINCT r.id, r.up FROM r JOIN d ON r.up = d.id) SELECT * FROM d;
CREATE TVIEW refused WITH (mode = incremental) AS
  WITH RECURSIVE d AS (SELECT id, up FROM r WHERE up = 0 UNION ALL SELECT DISTINCT r.id, r.up FROM r JOIN d ON r.up = d.id) SELECT * FROM d;
ALTER TVIEW descent SET (mode = incremental);
SELECT base_table, strategy, reason FROM tviews.check('WITH RECURSIVE d AS (SELECT id, up FROM r WHERE up = 0 UNION ALL SELECT DISTINCT r.id, r.up FROM r JOIN d ON r.up = d.id) SELECT * FROM d');
CREATE TVIEW uncorrelated AS SELECT id, v - (SELECT max(v) FROM t) AS d FROM t;
CREATE TVIEW system_column AS SELECT id, tableoid AS tab FROM t;
-- only full
CREATE TVIEW whole WITH (mode = full) AS SELECT id, v FROM t;
SELECT name, strategies FROM tviews.tviews WHERE schema = 'modes' ORDER BY name;
SELECT * FROM cost();
UPDATE t SET v = v + 1 WHERE id = 1000;
SELECT * FROM cost();
INSERT INTO r VALUES (1000, 7);
SELECT * FROM cost();

-- a virtual generated column, which 18 has
SET client_min_messages = warning;
DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        EXECUTE 'CREATE TABLE computed (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) VIRTUAL)';
        EXECUTE 'CREATE TVIEW of_computed AS SELECT id, twice FROM computed';
    ELSE
        CREATE TABLE computed (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED);
        CREATE TVIEW of_computed AS SELECT id, twice FROM computed;
    END IF;
END $$;
RESET client_min_messages;
SELECT strategies FROM tviews.tviews WHERE name = 'of_computed';
INSERT INTO computed VALUES (1, 1), (2, 2);
UPDATE computed SET n = 3 WHERE id = 1;
SELECT * FROM of_computed ORDER BY id;
SELECT * FROM cost('of_computed');

-- full_refresh_threshold: keyed, a change of many rows is recomputed in full, and only what differs is written. fold and delta compare costs.
UPDATE t SET v = v + 1 WHERE id <= 700;
SELECT * FROM cost('keyed', 'bag', 'folded');
SET pg_tviews.full_refresh_threshold = 1;
UPDATE t SET v = v + 1 WHERE id <= 700;
SELECT * FROM cost('keyed', 'bag', 'folded');
RESET pg_tviews.full_refresh_threshold;

-- A key that cannot be derived is a promise.
CREATE TABLE entry (code text, part int, n int);
INSERT INTO entry SELECT 'c' || i, i % 3, i FROM generate_series(1, 1000) i;
CREATE TVIEW by_code WITH (key = 'code') AS SELECT code, n FROM entry;
SELECT strategies FROM tviews.tviews WHERE name = 'by_code';
UPDATE entry SET n = 0 WHERE code = 'c5';
SELECT * FROM cost('by_code');
CREATE TVIEW no_column WITH (key = 'nothing') AS SELECT code, n FROM entry;

-- TRUNCATE recomputes.
TRUNCATE entry;
SELECT * FROM cost('by_code');

-- state that mode = full has not kept up is made anew
CREATE TABLE o (g int, c int, a bool);
CREATE TVIEW stated AS SELECT g % 2 AS k, count(c) AS n FROM o WHERE a GROUP BY g % 2;
INSERT INTO o VALUES (NULL, 1, true), (NULL, 2, true);
ALTER TVIEW stated SET (mode = full);
INSERT INTO o VALUES (NULL, NULL, true), (1, 1, true);
ALTER TVIEW stated RESET (mode);
DELETE FROM o WHERE c IS NOT NULL;
SELECT * FROM stated;
SELECT * FROM oracle('stated');

-- state that was never made: the TVIEW is maintained without it until a rebuild
CREATE TVIEW unstated WITH (mode = full) AS SELECT DISTINCT g, coalesce(c, 0) AS c FROM o;
CREATE TVIEW unsummed WITH (mode = full) AS SELECT g, avg(c) AS mean FROM o GROUP BY g;
ALTER TVIEW unstated RESET (mode);
ALTER TVIEW unsummed RESET (mode);
INSERT INTO o VALUES (1, 7, true), (2, 8, true), (2, 8, false);
SELECT name, strategies FROM tviews.tviews WHERE name IN ('unstated', 'unsummed') ORDER BY 1;
SELECT tviews.rebuild('unstated'), tviews.rebuild('unsummed');
SELECT name, strategies FROM tviews.tviews WHERE name IN ('unstated', 'unsummed') ORDER BY 1;
DELETE FROM o WHERE g = 2 AND a;
SELECT * FROM oracle();

SET client_min_messages = warning;
DROP SCHEMA modes CASCADE;
