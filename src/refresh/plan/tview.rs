//! One TVIEW as a backend knows it: key, strategies, SQL and prepared plans.
//!
//! These facts are derived from the server's catalogs at first use and forgotten when a relation involved is invalidated. SQL text is made
//! under the pinned settings, so every name in it is qualified.

use crate::analyze::describe::fold::{Fold, StateKind};
use crate::analyze::query::printed::Texts;
use crate::analyze::query::{clock, load, operators, relations};
use crate::analyze::rules::join_values::Pair;
use crate::analyze::rules::whole;
use crate::analyze::{describe, split};
use crate::catalog::{cache, deferred, options, stages};
use crate::pg::callees::Callees;
use crate::pg::error::{Error, Result};
use crate::pg::memory;
use crate::pg::name;
use crate::pg::pinned::Pinned;
use crate::pg::process::process;
use crate::pg::relation::{Relation, attname};
use crate::pg::spi::{Plan, Session};
use crate::pg::tree::Query;
use crate::refresh::plan::decide::decide;
use crate::refresh::plan::folding::Folding;
use crate::refresh::plan::loops::{Loops, PartLoops};
use crate::refresh::plan::{bag, first_rows, fold, interval, keyed, parts};
use crate::tam;
use pgrx::pg_sys;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::rc::Rc;
use tviews_core::choice::Size;
use tviews_core::delta::States;
use tviews_core::model::Shape;
use tviews_core::reason::Reason;
use tviews_core::strategy::{Decision, Sharing, Strategy};

/// One column of the unique key.
pub struct KeyColumn {
    /// Attribute of the TVIEW, from 0.
    pub at: usize,
    pub nullable: bool,
    /// IS NULL is true for a row of NULLs, which is not the same as NULL.
    pub composite: bool,
    /// Values may be too long for an index.
    pub wide: bool,
    /// `OPERATOR(schema.=)`.
    pub equality: String,
    pub typid: pg_sys::Oid,
    pub collation: pg_sys::Oid,
}

pub struct Tview {
    pub oid: pg_sys::Oid,
    pub name: String,
    /// Name of the user's TVIEW: for a stage, the name of the TVIEW that it serves.
    pub title: String,
    /// Pairs of base relations, when writers of different relations lock the values that their rows meet by.
    pub pairs: Option<Vec<Pair>>,
    pub owner: pg_sys::Oid,
    /// Quoted visible columns.
    pub columns: Vec<String>,
    /// Attributes of the stored row that carry state, from 0; always the last ones.
    pub state: Vec<usize>,
    pub key: Option<Vec<KeyColumn>>,
    /// The key names all rows of a window partition, not one.
    pub region: bool,
    /// A row of the output is computed from several rows of the tables together.
    pub groups: bool,
    /// Visible columns that are never NULL, from 1.
    pub never_null: Vec<i16>,
    /// Attributes by which the rows of window partitions are told apart, never NULL.
    pub row_key: Option<Vec<i16>>,
    pub decisions: BTreeMap<u32, Decision>,
    /// Visible columns, then state.
    pub query: String,
    /// The query as its user wrote it, without ORDER BY.
    pub original: String,
    /// How many columns `query` has.
    pub selected: usize,
    /// The search_path that the SQL runs with.
    pub search_path: CString,
    /// The functions that the SQL may call.
    pub callees: Rc<Callees>,
    plans: [RefCell<FxHashMap<String, Rc<Plan>>>; Size::COUNT],
    pub approximate: bool,
    /// The states that can be read when it follows changes.
    pub states: States,
    /// Whether the clock moves it: each refresh computes it anew.
    pub reads_clock: bool,
    /// Whether listeners hear of changed rows.
    pub notify: bool,
    /// Whether the columns by which documents are read have indexes.
    pub document_indexes: bool,
    /// How groups are folded, when changes of some relation are.
    pub fold: Option<Fold>,
    pub folding: RefCell<Option<Box<Folding>>>,
    pub fold_sql: RefCell<FxHashMap<BTreeSet<u32>, Option<Rc<fold::FoldSql>>>>,
    pub bag_sql: RefCell<FxHashMap<BTreeSet<u32>, Option<Rc<bag::BagSql>>>>,
    /// None: not asked yet.
    pub interval_plan: RefCell<Option<Option<Rc<interval::IntervalPlan>>>>,
    pub first_rows_sql: RefCell<Option<Option<Rc<first_rows::FirstRowsSql>>>>,
    /// By changed relation.
    pub loops: RefCell<FxHashMap<u32, Option<Loops>>>,
    /// Whether a row may take a unique value that another row has not given up yet; None: not asked yet.
    pub may_meet: Cell<Option<bool>>,
    pub keyed_sql: RefCell<FxHashMap<BTreeSet<u32>, Option<Rc<keyed::KeyedSql>>>>,
    pub part_sql: RefCell<parts::Known>,
    pub part_loops: RefCell<PartLoops>,
}

#[derive(Default)]
struct Cache {
    generation: u64,
    tviews: FxHashMap<u32, Rc<Tview>>,
}

process! {
    static CACHE: RefCell<Cache> = RefCell::new(Cache::default());
}

/// Number of TVIEWs, stages among them, whose facts this session keeps.
pub fn cached() -> usize {
    CACHE.with(|c| c.borrow().tviews.len())
}

/// Facts about an open TVIEW.
pub fn of(rel: &Relation) -> Result<Rc<Tview>> {
    let generation = cache::generation();
    let known = CACHE.with(|c| {
        let mut c = c.borrow_mut();
        if c.generation != generation {
            *c = Cache { generation, tviews: FxHashMap::default() };
        }
        c.tviews.get(&rel.oid().to_u32()).cloned()
    });
    if let Some(tview) = known {
        return Ok(tview);
    }
    let tview = Rc::new(memory::aside(|| build(rel))?);
    CACHE.with(|c| {
        let mut c = c.borrow_mut();
        if c.generation == cache::generation() {
            c.tviews.insert(rel.oid().to_u32(), Rc::clone(&tview));
        }
    });
    Ok(tview)
}

fn build(rel: &Relation) -> Result<Tview> {
    let root = stages::root(rel.oid());
    // Also when another TVIEW asks for this one's key.
    let _texts = Texts::made(true);
    let _pinned = Pinned::new(rel.class().relowner);
    // SAFETY: the owner and its settings are pinned.
    let query = maintained(rel)?;
    cache::watch(rel.oid());
    // SAFETY: `query` is a private copy; everything made from it lives in the current memory context.
    unsafe {
        for relid in relations::named(query) {
            cache::watch(pg_sys::Oid::from(relid));
        }
        let options = options_of(rel.oid());
        let mut plan = {
            let _texts = Texts::made(!is_written(rel.oid()));
            decide(query, &options, column_names(rel))?
        };
        for relid in plan.decisions.keys() {
            cache::watch(pg_sys::Oid::from(*relid));
        }
        let state = tam::state::state_attributes(rel.tupdesc());
        let has_layout = |fold: &Option<Fold>| {
            let types = fold.as_ref().map(Fold::attribute_types).unwrap_or_default();
            tam::state::has_layout(rel.tupdesc(), &types)
        };
        if !has_layout(&plan.fold) && rel.class().relispopulated {
            // Rows that were computed by an older version.
            plan.fold = plan.fold.map(Fold::without_tops);
            if !has_layout(&plan.fold) {
                plan.without_state();
            }
        }
        let states = plan.fold.as_ref().map_or(0, |f| f.attribute_types().len());
        let original = whole::with_state(load::stored(rel)?, &plan.shape, None);
        let text = whole::with_state(query, &plan.shape, plan.fold.as_ref());
        let of_root = load::expand(stored_of(root)?)?;
        Ok(Tview {
            oid: rel.oid(),
            name: name::relation(rel.oid()).unwrap_or_default(),
            owner: rel.class().relowner,
            columns: column_names(rel).iter().map(|c| name::ident(c)).collect(),
            state: state.into_iter().map(|a| a as usize - 1).collect(),
            key: plan.key,
            groups: plan.shape != Shape::Rows,
            region: matches!(plan.shape, Shape::Partitions(_)),
            never_null: plan.never_null,
            row_key: plan.row_key,
            decisions: plan.decisions,
            pairs: plan.pairs,
            approximate: options.approximate(),
            states: if deferred::is(rel.oid()) { States::Now } else { States::NowAndBefore },
            reads_clock: clock::reads(query.cast()),
            notify: options.notify(),
            document_indexes: root == rel.oid() && options.document_indexes().unwrap_or_else(|| has_documents(rel)),
            title: name::relation(root).unwrap_or_default(),
            fold: plan.fold.map(Fold::keep),
            query: text,
            original,
            selected: column_names(rel).len() + states,
            search_path: operators::search_path(load::expand(load::stored(rel)?)?),
            callees: Rc::new(Callees::of(of_root.raw(), name::relation(root).unwrap_or_default())),
            plans: Default::default(),
            loops: RefCell::default(),
            may_meet: Cell::new(None),
            keyed_sql: RefCell::new(FxHashMap::default()),
            part_sql: RefCell::new(FxHashMap::default()),
            part_loops: RefCell::default(),
            folding: RefCell::default(),
            fold_sql: RefCell::new(FxHashMap::default()),
            bag_sql: RefCell::new(FxHashMap::default()),
            interval_plan: RefCell::default(),
            first_rows_sql: RefCell::default(),
        })
    }
}

/// Whether it was seen when the TVIEW was made that all its SQL can be written. What a flush runs is looked at when it is made, in any case.
fn is_written(tview: pg_sys::Oid) -> bool {
    crate::catalog::sources(|s| s.tview == tview).iter().all(|s| s.written)
}

fn stored_of(oid: pg_sys::Oid) -> Result<Query> {
    match Relation::open(oid, pg_sys::AccessShareLock) {
        Some(rel) => load::stored(&rel),
        None => Err(Error::NoRelation(oid.to_u32())),
    }
}

/// Options in force: a stage takes over the option that concerns values, `approximate`, from the TVIEW that it serves.
pub fn options_of(oid: pg_sys::Oid) -> options::Options {
    let root = stages::root(oid);
    let mut all = options::stored(root);
    if root != oid {
        all.retain(|k, _| k == "approximate");
    }
    all
}

/// Whether rows are documents by the convention of applications: a column `data` of type jsonb or json.
fn has_documents(rel: &Relation) -> bool {
    (0..rel.natts())
        .map(|i| rel.attribute(i))
        .any(|a| !a.attisdropped && [pg_sys::JSONBOID, pg_sys::JSONOID].contains(&a.atttypid) && attname(a) == "data")
}

pub fn column_names(rel: &Relation) -> Vec<String> {
    (0..rel.natts()).map(|i| rel.attribute(i)).filter(|a| !a.attisdropped).map(attname).collect()
}

/// The key of a TVIEW, for a TVIEW that reads it.
pub fn stored_key(rel: &Relation) -> Option<describe::StoredKey> {
    let tview = of(rel).ok()?;
    if let Some(columns) = &tview.row_key {
        return Some(describe::StoredKey {
            columns: columns.clone(),
            not_null: [&columns[..], &tview.never_null].concat(),
        });
    }
    let key = tview.key.as_ref().filter(|_| !tview.region)?;
    Some(describe::StoredKey {
        columns: key.iter().map(|k| k.at as i16 + 1).collect(),
        not_null: key
            .iter()
            .filter(|k| !k.nullable)
            .map(|k| k.at as i16 + 1)
            .chain(tview.never_null.iter().copied())
            .collect(),
    })
}

impl Tview {
    /// Whether changes of these relations can be folded into the groups' states.
    pub fn is_fold(&self, changed: &BTreeSet<u32>) -> bool {
        self.fold.is_some() && changed.iter().all(|r| self.decisions[r].strategy == Strategy::Fold)
    }

    /// Attributes of the stored row with the best values of the group, where states have attributes of their own.
    pub fn tops(&self) -> Vec<usize> {
        let fold = self.fold.as_ref().filter(|fold| !fold.is_packed());
        let states = fold.into_iter().flat_map(|fold| &fold.states).zip(self.state.iter().skip(1));
        states.filter(|(state, _)| matches!(state.kind, StateKind::Top)).map(|(_, at)| *at).collect()
    }

    /// Whether some changes are added to the stored rows, which must then be exact.
    pub fn adds_changes(&self) -> bool {
        self.decisions.values().any(Decision::adds)
    }

    /// Whether change rows lead to keys through rows of other tables, or of the same table read again.
    pub fn joins(&self) -> bool {
        self.decisions.len() > 1 || self.decisions.values().any(|d| d.repeated || d.sharing == Sharing::Alone)
    }

    /// Whether all writers meet: in the one row of the TVIEW, or because one of them computes all rows anew.
    pub fn is_met_by_all(&self) -> bool {
        self.key.as_ref().is_some_and(Vec::is_empty) || self.decisions.values().any(|d| d.strategy >= Strategy::Range)
    }

    /// Whether changes are followed along the ways of a recursive query.
    pub fn is_recursive(&self) -> bool {
        self.decisions.values().any(|d| d.reason.what == Reason::ReachedRecomputed)
    }

    /// Whether the SQL can compute the rows by which the output changes.
    pub fn is_delta(&self, changed: &BTreeSet<u32>) -> bool {
        changed.iter().all(|r| self.decisions[r].strategy == Strategy::Delta)
    }

    /// Whether the rows that changes of these relations can affect are known by key.
    pub fn is_keyed(&self, changed: &BTreeSet<u32>) -> bool {
        self.key.as_ref().is_some_and(|k| !k.is_empty()) && changed.iter().all(|r| self.decisions[r].is_keyed())
    }

    /// Whether the rows of the query are the same in whatever order, and in how many parts, the rows of the tables are added up: all its aggregates are the
    /// server's own with a state, and none is a floating-point sum.
    pub fn sums_exactly(&self) -> bool {
        use StateKind::{Spread, SpreadPart, Sum};
        let is_floating = |of: &StateKind| matches!(of, Sum { .. } | Spread(_) | SpreadPart { .. });
        let drifts = |fold: &Fold| fold.states.iter().any(|s| is_floating(&s.kind));
        self.fold.as_ref().is_some_and(|fold| fold.came_with_server() && !drifts(fold))
    }

    /// The kept plan for `sql`. Each size has plans of its own; plans for few rows are made under other settings.
    pub fn plan(&self, session: &Session, sql: &str, size: Size) -> Result<Rc<Plan>> {
        let plans = &self.plans[size.number()];
        if let Some(plan) = plans.borrow().get(sql) {
            return Ok(Rc::clone(plan));
        }
        let plan = Rc::new(Plan::prepare(session, sql, &self.callees)?);
        plans.borrow_mut().insert(sql.to_string(), Rc::clone(&plan));
        Ok(plan)
    }
}

/// The query that a TVIEW is maintained by, see `split::maintained`.
/// Pinned settings are in force.
pub fn maintained(rel: &Relation) -> Result<Query> {
    split::maintained::maintained(rel, &stored_key)
}
