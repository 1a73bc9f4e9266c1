//! What a TVIEW cannot have: clocks, volatile functions, sources whose changes are not seen.
//!
//! Invariant: a refusal is certain, by the files and by the list of built-in functions; what is not known (a function of no file, a table of no
//! file) is a doubt and refuses nothing. The rules are those of the extension's `analyze::refuse`. Called by `decide`, and by convert.

use super::builtin::{self, Function};
use super::schema::{Kind, Name, Routine, Schema, Volatility};
use crate::script::nodes::{self, json};
use pg_query::protobuf::SelectStmt;
use serde_json::Value;
use std::collections::BTreeSet;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub what: String,
    pub hint: String,
    /// Where in the statement, from 0.
    pub at: Option<usize>,
    /// A deferred TVIEW may have it.
    pub may_later: bool,
}

#[derive(Debug, Default)]
pub struct Findings {
    pub refused: Vec<Refusal>,
    pub doubts: BTreeSet<String>,
}

const BY_TIME: &str = "Compare with a column, filter by time when reading, or make it a TVIEW with refresh = deferred.";
const BY_USER: &str = "Filter by user when reading: in a view over the TVIEW with the condition.";
const CLOCKS: &[&str] = &["now", "statement_timestamp", "transaction_timestamp", "age"];
const USERS: &[&str] = &["current_user", "current_role", "session_user", "row_security_active"];

/// Looks at a query and at the views that it reads. `is_tview`: materialized views that are TVIEWs when this one is made.
pub fn look(query: &SelectStmt, schema: &Schema, is_tview: &dyn Fn(&Name) -> bool) -> Findings {
    let mut look = Look { schema, is_tview, found: Findings::default(), open: BTreeSet::new() };
    look.query(&json(query), None);
    look.found
}

struct Look<'a> {
    schema: &'a Schema,
    is_tview: &'a dyn Fn(&Name) -> bool,
    found: Findings,
    /// Views that have been looked into.
    open: BTreeSet<Name>,
}

impl Look<'_> {
    /// `inside`: the place of the view that this is the query of.
    fn query(&mut self, tree: &Value, inside: Option<usize>) {
        let mut ctes = BTreeSet::new();
        nodes::walk(tree, &mut |kind, fields| {
            if kind == "CommonTableExpr"
                && let Some(name) = fields["ctename"].as_str()
            {
                ctes.insert(name.to_string());
            }
            true
        });
        let mut found = Vec::new();
        nodes::walk(tree, &mut |kind, fields| {
            found.push((kind, fields));
            true
        });
        for (kind, fields) in found {
            let at = inside.or_else(|| fields["location"].as_u64().map(|n| n as usize));
            match kind {
                "FuncCall" => self.function(fields, at),
                "SqlvalueFunction" => {
                    let clock = fields["op"].as_u64().is_some_and(|op| op <= 9);
                    let what = "functions of the clock or the session cannot be maintained".into();
                    self.refuse(what, if clock { BY_TIME } else { BY_USER }, at, clock);
                }
                "RangeTableSample" => {
                    let hint = "Leave it out, and take a sample when reading the TVIEW.";
                    self.refuse("TABLESAMPLE cannot be maintained".into(), hint, at, false);
                }
                "LockingClause" => {
                    self.refuse(
                        "FOR UPDATE and FOR SHARE cannot be maintained".into(),
                        "Leave the locking clause out.",
                        None,
                        false,
                    );
                }
                "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" => {
                    let hint = "Write first; a TVIEW is defined by a SELECT of what is there.";
                    self.refuse("a TVIEW cannot be defined by a statement that writes".into(), hint, at, false);
                }
                "ParamRef" => {
                    self.refuse(
                        "a TVIEW cannot be defined using bound parameters".into(),
                        "Write the value into the query.",
                        at,
                        false,
                    );
                }
                "TypeCast" => self.cast(fields),
                "AExpr" if nodes::names(&fields["name"]).last() == Some(&"@@") => {
                    self.found.doubts.insert("@@ depends on default_text_search_config when one side is text".into());
                }
                "CommonTableExpr"
                    if inside.is_some()
                        && (fields["search_clause"].is_object() || fields["cycle_clause"].is_object()) =>
                {
                    self.found.doubts.insert("SEARCH and CYCLE in a view cannot be maintained".into());
                }
                "RangeVar" => self.relation(fields, at, &ctes),
                "ColumnRef" => {
                    let name = nodes::names(&fields["fields"]).last().copied().unwrap_or_default();
                    if ["ctid", "xmin", "xmax", "cmin", "cmax"].contains(&name) {
                        let hint = "Leave them out: their values change without a write. Only tableoid is allowed.";
                        self.refuse(format!("system column {name} cannot be maintained"), hint, at, false);
                    }
                }
                _ => {}
            }
        }
    }

    /// Types whose values are read by settings, catalogs or the clock: which conversions there are is for the server to say.
    fn cast(&mut self, fields: &Value) {
        let of = nodes::names(&fields["type_name"]["names"]).last().copied().unwrap_or_default().to_string();
        let text = fields.pointer("/arg/node/TypeCast/arg/node/AConst/val/Sval/sval").and_then(Value::as_str);
        let moment = text.is_some_and(|t| {
            ["now", "today", "tomorrow", "yesterday"].iter().any(|w| t.to_ascii_lowercase().contains(w))
        });
        if of.starts_with("reg") || of == "money" || of == "timetz" || moment {
            self.found
                .doubts
                .insert(format!("whether a conversion to {of} can be maintained depends on what is converted"));
        }
    }

    fn refuse(&mut self, what: String, hint: &str, at: Option<usize>, may_later: bool) {
        let refusal = Refusal { what, hint: hint.into(), at, may_later };
        if !self.found.refused.contains(&refusal) {
            self.found.refused.push(refusal);
        }
    }

    fn function(&mut self, call: &Value, at: Option<usize>) {
        let parts = nodes::names(&call["funcname"]);
        let arguments = call["args"].as_array().map_or(0, Vec::len);
        let Some(&name) = parts.last() else { return };
        let of_server = parts.len() == 1 || parts[0] == "pg_catalog";
        let known = if of_server { builtin::function(name, arguments) } else { None };
        match (known, self.schema.routines.get(name)) {
            (Some(_), Some(_)) if parts.len() == 1 => {
                self.found.doubts.insert(format!("the function {name} is one of the server and one of these files"));
            }
            (Some(Function::Volatile), _) => {
                let hint = "Compute the value when a row is written, as the DEFAULT of a column or in a trigger.";
                self.refuse(format!("volatile function {name}() cannot be maintained"), hint, at, false);
            }
            (Some(Function::TextSearch), _) => {
                let hint = "Name the configuration, as in to_tsvector('english', …).";
                self.refuse(
                    format!("function {name}() depends on default_text_search_config and cannot be maintained"),
                    hint,
                    at,
                    false,
                );
            }
            (Some(Function::Refused), _) => {
                let (hint, later) = if CLOCKS.contains(&name) {
                    (BY_TIME, true)
                } else if USERS.contains(&name) || name.starts_with("has_") || name.starts_with("inet_") {
                    (BY_USER, false)
                } else {
                    ("Keep what is wanted in a column, or ask when reading: in a view over the TVIEW.", false)
                };
                let what = format!(
                    "function {name}() depends on the clock, the session or the catalogs and cannot be maintained"
                );
                self.refuse(what, hint, at, later);
            }
            (Some(Function::Depends), _) if name != "timezone" => {
                self.found
                    .doubts
                    .insert(format!("whether {name}() can be maintained depends on the types of its arguments"));
            }
            (Some(_), _) => {}
            (None, Some(Routine::Function { volatility: Volatility::Volatile, .. })) => {
                let hint = "If the function always gives the same result for the same arguments, declare it IMMUTABLE.";
                self.refuse(format!("volatile function {name}() cannot be maintained"), hint, at, false);
            }
            (None, Some(Routine::Function { volatility: Volatility::Stable, .. })) => {
                let hint = "It may read tables whose changes would go unnoticed. Declare it IMMUTABLE if it does not.";
                self.refuse(format!("stable function {name}() cannot be maintained"), hint, at, false);
            }
            (None, Some(_)) => {}
            (None, None) => {
                self.found.doubts.insert(format!("the function {name} is not in these files: it has to be IMMUTABLE"));
            }
        }
    }

    fn relation(&mut self, fields: &Value, at: Option<usize>, ctes: &BTreeSet<String>) {
        let (schemaname, relname) =
            (fields["schemaname"].as_str().unwrap_or_default(), fields["relname"].as_str().unwrap_or_default());
        if schemaname.is_empty() && ctes.contains(relname) {
            return;
        }
        let Some((name, relation)) = self.schema.find(schemaname, relname) else {
            if schemaname == "pg_catalog"
                || schemaname == "information_schema"
                || (schemaname.is_empty() && relname.starts_with("pg_"))
            {
                let hint = "Keep what is wanted of the catalogs in a table, or ask them when reading: in a view over the TVIEW.";
                self.refuse(format!("system catalog \"{relname}\" cannot be maintained"), hint, at, false);
            } else {
                self.found.doubts.insert(format!("the table {relname} is not in these files"));
            }
            return;
        };
        let (name, relation) = (name.clone(), relation.clone());
        if let Some(column) =
            relation.columns.iter().find(|c| matches!(c.of.as_deref(), Some("money" | "time with time zone")))
        {
            self.found.doubts.insert(format!("{relname} has a column {}, whose type is read by settings", column.name));
        }
        match relation.kind {
            Kind::Temporary => {
                self.refuse(
                    format!("temporary table \"{relname}\" cannot be maintained"),
                    "Make it an ordinary table.",
                    at,
                    false,
                );
            }
            Kind::Foreign => {
                let hint = "Copy or replicate its rows into a table, or make it a TVIEW with refresh = deferred.";
                self.refuse(format!("foreign table \"{relname}\" cannot be maintained"), hint, at, true);
            }
            Kind::Sequence => {
                self.refuse(format!("sequence \"{relname}\" cannot be maintained"), "Leave it out.", at, false);
            }
            Kind::Matview if !(self.is_tview)(&name) => {
                let hint = "Make it a TVIEW first: ALTER MATERIALIZED VIEW … SET ACCESS METHOD tview.";
                self.refuse(format!("materialized view \"{relname}\" cannot be maintained"), hint, at, true);
            }
            Kind::View => {
                if self.open.insert(name)
                    && let Some(query) = &relation.query
                {
                    self.query(&json(query), at);
                }
            }
            Kind::Table if relation.row_security => {
                self.found
                    .doubts
                    .insert(format!("{relname} has row security: what the owner of the TVIEW sees decides"));
            }
            _ => {}
        }
    }
}
