//! Which columns of a row, and which parts of its documents, a change of one relation can concern; and the query without the others.
//!
//! Let T be the relation, which stands in one place of a query that joins, filters and projects, and C the columns of T that changed.
//! * T is one of the relations that are joined. The joins and filters read columns of T outside of C only, and of these the change rows have as many
//!   old as new: so the same combinations of rows are joined, and a row of the output has the same values where nothing reads C.
//! * T stands in sub-queries of the select list, or in items of FROM that have one row whatever T has, which no join or filter looks at. Then
//!   the same combinations are joined, and only expressions over these sub-queries have other values.
//!
//! Invariant: with the stored row exact for the state before the change, a column that is `Kept` is what its expression gives now, and
//! tviews_core::jsonb::part::put(stored, computed) is for each `Part`. A shape that this cannot be told of has no parts.
//! Called by refresh/plan. elements: arrays that aggregates make.

mod elements;

use crate::analyze::describe::{Block, Described, Item, KeyOf};
use crate::analyze::query::printed;
use crate::analyze::query::tree::{outputs, type_of};
use crate::analyze::rules::lift;
use crate::pg::error::Result;
use crate::pg::tree::{List, Node, Query, Tree, Var, list, lsyscache, make, server, walk};
use pgrx::pg_sys::{self, NodeTag};
use std::collections::BTreeSet;
use tviews_core::jsonb::part::Part;

/// Documents further inside of documents are computed as a whole.
const DEEP: usize = 64;

/// What a flush does with a column of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// The stored value stays.
    Kept,
    /// It is computed as a whole.
    Computed,
    /// A part of the stored document is computed.
    Part(Part),
}

/// A query that computes only what a change can concern.
pub struct Parts {
    /// It has the columns of the TVIEW's query; those that are kept are NULL, unless they are of the key.
    pub text: String,
    pub columns: Vec<Column>,
    /// Only for changes that have as many old as new rows, equal in the columns that did not change.
    pub balanced: bool,
}

/// The outputs of a query, reduced to what a change can concern.
pub struct Reduced {
    /// Outputs that are kept are NULL, unless they are of the key.
    pub targets: Vec<Node>,
    pub columns: Vec<Column>,
    /// Only for changes that have as many old as new rows, equal in the columns that did not change.
    pub balanced: bool,
}

/// What a change of some columns of a relation can concern of the outputs of `query`, which is the block's; `key`: outputs that are the
/// TVIEW's key. None: all of a row.
pub fn reduced(
    described: &Described,
    query: Query,
    relid: u32,
    changed: &BTreeSet<i16>,
    key: &[usize],
    key_of: KeyOf,
) -> Result<Option<Reduced>> {
    let Some(of) = Change::new(described, relid, changed, key_of) else { return Ok(None) };
    let (mut columns, mut targets, mut is_less) = (Vec::new(), Vec::new(), false);
    for (at, (target, own)) in outputs(described.block.query).into_iter().zip(outputs(query)).enumerate() {
        let concerns = of.concerns(&Scope::of(&described.block), target.expr(), 0);
        let (expr, column) = match (concerns, key.contains(&at)) {
            (true, true) => return Ok(None),
            (false, true) => (own.expr(), Column::Kept),
            (false, false) => (make::null(type_of(own.expr())), Column::Kept),
            (true, false) => match of.part(own.expr(), 0)? {
                (expr, Part::Whole) => (expr, Column::Computed),
                (expr, part) => (expr, Column::Part(part)),
            },
        };
        is_less |= !key.contains(&at) && column != Column::Computed;
        targets.push(expr);
        columns.push(column);
    }
    Ok(is_less.then_some(Reduced { targets, columns, balanced: of.is_joined }))
}

/// The query for that.
pub fn parts(
    described: &Described,
    relid: u32,
    changed: &BTreeSet<i16>,
    key: &[usize],
    key_of: KeyOf,
) -> Result<Option<Parts>> {
    let copy = described.block.query.copy();
    copy.set_sortClause(Tree::null());
    let Some(Reduced { targets, columns, balanced }) = reduced(described, copy, relid, changed, key, key_of)? else {
        return Ok(None);
    };
    let mut list = Tree::null();
    for (at, (expr, old)) in targets.into_iter().zip(outputs(copy)).enumerate() {
        list = list::lappend(list, make::target(expr, at + 1, old.resname(), false).cast());
    }
    copy.set_targetList(list);
    copy.set_hasSubLinks(!walk::links(copy).is_empty());
    let text = printed::or_none(printed::text(copy).map(Some))?;
    Ok(text.map(|text| Parts { text, columns, balanced }))
}

/// A block, and the blocks around it, whose columns it can read as a LATERAL item does.
#[derive(Clone, Copy)]
struct Scope<'s> {
    block: &'s Block,
    around: Option<&'s Scope<'s>>,
}

impl<'s> Scope<'s> {
    fn of(block: &'s Block) -> Scope<'s> {
        Scope { block, around: None }
    }

    fn below(&'s self, block: &'s Block) -> Scope<'s> {
        Scope { block, around: Some(self) }
    }
}

struct Change<'a> {
    described: &'a Described,
    relid: u32,
    changed: &'a BTreeSet<i16>,
    /// Items of FROM, numbered as atoms, whose one row can differ.
    varying: BTreeSet<usize>,
    /// Whether the relation is one of those that are joined.
    is_joined: bool,
    key_of: KeyOf<'a>,
}

impl<'a> Change<'a> {
    fn new(described: &'a Described, relid: u32, changed: &'a BTreeSet<i16>, key_of: KeyOf<'a>) -> Option<Change<'a>> {
        let block = &described.block;
        let atoms = &described.description.atoms;
        let is_joined = atoms.iter().any(|a| a.relid == Some(relid));
        let mut of = Change { described, relid, changed, varying: BTreeSet::new(), is_joined, key_of };
        of.items(&Scope::of(block), block.query.jointree().cast())?;
        Some(of)
    }

    fn atom(&self, block: &Block, index: usize) -> Option<usize> {
        match block.items.get(&index)? {
            Item::Atom(atom) => Some(*atom),
            Item::Sub(_) => None,
        }
    }

    fn reads(&self, node: Node) -> bool {
        lift::reads(node, &BTreeSet::from([self.relid]))
    }

    /// Goes through FROM; None when the change can concern which rows are joined.
    fn items(&mut self, scope: &Scope, node: Node) -> Option<()> {
        let block = scope.block;
        match node.tag() {
            NodeTag::T_FromExpr => {
                let from = node.cast::<pg_sys::FromExpr>();
                for item in list::iter::<pg_sys::Node>(from.fromlist()) {
                    self.items(scope, item)?;
                }
                self.condition(scope, from.quals())
            }
            NodeTag::T_JoinExpr => {
                let join = node.cast::<pg_sys::JoinExpr>();
                self.items(scope, join.larg())?;
                self.items(scope, join.rarg())?;
                self.condition(scope, join.quals())
            }
            NodeTag::T_RangeTblRef => {
                let index = node.cast::<pg_sys::RangeTblRef>().rtindex() as usize;
                let rte = server::rt_fetch(index, block.query);
                if !rte.securityQuals().is_null() || !rte.tablesample().is_null() || !block.query.cteList().is_null() {
                    return None;
                }
                if let Item::Sub(sub) = block.items.get(&index)? {
                    return self.items(&scope.below(sub), sub.query.jointree().cast());
                }
                let varies = match rte.rtekind() {
                    pg_sys::RTEKind::RTE_RELATION => false,
                    pg_sys::RTEKind::RTE_SUBQUERY => self.concerns(scope, rte.subquery().cast(), 1),
                    pg_sys::RTEKind::RTE_FUNCTION => self.concerns(scope, rte.functions().cast(), 0),
                    _ => return None,
                };
                if varies {
                    let is_one = rte.rtekind() == pg_sys::RTEKind::RTE_SUBQUERY && is_one_row(rte.subquery());
                    self.varying.insert(self.atom(block, index).filter(|_| is_one)?);
                }
                Some(())
            }
            _ => None,
        }
    }

    fn condition(&self, scope: &Scope, quals: Node) -> Option<()> {
        (!self.concerns(scope, quals, 0)).then_some(())
    }

    /// Whether an expression of a block, or a query inside of it, can have another value; `level`: how far the block is above its columns.
    fn concerns(&self, scope: &Scope, node: Node, level: i32) -> bool {
        if node.is_null() {
            return false;
        }
        let plain = server::flatten_join_aliases(scope.block.query, node);
        if self.reads(plain) {
            return true;
        }
        let (mut at, mut level) = (Some(scope), level);
        while let Some(scope) = at {
            let mut vars = list::iter::<pg_sys::Var>(server::pull_vars_of_level(plain, level));
            if vars.any(|var| self.concerns_var(scope, var)) {
                return true;
            }
            (at, level) = (scope.around, level + 1);
        }
        false
    }

    /// Whether a column of a block itself can have another value.
    fn concerns_var(&self, scope: &Scope, var: Var) -> bool {
        match scope.block.items.get(&(var.varno() as usize)) {
            Some(Item::Atom(atom)) if self.varying.contains(atom) => true,
            Some(Item::Atom(atom)) => {
                // A virtual column is in no change row.
                let is_virtual = || lsyscache::get_attgenerated(pg_sys::Oid::from(self.relid), var.varattno()) == b'v';
                self.described.description.atoms[*atom].relid == Some(self.relid)
                    && (var.varattno() <= 0 || self.changed.contains(&var.varattno()) || is_virtual())
            }
            Some(Item::Sub(sub)) => match sub.output(var.varattno()) {
                Some(expr) => self.concerns(&scope.below(sub), expr, 0),
                None => true,
            },
            None => true,
        }
    }

    /// An expression of the select list, reduced to what the change can concern, and which part of its value that is.
    fn part(&self, node: Node, depth: usize) -> Result<(Node, Part)> {
        if depth > DEEP {
            return Ok((node, Part::Whole));
        }
        let scope = Scope::of(&self.described.block);
        match node.tag() {
            NodeTag::T_FuncExpr => {
                let call = node.cast::<pg_sys::FuncExpr>();
                let Some(pairs) = pairs(call) else { return Ok((node, Part::Whole)) };
                let (mut args, mut kept) = (Tree::null(), Vec::new());
                for (name, key, value) in pairs {
                    if self.concerns(&scope, value, 0) {
                        let (value, part) = self.part(value, depth + 1)?;
                        args = list::lappend(list::lappend(args, key), value);
                        kept.push((name, part));
                    }
                }
                let call = call.copy();
                call.set_args(args);
                call.set_inputcollid(input_collation(args));
                Ok((call.cast(), Part::Object(kept)))
            }
            NodeTag::T_SubLink => {
                let link = node.cast::<pg_sys::SubLink>();
                if link.subLinkType() != pg_sys::SubLinkType::EXPR_SUBLINK || self.is_joined {
                    return Ok((node, Part::Whole));
                }
                match elements::marked(link.subselect().cast(), self.relid, self.key_of)? {
                    Some(query) => {
                        let link = link.copy();
                        link.set_subselect(query.cast());
                        Ok((link.cast(), Part::Elements))
                    }
                    None => Ok((node, Part::Whole)),
                }
            }
            // What stands in for no elements is not needed: without elements all is computed.
            NodeTag::T_CoalesceExpr => {
                let args = node.cast::<pg_sys::CoalesceExpr>().args();
                let (first, others) = (list::nth::<pg_sys::Node>(args, 0), list::iter::<pg_sys::Node>(args).skip(1));
                let constant = others.into_iter().all(|n| n.tag() == NodeTag::T_Const);
                match self.part(first, depth + 1)? {
                    (expr, Part::Elements) if constant => Ok((expr, Part::Elements)),
                    _ => Ok((node, Part::Whole)),
                }
            }
            _ => Ok((node, Part::Whole)),
        }
    }
}

/// The pairs of a call of jsonb_build_object whose keys are different constants: the key's text, the key and the value.
fn pairs(call: Tree<pg_sys::FuncExpr>) -> Option<Vec<(Vec<u8>, Node, Node)>> {
    let args: Vec<Node> = list::iter::<pg_sys::Node>(call.args()).collect();
    if call.funcid() != pg_sys::Oid::from(pg_sys::F_JSONB_BUILD_OBJECT_ANY)
        || call.funcvariadic()
        || !args.len().is_multiple_of(2)
    {
        return None;
    }
    let mut found: Vec<(Vec<u8>, Node, Node)> = Vec::new();
    for [key, value] in args.as_chunks::<2>().0 {
        if key.tag() != NodeTag::T_Const || key.cast::<pg_sys::Const>().constisnull() {
            return None;
        }
        let constant = key.cast::<pg_sys::Const>();
        if ![pg_sys::TEXTOID, pg_sys::UNKNOWNOID].contains(&constant.consttype()) {
            return None;
        }
        let name = server::output_of(constant)?.into_bytes();
        if found.iter().any(|(known, ..)| *known == name) {
            return None;
        }
        found.push((name, *key, *value));
    }
    Some(found)
}

/// The collation that the parser gives a call with these arguments, which jsonb_build_object does not look at.
fn input_collation(args: List) -> pg_sys::Oid {
    let all: BTreeSet<u32> = list::iter::<pg_sys::Node>(args).map(|a| server::exprCollation(a).to_u32()).collect();
    all.into_iter().rfind(|of| *of != 0).map_or(pg_sys::InvalidOid, pg_sys::Oid::from)
}

/// Whether a sub-query has one row, whatever rows its relations have.
fn is_one_row(q: Query) -> bool {
    q.commandType() == pg_sys::CmdType::CMD_SELECT
        && q.hasAggs()
        && q.groupClause().is_null()
        && q.groupingSets().is_null()
        && q.havingQual().is_null()
        && q.limitCount().is_null()
        && q.limitOffset().is_null()
        && q.setOperations().is_null()
        && !q.hasTargetSRFs()
        && !q.hasDistinctOn()
        && q.distinctClause().is_null()
        && q.rowMarks().is_null()
}

/// Whether a tree has sub-queries.
fn has_queries(node: Node) -> bool {
    walk::walk(node, &mut |n| n.tag() == NodeTag::T_SubLink)
}
