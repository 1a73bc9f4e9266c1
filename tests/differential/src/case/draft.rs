//! How a case is made of a seed: drafts, of which the best is taken.
//! Invariant: everything follows from the seed and the features of the server; nothing asks the server. Called by everything that runs cases.

use super::{Case, Conditions, MANUAL, View};
use crate::dice::Dice;
use crate::features::Features;
use crate::hazards::{Hazard, RARE};
use crate::query::{Gen, Nesting, Source};
use crate::{plan, schema};

/// Of some drafts the draft with most rare hazards for its size: so that no hazard is left out of runs of minutes.
pub fn build(seed: u64, features: Features) -> Case {
    let drafts = (0..DRAFTS).map(|n| draft(seed.wrapping_add(n << 50), features));
    let score = |case: &Case| {
        let rare = case.planned().into_iter().filter(|h| RARE.contains(h)).count();
        let deep: usize = case.tviews().map(|v| Nesting::rare(&v.query.sql)).sum();
        (rare + deep) * 1000 / (4 + case.views.len() + case.transactions.len() / 6)
    };
    drafts.rev().max_by_key(score).unwrap_or_else(|| draft(seed, features))
}

const DRAFTS: u64 = 5;

/// Queries whose changes may need what was there before.
const LOOKS_BACK: &[Hazard] = {
    use Hazard::*;
    &[
        Exists,
        ExistsJoin,
        ExistsGrouped,
        NestedExists,
        InSubquery,
        NotIn,
        Any,
        ScalarSubquery,
        ScalarInWhere,
        LeftJoin,
        FullJoin,
        FullChain,
    ]
};

/// One case, as the dice throw it.
fn draft(seed: u64, features: Features) -> Case {
    let dice = &mut Dice::new(seed);
    // Of its own: which TVIEWs are only refreshed changes nothing else of a case.
    let mut later = Dice::new(seed.rotate_left(17));
    let (schema, built) = schema::build(dice, features);
    let mut views: Vec<View> = vec![];
    let mut sources: Vec<Source> = vec![];
    let plain = if dice.chance(25) { 1 } else { 0 };
    let count = dice.weighted(&[(30, 1), (35, 2), (25, 3), (10, 4)]);
    let late = dice.chance(12);
    for number in 0..plain + count + usize::from(late) {
        let is_tview = number >= plain;
        let is_late = late && number == plain + count;
        let depth = if schema.large { 1 } else { dice.weighted(&[(14, 0), (34, 1), (27, 2), (25, 3)]) };
        let mut query_gen = Gen::new(dice, &schema, &sources);
        let query = query_gen.query(depth);
        let mut facts = std::mem::take(&mut query_gen.facts);
        let mut options = vec![];
        let has = |hazard| facts.hazards.contains(&hazard);
        let statistic = has(Hazard::Foldable) && (has(Hazard::Variance) || has(Hazard::Regression));
        if is_tview && statistic && dice.chance(75) {
            options.push("approximate");
            facts.hazards.extend([Hazard::ApproximateOption, Hazard::StatisticFolded]);
        } else if is_tview && dice.chance(12) {
            options.push("logged");
            facts.hazards.insert(Hazard::LoggedOption);
        } else if is_tview && dice.chance(8) {
            options.push("approximate");
            facts.hazards.insert(Hazard::ApproximateOption);
        } else if is_tview && dice.chance(6) {
            options.push("mode = full");
            facts.hazards.insert(Hazard::FullMode);
        } else if is_tview && dice.chance(3) {
            options.push("mode = incremental");
            facts.hazards.insert(Hazard::IncrementalMode);
        }
        let looks_back = facts.hazards.iter().any(|h| LOOKS_BACK.contains(h));
        if is_tview && later.chance(if looks_back { 25 } else { 12 }) {
            options.push(MANUAL);
            if looks_back {
                facts.hazards.insert(Hazard::BeforeOfDeferred);
            }
        }
        let name = if dice.chance(10) { format!("\"Odd view {number}\"") } else { format!("tv_{number}") };
        let several: Vec<&View> = views.iter().filter(|v| v.is_tview && facts.sources.contains(&v.name)).collect();
        if several.len() >= 2 || several.iter().any(|v| v.facts.tables.intersection(&facts.tables).next().is_some()) {
            facts.hazards.insert(Hazard::Diamond);
        }
        if !is_late && !schema.large {
            let hazard = Some(if is_tview { Hazard::TviewSource } else { Hazard::ViewSource });
            sources.push(Source { name: name.clone(), columns: query.columns.clone(), hazard });
        }
        views.push(View { name, is_tview, options, query, facts, late: is_late });
    }
    let conditions = Conditions { from_wal: later.chance(60), ..Conditions::random(dice) };
    let transactions = plan::transactions(dice, &schema, &views, Some(conditions));
    let watched = !schema.large && dice.chance(40);
    let schema::Built { ddl, rows, triggers, hazards } = built;
    Case { conditions, watched, ddl, rows, triggers, schema, views, transactions, hazards }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hazards::{self, Counts};

    /// Of 1000 cases. Hazards counted here come from the generators alone; a run counts the effects of statements.
    #[test]
    fn every_hazard_is_planned() {
        let mut counts = Counts::default();
        let mut nesting = Nesting::default();
        for number in 0..1000 {
            let case = build(crate::dice::case_seed(9, number), Features { version: 19, icu: true, citext: true });
            case.planned().into_iter().for_each(|h| counts.add(h));
            case.tviews().for_each(|v| nesting.add_query(&v.query.sql));
        }
        // these are counted from what statements do, and how transactions end
        let planned = |h: &Hazard| !BY_RUNS.contains(h);
        let all = hazards::ALL.iter().filter(|(h, _, _)| planned(h));
        let rare: Vec<_> = all.filter(|(h, _, _)| counts.get(h) < 25).map(|(h, _, _)| (h, counts.get(h))).collect();
        assert!(rare.is_empty(), "planned in fewer than 25 of 1000 cases: {rare:?}");
        assert!(nesting.missing(1000, 50).is_empty());
    }

    const BY_RUNS: &[Hazard] = {
        use Hazard::*;
        &[
            Deferred,
            FromWal,
            TwoTables,
            ManyTables,
            FourTables,
            Batch16,
            Batch1000,
            Replica,
            ErrorRollback,
            ErrorAtCommit,
            RolledBack,
            PreparedCommit,
            PreparedRollback,
            RepeatableRead,
            Serializable,
            SnapshotRead,
            OtherSettings,
            OneSetting,
            WarmSession,
            OtherWriter,
            OtherOwner,
            RowSecurity,
            SqlOnly,
            WholeRows,
            LongDocument,
            MegabyteDocument,
        ]
    };

    #[test]
    fn a_seed_gives_one_case() {
        let features = Features { version: 18, icu: true, citext: false };
        let text = |seed| format!("{:?}", build(seed, features));
        (0..20).for_each(|seed| assert_eq!(text(seed), text(seed)));
        assert_ne!(text(1), text(2));
    }
}
