-- On the writer: how far each subscriber is behind, in bytes and in time; one whose worker does not run is named with what is kept for it.
SELECT s.slot_name AS subscriber, s.active, pg_wal_lsn_diff(pg_current_wal_lsn(), s.confirmed_flush_lsn) AS bytes_behind, r.replay_lag
  FROM pg_replication_slots s LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid
 WHERE s.slot_type = 'logical' ORDER BY 1;
