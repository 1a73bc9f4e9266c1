-- Contents computed anew beside the relation: procedures that end transactions. A statement_timeout may leave a twin, which the next call removes.
-- may: residue

-- each call: convert_concurrently('app.plain') | rebuild_concurrently('app.sums') | rebuild_concurrently('app.staged') | rebuild_concurrently('app.later_joined') | rebuild_concurrently('app.parts') | rebuild_concurrently('app.bag') | rebuild_concurrently('app.whole') | rebuild_concurrently('app.calls') | set_logged_concurrently('app.flat', true) | set_logged_concurrently('app.documents', false) | set_logged_concurrently('app.later', true)
UPDATE app.item SET v = v + 1;
CALL tviews.{call};
DELETE FROM app.item WHERE id < 5;

-- what it is not for
-- each call: convert_concurrently | rebuild_concurrently
-- each relation: NULL | 0 | 1259 | 4294967295 | 'app.item' | 'app.item_pkey' | 'app.seen' | 'app.plain' | 'app.numbers' | 'app.part' | 'tviews.log' | 'tviews.staleness' | (SELECT stage FROM tviews.stage LIMIT 1)
CALL tviews.{call}({relation});

-- each arguments: NULL, true | 'app.flat', NULL | 0, true | 'app.plain', true | 'app.item', false | (SELECT stage FROM tviews.stage LIMIT 1), true
CALL tviews.set_logged_concurrently({arguments});

-- again, when nothing is to be done
-- as: owner
CALL tviews.set_logged_concurrently('app.flat', false);
CALL tviews.convert_concurrently('app.flat');
CALL tviews.convert_concurrently('app.plain');
CALL tviews.convert_concurrently('app.plain');

-- one whose query others read
-- as: owner super
CALL tviews.rebuild_concurrently('app.later');
CALL tviews.rebuild_concurrently('app.sums');
SELECT count(*) FROM app.chained;
SELECT count(*) FROM app.after_later;

-- without contents, and with the name of its twin taken
-- as: owner
REFRESH MATERIALIZED VIEW app.flat WITH NO DATA;
CALL tviews.rebuild_concurrently('app.flat');
REFRESH MATERIALIZED VIEW app.flat;
CREATE TABLE app.flat_ccnew (id int);
CALL tviews.rebuild_concurrently('app.flat');

-- in blocks of its own: a function, a DO block, an exception block of one
-- modes: alone twice
-- each body: PERFORM 1; CALL tviews.rebuild_concurrently('app.sums') | BEGIN CALL tviews.rebuild_concurrently('app.sums'); EXCEPTION WHEN OTHERS THEN RAISE NOTICE '%', SQLERRM; END | CALL tviews.rebuild_concurrently('app.sums'); UPDATE app.item SET v = v + 1; CALL tviews.rebuild_concurrently('app.sums'); RAISE division_by_zero
DO $$ BEGIN {body}; END $$;

-- modes: alone savepoint
-- as: owner
CREATE FUNCTION app.calls_it() RETURNS int LANGUAGE plpgsql AS $$ BEGIN CALL tviews.rebuild_concurrently('app.sums'); RETURN 1; END $$;
SELECT app.calls_it();
CREATE PROCEDURE app.calls_it_too() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.item VALUES (900, 1, 1, 'x'); CALL tviews.rebuild_concurrently('app.sums'); ROLLBACK; END $$;
CALL app.calls_it_too();
CREATE PROCEDURE app.fixed() LANGUAGE plpgsql SET work_mem = '1MB' AS $$ BEGIN CALL tviews.rebuild_concurrently('app.sums'); END $$;
CALL app.fixed();

-- with little time for locks
-- as: owner
-- each time: 1 | 20 | 100
SET lock_timeout = {time};
CALL tviews.rebuild_concurrently('app.staged');
CALL tviews.set_logged_concurrently('app.staged', true);
RESET lock_timeout;

-- where transactions keep their snapshot
-- as: owner
-- modes: alone twice
SET default_transaction_isolation = 'serializable';
CALL tviews.rebuild_concurrently('app.sums');
CALL tviews.convert_concurrently('app.plain');
RESET default_transaction_isolation;

SELECT count(*) FROM tviews.progress_concurrently;
