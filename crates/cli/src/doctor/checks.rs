//! What is looked at in a database: one query each.
//!
//! Invariant: a query returns a row for each finding (whether it is a problem or advice, a sentence, and the statement that mends it, if there is
//! one), and none when all is well; it changes nothing. Called by doctor.

pub struct Check {
    pub name: &'static str,
    pub query: &'static str,
}

pub const CHECKS: [Check; 15] = [
    Check {
        name: "preload",
        query: "SELECT true, 'pg_tviews is not in shared_preload_libraries, so TVIEWs are not kept up to date by sessions that have not loaded it; after the statement, restart the server',
                       format('ALTER SYSTEM SET shared_preload_libraries = %s', (SELECT string_agg(quote_literal(trim(l, ' \"')), ', ')
                           FROM unnest(string_to_array(current_setting('shared_preload_libraries'), ',') || 'pg_tviews'::text) l WHERE trim(l, ' \"') <> ''))
                  FROM tviews.health() WHERE \"check\" = 'preload' AND status <> 'ok'",
    },
    Check {
        name: "native syntax",
        query: "SELECT false, detail || '. ' || hint,
                       CASE WHEN current_setting('pg_tviews.native_syntax')::boolean THEN NULL ELSE 'ALTER SYSTEM SET pg_tviews.native_syntax = on' END
                  FROM tviews.health() WHERE \"check\" = 'native syntax' AND status <> 'ok'",
    },
    Check {
        name: "triggers",
        query: "SELECT true, format('writes to %s are not captured: its trigger %s is disabled, so TVIEWs may be wrong', tgrelid::regclass, tgname),
                       format('ALTER TABLE %s ENABLE %s TRIGGER %I; SELECT tviews.rebuild(t) FROM (SELECT format(''%%I.%%I'', schema, name)::regclass AS t, base_tables FROM tviews.tviews) x WHERE %L::regclass = ANY (base_tables)',
                              tgrelid::regclass, CASE tgtype & 1 WHEN 1 THEN 'REPLICA' ELSE 'ALWAYS' END, tgname, tgrelid::regclass)
                  FROM pg_trigger WHERE tgisinternal AND tgname LIKE '$tviews%' AND tgenabled IN ('D', CASE tgtype & 1 WHEN 1 THEN 'D' ELSE 'O' END)
                UNION ALL
                SELECT true, detail || '. ' || hint, NULL FROM tviews.health() WHERE \"check\" = 'triggers' AND status <> 'ok'
                   AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgisinternal AND tgname LIKE '$tviews%' AND tgenabled IN ('D', CASE tgtype & 1 WHEN 1 THEN 'D' ELSE 'O' END))",
    },
    Check {
        name: "contents",
        query: "SELECT true, format('%I.%I is not populated: readers get an error', schema, name), format('REFRESH MATERIALIZED VIEW %I.%I', schema, name)
                  FROM tviews.tviews WHERE NOT populated AND refresh <> 'catching up'",
    },
    Check {
        name: "privileges",
        query: "SELECT true, detail || ': writes to its tables fail', hint FROM tviews.health() WHERE \"check\" = 'privileges' AND status <> 'ok'",
    },
    Check {
        name: "indexes",
        query: "SELECT true, format('the index %s of %s is not valid, so lookups do without it', indexrelid::regclass, indrelid::regclass),
                       format('REINDEX INDEX CONCURRENTLY %s', indexrelid::regclass)
                  FROM pg_index JOIN pg_class c ON c.oid = indrelid JOIN pg_am a ON a.oid = c.relam AND a.amname = 'tview' WHERE NOT indisvalid",
    },
    Check {
        name: "missing indexes",
        query: "SELECT true, detail, hint FROM tviews.health() WHERE \"check\" = 'missing indexes' AND status <> 'ok'",
    },
    Check {
        name: "schedules",
        query: "SELECT true, format('%s is paused after %s errors: %s', tview, errors, coalesce(last_error, 'no error')), format('SELECT tviews.resume(%L)', tview)
                  FROM tviews.staleness WHERE paused
                UNION ALL
                SELECT true, format('%s is %s s behind, more than the %s s of its schedule', tview, round(seconds_behind::numeric), bound), format('REFRESH TVIEW %s', tview)
                  FROM tviews.staleness WHERE NOT paused AND NOT met
                UNION ALL
                SELECT true, detail || '. ' || hint, NULL FROM tviews.health() WHERE \"check\" = 'schedules' AND status = 'error'",
    },
    Check {
        name: "failures",
        query: "SELECT false, format('%s flushes of %s have failed since %s, and took their writes with them: %s', failures, tview, stats_reset::date, coalesce(last_error, 'the message is for its owner')), NULL
                  FROM tviews.stat WHERE failures > 0",
    },
    Check {
        name: "full recomputes",
        query: "SELECT false, format('%s of %s flushes of %s computed its whole query, %s ms each', full_recomputes, flushes, tview, round((flush_time / flushes)::numeric, 1)),
                       format('SELECT * FROM tviews.explain(%L)', tview)
                  FROM tviews.stat WHERE full_recomputes > 10 AND full_recomputes * 10 > flushes AND flush_time / flushes > 5",
    },
    Check {
        name: "bloat",
        query: "SELECT true, format('%s of %s rows of %s are dead: scans read them all', n_dead_tup, n_dead_tup + n_live_tup,
                       CASE WHEN relid = root.oid THEN relid::regclass::text ELSE format('%s, a stage of %s', relid::regclass, root.oid::regclass) END), format('VACUUM (ANALYZE) %s', relid::regclass)
                  FROM pg_stat_all_tables JOIN pg_class c ON c.oid = relid JOIN pg_am a ON a.oid = c.relam AND a.amname = 'tview'
                 CROSS JOIN LATERAL (WITH RECURSIVE up AS (SELECT relid AS oid UNION ALL SELECT s.tview FROM up JOIN tviews.stage s ON s.stage = up.oid)
                                     SELECT up.oid FROM up WHERE NOT EXISTS (SELECT FROM tviews.stage s WHERE s.stage = up.oid)) root
                 WHERE n_dead_tup > 1000 AND n_dead_tup * 4 > n_live_tup",
    },
    Check {
        name: "locks",
        query: "SELECT true, format('%s sessions have waited for flushes of process %s for up to %s s; it is %s since %s', count(DISTINCT l.pid), b.pid,
                                     round(extract(epoch FROM max(clock_timestamp() - l.waits_since))::numeric, 1), b.state, date_trunc('second', b.state_change)),
                       CASE WHEN b.state LIKE 'idle in%' THEN format('SELECT pg_terminate_backend(%s)', b.pid) ELSE format('SELECT pg_cancel_backend(%s)', b.pid) END
                  FROM tviews.locks l JOIN pg_stat_activity b ON b.pid = ANY (l.waits_for)
                 WHERE NOT l.granted AND clock_timestamp() - l.waits_since > interval '1 second'
                   AND NOT EXISTS (SELECT FROM tviews.locks w WHERE w.pid = b.pid AND NOT w.granted)
                 GROUP BY b.pid, b.state, b.state_change",
    },
    Check {
        name: "replication",
        query: "SELECT false, format('%I.%I is unlogged: the standbys that are connected cannot read it', schema, name), format('ALTER TVIEW %I.%I SET LOGGED', schema, name)
                  FROM tviews.tviews WHERE NOT logged AND EXISTS (SELECT FROM pg_stat_replication WHERE application_name IS DISTINCT FROM 'pg_basebackup'
                   AND pid NOT IN (SELECT active_pid FROM pg_replication_slots WHERE slot_type = 'logical' AND active_pid IS NOT NULL))",
    },
    Check {
        name: "statistics",
        query: "SELECT false, format('%I.%I has never been analyzed, so plans guess how large it is', t.schema, t.name), format('ANALYZE %I.%I', t.schema, t.name)
                  FROM tviews.tviews t JOIN pg_stat_all_tables s ON s.schemaname = t.schema AND s.relname = t.name
                 WHERE t.populated AND s.last_analyze IS NULL AND s.last_autoanalyze IS NULL AND pg_relation_size(s.relid) > 80000",
    },
    Check {
        name: "settings",
        query: "SELECT problem, format('%s is %s: ', s.name, current_setting(s.name)) || why, mend
                  FROM (VALUES
                    ('autovacuum', 'off', true, 'nothing removes the dead rows that flushes leave', 'ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf()'),
                    ('track_counts', 'off', true, 'autovacuum does not know what has changed', 'ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf()'),
                    ('pg_tviews.nested_loops', 'off', false, 'small changes are followed by SQL, which takes longer', 'ALTER SYSTEM RESET pg_tviews.nested_loops; SELECT pg_reload_conf()'),
                    ('pg_tviews.partial_rows', 'off', false, 'whole rows are computed for a changed part', 'ALTER SYSTEM RESET pg_tviews.partial_rows; SELECT pg_reload_conf()'),
                    ('idle_in_transaction_session_timeout', '0', false, 'a session that forgets to commit keeps the locks of its flush for ever', 'ALTER SYSTEM SET idle_in_transaction_session_timeout = ''5min''; SELECT pg_reload_conf()')
                  ) s (name, bad, problem, why, mend)
                 WHERE current_setting(s.name, true) = s.bad
                UNION ALL
                SELECT false, format('max_locks_per_transaction is %s and pg_tviews.lock_escalation %s: a transaction that changes many groups can use up the lock table', a, b),
                       format('ALTER SYSTEM SET max_locks_per_transaction = %s; SELECT ''restart the server''', b)
                  FROM (SELECT current_setting('max_locks_per_transaction')::int AS a, current_setting('pg_tviews.lock_escalation')::int AS b) x WHERE b > 4 * a",
    },
];
