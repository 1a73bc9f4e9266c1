-- Tables that were filled by hand, tv_post beside tb_post and perhaps a view v_post, become TVIEWs.
-- Invariant: rows that the TVIEW does not have are never lost: the table that has them stays, under another name. Whatever fails, nothing of the
-- attempt is left. All SQL that users wrote (views, expressions of indexes) is run by the server as the owner of the TVIEW.

-- What a conversion would do. `code` and `obstacle`: why it would not. Nothing is changed.
CREATE FUNCTION tviews.conversion(tbl regclass)
    RETURNS TABLE (entity text, base_table text, backing_view text, select_sql text, kept text[], left_out text[], code text, obstacle text)
    LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    own record;
    base oid;
    view oid;
    source oid;
    document text;
    expressions text;
    dependent text;
BEGIN
    SELECT c.oid, c.relname, c.relkind, c.relnamespace, n.nspname, c.relowner, c.relrowsecurity, c.relispartition, c.relpersistence INTO STRICT own
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = tbl;
    entity := tviews.entity(own.relname);
    base := (SELECT c.oid FROM pg_class c WHERE c.relnamespace = own.relnamespace AND c.relname = 'tb_' || entity AND c.relkind IN ('r', 'p'));
    view := (SELECT c.oid FROM pg_class c WHERE c.relnamespace = own.relnamespace AND c.relname = 'v_' || entity AND c.relkind = 'v');
    source := COALESCE(view, base);
    base_table := CASE WHEN base IS NOT NULL THEN format('%I.%I', own.nspname, 'tb_' || entity) END;
    backing_view := CASE WHEN view IS NOT NULL THEN format('%I.%I', own.nspname, 'v_' || entity) END;

    IF source IS NOT NULL THEN
        -- A function has a hundred arguments at most.
        SELECT string_agg(format('jsonb_build_object(%s)', p.pairs), ' || ' ORDER BY p.part) INTO document
          FROM (SELECT a.part, string_agg(format('%L, s.%I', a.attname, a.attname), ', ' ORDER BY a.attnum) AS pairs
                  FROM (SELECT attname, attnum, (row_number() OVER (ORDER BY attnum) - 1) / 50 AS part
                          FROM pg_attribute WHERE attrelid = source AND attnum > 0 AND NOT attisdropped) a
                 GROUP BY a.part) p;
        SELECT string_agg(x.expression, ', ' ORDER BY x.attnum), array_agg(x.attname ORDER BY x.attnum) FILTER (WHERE x.expression IS NOT NULL),
               COALESCE(array_agg(x.attname ORDER BY x.attnum) FILTER (WHERE x.expression IS NULL), '{}')
          INTO expressions, kept, left_out
          FROM (SELECT a.attnum, a.attname::text,
                       CASE WHEN EXISTS (SELECT FROM pg_attribute b WHERE b.attrelid = source AND b.attname = a.attname AND b.attnum > 0 AND NOT b.attisdropped)
                            THEN format('s.%I', a.attname)
                            WHEN a.attname = 'data' AND a.atttypid = 'jsonb'::regtype THEN document || ' AS data'
                            WHEN a.attname = 'data' AND a.atttypid = 'json'::regtype THEN '(' || document || ')::json AS data'
                       END AS expression
                  FROM pg_attribute a WHERE a.attrelid = tbl AND a.attnum > 0 AND NOT a.attisdropped) x;
        select_sql := format('SELECT %s FROM %s s', expressions, COALESCE(backing_view, base_table));
    END IF;

    dependent := (SELECT string_agg(pg_describe_object(d.classid, d.objid, d.objsubid), ', ' ORDER BY d.classid, d.objid)
                    FROM (SELECT DISTINCT classid, objid, CASE WHEN classid = 'pg_class'::regclass THEN objsubid ELSE 0 END AS objsubid
                            FROM pg_depend WHERE refclassid = 'pg_class'::regclass AND refobjid = tbl AND deptype = 'n') d
                   WHERE NOT (d.classid = 'pg_constraint'::regclass AND (SELECT k.conrelid FROM pg_constraint k WHERE k.oid = d.objid) = tbl)
                     AND NOT (d.classid = 'pg_rewrite'::regclass AND (SELECT r.ev_class FROM pg_rewrite r WHERE r.oid = d.objid) = tbl)
                     AND NOT (d.classid = 'pg_trigger'::regclass AND (SELECT t.tgrelid FROM pg_trigger t WHERE t.oid = d.objid) = tbl));
    SELECT o.code, o.obstacle INTO code, obstacle
      FROM (VALUES
            (own.relkind <> 'r' OR own.relpersistence = 't', '42809', format('%I.%I is not an ordinary table', own.nspname, own.relname)),
            (source IS NULL, '42P01', format('neither table %1$I.%2$I nor view %1$I.%3$I exists', own.nspname, 'tb_' || entity, 'v_' || entity)),
            (NOT pg_has_role(own.relowner, 'USAGE'), '42501', format('must be owner of table %I.%I', own.nspname, own.relname)),
            (own.relispartition OR EXISTS (SELECT FROM pg_inherits i WHERE tbl IN (i.inhrelid, i.inhparent)), '42809',
             format('table %I.%I is part of an inheritance tree', own.nspname, own.relname)),
            (own.relrowsecurity, '0A000', format('table %I.%I has row security, which a TVIEW cannot have', own.nspname, own.relname)),
            (dependent IS NOT NULL, '2BP01', format('other objects depend on table %I.%I: %s', own.nspname, own.relname, dependent)),
            (expressions IS NULL, '42703',
             format('no column of table %I.%I is a column of %s', own.nspname, own.relname, COALESCE(backing_view, base_table)))
           ) o (is_so, code, obstacle)
     WHERE o.is_so LIMIT 1;
    RETURN NEXT;
END $$;

-- A name for what a relation was, that no other relation or type of the schema has.
CREATE FUNCTION tviews.name_aside(schema oid, name text) RETURNS text
    LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    suffix text := '_before';
    n int := 1;
    candidate text;
BEGIN
    LOOP
        candidate := name || suffix;
        WHILE octet_length(candidate) > 63 LOOP
            name := left(name, -1);
            candidate := name || suffix;
        END LOOP;
        EXIT WHEN NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = schema AND c.relname = candidate)
              AND NOT EXISTS (SELECT FROM pg_type t WHERE t.typnamespace = schema AND t.typname = candidate);
        n := n + 1;
        suffix := '_before_' || n;
    END LOOP;
    RETURN candidate;
END $$;

-- Converts a table for which there is no obstacle; says what was done.
CREATE FUNCTION tviews.convert(tbl regclass) RETURNS text
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own record;
    plan record;
    title text;
    aside text;
    is_locked boolean;
    belongings text[];
    sql text;
    lost text[] := '{}';
    columns text;
    is_filled boolean;
    differs boolean;
    index record;
    message text;
BEGIN
    -- Who may not convert the table does not lock it; what counts is what is found under the lock.
    FOR is_locked IN SELECT unnest(ARRAY[false, true]) LOOP
        SELECT * INTO STRICT plan FROM tviews.conversion(tbl);
        IF plan.obstacle IS NOT NULL THEN
            RAISE EXCEPTION '%', plan.obstacle
                USING ERRCODE = plan.code,
                      HINT = CASE plan.code
                             WHEN '42P01' THEN 'The query of tv_x is read from a view v_x, or made from the columns of a table tb_x, in the same schema.'
                             WHEN '2BP01' THEN 'Drop them, convert the table, and create them again on the TVIEW.'
                             ELSE 'pg_tviews_create() or CREATE TVIEW creates a TVIEW of another name beside the table.' END;
        ELSIF NOT is_locked THEN
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', tbl);
        END IF;
    END LOOP;
    SELECT c.oid, c.relname, c.relnamespace, n.nspname, c.relpersistence INTO STRICT own
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = tbl;
    title := format('%I.%I', own.nspname, own.relname);
    belongings := ARRAY(SELECT tviews.belongings(tbl));
    aside := tviews.name_aside(own.relnamespace, own.relname);
    FOR index IN SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = tbl LOOP
        EXECUTE format('ALTER INDEX %I.%I RENAME TO %I', own.nspname, index.relname, tviews.name_aside(own.relnamespace, index.relname));
    END LOOP;
    EXECUTE format('ALTER TABLE %s RENAME TO %I', title, aside);
    aside := format('%I.%I', own.nspname, aside);

    -- Empty until its indexes are there: the first contents bring an index only when there is none that fits.
    EXECUTE format('CREATE MATERIALIZED VIEW %s WITH (incremental, logged = %s) AS %s WITH NO DATA', title, (own.relpersistence = 'p')::text, plan.select_sql);
    FOREACH sql IN ARRAY belongings LOOP
        IF sql LIKE 'ALTER MATERIALIZED VIEW % OWNER TO %' THEN
            EXECUTE sql;
            CONTINUE;
        END IF;
        BEGIN
            EXECUTE sql;
        EXCEPTION WHEN OTHERS THEN
            lost := lost || format('%s (%s)', sql, SQLERRM);
        END;
    END LOOP;
    EXECUTE format('REFRESH MATERIALIZED VIEW %s', title);

    -- Stored rows are compared with stored rows.
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', aside) INTO is_filled;
    differs := is_filled;
    IF is_filled AND plan.left_out <> '{}' THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE num_nonnulls(%s) > 0)', aside, (SELECT string_agg(quote_ident(c), ', ') FROM unnest(plan.left_out) c))
           INTO differs;
    ELSIF is_filled THEN
        differs := false;
    END IF;
    IF is_filled AND NOT differs THEN
        columns := (SELECT string_agg(CASE a.atttypid WHEN 'json'::regtype THEN format('%I::jsonb', a.attname) ELSE quote_ident(a.attname) END, ', ' ORDER BY a.attnum)
                      FROM pg_attribute a WHERE a.attrelid = tbl AND a.attname = ANY (plan.kept));
        BEGIN
            EXECUTE format('SELECT EXISTS ((SELECT %1$s FROM %2$s EXCEPT ALL SELECT %1$s FROM %3$s) UNION ALL (SELECT %1$s FROM %3$s EXCEPT ALL SELECT %1$s FROM %2$s))',
                           columns, aside, title) INTO differs;
        EXCEPTION WHEN OTHERS THEN
            -- Types that cannot be compared with each other.
            differs := true;
        END;
    END IF;
    message := format('%s is a TVIEW now', title);
    IF plan.left_out <> '{}' THEN
        message := message || format('; left out, as %s has no such columns: %s', COALESCE(plan.backing_view, plan.base_table), array_to_string(plan.left_out, ', '));
    END IF;
    IF differs THEN
        message := message || format('; the table, which has other rows, is kept as %s', aside);
    ELSE
        EXECUTE format('DROP TABLE %s', aside);
    END IF;
    IF lost <> '{}' THEN
        message := message || format('; not carried over: %s', array_to_string(lost, '; '));
    END IF;
    RETURN message;
END $$;

CREATE FUNCTION @extschema@.pg_tviews_auto_convert_plan(schema text DEFAULT 'public')
    RETURNS TABLE (entity text, base_table text, backing_view text, select_sql text)
    LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = schema) THEN
        RAISE EXCEPTION 'schema "%" does not exist', schema USING ERRCODE = 'invalid_schema_name';
    END IF;
    RETURN QUERY
        SELECT p.entity, p.base_table, p.backing_view, p.select_sql
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL tviews.conversion(c.oid) p
         WHERE n.nspname = schema AND c.relkind = 'r' AND c.relname LIKE 'tv\_%' AND p.select_sql IS NOT NULL
         ORDER BY c.relname;
END $$;
COMMENT ON FUNCTION @extschema@.pg_tviews_auto_convert_plan(text) IS 'what pg_tviews_auto_convert would do';

CREATE FUNCTION @extschema@.pg_tviews_auto_convert(schema text DEFAULT 'public') RETURNS TABLE (entity text, status text, message text)
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own record;
    found record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = schema) THEN
        RAISE EXCEPTION 'schema "%" does not exist', schema USING ERRCODE = 'invalid_schema_name';
    END IF;
    FOR own IN
        SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS title, a.amname = 'tview' AS is_tview
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am a ON a.oid = c.relam
         WHERE n.nspname = schema AND c.relname LIKE 'tv\_%' AND (c.relkind IN ('r', 'p') OR c.relkind = 'm' AND a.amname = 'tview')
         ORDER BY c.relname
    LOOP
        IF own.is_tview THEN
            SELECT tviews.entity(c.relname) INTO entity FROM pg_class c WHERE c.oid = own.oid;
            status := 'SKIP';
            message := format('%s is a TVIEW already', own.title);
            RETURN NEXT;
            CONTINUE;
        END IF;
        SELECT * INTO found FROM tviews.conversion(own.oid);
        entity := found.entity;
        IF found.code = '42P01' THEN
            status := 'SKIP';
            message := found.obstacle;
        ELSE
            BEGIN
                message := tviews.convert(own.oid);
                status := 'SUCCESS';
            EXCEPTION WHEN OTHERS THEN
                message := SQLERRM;
                status := 'ERROR';
            END;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION @extschema@.pg_tviews_auto_convert(text) IS 'makes TVIEWs of the tables tv_… of a schema that were filled by hand';

CREATE FUNCTION tviews.convert_named(relation regclass) RETURNS text
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.oid = relation AND c.relkind = 'm' AND a.amname = 'tview') THEN
        RETURN format('%s is a TVIEW already', relation);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = relation AND c.relkind = 'r') THEN
        RAISE EXCEPTION '"%" is not a table', (SELECT relname FROM pg_class WHERE oid = relation)
            USING ERRCODE = 'wrong_object_type', HINT = 'CREATE TVIEW creates a TVIEW.';
    END IF;
    RETURN tviews.convert(relation);
END $$;

CREATE FUNCTION @extschema@.pg_tviews_convert_existing_table(name text) RETURNS text
    LANGUAGE sql
    RETURN tviews.convert_named(tviews.relation_named(name));
COMMENT ON FUNCTION @extschema@.pg_tviews_convert_existing_table(text) IS 'makes a TVIEW of a table that was filled by hand';
