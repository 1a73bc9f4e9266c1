//! A backend's knowledge of one TVIEW before any change: decisions, SQL, plans, and the graph of which TVIEW reads which relation.

pub mod bag;
pub mod decide;
pub mod first_rows;
pub mod fold;
pub mod folding;
pub mod graph;
pub mod interval;
pub mod keyed;
pub mod lookup;
pub mod loops;
pub mod machine;
pub mod parts;
pub mod privileges;
pub mod recursion;
pub mod sql;
pub mod summary;
pub mod tview;
pub mod unset;
