-- Event triggers for what is dropped: they see what users have made, whichever way a TVIEW goes; never a stage or what belongs to one.
CREATE SCHEMA event_triggers;
SET search_path = event_triggers, public;
SET client_min_messages = error;
CREATE ROLE event_triggers_owner;
GRANT USAGE, CREATE ON SCHEMA event_triggers TO event_triggers_owner;
CREATE TABLE seen (tag text, kind text, object text);
GRANT INSERT ON seen TO PUBLIC;
CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO event_triggers.seen SELECT tg_tag, object_type, object_identity FROM pg_event_trigger_dropped_objects()
     WHERE object_identity ~ 'pg_toast|tviews\.' OR object_type = 'materialized view';
END $$;
CREATE EVENT TRIGGER event_triggers_drop ON sql_drop EXECUTE FUNCTION note();
-- What there is to drop, by role event_triggers_owner: a TVIEW with stages that read stages, text that needs TOAST, and one over a view.
CREATE FUNCTION make() RETURNS void LANGUAGE plpgsql SET search_path = event_triggers, public AS $$
BEGIN
    CREATE SCHEMA inside;
    CREATE TABLE inside.a (id int CONSTRAINT a_key PRIMARY KEY, x int, spare int, note text);
    INSERT INTO inside.a SELECT i, i % 5, i, 'note' FROM generate_series(1, 20) i;
    CREATE FUNCTION inside.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1';
    CREATE VIEW inside.v AS SELECT x, count(DISTINCT note) AS n, max(inside.twice(id)) AS m FROM inside.a GROUP BY x HAVING count(*) > 0;
    CREATE TVIEW inside.nested AS SELECT x, n FROM (SELECT x, count(DISTINCT note) AS n FROM inside.a GROUP BY x HAVING count(*) > 0) s WHERE n > (SELECT 0 * max(x) FROM inside.a);
    CREATE TVIEW inside.over AS SELECT n, max(m) AS m FROM inside.v GROUP BY n;
    CREATE TVIEW inside.spare AS SELECT s, count(*) AS n FROM (SELECT max(spare) AS s FROM inside.a GROUP BY x HAVING count(*) > 0) q GROUP BY s;
    CREATE TVIEW inside.by_key AS SELECT id, n FROM (SELECT id, note || x AS n, count(*) FROM inside.a GROUP BY id HAVING count(*) > 0) q WHERE n <> '';
END $$;
CREATE FUNCTION left_over() RETURNS TABLE (what text, n bigint) LANGUAGE sql AS $$
    SELECT 'stages without TVIEW', count(*) FROM tviews.stage s WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = s.tview)
    UNION ALL SELECT 'stages', count(*) FROM pg_class WHERE relnamespace = 'pg_toast_tviews'::regnamespace AND relkind = 'm'
    UNION ALL SELECT 'TVIEWs', count(*) FROM tviews.tviews
    UNION ALL SELECT 'triggers', count(*) FROM pg_trigger WHERE tgname LIKE '$tviews%';
$$;
SELECT * FROM left_over();
SELECT make();
SELECT * FROM left_over();
DROP SCHEMA inside CASCADE;
SELECT * FROM left_over();
SELECT make();
DROP TABLE inside.a CASCADE;
SELECT * FROM left_over();
DROP SCHEMA inside CASCADE;
SELECT make();
DROP VIEW inside.v CASCADE;
DROP FUNCTION inside.twice(int) CASCADE;
ALTER TABLE inside.a DROP COLUMN spare CASCADE;
ALTER TABLE inside.a DROP CONSTRAINT a_key CASCADE;
SELECT name FROM tviews.tviews;
INSERT INTO inside.a VALUES (100, 1, 'other');
SELECT * FROM oracle('inside.nested');
DROP TVIEW inside.nested;
DROP SCHEMA inside CASCADE;
SELECT * FROM left_over();
-- refused: nothing is lost
SELECT make();
DROP TABLE inside.a;
SET ROLE event_triggers_owner;
DROP TABLE inside.a CASCADE;
DROP SCHEMA inside CASCADE;
DROP OWNED BY CURRENT_USER;
RESET ROLE;
BEGIN;
DROP TABLE inside.a CASCADE;
ROLLBACK;
INSERT INTO inside.a VALUES (100, 1, 1, 'other');
SELECT t.name, o.* FROM tviews.tviews t, oracle(format('inside.%I', t.name)::regclass) o;
-- of a type only columns go, and what reads these
CREATE TYPE inside.level AS ENUM ('low', 'high');
ALTER TABLE inside.a ADD COLUMN level inside.level;
CREATE TVIEW inside.levels AS SELECT level, n FROM (SELECT level, count(DISTINCT note) AS n FROM inside.a GROUP BY level HAVING count(*) > 0) s WHERE n > 0;
DROP TYPE inside.level CASCADE;
SELECT name, internal_stages FROM tviews.tviews ORDER BY name;
INSERT INTO inside.a VALUES (101, 2, 1, 'more');
SELECT t.name, o.* FROM tviews.tviews t, oracle(format('inside.%I', t.name)::regclass) o;
-- of a role everything goes
GRANT ALL ON SCHEMA inside TO event_triggers_owner;
ALTER TABLE inside.a OWNER TO event_triggers_owner;
ALTER TVIEW inside.nested OWNER TO event_triggers_owner;
SET ROLE event_triggers_owner;
DROP OWNED BY CURRENT_USER CASCADE;
RESET ROLE;
SELECT * FROM left_over();
DROP EVENT TRIGGER event_triggers_drop;
SELECT DISTINCT tag, kind, regexp_replace(object, '\d+', 'N') AS object FROM seen ORDER BY tag, kind, object;
DROP SCHEMA event_triggers, inside CASCADE;
DROP ROLE event_triggers_owner;
