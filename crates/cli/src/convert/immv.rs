//! pg_ivm: `create_immv`, `refresh_immv`, `get_immv_def`, and the extension itself.
//!
//! Invariant: a name in a call is read as SQL reads it, as pg_ivm does. Its catalog has no counterpart of the same form, so statements that read it are
//! left. Called by convert.

use super::call::{self, Call, sole};
use super::{Edit, Found, Scripts};
use crate::script::nodes::{Constant, json, names, relation, walk};
use crate::script::{Script, Statement};
use pg_query::NodeEnum;

fn is_ours(schema: Option<&str>, name: &str) -> bool {
    matches!(schema, None | Some("pgivm" | "pg_catalog")) && matches!(name, "create_immv" | "refresh_immv")
}

pub fn recognise(_: &Scripts, script: &Script, statement: &Statement) -> Found {
    let Ok(tree) = &statement.tree else { return Found::Nothing };
    if let NodeEnum::CreateExtensionStmt(create) = &tree.node
        && create.extname == "pg_ivm"
    {
        return Found::replaced(script, statement, "CREATE EXTENSION IF NOT EXISTS pg_tviews".into());
    }
    if let Some(made) = sole(tree, &is_ours) {
        return match made.and_then(|call| of_call(&call)) {
            Ok(with) => Found::replaced(script, statement, with),
            Err(why) => Found::Left(why),
        };
    }
    let value = json(&tree.node);
    let (mut edits, mut reads) = (Vec::new(), None);
    walk(&value, &mut |kind, fields| {
        if kind == "FuncCall"
            && let [.., "get_immv_def"] = names(&fields["funcname"])[..]
            && let Some(start) = fields["location"].as_u64().map(|n| n as usize)
        {
            let text = script.text_of(statement);
            let end = text[start..].find('(').map_or(start, |n| start + n);
            edits.push(Edit { start, end, with: "pg_get_viewdef".into() });
        }
        if kind == "RangeVar" && fields["relname"] == "pg_ivm_immv" {
            reads = Some(());
        }
        true
    });
    if reads.is_some() {
        return Found::Left("it reads pg_ivm_immv: TVIEWs are listed in tviews.tviews".into());
    }
    edits.sort_by_key(|e| e.start);
    if edits.is_empty() { Found::Nothing } else { Found::Edits(edits) }
}

fn of_call(call: &Call) -> Result<String, String> {
    if call.name == "create_immv" {
        let [name, query] = call.arguments(["immv_name", "query"])?;
        let (name, query) = (name_of(name)?, call::query(&call::text(query, "the query")?)?);
        return Ok(format!("CREATE TVIEW {name} AS\n{query}"));
    }
    let [name, with_data] = call.arguments(["immv_name", "with_data"])?;
    let name = name_of(name)?;
    match with_data {
        Some(Constant::Bool(true)) => Ok(format!("REFRESH TVIEW {name}")),
        Some(Constant::Bool(false)) => Ok(format!("REFRESH TVIEW {name} WITH NO DATA")),
        _ => Err("refresh_immv() without true or false".into()),
    }
}

fn name_of(value: Option<Constant>) -> Result<String, String> {
    Ok(relation(&call::relation(&call::text(value, "the name")?)?))
}
