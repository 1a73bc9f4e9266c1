-- What the demo keeps up to date: a document per flight, and totals per carrier and per airport.
-- Invariant: ordinary queries; demo/run.py also builds them as plain materialized views, to compare.
CREATE TVIEW tv_flight AS
SELECT f.id,
       jsonb_build_object(
           'flight', f.carrier || f.flight,
           'scheduled', f.time_hour,
           'delay', jsonb_build_object('departure', f.dep_delay, 'arrival', f.arr_delay),
           'airline', jsonb_build_object('code', f.carrier, 'name', a.name),
           'plane', jsonb_build_object('tail', f.tailnum, 'model', p.model, 'seats', p.seats),
           'from', jsonb_build_object('code', f.origin, 'name', o.name),
           'to', jsonb_build_object('code', f.dest, 'name', d.name)) AS data
FROM flights f
JOIN airlines a ON a.carrier = f.carrier
LEFT JOIN planes p ON p.tailnum = f.tailnum
LEFT JOIN airports o ON o.faa = f.origin
LEFT JOIN airports d ON d.faa = f.dest;

CREATE TVIEW tv_carrier AS
SELECT a.carrier, a.name, count(*) AS flights, count(f.arr_delay) AS arrived, sum(f.arr_delay) AS delay, sum(f.distance) AS miles
FROM flights f
JOIN airlines a ON a.carrier = f.carrier
GROUP BY a.carrier, a.name;

CREATE TVIEW tv_airport AS
SELECT f.dest, d.name, count(*) AS flights, sum(f.arr_delay) AS delay, max(f.arr_delay) AS worst
FROM flights f
LEFT JOIN airports d ON d.faa = f.dest
GROUP BY f.dest, d.name;
