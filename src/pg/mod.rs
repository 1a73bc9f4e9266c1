//! Wrappers around the parts of the server that the rest of the extension uses, safe where possible and small elsewhere.
//!
//! Called by everyone; calls nothing of ours.

pub mod acl;
pub mod aggregate;
pub mod background;
pub mod callback;
pub mod callees;
mod cycle_marks;
pub mod ddl;
pub mod deparse;
pub mod ending;
pub mod error;
pub mod explain;
pub mod ext;
pub mod fault;
pub mod function;
pub mod guc;
pub mod list;
pub mod locks;
pub mod memory;
pub mod moved;
pub mod name;
mod named_row;
pub mod original;
pub mod pinned;
pub mod procedure;
mod receiver;
pub mod relation;
pub mod reserve;
mod row_comparison;
pub mod row_hash;
pub mod shmem;
pub mod silent;
pub mod slot;
pub mod snapshot;
pub mod sort;
pub mod spi;
pub mod started;
pub mod stored_trees;
pub mod subtransaction;
pub mod syscatalog;
pub mod timeout;
pub mod tree;
pub mod tupdesc;
pub mod values;
pub mod varlena;
pub mod walk;
