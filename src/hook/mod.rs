//! The server's hooks: syntax (a detour of the parser) · utility statements · executor start · EXPLAIN · object access · statistics.
//!
//! Invariant: every hook function is a plain C frame without destructors that calls guarded Rust before and after the
//! next hook in the chain, so users' errors pass through untouched and our own carry position and context
//! (pg/callback.rs). Nothing calls hook.

pub mod alter;
mod base_table;
mod call;
mod cascade;
mod convention;
pub mod create;
mod dependents;
pub mod executor;
mod explained;
pub mod functions;
mod keys;
pub mod life;
pub mod merge;
mod named;
pub mod object_access;
mod own;
mod policies;
pub mod refresh;
mod replace;
pub mod statistics;
pub mod syntax;
mod types;
pub mod utility;

pub fn init() {
    utility::init();
    executor::init();
    explained::init();
    merge::init();
    object_access::init();
    statistics::init();
}
