//! Which settings the contents of a query depend on, for users who are about to fix these settings.
//!
//! Rules are about the types that go into or come out of functions that are STABLE, and of conversions to and from text: the server's own marks,
//! where they tell. Invariant: no setting is left out that can change the value of a built-in expression; a setting may be named that changes no
//! row of this table. Called when a materialized view becomes a TVIEW.

use crate::pg::pinned::Other;
use crate::pg::relation::Relation;
use crate::pg::tree::walk::{self, Next};
use crate::pg::tree::{Node, Query, list, lsyscache, server};
use pgrx::pg_sys::{self, Oid};
use std::collections::BTreeSet;

/// The settings of `others` that matter for an expanded query.
pub fn concerned(query: Query, others: Vec<Other>) -> Vec<Other> {
    let mut found = BTreeSet::new();
    if !others.is_empty() {
        let mut there_and_back: Vec<Node> = Vec::new();
        walk::walk(query.cast(), &mut |node| {
            there_and_back.extend(shown_day(node).into_iter().flatten());
            if there_and_back.contains(&node) {
                return false;
            }
            let Some(step) = Step::of(node) else { return false };
            found.extend(others.iter().filter(|o| step.depends_on(o)).map(|o| o.name));
            false
        });
    }
    others.into_iter().filter(|o| found.contains(o.name)).collect()
}

/// `to_char` of a value without zone makes it one with a zone first, and shows it in the same zone: the call and the cast.
fn shown_day(node: Node) -> Option<[Node; 2]> {
    let call = node.cast::<pg_sys::FuncExpr>();
    if !list::is(node, pg_sys::NodeTag::T_FuncExpr) || call.funcid().to_u32() != pg_sys::F_TO_CHAR_TIMESTAMPTZ_TEXT {
        return None;
    }
    let format = list::nth::<pg_sys::Node>(call.args(), 1);
    let cast = list::nth::<pg_sys::Node>(call.args(), 0);
    let from_days = [pg_sys::F_TIMESTAMPTZ_DATE, pg_sys::F_TIMESTAMPTZ_TIMESTAMP];
    let plain = constant(format).is_some_and(|f| !f.to_ascii_uppercase().contains("T") && !f.contains("OF"));
    let is_cast = list::is(cast, pg_sys::NodeTag::T_FuncExpr)
        && from_days.contains(&cast.cast::<pg_sys::FuncExpr>().funcid().to_u32());
    (plain && is_cast).then_some([node, cast])
}

/// The value of a constant text.
fn constant(node: Node) -> Option<String> {
    let value = node.cast::<pg_sys::Const>();
    if !list::is(node, pg_sys::NodeTag::T_Const) || value.consttype() != pg_sys::TEXTOID || value.constisnull() {
        return None;
    }
    server::output_of(value)
}

/// The values that go through one expression whose value is not the same under all settings.
struct Step {
    types: BTreeSet<u32>,
    /// Rows whose columns are not known here are among the values.
    anything: bool,
    result: Oid,
    /// Values become text, or text becomes values.
    converts: bool,
    name: String,
    /// A constant format, for the functions that have one.
    format: Option<String>,
}

impl Step {
    fn of(node: Node) -> Option<Step> {
        use pg_sys::NodeTag::*;
        let function = server::functions_of(node).into_iter().find(|f| is_stable(*f));
        let (converts, name) = match (node.tag(), function) {
            (T_CoerceViaIO | T_XmlExpr, _) => (true, String::new()),
            #[cfg(not(feature = "pg15"))]
            (T_JsonConstructorExpr, _) => (true, String::new()),
            (_, Some(function)) => (takes_anything(function), name_of(function)),
            _ => return None,
        };
        let mut step = Step {
            types: BTreeSet::new(),
            anything: false,
            result: server::exprType(node),
            converts,
            name,
            format: None,
        };
        step.add_type(step.result, 0);
        walk::walk_into(node, &mut |part| step.add(part, node));
        Some(step)
    }

    /// Adds the types of the values that are given to the expression itself, through lists and rows.
    fn add(&mut self, part: Node, whole: Node) -> Next {
        use pg_sys::NodeTag::*;
        if part == whole || matches!(part.tag(), T_List | T_TargetEntry | T_RowExpr | T_NamedArgExpr) {
            return Next::Below;
        }
        if part.tag() == T_Query {
            return Next::Beside;
        }
        self.format = constant(part).or(self.format.take());
        self.add_type(server::exprType(part), 0);
        Next::Beside
    }

    fn add_type(&mut self, of: Oid, depth: usize) {
        if of == pg_sys::InvalidOid {
            return;
        }
        let of = lsyscache::getBaseType(of);
        if of == pg_sys::RECORDOID || depth > 8 {
            self.anything = true;
        }
        if !self.types.insert(of.to_u32()) {
            return;
        }
        self.add_type(lsyscache::get_element_type(of), depth + 1);
        if lsyscache::type_is_range(of) {
            self.add_type(lsyscache::get_range_subtype(of), depth + 1);
        }
        let relid = lsyscache::get_typ_typrelid(of);
        if relid != pg_sys::InvalidOid
            && let Some(rel) = Relation::open(relid, pg_sys::AccessShareLock)
        {
            for i in (0..rel.natts()).filter(|i| !rel.attribute(*i).attisdropped) {
                self.add_type(rel.attribute(i).atttypid, depth + 1);
            }
        }
    }

    fn depends_on(&self, other: &Other) -> bool {
        let has = |types: &[Oid]| self.anything || types.iter().any(|t| self.types.contains(&t.to_u32()));
        let with_zone = &[pg_sys::TIMESTAMPTZOID, pg_sys::TIMETZOID];
        let dates = &[pg_sys::DATEOID, pg_sys::TIMESTAMPOID, pg_sys::TIMESTAMPTZOID];
        let reads = |types: &[Oid]| types.contains(&self.result) && has(&[pg_sys::TEXTOID, pg_sys::VARCHAROID]);
        let format = |marks: &[char]| self.format.as_ref().is_none_or(|f| f.to_ascii_uppercase().contains(marks));
        match other.name {
            "TimeZone" => has(with_zone),
            "DateStyle" => {
                // The order of day and month matters for reading only, in style ISO.
                let iso = other.session.starts_with("ISO");
                self.converts && has(dates) && (!iso || reads(dates))
            }
            "timezone_abbreviations" => self.converts && reads(with_zone),
            "IntervalStyle" => self.converts && has(&[pg_sys::INTERVALOID]),
            "extra_float_digits" => {
                self.converts && has(&[pg_sys::FLOAT4OID, pg_sys::FLOAT8OID, pg_sys::POINTOID, pg_sys::BOXOID])
            }
            "bytea_output" => self.converts && has(&[pg_sys::BYTEAOID]),
            "lc_monetary" => has(&[pg_sys::MONEYOID]) || (self.name.starts_with("to_") && format(&['L'])),
            "lc_numeric" => matches!(self.name.as_str(), "to_char" | "to_number") && format(&['D', 'G', 'L']),
            "lc_time" => {
                self.name.starts_with("to_")
                    && has(dates)
                    && self.format.as_ref().is_none_or(|f| f.to_ascii_uppercase().contains("TM"))
            }
            "xmlbinary" | "xmloption" => has(&[pg_sys::XMLOID]),
            "array_nulls" => self.converts && self.types.len() > 1 && has(&[pg_sys::TEXTOID]) && is_array(self.result),
            _ => false,
        }
    }
}

fn is_array(of: Oid) -> bool {
    lsyscache::get_element_type(of) != pg_sys::InvalidOid
}

fn is_stable(function: Oid) -> bool {
    lsyscache::func_volatile(function) == pg_sys::PROVOLATILE_STABLE
}

/// Whether a function shows any value it is given, as `format`, `concat`, `to_jsonb` and `||` do.
fn takes_anything(function: Oid) -> bool {
    lsyscache::get_func_signature(function).into_iter().any(|t| lsyscache::get_typtype(t) == pg_sys::TYPTYPE_PSEUDO)
}

fn name_of(function: Oid) -> String {
    lsyscache::get_func_name(function).to_string()
}
