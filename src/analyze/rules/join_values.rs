//! By which values the relations of a query meet, for locks that only writers of the same values share.
//!
//! Two writers whose changed rows have no such values in common do not change the same row of the join, and neither needs rows that the other
//! changes; tviews_core::meetings finds the columns, with the proof. A relation that is read in several places meets itself. Relations in different
//! branches of UNION ALL do not meet at all. Where relations meet through rows of others, one of the two looks for the values that the other one has
//! in its changed rows.
//! Invariant: all backends that follow a TVIEW find the same pairs in the same order: they depend on the query, and on primary keys, which do
//! not come and go while a flush reads their tables. Called by decide.

use crate::analyze::query::relations::Use;
use crate::analyze::rules::join_tree::Builder;
use crate::pg::relation::{Relation, attname};
use crate::pg::tree::{Query, lsyscache};
use crate::pg::{ext, name};
use pgrx::pg_sys;
use std::collections::BTreeMap;
use tviews_core::meetings::{Step, meetings};
use tviews_core::model::{Col, Join};

/// A column that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub att: i16,
    pub typid: pg_sys::Oid,
}

/// Two relations of a query, or two places of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub sides: [u32; 2],
    /// Columns of both that are equal where rows of both are parts of one row; none when nothing is known. Of a side that looks, the columns are those
    /// of the relation where it finds the values.
    pub equal: Vec<[Column; 2]>,
    pub through: Option<Through>,
}

/// The relations between the two of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through {
    /// The side whose writers look for the values that their changed rows lead to.
    pub looks: usize,
    /// The relations, from that side on.
    pub relids: Vec<u32>,
    /// Selects the values.
    pub select: String,
}

impl Pair {
    /// How many relations are between the two.
    pub fn between(&self) -> u8 {
        self.through.as_ref().map_or(0, |t| t.relids.len() as u8)
    }
}

/// All pairs of relations that can meet, the nearest first, in blocks that add up to a query; None where this does not apply. `seen`: whether writers of
/// two relations see each other where rows above the place where they meet depend on both.
pub fn pairs(blocks: &[Query], used: &BTreeMap<u32, Use>, seen: &dyn Fn(u32, u32) -> bool) -> Option<Vec<Pair>> {
    if used.values().map(|u| u.times).sum::<usize>() < 2 {
        return None;
    }
    let mut builder = Builder::default();
    let trees: Vec<Join> = blocks.iter().map(|block| builder.tree(*block)).collect();
    let relation = |atom: usize| builder.relids[atom];
    let places: Vec<u32> = trees.iter().flat_map(Join::atoms).filter_map(relation).collect();
    // A relation that is read where the trees do not show it has no place.
    if used.iter().any(|(relid, u)| places.iter().filter(|r| *r == relid).count() != u.times) {
        return None;
    }
    let mut pairs = Vec::new();
    for tree in &trees {
        let met = meetings(tree, &|atom| relation(atom).is_some());
        let mut atoms: Vec<(u32, usize)> = tree.atoms().into_iter().filter_map(|a| Some((relation(a)?, a))).collect();
        atoms.sort_unstable();
        let mut here = Vec::new();
        for (i, (left, a)) in atoms.iter().enumerate() {
            for (right, b) in &atoms[i + 1..] {
                let meeting = met.get(&(*a.min(b), *a.max(b))).filter(|m| !m.below || seen(*left, *right));
                let way = meeting.map(|m| if a < b { m.way.clone() } else { back(&m.way) }).unwrap_or_default();
                here.push(Placed { pair: pair(&builder, [*left, *right], &way), atoms: [*a, *b], way });
            }
        }
        forget_far(&mut here);
        pairs.extend(here.into_iter().map(|p| p.pair));
    }
    pairs.sort_by_key(|pair| (pair.between(), pair.sides));
    Some(pairs)
}

/// A pair at its place in a tree.
struct Placed {
    pair: Pair,
    atoms: [usize; 2],
    way: Vec<Step>,
}

/// Forgets how a pair meets unless the side that looks is nearer to all relations between: it looks when it has locked what it has in common with these.
fn forget_far(pairs: &mut [Placed]) {
    for i in 0..pairs.len() {
        let Placed { pair, atoms, way } = &pairs[i];
        let Some(through) = &pair.through else { continue };
        let own = atoms[through.looks];
        let mut between = way.iter().skip(1).map(|step| step[0].0.atom);
        let nearer = |atom: usize| {
            let of = pairs.iter().find(|p| p.atoms == [own, atom] || p.atoms == [atom, own]);
            of.is_some_and(|p| p.pair.between() < pair.between())
        };
        if !between.all(nearer) {
            pairs[i].pair = Pair { sides: pair.sides, equal: Vec::new(), through: None };
        }
    }
}

/// The same way from its other end.
fn back(way: &[Step]) -> Vec<Step> {
    way.iter().rev().map(|step| step.iter().map(|(p, q)| (*q, *p)).collect()).collect()
}

/// A pair that meets by a way from its first side to its second one; nothing is known when the way has no steps.
fn pair(builder: &Builder, sides: [u32; 2], way: &[Step]) -> Pair {
    // Rows lead up to the one row with their key. Few rows lead to few from where the way leads up, and are found in change rows; who is above looks.
    let up = |way: &[Step]| way.iter().all(|step| leads_up(builder, step));
    let looks = usize::from(!up(&back(way)) || up(way));
    let (from_looking, own) = if looks == 0 { (way.to_vec(), 1) } else { (back(way), 0) };
    let mut equal = Vec::new();
    let Some((last, nearer)) = from_looking.split_last() else { return Pair { sides, equal, through: None } };
    let column = |col: &Col| Column { att: col.att, typid: builder.types[col] };
    let mut through = None;
    if !nearer.is_empty() {
        let Some((relids, select)) = select(builder, sides[looks], nearer, last) else {
            return Pair { sides, equal, through };
        };
        through = Some(Through { looks, relids, select });
    }
    // All backends, and the SELECT, have the columns in the same order.
    let mut columns = last.clone();
    columns.sort_unstable();
    for (p, q) in &columns {
        let mut both = [column(q); 2];
        both[1 - own] = column(p);
        equal.push(both);
    }
    Pair { sides, equal, through }
}

/// Whether a row has one row at most that a step leads to.
fn leads_up(builder: &Builder, step: &Step) -> bool {
    let Some(relid) = step.first().and_then(|(_, q)| builder.relids[q.atom]) else { return false };
    let key = ext::primary_key(pg_sys::Oid::from(relid));
    !key.is_empty() && key.iter().all(|att| step.iter().any(|(_, q)| q.att == *att))
}

/// The SELECT of the values that change rows lead to by a way, and the relations on it; None when it cannot be written.
fn select(builder: &Builder, changed: u32, way: &[Step], values: &Step) -> Option<(Vec<u32>, String)> {
    let mut relids = vec![changed];
    let mut conditions = Vec::new();
    for (i, step) in way.iter().enumerate() {
        let relid = builder.relids[step[0].1.atom]?;
        relids.push(relid);
        for (p, q) in step {
            let ((one, of_one), (other, of_other)) = (column(relids[i], *p, i)?, column(relids[i + 1], *q, i + 1)?);
            // With two collations an equality has none, or one that the query names.
            (of_one == of_other).then_some(())?;
            let known =
                |left: &Col, right: &Col| builder.operators.get(&(*left, *right)).and_then(|op| name::infix(*op));
            conditions.push(match (known(p, q), known(q, p)) {
                (Some(op), _) => format!("{one} {op} {other}"),
                (_, Some(op)) => format!("{other} {op} {one}"),
                _ => return None,
            });
        }
    }
    let mut columns = values.clone();
    columns.sort_unstable();
    let last = way.len();
    let columns: Option<Vec<String>> =
        columns.iter().map(|(p, _)| column(relids[last], *p, last).map(|(text, _)| text)).collect();
    let tables: Option<Vec<String>> = relids.iter().map(|r| name::relation(pg_sys::Oid::from(*r))).collect();
    let (columns, tables) = (columns?, tables?);
    let others: String = tables.iter().enumerate().skip(1).map(|(i, table)| format!(", {table} x{i}")).collect();
    let text = format!(
        "SELECT {} FROM tviews.changed(NULL::{}) x0{others} WHERE {}",
        columns.join(", "),
        tables[0],
        conditions.join(" AND ")
    );
    relids.remove(0);
    Some((relids, text))
}

/// A column of relation number `n` of a SELECT, and its collation.
fn column(relid: u32, col: Col, n: usize) -> Option<(String, pg_sys::Oid)> {
    let oid = pg_sys::Oid::from(relid);
    let rel = Relation::open(oid, pg_sys::AccessShareLock)?;
    let name = attname(rel.attribute(col.att as usize - 1));
    Some((format!("x{n}.{}", name::ident(&name)), lsyscache::get_atttypetypmodcoll(oid, col.att).2))
}
