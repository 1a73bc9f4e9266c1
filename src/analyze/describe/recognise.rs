//! Which grouped queries can be folded, and by which state of their aggregates.
//!
//! Invariant: a recognised aggregate gives, from its state, the value that the query gives for the group, to the byte; others are a reason why not.
//! Called by refresh/plan, and by split for aggregates without GROUP BY.

use crate::analyze::describe::fold::{Aggregate, Fold, Output, State, StateKind};
use crate::analyze::describe::statistics;
use crate::analyze::query::tree::{Type, outputs, type_of};
use crate::pg::aggregate::{Facts, Moving, Stored, facts, state_aggregate, top};
use crate::pg::name;
use crate::pg::tree::{Aggref, Node, Query, Tree, Var, list, lsyscache, make, server, walk};
use pgrx::pg_sys;
use std::mem::discriminant;
use tviews_core::model::Shape;
use tviews_core::reason::Reason;

/// Looks at a query's outputs.
pub fn recognise(query: Query, shape: &Shape, approximate: bool) -> std::result::Result<Fold, Reason> {
    if !query.havingQual().is_null() {
        return Err(Reason::Having);
    }
    if query.hasDistinctOn() {
        return Err(Reason::DistinctOn);
    }
    let mut cx = Recogniser { query, approximate, fold: Fold::empty(), tops: Vec::new() };
    match shape {
        Shape::Groups(positions) => {
            for p in positions {
                cx.key(p.ok_or(Reason::GroupNotShown)?);
            }
        }
        Shape::Distinct => (0..outputs(query).len()).for_each(|p| cx.key(p)),
        _ => return Err(Reason::NotGrouped),
    }
    for (p, tle) in outputs(query).into_iter().enumerate() {
        // A column that depends on the grouping columns may be one of them.
        let expr = cx.plain(tle.expr());
        if list::is(expr, pg_sys::NodeTag::T_Var) {
            if name::equality(server::exprType(expr)).is_none() {
                return Err(Reason::DependentWithoutEquality);
            }
            cx.key(p);
        }
    }
    for (p, tle) in outputs(query).into_iter().enumerate() {
        let out = match cx.fold.positions.iter().position(|k| *k == p) {
            Some(k) => Output::Key(k),
            None => cx.output(cx.plain(tle.expr()))?,
        };
        cx.fold.outputs.push(out);
    }
    cx.add_tops();
    cx.fold.filter_count = cx.fold.filters.len();
    cx.fold.state_types = cx.fold.states.iter().map(|s| s.node.aggtype()).collect();
    let delta = 1 + cx.fold.key_nodes.len() + cx.fold.args.len() + cx.fold.filters.len();
    if delta.max(cx.fold.states.len()).max(outputs(query).len() + 2) > pg_sys::MaxHeapAttributeNumber as usize {
        return Err(Reason::ManyColumns);
    }
    Ok(cx.fold)
}

fn is_equal<A, B>(a: Tree<A>, b: Tree<B>) -> bool {
    server::equal(a.cast(), b.cast())
}

fn column(index: usize, of: Type) -> Var {
    make::var(1, index as i16 + 1, (of.0, of.1, of.2), 0)
}

pub(super) struct Recogniser {
    query: Query,
    pub(super) approximate: bool,
    pub(super) fold: Fold,
    /// Aggregates that compute the best values, by the state that they belong to.
    tops: Vec<(usize, Aggref)>,
}

impl Recogniser {
    fn plain(&self, node: Node) -> Node {
        server::flatten_join_aliases(self.query, server::flatten_groups(self.query, node))
    }

    fn key(&mut self, position: usize) {
        if self.fold.positions.contains(&position) {
            return;
        }
        let node = self.plain(outputs(self.query)[position].expr());
        self.fold.positions.push(position);
        self.fold.key_types.push(type_of(node));
        self.fold.key_exact.push(name::equal_is_same(&type_of(node)) || is_extract(node));
        self.fold.key_nodes.push(node);
    }

    fn output(&mut self, node: Node) -> std::result::Result<Output, Reason> {
        if list::is(node, pg_sys::NodeTag::T_Aggref) {
            return Ok(Output::Aggregate(self.aggregate(node.cast())?));
        }
        if server::checkExprHasSubLink(node) {
            return Err(Reason::SubqueryBeside);
        }
        let mut why = None;
        let expr = walk::rewrite(node, &mut |n| {
            if let Some(k) = self.fold.key_nodes.iter().position(|k| is_equal(*k, n)) {
                return Some(column(k, self.fold.key_types[k]).cast());
            }
            if list::is(n, pg_sys::NodeTag::T_Aggref) {
                match self.aggregate(n.cast()) {
                    Ok(a) => {
                        return Some(column(self.fold.positions.len() + a, type_of(n)).cast());
                    }
                    Err(w) => why = Some(w),
                }
            } else if list::is(n, pg_sys::NodeTag::T_Var) || list::is(n, pg_sys::NodeTag::T_GroupingFunc) {
                why = Some(Reason::NotGroupedBy);
            }
            why.is_some().then_some(n)
        });
        why.map_or(Ok(()), Err)?;
        Ok(Output::Expression(expr.cast()))
    }

    fn aggregate(&mut self, agg: Aggref) -> std::result::Result<usize, Reason> {
        let a = agg;
        if !a.aggdistinct().is_null() {
            return Err(Reason::DistinctInside);
        }
        if !a.aggorder().is_null() || a.aggkind() != b'n' {
            return Err(Reason::Ordered);
        }
        if !a.aggfilter().is_null() && server::checkExprHasSubLink(a.aggfilter()) {
            return Err(Reason::SubqueryInAggregate);
        }
        let filter =
            (!a.aggfilter().is_null()).then(|| self.plain(a.aggfilter())).map(|f| index_of(&mut self.fold.filters, f));
        let arguments: Vec<Node> = list::iter::<pg_sys::TargetEntry>(a.args()).map(|t| self.plain(t.expr())).collect();
        if arguments.iter().any(|n| server::checkExprHasSubLink(*n)) {
            return Err(Reason::SubqueryInAggregate);
        }
        let result = match (statistics::of(a.aggfnoid()), &arguments[..]) {
            (Some(of), _) => self.statistic(agg, of, &arguments, filter)?,
            (None, []) => self.result(agg, &Input { argument: None, arg: None, filter })?,
            (None, [n]) => {
                let arg = Some(self.argument(agg, *n));
                self.result(agg, &Input { argument: Some(*n), arg, filter })?
            }
            _ => return Err(Reason::SeveralArguments),
        };
        self.fold.aggregates.push(result);
        self.fold.aggregate_types.push((a.aggtype(), -1, a.aggcollid()));
        Ok(self.fold.aggregates.len() - 1)
    }

    /// Position of an argument among those of all aggregates.
    pub(super) fn argument(&mut self, agg: Aggref, node: Node) -> usize {
        let node = if agg.aggfilter().is_null() { node } else { guarded(node, self.plain(agg.aggfilter())) };
        let i = index_of(&mut self.fold.args, node);
        if i == self.fold.arg_types.len() {
            self.fold.arg_types.push(type_of(node));
        }
        i
    }

    /// How an aggregate's result comes from states; adds the states.
    fn result(&mut self, agg: Aggref, input: &Input) -> std::result::Result<Aggregate, Reason> {
        let a = agg;
        let oid = a.aggfnoid().to_u32();
        let Some(argument) = input.argument else {
            return match (oid, input.filter) {
                (pg_sys::F_COUNT_, None) => Ok(Aggregate::Rows),
                (pg_sys::F_COUNT_, Some(_)) => Ok(Aggregate::Count(self.state(agg.copy(), StateKind::Count, input))),
                _ => Err(Reason::NoInverse),
            };
        };
        if oid == pg_sys::F_COUNT_ANY {
            return Ok(Aggregate::Count(self.count(agg, input)));
        }
        if [pg_sys::F_BOOL_AND, pg_sys::F_BOOL_OR, pg_sys::F_EVERY].contains(&oid) {
            let trues = count_of(agg);
            trues.set_aggfilter(if a.aggfilter().is_null() {
                argument.copy().cast()
            } else {
                server::make_and_qual(a.aggfilter().copy().cast(), argument.copy().cast()).cast()
            });
            let count = self.count(agg, input);
            let trues = self.state(trues, StateKind::Trues, input);
            return Ok(Aggregate::Bool { and: oid != pg_sys::F_BOOL_OR, trues, count });
        }
        let floats = [pg_sys::F_SUM_FLOAT8, pg_sys::F_AVG_FLOAT8, pg_sys::F_SUM_FLOAT4, pg_sys::F_AVG_FLOAT4];
        if floats.contains(&oid) {
            if !self.approximate {
                return Err(Reason::FloatingSum);
            }
            return Ok(self.floating(agg, input));
        }
        let facts = facts(a.aggfnoid()).ok_or(Reason::UnknownAggregate)?;
        if facts.kind != b'n' {
            return Err(Reason::OrderedSet);
        }
        if facts.sortop != pg_sys::InvalidOid {
            return self.extremum(agg, input, argument, facts.sortop);
        }
        if facts.mtransfn == pg_sys::InvalidOid || facts.minvtransfn == pg_sys::InvalidOid {
            return Err(Reason::NoInverse);
        }
        self.moving(agg, input, facts)
    }

    fn moving(&mut self, agg: Aggref, input: &Input, facts: Facts) -> std::result::Result<Aggregate, Reason> {
        let internal = facts.mtranstype == pg_sys::INTERNALOID;
        let node = agg.copy();
        if internal || facts.mfinalfn != pg_sys::InvalidOid || facts.finalfn != pg_sys::InvalidOid {
            let argtype = list::oids(agg.aggargtypes())[0];
            let state = state_aggregate(facts.mtransfn, argtype).ok_or(Reason::StateNotKept)?;
            node.set_aggfnoid(state);
            node.set_aggtype(lsyscache::get_func_rettype(state));
            node.set_aggcollid(pg_sys::InvalidOid);
        }
        if internal {
            // NULLs leave such a state as it is; they are left out, so that there is no state without values.
            node.set_aggfilter(without_nulls(node));
        }
        if internal && (facts.serialfn == pg_sys::InvalidOid || facts.transtype != pg_sys::INTERNALOID) {
            return Err(Reason::StateNotKept);
        }
        let stored = Stored { serialfn: facts.serialfn, deserialfn: facts.deserialfn, combinefn: facts.combinefn };
        let moving = Moving {
            mtransfn: facts.mtransfn,
            minvtransfn: facts.minvtransfn,
            mfinalfn: facts.mfinalfn,
            mfinalextra: facts.mfinalextra,
            mtranstype: facts.mtranstype,
            stored: internal.then_some(stored),
            minitval: facts.minitval,
            collation: agg.inputcollid(),
        };
        let counted = lsyscache::func_strict(moving.mtransfn) && moving.minitval.is_none();
        let counter = counted.then(|| self.count(agg, input));
        let state = self.state(node, StateKind::Moving { moving: moving.clone(), counter }, input);
        Ok(Aggregate::Moving { state, moving })
    }

    fn floating(&mut self, agg: Aggref, input: &Input) -> Aggregate {
        let oid = agg.aggfnoid().to_u32();
        let short = oid == pg_sys::F_SUM_FLOAT4 || oid == pg_sys::F_AVG_FLOAT4;
        let average = oid == pg_sys::F_AVG_FLOAT4 || oid == pg_sys::F_AVG_FLOAT8;
        let sum = agg.copy();
        sum.set_aggfnoid(pg_sys::Oid::from(if short { pg_sys::F_SUM_FLOAT4 } else { pg_sys::F_SUM_FLOAT8 }));
        sum.set_aggtype(if short { pg_sys::FLOAT4OID } else { pg_sys::FLOAT8OID });
        let count = self.count(agg, input);
        let state = self.state(sum, StateKind::Sum { short }, input);
        Aggregate::Sum { state, count, average, short }
    }

    /// min, max and the like, when their operator is the default order of the type.
    fn extremum(
        &mut self,
        agg: Aggref,
        input: &Input,
        argument: Node,
        sortop: pg_sys::Oid,
    ) -> std::result::Result<Aggregate, Reason> {
        let of = type_of(argument);
        let own = lsyscache::operators(of.0);
        if !own.compares || of.0 != agg.aggtype() {
            return Err(Reason::NoInverse);
        }
        let max = match sortop {
            op if op == own.greater => true,
            op if op == own.less => false,
            _ => return Err(Reason::NoInverse),
        };
        let kind = StateKind::Extremum { max, type_: (of.0, of.1, agg.inputcollid()), top: None };
        let state = self.state(agg.copy(), kind, input);
        if let Some(aggregate) = top::aggregate(max, of.0).filter(|_| self.tops.iter().all(|(of, _)| *of != state)) {
            let node = agg.copy();
            node.set_aggfnoid(aggregate);
            node.set_aggtype(pg_sys::BYTEAOID);
            node.set_aggcollid(pg_sys::InvalidOid);
            self.tops.push((state, node));
        }
        Ok(Aggregate::Extremum(state))
    }

    /// States that hold the best values, behind all others.
    fn add_tops(&mut self) {
        if self.fold.states.len() + self.tops.len() > pg_sys::MaxHeapAttributeNumber as usize {
            return;
        }
        for (of, node) in std::mem::take(&mut self.tops) {
            let (arg, filter) = (self.fold.states[of].arg, self.fold.states[of].filter);
            let number = self.fold.states.len();
            self.fold.states.push(State { node, kind: StateKind::Top, arg, filter });
            if let StateKind::Extremum { top, .. } = &mut self.fold.states[of].kind {
                *top = Some(number);
            }
        }
    }

    pub(super) fn count(&mut self, agg: Aggref, input: &Input) -> usize {
        self.state(count_of(agg), StateKind::Count, input)
    }

    /// Number of a state, the same one for the same expression.
    pub(super) fn state(&mut self, node: Aggref, kind: StateKind, input: &Input) -> usize {
        let same = |s: &State| discriminant(&s.kind) == discriminant(&kind) && is_equal(s.node, node);
        match self.fold.states.iter().position(same) {
            Some(i) => i,
            None => {
                self.fold.states.push(State { node, kind, arg: input.arg, filter: input.filter });
                self.fold.states.len() - 1
            }
        }
    }
}

/// The input of an aggregate.
pub(super) struct Input {
    pub argument: Option<Node>,
    pub arg: Option<usize>,
    pub filter: Option<usize>,
}

/// An argument that is computed only for rows that pass the FILTER, as in the aggregate: it may fail for other rows.
fn guarded(argument: Node, filter: Node) -> Node {
    if list::is(argument, pg_sys::NodeTag::T_Var) || list::is(argument, pg_sys::NodeTag::T_Const) {
        return argument;
    }
    let of = type_of(argument);
    let when = make::make::<pg_sys::CaseWhen>();
    when.set_expr(filter.copy().cast());
    when.set_result(argument.copy().cast());
    when.set_location(-1);
    let case = make::make::<pg_sys::CaseExpr>();
    case.set_casetype(of.0);
    case.set_casecollid(of.2);
    case.set_args(list::lappend(Tree::null(), when.cast()));
    case.set_defresult(make::null((of.0, of.1, of.2)));
    case.set_location(-1);
    case.cast()
}

/// The condition of an aggregate, and that its argument is not NULL.
fn without_nulls(agg: Aggref) -> Node {
    let test = make::make::<pg_sys::NullTest>();
    test.set_arg(list::nth::<pg_sys::TargetEntry>(agg.args(), 0).expr().copy());
    test.set_nulltesttype(pg_sys::NullTestType::IS_NOT_NULL);
    test.set_location(-1);
    if agg.aggfilter().is_null() {
        return test.cast();
    }
    server::make_and_qual(agg.aggfilter().copy(), test.cast()).cast()
}

/// Gives aggregates the condition of the state that they can be computed from, so that the server computes both at once: it does so for equal input and equal
/// functions (source: optimizer/prep/prepagg.c, find_compatible_trans). NULLs do not count in these aggregates, so their results stay the same.
pub fn share(query: Query, fold: &Fold) {
    let states = fold.states.iter().filter(|s| s.moving().is_some_and(|m| m.stored.is_some()));
    let transition = |agg: Aggref| facts(agg.aggfnoid()).map(|f| f.transfn);
    let states: Vec<(Aggref, Option<pg_sys::Oid>)> = states.map(|s| (s.node, transition(s.node))).collect();
    walk::walk_into(query.targetList().cast(), &mut |node| {
        if !list::is(node, pg_sys::NodeTag::T_Aggref) {
            return walk::Next::Below;
        }
        let agg: Aggref = node.cast();
        let own = transition(agg);
        let shares = |(state, of): &&(Aggref, Option<pg_sys::Oid>)| {
            own == *of && is_equal(agg.args(), state.args()) && is_equal(without_nulls(agg), state.aggfilter())
        };
        if let Some((state, _)) = states.iter().find(shares) {
            agg.set_aggfilter(state.aggfilter().copy());
        }
        walk::Next::Beside
    });
}

/// `count(x)` over the argument and condition of an aggregate.
fn count_of(agg: Aggref) -> Aggref {
    let count = agg.copy();
    count.set_aggfnoid(pg_sys::Oid::from(pg_sys::F_COUNT_ANY));
    count.set_aggtype(pg_sys::INT8OID);
    count.set_aggcollid(pg_sys::InvalidOid);
    count
}

/// extract(field from date or time): numeric of one scale for each field.
pub fn is_extract(node: Node) -> bool {
    if !list::is(node, pg_sys::NodeTag::T_FuncExpr) {
        return false;
    }
    let call = node.cast::<pg_sys::FuncExpr>();
    let functions = [
        pg_sys::F_EXTRACT_TEXT_DATE,
        pg_sys::F_EXTRACT_TEXT_TIMESTAMP,
        pg_sys::F_EXTRACT_TEXT_TIMESTAMPTZ,
        pg_sys::F_EXTRACT_TEXT_TIME,
        pg_sys::F_EXTRACT_TEXT_TIMETZ,
    ];
    functions.contains(&call.funcid().to_u32())
        && list::is(list::nth::<pg_sys::Node>(call.args(), 0), pg_sys::NodeTag::T_Const)
}

fn index_of<T>(nodes: &mut Vec<Tree<T>>, node: Tree<T>) -> usize {
    match nodes.iter().position(|n| is_equal(*n, node)) {
        Some(i) => i,
        None => {
            nodes.push(node);
            nodes.len() - 1
        }
    }
}
