-- Aggregates whose result is the transition value of an aggregate of the server: what a TVIEW keeps in its hidden state
-- attributes. state_f is for aggregates with f as transition function of their moving-aggregate mode.
CREATE AGGREGATE tviews.state_int2_avg_accum(int2) (
    SFUNC = int2_avg_accum, STYPE = int8[], INITCOND = '{0,0}', COMBINEFUNC = int4_avg_combine, PARALLEL = SAFE);
CREATE AGGREGATE tviews.state_int4_avg_accum(int4) (
    SFUNC = int4_avg_accum, STYPE = int8[], INITCOND = '{0,0}', COMBINEFUNC = int4_avg_combine, PARALLEL = SAFE);
CREATE AGGREGATE tviews.state_int8_avg_accum(int8) (
    SFUNC = int8_avg_accum, STYPE = internal, SSPACE = 48, FINALFUNC = int8_avg_serialize, COMBINEFUNC = int8_avg_combine,
    SERIALFUNC = int8_avg_serialize, DESERIALFUNC = int8_avg_deserialize, PARALLEL = SAFE);
CREATE AGGREGATE tviews.state_numeric_avg_accum(numeric) (
    SFUNC = numeric_avg_accum, STYPE = internal, SSPACE = 128, FINALFUNC = numeric_avg_serialize, COMBINEFUNC = numeric_avg_combine,
    SERIALFUNC = numeric_avg_serialize, DESERIALFUNC = numeric_avg_deserialize, PARALLEL = SAFE);
CREATE AGGREGATE tviews.state_int2_accum(int2) (
    SFUNC = int2_accum, STYPE = internal, SSPACE = 48, FINALFUNC = numeric_poly_serialize, COMBINEFUNC = numeric_poly_combine,
    SERIALFUNC = numeric_poly_serialize, DESERIALFUNC = numeric_poly_deserialize, PARALLEL = SAFE);
CREATE AGGREGATE tviews.state_int4_accum(int4) (
    SFUNC = int4_accum, STYPE = internal, SSPACE = 48, FINALFUNC = numeric_poly_serialize, COMBINEFUNC = numeric_poly_combine,
    SERIALFUNC = numeric_poly_serialize, DESERIALFUNC = numeric_poly_deserialize, PARALLEL = SAFE);
CREATE AGGREGATE tviews.state_int8_accum(int8) (
    SFUNC = int8_accum, STYPE = internal, SSPACE = 128, FINALFUNC = numeric_serialize, COMBINEFUNC = numeric_combine,
    SERIALFUNC = numeric_serialize, DESERIALFUNC = numeric_deserialize, PARALLEL = SAFE);
CREATE AGGREGATE tviews.state_numeric_accum(numeric) (
    SFUNC = numeric_accum, STYPE = internal, SSPACE = 128, FINALFUNC = numeric_serialize, COMBINEFUNC = numeric_combine,
    SERIALFUNC = numeric_serialize, DESERIALFUNC = numeric_deserialize, PARALLEL = SAFE);

-- Intervals: an array up to 16, internal from 17 on.
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 170000 THEN
        CREATE AGGREGATE tviews.state_interval_avg_accum(interval) (
            SFUNC = interval_avg_accum, STYPE = internal, SSPACE = 40, FINALFUNC = interval_avg_serialize,
            COMBINEFUNC = interval_avg_combine, SERIALFUNC = interval_avg_serialize,
            DESERIALFUNC = interval_avg_deserialize, PARALLEL = SAFE);
    ELSE
        CREATE AGGREGATE tviews.state_interval_accum(interval) (
            SFUNC = interval_accum, STYPE = interval[], INITCOND = '{0 second,0 second}',
            COMBINEFUNC = interval_combine, PARALLEL = SAFE);
    END IF;
END $$;

-- Many states of a group as one value.
CREATE FUNCTION tviews.packed(record) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_packed';

-- The best values of a group and how often each is there: what min and max are when the extremum goes.
CREATE FUNCTION tviews.take_greatest(internal, anyelement) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_take_greatest';
CREATE FUNCTION tviews.take_least(internal, anyelement) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_take_least';
CREATE FUNCTION tviews.top(internal) RETURNS bytea
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_top';
CREATE FUNCTION tviews.top_combine(internal, internal) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_top_combine';
CREATE FUNCTION tviews.top_serialize(internal) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_top_serialize';
CREATE FUNCTION tviews.top_deserialize(bytea, internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_top_deserialize';
CREATE AGGREGATE tviews.state_greatest(anyelement) (
    SFUNC = tviews.take_greatest, STYPE = internal, SSPACE = 128, FINALFUNC = tviews.top, COMBINEFUNC = tviews.top_combine,
    SERIALFUNC = tviews.top_serialize, DESERIALFUNC = tviews.top_deserialize, PARALLEL = SAFE);
CREATE AGGREGATE tviews.state_least(anyelement) (
    SFUNC = tviews.take_least, STYPE = internal, SSPACE = 128, FINALFUNC = tviews.top, COMBINEFUNC = tviews.top_combine,
    SERIALFUNC = tviews.top_serialize, DESERIALFUNC = tviews.top_deserialize, PARALLEL = SAFE);
