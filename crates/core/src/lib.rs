//! The part of pg_tviews that does not know PostgreSQL.
#![forbid(unsafe_code)]
