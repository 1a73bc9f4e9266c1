-- Called for each query that is found: a TVIEW of it must be its query, after it is made and after its tables change; what is
-- refused is refused with a reason. Everything is rolled back. Results are in mined.log.
CREATE SCHEMA mined;
GRANT ALL ON SCHEMA mined TO PUBLIC;
CREATE TABLE mined.log (source text, query text, state text, message text, at text);
GRANT ALL ON mined.log TO PUBLIC;

-- Rows by which the TVIEW and its query, as it was parsed, differ, as text.
CREATE FUNCTION mined.differing() RETURNS bigint LANGUAGE plpgsql
    -- those that are fixed for maintenance
    SET TimeZone = 'UTC' SET DateStyle = 'ISO, MDY' SET IntervalStyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex' SET lc_monetary = 'C'
    SET array_nulls = on SET timezone_abbreviations = 'Default' SET transform_null_equals = off SET quote_all_identifiers = off AS $mined$
DECLARE
    n bigint;
BEGIN
    EXECUTE 'WITH a AS MATERIALIZED (SELECT mined_row::text AS t FROM mined.v mined_row), b AS MATERIALIZED (SELECT mined_row::text AS t FROM mined.view mined_row)
        SELECT count(*) FROM ((TABLE a EXCEPT ALL TABLE b) UNION ALL (TABLE b EXCEPT ALL TABLE a)) d' INTO n;
    RETURN n;
END $mined$;

CREATE FUNCTION mined.try(source text, query text) RETURNS void LANGUAGE plpgsql AS $mined$
DECLARE
    state text;
    message text;
    at text := 'create';
    base regclass;
    names text;
    n bigint;
    changes int := 0;
BEGIN
    IF pg_catalog.current_setting('transaction_read_only') = 'on' THEN RETURN; END IF;
    BEGIN
        -- what the server itself cannot keep, or what has no one result, says nothing
        at := 'plain';
        EXECUTE 'PREPARE mined_columns AS ' || query;
        SELECT string_agg('c' || i, ', ') INTO names
          FROM pg_catalog.pg_prepared_statements p, pg_catalog.generate_series(1, pg_catalog.cardinality(p.result_types)) i WHERE p.name = 'mined_columns';
        DEALLOCATE mined_columns;
        EXECUTE pg_catalog.format('CREATE MATERIALIZED VIEW mined.plain (%s) AS %s', names, query);
        DROP MATERIALIZED VIEW mined.plain;
        EXECUTE pg_catalog.format('CREATE VIEW mined.view (%s) AS %s', names, query);
        at := 'create';
        EXECUTE pg_catalog.format('CREATE TVIEW mined.v (%s) AS %s', names, query);
        at := 'comparison';
        n := mined.differing();
        IF n > 0 THEN RAISE EXCEPTION '% rows differ after creation', n USING ERRCODE = 'TV001'; END IF;
        FOR base IN SELECT s.base_table FROM tviews.strategies('mined.v'::regclass) s ORDER BY 1 LOOP
            at := 'write to ' || base;
            BEGIN
                EXECUTE pg_catalog.format('CREATE TEMP TABLE mined_saved AS SELECT * FROM %s LIMIT 7', base);
                EXECUTE pg_catalog.format('DELETE FROM %1$s WHERE ctid IN (SELECT ctid FROM %1$s LIMIT 7)', base);
                n := mined.differing();
                IF n > 0 THEN RAISE EXCEPTION '% rows differ after a DELETE from %', n, base USING ERRCODE = 'TV001'; END IF;
                EXECUTE pg_catalog.format('INSERT INTO %s SELECT * FROM mined_saved', base);
                n := mined.differing();
                IF n > 0 THEN RAISE EXCEPTION '% rows differ after an INSERT into %', n, base USING ERRCODE = 'TV001'; END IF;
                changes := changes + 1;
                DROP TABLE mined_saved;
            EXCEPTION WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
                -- what forbids the write without a TVIEW, too, is not about it
                IF state = 'TV001' OR message NOT LIKE '%violates%' AND state NOT IN ('42501', '428C9', '25001', '55000', '0A000', 'P0001') THEN
                    RAISE;
                END IF;
            END;
        END LOOP;
        RAISE EXCEPTION 'done: %', changes USING ERRCODE = 'TV000';
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
    END;
    IF at = 'plain' AND EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE name = 'mined_columns') THEN DEALLOCATE mined_columns; END IF;
    INSERT INTO mined.log VALUES (source, query, state, message, at);
END $mined$;
GRANT EXECUTE ON FUNCTION mined.try(text, text), mined.differing() TO PUBLIC;
