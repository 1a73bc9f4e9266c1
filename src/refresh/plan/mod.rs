//! What a backend knows of one TVIEW before anything has changed: decisions, SQL, plans, and what reads what.

pub mod bag;
pub mod decide;
pub mod fold;
pub mod graph;
pub mod keyed;
pub mod lookup;
pub mod privileges;
pub mod sql;
pub mod summary;
pub mod tview;
