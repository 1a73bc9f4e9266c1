//! What a backend knows about one TVIEW: key, strategies, SQL and prepared plans.
//!
//! Worked out from the server's catalogs at first use, forgotten when a relation involved is invalidated. Text is made
//! under the pinned settings, so every name in it is qualified.

use crate::analyze::fold::{self, Fold};
use crate::analyze::{anchor, delta, describe, dirty, load, operators, relations, set_operations, text};
use crate::catalog::{cache, options, stages};
use crate::pg::error::{Error, Result};
use crate::pg::name;
use crate::pg::pinned::Pinned;
use crate::pg::relation::{attname, Relation};
use crate::pg::spi::{Plan, Session};
use crate::tam;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::CString;
use std::rc::Rc;
use tviews_core::key;
use tviews_core::model::{Col, Description, Shape};
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
    /// Name of the user's TVIEW: its own, or, for a stage, that of the TVIEW it serves.
    pub title: String,
    pub owner: pg_sys::Oid,
    /// Quoted visible columns.
    pub columns: Vec<String>,
    /// Attributes of the stored row that carry state, from 0; always the last ones.
    pub state: Vec<usize>,
    pub key: Option<Vec<KeyColumn>>,
    /// The key names all rows of a window partition, not one.
    pub region: bool,
    /// Attributes by which the rows of window partitions are told apart, never NULL.
    pub row_key: Option<Vec<i16>>,
    pub decisions: BTreeMap<u32, Decision>,
    /// Visible columns, then state.
    pub query: String,
    /// The query as its user wrote it, without ORDER BY.
    pub original: String,
    /// How many columns `query` has.
    pub selected: usize,
    /// What the SQL runs with.
    pub search_path: CString,
    plans: [RefCell<HashMap<String, Rc<Plan>>>; SIZES],
    pub approximate: bool,
    /// How groups are folded, when some change is.
    pub fold: Option<Fold>,
    pub(super) fold_sql: RefCell<HashMap<BTreeSet<u32>, Option<Rc<super::fold::FoldSql>>>>,
    pub(super) bag_sql: RefCell<HashMap<BTreeSet<u32>, Option<Rc<super::bag::BagSql>>>>,
    pub(super) keyed_sql: RefCell<HashMap<BTreeSet<u32>, Option<Rc<super::keyed::KeyedSql>>>>,
}

/// How much a flush has to do. Each size has plans of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(usize);

impl Size {
    /// A few rows: index paths, whatever the statistics of the moment say.
    pub const FEW: Size = Size(0);
    /// The query itself.
    pub const WHOLE: Size = Size(SIZES - 1);

    pub fn of(rows: usize) -> Size {
        if rows <= 16 {
            Size::FEW
        } else {
            Size::many(rows)
        }
    }

    /// Any path: plans for this number of rows, to a factor of four.
    pub fn many(rows: usize) -> Size {
        let magnitude = (rows.max(1).ilog2() / 2) as usize;
        Size(1 + magnitude.min(SIZES - 3))
    }

    pub fn is_few(self) -> bool {
        self == Size::FEW
    }
}

const SIZES: usize = 14;

#[derive(Default)]
struct Cache {
    generation: u64,
    tviews: HashMap<u32, Rc<Tview>>,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::new(Cache::default());
}

/// Facts about an open TVIEW.
pub fn of(rel: &Relation) -> Result<Rc<Tview>> {
    let generation = cache::generation();
    let known = CACHE.with(|c| {
        let mut c = c.borrow_mut();
        if c.generation != generation {
            *c = Cache { generation, tviews: HashMap::new() };
        }
        c.tviews.get(&rel.oid().to_u32()).cloned()
    });
    if let Some(tview) = known {
        return Ok(tview);
    }
    let tview = Rc::new(build(rel)?);
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
    let _pinned = Pinned::new(rel.class().relowner);
    // SAFETY: the owner and its settings are pinned.
    let query = unsafe { load::maintained(rel)? };
    cache::watch(rel.oid());
    // SAFETY: `query` is a private copy; everything made from it lives in the current memory context.
    unsafe {
        for relid in relations::named(query) {
            cache::watch(pg_sys::Oid::from(relid));
        }
        let options = options_of(rel.oid());
        let mut plan = decide(query, &options, column_names(rel))?;
        for relid in plan.decisions.keys() {
            cache::watch(pg_sys::Oid::from(*relid));
        }
        let types = plan.fold.as_ref().map(Fold::state_types).unwrap_or_default();
        let state = tam::state::state_attributes(rel.tupdesc());
        if !tam::state::has_layout(rel.tupdesc(), &types) && rel.class().relispopulated {
            plan.without_state();
        }
        let states = plan.fold.as_ref().map_or(0, |f| f.states.len() + 1);
        let original = text::with_state(load::stored(rel)?, &plan.shape, None)?;
        let text = text::with_state(query, &plan.shape, plan.fold.as_ref())?;
        Ok(Tview {
            oid: rel.oid(),
            name: name::relation(rel.oid()).unwrap_or_default(),
            owner: rel.class().relowner,
            columns: column_names(rel).iter().map(|c| name::ident(c)).collect(),
            state: state.into_iter().map(|a| a as usize - 1).collect(),
            key: plan.key,
            region: matches!(plan.shape, Shape::Partitions(_)),
            row_key: plan.row_key,
            decisions: plan.decisions,
            approximate: options.get("approximate").map(String::as_str) == Some("true"),
            title: name::relation(root).unwrap_or_default(),
            fold: plan.fold.map(Fold::keep),
            query: text,
            original,
            selected: column_names(rel).len() + states,
            search_path: operators::search_path(load::expand(load::stored(rel)?)?),
            plans: Default::default(),
            keyed_sql: RefCell::new(HashMap::new()),
            fold_sql: RefCell::new(HashMap::new()),
            bag_sql: RefCell::new(HashMap::new()),
        })
    }
}

/// Options in force: a stage follows the TVIEW it serves in what concerns values.
fn options_of(oid: pg_sys::Oid) -> options::Options {
    let root = stages::root(oid);
    let mut all = options::stored(root);
    if root != oid {
        all.retain(|k, _| k == "approximate");
    }
    all
}

fn column_names(rel: &Relation) -> Vec<String> {
    (0..rel.natts()).map(|i| rel.attribute(i)).filter(|a| !a.attisdropped).map(attname).collect()
}

/// Key and strategies of a query, existing or about to be.
pub struct Decided {
    pub key: Option<Vec<KeyColumn>>,
    pub decisions: BTreeMap<u32, Decision>,
    pub shape: Shape,
    pub fold: Option<Fold>,
    /// For window partitions.
    pub row_key: Option<Vec<i16>>,
    /// Key columns of base relations that change rows must have beside the columns the query reads.
    pub keys: BTreeMap<u32, BTreeSet<i16>>,
}

impl Decided {
    /// The stored rows lack their state: every strategy becomes its fallback.
    fn without_state(&mut self) {
        self.fold = None;
        for d in self.decisions.values_mut().filter(|d| d.strategy == Strategy::Fold) {
            d.strategy = d.fallback;
            d.reason = "the rows have lost their state; tviews.rebuild() brings it back".into();
        }
    }
}

/// Key columns by relation that must be captured for an open TVIEW.
///
/// # Safety
/// Pinned settings are in force.
pub unsafe fn keys_to_capture(rel: &Relation) -> Result<BTreeMap<u32, BTreeSet<i16>>> {
    Ok(decide(load::maintained(rel)?, &options_of(rel.oid()), column_names(rel))?.keys)
}

/// Whether the change rows of relations have some columns, as an existing TVIEW had them captured. Rows of a TVIEW have all.
pub fn captured(tview: pg_sys::Oid) -> impl Fn(u32, &[i16]) -> bool {
    let sources = crate::catalog::sources(|s| s.tview == tview);
    move |relid, columns| {
        sources.iter().any(|s| {
            s.relid.to_u32() == relid
                && (s.columns.contains(&0)
                    || columns.iter().all(|c| s.columns.contains(c))
                    // SAFETY: syscache look-up.
                    || unsafe { tam::is_tview(s.relid) })
        })
    }
}

/// Types of the state attributes that an open TVIEW needs.
///
/// # Safety
/// Pinned settings are in force.
pub unsafe fn state_types(rel: &Relation) -> Result<Vec<pg_sys::Oid>> {
    let decided = decide(load::maintained(rel)?, &options_of(rel.oid()), column_names(rel))?;
    Ok(decided.fold.as_ref().map(Fold::state_types).unwrap_or_default())
}

/// Decides for a stored (not expanded) query.
///
/// # Safety
/// `query` is valid; pinned settings are in force.
pub unsafe fn decide(query: *mut pg_sys::Query, options: &options::Options, columns: Vec<String>) -> Result<Decided> {
    let expanded = load::expand(query)?;
    let used = relations::of(expanded);
    let described = describe::describe(expanded, &stored_key);
    let d = &described.description;
    let positions = match options.get("key") {
        Some(given) if !matches!(d.shape, Shape::Partitions(_)) => Some(given_key(given, &columns, &d.comparable)?),
        _ => key::derive(d),
    };
    let approximate = options.get("approximate").map(String::as_str) == Some("true");
    let fold = match (&positions, &d.shape) {
        (None, Shape::Groups(g)) if !g.is_empty() => Err(no_key(&d.shape)),
        (None, Shape::Distinct) => Err(no_key(&d.shape)),
        _ => fold::recognise(expanded, &d.shape, approximate).map_err(String::from),
    };
    let positions = positions.or_else(|| fold.is_ok().then(Vec::new));
    let mut decisions = BTreeMap::new();
    let mut anchored = false;
    for (relid, usage) in &used {
        let mut decision = match (&positions, options.get("mode").map(String::as_str)) {
            (_, Some("full")) => Decision::full("mode = full"),
            (None, _) => Decision::full(no_key(&d.shape)),
            (Some(p), _) if p.is_empty() => Decision::full(no_key(&d.shape)),
            (Some(p), _) => decide_one(&described, p, *relid, usage)?,
        };
        let hidden = (usage.only && has_children(*relid)) || usage.columns.iter().any(|c| *c < 0) || usage.computed;
        let followed = !hidden && options.get("mode").map(String::as_str) != Some("full");
        if followed {
            if let Ok(fold) = &fold {
                let mut targets = fold.key_nodes.clone();
                targets.extend(&fold.args);
                targets.extend(&fold.filters);
                let terms = weighted(&described, &targets, &BTreeSet::from([*relid]), &|_, _| true)?;
                anchored |= consider(terms, Strategy::Fold, usage, &mut decision)?;
            } else if let (Strategy::Keyed, Err(why), Shape::Groups(_)) = (decision.strategy, &fold, &d.shape) {
                decision.reason = format!("{}: {why}", decision.reason);
            }
        }
        let sum = set_operations::branches(expanded).is_some();
        if positions.is_none() && (d.shape == Shape::Rows || sum) && followed {
            let terms = bag_terms(expanded, &BTreeSet::from([*relid]), &|_, _| !sum)?;
            anchored |= consider(terms, Strategy::Delta, usage, &mut decision)?;
        }
        decisions.insert(*relid, decision);
    }
    let folds = decisions.values().any(|d: &Decision| d.strategy == Strategy::Fold);
    // Keys of rows come from indexes of their tables, which hold them; a given key is enforced by its index.
    let wide = d.shape != Shape::Rows && !options.contains_key("key");
    let row_key = if matches!(d.shape, Shape::Partitions(_)) { row_key(d) } else { None };
    let key = positions.map(|p| key_columns(&described, expanded, &p, wide)).transpose()?;
    let shape = d.shape.clone();
    let fold = if folds { fold::recognise(query, &shape, approximate).ok() } else { None };
    let mut keys: BTreeMap<u32, BTreeSet<i16>> = BTreeMap::new();
    if anchored {
        for atom in &d.atoms {
            if let Some(relid) = atom.relid {
                keys.entry(relid).or_default().extend(atom.keys.iter().flatten());
            }
        }
    }
    Ok(Decided { key, decisions, shape, fold, row_key, keys })
}

/// The key that the rows of windows have beside that of their partitions.
fn row_key(d: &Description) -> Option<Vec<i16>> {
    let rows = Description { shape: Shape::Rows, ..d.clone() };
    let nullable = d.join.nullable();
    let never_null = |c: Col| d.atoms[c.atom].not_null.contains(&c.att) && !nullable.contains(&c.atom);
    let positions = key::derive(&rows)?;
    let sure = positions.iter().all(|p| d.outputs[*p].is_some_and(never_null));
    sure.then(|| positions.into_iter().map(|p| p as i16 + 1).collect())
}

fn no_key(shape: &Shape) -> String {
    match shape {
        Shape::Opaque(what) => format!("the query uses {what}"),
        Shape::Groups(g) if g.is_empty() => "an aggregate without GROUP BY depends on all rows".into(),
        Shape::Groups(_) => "a grouping expression is not among the output columns".into(),
        Shape::Rows => "no unique key of the output can be derived".into(),
        Shape::Partitions(_) => "a column that windows are partitioned by has no equality operator".into(),
        Shape::Distinct => "a column of the output has no equality operator".into(),
    }
}

fn has_children(relid: u32) -> bool {
    // SAFETY: plain catalog look-up.
    unsafe { crate::pg::ext::find_all_inheritors(pg_sys::Oid::from(relid), pg_sys::NoLock as i32) }.len() > 1
}

/// The key of a TVIEW that is read by another one.
pub fn stored_key(rel: &Relation) -> Option<describe::StoredKey> {
    let tview = of(rel).ok()?;
    if let Some(columns) = &tview.row_key {
        return Some(describe::StoredKey { columns: columns.clone(), not_null: columns.clone() });
    }
    let key = tview.key.as_ref().filter(|_| !tview.region)?;
    Some(describe::StoredKey {
        columns: key.iter().map(|k| k.at as i16 + 1).collect(),
        not_null: key.iter().filter(|k| !k.nullable).map(|k| k.at as i16 + 1).collect(),
    })
}

unsafe fn decide_one(d: &describe::Described, key: &[usize], relid: u32, usage: &relations::Use) -> Result<Decision> {
    if matches!(d.description.shape, Shape::Opaque(_)) {
        return Ok(Decision::full(no_key(&d.description.shape)));
    }
    if usage.only && has_children(relid) {
        return Ok(Decision::full("ONLY of a table that has children"));
    }
    if usage.columns.iter().any(|c| *c < 0) {
        return Ok(Decision::full("a system column is read"));
    }
    if usage.computed {
        return Ok(Decision::full("a virtual generated column is read"));
    }
    let grouped = d.description.shape != Shape::Rows;
    let terms = match dirty::terms(d.block.query, key, &BTreeSet::from([relid]), dirty::Beside::Deleted, &stored_key)? {
        Err(why) => return Ok(Decision::full(why)),
        Ok(terms) if terms.occurrences < usage.times => {
            return Ok(Decision::full("it is read where its changes cannot be followed"))
        }
        Ok(terms) => terms,
    };
    let sharing = match (usage.times, grouped || terms.meet) {
        (2.., _) => Sharing::Alone,
        (_, true) => Sharing::ByKey,
        (_, false) => Sharing::Free,
    };
    let reason = if matches!(d.description.shape, Shape::Partitions(_)) {
        "the partitions of changed rows are recomputed"
    } else if grouped {
        "the groups of changed rows are recomputed"
    } else {
        "the rows of changed keys are recomputed"
    };
    Ok(Decision { strategy: Strategy::Keyed, sharing, reason: reason.into(), fallback: Strategy::Keyed })
}

/// The weighted rows by which the described query changes: linear terms, or now minus before.
///
/// # Safety
/// `targets` are expressions of the described query.
pub unsafe fn weighted(
    d: &describe::Described,
    targets: &[*mut pg_sys::Node],
    changed: &BTreeSet<u32>,
    captured: anchor::Captured,
) -> Result<std::result::Result<delta::Terms, String>> {
    let atoms = &d.description.atoms;
    let used = relations::of(d.block.query);
    let in_from = |r: &u32| atoms.iter().filter(|a| a.relid == Some(*r)).count();
    if changed.iter().all(|r| used.get(r).is_none_or(|u| in_from(r) == u.times)) {
        if let Ok(terms) = delta::terms(d, targets, changed)? {
            return Ok(Ok(terms));
        }
    }
    anchor::terms(d, targets, changed, &stored_key, captured)
}

/// The weighted rows by which the output of an expanded query without key changes.
///
/// # Safety
/// `query` is valid.
pub unsafe fn bag_terms(
    query: *mut pg_sys::Query,
    changed: &BTreeSet<u32>,
    captured: anchor::Captured,
) -> Result<std::result::Result<delta::Terms, String>> {
    let Some(branches) = set_operations::branches(query) else {
        let described = describe::describe(query, &stored_key);
        return weighted(&described, &delta::outputs_of(query), changed, captured);
    };
    let mut all = delta::Terms::default();
    for branch in branches {
        if relations::of(branch).keys().all(|r| !changed.contains(r)) {
            continue;
        }
        let described = describe::describe(branch, &stored_key);
        if described.description.shape != Shape::Rows {
            return Ok(Err("a branch of UNION ALL is not plain".into()));
        }
        let Some(targets) = set_operations::outputs_of(query, branch) else {
            return Ok(Err("UNION ALL of different types".into()));
        };
        match weighted(&described, &targets, changed, captured)? {
            Err(why) => return Ok(Err(why)),
            Ok(terms) => {
                all.now.extend(terms.now);
                all.before.extend(terms.before);
                all.flips.extend(terms.flips);
                all.locks.extend(terms.locks);
                all.alone |= terms.alone;
                all.anchors.extend(terms.anchors);
            }
        }
    }
    Ok(Ok(all))
}

/// Makes a decision `strategy` (fold or delta) when the weighted rows by which the query changes can be told. Returns
/// whether that takes the keys of base relations.
fn consider(
    terms: std::result::Result<delta::Terms, String>,
    strategy: Strategy,
    usage: &relations::Use,
    decision: &mut Decision,
) -> Result<bool> {
    let fallback = if decision.strategy == Strategy::Keyed { Strategy::Keyed } else { Strategy::Full };
    match terms {
        Ok(terms) => {
            let alone = usage.times > 1 || terms.alone;
            let reason = match (strategy, terms.flips.is_empty()) {
                (Strategy::Fold, true) => "changed rows are taken into the state of their groups",
                (Strategy::Fold, false) => {
                    "the rows that a change affects, now and before, are taken into their groups"
                }
                (_, true) => "rows are added and taken away as the changed rows say",
                (_, false) => "the rows that a change affects, now and before, are added and taken away",
            };
            let sharing = if alone { Sharing::Alone } else { Sharing::ByKey };
            *decision = Decision { strategy, sharing, reason: reason.into(), fallback };
            return Ok(!terms.anchors.is_empty());
        }
        Err(why) => decision.reason = format!("{}: {why}", decision.reason),
    }
    Ok(false)
}

unsafe fn key_columns(
    d: &describe::Described,
    query: *mut pg_sys::Query,
    positions: &[usize],
    wide: bool,
) -> Result<Vec<KeyColumn>> {
    let nullable = d.description.join.nullable();
    let outs = load::outputs(query);
    let mut key = Vec::new();
    for p in positions {
        let expr = (*outs[*p]).expr.cast::<pg_sys::Node>();
        let typid = pg_sys::exprType(expr);
        let never_null = d.description.outputs[*p]
            .is_some_and(|c| d.description.atoms[c.atom].not_null.contains(&c.att) && !nullable.contains(&c.atom));
        let equality =
            name::equality(typid).ok_or_else(|| Error::option("a key column has no equality operator", None))?;
        key.push(KeyColumn {
            at: *p,
            nullable: !never_null,
            composite: pg_sys::get_typtype(pg_sys::getBaseType(typid)) as u8 == pg_sys::TYPTYPE_COMPOSITE
                || typid == pg_sys::RECORDOID,
            equality,
            wide: wide && super::indexes::is_wide(typid),
            typid,
            collation: pg_sys::exprCollation(expr),
        });
    }
    Ok(key)
}

/// The option `key = 'a, b'`.
fn given_key(given: &str, columns: &[String], comparable: &[bool]) -> Result<Vec<usize>> {
    let mut out = Vec::new();
    for word in given.split(',') {
        let word = word.trim();
        let wanted = match word.strip_prefix('"').and_then(|w| w.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => word.to_lowercase(),
        };
        let Some(at) = columns.iter().position(|c| *c == wanted) else {
            return Err(Error::option(
                format!("invalid value for option \"key\": \"{given}\""),
                Some(format!("There is no output column \"{wanted}\".")),
            ));
        };
        if !comparable[at] {
            return Err(Error::option(
                format!("invalid value for option \"key\": \"{given}\""),
                Some(format!("The type of column \"{wanted}\" has no equality operator.")),
            ));
        }
        out.push(at);
    }
    Ok(out)
}

impl Tview {
    /// Whether changes of these relations can be taken into the groups' states.
    pub fn is_fold(&self, changed: &BTreeSet<u32>) -> bool {
        self.fold.is_some() && changed.iter().all(|r| self.decisions[r].strategy == Strategy::Fold)
    }

    /// Whether some changes are added to what is stored, which must then be right to the row.
    pub fn adds_changes(&self) -> bool {
        self.decisions.values().any(|d| matches!(d.strategy, Strategy::Fold | Strategy::Delta))
    }

    /// Whether change rows lead to keys through rows beside them.
    pub fn joins(&self) -> bool {
        self.decisions.len() > 1 || self.decisions.values().any(|d| d.sharing == Sharing::Alone)
    }

    /// Whether the rows by which the output changes can be told.
    pub fn is_delta(&self, changed: &BTreeSet<u32>) -> bool {
        changed.iter().all(|r| self.decisions[r].strategy == Strategy::Delta)
    }

    /// Whether the rows that changes of these relations can affect are known by key.
    pub fn is_keyed(&self, changed: &BTreeSet<u32>) -> bool {
        let keyed = |d: &Decision| d.strategy == Strategy::Keyed || d.fallback == Strategy::Keyed;
        self.key.as_ref().is_some_and(|k| !k.is_empty()) && changed.iter().all(|r| keyed(&self.decisions[r]))
    }

    /// The kept plan for `sql`. Each size has plans of its own, those for few rows made under other settings.
    pub fn plan(&self, session: &Session, sql: &str, size: Size) -> Result<Rc<Plan>> {
        let plans = &self.plans[size.0];
        if let Some(plan) = plans.borrow().get(sql) {
            return Ok(Rc::clone(plan));
        }
        let plan = Rc::new(Plan::prepare(session, sql)?);
        plans.borrow_mut().insert(sql.to_string(), Rc::clone(&plan));
        Ok(plan)
    }
}
