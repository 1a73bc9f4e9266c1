-- The five tables of nycflights13, with the keys that the data has. Loaded by demo/run.py with :csv set to the directory of the files.
-- Invariant: every key a flight refers to may be missing on the other side (planes and some airports are), as in the original data.
CREATE TABLE airlines (carrier text PRIMARY KEY, name text NOT NULL);
CREATE TABLE airports (faa text PRIMARY KEY, name text NOT NULL, lat float8, lon float8, alt int, tz int, dst text, tzone text);
CREATE TABLE planes (tailnum text PRIMARY KEY, year int, type text, manufacturer text, model text, engines int, seats int, speed int, engine text);
CREATE TABLE weather (
    origin text, year int, month int, day int, hour int, temp float8, dewp float8, humid float8, wind_dir int, wind_speed float8,
    wind_gust float8, precip float8, pressure float8, visib float8, time_hour timestamptz);
CREATE TABLE flights (
    id bigserial PRIMARY KEY, year int, month int, day int, dep_time int, sched_dep_time int, dep_delay int, arr_time int,
    sched_arr_time int, arr_delay int, carrier text, flight int, tailnum text, origin text, dest text, air_time int, distance int,
    hour int, minute int, time_hour timestamptz);
