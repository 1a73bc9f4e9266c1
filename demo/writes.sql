-- The writes of the demo. Each begins with `-- write: what it is` and goes on, after `-- shows: label`, with a query whose single value is
-- shown from before and after it. Invariant: no TVIEW is mentioned in a write, so the same text runs in a database without them.

-- write: a delay is corrected
UPDATE flights SET arr_delay = arr_delay + 7 WHERE id = 1000;
-- shows: tv_flight 1000, arrival delay
SELECT data #>> '{delay,arrival}' FROM tv_flight WHERE id = 1000;

-- write: an airline is renamed
UPDATE airlines SET name = 'SkyWest' WHERE carrier = 'OO';
-- shows: tv_flight documents with its name
SELECT count(*) || ' × ' || max(data #>> '{airline,name}') FROM tv_flight WHERE data #>> '{airline,code}' = 'OO';

-- write: a day of flights arrives by COPY
\copy flights (year, month, day, dep_time, sched_dep_time, dep_delay, arr_time, sched_arr_time, arr_delay, carrier, flight, tailnum, origin, dest, air_time, distance, hour, minute, time_hour) FROM 'day.csv' (FORMAT csv, NULL 'NA')
-- shows: tv_carrier, flights of United
SELECT flights FROM tv_carrier WHERE carrier = 'UA';

-- write: a rollback
BEGIN;
DELETE FROM flights WHERE dest = 'BOS' AND month = 1;
ROLLBACK;
-- shows: tv_airport, flights to Boston
SELECT flights FROM tv_airport WHERE dest = 'BOS';

-- write: a savepoint: one of two writes stays
BEGIN;
DELETE FROM flights WHERE id = 2000;
SAVEPOINT s;
DELETE FROM flights WHERE carrier = 'UA' AND month = 2;
ROLLBACK TO s;
COMMIT;
-- shows: tv_carrier, flights in all
SELECT sum(flights) FROM tv_carrier;
