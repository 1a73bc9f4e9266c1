//! What every accepted query must hold, and how often a run has checked it.
//! Invariant: a property counts where a check could have failed; in long runs one that was never checked fails the run. Used by `run` and `report`.

use crate::tally::Tally;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Property {
    Columns,
    Contents,
    FreshBuild,
    Incremental,
    NoError,
    EveryFlush,
    Idempotent,
    Batching,
    UpdateIsDeleteInsert,
    UnusedColumns,
    Atomic,
    Replay,
}

const ALL: &[(Property, &str)] = &[
    (Property::Columns, "names, types and collations are those of the query"),
    (Property::Contents, "contents equal the query, after the transaction"),
    (Property::FreshBuild, "equal to a fresh build, and a rebuild writes nothing"),
    (Property::Incremental, "incremental where explain says so"),
    (Property::NoError, "committed without an error of ours"),
    (Property::EveryFlush, "contents equal the query, in the middle of a transaction"),
    (Property::Idempotent, "no change, no write; no row written that did not change"),
    (Property::Batching, "one transaction equals many"),
    (Property::UpdateIsDeleteInsert, "UPDATE equals DELETE and INSERT"),
    (Property::UnusedColumns, "changes of unused columns write nothing"),
    (Property::Atomic, "all of a transaction or nothing"),
    (Property::Replay, "a case is the same when it is run again"),
];

pub type Checks = Tally<Property>;

impl Checks {
    pub fn missing(&self) -> Vec<&'static str> {
        ALL.iter().filter(|(p, _)| self.get(p) == 0).map(|(_, text)| *text).collect()
    }

    pub fn print(&self) {
        println!("\nproperties, by number of checks");
        for (number, (property, text)) in ALL.iter().enumerate() {
            println!("{:>8}  {:>2} {text}", self.get(property), number + 1);
        }
    }
}
