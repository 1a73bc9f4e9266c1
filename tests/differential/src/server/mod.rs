//! What this program needs of a server: sessions, their settings, what its errors say.
//! Invariant: nothing here knows of cases, but for the schema they live in and the functions of `schema::routine` that are an extension's.
//! Called by everything that runs cases; by nothing that makes them.

mod client;
mod error;
mod patience;
mod probe;
mod session;
pub mod settings;

pub use client::{connect, copy_in, has_lost_its_place, rows};
pub use error::{describe, in_flush, state};
pub use patience::takes_long;
pub use probe::version;
pub use session::{SCHEMA, Session};
