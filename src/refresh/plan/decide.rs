//! The strategy for changes of each base relation of a query, with the reason; the query's key, and its state.
//!
//! Invariant: decisions depend on the query, the options and the catalogs only, so that DDL (NOTICE, `mode =
//! incremental`, capture), monitoring and every backend that flushes decide the same. Called by tview.rs and the DDL hooks.

use crate::analyze::describe;
use crate::analyze::describe::first_rows;
use crate::analyze::describe::fold::Fold;
use crate::analyze::describe::interval;
use crate::analyze::describe::never_null;
use crate::analyze::describe::recognise::recognise;
use crate::analyze::query::tree::outputs;
use crate::analyze::query::{load, printed, recursion, relations};
use crate::analyze::rules::delta::Guard;
use crate::analyze::rules::join_values::{self, Pair};
use crate::analyze::rules::{self, anchor, common_value, delta, dirty, state_before, whole};
use crate::analyze::split::set_operations;
use crate::catalog::deferred;
use crate::pg::error::{Error, Result};
use crate::pg::memory;
use crate::pg::relation::Relation;
use crate::pg::tree::{Node, Query, lsyscache, server};
use crate::pg::{ext, name};
use crate::refresh::plan::lookup;
use crate::refresh::plan::recursion as plan_recursion;
use crate::refresh::plan::tview::{KeyColumn, column_names, maintained, options_of, stored_key};
use crate::tam;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use tviews_core::decide::{self, Attempts, Keys, Read, Weighted, finds_groups, may_share};
use tviews_core::delta::States;
use tviews_core::key;
use tviews_core::model::{Description, Shape};
use tviews_core::options;
use tviews_core::reason::Reason;
use tviews_core::strategy::{Decision, Strategy};

/// Key and strategies of the query of a TVIEW, existing or about to be.
pub struct Decided {
    pub key: Option<Vec<KeyColumn>>,
    pub decisions: BTreeMap<u32, Decision>,
    pub shape: Shape,
    pub fold: Option<Fold>,
    /// Pairs of relations whose writers lock the values that their rows meet by.
    pub pairs: Option<Vec<Pair>>,
    /// Output columns that are never NULL, from 1.
    pub never_null: Vec<i16>,
    /// For window partitions.
    pub row_key: Option<Vec<i16>>,
    /// Key columns of base relations that change rows must have beside the columns the query reads.
    pub keys: BTreeMap<u32, BTreeSet<i16>>,
    /// Whether changes may be followed by what the query was before them.
    pub needs_before: bool,
    /// Relations for whose changes some SQL cannot be written.
    pub unwritten: BTreeSet<u32>,
}

impl Decided {
    /// The stored rows lack their state: every strategy becomes its fallback.
    pub fn without_state(&mut self) {
        self.fold = None;
        self.decisions.values_mut().for_each(|d| *d = d.without_state());
    }
}

/// What the catalog keeps of decisions about sources.
pub struct OfSources {
    /// Key columns by relation that must be captured.
    pub keys: BTreeMap<u32, BTreeSet<i16>>,
    /// Relations for whose changes some SQL cannot be written.
    pub unwritten: BTreeSet<u32>,
}

/// Decides for an open TVIEW that is being made. Its query must be printable as SQL.
pub fn of_sources(rel: &Relation) -> Result<OfSources> {
    memory::aside(|| {
        let query = maintained(rel)?;
        let decided = decide(query, &options_of(rel.oid()), column_names(rel))?;
        whole::check(query, &decided.shape, decided.fold.as_ref())?;
        whole::check(load::stored(rel)?, &decided.shape, None)?;
        let mut keys = decided.keys;
        if decided.needs_before && deferred::is(rel.oid()) {
            let needed = state_before::keys(load::expand(query)?, &stored_key);
            needed.into_iter().for_each(|(relid, key)| keys.entry(relid).or_default().extend(key));
        }
        Ok(OfSources { keys, unwritten: decided.unwritten })
    })
}

/// Whether the change rows of a relation have some columns, as captured for an existing TVIEW. Change rows of a TVIEW have all.
pub fn captured(tview: pg_sys::Oid) -> impl Fn(u32, &[i16]) -> bool {
    let sources = crate::catalog::sources(|s| s.tview == tview);
    move |relid, columns| {
        sources.iter().any(|s| {
            s.relid.to_u32() == relid
                && (s.columns.contains(&0) || columns.iter().all(|c| s.columns.contains(c)) || tam::is_tview(s.relid))
        })
    }
}

/// Types of the state attributes that an open TVIEW needs.
pub fn state_types(rel: &Relation) -> Result<Vec<pg_sys::Oid>> {
    memory::aside(|| {
        let decided = decide(maintained(rel)?, &options_of(rel.oid()), column_names(rel))?;
        Ok(decided.fold.as_ref().map(Fold::attribute_types).unwrap_or_default())
    })
}

/// Decides for a stored (not expanded) query.
pub fn decide(query: Query, options: &options::Options, columns: Vec<String>) -> Result<Decided> {
    let expanded = load::expand(query)?;
    if let Some(recursion) = recursion::of(expanded) {
        return plan_recursion::decide(expanded, &recursion, options.mode() == options::Mode::Full);
    }
    let used = relations::of(expanded);
    let described = describe::describe(expanded, &stored_key);
    let d = &described.description;
    let positions = match options.key() {
        Some(given) if !matches!(d.shape, Shape::Partitions(_)) => {
            Some(options::key_columns(given, &columns, &d.comparable)?)
        }
        _ => key::derive(d).filter(|_| !d.join.has_full() || !follows_all(expanded, d, &used)),
    };
    let approximate = options.approximate();
    let fold = finds_groups(&d.shape, positions.as_deref()).and_then(|()| recognise(expanded, &d.shape, approximate));
    // A query without FROM has one row.
    let is_value = d.shape == Shape::Rows && d.atoms.is_empty();
    let positions = positions.or_else(|| (fold.is_ok() || is_value).then(Vec::new));
    let (mut decisions, mut guards) = (BTreeMap::new(), BTreeMap::new());
    let (mut anchored, mut unwritten) = (false, BTreeSet::new());
    let known = decide::Query {
        shape: &d.shape,
        key: positions.as_deref(),
        fold: fold.as_ref().map(|_| ()).map_err(|why| *why),
        is_sum: set_operations::branches(expanded).is_some(),
        in_order: in_order(expanded, &d.shape),
        mode_full: options.mode() == options::Mode::Full,
    };
    for (relid, usage) in &used {
        let read = Read { times: usage.times, hidden: hidden(*relid, usage) };
        let mut of_relation = OfRelation {
            described: &described,
            expanded,
            known: &known,
            fold: &fold,
            relid: *relid,
            guards: Vec::new(),
        };
        let failures = printed::unwritten();
        let (decision, by_anchors) = memory::aside(|| decide::decide(&known, &read, &mut of_relation))?;
        if printed::unwritten() != failures {
            unwritten.insert(*relid);
        }
        anchored |= by_anchors;
        decisions.insert(*relid, decision);
        guards.insert(*relid, of_relation.guards);
    }
    // Rows above the place where changes of two relations add up depend on both: writers of both lock what they write, or what it depends on.
    let lock_keys = RefCell::new(BTreeSet::new());
    let seen = |a: u32, b: u32| {
        let (one, other) = (&decisions[&a], &decisions[&b]);
        let recompute = one.strategy == Strategy::Keyed && other.strategy == Strategy::Keyed;
        if recompute {
            lock_keys.borrow_mut().extend([a, b]);
        }
        recompute || one.adds() && other.adds() && !guards[&a].is_empty() && guards[&a] == guards[&b]
    };
    let blocks = match (set_operations::branches(expanded), &d.shape) {
        (Some(branches), _) => branches,
        (None, Shape::Opaque(_)) => Vec::new(),
        _ => vec![expanded],
    };
    let pairs = if may_share(&decisions) { join_values::pairs(&blocks, &used, &seen) } else { None };
    for relid in lock_keys.into_inner().iter().filter(|_| pairs.is_some()) {
        decisions.entry(*relid).and_modify(|d| *d = d.with_keys());
    }
    if pairs.is_none() {
        decisions.values_mut().for_each(|d| *d = d.without_meetings());
    }
    let folds = decisions.values().any(|d: &Decision| d.strategy == Strategy::Fold);
    // Keys of rows come from indexes of their tables, which hold the values; a key given as option is enforced by its own index.
    let wide = d.shape != Shape::Rows && !options.contains_key("key");
    let row_key = match d.shape {
        Shape::Partitions(_) | Shape::Opaque(Reason::WindowOverAll) => {
            key::of_rows(d).map(|key| key.into_iter().map(|p| p as i16 + 1).collect())
        }
        _ => None,
    };
    let key = positions.map(|p| key_columns(&described, expanded, &p, wide)).transpose()?;
    let shape = d.shape.clone();
    let fold = if folds { recognise(query, &shape, approximate).ok() } else { None };
    let mut keys: BTreeMap<u32, BTreeSet<i16>> = BTreeMap::new();
    let branches = set_operations::branches(expanded).unwrap_or_default();
    let below: Vec<Description> =
        branches.into_iter().map(|b| describe::describe(b, &stored_key).description).collect();
    let is_outer = below.iter().chain([d]).any(|of| !of.join.nullable().is_empty());
    let needs_before = (anchored || is_outer) && decisions.values().any(Decision::adds);
    if anchored {
        // Keys tell the anchors of "before" from the anchors of "now", so a change of a key counts as a change of the row.
        for atom in d.atoms.iter().chain(below.iter().flat_map(|of| &of.atoms)) {
            if let Some(relid) = atom.relid {
                keys.entry(relid).or_default().extend(atom.keys.iter().flatten());
            }
        }
    }
    let never_null = never_null::outputs(expanded, &described);
    Ok(Decided { key, decisions, pairs, shape, fold, never_null, row_key, keys, needs_before, unwritten })
}

/// Whether the changes of each relation can be added to an output of single rows. Where there is a FULL join, adding is better
/// than recomputing rows by key, for which the server joins the tables as a whole.
fn follows_all(query: Query, d: &Description, used: &BTreeMap<u32, relations::Use>) -> bool {
    let follows = |relid: &u32| matches!(bag_terms(query, &BTreeSet::from([*relid]), &|_, _| true, BOTH), Ok(Ok(_)));
    d.shape == Shape::Rows && used.keys().all(follows)
}

/// How changes of a query that is about rows in an order are followed.
fn in_order(query: Query, shape: &Shape) -> Option<Reason> {
    match shape {
        Shape::Opaque(Reason::Limit) if first_rows::skipped(query).is_some() => {
            interval::of(query, &stored_key).map(|_| Reason::Behind)
        }
        Shape::Opaque(Reason::Limit) => first_rows::of(query).map(|_| Reason::FirstRows),
        Shape::Opaque(Reason::WindowOverAll) => {
            interval::of(query, &stored_key).filter(|of| of.by.is_empty()).map(|_| Reason::Interval)
        }
        _ => None,
    }
}

fn has_children(relid: u32) -> bool {
    ext::find_all_inheritors(pg_sys::Oid::from(relid), pg_sys::NoLock as i32).len() > 1
}

/// Why the change rows of a relation lack a column or row that the query reads of it.
pub fn hidden(relid: u32, usage: &relations::Use) -> Option<Reason> {
    if usage.only && has_children(relid) {
        Some(Reason::OnlyOfParent)
    } else if usage.columns.iter().any(|c| *c < 0) {
        Some(Reason::SystemColumn)
    } else {
        usage.computed.then_some(Reason::VirtualColumn)
    }
}

/// Writes the SQL for changes of one relation.
struct OfRelation<'a> {
    described: &'a describe::Described,
    expanded: Query,
    known: &'a decide::Query<'a>,
    fold: &'a std::result::Result<Fold, Reason>,
    relid: u32,
    /// What writers of the relation lock beside rows of the TVIEW, when their changes are added.
    guards: Vec<Guard>,
}

impl Attempts for OfRelation<'_> {
    type Error = Error;

    fn keys(&mut self) -> Result<std::result::Result<Keys, Reason>> {
        let (changed, key) = (BTreeSet::from([self.relid]), self.known.key.unwrap_or_default());
        // SAFETY: the query that was described is alive.
        let terms = dirty::terms(self.described.block.query, key, &changed, dirty::Beside::Deleted, &stored_key)?;
        Ok(terms.map(|terms| Keys { places: terms.occurrences, meet: terms.meet }))
    }

    fn taken_in(&mut self) -> Result<std::result::Result<Weighted, Reason>> {
        let Ok(fold) = self.fold else { return Err(Error::Internal("no fold".into())) };
        let mut targets = fold.key_nodes.clone();
        targets.extend(&fold.args);
        targets.extend(&fold.filters);
        let terms = weighted(self.described, &targets, &BTreeSet::from([self.relid]), &|_, _| true, BOTH)?;
        Ok(terms.map(|terms| self.facts(&terms)))
    }

    fn added(&mut self) -> Result<std::result::Result<Weighted, Reason>> {
        let terms = bag_terms(self.expanded, &BTreeSet::from([self.relid]), &|_, _| !self.known.is_sum, BOTH)?;
        Ok(terms.map(|terms| self.facts(&terms)))
    }

    fn placed(&mut self) -> Result<std::result::Result<(), Reason>> {
        match interval::of(self.expanded, &stored_key) {
            Some(of) => rules::interval::check(self.expanded, &of),
            None => Ok(rules::first_rows::first_changed(self.expanded)?.map(|_| ())),
        }
    }
}

impl OfRelation<'_> {
    fn facts(&mut self, terms: &delta::Terms) -> Weighted {
        self.guards = terms.guards();
        Weighted { flips: !terms.flips.is_empty(), alone: terms.alone, anchored: !terms.anchors.is_empty() }
    }
}

/// The weighted rows by which the described query changes: linear terms, or now minus before.
pub fn weighted(
    d: &describe::Described,
    targets: &[Node],
    changed: &BTreeSet<u32>,
    captured: anchor::Captured,
    states: States,
) -> Result<std::result::Result<delta::Terms, Reason>> {
    let atoms = &d.description.atoms;
    let used = relations::of(d.block.query);
    let in_from = |r: &u32| atoms.iter().filter(|a| a.relid == Some(*r)).count();
    let everywhere = changed.iter().all(|r| used.get(r).is_none_or(|u| in_from(r) == u.times));
    if everywhere
        && describe::common_value::is_chain(d)
        && let Ok(terms) = printed::or_why(common_value::terms(d, targets, changed, &stored_key, captured, states))?
    {
        return Ok(Ok(terms));
    }
    if everywhere && let Ok(terms) = printed::or_why(delta::terms(d, targets, changed, states))? {
        return Ok(Ok(terms));
    }
    let anchored = printed::or_why(anchor::terms(d, targets, changed, &stored_key, captured, states))?;
    if anchored.is_ok() || !everywhere {
        return Ok(anchored);
    }
    Ok(printed::or_why(common_value::terms(d, targets, changed, &stored_key, captured, states))?.or(anchored))
}

/// For decisions, which are the same for TVIEWs that follow later.
const BOTH: States = States::NowAndBefore;

/// The weighted rows by which the output of an expanded query without key changes.
pub fn bag_terms(
    query: Query,
    changed: &BTreeSet<u32>,
    captured: anchor::Captured,
    states: States,
) -> Result<std::result::Result<delta::Terms, Reason>> {
    let Some(branches) = set_operations::branches(query) else {
        let described = describe::describe(query, &stored_key);
        return weighted(&described, &delta::outputs_of(query), changed, captured, states);
    };
    let mut all = delta::Terms::default();
    for (number, branch) in (0u32..).zip(branches) {
        if relations::of(branch).keys().all(|r| !changed.contains(r)) {
            continue;
        }
        let described = describe::describe(branch, &stored_key);
        if described.description.shape != Shape::Rows {
            return Ok(Err(Reason::BranchNotPlain));
        }
        let Some(targets) = set_operations::outputs_of(query, branch) else {
            return Ok(Err(Reason::BranchTypes));
        };
        match weighted(&described, &targets, changed, captured, states)? {
            Err(why) => return Ok(Err(why)),
            Ok(terms) => {
                all.is_mixed |= terms.is_mixed;
                all.now.extend(terms.now);
                all.before.extend(terms.before);
                all.flips.extend(terms.flips);
                all.locks.extend(terms.locks.into_iter().map(|v| delta::Values { place: v.place | number << 16, ..v }));
                all.alone |= terms.alone;
                all.anchors.extend(terms.anchors);
                all.gates.extend(terms.gates);
            }
        }
    }
    Ok(Ok(all))
}

/// A writer of several relations locks what writers of each of them lock, who have to see it. Where it finds less than one of them
/// would, because its other changes hide it, it is alone. `of_one`: the terms for changes of one relation.
pub fn guarded(
    mut terms: delta::Terms,
    changed: &BTreeSet<u32>,
    mut of_one: impl FnMut(&BTreeSet<u32>) -> Result<std::result::Result<delta::Terms, Reason>>,
) -> Result<delta::Terms> {
    if changed.len() < 2 {
        return Ok(terms);
    }
    let found = terms.guards();
    terms.alone = false;
    for relid in changed {
        let Ok(one) = of_one(&BTreeSet::from([*relid]))? else {
            terms.alone = true;
            continue;
        };
        let finds_less = one.anchors.iter().any(|a| !found.contains(&Guard::of(a)));
        // Beside other relations on its side, the rows that a change was joined to before are not all there.
        let is_hidden = !one.locks.is_empty() && one.flips.len() > 1;
        terms.alone |= one.alone || finds_less || is_hidden;
        for values in one.locks {
            if terms.locks.iter().all(|known| known.place != values.place) {
                terms.locks.push(values);
            }
        }
    }
    Ok(terms)
}

fn key_columns(d: &describe::Described, query: Query, positions: &[usize], wide: bool) -> Result<Vec<KeyColumn>> {
    let outs = outputs(query);
    let mut key = Vec::new();
    for p in positions {
        let expr = outs[*p].expr().cast::<pg_sys::Node>();
        let typid = server::exprType(expr);
        let never_null = d.description.is_never_null(*p);
        let equality =
            name::equality(typid).ok_or_else(|| Error::option("a key column has no equality operator", None))?;
        key.push(KeyColumn {
            at: *p,
            nullable: !never_null,
            composite: lsyscache::get_typtype(lsyscache::getBaseType(typid)) == pg_sys::TYPTYPE_COMPOSITE
                || typid == pg_sys::RECORDOID,
            equality,
            wide: wide && lookup::is_wide(typid),
            typid,
            collation: server::exprCollation(expr),
        });
    }
    Ok(key)
}
