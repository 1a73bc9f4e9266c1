//! Random transactions over the eight tables: inserts, updates, deletes, NULLs, keys that change or cascade, several
//! tables together, reads in between, savepoints.
//!
//! Invariant: a transaction depends on the seed and its number only, and on the contents of the tables through its own
//! SQL, so that a run can be repeated. Called by `check`.

//!
//! `rows` chooses rows; `update`, `orders`, `masters`, `keys` and `geography` are what may be written to which tables; `aimed` is about the
//! thresholds of the queries.

mod aimed;
mod geography;
mod keys;
mod masters;
mod orders;
mod rows;
mod sizes;
mod update;

pub use sizes::Sizes;

use crate::dice::Dice;

/// One step of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Sql(String),
    /// Compare all TVIEWs from inside the transaction.
    Compare,
}

/// Keys of new rows start here.
const FRESH: i64 = 1_000_000_000;

struct Maker<'a> {
    dice: &'a mut Dice,
    sizes: Sizes,
    number: i64,
    /// New keys given out by this transaction.
    given: i64,
    steps: Vec<Step>,
}

/// Transaction `number` of a run, from BEGIN to COMMIT or ROLLBACK.
pub fn make(seed: u64, number: u64, sizes: Sizes) -> Vec<Step> {
    let mut dice = Dice::new(seed, number);
    let mut maker = Maker { dice: &mut dice, sizes, number: number as i64, given: 0, steps: Vec::new() };
    maker.transaction();
    maker.steps
}

impl Maker<'_> {
    fn transaction(&mut self) {
        let level = self.dice.weighted(&[(8, "READ COMMITTED"), (1, "REPEATABLE READ"), (1, "SERIALIZABLE")]);
        self.sql(format!("BEGIN ISOLATION LEVEL {level}"));
        let statements = self.dice.weighted(&[(4, 1), (3, 2), (2, 4), (1, 8)]);
        for _ in 0..statements {
            if self.dice.chance(10) {
                self.sql("SAVEPOINT s");
                self.write();
                if self.dice.chance(30) {
                    self.steps.push(Step::Compare);
                }
                let end = if self.dice.chance(60) { "ROLLBACK TO s" } else { "RELEASE s" };
                self.sql(end);
            } else {
                self.write();
            }
            if self.dice.chance(8) {
                self.steps.push(Step::Compare);
            }
        }
        let end = if self.dice.chance(5) { "ROLLBACK" } else { "COMMIT" };
        self.sql(end);
    }

    fn sql(&mut self, text: impl Into<String>) {
        self.steps.push(Step::Sql(text.into()));
    }

    /// One or several statements of one kind.
    fn write(&mut self) {
        let kind: fn(&mut Self) = self.dice.weighted(&[
            (30, Maker::update as fn(&mut Self)),
            (25, Maker::aimed as fn(&mut Self)),
            (10, Maker::new_orders as fn(&mut Self)),
            (8, Maker::delete_orders as fn(&mut Self)),
            (8, Maker::delete_lines as fn(&mut Self)),
            (6, Maker::new_parts as fn(&mut Self)),
            (4, Maker::new_people as fn(&mut Self)),
            (4, Maker::delete_others as fn(&mut Self)),
            (4, Maker::keys as fn(&mut Self)),
            (4, Maker::geography as fn(&mut Self)),
            (3, Maker::undone as fn(&mut Self)),
            (3, Maker::upsert as fn(&mut Self)),
            (1, Maker::truncate as fn(&mut Self)),
        ]);
        kind(self);
    }

    /// A key that no row has.
    fn fresh(&mut self) -> i64 {
        self.given += 1;
        FRESH + self.number * 100 + self.given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_run() {
        let sizes = Sizes::of(0.01);
        for number in 0..50 {
            assert_eq!(make(7, number, sizes), make(7, number, sizes));
        }
        assert_ne!(make(7, 1, sizes), make(8, 1, sizes));
    }

    #[test]
    fn transactions_begin_and_end() {
        for number in 0..200 {
            let steps = make(1, number, Sizes::of(0.01));
            let Some(Step::Sql(first)) = steps.first() else { panic!("no BEGIN") };
            assert!(first.starts_with("BEGIN"));
            let last = steps.last();
            assert!(last == Some(&Step::Sql("COMMIT".into())) || last == Some(&Step::Sql("ROLLBACK".into())));
        }
    }
}
