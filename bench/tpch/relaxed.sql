-- For checking: stricter on TVIEWs than the specification is. NULL in every column that is not part of a primary key, and foreign keys that cascade.
DO $$
DECLARE r record;
BEGIN
    FOR r IN SELECT a.attrelid::regclass AS relation, a.attname FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid
              WHERE t.relnamespace = 'tpch'::regnamespace AND t.relkind = 'r' AND a.attnum > 0 AND a.attnotnull
                AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)) LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', r.relation, r.attname);
    END LOOP;
    FOR r IN SELECT conrelid::regclass AS relation, conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
              WHERE connamespace = 'tpch'::regnamespace AND contype = 'f' LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %2$I %s ON UPDATE CASCADE ON DELETE CASCADE', r.relation, r.conname, r.definition);
    END LOOP;
END $$;
