//! The hazard classes of incremental maintenance, and how often a run met each of them.
//! Invariant: a class is counted only when its statements succeeded, changed rows and were committed (or, for shapes of queries and schemas,
//! when a TVIEW of that shape was there while transactions ran). In long runs a class that never occurred fails the run.
//! Used by all generators (which name the class), `run` (which counts) and `report`.

use std::collections::BTreeMap;

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
    ManyTables "joins" "three or more tables changed in one transaction",
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
    NaturalUsing "joins" "NATURAL or USING",
    Lateral "joins" "LATERAL",
    NullJoinKey "joins" "join key set to or from NULL",
    Exists "sub-queries" "EXISTS / NOT EXISTS",
    ExistsBoth "sub-queries" "both sides of a sub-link changed together",
    ExistsGrouped "sub-queries" "EXISTS over GROUP BY and HAVING",
    NestedExists "sub-queries" "nested EXISTS",
    InSubquery "sub-queries" "IN (sub-query)",
    NotIn "sub-queries" "NOT IN or <> ALL (sub-query)",
    RowIn "sub-queries" "multi-column IN",
    ScalarSubquery "sub-queries" "scalar sub-query",
    CorrelatedCount "sub-queries" "correlated count",
    SublinkBelow "sub-queries" "sub-link under OR, NOT, CASE",
    LimitInside "sub-queries" "LIMIT in a sub-query",
    GroupedSubquery "sub-queries" "grouped sub-query in FROM",
    CteOnce "sub-queries" "CTE used once",
    CteTwice "sub-queries" "CTE used twice",
    Recursive "sub-queries" "WITH RECURSIVE",
    Grouped "aggregates" "GROUP BY",
    NoGroupBy "aggregates" "aggregate without GROUP BY",
    NoGroupByEmpty "aggregates" "aggregate without GROUP BY over emptied input",
    GroupLeaves "aggregates" "all rows of a group deleted",
    GroupReappears "aggregates" "group leaves and re-appears in one transaction",
    GroupMoves "aggregates" "group key updated",
    AggregatedNull "aggregates" "aggregated values set to or from NULL",
    Extremum "aggregates" "min/max",
    ExtremumDeleted "aggregates" "extremum deleted",
    ExtremumUpdated "aggregates" "extremum updated",
    ExtremumBack "aggregates" "extremum deleted and inserted again",
    FilteredAggregate "aggregates" "FILTER or SUM(CASE)",
    DistinctAggregate "aggregates" "DISTINCT in an aggregate",
    OrderedAggregate "aggregates" "ORDER BY in an aggregate",
    Having "aggregates" "HAVING",
    ExpressionKey "aggregates" "expression as group key",
    GroupingSets "aggregates" "GROUPING SETS, ROLLUP or CUBE",
    AggregateOfAggregate "aggregates" "aggregate of aggregate",
    FloatAggregate "aggregates" "aggregate of float8",
    NumericScale "aggregates" "numeric of different scale",
    Distinct "sets and windows" "DISTINCT",
    DistinctOn "sets and windows" "DISTINCT ON",
    Union "sets and windows" "UNION",
    UnionAll "sets and windows" "UNION ALL",
    Intersect "sets and windows" "INTERSECT [ALL]",
    Except "sets and windows" "EXCEPT [ALL]",
    RowNumber "sets and windows" "row_number and rank",
    WindowSum "sets and windows" "aggregate over a window",
    WindowFrame "sets and windows" "window frame",
    PartitionMove "sets and windows" "rows moved between window partitions",
    TopN "sets and windows" "LIMIT over a total order",
    TopNDelete "sets and windows" "first rows deleted under a LIMIT",
    SetReturning "sets and windows" "set-returning function in FROM",
    Document "sets and windows" "jsonb document",
    TableWithoutKey "capture" "table without key",
    DeleteOneDuplicate "capture" "one of several duplicates deleted",
    UpdateOneDuplicate "capture" "one of several duplicates updated",
    InsertAndDelete "capture" "the same content inserted and deleted",
    KeyChanged "capture" "primary key changed",
    KeysSwapped "capture" "two keys swapped",
    KeyReinserted "capture" "key deleted and inserted again",
    BackToOriginal "capture" "updated and back",
    NoOpUpdate "capture" "update that changes nothing",
    FilterCrossed "capture" "row moved into or out of a filter",
    UnusedColumn "capture" "update of an unused column",
    NullAndValue "capture" "NULL to value or back",
    UpdateIsDeleteInsert "capture" "rows deleted and inserted with changes by one statement",
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
    UserTrigger "capture" "user's trigger writes a base table",
    GeneratedColumn "capture" "generated column",
    DroppedColumn "capture" "dropped column",
    AddColumn "capture" "ADD COLUMN after creation",
    RenameColumn "capture" "column renamed",
    SavepointRollback "capture" "savepoint rolled back",
    SavepointFlush "capture" "savepoint rolled back after a read inside it",
    SavepointRelease "capture" "savepoint released",
    ExceptionBlock "capture" "PL/pgSQL exception caught",
    ErrorRollback "capture" "error, then ROLLBACK",
    RolledBack "capture" "transaction rolled back",
    PreparedCommit "capture" "PREPARE TRANSACTION, committed",
    PreparedRollback "capture" "PREPARE TRANSACTION, rolled back",
    ReadInside "capture" "TVIEW read in the middle of a transaction",
    RepeatableRead "capture" "REPEATABLE READ",
    Serializable "capture" "SERIALIZABLE",
    ViewSource "capture" "plain view as source",
    TviewSource "capture" "TVIEW as source",
    Diamond "capture" "diamond of TVIEWs",
    CreatedInside "capture" "TVIEW created and written in one transaction",
    DroppedInside "capture" "TVIEW maintained and dropped in one transaction",
    Rebuild "capture" "tviews.rebuild",
    Refresh "capture" "REFRESH MATERIALIZED VIEW",
    OddNames "names and types" "reserved, quoted or 63-byte names",
    JsonColumn "names and types" "json column",
    CharColumn "names and types" "char(n) column",
    ArrayColumn "names and types" "array column",
    CompositeColumn "names and types" "composite column",
    EnumDomain "names and types" "enum or domain column",
    Partitioned "names and types" "partitioned table",
    Inheritance "names and types" "inheritance tree",
    OtherSettings "names and types" "writer under another TimeZone, DateStyle, bytea_output",
    LoggedOption "names and types" "WITH (logged)",
    FullMode "names and types" "WITH (mode = full)",
    Batching "properties" "one transaction equals many",
    Untouched "properties" "nothing changed, nothing written",
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

    /// Classes that never occurred.
    pub fn missing(&self) -> Vec<&'static str> {
        ALL.iter().filter(|(h, _, _)| self.get(*h) == 0).map(|(_, _, text)| *text).collect()
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
