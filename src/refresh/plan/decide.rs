//! Which way a query can be followed for each of its base relations, with the reason; its key, and its state.
//!
//! Invariant: what is decided depends on the query, the options and the catalogs only, so that DDL (NOTICE, `mode =
//! incremental`, capture), monitoring and every backend that flushes decide the same. Called by tview.rs and the DDL hooks.

use crate::analyze::describe;
use crate::analyze::describe::fold::{self, Fold};
use crate::analyze::query::tree::outputs;
use crate::analyze::query::{load, printed, relations};
use crate::analyze::rules::join_values::{self, Pair};
use crate::analyze::rules::{anchor, delta, dirty, text};
use crate::analyze::split::set_operations;
use crate::catalog::options;
use crate::pg::error::{Error, Result};
use crate::pg::relation::Relation;
use crate::pg::{ext, name};
use crate::refresh::plan::lookup;
use crate::refresh::plan::tview::{KeyColumn, column_names, maintained, options_of, stored_key};
use crate::tam;
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};
use tviews_core::key;
use tviews_core::model::{Description, Shape};
use tviews_core::reason::Reason;
use tviews_core::strategy::{Decision, Sharing, Strategy};

/// Key and strategies of a query, existing or about to be.
pub struct Decided {
    pub key: Option<Vec<KeyColumn>>,
    pub decisions: BTreeMap<u32, Decision>,
    pub shape: Shape,
    pub fold: Option<Fold>,
    /// Pairs of relations, when all are joined by inner joins.
    pub pairs: Option<Vec<Pair>>,
    /// For window partitions.
    pub row_key: Option<Vec<i16>>,
    /// Key columns of base relations that change rows must have beside the columns the query reads.
    pub keys: BTreeMap<u32, BTreeSet<i16>>,
}

impl Decided {
    /// The stored rows lack their state: every strategy becomes its fallback.
    pub fn without_state(&mut self) {
        self.fold = None;
        for d in self.decisions.values_mut().filter(|d| d.strategy == Strategy::Fold) {
            d.strategy = d.fallback;
            d.reason = Reason::StateLost.into();
        }
    }
}

/// Key columns by relation that must be captured for an open TVIEW, which is being made: its query must have a text.
///
/// # Safety
/// Pinned settings are in force.
pub unsafe fn keys_to_capture(rel: &Relation) -> Result<BTreeMap<u32, BTreeSet<i16>>> {
    // SAFETY: Pinned settings are in force, as the caller promises.
    unsafe {
        let query = maintained(rel)?;
        let decided = decide(query, &options_of(rel.oid()), column_names(rel))?;
        text::check(query, &decided.shape, decided.fold.as_ref())?;
        text::check(load::stored(rel)?, &decided.shape, None)?;
        Ok(decided.keys)
    }
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
    // SAFETY: Pinned settings are in force, as the caller promises.
    unsafe {
        let decided = decide(maintained(rel)?, &options_of(rel.oid()), column_names(rel))?;
        Ok(decided.fold.as_ref().map(Fold::attribute_types).unwrap_or_default())
    }
}

/// Decides for a stored (not expanded) query.
///
/// # Safety
/// `query` is valid; pinned settings are in force.
pub unsafe fn decide(query: *mut pg_sys::Query, options: &options::Options, columns: Vec<String>) -> Result<Decided> {
    // SAFETY: the caller promises: `query` is valid; pinned settings are in force.
    unsafe {
        let expanded = load::expand(query)?;
        let used = relations::of(expanded);
        let described = describe::describe(expanded, &stored_key);
        let d = &described.description;
        let positions = match options.get("key") {
            Some(given) if !matches!(d.shape, Shape::Partitions(_)) => Some(given_key(given, &columns, &d.comparable)?),
            _ => key::derive(d).filter(|_| !d.join.has_full() || !follows_all(expanded, d, &used)),
        };
        let approximate = options.get("approximate").map(String::as_str) == Some("true");
        let fold = match (&positions, &d.shape) {
            (None, Shape::Groups(g)) if !g.is_empty() => Err(no_key(&d.shape)),
            (None, Shape::Distinct) => Err(no_key(&d.shape)),
            _ => fold::recognise(expanded, &d.shape, approximate),
        };
        let positions = positions.or_else(|| fold.is_ok().then(Vec::new));
        let mut decisions = BTreeMap::new();
        let mut anchored = false;
        for (relid, usage) in &used {
            let mut decision = match (&positions, options.get("mode").map(String::as_str)) {
                (_, Some("full")) => Decision::full(Reason::ModeFull),
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
                    decision.reason.no_better = Some(*why);
                }
            }
            let sum = set_operations::branches(expanded).is_some();
            if positions.is_none() && (d.shape == Shape::Rows || sum) && followed {
                let terms = bag_terms(expanded, &BTreeSet::from([*relid]), &|_, _| !sum)?;
                anchored |= consider(terms, Strategy::Delta, usage, &mut decision)?;
            }
            decisions.insert(*relid, decision);
        }
        let shared = decisions.values().all(|d| d.strategy != Strategy::Full && d.sharing != Sharing::Alone);
        let pairs = if shared { join_values::pairs(expanded, &d.shape, &used) } else { None };
        let folds = decisions.values().any(|d: &Decision| d.strategy == Strategy::Fold);
        // Keys of rows come from indexes of their tables, which hold them; a given key is enforced by its index.
        let wide = d.shape != Shape::Rows && !options.contains_key("key");
        let row_key = match d.shape {
            Shape::Partitions(_) => key::of_rows(d).map(|key| key.into_iter().map(|p| p as i16 + 1).collect()),
            _ => None,
        };
        let key = positions.map(|p| key_columns(&described, expanded, &p, wide)).transpose()?;
        let shape = d.shape.clone();
        let fold = if folds { fold::recognise(query, &shape, approximate).ok() } else { None };
        let mut keys: BTreeMap<u32, BTreeSet<i16>> = BTreeMap::new();
        if anchored {
            // Anchors of before are told from those of now by their keys, so a change of a key is one of the row.
            let branches = set_operations::branches(expanded).unwrap_or_default();
            let below = branches.into_iter().flat_map(|b| describe::describe(b, &stored_key).description.atoms);
            for atom in d.atoms.iter().cloned().chain(below) {
                if let Some(relid) = atom.relid {
                    keys.entry(relid).or_default().extend(atom.keys.iter().flatten());
                }
            }
        }
        Ok(Decided { key, decisions, pairs, shape, fold, row_key, keys })
    }
}

/// Whether the changes of each relation can be added to an output of single rows. Where there is a FULL join, that is better
/// than recomputing rows by their key, for which the server joins the tables as a whole.
unsafe fn follows_all(query: *mut pg_sys::Query, d: &Description, used: &BTreeMap<u32, relations::Use>) -> bool {
    // SAFETY: `query` is a live tree of the server.
    unsafe {
        let follows = |relid: &u32| matches!(bag_terms(query, &BTreeSet::from([*relid]), &|_, _| true), Ok(Ok(_)));
        d.shape == Shape::Rows && used.keys().all(follows)
    }
}

fn no_key(shape: &Shape) -> Reason {
    match shape {
        Shape::Opaque(why) => *why,
        Shape::Groups(g) if g.is_empty() => Reason::OneGroup,
        Shape::Groups(_) => Reason::GroupNotShown,
        Shape::Rows => Reason::NoKey,
        Shape::Partitions(_) => Reason::PartitionWithoutEquality,
        Shape::Distinct => Reason::OutputWithoutEquality,
    }
}

fn has_children(relid: u32) -> bool {
    // SAFETY: plain catalog look-up.
    unsafe { ext::find_all_inheritors(pg_sys::Oid::from(relid), pg_sys::NoLock as i32) }.len() > 1
}

unsafe fn decide_one(d: &describe::Described, key: &[usize], relid: u32, usage: &relations::Use) -> Result<Decision> {
    // SAFETY: `d` was described from a query that is alive.
    unsafe {
        if matches!(d.description.shape, Shape::Opaque(_)) {
            return Ok(Decision::full(no_key(&d.description.shape)));
        }
        if usage.only && has_children(relid) {
            return Ok(Decision::full(Reason::OnlyOfParent));
        }
        if usage.columns.iter().any(|c| *c < 0) {
            return Ok(Decision::full(Reason::SystemColumn));
        }
        if usage.computed {
            return Ok(Decision::full(Reason::VirtualColumn));
        }
        let grouped = d.description.shape != Shape::Rows;
        let terms =
            match dirty::terms(d.block.query, key, &BTreeSet::from([relid]), dirty::Beside::Deleted, &stored_key)? {
                Err(why) => return Ok(Decision::full(why)),
                Ok(terms) if terms.occurrences < usage.times => {
                    return Ok(Decision::full(Reason::NotFollowed));
                }
                Ok(terms) => terms,
            };
        let sharing = match (usage.times, grouped || terms.meet) {
            (2.., _) => Sharing::Alone,
            (_, true) => Sharing::ByKey,
            (_, false) => Sharing::Free,
        };
        let reason = if matches!(d.description.shape, Shape::Partitions(_)) {
            Reason::PartitionsRecomputed
        } else if grouped {
            Reason::GroupsRecomputed
        } else {
            Reason::RowsRecomputed
        };
        Ok(Decision { strategy: Strategy::Keyed, sharing, reason: reason.into(), fallback: Strategy::Keyed })
    }
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
) -> Result<std::result::Result<delta::Terms, Reason>> {
    // SAFETY: `targets` are expressions of the described query, as the caller promises.
    unsafe {
        let atoms = &d.description.atoms;
        let used = relations::of(d.block.query);
        let in_from = |r: &u32| atoms.iter().filter(|a| a.relid == Some(*r)).count();
        if changed.iter().all(|r| used.get(r).is_none_or(|u| in_from(r) == u.times))
            && let Ok(terms) = printed::or_why(delta::terms(d, targets, changed))?
        {
            return Ok(Ok(terms));
        }
        printed::or_why(anchor::terms(d, targets, changed, &stored_key, captured))
    }
}

/// The weighted rows by which the output of an expanded query without key changes.
///
/// # Safety
/// `query` is valid.
pub unsafe fn bag_terms(
    query: *mut pg_sys::Query,
    changed: &BTreeSet<u32>,
    captured: anchor::Captured,
) -> Result<std::result::Result<delta::Terms, Reason>> {
    // SAFETY: `query` is valid, as the caller promises.
    unsafe {
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
                return Ok(Err(Reason::BranchNotPlain));
            }
            let Some(targets) = set_operations::outputs_of(query, branch) else {
                return Ok(Err(Reason::BranchTypes));
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
                    all.gates.extend(terms.gates);
                }
            }
        }
        Ok(Ok(all))
    }
}

/// Makes a decision `strategy` (fold or delta) when the weighted rows by which the query changes can be told. Returns
/// whether that takes the keys of base relations.
fn consider(
    terms: std::result::Result<delta::Terms, Reason>,
    strategy: Strategy,
    usage: &relations::Use,
    decision: &mut Decision,
) -> Result<bool> {
    let fallback = if decision.strategy == Strategy::Keyed { Strategy::Keyed } else { Strategy::Full };
    match terms {
        Ok(terms) => {
            let alone = usage.times > 1 || terms.alone;
            let reason = match (strategy, terms.flips.is_empty()) {
                (Strategy::Fold, true) => Reason::TakenIn,
                (Strategy::Fold, false) => Reason::AffectedTakenIn,
                (_, true) => Reason::Added,
                (_, false) => Reason::AffectedAdded,
            };
            let sharing = if alone { Sharing::Alone } else { Sharing::ByKey };
            *decision = Decision { strategy, sharing, reason: reason.into(), fallback };
            return Ok(!terms.anchors.is_empty());
        }
        Err(why) => decision.reason.no_better = Some(why),
    }
    Ok(false)
}

unsafe fn key_columns(
    d: &describe::Described,
    query: *mut pg_sys::Query,
    positions: &[usize],
    wide: bool,
) -> Result<Vec<KeyColumn>> {
    // SAFETY: `d` belongs to a query that is alive; `query` is a live tree of the server.
    unsafe {
        let outs = outputs(query);
        let mut key = Vec::new();
        for p in positions {
            let expr = (*outs[*p]).expr.cast::<pg_sys::Node>();
            let typid = pg_sys::exprType(expr);
            let never_null = d.description.is_never_null(*p);
            let equality =
                name::equality(typid).ok_or_else(|| Error::option("a key column has no equality operator", None))?;
            key.push(KeyColumn {
                at: *p,
                nullable: !never_null,
                composite: pg_sys::get_typtype(pg_sys::getBaseType(typid)) as u8 == pg_sys::TYPTYPE_COMPOSITE
                    || typid == pg_sys::RECORDOID,
                equality,
                wide: wide && lookup::is_wide(typid),
                typid,
                collation: pg_sys::exprCollation(expr),
            });
        }
        Ok(key)
    }
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
