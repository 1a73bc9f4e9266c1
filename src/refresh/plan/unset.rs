//! Whether loops give the same whatever the settings of the session are, so that a flush can leave these as they are: fixing them takes as long as
//! looking a row up.
//!
//! Invariant: true only if nothing that the flush calls looks at a setting of pg/pinned.rs, or is code of a user, which would run with the search_path
//! of the writer: expressions and conditions of the loops, comparisons of indexes that are read or written, aggregates, what listeners are told.
//! Called when loops are made.

use crate::analyze::describe::fold::{Fold, Output};
use crate::analyze::rules::nested_loop::{NestedLoop, Value};
use crate::pg::relation::Relation;
use crate::pg::tree::{List, Node, Tree, list, lsyscache, server, walk};
use crate::refresh::plan::tview::Tview;
use pgrx::pg_sys::{self, NodeTag, Oid};

/// Types that are compared, hashed and computed with by functions of the server that look at no setting. Text of them is another matter.
const SIMPLE: [Oid; 17] = [
    pg_sys::BOOLOID,
    pg_sys::CHAROID,
    pg_sys::NAMEOID,
    pg_sys::INT2OID,
    pg_sys::INT4OID,
    pg_sys::INT8OID,
    pg_sys::OIDOID,
    pg_sys::FLOAT4OID,
    pg_sys::FLOAT8OID,
    pg_sys::NUMERICOID,
    pg_sys::TEXTOID,
    pg_sys::VARCHAROID,
    pg_sys::BPCHAROID,
    pg_sys::UUIDOID,
    pg_sys::DATEOID,
    pg_sys::TIMESTAMPOID,
    pg_sys::JSONBOID,
];

/// Those of them whose text is the same under all settings.
const WRITTEN_ALIKE: [Oid; 9] = [
    pg_sys::BOOLOID,
    pg_sys::INT2OID,
    pg_sys::INT4OID,
    pg_sys::INT8OID,
    pg_sys::NUMERICOID,
    pg_sys::TEXTOID,
    pg_sys::VARCHAROID,
    pg_sys::BPCHAROID,
    pg_sys::UUIDOID,
];

/// Functions that make JSON of any type, and types that they write alike, besides those above. Source: utils/adt/jsonb.c, datum_to_jsonb_internal.
const BUILDERS: [&[u8]; 3] = [b"jsonb_build_object", b"jsonb_build_array", b"to_jsonb"];
const AS_JSON: [Oid; 3] = [pg_sys::JSONBOID, pg_sys::DATEOID, pg_sys::TIMESTAMPOID];

fn is_simple(of: Oid) -> bool {
    SIMPLE.contains(&of)
}

fn is_written_alike(of: Oid) -> bool {
    WRITTEN_ALIKE.contains(&of)
}

fn came_with_server(of: Oid) -> bool {
    of.to_u32() < pg_sys::FirstNormalObjectId
}

/// Whether the loops of a TVIEW, its writes among what they do, look at no setting.
pub fn is_unset<'a>(tview: &Tview, rel: &Relation, mut loops: impl Iterator<Item = &'a NestedLoop>) -> bool {
    let through = tview.pairs.iter().flatten().any(|p| p.through.is_some());
    !tview.notify && !through && tview.fold.as_ref().is_none_or(fold) && indexes(rel) && loops.all(is_loop)
}

fn is_loop(of: &NestedLoop) -> bool {
    let value = |v: &Value| match v {
        Value::Column(_) => true,
        Value::Computed(e) => expression(e.cast()),
    };
    let conditions = |all: &[Tree<pg_sys::Expr>]| all.iter().all(|c| expression(c.cast()));
    let reached = of.reached.iter().flat_map(|(_, values)| values);
    let found = |(relid, index): (Oid, Oid)| {
        Relation::open(relid, pg_sys::AccessShareLock).is_some()
            && Relation::open(index, pg_sys::AccessShareLock).is_some_and(|index| compares_simply(&index))
    };
    conditions(&of.conditions)
        && conditions(&of.at_last)
        && of.values.iter().chain(reached).all(value)
        && of.steps.iter().all(|s| conditions(&s.conditions) && s.keys.iter().all(|k| value(&k.value)))
        && of.steps.iter().all(|s| s.keys.iter().all(|k| came_with_server(k.function)))
        && of.look_ups().all(found)
}

fn fold(of: &Fold) -> bool {
    let output = |o: &Output| match o {
        Output::Expression(e) => expression(e.cast()),
        _ => true,
    };
    of.came_with_server()
        && of.key_types.iter().chain(&of.arg_types).all(|t| is_simple(t.0))
        && of.outputs.iter().all(output)
}

/// Whether entries can be made in all indexes of a TVIEW.
fn indexes(rel: &Relation) -> bool {
    // SAFETY: an open relation; its indexes are open while they are looked at.
    unsafe {
        let all: List = Tree::new(pg_sys::RelationGetIndexList(rel.raw()));
        list::oids(all).into_iter().filter_map(|i| Relation::open(i, pg_sys::AccessShareLock)).all(|index| {
            compares_simply(&index)
                && pg_sys::RelationGetIndexExpressions(index.raw()).is_null()
                && pg_sys::RelationGetIndexPredicate(index.raw()).is_null()
        })
    }
}

/// Whether the values of an index are compared by functions of the server that look at no setting.
fn compares_simply(index: &Relation) -> bool {
    // SAFETY: an open index has a family and a type for each key column.
    unsafe {
        let rd = &*index.raw();
        (0..(*rd.rd_index).indnkeyatts as usize)
            .all(|i| came_with_server(*rd.rd_opfamily.add(i)) && is_simple(*rd.rd_opcintype.add(i)))
    }
}

/// Whether an expression that a loop runs (analyze/rules/nested_loop/frame.rs) looks at no setting.
fn expression(of: Node) -> bool {
    !walk::walk(of, &mut |n| !node(n))
}

fn node(n: Node) -> bool {
    use NodeTag::*;
    match n.tag() {
        T_Invalid | T_List | T_Var | T_Const | T_BoolExpr | T_RelabelType | T_CaseExpr | T_CaseWhen
        | T_CaseTestExpr | T_CoalesceExpr | T_NullTest | T_BooleanTest => true,
        T_CoerceViaIO => {
            let from = n.cast::<pg_sys::CoerceViaIO>().arg();
            is_written_alike(server::exprType(n)) && is_written_alike(server::exprType(from.cast()))
        }
        T_FuncExpr => {
            let call = n.cast::<pg_sys::FuncExpr>();
            match builds_json(call.funcid()) {
                true => list::iter::<pg_sys::Node>(call.args()).all(|a| {
                    let of = server::exprType(a);
                    is_written_alike(of) || AS_JSON.contains(&of) || a.tag() == T_Const && of == pg_sys::UNKNOWNOID
                }),
                false => is_simple(server::exprType(n)) && server::functions_of(n).into_iter().all(is_pure),
            }
        }
        T_OpExpr | T_DistinctExpr | T_NullIfExpr => {
            is_simple(server::exprType(n)) && server::functions_of(n).into_iter().all(is_pure)
        }
        _ => false,
    }
}

fn builds_json(function: Oid) -> bool {
    came_with_server(function) && BUILDERS.contains(&lsyscache::get_func_name(function).to_c().to_bytes())
}

/// Whether a function of the server gives the same for the same values of simple types, whatever is set. One of those that promise it looks at
/// quote_all_identifiers.
fn is_pure(function: Oid) -> bool {
    lsyscache::func_volatile(function) == pg_sys::PROVOLATILE_IMMUTABLE
        && lsyscache::get_func_signature(function).into_iter().all(is_simple)
        && lsyscache::get_func_name(function).to_c().to_bytes() != b"quote_ident"
}
