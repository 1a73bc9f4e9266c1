//! Virtual generated columns (18): each becomes the expression that it is computed from, for change rows do not have it.
//!
//! `SELECT id, total FROM t` is `SELECT id, price * number AS total FROM t`. Where an outer join null-extends the table, the column is NULL, and so is an
//! expression over columns of the table alone that is strict; another expression is computed below the join: the table becomes `(SELECT id, price, coalesce(…)
//! AS total FROM t)`. The planner does the same (optimizer/prep/prepjointree.c, expand_virtual_generated_columns). So it is in a grouped query with sub-queries, which may
//! look at the column as one of the group. Which table of a tree a row is in does not matter: the expression is that of the table that the query names.
//!
//! Invariant: the same rows, and each column that is left is in the rows of the table itself. A table with a column of which this cannot be said keeps all its columns,
//! and is `full`. Called by load.

use crate::analyze::query::{printed, relations, table_rows, view_rows};
use crate::pg::error::Result;
use crate::pg::fault::{self, Fault};
use crate::pg::name;
use crate::pg::relation::Relation;
use crate::pg::tree::{Node, Query, Text, Tree, Var, list, lsyscache, make, parser, server, walk};
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;

/// Changes the columns in all blocks of a query, in place.
pub fn spell_out(query: Query) -> Result<()> {
    let mut blocks: Vec<Query> = Vec::new();
    walk::walk(query.cast(), &mut |n| {
        if list::is(n, pg_sys::NodeTag::T_Query) {
            blocks.push(n.cast());
        }
        false
    });
    blocks.into_iter().rev().try_for_each(block)
}

fn block(query: Query) -> Result<()> {
    for index in relations::in_from(query) {
        if let Some(columns) = columns_of(query, index)? {
            change(query, index, &columns)?;
        }
    }
    Ok(())
}

/// The virtual columns of a table.
type Columns = BTreeMap<i16, Node>;

/// The virtual columns of a table of FROM that the query reads; None when there is none, or an expression that has to stay where it is.
fn columns_of(query: Query, index: usize) -> Result<Option<Columns>> {
    let rte = server::rt_fetch(index, query);
    // Policies are applied by the server, which looks at the table as it is.
    if rte.rtekind() != pg_sys::RTEKind::RTE_RELATION || !rte.securityQuals().is_null() {
        return Ok(None);
    }
    let read = relations::columns(query, rte);
    let Some(rel) = Relation::open(rte.relid(), pg_sys::AccessShareLock) else { return Ok(None) };
    let mut found = Columns::new();
    for i in 0..rel.natts() {
        let att = rel.attribute(i);
        if att.attgenerated as u8 == b'v' && !att.attisdropped && (read.contains(&att.attnum) || read.contains(&0)) {
            let expr = without_assignment(lsyscache::build_generation_expression(&rel, att.attnum));
            if !is_written(expr, rte.relid())? {
                return Ok(None);
            }
            found.insert(att.attnum, expr);
        }
    }
    Ok(Some(found).filter(|f| !f.is_empty()))
}

/// Whether an expression looks at its table, and has a text that is read as this expression.
fn is_written(expr: Node, relid: pg_sys::Oid) -> Result<bool> {
    let Some(table) = name::relation(relid) else { return Ok(false) };
    let Ok(text) = CString::new(format!("SELECT FROM {table}")) else { return Ok(false) };
    let query = parser::analyse(Text::of(&text));
    let entry = make::target(expr.copy().cast(), 1, Text::of(c"c"), false);
    query.set_targetList(list::lappend(Tree::null(), entry.cast()));
    Ok(!vars_of(expr).is_empty() && printed::can_be(query)?)
}

/// An assignment cast to varchar(n), which fails for what is too long, has the text of the explicit one, which cuts: it is written as the call that it is.
fn without_assignment(expr: Node) -> Node {
    if list::is(expr, pg_sys::NodeTag::T_FuncExpr) {
        let call = expr.cast::<pg_sys::FuncExpr>();
        if call.funcformat() == pg_sys::CoercionForm::COERCE_IMPLICIT_CAST && list::len(call.args()) == 3 {
            call.set_funcformat(pg_sys::CoercionForm::COERCE_EXPLICIT_CALL);
        }
    }
    expr
}

fn vars_of(expr: Node) -> Vec<Var> {
    list::iter::<pg_sys::Var>(server::pull_vars_of_level(expr, 0)).collect()
}

fn change(query: Query, index: usize, columns: &Columns) -> Result<()> {
    // A sub-query looks at a group by its columns, not by expressions.
    let mut below = query.hasSubLinks() && !query.groupClause().is_null();
    let mut whole = Vec::new();
    each(query, index, &mut |var| {
        let nullable = !var.varnullingrels().is_null();
        match columns.get(&var.varattno()) {
            Some(expr) => below |= nullable && server::contain_nonstrict_functions(*expr),
            None if var.varattno() == 0 => whole.push(nullable),
            None => {}
        }
        None
    });
    below &= !fault::on(Fault::SkipVirtualBelow);
    if below || whole.contains(&true) {
        let Some(sub) = table_rows::of(query, index) else { return Ok(()) };
        block(sub)?;
        table_rows::replace(server::rt_fetch(index, query), sub);
        return Ok(());
    }
    let rte = server::rt_fetch(index, query);
    let mut read: BTreeSet<i16> = relations::columns(query, rte).into_iter().collect();
    if !whole.is_empty() {
        read.extend(
            (1..=list::len(rte.eref().colnames()) as i16).filter(|c| !server::get_rte_attribute_is_dropped(rte, *c)),
        );
        each(query, index, &mut |var| if var.varattno() == 0 { view_rows::spelled(var) } else { None });
    }
    each(query, index, &mut |var| columns.get(&var.varattno()).map(|expr| in_place_of(var, *expr)));
    read.retain(|c| *c != 0 && !columns.contains_key(c));
    read.extend(columns.values().flat_map(|expr| vars_of(*expr)).map(|v| v.varattno()));
    server::select_columns(query, rte, &read);
    Ok(())
}

/// Rewrites the Vars of an item of FROM, in the block and in all queries in it.
fn each(query: Query, index: usize, replace: &mut dyn FnMut(Var) -> Option<Node>) {
    let changed = walk::rewrite_deep(query.cast(), &mut |n, depth| {
        let var = n.cast::<pg_sys::Var>();
        let is_own =
            list::is(n, pg_sys::NodeTag::T_Var) && var.varno() as usize == index && var.varlevelsup() + 1 == depth;
        if is_own { replace(var) } else { None }
    });
    query.become_like(changed.cast());
}

/// The expression of a column, as it is seen from where the column stands.
fn in_place_of(column: Var, expr: Node) -> Node {
    let expr = expr.copy();
    server::ChangeVarNodes(expr, 1, column.varno(), 0);
    for var in vars_of(expr) {
        var.set_varnullingrels(column.varnullingrels());
    }
    server::IncrementVarSublevelsUp(expr, column.varlevelsup() as i32, 0);
    expr
}
