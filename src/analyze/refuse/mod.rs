//! Constructs that cannot be maintained at all: an error with their position and a hint.
//!
//! Invariant: a query that passes here is maintained right later, at worst by full recomputation. Checked on the expanded query
//! so that constructs inside views are found too (constructs of views have no position).

pub mod bodies;
mod clock;
pub mod functions;
mod hidden_output;
pub mod locate;

use crate::analyze::query::{self, relations};
use crate::analyze::refuse::functions::{BY_TIME, BY_USER, check_functions};
use crate::analyze::refuse::locate::Construct;
use crate::pg::error::{Error, Result};
use crate::pg::relation::{Relation, TABLEOID};
use crate::pg::tree::{Node, Query, list, lsyscache, server, walk};
use crate::pg::{ext, name};
use crate::tam;
use pgrx::pg_sys;

/// Refuses the first offending construct of an expanded query. `is_deferred`: of a TVIEW that is only refreshed, which may read the clock and
/// relations whose changes cannot be captured.
pub fn check(query: Query, is_deferred: bool) -> Result<()> {
    check_written(query, is_deferred)?;
    for (relid, used) in relations::of(query) {
        let relid = pg_sys::Oid::from(relid);
        if let Err(mut e) = check_relation(relid, &used, is_deferred) {
            if let Error::Unsupported { at, .. } = &mut e {
                *at = locate::find(Construct::Relation(relid));
            }
            return Err(e);
        }
    }
    Ok(())
}

/// Refuses constructs of the query as written, whose nodes still have positions.
pub fn check_written(query: Query, may_read_clock: bool) -> Result<()> {
    let mut error = None;
    walk::walk(query.cast(), &mut |node| {
        error = check_node(node, may_read_clock).err();
        error.is_some()
    });
    error.map_or(Ok(()), Err)
}

fn check_node(node: Node, may_read_clock: bool) -> Result<()> {
    use pg_sys::NodeTag::*;
    match node.tag() {
        T_Query => check_query(node.cast()),
        T_SQLValueFunction
            if may_read_clock && query::clock::is_value(node.cast::<pg_sys::SQLValueFunction>().op()) =>
        {
            Ok(())
        }
        T_SQLValueFunction => Err(Error::unsupported(
            "functions of the clock or the session cannot be maintained",
            server::exprLocation(node),
            if query::clock::is_value(node.cast::<pg_sys::SQLValueFunction>().op()) { BY_TIME } else { BY_USER },
        )),
        T_Param if node.cast::<pg_sys::Param>().paramkind() == pg_sys::ParamKind::PARAM_EXTERN => {
            Err(Error::unsupported(
                "a TVIEW cannot be defined using bound parameters",
                server::exprLocation(node),
                "Write the value into the query.",
            ))
        }
        T_NextValueExpr => Err(Error::unsupported(
            "volatile functions cannot be maintained",
            server::exprLocation(node),
            "Number the rows when they are written: an identity column of the table.",
        )),
        _ => clock::check(node).and_then(|()| check_functions(node, may_read_clock)),
    }
}

fn check_query(query: Query) -> Result<()> {
    if query.commandType() != pg_sys::CmdType::CMD_SELECT || query.hasModifyingCTE() {
        return Err(Error::unsupported(
            "a TVIEW cannot be defined by a statement that writes",
            -1,
            "Write first; a TVIEW is defined by a SELECT of what is there.",
        ));
    }
    if !query.rowMarks().is_null() {
        return Err(Error::unsupported(
            "FOR UPDATE and FOR SHARE cannot be maintained",
            locate::find(Construct::Locked),
            "Leave the locking clause out.",
        ));
    }
    for rte in list::iter::<pg_sys::RangeTblEntry>(query.rtable()) {
        if !rte.tablesample().is_null() {
            return Err(Error::unsupported(
                "TABLESAMPLE cannot be maintained",
                locate::find(Construct::TableSample),
                "Leave it out, and take a sample when reading the TVIEW.",
            ));
        }
    }
    Ok(())
}

fn check_relation(relid: pg_sys::Oid, used: &relations::Use, is_deferred: bool) -> Result<()> {
    let Some(rel) = Relation::open(relid, pg_sys::AccessShareLock) else {
        return Err(Error::Internal(format!("relation {} does not exist", relid.to_u32())));
    };
    let shown = name::bare(relid);
    let refuse = |what: String, hint: &str| Err(Error::unsupported(what, -1, hint));
    // SAFETY: an open relation.
    let (is_catalog, is_tview) = (unsafe { pg_sys::IsCatalogRelation(rel.raw()) }, tam::is_tview_relation(&rel));
    if is_catalog {
        return refuse(
            format!("system catalog \"{shown}\" cannot be maintained"),
            "Changes of system catalogs cannot be captured: use an ordinary view over them, which may read TVIEWs, too.",
        );
    }
    if rel.class().relpersistence as u8 == pg_sys::RELPERSISTENCE_TEMP {
        return refuse(
            format!("temporary table \"{shown}\" cannot be maintained"),
            "Other sessions, which write to the other tables, cannot read it: use an ordinary table.",
        );
    }
    match rel.relkind() {
        pg_sys::RELKIND_RELATION | pg_sys::RELKIND_PARTITIONED_TABLE => {}
        pg_sys::RELKIND_MATVIEW if is_tview => {}
        pg_sys::RELKIND_MATVIEW | pg_sys::RELKIND_FOREIGN_TABLE if is_deferred => {}
        pg_sys::RELKIND_MATVIEW => {
            return refuse(
                format!("materialized view \"{shown}\" cannot be maintained"),
                "Make it a TVIEW first: ALTER MATERIALIZED VIEW … SET ACCESS METHOD tview. Or use refresh = deferred.",
            );
        }
        pg_sys::RELKIND_FOREIGN_TABLE => {
            return refuse(
                format!("foreign table \"{shown}\" cannot be maintained"),
                "Changes on a foreign server cannot be captured: copy or replicate its rows into a table, or use refresh = deferred.",
            );
        }
        _ => {
            return refuse(
                format!("relation \"{shown}\" cannot be maintained"),
                "A TVIEW reads tables, partitioned tables, views and other TVIEWs.",
            );
        }
    }
    check_system_columns(&shown, used)?;
    if used.with_children && !is_deferred {
        check_children(relid, &shown)?;
    }
    Ok(())
}

fn check_system_columns(shown: &str, used: &relations::Use) -> Result<()> {
    if used.columns.iter().any(|c| *c < 0 && *c != TABLEOID) {
        return Err(Error::unsupported(
            format!("system columns of \"{shown}\" cannot be maintained"),
            -1,
            "Leave them out: their values change without a write. Only tableoid is allowed.",
        ));
    }
    Ok(())
}

/// Refuses foreign tables in the inheritance tree of a relation.
pub fn check_children(relid: pg_sys::Oid, shown: &str) -> Result<()> {
    for child in ext::find_all_inheritors(relid, pg_sys::AccessShareLock as i32) {
        let kind = lsyscache::get_rel_relkind(child);
        if kind == pg_sys::RELKIND_FOREIGN_TABLE {
            return Err(Error::unsupported(
                format!("\"{shown}\" has a foreign table as partition, which cannot be maintained"),
                -1,
                "Changes on a foreign server cannot be captured: copy or replicate its rows into a table.",
            ));
        }
    }
    Ok(())
}
