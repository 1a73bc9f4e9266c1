//! SEARCH and CYCLE of recursive queries, spelled out where nobody looks at what cannot be stored.
//!
//! `SEARCH … SET s` adds a column of rows to order by; where no result depends on it, the clause goes. `WITH RECURSIVE r (a) AS (SELECT x … UNION ALL SELECT y … FROM r)
//! CYCLE a SET c TO v DEFAULT d USING p` is, to those who do not look at p, `WITH RECURSIVE r (a, c, p) AS (SELECT x, d, ARRAY[ROW(x)::text] … UNION ALL SELECT y, CASE WHEN
//! ROW(y)::text = ANY (r.p) THEN v ELSE d END, array_append(r.p, ROW(y)::text) … FROM r WHERE … AND r.c <> v)`. The server's path has rows, whose equality is that of their texts for
//! types whose values have one text each. Source: rewrite/rewriteSearchCycle.c.
//!
//! Invariant: the same rows of the query; a clause that is not understood stays where it is, and the query is `full`. Called by load.

use crate::analyze::query::conditions::{conditions, conjunction};
use crate::analyze::query::tree::{is_plain, outputs};
use crate::analyze::query::{joins, recursion};
use crate::pg::name;
use crate::pg::tree::{List, Node, Query, Text, Tree, list, make, parser, server, walk};
use pgrx::pg_sys::{self, DEFAULT_COLLATION_OID, TEXTARRAYOID, TEXTOID};
use std::collections::BTreeSet;
use std::ffi::CStr;

type Cte = Tree<pg_sys::CommonTableExpr>;

/// Changes the clauses of all recursive queries of a query, in place.
pub fn spell_out(query: Query) {
    let has_clause = |cte: Cte| !cte.search_clause().is_null() || !cte.cycle_clause().is_null();
    let mut found: Vec<(Query, Cte)> = Vec::new();
    walk::walk(query.cast(), &mut |n| {
        if list::is(n, pg_sys::NodeTag::T_Query) {
            let block: Query = n.cast();
            let ctes = list::iter::<pg_sys::CommonTableExpr>(block.cteList());
            found.extend(ctes.filter(|cte| has_clause(*cte)).map(|cte| (block, cte)));
        }
        false
    });
    if found.iter().any(|(_, cte)| !cte.search_clause().is_null()) {
        drop_order(query);
    }
    for (block, cte) in found {
        let mut references = Vec::new();
        find(block, &cte.ctename().to_c(), 0, &mut references);
        Clauses { cte, references }.spell_out();
    }
}

/// Without LIMIT, the order of the rows is none of a TVIEW's business.
fn drop_order(query: Query) {
    let matters = !query.limitCount().is_null()
        || !query.limitOffset().is_null()
        || !query.distinctClause().is_null()
        || !query.groupClause().is_null()
        || query.hasWindowFuncs()
        || query.hasTargetSRFs();
    if !matters {
        query.set_sortClause(Tree::null());
        query.set_targetList(list::of(outputs(query)));
        list::iter::<pg_sys::TargetEntry>(query.targetList()).for_each(|tle| tle.set_ressortgroupref(0));
    }
}

/// The places where a recursive query is read: the queries, and the numbers in their range tables.
fn find(query: Query, label: &CStr, level: u32, found: &mut Vec<(Query, usize)>) {
    for (i, rte) in list::iter::<pg_sys::RangeTblEntry>(query.rtable()).enumerate() {
        if rte.rtekind() == pg_sys::RTEKind::RTE_CTE && rte.ctelevelsup() == level && rte.ctename().is(label) {
            found.push((query, i + 1));
        }
    }
    walk::below(query).into_iter().for_each(|sub| find(sub, label, level + 1, found));
}

struct Clauses {
    cte: Cte,
    references: Vec<(Query, usize)>,
}

impl Clauses {
    fn spell_out(&self) {
        let (search, cycle) = (self.cte.search_clause(), self.cte.cycle_clause());
        let own = list::len(self.cte.ctecolnames()) as i16;
        let sequence = own + 1;
        let path = own + 2 + i16::from(!search.is_null());
        // Where the row is looked at as a whole, so are these.
        let hidden = [(0, true), (sequence, !search.is_null()), (path, !cycle.is_null())];
        let hidden: BTreeSet<i16> = hidden.into_iter().filter(|(_, is)| *is).map(|(column, _)| column).collect();
        let looks =
            |(query, index): &(Query, usize)| columns(*query, *index).iter().any(|v| hidden.contains(&v.varattno()));
        // Of UNION, rows with other values in them are other rows.
        if self.references.iter().any(looks) || !self.union().is_some_and(|union| union.all()) {
            return;
        }
        if cycle.is_null() {
            self.renumber(sequence);
        } else if self.follow(cycle, sequence).is_none() {
            return;
        }
        self.complete();
        self.cte.set_search_clause(Tree::null());
        self.cte.set_cycle_clause(Tree::null());
    }

    /// Takes the column of SEARCH out of the numbers of columns.
    fn renumber(&self, sequence: i16) {
        self.references.iter().for_each(|(query, index)| joins::forget_columns(*query, *index));
        if self.cte.search_clause().is_null() {
            return;
        }
        for (query, index) in &self.references {
            joins::take_out(*query, *index, i32::from(sequence));
            let behind = columns(*query, *index).into_iter().filter(|var| var.varattno() > sequence);
            behind.for_each(|var| {
                var.set_varattno(var.varattno() - 1);
                var.set_varattnosyn(var.varattno());
            });
        }
    }

    fn union(&self) -> Option<Tree<pg_sys::SetOperationStmt>> {
        let operation = self.cte.ctequery().cast::<pg_sys::Query>().setOperations();
        list::is(operation, pg_sys::NodeTag::T_SetOperationStmt).then(|| operation.cast())
    }

    /// Adds mark and path to the recursive query; None, and nothing is done, where that is not understood.
    fn follow(&self, cycle: Tree<pg_sys::CTECycleClause>, sequence: i16) -> Option<()> {
        let sub: Query = self.cte.ctequery().cast();
        let union = self.union()?;
        let entry = |node: Node| server::rt_fetch(node.cast::<pg_sys::RangeTblRef>().rtindex() as usize, sub);
        let (base, step) = (entry(union.larg()), entry(union.rarg()));
        let (first, next) = (base.subquery(), step.subquery());
        let own = recursion::own_of(next)? as i32;
        let names: Vec<_> = list::iter::<pg_sys::String>(self.cte.ctecolnames()).map(|s| s.sval().to_c()).collect();
        let compared: Vec<usize> = list::iter::<pg_sys::String>(cycle.cycle_col_list())
            .map(|s| names.iter().position(|name| s.sval().is(name)))
            .collect::<Option<_>>()?;
        let types = list::oids(self.cte.ctecoltypes()).into_iter().zip(list::oids(self.cte.ctecolcollations()));
        let types: Vec<_> = types.map(|(of, collation)| (of, -1, collation)).collect();
        if !is_plain(first) || !is_plain(next) || !compared.iter().all(|c| has_one_text(&types[*c])) {
            return None;
        }
        self.renumber(sequence);
        let row = |of: Query| {
            let shown = outputs(of);
            text_of_row(compared.iter().map(|c| shown[*c].expr().copy()))
        };
        let n = names.len();
        let mark = (cycle.cycle_mark_type(), cycle.cycle_mark_typmod(), cycle.cycle_mark_collation());
        let of_path = (TEXTARRAYOID, -1, DEFAULT_COLLATION_OID);
        let before = |column: usize, of| make::var(own, column as i16, of, 0).cast::<pg_sys::Node>();
        let [is_known, appended, only] = expressions(row(next), before(n + 2, of_path), row(first));
        let case = make::make::<pg_sys::CaseExpr>();
        let when = make::make::<pg_sys::CaseWhen>();
        when.set_expr(is_known.cast());
        when.set_result(cycle.cycle_mark_value().copy().cast());
        when.set_location(-1);
        case.set_casetype(mark.0);
        case.set_casecollid(mark.2);
        case.set_args(list::of([when]));
        case.set_defresult(cycle.cycle_mark_default().copy().cast());
        case.set_location(-1);
        let add = |query: Query, exprs: [Node; 2]| {
            for (i, (expr, called)) in
                exprs.into_iter().zip([cycle.cycle_mark_column(), cycle.cycle_path_column()]).enumerate()
            {
                let tle = make::target(expr.cast(), n + i + 1, called, false);
                query.set_targetList(list::lappend(query.targetList(), tle.cast()));
            }
        };
        add(first, [cycle.cycle_mark_default().copy(), only]);
        add(next, [case.cast(), appended]);
        let value = cycle.cycle_mark_value().copy();
        let goes_on = make::comparison(cycle.cycle_mark_neop(), before(n + 1, mark), value, mark.2);
        server::set_opfuncid(goes_on.cast());
        let from = next.jointree();
        let mut all = conditions(from.quals());
        all.push(goes_on);
        from.set_quals(conjunction(all));
        let leftmost = outputs(sub)[0].expr().cast::<pg_sys::Var>().varno();
        let shown = |column: usize, of| make::var(leftmost, column as i16, of, 0).cast::<pg_sys::Node>();
        add(sub, [shown(n + 1, mark), shown(n + 2, of_path)]);
        union.set_colTypes(with_oids(union.colTypes(), [mark.0, of_path.0]));
        union.set_colTypmods(with_ints(union.colTypmods(), [mark.1, of_path.1]));
        union.set_colCollations(with_oids(union.colCollations(), [mark.2, of_path.2]));
        self.cte.set_ctecoltypes(with_oids(self.cte.ctecoltypes(), [mark.0, of_path.0]));
        self.cte.set_ctecoltypmods(with_ints(self.cte.ctecoltypmods(), [mark.1, of_path.1]));
        self.cte.set_ctecolcollations(with_oids(self.cte.ctecolcollations(), [mark.2, of_path.2]));
        let called = [cycle.cycle_mark_column(), cycle.cycle_path_column()];
        self.cte.set_ctecolnames(with_names(self.cte.ctecolnames(), called));
        for entry in [base, step] {
            entry.eref().set_colnames(with_names(entry.eref().colnames(), called));
        }
        Some(())
    }

    /// Gives the references the columns that the recursive query has now.
    fn complete(&self) {
        let columns = list::len(self.cte.ctecolnames());
        let added = if self.cte.cycle_clause().is_null() { 0 } else { 2 };
        for (query, index) in &self.references {
            let rte = server::rt_fetch(*index, *query);
            let names: Vec<Node> = list::iter(rte.eref().colnames()).take(columns - added).collect();
            let all = list::iter::<pg_sys::Node>(self.cte.ctecolnames()).skip(columns - added);
            rte.eref().set_colnames(list::of(names.into_iter().chain(all)));
            rte.set_coltypes(self.cte.ctecoltypes().copy());
            rte.set_coltypmods(self.cte.ctecoltypmods().copy());
            rte.set_colcollations(self.cte.ctecolcollations().copy());
        }
    }
}

/// The columns of an item of FROM that its query, and the queries in it, look at. Nothing looks at the columns of joins (query/joins.rs).
fn columns(query: Query, index: usize) -> Vec<Tree<pg_sys::Var>> {
    let mut found: Vec<Tree<pg_sys::Var>> = Vec::new();
    let of_joins: Vec<Node> = list::iter::<pg_sys::RangeTblEntry>(query.rtable())
        .flat_map(|rte| list::iter::<pg_sys::Node>(rte.joinaliasvars()).collect::<Vec<_>>())
        .collect();
    walk::rewrite_deep(query.cast(), &mut |n, depth| {
        let var = n.cast::<pg_sys::Var>();
        let is_own =
            list::is(n, pg_sys::NodeTag::T_Var) && var.varno() as usize == index && var.varlevelsup() + 1 == depth;
        if is_own && !of_joins.contains(&n) && !found.contains(&var) {
            found.push(var);
        }
        None
    });
    found
}

/// Whether values of a type are equal when their texts are, and only then.
fn has_one_text(of: &(pg_sys::Oid, i32, pg_sys::Oid)) -> bool {
    let known = [
        pg_sys::BOOLOID,
        pg_sys::INT2OID,
        pg_sys::INT4OID,
        pg_sys::INT8OID,
        pg_sys::TEXTOID,
        pg_sys::VARCHAROID,
        pg_sys::UUIDOID,
        pg_sys::DATEOID,
    ];
    known.contains(&of.0) && name::equal_is_same(of)
}

/// `ROW(…)::text`, in which NULL is told from all values.
fn text_of_row(values: impl Iterator<Item = Node>) -> Node {
    let row = make::make::<pg_sys::RowExpr>();
    row.set_args(list::of(values));
    let name = |i| make::string(Text::from(format!("f{}", i + 1)));
    row.set_colnames(list::of((0..list::len(row.args())).map(name)));
    row.set_row_typeid(pg_sys::RECORDOID);
    row.set_row_format(pg_sys::CoercionForm::COERCE_EXPLICIT_CALL);
    row.set_location(-1);
    let cast = make::make::<pg_sys::CoerceViaIO>();
    cast.set_arg(row.cast());
    cast.set_resulttype(TEXTOID);
    cast.set_resultcollid(DEFAULT_COLLATION_OID);
    cast.set_location(-1);
    cast.cast()
}

/// Whether the row is in the path; the path with the row; the path of the first row.
fn expressions(row: Node, path: Node, first: Node) -> [Node; 3] {
    let text = c"SELECT x.r OPERATOR(pg_catalog.=) ANY (x.p), pg_catalog.array_append(x.p, x.r), ARRAY[x.f] \
        FROM (SELECT NULL::pg_catalog.text AS r, NULL::pg_catalog.text[] AS p, NULL::pg_catalog.text AS f) x";
    let made = outputs(parser::analyse(Text::of(text)));
    [0, 1, 2].map(|i| {
        walk::rewrite(made[i].expr(), &mut |n| {
            list::is(n, pg_sys::NodeTag::T_Var).then(|| match n.cast::<pg_sys::Var>().varattno() {
                1 => row.copy(),
                2 => path.copy(),
                _ => first.copy(),
            })
        })
    })
}

fn with_oids(all: List, more: [pg_sys::Oid; 2]) -> List {
    list::of_oids(list::oids(all).into_iter().chain(more))
}

fn with_ints(all: List, more: [i32; 2]) -> List {
    list::of_ints(list::ints(all).into_iter().chain(more))
}

fn with_names(all: List, more: [Text; 2]) -> List {
    list::of(list::iter::<pg_sys::Node>(all).chain(more.map(make::string)))
}
