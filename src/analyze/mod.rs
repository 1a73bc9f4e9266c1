//! Analysis: from the server's analysed `Query` to the PostgreSQL-free description, and the reasons why not.
//!
//! Arrows go down only: query (trees, nothing of maintenance) → describe (facts) → refuse (why never) · rules (the SQL by which changes are
//! followed) · split (stages). The last three do not know each other. See README.md here.
//! Called by the DDL hooks (at creation, with error positions) and by refresh (once per TVIEW and backend).

pub mod describe;
pub mod query;
pub mod refuse;
pub mod rules;
pub mod split;
