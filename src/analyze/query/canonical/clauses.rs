//! Clauses that refer to target entries, in the form in which trees are compared: they refer to expressions, which come behind the outputs.

use crate::analyze::query::canonical::BTreeMap;
use crate::analyze::query::grouping_sets;
use crate::pg::tree::{List, Node, Query, Text, Tree, list, lsyscache, make, server, walk};
use pgrx::pg_sys;

/// Expressions that clauses refer to, each once.
struct Keys {
    query: Query,
    found: Vec<Node>,
}

impl Keys {
    /// The number of the expression of a target entry, from 1.
    fn number(&mut self, reference: u32) -> u32 {
        let tle = server::get_sortgroupref_tle(reference, self.query.targetList());
        let node: Node = if self.query.setOperations().is_null() {
            // Queries in the expression are brought into their form where the expression stands, too.
            tle.expr().copy().cast()
        } else {
            // An expression, as walks over a query expect in target entries.
            make::int4(tle.resno().into())
        };
        let known = self.found.iter().position(|k| server::equal((*k).cast(), node.cast()));
        known.unwrap_or_else(|| {
            self.found.push(node);
            self.found.len() - 1
        }) as u32
            + 1
    }

    /// A clause that says by which expressions, or, when `sorts`, also in which order.
    fn clause(&mut self, clause: List, sorts: bool) -> List {
        let mut out: List = Tree::null();
        let mut seen = Vec::new();
        for item in list::iter::<pg_sys::SortGroupClause>(clause) {
            let of =
                server::exprType(server::get_sortgroupref_tle(item.tleSortGroupRef(), self.query.targetList()).expr());
            let number = self.number(item.tleSortGroupRef());
            if seen.contains(&number) {
                continue;
            }
            seen.push(number);
            let own = make::make::<pg_sys::SortGroupClause>();
            own.set_tleSortGroupRef(number);
            own.set_eqop(item.eqop());
            if own.eqop() == pg_sys::InvalidOid {
                own.set_eqop(lsyscache::operators(of).equal);
            }
            if sorts {
                own.set_sortop(item.sortop());
                own.set_nulls_first(item.nulls_first());
            }
            out = list::lappend(out, own.cast());
        }
        out
    }
}

/// Clauses that refer to target entries refer to expressions, which come behind the outputs.
pub fn clauses(query: Query) -> bool {
    let mut keys = Keys { query, found: Vec::new() };
    let references: Vec<u32> =
        list::iter::<pg_sys::SortGroupClause>(query.groupClause()).map(|c| c.tleSortGroupRef()).collect();
    query.set_groupClause(keys.clause(query.groupClause(), false));
    // Two grouping columns that are one in the text.
    if !query.groupingSets().is_null() && list::len(query.groupClause()) < references.len() {
        return false;
    }
    let numbers: BTreeMap<u32, u32> = references.into_iter().map(|r| (r, keys.number(r))).collect();
    query.set_groupingSets(grouping_sets::renumbered(query.groupingSets(), &|r| numbers.get(&r).copied().unwrap_or(0)));
    query.set_sortClause(keys.clause(query.sortClause(), true));
    if query.hasDistinctOn() {
        query.set_distinctClause(keys.clause(query.distinctClause(), false));
    } else if !query.distinctClause().is_null() {
        // By all outputs.
        query.set_distinctClause(Tree::null());
        query.set_isReturn(true);
    }
    windows(query, &mut keys);
    let mut targets: List = Tree::null();
    let set = !query.setOperations().is_null();
    for tle in list::iter::<pg_sys::TargetEntry>(query.targetList()) {
        if !tle.resjunk() {
            tle.set_ressortgroupref(0);
            tle.set_resno(list::len(targets) as i16 + 1);
            targets = list::lappend(targets, tle.cast());
        } else if !keys.found.iter().any(|k| server::equal((*k).cast(), tle.expr()))
            && server::expression_returns_set(tle.expr())
        {
            // Rows of a set-returning entry that the text would not have.
            return false;
        }
    }
    if set {
        // The columns are the columns of the branches.
        targets = Tree::null();
    }
    for (i, key) in keys.found.iter().enumerate() {
        let number = list::len(targets) + 1;
        let tle = make::target((*key).cast(), number, Text::null(), true);
        tle.set_ressortgroupref(i as u32 + 1);
        targets = list::lappend(targets, tle.cast());
    }
    query.set_targetList(targets);
    true
}

/// Windows that are used, in the order of their first use.
fn windows(q: Query, keys: &mut Keys) {
    let mut used: Vec<u32> = Vec::new();
    walk::walk(q.targetList().cast(), &mut |n| {
        if list::is(n, pg_sys::NodeTag::T_WindowFunc) {
            let call = n.cast::<pg_sys::WindowFunc>();
            let at = used.iter().position(|w| *w == call.winref()).unwrap_or_else(|| {
                used.push(call.winref());
                used.len() - 1
            });
            call.set_winref(at as u32 + 1);
        }
        false
    });
    let mut out: List = Tree::null();
    for (i, winref) in used.iter().enumerate() {
        for window in list::iter::<pg_sys::WindowClause>(q.windowClause()).filter(|w| w.winref() == *winref) {
            let own = window.copy();
            own.set_name(Text::null());
            own.set_refname(Text::null());
            own.set_copiedOrder(false);
            own.set_winref(i as u32 + 1);
            own.set_partitionClause(keys.clause(own.partitionClause(), false));
            own.set_orderClause(keys.clause(own.orderClause(), true));
            out = list::lappend(out, own.cast());
        }
    }
    q.set_windowClause(out);
}
