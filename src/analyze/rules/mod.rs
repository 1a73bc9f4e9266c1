//! The SQL by which changes are followed.
//!
//! dirty: the query for the keys that a change can affect · null_extension: sides that outer joins null-extend in it · outer_links: their conditions with sub-queries · lift, pieces, reduce: sub-queries in
//! it · forget: what is left when values are not known · change_rows: change sets in the place of relations · delta: the weighted rows by which a join changes · anchor, common_value: weighted rows of any block ·
//! outer: weighted rows of outer joins · value_range: rows that a changed value concerns · first_rows, interval, offset, places: where changed rows are in an order, and the rows that they concern there · fence, forms: forms for few rows and for many ·
//! state_before: relations as they were · recursion: where the changes of a recursive query begin · join_values, join_tree: by which values relations meet · parts: what of a row a change can concern · whole: the whole query · nested_loop: instead of SQL, loops over indexes.

pub mod anchor;
mod change_rows;
pub mod common_value;
pub mod delta;
pub mod dirty;
mod fence;
pub mod first_rows;
mod forget;
pub mod forms;
pub mod interval;
mod join_tree;
pub mod join_values;
mod lift;
pub mod nested_loop;
mod null_extension;
mod offset;
mod outer;
mod outer_links;
pub mod parts;
mod pieces;
mod places;
pub mod recursion;
mod reduce;
pub mod state_before;
mod value_range;
pub mod whole;
