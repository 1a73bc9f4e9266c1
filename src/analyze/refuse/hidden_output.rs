//! Values that a function of any type writes as text: names of catalog objects, and amounts of money.
//!
//! `regclass` and its kin hold a number and show a name, `money` a number of the smallest unit of whichever currency `lc_monetary` says: the
//! text of such a value changes without a write. Output functions of these types are refused like other functions (functions.rs); here are the
//! functions that call them inside, such as `format`, `to_jsonb` and `array_to_string`. These are declared STABLE, and take arguments of any type.

use crate::analyze::refuse::functions::{function_name, refused};
use crate::pg::error::{Error, Result};
use crate::pg::tree::{List, Node, list, lsyscache, server};
use crate::pg::{aggregate, tupdesc};
use pgrx::pg_sys::{self, NodeTag::*, Oid};

/// Refuses `node` when it writes such a value itself.
pub fn check(node: Node) -> Result<()> {
    let Some((writer, arguments)) = writer(node) else { return Ok(()) };
    match arguments.into_iter().find_map(shown) {
        None => Ok(()),
        Some(of) => Err(Error::unsupported(
            format!("{writer} cannot be maintained over values of type {}", type_name(of)),
            server::exprLocation(node),
            "Their text depends on the catalogs or on lc_monetary. Keep the name as text, or the amount as numeric.",
        )),
    }
}

/// The function by which a node writes values of any type as text, and the values.
fn writer(node: Node) -> Option<(String, Vec<Node>)> {
    let call = |function: Oid, arguments: List| {
        let stable = lsyscache::func_volatile(function) == pg_sys::PROVOLATILE_STABLE;
        stable.then(|| (format!("function {}()", function_name(function)), nodes(arguments)))
    };
    match node.tag() {
        T_FuncExpr => {
            let f = node.cast::<pg_sys::FuncExpr>();
            call(f.funcid(), f.args())
        }
        T_OpExpr => {
            let op = node.cast::<pg_sys::OpExpr>();
            call(lsyscache::get_opcode(op.opno()), op.args())
        }
        T_Aggref => {
            let aggregate = node.cast::<pg_sys::Aggref>();
            let arguments = list::iter::<pg_sys::TargetEntry>(aggregate.args()).map(|t| t.expr());
            aggregated(aggregate.aggfnoid(), arguments.collect())
        }
        T_WindowFunc => {
            let window = node.cast::<pg_sys::WindowFunc>();
            aggregated(window.winfnoid(), nodes(window.args()))
        }
        T_CoerceViaIO => Some(("a cast".into(), vec![node.cast::<pg_sys::CoerceViaIO>().arg()])),
        T_XmlExpr => {
            let xml = node.cast::<pg_sys::XmlExpr>();
            let arguments = nodes(xml.args()).into_iter().chain(nodes(xml.named_args()));
            Some(("XML".into(), arguments.collect()))
        }
        #[cfg(not(feature = "pg15"))]
        T_JsonConstructorExpr => {
            let constructor = node.cast::<pg_sys::JsonConstructorExpr>();
            Some(("a JSON constructor".into(), nodes(constructor.args())))
        }
        _ => None,
    }
}

fn nodes(arguments: List) -> Vec<Node> {
    list::iter::<pg_sys::Node>(arguments).collect()
}

/// Aggregates are declared IMMUTABLE whatever their functions are.
fn aggregated(function: Oid, arguments: Vec<Node>) -> Option<(String, Vec<Node>)> {
    let transition = aggregate::facts(function)?.transfn;
    let stable = lsyscache::func_volatile(transition) != pg_sys::PROVOLATILE_IMMUTABLE;
    stable.then(|| (format!("function {}()", function_name(function)), arguments))
}

/// The type in a value whose text depends on the catalogs or the session.
fn shown(value: Node) -> Option<Oid> {
    if value.is_null() {
        return None;
    }
    if list::is(value, T_RowExpr) {
        return nodes(value.cast::<pg_sys::RowExpr>().args()).into_iter().find_map(shown);
    }
    within(server::exprType(value), 0)
}

/// Types of attributes may be nested; a composite type cannot contain itself, other than through arrays that stay empty.
const DEEPEST: u32 = 32;

fn within(of: Oid, depth: u32) -> Option<Oid> {
    let of = lsyscache::getBaseType(of);
    if depth > DEEPEST || of == pg_sys::RECORDOID {
        return None;
    }
    let element = lsyscache::get_base_element_type(of);
    if element != pg_sys::InvalidOid {
        return within(element, depth + 1);
    }
    if lsyscache::type_is_rowtype(of) {
        // SAFETY: a copy of the type's description, with as many attributes as it says.
        let columns: Vec<Oid> = unsafe {
            let desc = pg_sys::lookup_rowtype_tupdesc_copy(of, -1);
            let attributes = (0..(*desc).natts as usize).map(|i| tupdesc::attr(desc, i));
            attributes.filter(|a| !(**a).attisdropped).map(|a| (*a).atttypid).collect()
        };
        return columns.into_iter().find_map(|t| within(t, depth + 1));
    }
    if lsyscache::get_typtype(of) == pg_sys::TYPTYPE_PSEUDO {
        return None;
    }
    let output = lsyscache::output_function(of);
    let stable = lsyscache::func_volatile(output) != pg_sys::PROVOLATILE_IMMUTABLE;
    (stable && output.to_u32() < pg_sys::FirstNormalObjectId && refused(output)).then_some(of)
}

fn type_name(of: Oid) -> String {
    lsyscache::format_type_be(of).to_string()
}
