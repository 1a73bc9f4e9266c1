//! Values that a function of any type writes as text: names of catalog objects, and amounts of money.
//!
//! `regclass` and its kin hold a number and show a name, `money` a number of the smallest unit of whichever currency `lc_monetary` says: the
//! text of such a value changes without a write. Their output functions are refused like other functions (refuse_functions); here are those
//! that call them inside, such as `format`, `to_jsonb` and `array_to_string`. They are declared STABLE, and take arguments of any type.

use crate::analyze::refuse::functions::{function_name, refused};
use crate::pg::error::{Error, Result};
use crate::pg::{aggregate, list, tupdesc};
use pgrx::pg_sys::{self, NodeTag::*, Oid};
use std::ffi::CStr;

/// Refuses `node` when it writes such a value itself.
///
/// # Safety
/// `node` is a valid node of an expression.
pub unsafe fn check(node: *mut pg_sys::Node) -> Result<()> {
    // SAFETY: `node` is a valid node, as the caller promises.
    unsafe {
        let Some((writer, arguments)) = writer(node) else { return Ok(()) };
        match arguments.into_iter().find_map(|a| shown(a)) {
            None => Ok(()),
            Some(of) => Err(Error::unsupported(
                format!("{writer} cannot be maintained over values of type {}", type_name(of)),
                pg_sys::exprLocation(node),
                "Their text depends on the catalogs or on lc_monetary. Keep the name as text, or the amount as numeric.",
            )),
        }
    }
}

/// What writes values of any type as text, and the values.
unsafe fn writer(node: *mut pg_sys::Node) -> Option<(String, Vec<*mut pg_sys::Node>)> {
    // SAFETY: `node` is a valid node.
    unsafe {
        let call = |function: Oid, arguments: *mut pg_sys::List| {
            let stable = pg_sys::func_volatile(function) as u8 == pg_sys::PROVOLATILE_STABLE;
            stable.then(|| (format!("function {}()", function_name(function)), nodes(arguments)))
        };
        match (*node).type_ {
            T_FuncExpr => {
                let f = node.cast::<pg_sys::FuncExpr>();
                call((*f).funcid, (*f).args)
            }
            T_OpExpr => {
                let op = node.cast::<pg_sys::OpExpr>();
                call(pg_sys::get_opcode((*op).opno), (*op).args)
            }
            T_Aggref => {
                let aggregate = node.cast::<pg_sys::Aggref>();
                let arguments = list::iter::<pg_sys::TargetEntry>((*aggregate).args).map(|t| (*t).expr.cast());
                aggregated((*aggregate).aggfnoid, arguments.collect())
            }
            T_WindowFunc => {
                let window = node.cast::<pg_sys::WindowFunc>();
                aggregated((*window).winfnoid, nodes((*window).args))
            }
            T_CoerceViaIO => Some(("a cast".into(), vec![(*node.cast::<pg_sys::CoerceViaIO>()).arg.cast()])),
            T_XmlExpr => {
                let xml = node.cast::<pg_sys::XmlExpr>();
                let arguments = nodes((*xml).args).into_iter().chain(nodes((*xml).named_args));
                Some(("XML".into(), arguments.collect()))
            }
            #[cfg(not(feature = "pg15"))]
            T_JsonConstructorExpr => {
                let constructor = node.cast::<pg_sys::JsonConstructorExpr>();
                Some(("a JSON constructor".into(), nodes((*constructor).args)))
            }
            _ => None,
        }
    }
}

unsafe fn nodes(arguments: *mut pg_sys::List) -> Vec<*mut pg_sys::Node> {
    // SAFETY: null or a live list of nodes.
    unsafe { list::iter::<pg_sys::Node>(arguments).collect() }
}

/// Aggregates are declared IMMUTABLE whatever their functions are.
unsafe fn aggregated(function: Oid, arguments: Vec<*mut pg_sys::Node>) -> Option<(String, Vec<*mut pg_sys::Node>)> {
    let transition = aggregate::facts(function)?.transfn;
    // SAFETY: a syscache look-up.
    let stable = unsafe { pg_sys::func_volatile(transition) } as u8 != pg_sys::PROVOLATILE_IMMUTABLE;
    stable.then(|| (format!("function {}()", function_name(function)), arguments))
}

/// The type in a value whose text depends on the catalogs or the session.
unsafe fn shown(value: *mut pg_sys::Node) -> Option<Oid> {
    // SAFETY: `value` is null or a valid node of an expression.
    unsafe {
        if value.is_null() {
            return None;
        }
        if list::is(value, T_RowExpr) {
            return nodes((*value.cast::<pg_sys::RowExpr>()).args).into_iter().find_map(|a| shown(a));
        }
        within(pg_sys::exprType(value), 0)
    }
}

/// Types of attributes may be nested; a composite type cannot contain itself, other than through arrays that stay empty.
const DEEPEST: u32 = 32;

unsafe fn within(of: Oid, depth: u32) -> Option<Oid> {
    // SAFETY: syscache look-ups; the tuple descriptor is a copy.
    unsafe {
        let of = pg_sys::getBaseType(of);
        if depth > DEEPEST || of == pg_sys::RECORDOID {
            return None;
        }
        let element = pg_sys::get_base_element_type(of);
        if element != pg_sys::InvalidOid {
            return within(element, depth + 1);
        }
        if pg_sys::type_is_rowtype(of) {
            let desc = pg_sys::lookup_rowtype_tupdesc_copy(of, -1);
            let attributes =
                (0..(*desc).natts as usize).map(|i| tupdesc::attr(desc, i)).filter(|a| !(**a).attisdropped);
            return attributes.map(|a| (*a).atttypid).find_map(|t| within(t, depth + 1));
        }
        let (mut output, mut varlena) = (pg_sys::InvalidOid, false);
        if pg_sys::get_typtype(of) as u8 == pg_sys::TYPTYPE_PSEUDO {
            return None;
        }
        pg_sys::getTypeOutputInfo(of, &mut output, &mut varlena);
        let stable = pg_sys::func_volatile(output) as u8 != pg_sys::PROVOLATILE_IMMUTABLE;
        (stable && output.to_u32() < pg_sys::FirstNormalObjectId && refused(output)).then_some(of)
    }
}

unsafe fn type_name(of: Oid) -> String {
    // SAFETY: the result is palloc'd.
    unsafe { CStr::from_ptr(pg_sys::format_type_be(of)).to_string_lossy().into_owned() }
}
