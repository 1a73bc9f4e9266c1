//! The hazard classes of incremental maintenance, and how often a run met each of them.
//! Invariant: a class is counted only when its statements succeeded, changed rows and were committed (or, for shapes of queries and schemas,
//! when a TVIEW of that shape was there while transactions ran). In long runs a class that hardly ever occurred fails the run.
//! Used by all generators (which name the class), `run` (which counts) and `report`.

use crate::types::Features;
use std::collections::BTreeMap;

/// Every class occurs at least once in this number of cases, or it is a mistake of the generators.
const PER_CLASS: u64 = 300;

macro_rules! hazards {
    ($($name:ident $section:literal $text:literal),* $(,)?) => {
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
        pub enum Hazard { $($name),* }
        pub const ALL: &[(Hazard, &str, &str)] = &[$((Hazard::$name, $section, $text)),*];
    };
}

hazards! {
    JoinKeyAndPartner "joins" "join key updated while its old partner is deleted",
    BothInserted "joins" "both sides of a join inserted",
    BothDeleted "joins" "both sides of a join deleted",
    TwoTables "joins" "two tables changed in one transaction",
    ManyTables "joins" "three or more tables changed in one transaction",
    FourTables "joins" "four or more tables changed in one transaction",
    NoKeyInOutput "joins" "join without a key of one side in the output",
    SelfJoin "joins" "same table twice in a query",
    LeftJoin "joins" "left or right join",
    FirstMatch "joins" "outer join: first match appears",
    LastMatch "joins" "outer join: last match leaves",
    MatchReplaced "joins" "outer join: match replaced",
    LeftRowAndMatch "joins" "outer join: left row changed and match deleted together",
    FullJoin "joins" "full join",
    FullJoinBoth "joins" "full join, both sides of a key changing",
    CoalesceKey "joins" "COALESCE(l.k, r.k) as group key",
    NonEqui "joins" "non-equi join",
    NullSafeJoin "joins" "IS NOT DISTINCT FROM as join condition",
    CommaJoin "joins" "comma join with WHERE",
    MixedJoin "joins" "outer join mixed with cross or comma join",
    NestedJoin "joins" "join of a join in parentheses",
    NaturalUsing "joins" "NATURAL or USING",
    Lateral "joins" "LATERAL sub-query",
    TopNPerKey "joins" "first rows per key through LATERAL",
    NullJoinKey "joins" "join key set to or from NULL",
    SublinkInOn "joins" "sub-link in a join condition",
    ValuesList "joins" "VALUES as source",
    ThreeLevels "sub-queries" "query of up to three levels",
    Exists "sub-queries" "EXISTS / NOT EXISTS",
    ExistsBoth "sub-queries" "both sides of a sub-link changed together",
    ExistsGrouped "sub-queries" "EXISTS over GROUP BY and HAVING",
    ExistsJoin "sub-queries" "EXISTS over a join",
    NestedExists "sub-queries" "nested EXISTS",
    InSubquery "sub-queries" "IN (sub-query)",
    NotIn "sub-queries" "NOT IN or <> ALL (sub-query)",
    RowIn "sub-queries" "multi-column IN",
    Any "sub-queries" "ANY and ALL (sub-query)",
    ScalarSubquery "sub-queries" "scalar sub-query",
    ScalarByKey "sub-queries" "scalar sub-query, one row by key",
    ScalarNullOrValue "sub-queries" "scalar sub-query that becomes empty or not",
    ScalarTwoRows "sub-queries" "scalar sub-query with two rows, which is an error",
    ScalarInWhere "sub-queries" "scalar sub-query in WHERE",
    ArraySubquery "sub-queries" "ARRAY(sub-query)",
    CorrelatedCount "sub-queries" "correlated count",
    SublinkBelow "sub-queries" "sub-link under OR, NOT, CASE",
    SublinkInHaving "sub-queries" "sub-query in HAVING",
    LimitInside "sub-queries" "LIMIT in a sub-query",
    DistinctOnInside "sub-queries" "DISTINCT ON in a sub-query",
    WindowInside "sub-queries" "window function in a sub-query",
    SetOperationInside "sub-queries" "UNION in a sub-query",
    GroupedSubquery "sub-queries" "grouped sub-query in FROM",
    GroupedJoinedGrouped "sub-queries" "grouped sub-query joined and grouped again",
    CteOnce "sub-queries" "CTE used once",
    CteTwice "sub-queries" "CTE used twice or more",
    CteUnused "sub-queries" "CTE not used",
    Recursive "sub-queries" "WITH RECURSIVE",
    Grouped "aggregates" "GROUP BY",
    Foldable "aggregates" "GROUP BY over inner and left joins with invertible aggregates",
    FoldOverLeftJoin "aggregates" "the same with a left join",
    SumOfProduct "aggregates" "sum over columns of two tables",
    NoGroupBy "aggregates" "aggregate without GROUP BY",
    NoGroupByEmpty "aggregates" "aggregate without GROUP BY over emptied input",
    GroupLeaves "aggregates" "all rows of a group deleted",
    GroupReappears "aggregates" "group leaves and re-appears in one transaction",
    GroupMoves "aggregates" "group key updated",
    AggregatedNull "aggregates" "aggregated values set to or from NULL",
    AllNull "aggregates" "all aggregated values set to NULL",
    AverageUnchanged "aggregates" "NULL becomes a value, the average stays",
    Average "aggregates" "avg",
    Extremum "aggregates" "min/max",
    ExtremumDeleted "aggregates" "extremum deleted",
    OneOfTwoExtrema "aggregates" "one of two equal extrema deleted",
    ExtremumUpdated "aggregates" "extremum updated",
    ExtremumBack "aggregates" "extremum deleted and inserted again",
    FilteredAggregate "aggregates" "FILTER or SUM(CASE)",
    DistinctAggregate "aggregates" "DISTINCT in an aggregate",
    OrderedAggregate "aggregates" "ORDER BY in an aggregate",
    LogicalAggregate "aggregates" "bool_and, bool_or, bit_and, bit_or, bit_xor",
    ObjectAggregate "aggregates" "json(b)_object_agg",
    SqlJsonAggregate "aggregates" "JSON_ARRAYAGG, JSON_OBJECTAGG",
    Variance "aggregates" "stddev and variance family",
    Regression "aggregates" "corr, covar, regr family",
    OrderedSet "aggregates" "mode, percentile, rank WITHIN GROUP",
    OwnAggregate "aggregates" "user-defined aggregate",
    OverAggregates "aggregates" "expression over aggregates",
    AggregateDocument "aggregates" "jsonb_build_object over aggregates",
    KeyNotInOutput "aggregates" "group key not in the output",
    NullGroup "aggregates" "group key that may be NULL",
    RepresentativeLeaves "aggregates" "of equal keys that are not the same, one leaves",
    Having "aggregates" "HAVING",
    HavingUp "aggregates" "HAVING crossed upwards",
    HavingDown "aggregates" "HAVING crossed downwards",
    HavingUnknown "aggregates" "HAVING becomes unknown",
    HavingNull "aggregates" "HAVING that can be unknown",
    ExpressionKey "aggregates" "expression as group key",
    GroupingSets "aggregates" "GROUPING SETS, ROLLUP or CUBE",
    AggregateOfAggregate "aggregates" "aggregate of aggregate",
    FloatAggregate "aggregates" "aggregate of float8",
    SpecialFloat "aggregates" "NaN, Infinity or -0 of float8 comes and goes",
    NumericScale "aggregates" "numeric of different scale",
    ScaleShrinks "aggregates" "the numeric with most digits leaves",
    SpecialNumeric "aggregates" "NaN or Infinity of numeric comes and goes",
    IntervalAggregate "aggregates" "sum or avg of interval",
    MoneyAggregate "aggregates" "sum of money",
    SmallintAggregate "aggregates" "sum or avg of smallint",
    BigintAggregate "aggregates" "sum or avg of bigint",
    Distinct "sets and windows" "DISTINCT",
    DistinctBelow "sets and windows" "DISTINCT under an aggregate",
    DistinctOn "sets and windows" "DISTINCT ON",
    Union "sets and windows" "UNION",
    UnionAll "sets and windows" "UNION ALL",
    Intersect "sets and windows" "INTERSECT [ALL]",
    Except "sets and windows" "EXCEPT [ALL]",
    NestedSetOperation "sets and windows" "nested set operations",
    RowNumber "sets and windows" "row_number and rank",
    BestRow "sets and windows" "row_number() = 1",
    WindowSum "sets and windows" "aggregate over a window",
    WindowFrame "sets and windows" "window frame",
    WindowValue "sets and windows" "lag, lead, first_value, nth_value",
    Distribution "sets and windows" "percent_rank, cume_dist, ntile",
    NamedWindow "sets and windows" "named window",
    TwoPartitions "sets and windows" "two partitions in one query",
    NullPartition "sets and windows" "partition by a column that may be NULL",
    WindowOverGroups "sets and windows" "window over a grouped sub-query",
    WindowOverAggregates "sets and windows" "window over aggregates of the same level",
    PartitionMove "sets and windows" "rows moved between window partitions",
    TopN "sets and windows" "LIMIT over a total order",
    WithTies "sets and windows" "FETCH FIRST … WITH TIES",
    TopNDelete "sets and windows" "first rows deleted under a LIMIT",
    SetReturning "sets and windows" "set-returning function in FROM",
    SetReturningInList "sets and windows" "set-returning function in the select list",
    Ordinality "sets and windows" "WITH ORDINALITY",
    RowsFrom "sets and windows" "ROWS FROM",
    JsonTable "sets and windows" "JSON_TABLE",
    Document "sets and windows" "jsonb document",
    TableWithoutKey "capture" "table without key",
    DeleteOneDuplicate "capture" "one of several duplicates deleted",
    UpdateOneDuplicate "capture" "one of several duplicates updated",
    InsertAndDelete "capture" "the same content inserted and deleted",
    KeyChanged "capture" "primary key changed",
    KeysSwapped "capture" "two keys swapped",
    KeyReinserted "capture" "key deleted and inserted again",
    DeferrableKey "capture" "key that holds at commit only",
    BackToOriginal "capture" "updated and back",
    NoOpUpdate "capture" "update that changes nothing",
    FilterCrossed "capture" "row moved into or out of a filter",
    UnusedColumn "capture" "update of an unused column",
    NullAndValue "capture" "NULL to value or back",
    UpdateIsDeleteInsert "capture" "rows deleted and inserted with changes by one statement",
    Batch16 "capture" "more than 16 rows changed by one statement",
    Batch1000 "capture" "more than 1000 rows changed by one statement",
    TruncateInsert "capture" "TRUNCATE, then INSERT",
    TruncateCascade "capture" "TRUNCATE CASCADE",
    Copy "capture" "COPY FROM STDIN",
    Merge "capture" "MERGE",
    OnConflictUpdate "capture" "ON CONFLICT DO UPDATE",
    OnConflictNothing "capture" "ON CONFLICT DO NOTHING",
    ModifyingCte "capture" "data-modifying CTE on two tables",
    FkCascade "capture" "foreign key with an action fires",
    PartitionRowMoved "capture" "row moved between partitions",
    LeafWrite "capture" "direct write to a leaf or child",
    AttachDetach "capture" "DETACH and ATTACH PARTITION",
    DetachOnly "capture" "DETACH PARTITION, committed",
    Inherit "capture" "NO INHERIT and INHERIT",
    UserTrigger "capture" "user's trigger writes a base table",
    ReadInTrigger "capture" "user's trigger reads a TVIEW",
    EarlyTrigger "capture" "user's trigger reads a TVIEW before the statement is captured",
    PeekInWrite "capture" "statement that writes calls a function that reads a TVIEW",
    TriggersOff "capture" "write while triggers are disabled",
    Replica "capture" "write under session_replication_role = replica",
    GeneratedColumn "capture" "generated column",
    VirtualColumn "capture" "virtual generated column",
    IdentityColumn "capture" "identity column",
    DroppedColumn "capture" "dropped column",
    AddColumn "capture" "ADD COLUMN after creation",
    DropColumn "capture" "column added and dropped after creation",
    RenameColumn "capture" "column renamed",
    RenameTable "capture" "table renamed",
    Rewrite "capture" "table rewritten by ALTER TABLE",
    SavepointRollback "capture" "savepoint rolled back",
    SavepointFlush "capture" "savepoint rolled back after a read inside it",
    SavepointRelease "capture" "savepoint released",
    SavepointReleaseFlush "capture" "savepoint released after a read inside it",
    ExceptionBlock "capture" "PL/pgSQL exception caught",
    ExceptionAfterRead "capture" "PL/pgSQL exception block that reads a TVIEW",
    ErrorRollback "capture" "error, then ROLLBACK",
    ErrorAtCommit "capture" "error at COMMIT",
    RolledBack "capture" "transaction rolled back",
    PreparedCommit "capture" "PREPARE TRANSACTION, committed",
    PreparedRollback "capture" "PREPARE TRANSACTION, rolled back",
    ReadInside "capture" "TVIEW read in the middle of a transaction",
    ReadInFunction "capture" "function that writes tables and reads a TVIEW",
    ReadBesideWrite "capture" "one statement that writes a table and reads a TVIEW",
    RepeatableRead "capture" "REPEATABLE READ",
    Serializable "capture" "SERIALIZABLE",
    SnapshotRead "capture" "TVIEW read in the middle of REPEATABLE READ or SERIALIZABLE",
    ViewSource "capture" "plain view as source",
    TviewSource "capture" "TVIEW as source",
    Diamond "capture" "diamond of TVIEWs",
    CreatedInside "capture" "TVIEW created and written in one transaction",
    DroppedInside "capture" "TVIEW maintained and dropped in one transaction",
    AlteredInside "capture" "TVIEW altered while changes are pending",
    EmptiedInside "capture" "TVIEW emptied, its tables written, populated",
    Rebuild "capture" "tviews.rebuild",
    Refresh "capture" "REFRESH MATERIALIZED VIEW",
    FlushCalled "capture" "tviews.flush()",
    Housekeeping "capture" "VACUUM, ANALYZE, REINDEX of a TVIEW",
    OddNames "names and types" "reserved, quoted or 63-byte names",
    NoEquality "names and types" "json or point column",
    CharColumn "names and types" "char(n) column",
    ArrayColumn "names and types" "array column",
    CompositeColumn "names and types" "composite column",
    EnumDomain "names and types" "enum or domain column",
    RangeColumn "names and types" "range column",
    StampColumn "names and types" "timestamptz column",
    ByteaColumn "names and types" "bytea column",
    MinusZero "names and types" "float8 column, with -0 and NaN",
    CaseInsensitive "names and types" "citext or non-deterministic collation",
    RowExpression "names and types" "ROW(…)",
    WholeRow "names and types" "whole-row reference",
    TableOid "names and types" "tableoid",
    Partitioned "names and types" "partitioned table",
    SubPartition "names and types" "partitions of partitions",
    Inheritance "names and types" "inheritance tree",
    Grandchild "names and types" "inheritance of two levels",
    Only "names and types" "ONLY",
    OwnFunction "names and types" "user's function in a query",
    BodyReplaced "names and types" "function body replaced",
    OtherSettings "names and types" "writer under another TimeZone, DateStyle, bytea_output, search_path",
    OtherWriter "names and types" "writer who is no superuser",
    OtherOwner "names and types" "owner who is no superuser",
    RowSecurity "names and types" "row security on a base table",
    LoggedOption "names and types" "WITH (logged)",
    FullMode "names and types" "WITH (mode = full)",
}

#[derive(Default)]
pub struct Counts(BTreeMap<Hazard, u64>);

impl Counts {
    pub fn add(&mut self, hazard: Hazard) {
        *self.0.entry(hazard).or_default() += 1;
    }

    pub fn merge(&mut self, other: &Counts) {
        for (&hazard, n) in &other.0 {
            *self.0.entry(hazard).or_default() += n;
        }
    }

    pub fn get(&self, hazard: Hazard) -> u64 {
        self.0.get(&hazard).copied().unwrap_or(0)
    }

    /// Classes that occurred less often than once in `PER_CLASS` cases, of those that these servers have.
    pub fn missing(&self, cases: u64, features: Features) -> Vec<String> {
        let least = cases / PER_CLASS + 1;
        let possible = |h: Hazard| match h {
            Hazard::SqlJsonAggregate => features.version >= 16,
            Hazard::JsonTable => features.version >= 17,
            Hazard::VirtualColumn => features.version >= 18,
            Hazard::CaseInsensitive => features.icu || features.citext,
            _ => true,
        };
        let rare = ALL.iter().filter(|(h, _, _)| possible(*h) && self.get(*h) < least);
        rare.map(|(h, _, text)| format!("{text} ({} of {least})", self.get(*h))).collect()
    }

    pub fn print(&self) {
        let mut section = "";
        for (hazard, s, text) in ALL {
            if *s != section {
                println!("\n{s}");
                section = s;
            }
            println!("{:>8}  {text}", self.get(*hazard));
        }
    }
}
