//! Analysis: from the server's analysed `Query` to the PostgreSQL-free description, and the reasons why not.
//!
//! load: the stored query, views expanded · joins: those without names and USING · select_list: functions moved to FROM · refuse: what cannot be maintained ·
//! relations: what a query reads · operators: the search_path that text needs · locate: where a refused construct stands ·
//! describe: the description · dirty: the query for the keys that a change can affect · null_extension: what outer joins
//! null-extend in it · lift, reduce: sub-queries in it · levels: what a tree takes from around it ·
//! printed, canonical: text that is read back and compared · change_rows: change sets in the place of relations · delta: the weighted
//! rows by which a join changes · value_range: those of a changed value · fence: their form for few rows · fold: state and outputs of grouped queries · text: SQL of
//! the whole query.
//! Called by the DDL hooks (at creation, with error positions) and by refresh (once per TVIEW and backend).

pub mod anchor;
pub mod bodies;
mod canonical;
mod change_rows;
mod clock;
pub mod delta;
pub mod describe;
pub mod dirty;
mod fence;
pub mod fold;
mod grouping_sets;
mod hidden_output;
pub mod join_values;
mod joins;
mod levels;
mod lift;
pub mod load;
pub mod locate;
mod null_extension;
pub mod operators;
mod outer;
pub mod partners;
pub mod printed;
mod reduce;
pub mod refuse;
mod refuse_functions;
pub mod relations;
mod select_list;
pub mod set_operations;
pub mod settings;
pub mod stages;
pub mod text;
pub mod texts;
mod value_range;
pub mod view_owners;
mod view_rows;
