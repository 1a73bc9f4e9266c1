//! How one TVIEW follows its change set: locks, strategies, and writing what differs.

mod anchors;
mod apply;
mod bag;
pub mod base;
mod choice;
mod difference;
mod first_rows;
mod fold;
mod full;
mod interval;
pub mod job;
mod keyed;
mod keyed_loops;
pub mod locks;
mod loop_keys;
mod meetings;
mod nested_loop;
mod pairs;
mod parts;
mod plain;
pub mod provisional;
mod rows;
pub mod sources;
pub mod ways;
mod written;
