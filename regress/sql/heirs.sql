-- Tables with tables that inherit: what holds for a table alone does not hold for their rows.
CREATE SCHEMA heirs;
SET search_path = heirs;
SET client_min_messages = warning;
CREATE TABLE parent (id int NOT NULL, k int NOT NULL, v int NOT NULL);
CREATE TABLE heir () INHERITS (parent);
CREATE TABLE partner (k int PRIMARY KEY, name text);
INSERT INTO parent SELECT i, i % 3, i FROM generate_series(1, 9) i;
INSERT INTO partner VALUES (0, 'zero'), (1, 'one');
-- before 18 a heir can drop its NOT NULL, from 18 on a NOT NULL can be one that nobody inherits
DO $$
BEGIN
    IF current_setting('server_version_num')::int < 180000 THEN
        ALTER TABLE heir ALTER k DROP NOT NULL, ALTER v DROP NOT NULL;
    ELSE
        ALTER TABLE parent ALTER k DROP NOT NULL, ALTER v DROP NOT NULL;
        EXECUTE 'ALTER TABLE parent ADD CONSTRAINT own_k NOT NULL k NO INHERIT, ADD CONSTRAINT own_v NOT NULL v NO INHERIT';
    END IF;
END $$;
CREATE TVIEW sums AS SELECT k, count(*) AS n, sum(v) AS s, max(v) AS m FROM parent GROUP BY k;
CREATE TVIEW joined AS SELECT p.id, p.k, q.name FROM parent p LEFT JOIN partner q ON q.k = p.k;
CREATE TVIEW full_joined AS SELECT p.k, count(p.id) AS n, count(q.k) AS partners FROM parent p FULL JOIN partner q ON q.k = p.k GROUP BY p.k;
CREATE TVIEW kinds AS SELECT DISTINCT k FROM parent;
CREATE TVIEW newest AS SELECT DISTINCT ON (k) k, id FROM parent ORDER BY k, id;
CREATE TVIEW few AS SELECT id, v FROM parent ORDER BY v, id LIMIT 4;
CREATE TVIEW before AS SELECT id, lag(id) OVER (PARTITION BY k ORDER BY v, id) AS l FROM parent;
CREATE TVIEW without AS SELECT k FROM partner WHERE k NOT IN (SELECT k FROM parent);
CREATE TVIEW above AS SELECT k, n FROM sums WHERE k IS NOT NULL OR n > 1;
CREATE TVIEW branches AS SELECT k FROM parent UNION SELECT k FROM partner;
CREATE TVIEW common AS SELECT k FROM partner EXCEPT SELECT k FROM parent;
SELECT tview, ok FROM tviews.verify_all() WHERE NOT ok;
INSERT INTO heir VALUES (11, NULL, NULL), (12, NULL, 3), (13, 1, NULL);
SELECT tview, ok FROM tviews.verify_all() WHERE NOT ok;
SELECT * FROM sums ORDER BY k;
INSERT INTO heir VALUES (14, NULL, 1), (15, NULL, 99);
UPDATE heir SET v = NULL WHERE id = 15;
UPDATE parent SET v = v + 1 WHERE id > 5;
SELECT tview, ok FROM tviews.verify_all() WHERE NOT ok;
DELETE FROM heir WHERE id IN (11, 12, 13);
UPDATE heir SET k = 2 WHERE id = 14;
INSERT INTO partner VALUES (2, 'two');
SELECT tview, ok FROM tviews.verify_all() WHERE NOT ok;
DELETE FROM parent WHERE k IS NULL;
SELECT tview, ok FROM tviews.verify_all() WHERE NOT ok;
SELECT * FROM sums ORDER BY k;
-- a table that inherits from later on
CREATE TABLE alone (id int NOT NULL, k int NOT NULL, v int);
CREATE TABLE late (id int, k int, v int);
CREATE TVIEW late_sums AS SELECT k, count(*) AS n, sum(v) AS s FROM alone GROUP BY k;
CREATE TVIEW late_kinds AS SELECT DISTINCT k FROM alone;
INSERT INTO alone SELECT i, i % 3, i FROM generate_series(1, 9) i;
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        ALTER TABLE alone ALTER id DROP NOT NULL, ALTER k DROP NOT NULL;
        EXECUTE 'ALTER TABLE alone ADD CONSTRAINT own NOT NULL k NO INHERIT';
        ALTER TABLE late INHERIT alone;
    ELSE
        ALTER TABLE late ALTER id SET NOT NULL, ALTER k SET NOT NULL;
        ALTER TABLE late INHERIT alone;
        ALTER TABLE late ALTER k DROP NOT NULL;
    END IF;
END $$;
INSERT INTO late VALUES (21, NULL, 1);
INSERT INTO late VALUES (22, NULL, 2), (23, 1, 1);
SELECT tview, ok FROM tviews.verify_all() WHERE NOT ok;
SELECT * FROM late_sums ORDER BY k;
DELETE FROM alone WHERE k IS NULL;
SELECT tview, ok FROM tviews.verify_all() WHERE NOT ok;
DROP SCHEMA heirs CASCADE;
