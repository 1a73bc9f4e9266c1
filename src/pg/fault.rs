//! Faults: rules of maintenance broken on purpose, to see that the differential test notices. Only in builds with the feature `faults`.
//!
//! Invariant: without the feature `on` is a constant, so no fault is left in the code.
//! A fault is a line here and an `if fault::on(…)` where its rule is kept; `tests/differential --faults` finds the lines itself, in the values of
//! the setting `pg_tviews.fault`.

macro_rules! faults {
    ($($variant:ident $name:literal),* $(,)?) => {
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[cfg_attr(feature = "faults", derive(pgrx::PostgresGucEnum))]
        pub enum Fault {
            #[cfg_attr(feature = "faults", name = c"none")]
            #[allow(dead_code)]
            None,
            $(#[cfg_attr(feature = "faults", name = $name)] $variant),*
        }
    };
}

faults! {
    // capture
    IgnoreInserts c"ignore_inserts",
    IgnoreDeletes c"ignore_deletes",
    IgnoreOldImages c"ignore_old_images",
    IgnoreNewImages c"ignore_new_images",
    IgnoreTruncate c"ignore_truncate",
    IgnoreAncestors c"ignore_ancestors",
    CaptureUnused c"capture_unused",
    // queue
    KeepRolledBack c"keep_rolled_back",
    LoseWhatAFlushConsumed c"lose_what_a_flush_consumed",
    LosePrepared c"lose_prepared",
    IgnoreInFlight c"ignore_in_flight",
    ForgetWhoWaits c"forget_who_waits",
    OneMoment c"one_moment",
    IgnoreTrees c"ignore_trees",
    IgnoreFunctions c"ignore_functions",
    // flush
    SkipSecondRelation c"skip_second_relation",
    SkipCascade c"skip_cascade",
    SkipFlushBeforeReads c"skip_flush_before_reads",
    WritersSettings c"writers_settings",
    WriteEqual c"write_equal",
    KeepRows c"keep_rows",
    // keyed
    NullKeysDiffer c"null_keys_differ",
    SkipNullExtension c"skip_null_extension",
    SkipDeletedOfOthers c"skip_deleted_of_others",
    SkipPieces c"skip_pieces",
    LoseLinks c"lose_links",
    IgnoreNullsOfNotIn c"ignore_nulls_of_not_in",
    FirstAlternative c"first_alternative",
    SkipVirtualBelow c"skip_virtual_below",
    KeepStoredParts c"keep_stored_parts",
    KeepStoredColumns c"keep_stored_columns",
    StopAtFirst c"stop_at_first",
    LosePulledUp c"lose_pulled_up",
    ForgetValue c"forget_value",
    NeverNull c"never_null",
    OneElement c"one_element",
    // range
    SkipLeaving c"skip_leaving",
    ForgetRoom c"forget_room",
    ForgetBase c"forget_base",
    NearerEnds c"nearer_ends",
    ForgetConditions c"forget_conditions",
    ForgetNulls c"forget_nulls",
    KeepEdge c"keep_edge",
    LoseColumns c"lose_columns",
    // fold and delta
    CountTogetherTwice c"count_together_twice",
    WrongSign c"wrong_sign",
    OneSign c"one_sign",
    SkipPartners c"skip_partners",
    SkipBefore c"skip_before",
    KeepComeBefore c"keep_come_before",
    KeepLevels c"keep_levels",
    KeepEmptyGroups c"keep_empty_groups",
    CountNulls c"count_nulls",
    KeepExtremum c"keep_extremum",
    KeepInTop c"keep_in_top",
    TopIsAll c"top_is_all",
    IgnoreFilters c"ignore_filters",
    KeepRepresentative c"keep_representative",
    RemoveOneOfSeveral c"remove_one_of_several",
    NarrowRange c"narrow_range",
    // capture from WAL
    SkipWaitForWal c"skip_wait_for_wal",
    ForgetOwnFromWal c"forget_own_from_wal",
    // nested loops
    SkipConditions c"skip_conditions",
    SkipOptional c"skip_optional",
}

#[cfg(feature = "faults")]
mod setting {
    use super::Fault;
    use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

    static FAULT: GucSetting<Fault> = GucSetting::<Fault>::new(Fault::None);

    pub fn init() {
        GucRegistry::define_enum_guc(
            c"pg_tviews.fault",
            c"Breaks a rule of maintenance, for tests of the tests.",
            c"",
            &FAULT,
            GucContext::Suset,
            GucFlags::default(),
        );
    }

    pub fn on(fault: Fault) -> bool {
        FAULT.get() == fault
    }
}

#[cfg(not(feature = "faults"))]
mod setting {
    use super::Fault;

    pub fn init() {}

    #[inline(always)]
    pub const fn on(_: Fault) -> bool {
        false
    }
}

pub use setting::{init, on};
