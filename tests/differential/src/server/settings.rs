//! The settings of sessions: pinned ones under which TVIEWs are computed and compared, odd ones for writers.
//! Invariant: the pinned settings decide every text that is compared. Called by `client`, `run`, `concurrent` and `report`.

/// Settings under which TVIEWs are computed, so that text compares.
const PINNED: &[(&str, &str)] = &[
    ("TimeZone", "'UTC'"),
    ("DateStyle", "'ISO, MDY'"),
    ("extra_float_digits", "1"),
    ("IntervalStyle", "'postgres'"),
    ("bytea_output", "'hex'"),
    ("lc_monetary", "'C'"),
    ("array_nulls", "on"),
    ("timezone_abbreviations", "'Default'"),
    ("gin_fuzzy_search_limit", "0"),
    ("transform_null_equals", "off"),
    ("search_path", "fuzz, public"),
];

/// Other settings for a writer: TVIEWs must not depend on them. The search path has functions that answer otherwise.
pub const ODD: &str = "SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German, DMY'; SET extra_float_digits = -3; SET IntervalStyle = 'iso_8601'; SET bytea_output = 'escape'; SET array_nulls = off; SET timezone_abbreviations = 'Australia'; SET gin_fuzzy_search_limit = 3; SET quote_all_identifiers = on; SET search_path = fuzz_decoy, pg_catalog, fuzz, public";

/// What the odd search path finds first.
pub const DECOY: &str = "DROP SCHEMA IF EXISTS fuzz_decoy CASCADE; CREATE SCHEMA fuzz_decoy; GRANT USAGE ON SCHEMA fuzz_decoy TO PUBLIC; \
CREATE FUNCTION fuzz_decoy.upper(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''decoy'''; \
CREATE FUNCTION fuzz_decoy.to_jsonb(anyelement) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT ''\"decoy\"''::jsonb'; \
CREATE FUNCTION fuzz_decoy.shade(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT -1'; \
CREATE AGGREGATE fuzz_decoy.sum(int) (SFUNC = int4pl, STYPE = int, INITCOND = '1000')";

/// Settings of the session that compares; jit costs more than these queries.
pub fn comparing() -> String {
    format!(
        "{}SET client_min_messages = 'error'; SET jit = off; SET statement_timeout = '120s'; SET lock_timeout = '60s'; SET pg_tviews.full_refresh_threshold = 0.3",
        pinned()
    )
}

/// What text is compared under.
pub fn pinned() -> String {
    PINNED.iter().map(|(name, value)| format!("SET {name} = {value}; ")).collect()
}

/// The same as clauses of CREATE FUNCTION.
pub fn of_function() -> String {
    PINNED.iter().map(|(name, value)| format!(" SET {name} = {value}")).collect()
}
