//! Nations and regions: few rows with many rows behind them.
//!
//! Invariant: what belonged to a nation that goes has none. Called by `Maker::write`.

use super::Maker;
use crate::values::{present, value};

impl Maker<'_> {
    pub(super) fn geography(&mut self) {
        let nation = self.dice.between(0, 24);
        let region = self.dice.between(0, 4);
        match self.dice.between(0, 7) {
            6 | 7 => {
                // as it was at first
                self.sql("INSERT INTO region TABLE original_region ON CONFLICT (r_regionkey) DO UPDATE SET r_name = excluded.r_name");
                self.sql(
                    "INSERT INTO nation TABLE original_nation ON CONFLICT (n_nationkey) \
                     DO UPDATE SET n_name = excluded.n_name, n_regionkey = excluded.n_regionkey",
                );
                self.sql("UPDATE supplier SET s_nationkey = s_suppkey % 25 WHERE s_nationkey IS NULL");
                self.sql("UPDATE customer SET c_nationkey = c_custkey % 25 WHERE c_nationkey IS NULL");
            }
            0 => self.sql(format!("UPDATE nation SET n_regionkey = {region} WHERE n_nationkey = {nation}")),
            1 => {
                let name = present(self.dice, "n_name");
                self.sql(format!("UPDATE nation SET n_name = {name} WHERE n_nationkey = {nation}"));
            }
            2 => {
                let name = value(self.dice, "r_name");
                self.sql(format!("UPDATE region SET r_name = {name} WHERE r_regionkey = {region}"));
            }
            3 => {
                // a nation goes, and its people have none
                self.sql(format!("UPDATE supplier SET s_nationkey = NULL WHERE s_nationkey = {nation}"));
                self.sql(format!("UPDATE customer SET c_nationkey = NULL WHERE c_nationkey = {nation}"));
                self.sql(format!("DELETE FROM nation WHERE n_nationkey = {nation}"));
                if self.dice.chance(70) {
                    let name = present(self.dice, "n_name");
                    self.sql(format!("INSERT INTO nation VALUES ({nation}, {name}, {region})"));
                }
            }
            4 => {
                self.sql(format!("UPDATE nation SET n_regionkey = NULL WHERE n_regionkey = {region}"));
                self.sql(format!("DELETE FROM region WHERE r_regionkey = {region}"));
                let name = present(self.dice, "r_name");
                self.sql(format!("INSERT INTO region VALUES ({region}, {name})"));
                self.sql(format!("UPDATE nation SET n_regionkey = {region} WHERE n_regionkey IS NULL"));
            }
            _ => self.sql("UPDATE nation a SET n_name = b.n_name FROM nation b WHERE (a.n_nationkey, b.n_nationkey) IN ((6, 7), (7, 6), (2, 3), (3, 2))"),
        }
    }
}
