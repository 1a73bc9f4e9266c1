//! Outputs of a query that are never NULL.
//!
//! Invariant: whatever the tables contain, no row of the output has NULL in such a column. An aggregate of a group has the values of at least one row, as long
//! as nothing filters them. Called by refresh/plan, for those who read the TVIEW.

use crate::analyze::describe::Described;
use crate::analyze::query::tree;
use crate::pg::fault::{self, Fault};
use crate::pg::tree::{Aggref, Node, Query, list, server};
use pgrx::pg_sys;

/// The outputs, from 1.
pub fn outputs(query: Query, of: &Described) -> Vec<i16> {
    if !query.setOperations().is_null() || !query.groupingSets().is_null() {
        return Vec::new();
    }
    let known = Known { query, of };
    let all = fault::on(Fault::NeverNull);
    tree::outputs(query).into_iter().filter(|t| all || known.is_never_null(t.expr())).map(|t| t.resno()).collect()
}

struct Known<'a> {
    query: Query,
    of: &'a Described,
}

impl Known<'_> {
    fn is_never_null(&self, node: Node) -> bool {
        let node = server::flatten_join_aliases(self.query, server::flatten_groups(self.query, node));
        match node.tag() {
            pg_sys::NodeTag::T_Const => !node.cast::<pg_sys::Const>().constisnull(),
            pg_sys::NodeTag::T_CoalesceExpr => {
                list::iter(node.cast::<pg_sys::CoalesceExpr>().args()).any(|arg| self.is_never_null(arg))
            }
            pg_sys::NodeTag::T_Aggref => self.is_aggregate_of_some(node.cast()),
            _ => self.of.block.resolve_expr(node).is_some_and(|col| {
                let d = &self.of.description;
                d.atoms[col.atom].not_null.contains(&col.att) && !d.join.nullable().contains(&col.atom)
            }),
        }
    }

    /// `count`, or an aggregate that gives one of its values, or their sum or average, in a group.
    fn is_aggregate_of_some(&self, agg: Aggref) -> bool {
        let oid = agg.aggfnoid().to_u32();
        if [pg_sys::F_COUNT_, pg_sys::F_COUNT_ANY].contains(&oid) {
            return true;
        }
        let sums = [
            pg_sys::F_SUM_INT2,
            pg_sys::F_SUM_INT4,
            pg_sys::F_SUM_INT8,
            pg_sys::F_SUM_NUMERIC,
            pg_sys::F_AVG_INT2,
            pg_sys::F_AVG_INT4,
            pg_sys::F_AVG_INT8,
            pg_sys::F_AVG_NUMERIC,
        ];
        let is_extremum = || {
            let facts = crate::pg::aggregate::facts(agg.aggfnoid());
            oid < pg_sys::FirstNormalObjectId && facts.is_some_and(|f| f.sortop != pg_sys::InvalidOid)
        };
        !self.query.groupClause().is_null()
            && agg.aggfilter().is_null()
            && list::len(agg.args()) == 1
            && (sums.contains(&oid) || is_extremum())
            && self.is_never_null(list::first::<pg_sys::TargetEntry>(agg.args()).expr())
    }
}
