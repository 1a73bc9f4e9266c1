//! Query trees: how they are loaded, read, edited, and printed. Nothing here knows of maintenance.
//!
//! load: the stored query, views expanded · tree, conditions, from, call: parts of a query · relations: the relations it reads · levels: columns
//! from the queries around a tree · clock: what gives the time · limits, not_in, pulled_up, lateral_values, joins, json_arrays, select_list, view_rows, grouping_sets, virtual_columns, table_rows: forms that text and
//! change rows keep · printed, canonical, analysed: text that is
//! read back and compared · operators: the search_path that the text needs.

pub mod analysed;
pub mod call;
mod canonical;
pub mod clock;
pub mod conditions;
pub mod from;
pub mod grouping_sets;
pub mod joins;
#[cfg(feature = "since_19")]
mod json_arrays;
mod lateral_values;
pub mod levels;
mod limits;
pub mod load;
pub mod not_in;
pub mod operators;
pub mod printed;
mod pulled_up;
pub mod recursion;
pub mod relations;
mod row_types;
mod search_cycle;
pub mod select_list;
pub mod table_rows;
pub mod tree;
mod view_rows;
#[cfg(feature = "since_18")]
mod virtual_columns;
