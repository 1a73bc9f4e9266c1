//! Grouped queries that can be folded: which state their aggregates need, and how outputs are made from it.
//!
//! Semantics: the state of a group is a function of the multiset of its input rows; an inserted row is taken in, a
//! deleted one taken out, and the outputs are computed from the state. Invariant: state and outputs after a fold equal
//! what the query gives for the group, to the byte; where an aggregate cannot promise that, the group is recomputed.
//! Called by refresh (facts of a TVIEW, SQL of its flush) and by `text` (state columns of the query).

use crate::analyze::query::tree::{Type, outputs, type_of};
use crate::pg::aggregate::{Facts, Moving, Stored, facts, state_aggregate};
use crate::pg::ext::{self, make};
use crate::pg::memory::Arena;
use crate::pg::{list, name, walk};
use pgrx::pg_sys;
use tviews_core::model::Shape;
use tviews_core::reason::Reason;

/// One piece of state, kept in one state attribute.
#[derive(Clone, Debug)]
pub struct State {
    /// What the query computes for it; gone after `Fold::keep`.
    pub node: *mut pg_sys::Aggref,
    pub kind: StateKind,
    /// Among the arguments of all aggregates.
    pub arg: Option<usize>,
    /// Among the conditions of all aggregates.
    pub filter: Option<usize>,
}

#[derive(Clone, Debug)]
pub enum StateKind {
    /// The number of values that are not NULL; of rows when there is no argument.
    Count,
    /// The number of values that are true.
    Trues,
    /// The extremum itself.
    Extremum { max: bool, type_: Type },
    /// The transition value; `counter` is the state with the number of values, where the first one becomes the state.
    Moving { moving: Moving, counter: Option<usize> },
    /// A floating-point sum; drifts, which `approximate = on` accepts.
    Sum { short: bool },
}

/// How the result of an aggregate comes from the states.
#[derive(Clone, Debug)]
pub enum Aggregate {
    /// `count(*)`: the number of rows of the group.
    Rows,
    Count(usize),
    Bool {
        and: bool,
        trues: usize,
        count: usize,
    },
    Extremum(usize),
    Moving {
        state: usize,
        moving: Moving,
    },
    Sum {
        state: usize,
        count: usize,
        average: bool,
        short: bool,
    },
}

#[derive(Clone, Copy, Debug)]
pub enum Output {
    Key(usize),
    Aggregate(usize),
    /// Over Vars of relation 1: keys, then aggregates.
    Expression(*mut pg_sys::Expr),
}

/// How a query is folded. Nodes point into the query, except those of `outputs` after `keep`.
pub struct Fold {
    /// Output position of each grouping column.
    pub positions: Vec<usize>,
    pub key_types: Vec<Type>,
    /// Whether equal values of a key are the same bytes.
    pub key_exact: Vec<bool>,
    pub key_nodes: Vec<*mut pg_sys::Node>,
    pub args: Vec<*mut pg_sys::Node>,
    pub filters: Vec<*mut pg_sys::Node>,
    pub arg_types: Vec<Type>,
    pub filter_count: usize,
    pub aggregates: Vec<Aggregate>,
    pub aggregate_types: Vec<Type>,
    pub outputs: Vec<Output>,
    /// States after the number of rows.
    pub states: Vec<State>,
    /// Their types.
    pub state_types: Vec<pg_sys::Oid>,
    _arena: Option<Arena>,
}

/// More states than these are kept in one attribute together: a row must fit into a page, and has at most 1,600 attributes.
const APART: usize = 12;

impl Fold {
    /// Types of the state attributes: the number of rows, then the states, or all of them together.
    pub fn attribute_types(&self) -> Vec<pg_sys::Oid> {
        let states = if self.is_packed() { &[pg_sys::BYTEAOID] } else { self.state_types.as_slice() };
        std::iter::once(pg_sys::INT8OID).chain(states.iter().copied()).collect()
    }

    /// Whether the states are in one attribute, see refresh/follow/fold/packed.rs.
    pub fn is_packed(&self) -> bool {
        self.states.len() > APART
    }

    /// Makes the output expressions independent of the query; nothing else may be looked at afterwards.
    pub fn keep(mut self) -> Fold {
        let arena = Arena::cached();
        for out in &mut self.outputs {
            if let Output::Expression(e) = out {
                // SAFETY: still alive here.
                *e = unsafe { arena.keep(*e) };
            }
        }
        self.key_nodes.clear();
        self.args.clear();
        self.filters.clear();
        for s in &mut self.states {
            s.node = std::ptr::null_mut();
        }
        self._arena = Some(arena);
        self
    }
}

/// Looks at a query's outputs.
///
/// # Safety
/// `query` is valid and outlives what is used of the result.
pub unsafe fn recognise(
    query: *mut pg_sys::Query,
    shape: &Shape,
    approximate: bool,
) -> std::result::Result<Fold, Reason> {
    // SAFETY: `query` is valid and outlives what is used of the result, as the caller promises.
    unsafe {
        let q = &*query;
        if !q.havingQual.is_null() {
            return Err(Reason::Having);
        }
        if q.hasDistinctOn {
            return Err(Reason::DistinctOn);
        }
        let mut cx = Recogniser { query, approximate, fold: empty() };
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
            let expr = cx.plain((*tle).expr.cast());
            if list::is(expr, pg_sys::NodeTag::T_Var) {
                if name::equality(pg_sys::exprType(expr)).is_none() {
                    return Err(Reason::DependentWithoutEquality);
                }
                cx.key(p);
            }
        }
        for (p, tle) in outputs(query).into_iter().enumerate() {
            let out = match cx.fold.positions.iter().position(|k| *k == p) {
                Some(k) => Output::Key(k),
                None => cx.output(cx.plain((*tle).expr.cast()))?,
            };
            cx.fold.outputs.push(out);
        }
        cx.fold.filter_count = cx.fold.filters.len();
        cx.fold.state_types = cx.fold.states.iter().map(|s| (*s.node).aggtype).collect();
        let delta = 1 + cx.fold.key_nodes.len() + cx.fold.args.len() + cx.fold.filters.len();
        if delta.max(cx.fold.states.len()).max(outputs(query).len() + 2) > pg_sys::MaxHeapAttributeNumber as usize {
            return Err(Reason::ManyColumns);
        }
        Ok(cx.fold)
    }
}

fn empty() -> Fold {
    Fold {
        positions: Vec::new(),
        key_types: Vec::new(),
        key_exact: Vec::new(),
        key_nodes: Vec::new(),
        args: Vec::new(),
        filters: Vec::new(),
        arg_types: Vec::new(),
        filter_count: 0,
        aggregates: Vec::new(),
        aggregate_types: Vec::new(),
        outputs: Vec::new(),
        states: Vec::new(),
        state_types: Vec::new(),
        _arena: None,
    }
}

unsafe fn same<A, B>(a: *mut A, b: *mut B) -> bool {
    // SAFETY: `a` and `b` are live nodes of one tree.
    unsafe { pg_sys::equal(a.cast(), b.cast()) }
}

unsafe fn column(index: usize, of: Type) -> *mut pg_sys::Var {
    // SAFETY: makes a new node in the current context.
    unsafe { pg_sys::makeVar(1, index as i16 + 1, of.0, of.1, of.2, 0) }
}

struct Recogniser {
    query: *mut pg_sys::Query,
    approximate: bool,
    fold: Fold,
}

impl Recogniser {
    unsafe fn plain(&self, node: *mut pg_sys::Node) -> *mut pg_sys::Node {
        // SAFETY: `node` is a live node of a tree of the server.
        unsafe { ext::flatten_join_aliases(self.query, ext::flatten_groups(self.query, node)) }
    }

    fn key(&mut self, position: usize) {
        if self.fold.positions.contains(&position) {
            return;
        }
        // SAFETY: the query is alive.
        unsafe {
            let node = self.plain((*outputs(self.query)[position]).expr.cast());
            self.fold.positions.push(position);
            self.fold.key_types.push(type_of(node));
            self.fold.key_exact.push(name::equal_is_same(&type_of(node)) || is_extract(node));
            self.fold.key_nodes.push(node);
        }
    }

    unsafe fn output(&mut self, node: *mut pg_sys::Node) -> std::result::Result<Output, Reason> {
        // SAFETY: `node` is a live node of a tree of the server.
        unsafe {
            if list::is(node, pg_sys::NodeTag::T_Aggref) {
                return Ok(Output::Aggregate(self.aggregate(node.cast())?));
            }
            if pg_sys::checkExprHasSubLink(node) {
                return Err(Reason::SubqueryBeside);
            }
            let mut why = None;
            let expr = walk::rewrite(node, &mut |n| {
                if let Some(k) = self.fold.key_nodes.iter().position(|k| same(*k, n)) {
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
    }

    unsafe fn aggregate(&mut self, agg: *mut pg_sys::Aggref) -> std::result::Result<usize, Reason> {
        // SAFETY: `agg` is a live node of a tree of the server.
        unsafe {
            let a = &*agg;
            if !a.aggdistinct.is_null() {
                return Err(Reason::DistinctInside);
            }
            if !a.aggorder.is_null() || a.aggkind as u8 != b'n' {
                return Err(Reason::Ordered);
            }
            if !a.aggfilter.is_null() && pg_sys::checkExprHasSubLink(a.aggfilter.cast()) {
                return Err(Reason::SubqueryInAggregate);
            }
            let filter = (!a.aggfilter.is_null())
                .then(|| self.plain(a.aggfilter.cast()))
                .map(|f| index_of(&mut self.fold.filters, f));
            let argument = match list::len(a.args) {
                0 => None,
                1 => Some(self.plain((*list::nth::<pg_sys::TargetEntry>(a.args, 0)).expr.cast())),
                _ => return Err(Reason::SeveralArguments),
            };
            if argument.is_some_and(|n| pg_sys::checkExprHasSubLink(n)) {
                return Err(Reason::SubqueryInAggregate);
            }
            let arg = argument.map(|n| {
                let n = if a.aggfilter.is_null() { n } else { guarded(n, self.plain(a.aggfilter.cast())) };
                let i = index_of(&mut self.fold.args, n);
                if i == self.fold.arg_types.len() {
                    self.fold.arg_types.push(type_of(n));
                }
                i
            });
            let input = Input { argument, arg, filter };
            let result = self.result(agg, &input)?;
            self.fold.aggregates.push(result);
            self.fold.aggregate_types.push((a.aggtype, -1, a.aggcollid));
            Ok(self.fold.aggregates.len() - 1)
        }
    }

    /// How an aggregate's result comes from states, which are added.
    unsafe fn result(&mut self, agg: *mut pg_sys::Aggref, input: &Input) -> std::result::Result<Aggregate, Reason> {
        // SAFETY: `agg` is a live node of a tree of the server.
        unsafe {
            let a = &*agg;
            let oid = a.aggfnoid.to_u32();
            let Some(argument) = input.argument else {
                return match (oid, input.filter) {
                    (pg_sys::F_COUNT_, None) => Ok(Aggregate::Rows),
                    (pg_sys::F_COUNT_, Some(_)) => {
                        Ok(Aggregate::Count(self.state(ext::copy(agg), StateKind::Count, input)))
                    }
                    _ => Err(Reason::NoInverse),
                };
            };
            if oid == pg_sys::F_COUNT_ANY {
                return Ok(Aggregate::Count(self.count(agg, input)));
            }
            if [pg_sys::F_BOOL_AND, pg_sys::F_BOOL_OR, pg_sys::F_EVERY].contains(&oid) {
                let trues = count_of(agg);
                (*trues).aggfilter = if a.aggfilter.is_null() {
                    ext::copy(argument).cast()
                } else {
                    pg_sys::make_and_qual(ext::copy(a.aggfilter).cast(), ext::copy(argument).cast()).cast()
                };
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
            let facts = facts(a.aggfnoid).ok_or(Reason::UnknownAggregate)?;
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
    }

    unsafe fn moving(
        &mut self,
        agg: *mut pg_sys::Aggref,
        input: &Input,
        facts: Facts,
    ) -> std::result::Result<Aggregate, Reason> {
        // SAFETY: `agg` is a live node of a tree of the server.
        unsafe {
            let internal = facts.mtranstype == pg_sys::INTERNALOID;
            let node = ext::copy(agg);
            if internal || facts.mfinalfn != pg_sys::InvalidOid || facts.finalfn != pg_sys::InvalidOid {
                let argtype = list::oids((*agg).aggargtypes)[0];
                let state = state_aggregate(facts.mtransfn, argtype).ok_or(Reason::StateNotKept)?;
                (*node).aggfnoid = state;
                (*node).aggtype = pg_sys::get_func_rettype(state);
                (*node).aggcollid = pg_sys::InvalidOid;
            }
            if internal {
                // NULLs leave such a state as it is; without them there is none when there are no values.
                let argument = (*list::nth::<pg_sys::TargetEntry>((*node).args, 0)).expr;
                let test = make::<pg_sys::NullTest>(pg_sys::NodeTag::T_NullTest);
                (*test).arg = ext::copy(argument);
                (*test).nulltesttype = pg_sys::NullTestType::IS_NOT_NULL;
                (*test).location = -1;
                (*node).aggfilter = if (*node).aggfilter.is_null() {
                    test.cast()
                } else {
                    pg_sys::make_and_qual((*node).aggfilter.cast(), test.cast()).cast()
                };
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
                collation: (*agg).inputcollid,
            };
            let counted = pg_sys::func_strict(moving.mtransfn) && moving.minitval.is_none();
            let counter = counted.then(|| self.count(agg, input));
            let state = self.state(node, StateKind::Moving { moving: moving.clone(), counter }, input);
            Ok(Aggregate::Moving { state, moving })
        }
    }

    unsafe fn floating(&mut self, agg: *mut pg_sys::Aggref, input: &Input) -> Aggregate {
        // SAFETY: `agg` is a live node of a tree of the server.
        unsafe {
            let oid = (*agg).aggfnoid.to_u32();
            let short = oid == pg_sys::F_SUM_FLOAT4 || oid == pg_sys::F_AVG_FLOAT4;
            let average = oid == pg_sys::F_AVG_FLOAT4 || oid == pg_sys::F_AVG_FLOAT8;
            let sum = ext::copy(agg);
            (*sum).aggfnoid = pg_sys::Oid::from(if short { pg_sys::F_SUM_FLOAT4 } else { pg_sys::F_SUM_FLOAT8 });
            (*sum).aggtype = if short { pg_sys::FLOAT4OID } else { pg_sys::FLOAT8OID };
            let count = self.count(agg, input);
            let state = self.state(sum, StateKind::Sum { short }, input);
            Aggregate::Sum { state, count, average, short }
        }
    }

    /// min, max and the like, when their operator is the default order of the type.
    unsafe fn extremum(
        &mut self,
        agg: *mut pg_sys::Aggref,
        input: &Input,
        argument: *mut pg_sys::Node,
        sortop: pg_sys::Oid,
    ) -> std::result::Result<Aggregate, Reason> {
        // SAFETY: `agg` and `argument` are live nodes of a tree of the server.
        unsafe {
            let of = type_of(argument);
            let flags = (pg_sys::TYPECACHE_LT_OPR | pg_sys::TYPECACHE_GT_OPR | pg_sys::TYPECACHE_CMP_PROC_FINFO) as i32;
            let entry = pg_sys::lookup_type_cache(of.0, flags);
            if (*entry).cmp_proc_finfo.fn_oid == pg_sys::InvalidOid || of.0 != (*agg).aggtype {
                return Err(Reason::NoInverse);
            }
            let max = match sortop {
                op if op == (*entry).gt_opr => true,
                op if op == (*entry).lt_opr => false,
                _ => return Err(Reason::NoInverse),
            };
            let kind = StateKind::Extremum { max, type_: (of.0, of.1, (*agg).inputcollid) };
            Ok(Aggregate::Extremum(self.state(ext::copy(agg), kind, input)))
        }
    }

    unsafe fn count(&mut self, agg: *mut pg_sys::Aggref, input: &Input) -> usize {
        // SAFETY: `agg` is a live node of the query that is being recognised.
        unsafe { self.state(count_of(agg), StateKind::Count, input) }
    }

    /// Number of a state, the same one for the same expression.
    unsafe fn state(&mut self, node: *mut pg_sys::Aggref, kind: StateKind, input: &Input) -> usize {
        // SAFETY: `node` is a live node of a tree of the server.
        unsafe {
            match self.fold.states.iter().position(|s| same(s.node, node)) {
                Some(i) => i,
                None => {
                    self.fold.states.push(State { node, kind, arg: input.arg, filter: input.filter });
                    self.fold.states.len() - 1
                }
            }
        }
    }
}

/// What an aggregate reads.
struct Input {
    argument: Option<*mut pg_sys::Node>,
    arg: Option<usize>,
    filter: Option<usize>,
}

/// An argument that is computed only for rows that pass the FILTER, as in the aggregate: it may fail for others.
unsafe fn guarded(argument: *mut pg_sys::Node, filter: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: `argument` and `filter` are live nodes of a tree of the server.
    unsafe {
        if list::is(argument, pg_sys::NodeTag::T_Var) || list::is(argument, pg_sys::NodeTag::T_Const) {
            return argument;
        }
        let of = type_of(argument);
        let when = make::<pg_sys::CaseWhen>(pg_sys::NodeTag::T_CaseWhen);
        (*when).expr = ext::copy(filter).cast();
        (*when).result = ext::copy(argument).cast();
        (*when).location = -1;
        let case = make::<pg_sys::CaseExpr>(pg_sys::NodeTag::T_CaseExpr);
        (*case).casetype = of.0;
        (*case).casecollid = of.2;
        (*case).args = pg_sys::lappend(std::ptr::null_mut(), when.cast());
        (*case).defresult = pg_sys::makeNullConst(of.0, of.1, of.2).cast();
        (*case).location = -1;
        case.cast()
    }
}

/// `count(x)` over the argument and condition of an aggregate.
unsafe fn count_of(agg: *mut pg_sys::Aggref) -> *mut pg_sys::Aggref {
    // SAFETY: `agg` is a live node of a tree of the server.
    unsafe {
        let count = ext::copy(agg);
        (*count).aggfnoid = pg_sys::Oid::from(pg_sys::F_COUNT_ANY);
        (*count).aggtype = pg_sys::INT8OID;
        (*count).aggcollid = pg_sys::InvalidOid;
        count
    }
}

/// extract(field from date or time): numeric of one scale for each field.
pub unsafe fn is_extract(node: *mut pg_sys::Node) -> bool {
    // SAFETY: `node` is a live node of a tree of the server.
    unsafe {
        if !list::is(node, pg_sys::NodeTag::T_FuncExpr) {
            return false;
        }
        let call = &*node.cast::<pg_sys::FuncExpr>();
        let functions = [
            pg_sys::F_EXTRACT_TEXT_DATE,
            pg_sys::F_EXTRACT_TEXT_TIMESTAMP,
            pg_sys::F_EXTRACT_TEXT_TIMESTAMPTZ,
            pg_sys::F_EXTRACT_TEXT_TIME,
            pg_sys::F_EXTRACT_TEXT_TIMETZ,
        ];
        functions.contains(&call.funcid.to_u32())
            && list::is(list::nth::<pg_sys::Node>(call.args, 0), pg_sys::NodeTag::T_Const)
    }
}

unsafe fn index_of<T>(nodes: &mut Vec<*mut T>, node: *mut T) -> usize {
    // SAFETY: `nodes` holds live nodes of that tree; `node` is a live node of a tree of the server.
    unsafe {
        match nodes.iter().position(|n| same(*n, node)) {
            Some(i) => i,
            None => {
                nodes.push(node);
                nodes.len() - 1
            }
        }
    }
}
