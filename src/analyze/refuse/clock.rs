//! Text that stands for the moment at which it is read: `'now'::text::timestamp` is another value each day.
//!
//! A literal of its own (`timestamp 'now'`) became a constant when the query was parsed. Text that comes from a column is not looked at: the page
//! of dependencies says so. Source: utils/adt/datetime.c, datetktbl.

use crate::pg::error::{Error, Result};
use crate::pg::tree::{Node, list, lsyscache, server};
use pgrx::pg_sys;

const WORDS: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];

/// Refuses a cast of such a text.
pub fn check(node: Node) -> Result<()> {
    if !list::is(node, pg_sys::NodeTag::T_CoerceViaIO) {
        return Ok(());
    }
    let cast = node.cast::<pg_sys::CoerceViaIO>();
    let moments = [pg_sys::DATEOID, pg_sys::TIMESTAMPOID, pg_sys::TIMESTAMPTZOID, pg_sys::TIMEOID, pg_sys::TIMETZOID];
    if !moments.contains(&lsyscache::getBaseType(cast.resulttype())) || !list::is(cast.arg(), pg_sys::NodeTag::T_Const)
    {
        return Ok(());
    }
    let value = cast.arg().cast::<pg_sys::Const>();
    if value.constisnull() || value.consttype() != pg_sys::TEXTOID && value.consttype() != pg_sys::VARCHAROID {
        return Ok(());
    }
    let text = server::output_of(value).unwrap_or_default().to_ascii_lowercase();
    if !text.split(|c: char| !c.is_ascii_alphabetic()).any(|word| WORDS.contains(&word)) {
        return Ok(());
    }
    Err(Error::unsupported(
        format!("a cast of '{}' is the time at which it is computed and cannot be maintained", text.trim()),
        server::exprLocation(node),
        "Compare with a column, or filter when reading the TVIEW.",
    ))
}
