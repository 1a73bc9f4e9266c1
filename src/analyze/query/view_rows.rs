//! Rows of views as a whole: `to_jsonb(v)`, when `v` has become a sub-query.
//!
//! A row of a sub-query has no type but record, and its columns have the names that the sub-query was given. Invariant: the row keeps the type of
//! the view, and with it the column names that the view has now. A view on the nullable side of an outer join is left alone: its row is NULL as a
//! whole there, and a row of NULLs is not. Called by load. Source: rewrite/rewriteManip.c, ReplaceVarFromTargetList.

use crate::analyze::query::from;
use crate::pg::relation::{Relation, attname};
use crate::pg::tree::{Node, Query, Text, Var, list, lsyscache, make, server, walk};
use pgrx::pg_sys;

/// Changes the rows of all blocks of a query, in place.
pub fn spell_out(query: Query) {
    let mut blocks: Vec<Query> = Vec::new();
    walk::walk(query.cast(), &mut |n| {
        if list::is(n, pg_sys::NodeTag::T_Query) {
            blocks.push(n.cast());
        }
        false
    });
    for block in blocks.into_iter().rev() {
        let found = walk::walk(block.cast(), &mut |n| row_of(n).is_some());
        if found {
            let changed = walk::rewrite_deep(block.cast(), &mut |n, depth| {
                let var = row_of(n)?;
                if var.varlevelsup() + 1 != depth || !is_view(block, var.varno() as usize) {
                    return None;
                }
                name_all(block, var);
                spelled(var)
            });
            block.become_like(changed.cast());
        }
    }
}

/// The whole-row Var of a relation that has a row type of its own.
fn row_of(node: Node) -> Option<Var> {
    let var = node.cast::<pg_sys::Var>();
    (list::is(node, pg_sys::NodeTag::T_Var) && var.varattno() == 0 && var.vartype() != pg_sys::RECORDOID).then_some(var)
}

fn is_view(block: Query, index: usize) -> bool {
    let rte = server::rt_fetch(index, block);
    let mut path = Vec::new();
    rte.rtekind() == pg_sys::RTEKind::RTE_SUBQUERY
        && from::find(block.jointree().cast(), index, &mut path)
        && !path.iter().any(from::is_nullable)
}

/// In a query that was stored before its view got more columns, the new columns have a name of the server's making (rewriteHandler.c,
/// ApplyRetrieveRule), by which a text does not find them.
fn name_all(block: Query, var: Var) {
    let rte = server::rt_fetch(var.varno() as usize, block);
    let view = Relation::open(lsyscache::get_typ_typrelid(var.vartype()), pg_sys::AccessShareLock);
    let Some(view) = view else { return };
    for (i, name) in list::iter::<pg_sys::String>(rte.eref().colnames()).enumerate().take(view.natts()) {
        if name.sval().is(c"?column?") {
            name.set_sval(Text::from(attname(view.attribute(i))));
        }
    }
}

/// `ROW(v.a, v.b)::v`
pub fn spelled(var: Var) -> Option<Node> {
    let view = Relation::open(lsyscache::get_typ_typrelid(var.vartype()), pg_sys::AccessShareLock)?;
    let row = make::make::<pg_sys::RowExpr>();
    for i in 0..view.natts() {
        let att = view.attribute(i);
        let column = if att.attisdropped {
            make::null((pg_sys::INT4OID, -1, pg_sys::InvalidOid)) // as coerce_record_to_complex has it
        } else {
            let of = (att.atttypid, att.atttypmod, att.attcollation);
            make::var(var.varno() as _, att.attnum, of, var.varlevelsup()).cast()
        };
        row.set_args(list::lappend(row.args(), column));
    }
    row.set_row_typeid(var.vartype());
    row.set_row_format(pg_sys::CoercionForm::COERCE_EXPLICIT_CAST);
    row.set_location(-1);
    Some(row.cast())
}
